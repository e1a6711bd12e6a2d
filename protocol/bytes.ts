/** Bytes: reading, writing, comparing, wiping. No allocation that the caller does not see. */
import { WarrenError, malformed } from './errors.js';

export const EMPTY = new Uint8Array(0);

/** V8 keeps arrays up to this length in its own heap, as long as nobody asks for their ArrayBuffer. */
const IN_HEAP_BYTES = 64;

/** To copy so few bytes costs less than to look at their ArrayBuffer, or to make a view of them. */
export function areFew(length: number): boolean {
  return length <= IN_HEAP_BYTES;
}

/** One new array with all parts in order. */
export function concat(...parts: readonly Uint8Array[]): Uint8Array {
  let length = 0;
  for (const p of parts) length += p.length;
  const out = new Uint8Array(length);
  let at = 0;
  for (const p of parts) {
    out.set(p, at);
    at += p.length;
  }
  return out;
}

/** Compares in time that depends on the lengths only. */
export function equal(a: Uint8Array, b: Uint8Array): boolean {
  if (a.length !== b.length) return false;
  let diff = 0;
  for (let i = 0; i < a.length; i++) diff |= a[i]! ^ b[i]!;
  return diff === 0;
}

/** Byte order of two arrays, shorter first on a common prefix: negative, zero or positive. Not constant time. */
export function compare(a: Uint8Array, b: Uint8Array): number {
  const n = Math.min(a.length, b.length);
  for (let i = 0; i < n; i++) {
    const d = a[i]! - b[i]!;
    if (d !== 0) return d;
  }
  return a.length - b.length;
}

/** Overwrites a secret; what the garbage collector copied before is out of reach. */
export function wipe(...secrets: readonly (Uint8Array | undefined)[]): void {
  for (const s of secrets) s?.fill(0);
}

const encoder = new TextEncoder();
const decoder = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true });

/** A call into the encoder costs more than so many letters one by one. */
const FEW_LETTERS = 64;

export function utf8(text: string): Uint8Array {
  if (text.length > FEW_LETTERS) return encoder.encode(text);
  const bytes = new Uint8Array(text.length);
  for (let i = 0; i < bytes.length; i++) {
    const code = text.charCodeAt(i);
    if (code > 0x7f) return encoder.encode(text);
    bytes[i] = code;
  }
  return bytes;
}

/** @throws WarrenError `malformed` when the bytes are not UTF-8 */
export function fromUtf8(bytes: Uint8Array, what = 'text'): string {
  try {
    return decoder.decode(bytes);
  } catch {
    throw malformed(what, 'not UTF-8');
  }
}

const HEX = Array.from({ length: 256 }, (_, i) => i.toString(16).padStart(2, '0'));

export function toHex(bytes: Uint8Array): string {
  let out = '';
  for (const b of bytes) out += HEX[b]!;
  return out;
}

/** @throws WarrenError `malformed` on odd length or a character outside 0-9a-fA-F */
export function fromHex(text: string): Uint8Array {
  if (text.length % 2 !== 0 || /[^0-9a-fA-F]/.test(text)) throw malformed('hex', 'not pairs of hex digits');
  const out = new Uint8Array(text.length / 2);
  for (let i = 0; i < out.length; i++) out[i] = Number.parseInt(text.slice(2 * i, 2 * i + 2), 16);
  return out;
}

const B64URL = 'ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_';
const B64URL_LETTERS = utf8(B64URL);
const B64URL_VALUE = new Map([...B64URL].map((c, i) => [c, i]));

/** RFC 4648 §5, without padding. */
export function toBase64url(bytes: Uint8Array): string {
  // Letters first, then one string: one that grows by a letter at a time is many times as slow.
  const letters = new Uint8Array(Math.ceil(bytes.length / 3) * 4);
  for (let from = 0, to = 0; from < bytes.length; from += 3, to += 4) {
    const n = (bytes[from]! << 16) | ((bytes[from + 1] ?? 0) << 8) | (bytes[from + 2] ?? 0);
    letters[to] = B64URL_LETTERS[n >> 18]!;
    letters[to + 1] = B64URL_LETTERS[(n >> 12) & 63]!;
    letters[to + 2] = B64URL_LETTERS[(n >> 6) & 63]!;
    letters[to + 3] = B64URL_LETTERS[n & 63]!;
  }
  return decoder.decode(letters.subarray(0, Math.ceil((bytes.length * 4) / 3)));
}

/** Strict: no padding, no other alphabet, unused bits zero. @throws WarrenError `malformed` */
export function fromBase64url(text: string): Uint8Array {
  const rest = text.length % 4;
  if (rest === 1) throw malformed('base64url', 'impossible length');
  const out = new Uint8Array(Math.floor((text.length * 3) / 4));
  let acc = 0;
  let bits = 0;
  let at = 0;
  for (const c of text) {
    const v = B64URL_VALUE.get(c);
    if (v === undefined) throw malformed('base64url', 'a character outside the alphabet');
    acc = ((acc << 6) | v) & 0xffffff;
    bits += 6;
    if (bits >= 8) {
      bits -= 8;
      out[at++] = (acc >> bits) & 0xff;
    }
  }
  if (bits > 0 && (acc & ((1 << bits) - 1)) !== 0) throw malformed('base64url', 'unused bits set');
  return out;
}

