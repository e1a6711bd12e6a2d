/**
 * Versioned JSON documents: {format, version, protection, body}. Byte strings are base64url in the file and Uint8Array in
 * the program. The body lies open under the file's mode alone, or sealed by a passphrase (sealed.ts); then everything
 * beside it is authenticated with it. A damaged file is never replaced by an empty one: the daemon refuses to start on it.
 */
import * as v from 'valibot';
import { fromBase64url, toBase64url, utf8, wipe } from '../../protocol/bytes.js';
import { WarrenError } from '../../protocol/errors.js';
import { writeFileAtomic, type FileOps } from './atomic.js';
import { sealSchema, type Seal, type SealHeader } from './sealed.js';
import { textOf, unusable } from './secret-file.js';

/** How the secrets in a document are kept. `none`: by the file's mode alone. */
const PROTECTION_NONE = { kind: 'none' } as const;
const KNOWN_PROTECTIONS: readonly string[] = ['none', 'passphrase'];

export interface DocumentKind<S extends v.GenericSchema> {
  /** names the document, so that one file is not taken for another */
  readonly format: string;
  /** the newest version that this program writes and reads */
  readonly version: number;
  /** of the body */
  readonly schema: S;
}

/** What stands in clear beside a sealed body: short values that are no secret. */
export type About = Readonly<Record<string, string>>;

const MAX_ABOUT = 16;

const envelopeSchema = v.strictObject({
  format: v.pipe(v.string(), v.maxLength(64)),
  version: v.pipe(v.number(), v.safeInteger(), v.minValue(1)),
  protection: v.looseObject({ kind: v.string() }),
  about: v.optional(
    v.pipe(
      v.record(v.pipe(v.string(), v.maxLength(64)), v.pipe(v.string(), v.maxLength(256))),
      v.check(about => Object.keys(about).length <= MAX_ABOUT),
    ),
    {},
  ),
  body: v.unknown(),
});

/** A document whose envelope is read; its body is not yet. */
export interface Envelope {
  readonly file: string;
  readonly format: string;
  readonly version: number;
  readonly about: About;
  /** undefined: it is not sealed */
  readonly seal: SealHeader | undefined;
  readonly body: unknown;
}

/** @throws WarrenError `home` when the text is damaged, of a newer version or protected in a way not known here */
export function readEnvelope(file: string, text: string, kinds: readonly DocumentKind<v.GenericSchema>[]): Envelope {
  const parsed = v.safeParse(envelopeSchema, parseJson(file, text));
  if (!parsed.success) throw unusable(file, 'it is damaged');
  const { format, version, protection, about, body } = parsed.output;
  const kind = kinds.find(k => k.format === format);
  if (kind === undefined) {
    throw unusable(file, `it holds ${JSON.stringify(format)}, not ${kinds.map(k => k.format).join(' or ')}`);
  }
  if (version > kind.version) {
    throw unusable(file, `its version ${version} is newer than this program`, 'use the newer program that wrote it');
  }
  if (!KNOWN_PROTECTIONS.includes(protection.kind)) throw unusable(file, 'its protection is not known here');
  return { file, format, version, about, seal: sealOf(file, protection), body };
}

function sealOf(file: string, protection: { readonly kind: string }): SealHeader | undefined {
  if (protection.kind === PROTECTION_NONE.kind) return undefined;
  const header = v.safeParse(sealSchema, protection);
  if (!header.success) throw unusable(file, 'it is damaged at protection');
  return header.output;
}

/**
 * @param seal made with this envelope's `seal`; not needed for a body that lies open
 * @returns the checked body
 * @throws WarrenError `passphrase` when it is missing or does not open the body, `home` when the body is damaged
 */
export function openEnvelope<S extends v.GenericSchema>(
  envelope: Envelope,
  kind: DocumentKind<S>,
  seal?: Seal,
): v.InferOutput<S> {
  const { file } = envelope;
  const result = v.safeParse(kind.schema, envelope.seal === undefined ? envelope.body : unsealed(envelope, seal));
  if (result.success) return result.output;
  const [issue] = result.issues;
  // the message of an issue may quote what it found, and here that is a secret: only the place is told
  throw unusable(file, `it is damaged at ${v.getDotPath(issue) ?? 'its top'}`);
}

