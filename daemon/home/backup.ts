/**
 * A backup: everything that makes a node this node, in one document that a passphrase seals. A restore is that document put
 * into an empty home as keys/restore.json, in one step, and then spread over the home's files; a crash in between leaves
 * restore.json, and the next start spreads it again.
 */
import * as fs from 'node:fs';
import * as v from 'valibot';
import type { TrustItem } from '../../protocol/identity/trust-item.js';
import { MAX_CONFIG_BYTES } from '../config/load.js';
import { nodeFileOps, removeDurably, writeFileAtomic, type FileOps } from './atomic.js';
import { openEnvelope, openDocument, saveDocument, sealedText, type Envelope } from './document.js';
import { count } from './fields.js';
import { keysBody, keysKind, keysOf, saveKeys, type NodeKeys } from './keyfile.js';
import type { HomePaths } from './paths.js';
import type { Seal } from './sealed.js';
import { readSecretFile, unusable } from './secret-file.js';
import {
  isKnown,
  itemsBody,
  itemsField,
  MAX_STATE_FILE,
  memoryBody,
  memoryKind,
  networkBody,
  networkKind,
  networkOf,
  StateFiles,
  type Memory,
  type NetworkState,
} from './statefile.js';

export const RESTORE_FORMAT = 'warren-restore';
export const RESTORE_VERSION = 1;
/** A trust file at its limit, as text in a text. */
export const MAX_BACKUP_FILE = 2 * MAX_STATE_FILE;

/** What a node needs to be itself on another host. */
export interface Backup {
  /** when it was made, ms since the epoch */
  readonly time: number;
  /** the home is protected by a passphrase, and is so again after a restore */
  readonly isProtected: boolean;
  readonly keys: NodeKeys;
  readonly network: NetworkState;
  /** what is known of the network */
  readonly items: readonly TrustItem[];
  readonly memory: Memory;
  /** text of config.yaml */
  readonly config: string;
}

export const backupSchema = v.strictObject({
  time: count,
  protected: v.boolean(),
  keys: keysKind.schema,
  network: networkKind.schema,
  items: itemsField,
  memory: memoryKind.schema,
  config: v.pipe(v.string(), v.maxLength(MAX_CONFIG_BYTES)),
});

export const backupKind = { format: 'warren-backup', version: 1, schema: backupSchema };
const restoreKind = { format: RESTORE_FORMAT, version: RESTORE_VERSION, schema: backupSchema };

function bodyOf(backup: Backup) {
  return {
    time: backup.time,
    protected: backup.isProtected,
    keys: keysBody(backup.keys),
    network: networkBody(backup.network),
    items: itemsBody(backup.items),
    memory: memoryBody(backup.memory),
    config: backup.config,
  };
}

function backupOf(body: v.InferOutput<typeof backupSchema>): Backup {
  return {
    time: body.time,
    isProtected: body.protected,
    keys: keysOf(body.keys),
    network: networkOf(body.network),
    items: body.items.filter(isKnown),
    memory: body.memory,
    config: body.config,
  };
}

/** The text of a backup file. */
export function encodeBackup(backup: Backup, seal: Seal): string {
  const { format, version } = backupKind;
  return sealedText({ format, version, body: bodyOf(backup) }, seal);
}

/** @throws WarrenError `passphrase`, `home` */
export function decodeBackup(envelope: Envelope, seal: Seal): Backup {
  if (envelope.seal === undefined)
    throw unusable(envelope.file, 'it is not sealed', 'make a backup: warren keys backup');
  return backupOf(openEnvelope(envelope, backupKind, seal));
}

/**
 * From here on the home is that node's, whatever happens. The caller has made sure that it is nobody's yet.
 * @param seal of the home, if it is to be protected
 * @throws WarrenError `disk`; nothing has changed then
 */
export function beginRestore(paths: HomePaths, backup: Backup, seal?: Seal, ops?: FileOps): void {
  saveDocument(paths.restore, { format: RESTORE_FORMAT, version: RESTORE_VERSION, body: bodyOf(backup), seal, ops });
}

/**
 * Spreads keys/restore.json over the home and removes it. A config that is there stays as it is.
 * @returns false when there is none
 * @throws WarrenError `home`, `passphrase`, `disk`; to be called again then
 */
export function completeRestore(paths: HomePaths, seal?: Seal, ops: FileOps = nodeFileOps): boolean {
  const text = readSecretFile(paths.restore, MAX_BACKUP_FILE);
  if (text === undefined) return false;
  const backup = backupOf(openDocument(paths.restore, text, restoreKind, seal));
  const files = new StateFiles(paths, ops, seal);
  files.saveTrust(backup.network.networkId, backup.items);
  files.saveMemory(backup.memory);
  if (!fs.existsSync(paths.config) && backup.config !== '') writeFileAtomic(paths.config, backup.config, { ops });
  files.saveNetwork(backup.network);
  saveKeys(paths.nodeKeys, backup.keys, ops, seal);
  removeDurably(paths.restore, ops);
  return true;
}
