/**
 * The primitives that node:crypto provides: X25519, ChaCha20-Poly1305, AES-256-GCM, the four hashes, and Ed25519 under
 * warren's one verdict. Everything that leaves this file is a plain Uint8Array, never a Buffer.
 */
import {
  createCipheriv,
  createDecipheriv,
  createHash,
  createHmac,
  createPrivateKey,
  createPublicKey,
  createSecretKey,
  diffieHellman,
  randomFillSync,
  sign,
  verify,
} from 'node:crypto';
import type { CipherGCM, DecipherGCM, KeyObject } from 'node:crypto';
import { EMPTY, concat, wipe } from '../bytes.js';
import type { Random } from '../clock.js';
import { WarrenError } from '../errors.js';
import { isAcceptableSignature } from './ed25519-checks.js';
import { AEAD_KEY_LENGTH, KEY_LENGTH, NONCE_LENGTH, TAG_LENGTH, plain, requireLength } from './lengths.js';
import type { AeadName, Ed25519, Hash, HashName, Opening, PieceAead, PieceKey, X25519 } from './primitives.js';

export const nodeRandom: Random = n => randomFillSync(new Uint8Array(n));

// ── X25519 and Ed25519 keys ────────────────────────────────────────────────────────────────────────────────────────
// JWK is the only way into node:crypto for raw keys that does not go through OpenSSL's DER decoder, which takes longer
// than the whole Diffie-Hellman. The public half of a private JWK is ignored on import, so any 32 bytes stand for it.

type Curve = 'X25519' | 'Ed25519';
const ANY_PUBLIC = 'A'.repeat(43);

function base64url(bytes: Uint8Array): string {
  return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length).toString('base64url');
}

function privateKeyObject(crv: Curve, privateKey: Uint8Array): KeyObject {
  requireLength(`a private ${crv} key`, privateKey, KEY_LENGTH);
  return createPrivateKey({ key: { kty: 'OKP', crv, d: base64url(privateKey), x: ANY_PUBLIC }, format: 'jwk' });
}

function publicKeyObject(crv: Curve, publicKey: Uint8Array): KeyObject {
  requireLength(`a public ${crv} key`, publicKey, KEY_LENGTH);
  return createPublicKey({ key: { kty: 'OKP', crv, x: base64url(publicKey) }, format: 'jwk' });
}

function publicHalf(key: KeyObject): Uint8Array {
  const { x } = createPublicKey(key).export({ format: 'jwk' });
  return new Uint8Array(Buffer.from(x!, 'base64url'));
}

/**
 * By the bytes that `fromPrivate` gave out, for as long as somebody holds these: OpenSSL works out the public key at each
 * import, which takes as long as the Diffie-Hellman. Nobody changes these bytes but to wipe them, and lets go of them then.
 */
const imported = new WeakMap<Uint8Array, KeyObject>();

/** RFC 7748. OpenSSL itself refuses an all-zero result. */
export const nodeX25519: X25519 = {
  fromPrivate(privateKey) {
    const key = privateKeyObject('X25519', privateKey);
    const own = privateKey.slice();
    imported.set(own, key);
    return { publicKey: publicHalf(key), privateKey: own };
  },
  dh(privateKey, publicKey) {
    const own = imported.get(privateKey) ?? privateKeyObject('X25519', privateKey);
    const peer = publicKeyObject('X25519', publicKey);
    try {
      return plain(diffieHellman({ privateKey: own, publicKey: peer }));
    } catch {
      throw new WarrenError('crypto', 'X25519 gave an all-zero result');
    }
  },
};

/** Whether a key lies in the prime-order subgroup OpenSSL does not say: sodium.ts does. */
export const nodeEd25519: Omit<Ed25519, 'isValidPublicKey'> = {
  fromSeed: seed => ({ publicKey: publicHalf(privateKeyObject('Ed25519', seed)), privateKey: seed.slice() }),
  sign: (privateKey, message) => plain(sign(null, message, privateKeyObject('Ed25519', privateKey))),
  verify(publicKey, message, signature) {
    if (!isAcceptableSignature(publicKey, signature)) return false;
    try {
      return verify(null, message, publicKeyObject('Ed25519', publicKey), signature);
    } catch {
      return false;
    }
  },
};

// ── secret keys ────────────────────────────────────────────────────────────────────────────────────────────────────

/** A secret key as node:crypto takes it. Plain bytes are the caller's own copy, to be wiped. */
export type SecretForm = (key: Uint8Array) => Uint8Array | KeyObject;

export const asBytes: SecretForm = key => key;
/** The copy in it is node's, which wipes it when nobody holds the object any more and its memory is collected. */
export const asKeyObject: SecretForm = key => createSecretKey(key);

/** The first major version of node to which bytes are dear. */
const DEAR_BYTES_SINCE = 24;

/**
 * The form for a version of node. From that one on it finds out by two exceptions that bytes are no key object: 8 us at each use,
 * three times the price of the AEAD itself. Before, both cost the same, and bytes are wiped at once.
 * @param version `process.versions.node`
 */
