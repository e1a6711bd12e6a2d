/**
 * The second X25519, and the second check of Ed25519 public keys, for the tests: @noble/curves is slow, and a daemon that
 * loads it holds its tables. Its Ed25519 verification is cofactored, so it verifies no signatures here.
 */
import { ed25519, x25519 } from '@noble/curves/ed25519.js';
import { WarrenError } from '../errors.js';
import { KEY_LENGTH, requireLength } from './lengths.js';
import type { X25519 } from './primitives.js';

export const nobleX25519: X25519 = {
  fromPrivate(privateKey) {
    requireLength('a private X25519 key', privateKey, KEY_LENGTH);
    return { publicKey: x25519.getPublicKey(privateKey), privateKey: privateKey.slice() };
  },
  dh(privateKey, publicKey) {
    requireLength('a private X25519 key', privateKey, KEY_LENGTH);
    requireLength('a public X25519 key', publicKey, KEY_LENGTH);
    try {
      return x25519.getSharedSecret(privateKey, publicKey);
    } catch {
      throw new WarrenError('crypto', 'X25519 gave an all-zero result');
    }
  },
};

/** @returns true for a canonical encoding of a point of the prime-order subgroup other than the identity */
export function isValidPublicKey(publicKey: Uint8Array): boolean {
  try {
    const point = ed25519.Point.fromBytes(publicKey, false);
    return !point.is0() && point.isTorsionFree();
  } catch {
    return false;
  }
}
