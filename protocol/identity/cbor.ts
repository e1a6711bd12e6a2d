/**
 * Deterministic CBOR (RFC 8949 §4.2.1), and the readers with which every structure takes its fields apart.
 *
 * What is signed must have one encoding only, so the decoder admits no other: no indefinite lengths, tags, floats,
 * null or undefined, no duplicate keys, and whatever does not encode to the very same bytes again is refused.
 * Structures are maps with small integer keys. None that is signed admits a key it does not know: an old node must
 * not affirm what it cannot read. What changes gets a new version number instead.
 */
import { Tokenizer, Type, decode, encode, rfc8949EncodeOptions } from 'cborg';
import type { Token } from 'cborg';
import { equal } from '../bytes.js';
import { WarrenError, malformed } from '../errors.js';

export type CborKey = number | string;
export type CborValue = number | string | boolean | Uint8Array | readonly CborValue[] | CborMap;
export type CborMap = ReadonlyMap<CborKey, CborValue>;

/** Arrays and maps inside one another; every structure here needs at most four. */
export const MAX_DEPTH = 8;

/** A map from key-value pairs; pairs whose value is undefined are left out, which is how optional fields are absent. */
export function cborMap(entries: readonly (readonly [CborKey, CborValue | undefined])[]): CborMap {
  const map = new Map<CborKey, CborValue>();
  for (const [key, value] of entries) if (value !== undefined) map.set(key, value);
  return map;
}

/**
 * @returns the one encoding of `value`
 * @throws WarrenError `internal` when the value is outside what the decoder admits: a fault of the caller
 */
export function encodeCanonical(value: CborValue): Uint8Array {
  if (!isPlain(value, 0)) throw new WarrenError('internal', 'a value that deterministic CBOR here does not carry');
  // A copy of its own: the library hands out views of a shared pool.
  return new Uint8Array(encode(value, rfc8949EncodeOptions));
}

/**
 * @param bytes from outside
 * @param what names the structure in errors
 * @param maxBytes longest admitted encoding
 * @throws WarrenError `malformed`
 */
export function decodeCanonical(bytes: Uint8Array, what: string, maxBytes: number): CborValue {
  if (bytes.length > maxBytes) throw malformed(what, `${bytes.length} bytes, at most ${maxBytes} are allowed`);
  const value = decodeStrict(bytes, what);
  if (!isPlain(value, 0) || !equal(encode(value, rfc8949EncodeOptions), bytes)) {
    throw malformed(what, 'not the one deterministic encoding');
  }
  return value;
}

/** As decodeCanonical, for a structure: its top is a map. */
export function decodeFields(bytes: Uint8Array, what: string, maxBytes: number): Fields {
  return Fields.of(decodeCanonical(bytes, what, maxBytes), what);
}

