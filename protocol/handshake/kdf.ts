/** HKDF-SHA256 (RFC 5869) with an empty salt: the secret is uniform already, the label separates the uses. */
import { concat } from '../bytes.js';
import type { Primitives } from '../crypto/primitives.js';

const NO_SALT = new Uint8Array(32);
const FIRST_BLOCK = Uint8Array.of(1);

/**
 * 32 bytes = T(1) of RFC 5869 §2.3.
 * @param secret 32 bytes with 256 bits of entropy
 * @param info what the output is for
 */
export function hkdf32(primitives: Primitives, secret: Uint8Array, info: Uint8Array): Uint8Array {
  const sha256 = primitives.hash.SHA256;
  const prk = sha256.hmac(NO_SALT, secret);
  const out = sha256.hmac(prk, concat(info, FIRST_BLOCK));
  prk.fill(0);
  return out;
}
