/** SymmetricState (revision 34, §5.2): the chaining key ck, the handshake hash h, and the cipher of the handshake. */
import { EMPTY, concat, utf8, wipe } from '../bytes.js';
import type { Aead, Hash } from '../crypto/primitives.js';
import { CipherState } from './cipher-state.js';

const KEY_LENGTH = 32;

/**
 * HKDF of §4.3: RFC 5869 with ck as salt and no info, over HMAC of the handshake's hash (for BLAKE2 too).
 * @param count how many outputs of HASHLEN bytes: 2 or 3
 */
export function hkdf(hash: Hash, chainingKey: Uint8Array, input: Uint8Array, count: 2 | 3): Uint8Array[] {
  const temp = hash.hmac(chainingKey, input);
  const outputs: Uint8Array[] = [];
  let last: Uint8Array = EMPTY;
  for (let i = 1; i <= count; i++) {
    last = hash.hmac(temp, last, Uint8Array.of(i));
    outputs.push(last);
  }
  wipe(temp);
  return outputs;
}

export interface SplitKeys {
  /** 32 bytes each. */
  readonly initiatorToResponder: Uint8Array;
  readonly responderToInitiator: Uint8Array;
  /** A third output of the same HKDF: a secret of this handshake for the application. */
  readonly exporter: Uint8Array;
}

export class SymmetricState {
  private h: Uint8Array;
  private ck: Uint8Array;
  private readonly cipher: CipherState;

  /** A name of at most HASHLEN bytes is padded with zeros to become h, a longer one is hashed. */
  constructor(
    private readonly hash: Hash,
    aead: Aead,
    protocolName: string,
  ) {
    const name = utf8(protocolName);
    this.h = name.length <= hash.length ? concat(name, new Uint8Array(hash.length - name.length)) : hash.hash(name);
    this.ck = this.h.slice();
    this.cipher = new CipherState(aead);
  }

  /** A copy of h. Not a secret. */
  get handshakeHash(): Uint8Array {
    return this.h.slice();
  }

  get hasKey(): boolean {
    return this.cipher.hasKey;
  }

  mixHash(data: Uint8Array): void {
    this.h = this.hash.hash(this.h, data);
  }

  mixKey(input: Uint8Array): void {
    const [ck, key] = hkdf(this.hash, this.ck, input, 2) as [Uint8Array, Uint8Array];
    this.setKeys(ck, key);
  }

  /** The psk token, §9.1. */
  mixKeyAndHash(input: Uint8Array): void {
    const [ck, mixed, key] = hkdf(this.hash, this.ck, input, 3) as [Uint8Array, Uint8Array, Uint8Array];
    this.mixHash(mixed);
    wipe(mixed);
    this.setKeys(ck, key);
  }

  /** Encrypts with h as associated data, once there is a key; hashes what goes on the wire. */
  encryptAndHash(plaintext: Uint8Array): Uint8Array {
    const ciphertext = this.cipher.encryptWithAd(this.h, plaintext);
    this.mixHash(ciphertext);
    return ciphertext;
  }

  /** @throws WarrenError `crypto` on a wrong tag; h is unchanged then */
  decryptAndHash(ciphertext: Uint8Array): Uint8Array {
    const plaintext = this.cipher.decryptWithAd(this.h, ciphertext);
    this.mixHash(ciphertext);
    return plaintext;
  }

  /** The keys of the two directions. Wipes ck: it works once. */
  split(): SplitKeys {
    const [first, second, third] = hkdf(this.hash, this.ck, EMPTY, 3) as [Uint8Array, Uint8Array, Uint8Array];
    this.destroy();
    return {
      initiatorToResponder: first.subarray(0, KEY_LENGTH),
      responderToInitiator: second.subarray(0, KEY_LENGTH),
      exporter: third.subarray(0, KEY_LENGTH),
    };
  }

  /** Wipes the secrets; h stays. */
  destroy(): void {
    wipe(this.ck);
    this.cipher.destroy();
  }

  private setKeys(ck: Uint8Array, key: Uint8Array): void {
    wipe(this.ck);
    this.ck = ck;
    this.cipher.initializeKey(key.subarray(0, KEY_LENGTH));
    wipe(key);
  }
}
