/**
 * Makes an empty home the home of a node that was lost: from a backup, or from its next-key file. The backup gives back the
 * same keys. The next-key file gives back the node with new keys: what the lost host held counts as compromised, so
 * the committed key makes a statement that says so, and what the node had signed until the file was written is signed again.
 */
import * as fs from 'node:fs';
import { stringify } from 'yaml';
import { wipe } from '../../protocol/bytes.js';
import type { Clock } from '../../protocol/clock.js';
import type { Primitives } from '../../protocol/crypto/primitives.js';
import { WarrenError } from '../../protocol/errors.js';
import { InviteBook } from '../../protocol/identity/invite-book.js';
import { rotationTime, signAgain } from '../../protocol/identity/issue.js';
import { createRotation, decodeStatement } from '../../protocol/identity/statement.js';
import { TrustStore } from '../../protocol/identity/trust-store.js';
import { NEW_CONFIG } from '../config/edit.js';
import { parseConfig } from '../config/load.js';
import type { FileOps } from '../home/atomic.js';
import {
  backupKind,
  beginRestore,
  completeRestore,
  decodeBackup,
  MAX_BACKUP_FILE,
  type Backup,
} from '../home/backup.js';
import { readEnvelope, type Envelope } from '../home/document.js';
import { clearLeftovers, openHome } from '../home/home.js';
import type { NodeKeys } from '../home/keyfile.js';
import { lockHome } from '../home/lock.js';
import { decodeNextKey, nextKeyKind, takeFollowing, writeFollowing, type OpenedNextKey } from '../home/next-key.js';
import { homePaths, type HomePaths } from '../home/paths.js';
import { Seal } from '../home/sealed.js';
import { readSealedFile, readSecretFile } from '../home/secret-file.js';
import { EMPTY_MEMORY } from '../home/statefile.js';

export interface RestoreOptions {
  readonly primitives: Primitives;
  readonly clock: Clock;
  /** Asked once, when all that can be checked without it is right; its bytes are wiped after use. */
  readonly passphrase: () => Promise<Uint8Array>;
  readonly ops?: FileOps;
}

export interface Restored {
  readonly source: 'backup' | 'next-key';
  readonly nodeId: Uint8Array;
  /** number of the newest statement */
  readonly seq: number;
  /** when the backup was made, ms since the epoch; undefined for a next-key file */
  readonly time: number | undefined;
  /** the home opens with the passphrase of the backup */
  readonly isProtected: boolean;
  /** a config was there, and stayed */
  readonly keptConfig: boolean;
}

/**
 * @param home absolute path; made when it is missing
 * @param file a backup or a next-key file
 * @throws WarrenError `exists` when the home has an identity, `not-found`, `home`, `passphrase`, `running`, `disk`; nothing has
 *   changed then
 */
export async function restoreHome(home: string, file: string, options: RestoreOptions): Promise<Restored> {
  refuseIdentity(homePaths(home));
  const envelope = envelopeOf(file);
  const passphrase = await options.passphrase();
  let seal: Seal;
  try {
    seal = await Seal.of(options.primitives, passphrase, envelope.seal);
  } finally {
    wipe(passphrase);
  }
  try {
    const isBackup = envelope.format === backupKind.format;
    const backup = isBackup ? decodeBackup(envelope, seal) : undefined;
    const key = isBackup ? undefined : decodeNextKey(options.primitives, envelope, seal);
    const paths = openHome(home);
    const lock = await lockHome(paths);
    try {
      clearLeftovers(paths);
      refuseIdentity(paths);
      if (key !== undefined) return restoreFromNextKey(paths, file, { key, seal }, options);
      return restoreBackup(paths, backup!, seal, options);
    } finally {
      lock.release();
    }
  } finally {
    seal.destroy();
  }
}

type Sealed = Envelope & { readonly seal: NonNullable<Envelope['seal']> };

function envelopeOf(file: string): Sealed {
  const text = readSealedFile(file, MAX_BACKUP_FILE);
  if (text === undefined)
    throw new WarrenError('not-found', `there is no file ${file}`, { hint: 'name a backup or a next-key file' });
  const envelope = readEnvelope(file, text, [backupKind, nextKeyKind]);
  // A next-key file lies where it is used again; a backup may come from anywhere.
  if (envelope.format === nextKeyKind.format) readSecretFile(file, MAX_BACKUP_FILE);
  if (envelope.seal !== undefined) return { ...envelope, seal: envelope.seal };
  throw new WarrenError('home', `${file} cannot be used: it is not sealed by a passphrase`, {
    hint: 'take a file that `warren keys backup` or `warren keys detach-next` has written',
  });
}