function unsealed(envelope: Envelope, seal: Seal | undefined): unknown {
  const { file, body } = envelope;
  const header = envelope.seal!;
  if (seal === undefined) throw needsPassphrase(file);
  const sealed = bytesOf(file, body);
  const plaintext = seal.isOf(header) ? seal.open(header, boundTo(envelope, header), sealed) : undefined;
  if (plaintext === undefined) throw wrongPassphrase(file);
  try {
    return parseJson(file, textOf(file, plaintext));
  } finally {
    wipe(plaintext);
  }
}

function bytesOf(file: string, body: unknown): Uint8Array {
  try {
    if (typeof body === 'string') return fromBase64url(body);
  } catch {
    // told below
  }
  throw unusable(file, 'it is damaged at its body');
}

/** The refusal of a sealed document without a passphrase. */
export function needsPassphrase(file: string): WarrenError {
  return new WarrenError('passphrase', `${file} is protected by a passphrase, and none was given`, {
    hint: 'give it with --passphrase-file FILE, or run the command on a terminal, which asks for it',
  });
}

function wrongPassphrase(file: string): WarrenError {
  return new WarrenError('passphrase', `the passphrase does not open ${file}: it is wrong, or the file is damaged`, {
    hint: 'try again; nothing has changed',
  });
}

/** What is authenticated with a sealed body. */
function boundTo(said: Pick<Envelope, 'format' | 'version' | 'about'>, header: SealHeader): Uint8Array {
  const { kdf, logN, r, p, salt } = header;
  const about = Object.entries(said.about).sort(([a], [b]) => (a < b ? -1 : 1));
  return utf8(
    JSON.stringify(['warren sealed v1', said.format, said.version, about, kdf, logN, r, p, toBase64url(salt)]),
  );
}

/**
 * A document that must not be sealed, or for which the seal is at hand.
 * @returns the checked body. @throws WarrenError `home`, `passphrase`
 */
export function openDocument<S extends v.GenericSchema>(
  file: string,
  text: string,
  kind: DocumentKind<S>,
  seal?: Seal,
): v.InferOutput<S> {
  return openEnvelope(readEnvelope(file, text, [kind]), kind, seal);
}

function parseJson(file: string, text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    throw unusable(file, 'it is damaged (not JSON)');
  }
}

/** What a body may hold; bytes become base64url, what is undefined is left out. */
export type Storable =
  | string
  | number
  | boolean
  | null
  | Uint8Array
  | readonly Storable[]
  | { readonly [key: string]: Storable | undefined };

export interface DocumentContent {
  readonly format: string;
  readonly version: number;
  readonly body: Storable;
  /** only beside a sealed body, which authenticates it */
  readonly about?: About;
}

export interface SaveRequest extends DocumentContent {
  /** seals the body; left out: it lies open */
  readonly seal?: Seal | undefined;
  readonly ops?: FileOps | undefined;
}

/** Writes a document atomically with the mode 0600. @throws WarrenError `disk`; the old file is then in place */
export function saveDocument(file: string, request: SaveRequest): void {
  const { seal, ops } = request;
  const text = seal === undefined ? openText(request) : sealedText(request, seal);
  writeFileAtomic(file, text, { mode: 0o600, ...(ops === undefined ? {} : { ops }) });
}

function openText({ format, version, body }: DocumentContent): string {
  return printed({ format, version, protection: PROTECTION_NONE, body: encode(body) });
}

/** The text of a document whose body is sealed. */
export function sealedText({ format, version, body, about = {} }: DocumentContent, seal: Seal): string {
  const header = seal.header();
  const plaintext = utf8(JSON.stringify(encode(body)));
  const sealed = seal.close(header, boundTo({ format, version, about }, header), plaintext);
  wipe(plaintext);
  const shown = Object.keys(about).length === 0 ? {} : { about };
  return printed({ format, version, protection: encode({ ...header }), ...shown, body: toBase64url(sealed) });
}

function printed(document: object): string {
  return `${JSON.stringify(document, undefined, 1)}\n`;
}

function encode(value: Storable | undefined): unknown {
  // The same text as toBase64url makes, a dozen times as fast: a trust file has thousands of items.
  if (value instanceof Uint8Array)
    return Buffer.from(value.buffer, value.byteOffset, value.byteLength).toString('base64url');
  if (value === null || value === undefined || typeof value !== 'object') return value;
  if (isList(value)) return value.map(encode);
  const encoded: Record<string, unknown> = {};
  for (const [key, inner] of Object.entries(value)) encoded[key] = encode(inner);
  return encoded;
}

function isList(value: object): value is readonly Storable[] {
  return Array.isArray(value);
}
