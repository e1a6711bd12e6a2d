/** CipherState (revision 34, §5.1): one key, one 64-bit nonce that only ever grows. */
import { EMPTY } from '../bytes.js';
import type { Aead, AeadKey } from '../crypto/primitives.js';
import { NONCE_LENGTH } from '../crypto/lengths.js';
import { WarrenError } from '../errors.js';

const U32 = 0x1_0000_0000;
const MAX_U32 = 0xffff_ffff;
const KEY_LENGTH = 32;
const ZEROS = new Uint8Array(KEY_LENGTH);

/** 2^64 - 1: never used for a message, only by `rekey`. */
export const RESERVED_NONCE = (1n << 64n) - 1n;

export class CipherState {
  private key: AeadKey | undefined;
  private isClosed = false;
  // The nonce in two halves: a BigInt per message would cost an allocation each time.
  private high = 0;
  private low = 0;
  private readonly nonceBytes = new Uint8Array(NONCE_LENGTH);
  private readonly nonceView = new DataView(this.nonceBytes.buffer);

  /** @param key 32 bytes, copied; left out: no key yet, bytes pass unchanged */
  constructor(
    private readonly aead: Aead,
    key?: Uint8Array,
  ) {
    if (key !== undefined) this.initializeKey(key);
  }

  /** Sets the key and n = 0. */
  initializeKey(key: Uint8Array): void {
    this.requireOpen();
    const fresh = this.aead.key(key);
    this.key?.destroy();
    this.key = fresh;
    this.high = 0;
    this.low = 0;
  }

  get hasKey(): boolean {
    return this.key !== undefined;
  }

  /** The n of the next message. */
  get nonce(): bigint {
    return BigInt(this.high) * BigInt(U32) + BigInt(this.low);
  }

  /** @param n 0 … 2^64 - 1; for transports that carry n themselves. The caller must never let one repeat. */
  setNonce(n: bigint): void {
    if (n < 0n || n > RESERVED_NONCE) throw new WarrenError('internal', 'a nonce outside 64 bits');
    this.high = Number(n >> 32n);
    this.low = Number(n & BigInt(MAX_U32));
  }

  /**
   * @returns ciphertext ‖ 16-byte tag; the plaintext itself while there is no key
   * @throws WarrenError `limit` when the nonces are used up; the session must end then
   */
  encryptWithAd(ad: Uint8Array, plaintext: Uint8Array): Uint8Array {
    this.requireOpen();
    if (this.key === undefined) return plaintext;
    const sealed = this.key.seal(this.nextNonce(), ad, plaintext);
    this.increment();
    return sealed;
  }

  /**
   * @throws WarrenError `crypto` when the tag does not match: n is unchanged then, so a forged message costs nothing;
   * `limit` when the nonces are used up
   */
  decryptWithAd(ad: Uint8Array, ciphertext: Uint8Array): Uint8Array {
    this.requireOpen();
    if (this.key === undefined) return ciphertext;
    const opened = this.key.open(this.nextNonce(), ad, ciphertext);
    this.increment();
    return opened;
  }

  /** §4.2, §11.3: the next key is made from this one; n goes on. The old key is wiped. */
  rekey(): void {
    this.requireOpen();
    if (this.key === undefined) throw new WarrenError('internal', 'no key to rekey');
    const block = this.key.seal(this.encodeNonce(MAX_U32, MAX_U32), EMPTY, ZEROS);
    const fresh = this.aead.key(block.subarray(0, KEY_LENGTH));
    block.fill(0);
    this.key.destroy();
    this.key = fresh;
  }

  /** Wipes the key; every further use throws. */
  destroy(): void {
    this.isClosed = true;
    this.key?.destroy();
    this.key = undefined;
  }

  private requireOpen(): void {
    if (this.isClosed) throw new WarrenError('internal', 'this cipher state is destroyed');
  }

  private nextNonce(): Uint8Array {
    if (this.high === MAX_U32 && this.low === MAX_U32) {
      throw new WarrenError('limit', 'the nonces of this key are used up', { wire: 'limit' });
    }
    return this.encodeNonce(this.high, this.low);
  }

  /** §12.3, §12.4: four zero bytes, then n: little-endian for ChaChaPoly, big-endian for AESGCM. */
  private encodeNonce(high: number, low: number): Uint8Array {
    const isLittle = this.aead.name === 'ChaChaPoly';
    this.nonceView.setUint32(4, isLittle ? low : high, isLittle);
    this.nonceView.setUint32(8, isLittle ? high : low, isLittle);
    return this.nonceBytes;
  }

  private increment(): void {
    if (this.low < MAX_U32) this.low++;
    else {
      this.low = 0;
      this.high++;
    }
  }
}