function refuseIdentity(paths: HomePaths): void {
  const hint = 'restore into another home: --home DIR; or move this one away';
  if (fs.existsSync(paths.nodeKeys))
    throw new WarrenError('exists', `the home ${paths.root} has an identity already`, { hint });
  if (fs.existsSync(paths.restore))
    throw new WarrenError('exists', `a restore of the home ${paths.root} has begun already`, {
      hint: 'the next start finishes it: warren up',
    });
}

function restoreBackup(paths: HomePaths, backup: Backup, seal: Seal, { ops }: RestoreOptions): Restored {
  const keptConfig = fs.existsSync(paths.config);
  const homeSeal = backup.isProtected ? seal : undefined;
  beginRestore(paths, backup, homeSeal, ops);
  finish(() => completeRestore(paths, homeSeal, ops));
  const { keys, time, isProtected } = backup;
  return { source: 'backup', nodeId: keys.nodeId, seq: keys.statements.length - 1, time, isProtected, keptConfig };
}

/**
 * The order of the writes: the following key beside FILE, the new keys in the home, then FILE itself. A crash before the home
 * has its keys leaves FILE as it was; after that, the next start finishes the rest.
 * @param opened of `file`, whose seal also seals what replaces it
 */
export function restoreFromNextKey(
  paths: HomePaths,
  file: string,
  opened: OpenedNextKey,
  options: Pick<RestoreOptions, 'primitives' | 'clock' | 'ops'>,
): Restored {
  const { primitives, ops } = options;
  const { key, seal } = opened;
  const made = rotated(opened, options);
  const { statements } = made.keys;
  writeFollowing(primitives, file, { ...key, seed: made.following, statements, items: made.items }, seal, ops);
  wipe(made.following);
  const keptConfig = fs.existsSync(paths.config);
  const network = { networkId: key.networkId, secrets: key.secrets, invites: new InviteBook().exportState() };
  const config = configFor(key.name, key.addresses);
  const time = options.clock.now();
  const keys = { ...made.keys, nextFile: file, nextNetwork: key.networkId };
  beginRestore(
    paths,
    { time, isProtected: false, keys, network, items: made.items, memory: EMPTY_MEMORY, config },
    undefined,
    ops,
  );
  finish(() => {
    completeRestore(paths, undefined, ops);
    takeFollowing(file, ops);
  });
  return {
    source: 'next-key',
    nodeId: key.nodeId,
    seq: statements.length - 1,
    time: undefined,
    isProtected: false,
    keptConfig,
  };
}

/** From here on the node is restored, whatever happens; the next start does what cannot be done now. */
function finish(steps: () => void): void {
  try {
    steps();
  } catch (error) {
    if (!(error instanceof WarrenError)) throw error;
    throw new WarrenError(error.code, `${error.message}; the restore is not finished`, {
      hint: 'mend that, and start the daemon, which finishes it: warren up',
      cause: error,
    });
  }
}

/** The node one compromised rotation further, and what it affirms. */
function rotated(
  { key }: OpenedNextKey,
  { primitives, clock }: Pick<RestoreOptions, 'primitives' | 'clock'>,
): { readonly keys: NodeKeys; readonly following: Uint8Array; readonly items: Backup['items'] } {
  const store = new TrustStore({ primitives, clock, networkId: key.networkId });
  store.restore([...key.statements.map(bytes => ({ kind: 'statement' as const, bytes })), ...key.items]);
  const head = decodeStatement(primitives, key.statements[key.statements.length - 1]!);
  const time = rotationTime(store, key.nodeId, clock.now());
  const made = createRotation(primitives, { head, reason: 'compromised', next: key.seed, now: time });
  store.add({ kind: 'statement', bytes: made.statement });
  const signer = { node: key.nodeId, seq: made.seq, seed: made.signing.privateKey };
  const affirmed = signAgain(store, { primitives, signer, now: time + 1 }, () => true);
  store.addAll(affirmed);
  const keys: NodeKeys = {
    nodeId: key.nodeId,
    signingSeed: made.signing.privateKey,
    noisePrivate: made.noise.privateKey,
    nextSeed: undefined,
    statements: [...key.statements, made.statement],
  };
  return { keys, following: made.next, items: store.items() };
}

/** The name, and where members were reached; an address that is none any more is no reason not to come back. */
function configFor(name: string, addresses: readonly string[]): string {
  const text = (peers: readonly string[]): string =>
    NEW_CONFIG + stringify({ node: { name }, ...(peers.length === 0 ? {} : { peers }) });
  const usable = addresses.filter(address => {
    try {
      return parseConfig(text([address]), 'config.yaml').config.peers.length === 1;
    } catch {
      return false;
    }
  });
  return text(usable);
}