export function secretForm(version: string): SecretForm {
  return Number.parseInt(version, 10) < DEAR_BYTES_SINCE ? asBytes : asKeyObject;
}

const FORM = secretForm(process.versions.node);

// ── AEAD ───────────────────────────────────────────────────────────────────────────────────────────────────────────

const ALGORITHMS: Readonly<Record<AeadName, string>> = { ChaChaPoly: 'chacha20-poly1305', AESGCM: 'aes-256-gcm' };
const TAG_OPTION = { authTagLength: TAG_LENGTH };

class NodeKey implements PieceKey {
  private readonly algorithm: 'aes-256-gcm';
  private key: Uint8Array | KeyObject;
  private destroyed = false;

  constructor(name: AeadName, key: Uint8Array, form: SecretForm) {
    requireLength('an AEAD key', key, AEAD_KEY_LENGTH);
    // The two names have one and the same interface in node:crypto; its types know that of GCM only.
    this.algorithm = ALGORITHMS[name] as 'aes-256-gcm';
    const made = form(key);
    this.key = made === key ? key.slice() : made;
  }

  seal(nonce: Uint8Array, ad: Uint8Array, plaintext: Uint8Array): Uint8Array {
    const cipher = this.cipher(nonce, ad);
    const body = cipher.update(plaintext);
    cipher.final();
    return concat(body, cipher.getAuthTag());
  }

  open(nonce: Uint8Array, ad: Uint8Array, ciphertext: Uint8Array): Uint8Array {
    const end = ciphertext.length - TAG_LENGTH;
    if (end < 0) throw new WarrenError('crypto', 'a ciphertext shorter than its tag');
    const opening = this.opener(nonce, ad);
    const plaintext = opening.update(ciphertext.subarray(0, end));
    opening.final(ciphertext.subarray(end));
    return plaintext;
  }

  sealParts(nonce: Uint8Array, ad: Uint8Array, parts: readonly Uint8Array[]): Uint8Array[] {
    const cipher = this.cipher(nonce, ad);
    const sealed: Uint8Array[] = [];
    for (const part of parts) if (part.length > 0) sealed.push(plain(cipher.update(part)));
    cipher.final();
    sealed.push(plain(cipher.getAuthTag()));
    return sealed;
  }

  opener(nonce: Uint8Array, ad: Uint8Array): Opening {
    this.requireUsable(nonce);
    const decipher = createDecipheriv(this.algorithm, this.key, nonce, TAG_OPTION);
    if (ad.length > 0) decipher.setAAD(ad);
    return new NodeOpening(decipher);
  }

  destroy(): void {
    this.destroyed = true;
    if (this.key instanceof Uint8Array) wipe(this.key);
    this.key = EMPTY;
  }

  private cipher(nonce: Uint8Array, ad: Uint8Array): CipherGCM {
    this.requireUsable(nonce);
    const cipher = createCipheriv(this.algorithm, this.key, nonce, TAG_OPTION);
    if (ad.length > 0) cipher.setAAD(ad);
    return cipher;
  }

  /** OpenSSL itself would take nonces of other lengths. */
  private requireUsable(nonce: Uint8Array): void {
    requireLength('a nonce', nonce, NONCE_LENGTH);
    if (this.destroyed) throw new WarrenError('internal', 'this AEAD key is destroyed');
  }
}

class NodeOpening implements Opening {
  constructor(private readonly decipher: DecipherGCM) {}

  update(chunk: Uint8Array): Uint8Array {
    return chunk.length === 0 ? EMPTY : plain(this.decipher.update(chunk));
  }

  final(tag: Uint8Array): void {
    try {
      this.decipher.setAuthTag(tag);
      this.decipher.final();
    } catch {
      throw new WarrenError('crypto', 'the tag does not match');
    }
  }
}

/** @param form left out: the one for this node */
export function nodeAead(name: AeadName, form = FORM): PieceAead {
  return { name, key: key => new NodeKey(name, key, form) };
}

// ── hashes ─────────────────────────────────────────────────────────────────────────────────────────────────────────

function nodeHash(name: HashName, algorithm: string, length: number, blockLength: number, form: SecretForm): Hash {
  return {
    name,
    length,
    blockLength,
    hash(...parts) {
      const state = createHash(algorithm);
      for (const part of parts) state.update(part);
      return plain(state.digest());
    },
    hmac(key, ...parts) {
      const state = createHmac(algorithm, form(key));
      for (const part of parts) state.update(part);
      return plain(state.digest());
    },
  };
}

/** @param form of HMAC's keys */
export function hashesOfNode(form: SecretForm): Readonly<Record<HashName, Hash>> {
  return {
    SHA256: nodeHash('SHA256', 'sha256', 32, 64, form),
    SHA512: nodeHash('SHA512', 'sha512', 64, 128, form),
    BLAKE2s: nodeHash('BLAKE2s', 'blake2s256', 32, 64, form),
    BLAKE2b: nodeHash('BLAKE2b', 'blake2b512', 64, 128, form),
  };
}

export const nodeHashes = hashesOfNode(FORM);
