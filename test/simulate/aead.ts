/**
 * A cipher that is quick and worth nothing, so that a life costs milliseconds: a keystream and a keyed checksum of 16
 * bytes. Keys, nonces, associated data, rekeys and tags are where the record layer expects them, and a record of another
 * link, direction, place or key does not open.
 */
import type { Random } from '../../protocol/clock.js';
import type { Aead, AeadName, Opening, PieceAead, PieceKey, Primitives } from '../../protocol/crypto/primitives.js';
import { WarrenError } from '../../protocol/errors.js';

const TAG = 16;

/** Sees the plaintext of every record of one end of a link: sealed before it is written, opened before it is read. */
export interface Tap {
  sealed(plaintext: Uint8Array): void;
  opened(plaintext: Uint8Array): void;
}

function word(bytes: Uint8Array, at: number): number {
  return bytes[at]! | (bytes[at + 1]! << 8) | (bytes[at + 2]! << 16) | (bytes[at + 3]! << 24);
}

class QuickKey implements PieceKey {
  private readonly words = new Int32Array(8);
  private readonly lanes = new Int32Array(4);

  constructor(
    key: Uint8Array,
    private readonly tap: Tap | undefined,
  ) {
    for (let i = 0; i < 8; i++) this.words[i] = word(key, 4 * i);
  }

  seal(nonce: Uint8Array, ad: Uint8Array, plaintext: Uint8Array): Uint8Array {
    // A rekey seals, too, without associated data; that is no record.
    if (ad.length > 0) this.tap?.sealed(plaintext);
    const out = new Uint8Array(plaintext.length + TAG);
    this.stream(nonce, plaintext, out);
    this.checksum(nonce, ad, out, plaintext.length);
    for (let i = 0; i < TAG; i++) out[plaintext.length + i] = this.lanes[i >> 2]! >> (8 * (i & 3));
    return out;
  }

  open(nonce: Uint8Array, ad: Uint8Array, ciphertext: Uint8Array): Uint8Array {
    const length = ciphertext.length - TAG;
    this.checksum(nonce, ad, ciphertext, length);
    for (let i = 0; i < 4; i++) {
      if (word(ciphertext, length + 4 * i) !== this.lanes[i]) {
        throw new WarrenError('crypto', 'a record does not verify');
      }
    }
    const plaintext = new Uint8Array(length);
    this.stream(nonce, ciphertext, plaintext);
    this.tap?.opened(plaintext);
    return plaintext;
  }

  sealParts(nonce: Uint8Array, ad: Uint8Array, parts: readonly Uint8Array[]): Uint8Array[] {
    return [this.seal(nonce, ad, new Uint8Array(Buffer.concat(parts)))];
  }

  opener(): Opening {
    throw new WarrenError('internal', 'records are opened whole');
  }

  destroy(): void {
    this.words.fill(0);
  }

  /** XORs the keystream (xorshift32) onto as many bytes as both arrays have. */
  private stream(nonce: Uint8Array, from: Uint8Array, to: Uint8Array): void {
    const { words } = this;
    let state = words[0]! ^ Math.imul(word(nonce, 4) ^ words[1]!, 0x9e3779b1) ^ Math.imul(word(nonce, 8), 0x85ebca6b);
    const length = Math.min(from.length, to.length);
    let pad = 0;
    for (let i = 0; i < length; i++) {
      if ((i & 3) === 0) {
        state = (state | 0) === 0 ? 0x6d2b79f5 : state;
        state ^= state << 13;
        state ^= state >>> 17;
        state ^= state << 5;
        pad = state;
      }
      to[i] = from[i]! ^ (pad & 0xff);
      pad >>= 8;
    }
  }

  /** Leaves the tag in `lanes`. */
  private checksum(nonce: Uint8Array, ad: Uint8Array, text: Uint8Array, length: number): void {
    const { words, lanes } = this;
    for (let i = 0; i < 4; i++) lanes[i] = words[i]! ^ Math.imul(words[i + 4]!, 0x27d4eb2f);
    this.absorb(nonce, nonce.length);
    this.absorb(ad, ad.length);
    this.absorb(text, length);
    for (let round = 0; round < 8; round++) this.mix(length);
  }

  private absorb(bytes: Uint8Array, length: number): void {
    let at = 0;
    for (; at + 4 <= length; at += 4) this.mix(word(bytes, at));
    let tail = 1;
    for (; at < length; at++) tail = (tail << 8) | bytes[at]!;
    this.mix(tail);
  }

  private mix(value: number): void {
    const { lanes } = this;
    const a = Math.imul(lanes[0]! ^ value, 0x9e3779b1);
    lanes[0] = lanes[1]! + ((a << 15) | (a >>> 17));
    lanes[1] = lanes[2]! ^ a;
    lanes[2] = lanes[3]! + Math.imul(a ^ (a >>> 13), 0xc2b2ae35);
    lanes[3] = lanes[0]! ^ value;
  }
}

class QuickAead implements PieceAead {
  constructor(
    readonly name: AeadName,
    private readonly tap: Tap | undefined,
  ) {}

  key(key: Uint8Array): PieceKey {
    return new QuickKey(key, this.tap);
  }
}

/** The primitives of one link's end: quick ciphers with a tap, and randomness that comes from the seed. */
export function quickPrimitives(base: Primitives, random: Random, tap?: Tap): Primitives {
  const aead: Readonly<Record<AeadName, PieceAead & Aead>> = {
    ChaChaPoly: new QuickAead('ChaChaPoly', tap),
    AESGCM: new QuickAead('AESGCM', tap),
  };
  return { ...base, aead, random };
}
