/**
 * An invite as text: `warren1`, three characters of base32 that give the length of the content in bytes, and base32 of
 * checksum 4 ‖ content. The leading digit is the version of what follows. The length tells a token that was cut off from
 * one that was mistyped; the checksum is the first four bytes of a labelled SHA-256. Base32, because it survives double clicks, upper case and being read out.
 *
 * Content: {0: network, 1: inviter (absent when it is the founder), 2: addresses, 3: secret, 4: expires, 5: tags (absent
 * if none), 6: the one node it is for (absent if any)}.
 */
import { concat, equal } from '../bytes.js';
import type { Hash } from '../crypto/primitives.js';
import { WarrenError, malformed } from '../errors.js';
import { cborMap, decodeFields, encodeCanonical } from './cbor.js';
import { MAX_ADDRESS, MAX_TAG, MAX_TAGS, foldName, isAddress, isTag } from './names.js';
import { NODE_ID_LENGTH, fromBase32, labelledHash, toBase32, type NodeId } from './node-id.js';

export const INVITE_SECRET_LENGTH = 32;
export const MAX_INVITE_ADDRESSES = 8;
/** Of the content; the longest that the limits above admit is shorter still. */
export const MAX_INVITE_BYTES = 4096;

const WORD = 'warren';
const VERSION = '1';
const CHECKSUM_LABEL = 'warren invite v1';
const CHECKSUM_LENGTH = 4;
/** Characters in front that give the length. */
const LENGTH_TEXT = 3;

export interface Invite {
  /** Node ID of the network's founder. */
  readonly network: NodeId;
  /** The only node whose answer the joiner accepts. */
  readonly inviter: NodeId;
  /** Where the inviter can be reached, 1 to 8. */
  readonly addresses: readonly string[];
  /** 32 bytes; the PSK of the joiner's first handshake. */
  readonly secret: Uint8Array;
  /** ms since the epoch */
  readonly expires: number;
  /** What the grant will say. */
  readonly tags: readonly string[];
  /** The only node that may use it, for a node that comes back after a revocation. */
  readonly forNode?: NodeId;
}

export function encodeInvite(hash: Hash, invite: Invite): string {
  const content = encodeCanonical(
    cborMap([
      [0, invite.network],
      [1, equal(invite.inviter, invite.network) ? undefined : invite.inviter],
      [2, invite.addresses],
      [3, invite.secret],
      [4, invite.expires],
      [5, invite.tags.length > 0 ? invite.tags : undefined],
      [6, invite.forNode],
    ]),
  );
  return WORD + VERSION + lengthText(content.length) + toBase32(concat(checksum(hash, content), content));
}

/** 15 bits in three characters. */
function lengthText(length: number): string {
  return toBase32(Uint8Array.of(length >> 7, (length & 0x7f) << 1)).slice(0, LENGTH_TEXT);
}

/**
 * Blanks and line breaks inside are passed over, and letter case does not matter.
 * @throws WarrenError `token`, with a sentence that tells apart: no invite at all, a later version, cut off, mistyped
 */
export function decodeInvite(hash: Hash, text: string): Invite {
  const compact = text.replace(/\s+/g, '').toLowerCase();
  if (!compact.startsWith(WORD)) throw unusable('this is no invite', `An invite begins with ${WORD}${VERSION}.`);
  const version = compact.charAt(WORD.length);
  if (/[2-9]/.test(version)) {
    throw unusable(
      `the invite is of version ${version}, this program reads version ${VERSION}`,
      'Update this program.',
    );
  }
  if (version === '') throw unusable('the invite is cut off', AGAIN);
  if (version !== VERSION) throw unusable('this is no invite', `An invite begins with ${WORD}${VERSION}.`);
  return readContent(checkedContent(hash, compact.slice(WORD.length + 1)));
}

const AGAIN = 'Copy it again, whole.';

function unusable(sentence: string, hint: string): WarrenError {
  return new WarrenError('token', sentence, { hint });
}

function checkedContent(hash: Hash, text: string): Uint8Array {
  if (/[^0-9a-z]|u/.test(text) || text.length > textLength(MAX_INVITE_BYTES))
    throw unusable('the invite is mistyped', AGAIN);
  const expected = expectedText(text);
  const content = soundContent(hash, text.slice(LENGTH_TEXT));
  if (content && text.length === expected) return content;
  // Sound after all: then it is the length in front that was mistyped.
  if (!content && text.length < expected) throw unusable('the invite is cut off', AGAIN);
  if (!content && text.length > expected) throw unusable('the invite has characters too many', AGAIN);
  throw unusable('the invite is mistyped', AGAIN);
}

/** How many characters there must be, by the length in front; Infinity while that is not all there. */
function expectedText(text: string): number {
  if (text.length < LENGTH_TEXT) return Infinity;
  // Filled up with zeros to whole bytes.
  const [high, low] = fromBase32(`${text.slice(0, LENGTH_TEXT)}00000`);
  return textLength((high! << 7) | (low! >> 1));
}

function textLength(contentLength: number): number {
  return LENGTH_TEXT + Math.ceil(((CHECKSUM_LENGTH + contentLength) * 8) / 5);
}

function soundContent(hash: Hash, text: string): Uint8Array | undefined {
  try {
    const bytes = fromBase32(text);
    const content = bytes.subarray(CHECKSUM_LENGTH);
    return equal(checksum(hash, content), bytes.subarray(0, CHECKSUM_LENGTH)) ? content : undefined;
  } catch {
    return undefined;
  }
}

function checksum(hash: Hash, content: Uint8Array): Uint8Array {
  return labelledHash(hash, CHECKSUM_LABEL, content).subarray(0, CHECKSUM_LENGTH);
}

function readContent(content: Uint8Array): Invite {
  try {
    return readFields(content);
  } catch (error) {
    const cause = error instanceof WarrenError ? error.message : 'unreadable';
    throw new WarrenError('token', `the invite cannot be used (${cause})`, { hint: 'Ask for a new one.' });
  }
}

function readFields(content: Uint8Array): Invite {
  const fields = decodeFields(content, 'invite', MAX_INVITE_BYTES);
  const network = fields.bytes(0, 'network', NODE_ID_LENGTH);
  const inviter = fields.optionalBytes(1, 'inviter', NODE_ID_LENGTH);
  if (inviter && equal(inviter, network)) throw malformed('invite', 'the founder is named twice');
  const limits = { count: MAX_INVITE_ADDRESSES, length: MAX_ADDRESS };
  const addresses = fields.texts(2, 'addresses', limits, isAddress);
  if (addresses.length === 0) throw malformed('invite', 'no address');
  const secret = fields.bytes(3, 'secret', INVITE_SECRET_LENGTH);
  const expires = fields.uint(4, 'expires');
  const tags = fields.texts(5, 'tags', { count: MAX_TAGS, length: MAX_TAG }, isTag, foldName);
  const forNode = fields.optionalBytes(6, 'node it is for', NODE_ID_LENGTH);
  fields.end();
  return { network, inviter: inviter ?? network, addresses, secret, expires, tags, ...(forNode && { forNode }) };
}
