/**
 * One statement of a key log: the keys that a node uses from here on, and the hash of the signing key that will come
 * next. Statement 0 gives the node its ID; every later one is signed by the key that the one before it committed to
 * and, unless the reason is `compromised`, by the old key too. So a thief of the key in use cannot rotate the node,
 * and a thief of the next key alone cannot do it quietly.
 *
 * Body: {0: version 1, 1: node (not at seq 0), 2: seq, 3: hash of the previous body (not at seq 0), 4: Ed25519 signing
 * key, 5: X25519 Noise static, 6: hash of the next signing key, 7: time in ms, 8: reason}.
 */
import { concat, equal } from '../bytes.js';
import type { KeyPair, Primitives } from '../crypto/primitives.js';
import { WarrenError, malformed } from '../errors.js';
import { cborMap, decodeFields, encodeCanonical } from './cbor.js';
import { NODE_ID_LENGTH, labelledHash, type NodeId } from './node-id.js';
import { ENVELOPE_OVERHEAD, KEY_LENGTH, decodeEnvelope, encodeEnvelope, signBody } from './signed.js';
import type { Envelope, Verifier } from './signed.js';

export const STATEMENT_LABEL = 'warren statement v1';
export const STATEMENT_HASH_LABEL = 'warren statement hash v1';
export const NEXT_KEY_LABEL = 'warren next key v1';

export const STATEMENT_VERSION = 1;
/** A whole envelope. */
export const MAX_STATEMENT_BYTES = 1024;
const MAX_BODY = MAX_STATEMENT_BYTES - ENVELOPE_OVERHEAD;
/** A key log holds seq 0 to 4095. */
export const MAX_STATEMENTS = 4096;
export const HASH_LENGTH = 32;

export const REASONS = ['inception', 'routine', 'compromised'] as const;
export type Reason = (typeof REASONS)[number];

export interface StatementBody {
  /** Absent at seq 0, where the hash of the body is the ID. */
  readonly node?: NodeId;
  readonly seq: number;
  readonly previous?: Uint8Array;
  readonly signingKey: Uint8Array;
  readonly noiseKey: Uint8Array;
  /** Hash of the public signing key of seq + 1. */
  readonly next: Uint8Array;
  /** ms since the epoch; greater than that of the statement before. Informs, and dates signatures; never orders. */
  readonly time: number;
  readonly reason: Reason;
}

export interface Statement extends StatementBody {
  readonly node: NodeId;
  /** Of the body; at seq 0 it is the node ID. */
  readonly hash: Uint8Array;
  /** The envelope as it travels. */
  readonly bytes: Uint8Array;
  readonly envelope: Envelope;
}

/** What a statement commits to: the hash of a public signing key that nobody has seen yet. */
export function keyCommitment(primitives: Primitives, publicKey: Uint8Array): Uint8Array {
  return labelledHash(primitives.hash.SHA256, NEXT_KEY_LABEL, publicKey);
}

export function encodeStatementBody(body: StatementBody): Uint8Array {
  return encodeCanonical(
    cborMap([
      [0, STATEMENT_VERSION],
      [1, body.seq === 0 ? undefined : body.node],
      [2, body.seq],
      [3, body.previous],
      [4, body.signingKey],
      [5, body.noiseKey],
      [6, body.next],
      [7, body.time],
      [8, REASONS.indexOf(body.reason)],
    ]),
  );
}

function decodeBody(bytes: Uint8Array): StatementBody {
  const fields = decodeFields(bytes, 'statement', MAX_BODY);
  fields.version(STATEMENT_VERSION);
  const seq = fields.uint(2, 'seq', MAX_STATEMENTS - 1);
  const later = seq > 0;
  const node = later ? fields.bytes(1, 'node', NODE_ID_LENGTH) : undefined;
  const previous = later ? fields.bytes(3, 'previous hash', HASH_LENGTH) : undefined;
  const signingKey = fields.bytes(4, 'signing key', KEY_LENGTH);
  const noiseKey = fields.bytes(5, 'noise key', KEY_LENGTH);
  const next = fields.bytes(6, 'next key hash', HASH_LENGTH);
  const time = fields.uint(7, 'time');
  const reason = REASONS[fields.uint(8, 'reason', REASONS.length - 1)]!;
  fields.end();
  if (later === (reason === 'inception')) throw malformed('statement', `reason ${reason} at seq ${seq}`);
  return { ...(node && { node }), seq, ...(previous && { previous }), signingKey, noiseKey, next, time, reason };
}

