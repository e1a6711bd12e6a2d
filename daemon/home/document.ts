/**
 * Versioned JSON documents of the home: {format, version, protection, body}. Byte strings are base64url in the file and
 * Uint8Array in the program. A damaged file is never replaced by an empty one: the daemon refuses to start on it.
 */
import * as fs from 'node:fs';
import * as v from 'valibot';
import { fromBase64url, fromUtf8, toBase64url } from '../../protocol/bytes.js';
import { WarrenError } from '../../protocol/errors.js';
import { codeOf, writeFileAtomic, type FileOps } from './atomic.js';
import { readable } from './home.js';

const OTHERS = 0o077;

/** How the secrets in a document are kept. `none`: by the file's mode alone. */
const PROTECTION_NONE = { kind: 'none' } as const;

export interface DocumentKind<S extends v.GenericSchema> {
  /** names the document, so that one file is not taken for another */
  readonly format: string;
  /** the newest version that this program writes and reads */
  readonly version: number;
  /** of the body */
  readonly schema: S;
}

/** Bytes in a document. @param min, max length in bytes */
export function bytesField(min: number, max: number) {
  return v.pipe(
    v.string(),
    v.maxLength(Math.ceil((max * 4) / 3)),
    v.rawTransform(({ dataset, addIssue, NEVER }) => {
      try {
        const bytes = fromBase64url(dataset.value);
        if (bytes.length >= min && bytes.length <= max) return bytes;
      } catch {
        // told below
      }
      addIssue({ message: `expected ${min === max ? min : `${min} to ${max}`} bytes in base64url` });
      return NEVER;
    }),
  );
}

/**
 * Reads a file that only this user may read. The mode is judged on the opened file, so it cannot be swapped between.
 * @param max bytes
 * @returns undefined when there is none
 * @throws WarrenError `home`
 */
export function readSecretFile(file: string, max: number, platform: string = process.platform): string | undefined {
  let fd: number;
  try {
    fd = fs.openSync(file, 'r');
  } catch (error) {
    if (codeOf(error) === 'ENOENT') return undefined;
    throw unusable(file, `it cannot be opened (${codeOf(error)})`, 'it must belong to the user that runs the daemon');
  }
  try {
    const stats = fs.fstatSync(fd);
    if (!stats.isFile()) throw unusable(file, 'it is not a file');
    if (platform !== 'win32' && (stats.mode & OTHERS) !== 0) throw readable(file, stats.mode);
    if (stats.size > max) throw unusable(file, `it has ${stats.size} bytes, at most ${max} are possible`);
    return textOf(file, fs.readFileSync(fd));
  } finally {
    fs.closeSync(fd);
  }
}

function textOf(file: string, bytes: Uint8Array): string {
  try {
    return fromUtf8(bytes);
  } catch {
    throw unusable(file, 'it is not UTF-8');
  }
}

/** @returns the checked body. @throws WarrenError `home` when the text is damaged, protected or of a newer version */
export function openDocument<S extends v.GenericSchema>(
  file: string,
  text: string,
  kind: DocumentKind<S>,
): v.InferOutput<S> {
  const envelope = v.safeParse(envelopeSchema, parseJson(file, text));
  if (!envelope.success) throw unusable(file, 'it is damaged');
  const { format, version, protection, body } = envelope.output;
  if (format !== kind.format) throw unusable(file, `it holds ${JSON.stringify(format)}, not ${kind.format}`);
  if (version > kind.version) {
    throw unusable(file, `its version ${version} is newer than this program`, 'use the newer program that wrote it');
  }
  if (protection.kind !== PROTECTION_NONE.kind) throw unusable(file, `its protection is not known here`);
  const result = v.safeParse(kind.schema, body);
  if (result.success) return result.output;
  const [issue] = result.issues;
  // the message of an issue may quote what it found, and here that is a secret: only the place is told
  throw unusable(file, `it is damaged at ${v.getDotPath(issue) ?? 'its top'}`);
}

const envelopeSchema = v.strictObject({
  format: v.pipe(v.string(), v.maxLength(64)),
  version: v.pipe(v.number(), v.safeInteger(), v.minValue(1)),
  protection: v.looseObject({ kind: v.string() }),
  body: v.unknown(),
});

function parseJson(file: string, text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    throw unusable(file, 'it is damaged (not JSON)');
  }
}

function unusable(
  file: string,
  why: string,
  hint = 'restore it from a backup, or use another home: --home DIR',
): WarrenError {
  return new WarrenError('home', `${file} cannot be used: ${why}`, { hint });
}

/** What a body may hold; bytes become base64url. */
export type Storable =
  string | number | boolean | null | Uint8Array | readonly Storable[] | { readonly [key: string]: Storable };

export interface SaveRequest {
  readonly format: string;
  readonly version: number;
  readonly body: Storable;
  readonly ops?: FileOps;
}

/** Writes a document atomically with the mode 0600. @throws WarrenError `disk`; the old file is then in place */
export function saveDocument(file: string, request: SaveRequest): void {
  const { format, version, body, ops } = request;
  const text = JSON.stringify({ format, version, protection: PROTECTION_NONE, body: encode(body) }, undefined, 1);
  writeFileAtomic(file, `${text}\n`, { mode: 0o600, ...(ops === undefined ? {} : { ops }) });
}

function encode(value: Storable): unknown {
  if (value instanceof Uint8Array) return toBase64url(value);
  if (value === null || typeof value !== 'object') return value;
  if (isList(value)) return value.map(encode);
  return Object.fromEntries(Object.entries(value).map(([key, inner]) => [key, encode(inner)]));
}

function isList(value: object): value is readonly Storable[] {
  return Array.isArray(value);
}
