/**
 * Payloads: what the three messages carry inside the encryption.
 *
 * Payload 1: u64 big-endian, the sender's wall clock in ms.
 * Payloads 2 and 3: u16 length ‖ deterministic CBOR ‖ zeros up to a multiple of 512 bytes, so that their length does
 * not tell grants or names apart. The CBOR is a map:
 *
 *   0 highest version spoken   1 network ID   2 newest signed statement   3 own grant (may be absent)
 *   4 wall clock in ms         5 features     6 digest of the trust store 7 name wanted (joining only)
 *   8 bytes after which the sender rekeys what it sends (absent: MAX_REKEY_BYTES)
 *
 * Node ID, seq and hash follow from the statement and are not repeated. Keys that are not known are ignored: a newer
 * node may say more.
 */
import { Reader } from '../bytes.js';
import type { Primitives } from '../crypto/primitives.js';
import { WarrenError, malformed } from '../errors.js';
import { cborMap, decodeFields, encodeCanonical } from '../identity/cbor.js';
import { MAX_GRANT_BYTES } from '../identity/grant.js';
import { MAX_NAME, isNodeName } from '../identity/names.js';
import { NODE_ID_LENGTH, type NodeId } from '../identity/node-id.js';
import { MAX_STATEMENT_BYTES, decodeStatement, type Statement } from '../identity/statement.js';
import { MAX_REKEY_BYTES, MIN_REKEY_BYTES } from '../limits.js';
import type { PeerPayload } from './types.js';
import { CLOCK_WINDOW_MS, LENGTH_BYTES, PAYLOAD_MAX, PAYLOAD_UNIT, TIME_BYTES } from './wire.js';

/** Bits of `features`. */
export const FEATURES = {
  /** The sender wants the catch-up even if the digests are equal. */
  catchUp: 1,
} as const;

const MAX_FEATURES = 0xffffffff;
const DIGEST_LENGTH = 32;
const MAX_VERSION = 255;

/** What goes into the own payload 2 or 3. */
export interface OwnPayload {
  readonly highestVersion: number;
  readonly network: NodeId;
  readonly statement: Uint8Array;
  readonly grant?: Uint8Array;
  readonly clockMs: number;
  readonly features: number;
  readonly digest: Uint8Array;
  readonly join?: { readonly name: string };
  /** MIN_REKEY_BYTES … MAX_REKEY_BYTES */
  readonly rekeyBytes?: number;
}

/** @param ms since the epoch. @returns TIME_BYTES bytes */
export function encodeTime(ms: number): Uint8Array {
  const out = new Uint8Array(TIME_BYTES);
  new DataView(out.buffer).setBigUint64(0, BigInt(Math.max(0, Math.floor(ms))));
  return out;
}

/** @throws WarrenError `malformed` unless it is TIME_BYTES bytes that hold an exact integer */
export function decodeTime(bytes: Uint8Array): number {
  if (bytes.length !== TIME_BYTES) throw malformed('payload 1', `${bytes.length} bytes instead of ${TIME_BYTES}`);
  const ms = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength).getBigUint64(0);
  if (ms > BigInt(Number.MAX_SAFE_INTEGER)) throw malformed('payload 1', 'a time beyond 2^53-1');
  return Number(ms);
}

/** @returns true if a message 1 stamped `ms` is acceptable at `now` */
export function isTimely(ms: number, now: number): boolean {
  return Math.abs(ms - now) <= CLOCK_WINDOW_MS;
}

/**
 * Adds the length in front and zeros behind.
 * @throws WarrenError `internal` if it does not fit in PAYLOAD_MAX
 */
export function pad(content: Uint8Array): Uint8Array {
  const length = LENGTH_BYTES + content.length;
  const padded = new Uint8Array(Math.ceil(length / PAYLOAD_UNIT) * PAYLOAD_UNIT);
  if (padded.length > PAYLOAD_MAX) throw new WarrenError('internal', `a payload of ${length} bytes`);
  padded[0] = content.length >> 8;
  padded[1] = content.length & 0xff;
  padded.set(content, LENGTH_BYTES);
  return padded;
}

/** @returns the content, a view. @throws WarrenError `malformed` if there is more padding than needed, or not zeros */
export function unpad(padded: Uint8Array): Uint8Array {
  const reader = new Reader(padded, 'payload');
  const content = reader.take(reader.u16());
  if (reader.left >= PAYLOAD_UNIT) throw malformed('payload', 'more padding than needed');
  if (reader.rest().some(b => b !== 0)) throw malformed('payload', 'padding that is not zero');
  return content;
}

/** @returns a multiple of PAYLOAD_UNIT bytes */
export function encodePayload(own: OwnPayload): Uint8Array {
  return pad(
    encodeCanonical(
      cborMap([
        [0, own.highestVersion],
        [1, own.network],
        [2, own.statement],
        [3, own.grant],
        [4, Math.floor(own.clockMs)],
        [5, own.features],
        [6, own.digest],
        [7, own.join?.name],
        [8, own.rekeyBytes],
      ]),
    ),
  );
}

/**
 * Takes a payload apart. Its statement decodes; its signature is judged when the trust store takes it in.
 * @throws WarrenError `malformed`, or `version` for a statement of another version
 */
export function decodePayload(
  primitives: Primitives,
  padded: Uint8Array,
): { readonly peer: PeerPayload; readonly statement: Statement } {
  const fields = decodeFields(unpad(padded), 'payload', PAYLOAD_MAX);
  const highestVersion = fields.uint(0, 'highest version', MAX_VERSION);
  const network = fields.bytes(1, 'network', NODE_ID_LENGTH);
  const statement = decodeStatement(primitives, fields.bytes(2, 'statement', { max: MAX_STATEMENT_BYTES }));
  const grant = fields.optionalBytes(3, 'grant', { max: MAX_GRANT_BYTES });
  const clockMs = fields.uint(4, 'clock');
  const features = fields.uint(5, 'features', MAX_FEATURES);
  const digest = fields.bytes(6, 'digest', DIGEST_LENGTH);
  const name = fields.optionalText(7, 'name', MAX_NAME, isNodeName);
  const rekeyBytes = fields.optionalUint(8, 'rekey', MAX_REKEY_BYTES);
  if (rekeyBytes !== undefined && rekeyBytes < MIN_REKEY_BYTES) throw malformed('payload', `rekey is ${rekeyBytes}`);
  const peer: PeerPayload = {
    nodeId: statement.node,
    network,
    statement: statement.bytes,
    seq: statement.seq,
    statementHash: statement.hash,
    ...(grant && { grant }),
    clockMs,
    features,
    digest,
    highestVersion,
    catchUp: (features & FEATURES.catchUp) !== 0,
    ...(name !== undefined && { join: { name } }),
    ...(rekeyBytes !== undefined && { rekeyBytes }),
  };
  return { peer, statement };
}
