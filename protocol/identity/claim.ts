/**
 * What every signed structure but a statement has in front: {0: version, 1: network, 2: signer, 3: seq of the signer's
 * key log, 4: time in ms, …}. It says in which network and under which of the signer's keys it was signed; whether
 * that key's word still counts is for the key log to say (standing.ts), not for the bytes.
 */
import type { Ed25519, Primitives } from '../crypto/primitives.js';
import type { CborKey, CborValue, Fields } from './cbor.js';
import { cborMap, decodeFields, encodeCanonical } from './cbor.js';
import { NODE_ID_LENGTH, labelledHash, type NodeId } from './node-id.js';
import { decodeEnvelope, encodeEnvelope, signBody } from './signed.js';
import type { Envelope } from './signed.js';
import { MAX_STATEMENTS } from './statement.js';

export interface ClaimHeader {
  /** Node ID of the network's founder. */
  readonly network: NodeId;
  readonly signer: NodeId;
  /** seq of the signer's statement whose signing key signed. */
  readonly signerSeq: number;
  /** ms since the epoch when it was signed. */
  readonly time: number;
}

export interface Claim extends ClaimHeader {
  /** Identifies the content, whatever the signature: hash of the body under the kind's label. */
  readonly hash: Uint8Array;
  readonly envelope: Envelope;
  /** The envelope as it travels. */
  readonly bytes: Uint8Array;
}

/** One kind of claim: how long it may be, its label, and its own fields (keys from 5). */
export interface ClaimFormat<T> {
  readonly what: string;
  readonly label: string;
  readonly version: number;
  readonly maxBody: number;
  write(content: T): readonly (readonly [CborKey, CborValue | undefined])[];
  /** Reads the own fields; `header` is read already. Unknown keys are refused afterwards. */
  read(fields: Fields, header: ClaimHeader): T;
}

/** Who signs: a node with the seed of its signing key at `seq`. */
export interface Signer {
  readonly node: NodeId;
  readonly seq: number;
  /** 32-byte Ed25519 seed. */
  readonly seed: Uint8Array;
}

/** @returns the signed envelope */
export function signClaim<T>(
  ed25519: Ed25519,
  format: ClaimFormat<T>,
  signer: Signer,
  header: { readonly network: NodeId; readonly time: number },
  content: T,
): Uint8Array {
  const body = encodeCanonical(
    cborMap([
      [0, format.version],
      [1, header.network],
      [2, signer.node],
      [3, signer.seq],
      [4, header.time],
      ...format.write(content),
    ]),
  );
  return encodeEnvelope({ body, signature: signBody(ed25519, signer.seed, format.label, body) });
}

/**
 * Takes a claim apart; the signature is judged by who knows the signer's key log.
 * @throws WarrenError `malformed` or `version`
 */
export function decodeClaim<T>(primitives: Primitives, format: ClaimFormat<T>, bytes: Uint8Array): Claim & T {
  const envelope = decodeEnvelope(bytes, format.what, format.maxBody);
  const fields = decodeFields(envelope.body, format.what, format.maxBody);
  fields.version(format.version);
  const header: ClaimHeader = {
    network: fields.bytes(1, 'network', NODE_ID_LENGTH),
    signer: fields.bytes(2, 'signer', NODE_ID_LENGTH),
    signerSeq: fields.uint(3, "signer's seq", MAX_STATEMENTS - 1),
    time: fields.uint(4, 'time'),
  };
  const content = format.read(fields, header);
  fields.end();
  const hash = labelledHash(primitives.hash.SHA256, `${format.label} hash`, envelope.body);
  return { ...header, ...content, hash, envelope, bytes: new Uint8Array(bytes) };
}
