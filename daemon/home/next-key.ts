/**
 * A next-key file: the detached private key to which a node's newest statement commits, sealed by a passphrase, with all that
 * is needed to come back on a fresh host: the key log, the network and its secrets, what was known of its members, where
 * they were. What stands in clear is the commitment, which every peer knows too: so a start can tell, without the passphrase,
 * which of two files is the one that counts.
 *
 * A rotation writes FILE.following (the key after the one that comes into use), then the home, then puts FILE.following in
 * the place of FILE. A crash at any point leaves a file with the committed key: FILE before the home was written, FILE.following
 * after it, and `completeFollowing` at the next start does the rest.
 */
import * as fs from 'node:fs';
import { dirname } from 'node:path';
import * as v from 'valibot';
import { equal, fromBase64url, toBase64url } from '../../protocol/bytes.js';
import type { Primitives } from '../../protocol/crypto/primitives.js';
import { WarrenError } from '../../protocol/errors.js';
import { keyCommitment } from '../../protocol/identity/statement.js';
import type { TrustItem } from '../../protocol/identity/trust-item.js';
import { renameDurably, writeFileAtomic, type FileOps } from './atomic.js';
import { openEnvelope, readEnvelope, sealedText, type Envelope } from './document.js';
import { bytesField, label } from './fields.js';
import { MAX_STATEMENT, MAX_STATEMENTS } from './keyfile.js';
import { Seal, type ScryptCost } from './sealed.js';
import { readSecretFile, unusable } from './secret-file.js';
import { isKnown, itemsBody, itemsField, MAX_STATE_FILE, networkKind, type SecretRecord } from './statefile.js';

/** A trust file at its limit, as text in a text. */
export const MAX_NEXT_KEY_FILE = 2 * MAX_STATE_FILE;
const MAX_ADDRESSES = 256;
const FOLLOWING_SUFFIX = '.following';

/** What a next-key file holds. */
export interface NextKey {
  /** 32 bytes */
  readonly nodeId: Uint8Array;
  /** Ed25519 seed of the key that the newest of `statements` commits to, 32 bytes */
  readonly seed: Uint8Array;
  /** the node's key log from the inception on, at least one statement */
  readonly statements: readonly Uint8Array[];
  /** 32 bytes */
  readonly networkId: Uint8Array;
  /** the node's name in its network */
  readonly name: string;
  readonly secrets: readonly SecretRecord[];
  /** where members were reached: HOST:PORT, ws://, wss:// */
  readonly addresses: readonly string[];
  /** what was known of the network, registry records left out: peers tell what is newer */
  readonly items: readonly TrustItem[];
}

export const nextKeyKind = {
  format: 'warren-next-key',
  version: 1,
  schema: v.strictObject({
    node: bytesField(32, 32),
    seed: bytesField(32, 32),
    statements: v.pipe(v.array(bytesField(1, MAX_STATEMENT)), v.minLength(1), v.maxLength(MAX_STATEMENTS)),
    network: bytesField(32, 32),
    name: label,
    secrets: networkKind.schema.entries.secrets,
    addresses: v.pipe(v.array(label), v.maxLength(MAX_ADDRESSES)),
    items: itemsField,
  }),
};

export interface OpenedNextKey {
  readonly key: NextKey;
  /** of this file: what replaces it is sealed with the same passphrase */
  readonly seal: Seal;
}

/** FILE.following */
export function followingFile(file: string): string {
  return `${file}${FOLLOWING_SUFFIX}`;
}

/** The text of a next-key file. */
export function encodeNextKey(primitives: Primitives, key: NextKey, seal: Seal): string {
  const { nodeId, seed, statements, networkId, name, secrets, addresses, items } = key;
  const body = {
    node: nodeId,
    seed,
    statements,
    network: networkId,
    name,
    secrets: secrets.map(({ epoch, secret }) => ({ epoch, secret })),
    addresses: addresses.slice(0, MAX_ADDRESSES),
    items: itemsBody(items.filter(item => item.kind !== 'registry')),
  };
  const { format, version } = nextKeyKind;
  return sealedText({ format, version, about: { commitment: commitmentText(primitives, seed) }, body }, seal);
}

function commitmentText(primitives: Primitives, seed: Uint8Array): string {
  return toBase64url(keyCommitment(primitives, primitives.ed25519.fromSeed(seed).publicKey));
}