function decodeStrict(bytes: Uint8Array, what: string): CborValue {
  const options = {
    allowIndefinite: false,
    allowUndefined: false,
    allowInfinity: false,
    allowNaN: false,
    allowBigInt: false,
    strict: true,
    useMaps: true,
    rejectDuplicateMapKeys: true,
  };
  // A plain view: the library tells Buffers apart.
  const data = new Uint8Array(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  try {
    return decode(data, { ...options, tokenizer: new StrictTokenizer(data, options) }) as CborValue;
  } catch (error) {
    // The library's sentence may quote what it read; the error names only the structure.
    throw error instanceof Refusal ? malformed(what, error.message) : malformed(what, 'not well-formed CBOR');
  }
}

class Refusal extends Error {}

/** Refuses what has no place here before anything is built from it; knows how deep it is by counting what is owed. */
class StrictTokenizer extends Tokenizer {
  private readonly owed: number[] = [];

  override next(): Token {
    const token = super.next();
    while (this.owed.at(-1) === 0) this.owed.pop();
    if (this.owed.length > 0) this.owed[this.owed.length - 1]! -= 1;
    if (token.type === Type.array || token.type === Type.map) this.open(token);
    else if (!SCALARS.has(token.type)) throw new Refusal(`${token.type.name} is not allowed`);
    return token;
  }

  private open(token: Token): void {
    const count = token.value as number;
    if (count > this.data.length) throw new Refusal('a length beyond the end');
    if (this.owed.length >= MAX_DEPTH) throw new Refusal(`more than ${MAX_DEPTH} levels deep`);
    this.owed.push(token.type === Type.map ? 2 * count : count);
  }
}

const SCALARS = new Set<Type>([Type.uint, Type.negint, Type.bytes, Type.string, Type.true, Type.false]);

function isPlain(value: unknown, depth: number): value is CborValue {
  if (typeof value === 'number') return Number.isSafeInteger(value) && !Object.is(value, -0);
  if (typeof value === 'string') return !/\p{Surrogate}/u.test(value);
  if (typeof value === 'boolean' || value instanceof Uint8Array) return true;
  if (depth >= MAX_DEPTH) return false;
  if (Array.isArray(value)) return value.every(v => isPlain(v, depth + 1));
  if (!(value instanceof Map)) return false;
  return [...value].every(([k, v]) => isKey(k) && isPlain(v, depth + 1));
}

function isKey(key: unknown): key is CborKey {
  return typeof key === 'string' ? isPlain(key, 0) : typeof key === 'number' && isPlain(key, 0);
}

/**
 * The fields of one map, taken by key; each reader checks type and bounds. `end` refuses keys that nobody took, so a
 * structure that calls it admits no unknown field.
 */
export class Fields {
  private readonly left: Map<CborKey, CborValue>;

  private constructor(
    map: CborMap,
    readonly what: string,
  ) {
    this.left = new Map(map);
  }

  /** @throws WarrenError `malformed` unless `value` is a map */
  static of(value: CborValue, what: string): Fields {
    if (!(value instanceof Map)) throw malformed(what, 'not a map');
    return new Fields(value, what);
  }

  has(key: CborKey): boolean {
    return this.left.has(key);
  }

  private take(key: CborKey, name: string): CborValue {
    const value = this.left.get(key);
    if (value === undefined) throw malformed(this.what, `${name} is missing`);
    this.left.delete(key);
    return value;
  }

  /** Bytes of exactly `length`, or of any length up to `max` when given `{ max }`. */
  bytes(key: CborKey, name: string, length: number | { readonly max: number }): Uint8Array {
    const value = this.take(key, name);
    if (!(value instanceof Uint8Array)) throw malformed(this.what, `${name} is not bytes`);
    if (typeof length === 'number') {
      if (value.length !== length) throw malformed(this.what, `${name} has ${value.length} bytes instead of ${length}`);
    } else if (value.length > length.max) {
      throw malformed(this.what, `${name} has ${value.length} bytes, at most ${length.max} are allowed`);
    }
    return value;
  }

  optionalBytes(key: CborKey, name: string, length: number | { readonly max: number }): Uint8Array | undefined {
    return this.has(key) ? this.bytes(key, name, length) : undefined;
  }

  /** An integer from 0 to `max`. */
  uint(key: CborKey, name: string, max = Number.MAX_SAFE_INTEGER): number {
    const value = this.take(key, name);
    if (typeof value !== 'number' || value < 0) throw malformed(this.what, `${name} is not a natural number`);
    if (value > max) throw malformed(this.what, `${name} is ${value}, at most ${max} is allowed`);
    return value;
  }

  optionalUint(key: CborKey, name: string, max?: number): number | undefined {
    return this.has(key) ? this.uint(key, name, max) : undefined;
  }

  /** Text of at most `max` UTF-16 units for which `accept` holds. */
  text(key: CborKey, name: string, max: number, accept: (text: string) => boolean = () => true): string {
    return this.checkedText(this.take(key, name), name, max, accept);
  }

  optionalText(key: CborKey, name: string, max: number, accept?: (text: string) => boolean): string | undefined {
    return this.has(key) ? this.text(key, name, max, accept) : undefined;
  }

  private checkedText(value: CborValue, name: string, max: number, accept: (text: string) => boolean): string {
    if (typeof value !== 'string') throw malformed(this.what, `${name} is not text`);
    if (value.length > max) throw malformed(this.what, `${name} is longer than ${max} characters`);
    if (!accept(value)) throw malformed(this.what, `${name} is not allowed`);
    return value;
  }

  /** An array of at most `max` entries, each read by `read`. */
  list<T>(key: CborKey, name: string, max: number, read: (value: CborValue) => T): T[] {
    const value = this.take(key, name);
    if (!Array.isArray(value)) throw malformed(this.what, `${name} is not a list`);
    if (value.length > max) throw malformed(this.what, `${name} has more than ${max} entries`);
    return (value as readonly CborValue[]).map(read);
  }

  /** A list of texts without duplicates (`fold` says what counts as the same); absent when empty, and only then. */
  texts(
    key: CborKey,
    name: string,
    limits: { readonly count: number; readonly length: number },
    accept: (text: string) => boolean,
    fold: (text: string) => string = text => text,
  ): readonly string[] {
    if (!this.has(key)) return [];
    const texts = this.list(key, name, limits.count, v => this.checkedText(v, name, limits.length, accept));
    if (texts.length === 0) throw malformed(this.what, `${name} is empty instead of absent`);
    if (new Set(texts.map(fold)).size !== texts.length) throw malformed(this.what, `${name} repeats an entry`);
    return texts;
  }

  /** True, or absent for false. */
  flag(key: CborKey, name: string): boolean {
    if (!this.has(key)) return false;
    if (this.take(key, name) !== true) throw malformed(this.what, `${name} is neither true nor absent`);
    return true;
  }

  /** The version number that every structure carries under key 0; another one is refused as such. */
  version(expected: number): void {
    const value = this.uint(0, 'version');
    if (value === expected) return;
    throw new WarrenError('version', `${this.what}: version ${value} is not known here`, { wire: 'version' });
  }

  /** @throws WarrenError `malformed` if a key was not taken */
  end(): void {
    const [key] = this.left.keys();
    if (key !== undefined) throw malformed(this.what, `unknown field ${typeof key === 'number' ? key : 'by name'}`);
  }
}
