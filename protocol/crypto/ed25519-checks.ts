/**
 * The prechecks of warren's one Ed25519 verdict (design words: cofactorless; S < L; A and R canonical and not of small
 * order). They are done on the encodings alone, so that every implementation of the equation itself, however lax,
 * gives the same answer after them. RFC 8032 §5.1.3, §5.1.7.
 */
import { KEY_LENGTH, SIGNATURE_LENGTH } from './lengths.js';

/** The field prime 2^255 - 19 and the group order L, little-endian. */
const P = littleEndian((1n << 255n) - 19n);
const L = littleEndian((1n << 252n) + 27742317777372353535851937790883648493n);

/**
 * The y coordinates of the eight points of small order: 0 (order 4), 1 (the identity), -1 (order 2), and the two of
 * order 8. The sign of x does not matter: with either sign the point is of small order, or no point at all.
 */
const SMALL_ORDER_Y = [
  0n,
  1n,
  (1n << 255n) - 20n,
  0x7a03ac9277fdc74ec6cc392cfa53202a0f67100d760b3cba4fd84d3d706a17c7n,
  0x05fc536d880238b13933c6d305acdfd5f098eff289f4c345b027b2c28f95e826n,
].map(littleEndian);

/**
 * @param publicKey the bytes that claim to be A
 * @param signature the bytes that claim to be R ‖ S
 * @returns false when no verdict but "invalid" is possible; the equation is still to be checked when true
 */
export function isAcceptableSignature(publicKey: Uint8Array, signature: Uint8Array): boolean {
  if (publicKey.length !== KEY_LENGTH || signature.length !== SIGNATURE_LENGTH) return false;
  const r = signature.subarray(0, KEY_LENGTH);
  const s = signature.subarray(KEY_LENGTH);
  return isAcceptablePoint(publicKey) && isAcceptablePoint(r) && isBelow(s, L);
}

/**
 * y < p, and not one of the small-order encodings. All data here is public, so time may tell.
 * @param encoding 32 bytes
 */
export function isAcceptablePoint(encoding: Uint8Array): boolean {
  const y = encoding.slice();
  y[KEY_LENGTH - 1]! &= 0x7f;
  return isBelow(y, P) && !SMALL_ORDER_Y.some(small => small.every((byte, i) => byte === y[i]));
}

/** Compares two little-endian numbers of 32 bytes. */
function isBelow(a: Uint8Array, b: Uint8Array): boolean {
  for (let i = KEY_LENGTH - 1; i >= 0; i--) if (a[i] !== b[i]) return a[i]! < b[i]!;
  return false;
}

function littleEndian(n: bigint): Uint8Array {
  return Uint8Array.from({ length: KEY_LENGTH }, (_, i) => Number((n >> BigInt(8 * i)) & 0xffn));
}
