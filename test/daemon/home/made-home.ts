/** Homes with a founder's identity in them, made without a daemon. */
import * as fs from 'node:fs';
import { createHash } from 'node:crypto';
import { join } from 'node:path';
import { openHome } from '../../../daemon/home/home.js';
import { saveKeys, type NodeKeys } from '../../../daemon/home/keyfile.js';
import type { HomePaths } from '../../../daemon/home/paths.js';
import type { Backup } from '../../../daemon/home/backup.js';
import type { NextKey } from '../../../daemon/home/next-key.js';
import { StateFiles, type NetworkState } from '../../../daemon/home/statefile.js';
import { loadPrimitives } from '../../../protocol/crypto/load.js';
import { InviteBook } from '../../../protocol/identity/invite-book.js';
import { foundNetwork } from '../../../protocol/identity/issue.js';
import { createInception } from '../../../protocol/identity/statement.js';
import type { TrustItem } from '../../../protocol/identity/trust-item.js';

export const primitives = await loadPrimitives();
/** What scrypt costs in tests. */
export const CHEAP = { logN: 10, r: 1, p: 1 } as const;
export const START = Date.UTC(2026, 0, 1);

export interface Founder {
  readonly keys: NodeKeys;
  readonly network: NetworkState;
  readonly items: readonly TrustItem[];
}

export function founder(): Founder {
  const made = createInception(primitives, { now: START });
  const founded = foundNetwork(primitives, { now: START, name: 'host-a', keys: made, statements: [made.statement] });
  const keys: NodeKeys = {
    nodeId: made.nodeId,
    signingSeed: made.signing.privateKey,
    noisePrivate: made.noise.privateKey,
    nextSeed: made.next,
    statements: [made.statement],
  };
  const invites = new InviteBook().exportState();
  const network = { networkId: made.nodeId, secrets: [{ epoch: 0, secret: founded.networkSecret }], invites };
  return { keys, network, items: founded.items };
}

/** Writes a founder's files into a home, open. */
export function fill(folder: string, { keys, network, items }: Founder): HomePaths {
  const paths = openHome(folder);
  const files = new StateFiles(paths);
  files.saveTrust(network.networkId, items);
  files.saveNetwork(network);
  saveKeys(paths.nodeKeys, keys);
  return paths;
}

export function backupOf({ keys, network, items }: Founder, isProtected = false): Backup {
  const memory = { ports: { 'listen 127.0.0.1:0': 40_001 }, registryVersion: START + 7, removed: [] };
  return { time: START, isProtected, keys, network, items, memory, config: '# mine\nnode: { name: host-a }\n' };
}

export function nextKeyOf({ keys, network, items }: Founder): NextKey {
  return {
    nodeId: keys.nodeId,
    seed: keys.nextSeed!.slice(),
    statements: keys.statements,
    networkId: network.networkId,
    name: 'host-a',
    secrets: network.secrets,
    addresses: ['10.0.0.7:7667', 'wss://example.org/warren'],
    items,
  };
}

/** Hashes of all regular files below a folder by their paths: what a refusal must leave as it was. */
export function fingerprint(folder: string): Readonly<Record<string, string>> {
  const entries = fs.readdirSync(folder, { withFileTypes: true, recursive: true });
  const files = entries.filter(entry => entry.isFile()).map(entry => join(entry.parentPath, entry.name));
  const digest = (file: string): string => createHash('sha256').update(fs.readFileSync(file)).digest('hex');
  return Object.fromEntries(files.sort().map(file => [file, `${fs.statSync(file).mode} ${digest(file)}`]));
}
