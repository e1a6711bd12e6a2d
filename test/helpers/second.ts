/**
 * A second implementation of every primitive, from the @noble packages: slow, simple, and independent of node:crypto
 * and libsodium. Tests hold the two against each other.
 */
import { gcm } from '@noble/ciphers/aes.js';
import { chacha20poly1305, xchacha20poly1305 } from '@noble/ciphers/chacha.js';
import { ed25519 } from '@noble/curves/ed25519.js';
import { blake2b, blake2s } from '@noble/hashes/blake2.js';
import { hmac } from '@noble/hashes/hmac.js';
import { sha256, sha512 } from '@noble/hashes/sha2.js';
import { ml_kem768 } from '@noble/post-quantum/ml-kem.js';
import { concat } from '../../protocol/bytes.js';
import type { Random } from '../../protocol/clock.js';
import { isValidPublicKey, nobleX25519 } from '../../protocol/crypto/noble.js';
import { nodeRandom } from '../../protocol/crypto/node.js';
import type {
  AeadName,
  Ed25519,
  Hash,
  HashName,
  LongNonceAead,
  MlKem768,
  Opening,
  PieceAead,
  PieceKey,
  Primitives,
} from '../../protocol/crypto/primitives.js';
import { WarrenError } from '../../protocol/errors.js';

function refuse<T>(what: string, step: () => T): T {
  try {
    return step();
  } catch {
    throw new WarrenError('crypto', what);
  }
}

// ── AEAD ───────────────────────────────────────────────────────────────────────────────────────────────────────────

const CIPHERS = { ChaChaPoly: chacha20poly1305, AESGCM: gcm };

class SecondKey implements PieceKey {
  constructor(
    private readonly name: AeadName,
    private readonly key: Uint8Array,
  ) {}

  seal(nonce: Uint8Array, ad: Uint8Array, plaintext: Uint8Array): Uint8Array {
    return refuse('a bad nonce', () => CIPHERS[this.name](this.key, nonce, ad).encrypt(plaintext));
  }

  open(nonce: Uint8Array, ad: Uint8Array, ciphertext: Uint8Array): Uint8Array {
    return refuse('the tag does not match', () => CIPHERS[this.name](this.key, nonce, ad).decrypt(ciphertext));
  }

  sealParts(nonce: Uint8Array, ad: Uint8Array, parts: readonly Uint8Array[]): Uint8Array[] {
    return [this.seal(nonce, ad, concat(...parts))];
  }

  opener(): Opening {
    throw new Error('the second implementation opens whole ciphertexts only');
  }

  destroy(): void {
    this.key.fill(0);
  }
}

function secondAead(name: AeadName): PieceAead {
  return { name, key: key => new SecondKey(name, key.slice()) };
}

export const secondAeads: Readonly<Record<AeadName, PieceAead>> = {
  ChaChaPoly: secondAead('ChaChaPoly'),
  AESGCM: secondAead('AESGCM'),
};

// ── hashes ─────────────────────────────────────────────────────────────────────────────────────────────────────────

type NobleHash = typeof sha256 | typeof sha512 | typeof blake2b | typeof blake2s;

function secondHash(name: HashName, hash: NobleHash): Hash {
  return {
    name,
    length: hash.outputLen,
    blockLength: hash.blockLen,
    hash: (...parts) => hash(concat(...parts)),
    hmac: (key, ...parts) => hmac(hash, key, concat(...parts)),
  };
}

export const secondHashes: Readonly<Record<HashName, Hash>> = {
  SHA256: secondHash('SHA256', sha256),
  SHA512: secondHash('SHA512', sha512),
  BLAKE2s: secondHash('BLAKE2s', blake2s),
  BLAKE2b: secondHash('BLAKE2b', blake2b),
};

// ── ML-KEM-768 ─────────────────────────────────────────────────────────────────────────────────────────────────────

export const secondMlKem768: MlKem768 = {
  generate(seed) {
    const { publicKey, secretKey } = refuse('a bad seed', () => ml_kem768.keygen(seed));
    return { publicKey, privateKey: secretKey };
  },
  encapsulate(publicKey, message) {
    const { cipherText, sharedSecret } = refuse('a bad key', () => ml_kem768.encapsulate(publicKey, message));
    return { ciphertext: cipherText, secret: sharedSecret };
  },
  decapsulate: (privateKey, ciphertext) => refuse('a bad key', () => ml_kem768.decapsulate(ciphertext, privateKey)),
};

// ── Ed25519 ────────────────────────────────────────────────────────────────────────────────────────────────────────

const L = ed25519.Point.Fn.ORDER;

export function toLittleEndian(n: bigint, length = 32): Uint8Array {
  return Uint8Array.from({ length }, (_, i) => Number((n >> BigInt(8 * i)) & 0xffn));
}

export function fromLittleEndian(bytes: Uint8Array): bigint {
  return bytes.reduceRight((n, byte) => (n << 8n) | BigInt(byte), 0n);
}

/** k = SHA-512(R ‖ A ‖ M) mod L */
export function challenge(r: Uint8Array, a: Uint8Array, message: Uint8Array): bigint {
  return fromLittleEndian(sha512(concat(r, a, message))) % L;
}

/**
 * The verdict written out from its rule, with curve arithmetic: A and R decode canonically and are not of small order,
 * S < L, and [S]B - [k]A encodes to the very bytes of R.
 */
function verifyByRule(publicKey: Uint8Array, message: Uint8Array, signature: Uint8Array): boolean {
  if (publicKey.length !== 32 || signature.length !== 64) return false;
  const r = signature.subarray(0, 32);
  const s = fromLittleEndian(signature.subarray(32));
  if (s >= L) return false;
  try {
    const a = ed25519.Point.fromBytes(publicKey, false);
    if (a.isSmallOrder() || ed25519.Point.fromBytes(r, false).isSmallOrder()) return false;
    const k = challenge(r, publicKey, message);
    const expected = ed25519.Point.BASE.multiplyUnsafe(s).subtract(a.multiplyUnsafe(k)).toBytes();
    return expected.every((byte, i) => byte === r[i]);
  } catch {
    return false;
  }
}

export const secondEd25519: Ed25519 = {
  fromSeed: seed => ({ publicKey: ed25519.getPublicKey(seed), privateKey: seed.slice() }),
  sign: (privateKey, message) => ed25519.sign(message, privateKey),
  verify: verifyByRule,
  isValidPublicKey,
};

const secondXChaChaPoly: LongNonceAead = {
  seal: (key, nonce, ad, plaintext) =>
    refuse('a bad nonce', () => xchacha20poly1305(key, nonce, ad).encrypt(plaintext)),
  open: (key, nonce, ad, ciphertext) =>
    refuse('the tag does not match', () => xchacha20poly1305(key, nonce, ad).decrypt(ciphertext)),
};

/** Every primitive from the @noble packages. */
export function secondPrimitives(random: Random = nodeRandom): Primitives {
  return {
    x25519: nobleX25519,
    aead: secondAeads,
    xchachaPoly: secondXChaChaPoly,
    hash: secondHashes,
    mlkem768: secondMlKem768,
    ed25519: secondEd25519,
    random,
  };
}