/**
 * Takes a statement apart; proves nothing yet (see verifyInception, verifySuccessor).
 * @throws WarrenError `malformed` or `version`
 */
export function decodeStatement(primitives: Primitives, bytes: Uint8Array): Statement {
  if (bytes.length > MAX_STATEMENT_BYTES) throw malformed('statement', `longer than ${MAX_STATEMENT_BYTES} bytes`);
  const envelope = decodeEnvelope(bytes, 'statement', MAX_BODY, 2);
  const body = decodeBody(envelope.body);
  const twice = envelope.oldSignature !== undefined;
  if (twice !== (body.reason === 'routine')) throw malformed('statement', 'the wrong number of signatures');
  const hash = labelledHash(primitives.hash.SHA256, STATEMENT_HASH_LABEL, envelope.body);
  return { ...body, node: body.node ?? hash, hash, bytes: new Uint8Array(bytes), envelope };
}

/** @returns undefined when statement 0 stands, else why not */
export function checkInception(verifier: Verifier, statement: Statement): string | undefined {
  if (statement.seq !== 0) return 'not a first statement';
  return checkOwn(verifier, statement);
}

/** @returns undefined when `statement` rightly follows `previous`, else why not */
export function checkSuccessor(verifier: Verifier, previous: Statement, statement: Statement): string | undefined {
  if (!equal(statement.node, previous.node)) return 'of another node';
  if (statement.seq !== previous.seq + 1) return `seq ${statement.seq} after ${previous.seq}`;
  if (!statement.previous || !equal(statement.previous, previous.hash)) return 'it follows another statement';
  if (!equal(keyCommitment(verifier.primitives, statement.signingKey), previous.next)) return 'not the committed key';
  if (statement.time <= previous.time) return 'its time is not after that of the statement before';
  const { body, oldSignature } = statement.envelope;
  const oldKeyAgrees = !oldSignature || verifier.verify(previous.signingKey, STATEMENT_LABEL, body, oldSignature);
  return oldKeyAgrees ? checkOwn(verifier, statement) : 'the old key did not sign it';
}

function checkOwn(verifier: Verifier, statement: Statement): string | undefined {
  const { body, signature } = statement.envelope;
  if (!verifier.verify(statement.signingKey, STATEMENT_LABEL, body, signature)) return 'its signature is wrong';
  return verifier.validKeys(statement.signingKey, statement.noiseKey) ? undefined : 'a key in it is not valid';
}

/** What a node must keep after it made a statement. */
export interface NewKeys {
  /** The envelope to publish. */
  readonly statement: Uint8Array;
  readonly nodeId: NodeId;
  readonly seq: number;
  /** The signing key in use; its privateKey is the 32-byte seed. */
  readonly signing: KeyPair;
  readonly noise: KeyPair;
  /** Seed of the key that the statement commits to: kept apart if the owner wants more than a formality. */
  readonly next: Uint8Array;
}

export interface InceptionOptions {
  /** ms since the epoch */
  readonly now: number;
  /** 32-byte seed to commit to; a fresh one if absent. */
  readonly next?: Uint8Array;
}

/** A new node: fresh signing key and Noise static, and a commitment to the next signing key. */
export function createInception(primitives: Primitives, { now, next }: InceptionOptions): NewKeys {
  const signing = primitives.ed25519.fromSeed(primitives.random(KEY_LENGTH));
  const noise = primitives.x25519.fromPrivate(primitives.random(KEY_LENGTH));
  const nextSeed = next ?? primitives.random(KEY_LENGTH);
  const body = encodeStatementBody({
    seq: 0,
    signingKey: signing.publicKey,
    noiseKey: noise.publicKey,
    next: keyCommitment(primitives, primitives.ed25519.fromSeed(nextSeed).publicKey),
    time: now,
    reason: 'inception',
  });
  const signature = signBody(primitives.ed25519, signing.privateKey, STATEMENT_LABEL, body);
  const nodeId = labelledHash(primitives.hash.SHA256, STATEMENT_HASH_LABEL, body);
  return { statement: encodeEnvelope({ body, signature }), nodeId, seq: 0, signing, noise, next: nextSeed };
}

export interface RotationOptions {
  /** The newest statement of the log. */
  readonly head: Statement;
  readonly reason: 'routine' | 'compromised';
  /** Seed of the key that `head` commits to. */
  readonly next: Uint8Array;
  /** Seed of the signing key of `head`; needed for `routine`. */
  readonly old?: Uint8Array;
  /** Seed to commit to now; a fresh one if absent. It is stored before the statement is made known. */
  readonly following?: Uint8Array;
  readonly now: number;
}