/** Largest value of a varint here: JavaScript's exact integers, below the 2^62 of RFC 9000 §16. */
export const VARINT_MAX = Number.MAX_SAFE_INTEGER;

/** Bytes that `writeVarint` uses for n: 1, 2, 4 or 8 (RFC 9000 §16). */
export function varintLength(n: number): 1 | 2 | 4 | 8 {
  if (n < 0x40) return 1;
  if (n < 0x4000) return 2;
  if (n < 0x40000000) return 4;
  return 8;
}

/** Writes n (0 ≤ n ≤ VARINT_MAX) at `at` in its shortest form, RFC 9000 §16; returns the offset behind it. */
export function writeVarint(out: Uint8Array, at: number, n: number): number {
  if (n < 0x40) {
    out[at] = n;
    return at + 1;
  }
  if (n < 0x4000) {
    out[at] = 0x40 | (n >> 8);
    out[at + 1] = n & 0xff;
    return at + 2;
  }
  if (n < 0x40000000) {
    out[at] = 0x80 | (n >>> 24);
    out[at + 1] = (n >>> 16) & 0xff;
    out[at + 2] = (n >>> 8) & 0xff;
    out[at + 3] = n & 0xff;
    return at + 4;
  }
  const high = Math.floor(n / 0x100000000);
  const low = n >>> 0;
  out[at] = 0xc0 | (high >>> 24);
  out[at + 1] = (high >>> 16) & 0xff;
  out[at + 2] = (high >>> 8) & 0xff;
  out[at + 3] = high & 0xff;
  out[at + 4] = low >>> 24;
  out[at + 5] = (low >>> 16) & 0xff;
  out[at + 6] = (low >>> 8) & 0xff;
  out[at + 7] = low & 0xff;
  return at + 8;
}

/** Reads a structure front to back; every read is checked against the end. */
export class Reader {
  at = 0;

  /** @param what names the structure in errors */
  constructor(
    readonly bytes: Uint8Array,
    readonly what = 'message',
  ) {}

  get left(): number {
    return this.bytes.length - this.at;
  }

  private need(n: number): void {
    if (n > this.left) throw malformed(this.what, 'ends too early');
  }

  u8(): number {
    this.need(1);
    return this.bytes[this.at++]!;
  }

  u16(): number {
    this.need(2);
    const v = (this.bytes[this.at]! << 8) | this.bytes[this.at + 1]!;
    this.at += 2;
    return v;
  }

  /** RFC 9000 §16 varint in its shortest form, at most VARINT_MAX. */
  varint(): number {
    this.need(1);
    const first = this.bytes[this.at]!;
    const length = 1 << (first >> 6);
    this.need(length);
    let v = first & 0x3f;
    for (let i = 1; i < length; i++) v = v * 256 + this.bytes[this.at + i]!;
    if (v > VARINT_MAX) throw malformed(this.what, 'a number beyond 2^53-1');
    if (varintLength(v) !== length) throw malformed(this.what, 'a number not in its shortest form');
    this.at += length;
    return v;
  }

  /** A view, not a copy. */
  take(n: number): Uint8Array {
    this.need(n);
    const v = this.bytes.subarray(this.at, this.at + n);
    this.at += n;
    return v;
  }

  /** varint length, then that many bytes; at most `max`. A view, not a copy. */
  vector(max: number): Uint8Array {
    const n = this.varint();
    if (n > max) throw malformed(this.what, `a field of ${n} bytes, at most ${max} are allowed`);
    return this.take(n);
  }

  text(max: number): string {
    return fromUtf8(this.vector(max), this.what);
  }

  rest(): Uint8Array {
    return this.take(this.left);
  }

  /** @throws WarrenError `malformed` if bytes are left over */
  end(): void {
    if (this.left !== 0) throw malformed(this.what, `${this.left} bytes too many`);
  }
}

/** Builds a structure front to back in a buffer that grows. */
export class Writer {
  private buffer: Uint8Array;
  private at = 0;

  constructor(capacity = 256) {
    this.buffer = new Uint8Array(capacity);
  }

  private room(n: number): void {
    if (this.at + n <= this.buffer.length) return;
    const grown = new Uint8Array(Math.max(this.buffer.length * 2, this.at + n));
    grown.set(this.buffer.subarray(0, this.at));
    this.buffer = grown;
  }

  u8(n: number): this {
    this.room(1);
    this.buffer[this.at++] = n;
    return this;
  }

  u16(n: number): this {
    this.room(2);
    this.buffer[this.at++] = (n >> 8) & 0xff;
    this.buffer[this.at++] = n & 0xff;
    return this;
  }

  varint(n: number): this {
    if (!Number.isSafeInteger(n) || n < 0) throw new WarrenError('internal', `not a varint: ${n}`);
    this.room(8);
    this.at = writeVarint(this.buffer, this.at, n);
    return this;
  }

  bytes(b: Uint8Array): this {
    this.room(b.length);
    this.buffer.set(b, this.at);
    this.at += b.length;
    return this;
  }

  vector(b: Uint8Array): this {
    return this.varint(b.length).bytes(b);
  }

  text(s: string): this {
    return this.vector(utf8(s));
  }

  /** What was written. */
  finish(): Uint8Array {
    // A view makes V8 move a small array out of its heap first, which costs more than a copy within it.
    return areFew(this.at) ? this.buffer.slice(0, this.at) : this.buffer.subarray(0, this.at);
  }
}
