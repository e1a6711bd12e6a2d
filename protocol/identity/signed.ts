/**
 * The envelope around everything that is signed: {0: body, 1: signature, 2: second signature of a rotation}.
 * The signature is Ed25519 over label ‖ 0x00 ‖ body. The label names the kind of structure and is not sent: who reads
 * an envelope as another kind than it was signed as fails at the signature.
 */
import { concat, utf8 } from '../bytes.js';
import type { Ed25519, Primitives } from '../crypto/primitives.js';
import { toHex } from '../bytes.js';
import { cborMap, decodeFields, encodeCanonical } from './cbor.js';
import { labelledHash } from './node-id.js';

export const SIGNATURE_LENGTH = 64;
export const KEY_LENGTH = 32;
/** What the map, the keys and two signatures add to a body. */
export const ENVELOPE_OVERHEAD = 160;

export interface Envelope {
  readonly body: Uint8Array;
  readonly signature: Uint8Array;
  /** By the key that is being replaced; only in statements of a key log. */
  readonly oldSignature?: Uint8Array;
}

export function encodeEnvelope(envelope: Envelope): Uint8Array {
  return encodeCanonical(
    cborMap([
      [0, envelope.body],
      [1, envelope.signature],
      [2, envelope.oldSignature],
    ]),
  );
}

/**
 * @param maxBody longest admitted body in bytes
 * @param signatures how many the structure may have
 * @throws WarrenError `malformed`
 */
export function decodeEnvelope(bytes: Uint8Array, what: string, maxBody: number, signatures: 1 | 2 = 1): Envelope {
  const fields = decodeFields(bytes, what, maxBody + ENVELOPE_OVERHEAD);
  const body = fields.bytes(0, 'body', { max: maxBody });
  const signature = fields.bytes(1, 'signature', SIGNATURE_LENGTH);
  const oldSignature = signatures === 2 ? fields.optionalBytes(2, 'old key signature', SIGNATURE_LENGTH) : undefined;
  fields.end();
  return oldSignature === undefined ? { body, signature } : { body, signature, oldSignature };
}

/** The bytes under a signature. */
export function signedBytes(label: string, body: Uint8Array): Uint8Array {
  return concat(utf8(label), new Uint8Array(1), body);
}

/** @param seed the signer's 32-byte Ed25519 seed. @returns 64 bytes */
export function signBody(ed25519: Ed25519, seed: Uint8Array, label: string, body: Uint8Array): Uint8Array {
  return ed25519.sign(seed, signedBytes(label, body));
}

/** How many verdicts are remembered; one costs about 100 bytes. */
export const MAX_VERDICTS = 8192;

/**
 * Judges signatures and public keys, and remembers what it found good: the same statement comes from many peers.
 * Nothing that failed is remembered, so garbage cannot push out what is worth keeping.
 */
export class Verifier {
  private readonly good = new Set<string>();
  private readonly probe: Uint8Array;

  constructor(readonly primitives: Primitives) {
    this.probe = primitives.x25519.fromPrivate(PROBE).privateKey;
  }

  verify(publicKey: Uint8Array, label: string, body: Uint8Array, signature: Uint8Array): boolean {
    const key = this.key('warren verified signature', publicKey, signature, signedBytes(label, body));
    return this.remember(key, () => this.primitives.ed25519.verify(publicKey, signedBytes(label, body), signature));
  }

  /** Ed25519: canonical and of prime order. X25519: canonical, and no point that makes every shared secret zero. */
  validKeys(signing: Uint8Array, noise: Uint8Array): boolean {
    const key = this.key('warren verified keys', signing, noise);
    return this.remember(
      key,
      () => isNoiseKey(this.primitives, this.probe, noise) && this.primitives.ed25519.isValidPublicKey(signing),
    );
  }

  private key(label: string, ...parts: readonly Uint8Array[]): string {
    return toHex(labelledHash(this.primitives.hash.SHA256, label, concat(...parts)).subarray(0, 20));
  }

  private remember(key: string, judge: () => boolean): boolean {
    if (this.good.has(key)) return true;
    if (!judge()) return false;
    if (this.good.size >= MAX_VERDICTS) {
      const [oldest] = this.good;
      this.good.delete(oldest!);
    }
    this.good.add(key);
    return true;
  }
}

/** Any scalar will do: clamping makes it a multiple of 8, which sends exactly the points of small order to zero. */
const PROBE = new Uint8Array(KEY_LENGTH).fill(1);

function isNoiseKey(primitives: Primitives, probe: Uint8Array, key: Uint8Array): boolean {
  if (key.length !== KEY_LENGTH || !isCanonicalU(key)) return false;
  try {
    primitives.x25519.dh(probe, key);
    return true;
  } catch {
    return false;
  }
}

/** Below 2^255 - 19, little-endian (RFC 7748 §5): otherwise one key has two spellings. */
function isCanonicalU(key: Uint8Array): boolean {
  if (key[31]! !== 0x7f) return key[31]! < 0x7f;
  for (let i = 30; i > 0; i--) if (key[i]! !== 0xff) return true;
  return key[0]! < 0xed;
}