/** What an opened envelope holds. @throws WarrenError `passphrase`, `home` */
export function decodeNextKey(primitives: Primitives, envelope: Envelope, seal: Seal): NextKey {
  // A next key in clear was never written by this program, and is no secret any more.
  if (envelope.seal === undefined) throw unusable(envelope.file, 'it is not sealed', NEWEST);
  const body = openEnvelope(envelope, nextKeyKind, seal);
  if (envelope.about.commitment !== commitmentText(primitives, body.seed))
    throw unusable(envelope.file, 'its key is not the one that it names', NEWEST);
  return {
    nodeId: body.node,
    seed: body.seed,
    statements: body.statements,
    networkId: body.network,
    name: body.name,
    secrets: body.secrets,
    addresses: body.addresses,
    items: body.items.filter(isKnown),
  };
}

const NEWEST = 'take the newest next-key file of this node';

/**
 * Opens a next-key file; takes as long as the passphrase's scrypt.
 * @param passphrase from passphraseBytes
 * @throws WarrenError `not-found`, `home` (readable by others, damaged), `passphrase`
 */
export async function readNextKey(
  primitives: Primitives,
  file: string,
  passphrase: Uint8Array,
): Promise<OpenedNextKey> {
  const envelope = envelopeOf(file);
  if (envelope === undefined)
    throw new WarrenError('not-found', `there is no next-key file ${file}`, {
      hint: 'bring the medium on which it lies',
    });
  if (envelope.seal === undefined) throw unusable(file, 'it is not sealed', NEWEST);
  const seal = await Seal.of(primitives, passphrase, envelope.seal);
  try {
    return { key: decodeNextKey(primitives, envelope, seal), seal };
  } catch (error) {
    seal.destroy();
    throw error;
  }
}

/** A seal for a next-key file that is written for the first time. */
export function newNextKeySeal(primitives: Primitives, passphrase: Uint8Array, cost?: ScryptCost): Promise<Seal> {
  return Seal.fresh(primitives, passphrase, cost);
}

/**
 * Does the key in this file stand behind that commitment? Needs no passphrase, so it believes what the file says of itself.
 * @returns false also when there is no such file, or it cannot be read
 */
export function isCommittedIn(file: string, commitment: Uint8Array): boolean {
  try {
    const said = envelopeOf(file)?.about.commitment;
    return said !== undefined && equal(fromBase64url(said), commitment);
  } catch {
    return false;
  }
}

function envelopeOf(file: string): Envelope | undefined {
  const text = readSecretFile(file, MAX_NEXT_KEY_FILE);
  return text === undefined ? undefined : readEnvelope(file, text, [nextKeyKind]);
}

/**
 * Refuses a place for a new next-key file that is taken, or whose folder is not there: a key that somebody needs is never
 * written over.
 * @throws WarrenError `exists`, `not-found`
 */
export function refuseTaken(file: string): void {
  for (const name of [file, followingFile(file)]) {
    if (fs.lstatSync(name, { throwIfNoEntry: false }) === undefined) continue;
    throw new WarrenError('exists', `${name} exists already`, {
      hint: 'name another file, or move that one away if no node needs it',
    });
  }
  if (fs.statSync(dirname(file), { throwIfNoEntry: false })?.isDirectory() === true) return;
  throw new WarrenError('not-found', `there is no folder ${dirname(file)}`, { hint: 'make it, or name another file' });
}

/** Step one: FILE.following is on the disk. @throws WarrenError `disk`; what was there before is then in place */
export function writeFollowing(primitives: Primitives, file: string, key: NextKey, seal: Seal, ops?: FileOps): void {
  writeFileAtomic(followingFile(file), encodeNextKey(primitives, key, seal), ops === undefined ? {} : { ops });
}

/**
 * Last step: FILE.following takes the place of FILE.
 * @throws WarrenError `disk`; `completeFollowing` at the next start finishes it
 */
export function takeFollowing(file: string, ops?: FileOps): void {
  renameDurably(followingFile(file), file, ops);
}

/**
 * At a start: finishes what a crash cut short.
 * @param commitment of the newest statement
 * @returns true when FILE.following held the committed key and is FILE now
 * @throws WarrenError `disk`
 */
export function completeFollowing(file: string, commitment: Uint8Array, ops?: FileOps): boolean {
  if (!isCommittedIn(followingFile(file), commitment)) return false;
  takeFollowing(file, ops);
  return true;
}
