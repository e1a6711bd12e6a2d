/** Byte lengths of the primitives, and the two small helpers that all of their files share. */
import { WarrenError } from '../errors.js';

/** X25519 and Ed25519: private keys, public keys and shared secrets. */
export const KEY_LENGTH = 32;
export const SIGNATURE_LENGTH = 64;
export const AEAD_KEY_LENGTH = 32;
export const NONCE_LENGTH = 12;
/** Of XChaCha20-Poly1305. */
export const LONG_NONCE_LENGTH = 24;
export const TAG_LENGTH = 16;

/** FIPS 203, table 3: ML-KEM-768. */
export const MLKEM = {
  publicKey: 1184,
  privateKey: 2400,
  ciphertext: 1088,
  secret: 32,
  /** d ‖ z */
  seed: 64,
  message: 32,
} as const;

/** @throws WarrenError `crypto` */
export function requireLength(what: string, bytes: Uint8Array, length: number): void {
  if (bytes.length !== length)
    throw new WarrenError('crypto', `${what} has ${bytes.length} bytes instead of ${length}`);
}

/** The same bytes seen as a plain Uint8Array: a Buffer's `slice` is a view, a Uint8Array's a copy. */
export function plain(bytes: Uint8Array): Uint8Array {
  return new Uint8Array(bytes.buffer, bytes.byteOffset, bytes.length);
}
