/**
 * The primitives that libsodium (compiled to WebAssembly) provides: ML-KEM-768, ChaCha20-Poly1305 for small records,
 * XChaCha20-Poly1305, a further X25519, the check of Ed25519 public keys. Call `sodiumReady` once before anything else here.
 */
import { createHash } from 'node:crypto';
import sodium from 'libsodium-wrappers';
import { equal, wipe } from '../bytes.js';
import { WarrenError } from '../errors.js';
import { AEAD_KEY_LENGTH, KEY_LENGTH, LONG_NONCE_LENGTH, MLKEM, NONCE_LENGTH, requireLength } from './lengths.js';
import { isAcceptablePoint } from './ed25519-checks.js';
import type { Aead, AeadKey, LongNonceAead, MlKem768, X25519 } from './primitives.js';

/** Resolves when the WebAssembly is compiled. */
export async function sodiumReady(): Promise<void> {
  await sodium.ready;
}

export const sodiumX25519: X25519 = {
  fromPrivate(privateKey) {
    requireLength('a private X25519 key', privateKey, KEY_LENGTH);
    return { publicKey: sodium.crypto_scalarmult_base(privateKey), privateKey: privateKey.slice() };
  },
  dh(privateKey, publicKey) {
    requireLength('a private X25519 key', privateKey, KEY_LENGTH);
    requireLength('a public X25519 key', publicKey, KEY_LENGTH);
    try {
      return sodium.crypto_scalarmult(privateKey, publicKey);
    } catch {
      throw new WarrenError('crypto', 'X25519 gave an all-zero result');
    }
  },
};

/**
 * The conversion to X25519 is refused by libsodium for all that is no point of the prime-order subgroup; what it makes
 * of the others is of no interest. (A tenth of the time that @noble/curves takes.)
 * @returns true for a canonical encoding of a point of the prime-order subgroup other than the identity
 */
export function isValidPublicKey(publicKey: Uint8Array): boolean {
  if (publicKey.length !== KEY_LENGTH || !isAcceptablePoint(publicKey)) return false;
  try {
    sodium.crypto_sign_ed25519_pk_to_curve25519(publicKey);
    return true;
  } catch {
    return false;
  }
}

class SodiumKey implements AeadKey {
  private readonly key: Uint8Array;
  private destroyed = false;

  constructor(key: Uint8Array) {
    requireLength('an AEAD key', key, AEAD_KEY_LENGTH);
    this.key = key.slice();
  }

  seal(nonce: Uint8Array, ad: Uint8Array, plaintext: Uint8Array): Uint8Array {
    this.requireUsable(nonce);
    return sodium.crypto_aead_chacha20poly1305_ietf_encrypt(plaintext, ad, null, nonce, this.key);
  }

  open(nonce: Uint8Array, ad: Uint8Array, ciphertext: Uint8Array): Uint8Array {
    this.requireUsable(nonce);
    try {
      return sodium.crypto_aead_chacha20poly1305_ietf_decrypt(null, ciphertext, ad, nonce, this.key);
    } catch {
      throw new WarrenError('crypto', 'the tag does not match');
    }
  }

  destroy(): void {
    this.destroyed = true;
    wipe(this.key);
  }

  private requireUsable(nonce: Uint8Array): void {
    requireLength('a nonce', nonce, NONCE_LENGTH);
    if (this.destroyed) throw new WarrenError('internal', 'this AEAD key is destroyed');
  }
}

export const sodiumChaChaPoly: Aead = { name: 'ChaChaPoly', key: key => new SodiumKey(key) };

export const sodiumXChaChaPoly: LongNonceAead = {
  seal(key, nonce, ad, plaintext) {
    requireLongNonce(key, nonce);
    return sodium.crypto_aead_xchacha20poly1305_ietf_encrypt(plaintext, ad, null, nonce, key);
  },
  open(key, nonce, ad, ciphertext) {
    requireLongNonce(key, nonce);
    try {
      return sodium.crypto_aead_xchacha20poly1305_ietf_decrypt(null, ciphertext, ad, nonce, key);
    } catch {
      throw new WarrenError('crypto', 'the tag does not match');
    }
  },
};

function requireLongNonce(key: Uint8Array, nonce: Uint8Array): void {
  requireLength('an AEAD key', key, AEAD_KEY_LENGTH);
  requireLength('a nonce', nonce, LONG_NONCE_LENGTH);
}

/** Where the pieces of a decapsulation key lie: dk_pke ‖ ek ‖ H(ek) ‖ z (FIPS 203, algorithm 16). */
const EK_AT = 1152;
const HASH_AT = EK_AT + MLKEM.publicKey;
const Z_AT = HASH_AT + 32;

/** libsodium checks the modulus (FIPS 203 §7.2) itself; the check of H(ek) (§7.3) it leaves out, so it is done here. */
export const sodiumMlKem768: MlKem768 = {
  generate(seed) {
    requireLength('an ML-KEM seed', seed, MLKEM.seed);
    const { publicKey, privateKey } = sodium.crypto_kem_mlkem768_seed_keypair(seed);
    return { publicKey, privateKey };
  },
  encapsulate(publicKey, message) {
    requireLength('an ML-KEM encapsulation key', publicKey, MLKEM.publicKey);
    requireLength('an ML-KEM message', message, MLKEM.message);
    try {
      const { ciphertext, sharedSecret } = sodium.crypto_kem_mlkem768_enc_deterministic(publicKey, message);
      return { ciphertext, secret: sharedSecret };
    } catch {
      throw new WarrenError('crypto', 'an ML-KEM encapsulation key with a coefficient beyond the modulus');
    }
  },
  decapsulate(privateKey, ciphertext) {
    requireLength('an ML-KEM decapsulation key', privateKey, MLKEM.privateKey);
    requireLength('an ML-KEM ciphertext', ciphertext, MLKEM.ciphertext);
    const hash = createHash('sha3-256').update(privateKey.subarray(EK_AT, HASH_AT)).digest();
    if (!equal(hash, privateKey.subarray(HASH_AT, Z_AT))) {
      throw new WarrenError('crypto', 'an ML-KEM decapsulation key whose hash does not match');
    }
    return sodium.crypto_kem_mlkem768_dec(ciphertext, privateKey);
  },
};
