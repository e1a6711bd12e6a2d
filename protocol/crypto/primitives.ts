/**
 * The one interface behind which every primitive stands. Each has two implementations (node.ts, sodium.ts, noble.ts)
 * that a test holds against each other.
 */
import type { Random } from '../clock.js';

export interface KeyPair {
  readonly publicKey: Uint8Array;
  readonly privateKey: Uint8Array;
}

/** RFC 7748 X25519; keys of 32 bytes. */
export interface X25519 {
  /** @param privateKey 32 bytes, any value (clamped inside) */
  fromPrivate(privateKey: Uint8Array): KeyPair;
  /** @returns 32 bytes. @throws WarrenError `crypto` when the result is all zero (RFC 7748 §6.1) */
  dh(privateKey: Uint8Array, publicKey: Uint8Array): Uint8Array;
}

export type AeadName = 'ChaChaPoly' | 'AESGCM';

/** A key ready for use; `destroy` wipes what can be wiped. Nonces are 12 bytes, tags 16 bytes at the end. */
export interface AeadKey {
  seal(nonce: Uint8Array, ad: Uint8Array, plaintext: Uint8Array): Uint8Array;
  /** @throws WarrenError `crypto` when the tag does not match; nothing of the plaintext is returned then */
  open(nonce: Uint8Array, ad: Uint8Array, ciphertext: Uint8Array): Uint8Array;
  destroy(): void;
}

/** RFC 8439 ChaCha20-Poly1305 or AES-256-GCM (NIST SP 800-38D). */
export interface Aead {
  readonly name: AeadName;
  /** @param key 32 bytes; copied */
  key(key: Uint8Array): AeadKey;
}

/** One ciphertext opened as it arrives. What `update` returned must not be used before `final` has returned. */
export interface Opening {
  /** @returns as many bytes of plaintext as `chunk` has, not yet authenticated */
  update(chunk: Uint8Array): Uint8Array;
  /** @param tag 16 bytes. @throws WarrenError `crypto` when it does not match: everything from `update` is void */
  final(tag: Uint8Array): void;
}

/** An AeadKey that also seals and opens in pieces, so that large records need no joining. */
export interface PieceKey extends AeadKey {
  /** @returns pieces whose concatenation is ciphertext ‖ tag of the concatenated parts */
  sealParts(nonce: Uint8Array, ad: Uint8Array, parts: readonly Uint8Array[]): Uint8Array[];
  opener(nonce: Uint8Array, ad: Uint8Array): Opening;
}

export interface PieceAead extends Aead {
  key(key: Uint8Array): PieceKey;
}

/**
 * XChaCha20-Poly1305 (draft-irtf-cfrg-xchacha): keys of 32 bytes, nonces of 24, which may be drawn at random, tags of 16 at
 * the end. For what lies on a disk.
 */
export interface LongNonceAead {
  seal(key: Uint8Array, nonce: Uint8Array, ad: Uint8Array, plaintext: Uint8Array): Uint8Array;
  /** @throws WarrenError `crypto` when the tag does not match */
  open(key: Uint8Array, nonce: Uint8Array, ad: Uint8Array, ciphertext: Uint8Array): Uint8Array;
}

export type HashName = 'SHA256' | 'SHA512' | 'BLAKE2s' | 'BLAKE2b';

export interface Hash {
  readonly name: HashName;
  /** 32 or 64 */
  readonly length: number;
  /** HMAC block length: 64 or 128 */
  readonly blockLength: number;
  hash(...parts: readonly Uint8Array[]): Uint8Array;
  /** RFC 2104 HMAC over this hash (also for BLAKE2, Noise §4.3). */
  hmac(key: Uint8Array, ...parts: readonly Uint8Array[]): Uint8Array;
}

/** FIPS 203 ML-KEM-768: encapsulation key 1184, decapsulation key 2400, ciphertext 1088, shared secret 32 bytes. */
export interface MlKem768 {
  /** @param seed 64 bytes d ‖ z */
  generate(seed: Uint8Array): KeyPair;
  /**
   * Checks the key first (FIPS 203 §7.2, modulus check).
   * @param message 32 bytes m. @throws WarrenError `crypto` on a bad key or length
   */
  encapsulate(publicKey: Uint8Array, message: Uint8Array): { ciphertext: Uint8Array; secret: Uint8Array };
  /**
   * Checks H(ek) inside the decapsulation key (FIPS 203 §7.3). A wrong ciphertext of the right length gives an
   * unrelated secret (implicit rejection). @throws WarrenError `crypto` on a bad key or length
   */
  decapsulate(privateKey: Uint8Array, ciphertext: Uint8Array): Uint8Array;
}

/** Ed25519, RFC 8032, with the one verdict of docs/protocol.md: cofactorless, S < L, A and R canonical and not small. */
export interface Ed25519 {
  /** @param seed 32 bytes (RFC 8032 private key) */
  fromSeed(seed: Uint8Array): KeyPair;
  /** @param privateKey the 32-byte seed. @returns 64 bytes */
  sign(privateKey: Uint8Array, message: Uint8Array): Uint8Array;
  /** Never throws: anything malformed is `false`. */
  verify(publicKey: Uint8Array, message: Uint8Array, signature: Uint8Array): boolean;
  /** Canonical, on the curve, in the prime-order subgroup, not the identity: what a key in a statement must be. */
  isValidPublicKey(publicKey: Uint8Array): boolean;
}

export interface Primitives {
  readonly x25519: X25519;
  readonly aead: Readonly<Record<AeadName, PieceAead>>;
  readonly xchachaPoly: LongNonceAead;
  readonly hash: Readonly<Record<HashName, Hash>>;
  readonly mlkem768: MlKem768;
  readonly ed25519: Ed25519;
  readonly random: Random;
}
