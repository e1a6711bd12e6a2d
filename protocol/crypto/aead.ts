/**
 * ChaCha20-Poly1305 put together from two implementations: a call into libsodium costs little but its WebAssembly is
 * slow per byte; a call into node:crypto costs much but OpenSSL is fast per byte. The bytes are the same.
 * `npm run bench:crypto` says where they cross.
 */
import { concat } from '../bytes.js';
import { TAG_LENGTH } from './lengths.js';
import { nodeAead } from './node.js';
import { sodiumChaChaPoly } from './sodium.js';
import type { AeadKey, AeadName, Opening, PieceAead, PieceKey } from './primitives.js';

/** Up to this many bytes of plaintext libsodium seals and opens, beyond it node:crypto, whose opening starts cheaper. */
export const CHACHA_CROSSOVER_BYTES = { seal: 2048, open: 1536 } as const;

const nodeChaChaPoly = nodeAead('ChaChaPoly');

class ChaChaPolyKey implements PieceKey {
  private readonly small: AeadKey;
  private readonly large: PieceKey;

  constructor(key: Uint8Array) {
    this.small = sodiumChaChaPoly.key(key);
    this.large = nodeChaChaPoly.key(key);
  }

  seal(nonce: Uint8Array, ad: Uint8Array, plaintext: Uint8Array): Uint8Array {
    return (plaintext.length <= CHACHA_CROSSOVER_BYTES.seal ? this.small : this.large).seal(nonce, ad, plaintext);
  }

  open(nonce: Uint8Array, ad: Uint8Array, ciphertext: Uint8Array): Uint8Array {
    const isSmall = ciphertext.length <= CHACHA_CROSSOVER_BYTES.open + TAG_LENGTH;
    return (isSmall ? this.small : this.large).open(nonce, ad, ciphertext);
  }

  sealParts(nonce: Uint8Array, ad: Uint8Array, parts: readonly Uint8Array[]): Uint8Array[] {
    let length = 0;
    for (const part of parts) length += part.length;
    if (length > CHACHA_CROSSOVER_BYTES.seal) return this.large.sealParts(nonce, ad, parts);
    return [this.small.seal(nonce, ad, parts.length === 1 ? parts[0]! : concat(...parts))];
  }

  /** Always node:crypto: whoever has a small ciphertext whole calls `open`. */
  opener(nonce: Uint8Array, ad: Uint8Array): Opening {
    return this.large.opener(nonce, ad);
  }

  destroy(): void {
    this.small.destroy();
    this.large.destroy();
  }
}

/** The AEADs that links use. Call `sodiumReady` of sodium.ts first. */
export const aeads: Readonly<Record<AeadName, PieceAead>> = {
  ChaChaPoly: { name: 'ChaChaPoly', key: key => new ChaChaPolyKey(key) },
  AESGCM: nodeAead('AESGCM'),
};
