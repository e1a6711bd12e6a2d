/**
 * The identity of a home at a start: the one that lies there, or a new one. A new node's next key may go to a file of its
 * owner at once; it then never touches the home's disk.
 */
import { wipe } from '../../protocol/bytes.js';
import type { Primitives } from '../../protocol/crypto/primitives.js';
import { WarrenError } from '../../protocol/errors.js';
import { createInception, decodeStatement, type NewKeys } from '../../protocol/identity/statement.js';
import { writeFileAtomic, type FileOps } from '../home/atomic.js';
import { loadKeys, saveKeys, type NodeKeys } from '../home/keyfile.js';
import {
  completeFollowing,
  encodeNextKey,
  newNextKeySeal,
  readNextKey,
  refuseTaken,
  takeFollowing,
  writeFollowing,
} from '../home/next-key.js';
import type { HomePaths } from '../home/paths.js';
import type { ScryptCost, Seal } from '../home/sealed.js';
import type { Surroundings } from './recovery.js';

export interface IdentityOptions {
  readonly primitives: Primitives;
  readonly paths: HomePaths;
  /** ms since the epoch */
  readonly now: number;
  /** of a protected home */
  readonly seal?: Seal | undefined;
  /** `--next-key FILE` */
  readonly nextKey?: NextKeyPlace | undefined;
  readonly ops?: FileOps;
}

export interface NextKeyPlace {
  /** absolute path */
  readonly file: string;
  /** asked once; its bytes are wiped after use */
  readonly passphrase: (isNew: boolean) => Promise<Uint8Array>;
  readonly cost?: ScryptCost;
}

export interface Identity {
  readonly keys: NodeKeys;
  /** the next-key file that was named, open until it is written anew */
  readonly detached: Detached | undefined;
}

/**
 * @throws WarrenError `home`, `passphrase`, `disk`; `exists` when the place for a new next key is taken, `bad-value` when the
 *   home's next key lies elsewhere
 */
export async function openIdentity(options: IdentityOptions): Promise<Identity> {
  const { primitives, paths, seal, ops } = options;
  const keys = loadKeys(paths.nodeKeys, seal);
  if (keys === undefined)
    return options.nextKey === undefined ? attached(options) : detachedFrom(options, options.nextKey);
  const head = decodeStatement(primitives, keys.statements[keys.statements.length - 1]!);
  if (keys.nextFile !== undefined) completeFollowing(keys.nextFile, head.next, ops);
  return { keys, detached: options.nextKey && (await reopen(options, keys, options.nextKey)) };
}

function attached({ primitives, paths, now, seal, ops }: IdentityOptions): Identity {
  const made = createInception(primitives, { now });
  const keys = keysOf(made, made.next, undefined);
  saveKeys(paths.nodeKeys, keys, ops, seal);
  return { keys, detached: undefined };
}

/** The order of a rotation: the file's successor, the home, the file. Before the home is written nobody is that node. */
async function detachedFrom(options: IdentityOptions, { file, passphrase, cost }: NextKeyPlace): Promise<Identity> {
  const { primitives, paths, now, seal, ops } = options;
  refuseTaken(file);
  const secret = await passphrase(true);
  const fileSeal = await newNextKeySeal(primitives, secret, cost).finally(() => wipe(secret));
  const made = createInception(primitives, { now });
  const alone = { networkId: made.nodeId, name: '', secrets: [], addresses: [], items: [] };
  const key = { nodeId: made.nodeId, seed: made.next, statements: [made.statement], ...alone };
  writeFollowing(primitives, file, key, fileSeal, ops);
  const keys = keysOf(made, undefined, file);
  saveKeys(paths.nodeKeys, keys, ops, seal);
  takeFollowing(file, ops);
  return { keys, detached: new Detached(primitives, file, made.next, fileSeal, ops) };
}

function keysOf(made: NewKeys, nextSeed: Uint8Array | undefined, nextFile: string | undefined): NodeKeys {
  return {
    nodeId: made.nodeId,
    signingSeed: made.signing.privateKey,
    noisePrivate: made.noise.privateKey,
    nextSeed,
    ...(nextFile === undefined ? {} : { nextFile, nextNetwork: made.nodeId }),
    statements: [made.statement],
  };
}

/** The same flag at a later start: the file is opened, so that it can be brought up to date. */
async function reopen(options: IdentityOptions, keys: NodeKeys, { file, passphrase }: NextKeyPlace): Promise<Detached> {
  if (keys.nextFile === undefined)
    throw new WarrenError('bad-value', 'this home has an identity, and its next key lies in the home', {
      hint: `start it without --next-key, then: warren keys detach-next ${file}`,
    });
  if (keys.nextFile !== file)
    throw new WarrenError('bad-value', `the next key of this home lies in ${keys.nextFile}, not in ${file}`, {
      hint: 'name that file, or leave --next-key out',
    });
  const secret = await passphrase(false);
  const { key, seal } = await readNextKey(options.primitives, file, secret).finally(() => wipe(secret));
  return new Detached(options.primitives, file, key.seed, seal, options.ops);
}

/** An open next-key file. */
export class Detached {
  constructor(
    private readonly primitives: Primitives,
    private readonly file: string,
    private readonly seed: Uint8Array,
    private readonly seal: Seal,
    private readonly ops?: FileOps,
  ) {}

  /**
   * Writes the file anew with what is known now, and closes it: the key is wiped.
   * @throws WarrenError `disk`; the file is as it was
   */
  close(keys: NodeKeys, surroundings: Surroundings): void {
    const { primitives, file, seed, seal, ops } = this;
    try {
      const key = { ...surroundings, seed, statements: keys.statements };
      writeFileAtomic(file, encodeNextKey(primitives, key, seal), ops === undefined ? {} : { ops });
    } finally {
      this.drop();
    }
  }

  /** Closes it as it is. */
  drop(): void {
    wipe(this.seed);
    this.seal.destroy();
  }
}
