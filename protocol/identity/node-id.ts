/**
 * Node IDs: the SHA-256 of a node's statement 0 (statement.ts). Written in base32 without letters that look like
 * digits, so that a person can read one out: 52 characters, of which the first ten are shown where space is short.
 */
import { equal, fromUtf8, utf8 } from '../bytes.js';
import type { Hash } from '../crypto/primitives.js';
import { WarrenError, malformed } from '../errors.js';

/** 32 bytes. */
export type NodeId = Uint8Array;

/** The full text form; also the key under which maps keep a node. */
export type NodeIdText = string;

export const NODE_ID_LENGTH = 32;
export const NODE_ID_TEXT_LENGTH = 52;
export const SHORT_ID_LENGTH = 10;

const FINGERPRINT_GROUP = 4;

/** Crockford's alphabet in lower case: no i, l, o, u. */
const ALPHABET = '0123456789abcdefghjkmnpqrstvwxyz';
const LETTERS = utf8(ALPHABET);
const VALUE = new Map([...ALPHABET].map((c, i) => [c, i]));
// What a reader mistakes for a digit reads as that digit.
for (const [c, same] of [['i', '1'], ['l', '1'], ['o', '0']] as const) VALUE.set(c, VALUE.get(same)!); // prettier-ignore

/** Lower-case base32 of any bytes, no padding; the last character's unused bits are zero. */
export function toBase32(bytes: Uint8Array): string {
  // Letters first, then one string: every new connection names nodes.
  const letters = new Uint8Array(Math.ceil((bytes.length * 8) / 5));
  let at = 0;
  let acc = 0;
  let bits = 0;
  for (const b of bytes) {
    acc = ((acc << 8) | b) & 0xfff;
    bits += 8;
    while (bits >= 5) {
      bits -= 5;
      letters[at++] = LETTERS[(acc >> bits) & 31]!;
    }
  }
  if (bits > 0) letters[at] = LETTERS[(acc << (5 - bits)) & 31]!;
  return fromUtf8(letters);
}

/**
 * The inverse of toBase32; letter case does not matter, and i, l, o read as 1, 1, 0.
 * @throws WarrenError `malformed` on any other character, an impossible length or unused bits that are set
 */
export function fromBase32(text: string): Uint8Array {
  const out = new Uint8Array(Math.floor((text.length * 5) / 8));
  let acc = 0;
  let bits = 0;
  let at = 0;
  for (const c of text.toLowerCase()) {
    const value = VALUE.get(c);
    if (value === undefined) throw malformed('base32', 'a character outside the alphabet');
    acc = ((acc << 5) | value) & 0xfff;
    bits += 5;
    if (bits >= 8) {
      bits -= 8;
      out[at++] = (acc >> bits) & 0xff;
    }
  }
  if (bits >= 5) throw malformed('base32', 'impossible length');
  if ((acc & ((1 << bits) - 1)) !== 0) throw malformed('base32', 'unused bits set');
  return out;
}

/**
 * Texts worked out last, each with a copy of its ID, found by the ID's last bits: every stream asks for the same few
 * several times, and to compare 32 bytes costs less than writing them out.
 */
const RECENT = 64;
const recent = new Array<{ readonly id: NodeId; readonly text: NodeIdText } | undefined>(RECENT).fill(undefined);

/** @param id 32 bytes. @returns 52 characters */
export function nodeIdText(id: NodeId): NodeIdText {
  if (id.length !== NODE_ID_LENGTH) throw new WarrenError('internal', `a node ID of ${id.length} bytes`);
  const at = id[NODE_ID_LENGTH - 1]! % RECENT;
  const known = recent[at];
  if (known !== undefined && equal(known.id, id)) return known.text;
  const text = toBase32(id);
  recent[at] = { id: id.slice(), text };
  return text;
}

/** The first ten characters, for people; two nodes of one network will hardly share them, but nothing relies on it. */
export function shortId(id: NodeId): string {
  return nodeIdText(id).slice(0, SHORT_ID_LENGTH);
}

/** The full text in groups of four, to be compared by eye or read out. */
export function fingerprint(id: NodeId): string {
  return nodeIdText(id)
    .match(new RegExp(`.{1,${FINGERPRINT_GROUP}}`, 'g'))!
    .join(' ');
}

/** @returns undefined when `text` is not a full node ID (blanks between groups are allowed) */
export function parseNodeId(text: string): NodeId | undefined {
  const compact = text.replaceAll(' ', '');
  if (compact.length !== NODE_ID_TEXT_LENGTH) return undefined;
  try {
    return fromBase32(compact);
  } catch {
    return undefined;
  }
}

const encoder = new TextEncoder();

/** SHA-256(label ‖ 0x00 ‖ bytes): the one way in which this room hashes, so that no hash serves two purposes. */
export function labelledHash(hash: Hash, label: string, bytes: Uint8Array): Uint8Array {
  return hash.hash(encoder.encode(label), ZERO, bytes);
}

const ZERO = new Uint8Array(1);
