/**
 * What a passphrase protects: scrypt (RFC 7914) makes a key of it, XChaCha20-Poly1305 seals with that key. The cost and the
 * salt stand in the file, so that a later program may ask for more. One key seals several documents, each under a fresh
 * random nonce, and is kept in memory so that later writes need no passphrase.
 */
import { scrypt } from 'node:crypto';
import * as v from 'valibot';
import { equal, fromBase64url, toBase64url, utf8, wipe } from '../../protocol/bytes.js';
import type { Primitives } from '../../protocol/crypto/primitives.js';
import { WarrenError } from '../../protocol/errors.js';
import { bytesField } from './fields.js';

/** What guessing one passphrase costs: 128 · 2^logN · r bytes of memory, and time in proportion to it times p. */
export interface ScryptCost {
  readonly logN: number;
  readonly r: number;
  readonly p: number;
}

/** 128 MiB, half a second to a second. */
export const SCRYPT_COST: ScryptCost = { logN: 17, r: 8, p: 1 };

/** What a file may ask for, checked before anything is computed: at most 256 MiB. */
const LOG_N = { min: 10, max: 20 } as const;
const R = { min: 1, max: 16 } as const;
const P = { min: 1, max: 4 } as const;
const MAX_SCRYPT_BYTES = 256 * 1024 * 1024;

const SALT_BYTES = 16;
const NONCE_BYTES = 24;
const KEY_BYTES = 32;
const TAG_BYTES = 16;
/** Longer than any that a person types; a file of random bytes in text form fits. */
export const MAX_PASSPHRASE_BYTES = 1024;

const whole = ({ min, max }: { readonly min: number; readonly max: number }) =>
  v.pipe(v.number(), v.integer(), v.minValue(min), v.maxValue(max));

/** How a sealed document says what opens it. */
export const sealSchema = v.pipe(
  v.strictObject({
    kind: v.literal('passphrase'),
    kdf: v.literal('scrypt'),
    logN: whole(LOG_N),
    r: whole(R),
    p: whole(P),
    salt: bytesField(SALT_BYTES, SALT_BYTES),
    nonce: bytesField(NONCE_BYTES, NONCE_BYTES),
  }),
  v.check(({ logN, r }) => memoryOf({ logN, r }) <= MAX_SCRYPT_BYTES, 'more memory than is allowed'),
);

export type SealHeader = v.InferOutput<typeof sealSchema>;

function memoryOf({ logN, r }: Pick<ScryptCost, 'logN' | 'r'>): number {
  return 128 * 2 ** logN * r;
}

/**
 * A passphrase as bytes, composed (NFC) so that it is the same on every keyboard.
 * @throws WarrenError `passphrase` when it is empty or longer than MAX_PASSPHRASE_BYTES
 */
export function passphraseBytes(text: string): Uint8Array {
  const bytes = utf8(text.normalize('NFC'));
  if (bytes.length === 0)
    throw new WarrenError('passphrase', 'the passphrase is empty', { hint: 'choose a longer one' });
  if (bytes.length <= MAX_PASSPHRASE_BYTES) return bytes;
  throw new WarrenError('passphrase', `the passphrase has more than ${MAX_PASSPHRASE_BYTES} bytes`, {
    hint: 'choose a shorter one',
  });
}

export type SealTools = Pick<Primitives, 'xchachaPoly' | 'random'>;

interface SealParts {
  readonly cost: ScryptCost;
  readonly salt: Uint8Array;
  readonly key: Uint8Array;
}

/** A key made of a passphrase, ready to seal and open. */
export class Seal {
  private readonly parts: SealParts;
  private destroyed = false;

  private constructor(
    private readonly tools: SealTools,
    { cost: { logN, r, p }, salt, key }: SealParts,
  ) {
    this.parts = { cost: { logN, r, p }, salt, key };
  }

  /** With a salt of its own: for what is sealed for the first time. @param passphrase from passphraseBytes */
  static async fresh(tools: SealTools, passphrase: Uint8Array, cost: ScryptCost = SCRYPT_COST): Promise<Seal> {
    const salt = tools.random(SALT_BYTES);
    return new Seal(tools, { cost, salt, key: await derive(passphrase, salt, cost) });
  }

  /** With the salt and the cost of a sealed document; whether the passphrase is right shows when it is opened. */
  static async of(tools: SealTools, passphrase: Uint8Array, header: SealHeader): Promise<Seal> {
    const salt = header.salt.slice();
    return new Seal(tools, { cost: header, salt, key: await derive(passphrase, salt, header) });
  }

  /** What `handOver` gave; undefined when it is not that. */
  static take(tools: SealTools, text: string): Seal | undefined {
    const match = /^(\d{1,2})\.(\d{1,2})\.(\d{1,2})\.([\w-]{22})\.([\w-]{43})$/.exec(text);
    if (match === null) return undefined;
    const [logN = 0, r = 0, p = 0] = match.slice(1, 4).map(Number);
    try {
      return new Seal(tools, { cost: { logN, r, p }, salt: fromBase64url(match[4]!), key: fromBase64url(match[5]!) });
    } catch {
      return undefined;
    }
  }

  /** For the next process of the same home, which then needs no passphrase. As secret as what is sealed. */
  handOver(): string {
    this.requireKey();
    const { cost, salt, key } = this.parts;
    return `${cost.logN}.${cost.r}.${cost.p}.${toBase64url(salt)}.${toBase64url(key)}`;
  }

  /** Made with the salt and the cost that this header names. */
  isOf(header: SealHeader): boolean {
    const { cost, salt } = this.parts;
    return cost.logN === header.logN && cost.r === header.r && cost.p === header.p && equal(salt, header.salt);
  }

  /** A header for a document that is about to be sealed. */
  header(): SealHeader {
    const { cost, salt } = this.parts;
    return { kind: 'passphrase', kdf: 'scrypt', ...cost, salt, nonce: this.tools.random(NONCE_BYTES) };
  }

  /** @param ad what stands in clear beside it; the nonce is part of `header` */
  close(header: SealHeader, ad: Uint8Array, plaintext: Uint8Array): Uint8Array {
    this.requireKey();
    return this.tools.xchachaPoly.seal(this.parts.key, header.nonce, ad, plaintext);
  }

  /** @returns undefined when this is not the key, or anything was changed */
  open(header: SealHeader, ad: Uint8Array, sealed: Uint8Array): Uint8Array | undefined {
    this.requireKey();
    if (sealed.length < TAG_BYTES) return undefined;
    try {
      return this.tools.xchachaPoly.open(this.parts.key, header.nonce, ad, sealed);
    } catch {
      return undefined;
    }
  }

  /** Wipes the key; nothing can be sealed or opened after that. */
  destroy(): void {
    this.destroyed = true;
    wipe(this.parts.key);
  }

  /** A wiped key would seal with zeros. */
  private requireKey(): void {
    if (this.destroyed) throw new WarrenError('internal', 'the key of this passphrase is wiped');
  }
}

/** Off the event loop: it takes as long as a thousand requests. */
function derive(passphrase: Uint8Array, salt: Uint8Array, { logN, r, p }: ScryptCost): Promise<Uint8Array> {
  const options = { N: 2 ** logN, r, p, maxmem: memoryOf({ logN, r }) + 1024 * r * (p + 2) + 1024 * 1024 };
  return new Promise((resolve, reject) => {
    scrypt(passphrase, salt, KEY_BYTES, options, (error, key) => {
      if (error === null) resolve(new Uint8Array(key));
      else reject(new WarrenError('internal', 'the passphrase could not be turned into a key', { cause: error }));
    });
  });
}