/**
 * The statement after `head`: the committed key becomes the signing key.
 * @throws WarrenError `crypto` when `next` is not the committed key or `old` not the current one, `limit` at the end
 *   of the log
 */
export function createRotation(primitives: Primitives, options: RotationOptions): NewKeys {
  const { head, reason, next, old, now } = options;
  const { ed25519 } = primitives;
  if (head.seq + 1 >= MAX_STATEMENTS) throw isFull();
  const signing = ed25519.fromSeed(next);
  if (!equal(keyCommitment(primitives, signing.publicKey), head.next)) {
    throw new WarrenError('crypto', 'the next key is not the one that the newest statement commits to');
  }
  const noise = primitives.x25519.fromPrivate(primitives.random(KEY_LENGTH));
  const following = options.following ?? primitives.random(KEY_LENGTH);
  const body = encodeStatementBody({
    node: head.node,
    seq: head.seq + 1,
    previous: head.hash,
    signingKey: signing.publicKey,
    noiseKey: noise.publicKey,
    next: keyCommitment(primitives, ed25519.fromSeed(following).publicKey),
    time: Math.max(head.time + 1, now),
    reason,
  });
  const signature = signBody(ed25519, signing.privateKey, STATEMENT_LABEL, body);
  const envelope =
    reason === 'routine'
      ? { body, signature, oldSignature: signOld(primitives, head, old, body) }
      : { body, signature };
  return { statement: encodeEnvelope(envelope), nodeId: head.node, seq: head.seq + 1, signing, noise, next: following };
}

function isFull(): WarrenError {
  return new WarrenError('limit', `The key log of this node is full: it ends at ${MAX_STATEMENTS} statements.`, {
    hint: 'Make this host a new node: an empty home, and an invite of the network.',
  });
}

function signOld(primitives: Primitives, head: Statement, old: Uint8Array | undefined, body: Uint8Array): Uint8Array {
  if (!old || !equal(primitives.ed25519.fromSeed(old).publicKey, head.signingKey)) {
    throw new WarrenError('crypto', 'a routine rotation needs the signing key in use', {
      hint: 'Without it, rotate with reason compromised.',
    });
  }
  return signBody(primitives.ed25519, old, STATEMENT_LABEL, body);
}

/** Two statements of one node with one seq, both rightly signed: {0: envelope, 1: envelope}, smaller hash first. */
export interface Fork {
  readonly node: NodeId;
  readonly seq: number;
  readonly branches: readonly [Statement, Statement];
  readonly bytes: Uint8Array;
}

export const MAX_FORK_BYTES = 2 * MAX_STATEMENT_BYTES + 16;

/** @param a and b of one node, one seq, with different hashes */
export function makeFork(a: Statement, b: Statement): Fork {
  const first = compareHashes(a, b) < 0;
  const branches: [Statement, Statement] = first ? [a, b] : [b, a];
  const bytes = encodeCanonical(cborMap([[0, branches[0].bytes], [1, branches[1].bytes]])); // prettier-ignore
  return { node: a.node, seq: a.seq, branches, bytes };
}

/** Takes a fork proof apart; the signatures are judged against the log (key-log.ts). @throws WarrenError `malformed` */
export function decodeFork(primitives: Primitives, bytes: Uint8Array): Fork {
  const fields = decodeFields(bytes, 'fork proof', MAX_FORK_BYTES);
  const max = { max: MAX_STATEMENT_BYTES };
  const a = decodeStatement(primitives, fields.bytes(0, 'first statement', max));
  const b = decodeStatement(primitives, fields.bytes(1, 'second statement', max));
  fields.end();
  if (!equal(a.node, b.node) || a.seq !== b.seq || a.seq === 0) throw malformed('fork proof', 'not two of one seq');
  if (compareHashes(a, b) >= 0) throw malformed('fork proof', 'not two different statements in order of their hashes');
  return { node: a.node, seq: a.seq, branches: [a, b], bytes: new Uint8Array(bytes) };
}

export function compareHashes(a: { readonly hash: Uint8Array }, b: { readonly hash: Uint8Array }): number {
  for (let i = 0; i < HASH_LENGTH; i++) if (a.hash[i] !== b.hash[i]) return a.hash[i]! - b.hash[i]!;
  return 0;
}

/** Identifies a fork whatever the signatures in it: the hashes of both branches. */
export function forkHash(primitives: Primitives, fork: Fork): Uint8Array {
  const [a, b] = fork.branches;
  return labelledHash(primitives.hash.SHA256, 'warren fork v1', concat(a.hash, b.hash));
}
