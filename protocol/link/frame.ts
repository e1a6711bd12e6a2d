/**
 * Frames: what records carry (docs/protocol.md, "Frames"). A record holds one or more whole frames:
 *
 *   type varint ‖ length varint ‖ body
 *
 * Numbers are varints of RFC 9000 §16 in their shortest form. An unknown type with bit 0 set is skipped, any other
 * closes the link as `unsupported`. This file has the layout of all frames of links, attach and streams; the bodies of
 * the admission frames (0x50 …) belong to the handshake.
 */
import { Reader, Writer, fromUtf8, utf8, varintLength, writeVarint } from '../bytes.js';
import { CODES, codeName, type Code } from '../codes.js';
import { WarrenError, malformed } from '../errors.js';
import {
  MAX_CLAIM,
  MAX_CLOSE_TEXT,
  MAX_INSTANCE,
  MAX_METADATA,
  MAX_METADATA_ENTRIES,
  MAX_NEWS,
  MAX_OFFSET,
  MAX_SERVICE_NAME,
} from '../limits.js';

export const FRAME = {
  // attach
  NEW: 0x02,
  ATTACH: 0x04,
  NEW_OK: 0x06,
  ATTACHED: 0x08,
  UNKNOWN: 0x0a,
  CONFIRM: 0x0c,
  RESUMED: 0x0e,
  // streams
  POOL: 0x10,
  OPEN: 0x12,
  OPENED: 0x14,
  DATA: 0x16,
  FIN: 0x18,
  WINDOW: 0x1a,
  RESET: 0x1c,
  GOAWAY: 0x1e,
  // links
  PING: 0x20,
  PONG: 0x22,
  LINKACK: 0x24,
  CLOSE: 0x26,
  // reserved, skipped: datagram{flow, bytes}
  DATAGRAM: 0x31,
  // items that are not about streams
  NEWS: 0x41,
  // admission: bodies in protocol/handshake/
  HAVE: 0x50,
  ITEM: 0x52,
  DONE: 0x54,
  NEXT: 0x56,
  SECRET: 0x58,
  // odd: passed over by a session that has begun already
  ADMIT: 0x5b,
} as const;

export type FrameName = keyof typeof FRAME;

/** True for an unknown type that a receiver passes over. */
export function isSkippable(type: number): boolean {
  return type % 2 === 1;
}

/** Bytes of a whole frame with a body of `body` bytes. */
export function frameLength(type: number, body: number): number {
  return varintLength(type) + varintLength(body) + body;
}

/**
 * Calls `onFrame` with each frame of a record's plaintext, in order; bodies are views.
 * @throws WarrenError `malformed` when the last frame is cut off or there is none
 */
export function readFrames(plaintext: Uint8Array, onFrame: (type: number, body: Uint8Array) => void): void {
  if (plaintext.length === 0) throw malformed('record', 'empty');
  const reader = new Reader(plaintext, 'frame');
  while (reader.left > 0) {
    const type = reader.varint();
    const length = reader.varint();
    onFrame(type, reader.take(length));
  }
}

// ── link frames ────────────────────────────────────────────────────────────────────────────────────────────────────

export const PING_BYTES = 8;

/** PING and PONG: an opaque nonce of 8 bytes. */
export function decodePing(body: Uint8Array): Uint8Array {
  if (body.length !== PING_BYTES) throw malformed('PING', `${body.length} bytes`);
  return body;
}

/** LINKACK: records received on this link in all, and how long ago the last of them came, µs. */
export interface LinkAck {
  readonly records: number;
  readonly delay: number;
}

export function encodeLinkAck(ack: LinkAck): Uint8Array {
  return new Writer(16).varint(ack.records).varint(ack.delay).finish();
}

export function decodeLinkAck(body: Uint8Array): LinkAck {
  const r = new Reader(body, 'LINKACK');
  const ack = { records: r.varint(), delay: r.varint() };
  r.end();
  return ack;
}

/** CLOSE: u16 code, then a sentence for the log. */
export interface Close {
  readonly code: Code;
  readonly text: string;
}

export function encodeClose(code: Code, text: string): Uint8Array {
  const bytes = utf8(text);
  return new Writer(2 + MAX_CLOSE_TEXT)
    .u16(CODES[code])
    .bytes(bytes.length <= MAX_CLOSE_TEXT ? bytes : cutUtf8(bytes, MAX_CLOSE_TEXT))
    .finish();
}

/** The longest prefix of at most `max` bytes that ends between two characters. */
function cutUtf8(bytes: Uint8Array, max: number): Uint8Array {
  let end = max;
  while (end > 0 && (bytes[end]! & 0xc0) === 0x80) end--;
  return bytes.subarray(0, end);
}

export function decodeClose(body: Uint8Array): Close {
  const r = new Reader(body, 'CLOSE');
  const code = codeName(r.u16());
  if (r.left > MAX_CLOSE_TEXT) throw malformed('CLOSE', `a text of ${r.left} bytes`);
  return { code, text: fromUtf8(r.rest(), 'CLOSE') };
}

// ── attach frames ──────────────────────────────────────────────────────────────────────────────────────────────────

export const SESSION_ID_BYTES = 16;
export const PROOF_BYTES = 32;

/** ATTACH: session id 16, epoch, proof 32. */
export interface Attach {
  readonly sessionId: Uint8Array;
  readonly epoch: number;
  readonly proof: Uint8Array;
}

export function encodeAttach(a: Attach): Uint8Array {
  return new Writer(SESSION_ID_BYTES + 8 + PROOF_BYTES).bytes(a.sessionId).varint(a.epoch).bytes(a.proof).finish();
}

export function decodeAttach(body: Uint8Array): Attach {
  const r = new Reader(body, 'ATTACH');
  const attach = { sessionId: r.take(SESSION_ID_BYTES), epoch: r.varint(), proof: r.take(PROOF_BYTES) };
  r.end();
  return attach;
}

/** ATTACHED: proof 32. */
export function decodeAttached(body: Uint8Array): Uint8Array {
  if (body.length !== PROOF_BYTES) throw malformed('ATTACHED', `${body.length} bytes`);
  return body;
}

/** NEW, NEW_OK, UNKNOWN, CONFIRM, RESUMED have no body. */
export function requireEmpty(name: FrameName, body: Uint8Array): void {
  if (body.length !== 0) throw malformed(name, `${body.length} bytes too many`);
}

// ── stream frames ──────────────────────────────────────────────────────────────────────────────────────────────────

/** By their number on the wire. `relay`: the stream carries a whole link of two other nodes. */
export const STREAM_CLASSES = ['interactive', 'bulk', 'relay'] as const;
export type StreamClass = (typeof STREAM_CLASSES)[number];

/** OPEN: stream, class, claim, limit, service, instance, metadata. */
export interface Open {
  readonly stream: number;
  readonly class: StreamClass;
  /** early-data credit taken from the pool, at most MAX_CLAIM */
  readonly claim: number;
  /** receive limit that the opener grants to the responder */
  readonly limit: number;
  readonly service: string;
  /** empty: any */
  readonly instance: string;
  readonly metadata: ReadonlyMap<string, string>;
}

/** What an OPEN asks for, which does not change when it is told again. */
export type Asked = Pick<Open, 'service' | 'instance' | 'metadata'>;

/** @throws WarrenError `bad-value` when a name or the metadata is too long */
export function encodeOpen(open: Open): Uint8Array {
  return openFrame(open, encodeAsked(open));
}

/** @param asked as `encodeAsked` has made it */
export function openFrame(open: Omit<Open, keyof Asked>, asked: Uint8Array): Uint8Array {
  return new Writer(MAX_OPEN_HEAD + asked.length)
    .varint(open.stream)
    .u8(STREAM_CLASSES.indexOf(open.class))
    .varint(open.claim)
    .varint(open.limit)
    .bytes(asked)
    .finish();
}

/** stream, class, claim, limit */
const MAX_OPEN_HEAD = 8 + 1 + 8 + 8;

/** @throws WarrenError `bad-value` when a name or the metadata is too long */
export function encodeAsked(open: Asked): Uint8Array {
  const w = new Writer(64);
  w.vector(bounded('service name', open.service, MAX_SERVICE_NAME));
  w.vector(bounded('instance', open.instance, MAX_INSTANCE));
  if (open.metadata.size > MAX_METADATA_ENTRIES) throw new WarrenError('bad-value', 'too many entries of metadata');
  w.varint(open.metadata.size);
  let left = MAX_METADATA;
  for (const entry of open.metadata) {
    for (const text of entry) {
      const bytes = bounded('metadata', text, left);
      left -= bytes.length;
      w.vector(bytes);
    }
  }
  return w.finish();
}

function bounded(what: string, text: string, max: number): Uint8Array {
  const bytes = utf8(text);
  if (bytes.length > max) throw new WarrenError('bad-value', `${what}: longer than ${max} bytes`);
  return bytes;
}

export function decodeOpen(body: Uint8Array): Open {
  const r = new Reader(body, 'OPEN');
  const stream = r.varint();
  const streamClass = STREAM_CLASSES[r.u8()];
  if (streamClass === undefined) throw malformed('OPEN', 'an unknown class');
  const claim = r.varint();
  if (claim > MAX_CLAIM) throw malformed('OPEN', `a claim of ${claim}`);
  const limit = atMostOffset('OPEN', r.varint());
  const service = r.text(MAX_SERVICE_NAME);
  if (service.length === 0) throw malformed('OPEN', 'no service name');
  const instance = r.text(MAX_INSTANCE);
  const metadata = readMetadata(r);
  r.end();
  return { stream, class: streamClass, claim, limit, service, instance, metadata };
}

function readMetadata(r: Reader): Map<string, string> {
  const count = r.varint();
  if (count > MAX_METADATA_ENTRIES) throw malformed('OPEN', `${count} entries of metadata`);
  const metadata = new Map<string, string>();
  let left = MAX_METADATA;
  const text = (): string => {
    const bytes = r.vector(left);
    left -= bytes.length;
    return fromUtf8(bytes, 'OPEN');
  };
  for (let i = 0; i < count; i++) {
    const key = text();
    if (metadata.has(key)) throw malformed('OPEN', 'a metadata key twice');
    metadata.set(key, text());
  }
  return metadata;
}

/** OPENED: stream, absolute receive limit for the opener. */
export interface Opened {
  readonly stream: number;
  readonly limit: number;
}

export function encodeOpened(o: Opened): Uint8Array {
  return new Writer(16).varint(o.stream).varint(o.limit).finish();
}

export function decodeOpened(body: Uint8Array): Opened {
  const r = new Reader(body, 'OPENED');
  const opened = { stream: r.varint(), limit: atMostOffset('OPENED', r.varint()) };
  r.end();
  return opened;
}

/** Bytes in front of a DATA frame's payload: type, length, stream, offset. */
export function dataHeaderLength(stream: number, offset: number, payload: number): number {
  const inner = varintLength(stream) + varintLength(offset);
  return varintLength(FRAME.DATA) + varintLength(inner + payload) + inner;
}

/** The most that dataHeaderLength gives for any stream and offset. */
export const MAX_DATA_HEADER = 1 + 4 + 8 + 8;

/** Writes the header of a DATA frame at `at`; returns the offset behind it. */
export function writeDataHeader(out: Uint8Array, at: number, stream: number, offset: number, payload: number): number {
  let p = writeVarint(out, at, FRAME.DATA);
  p = writeVarint(out, p, varintLength(stream) + varintLength(offset) + payload);
  p = writeVarint(out, p, stream);
  return writeVarint(out, p, offset);
}

/** DATA: stream, offset of its first byte, bytes to the end of the frame. */
export interface Data {
  readonly stream: number;
  readonly offset: number;
  /** a view */
  readonly bytes: Uint8Array;
}

export function decodeData(body: Uint8Array): Data {
  const r = new Reader(body, 'DATA');
  const stream = r.varint();
  const offset = r.varint();
  const bytes = r.rest();
  atMostOffset('DATA', offset + bytes.length);
  return { stream, offset, bytes };
}

/** FIN: stream, final size. */
export interface Fin {
  readonly stream: number;
  readonly size: number;
}

export function encodeFin(f: Fin): Uint8Array {
  return new Writer(16).varint(f.stream).varint(f.size).finish();
}

export function decodeFin(body: Uint8Array): Fin {
  const r = new Reader(body, 'FIN');
  const fin = { stream: r.varint(), size: atMostOffset('FIN', r.varint()) };
  r.end();
  return fin;
}

/** WINDOW: stream, bytes received in order (FIN counts as one more), absolute limit. */
export interface Window {
  readonly stream: number;
  readonly received: number;
  readonly limit: number;
}

export function encodeWindow(w: Window): Uint8Array {
  return new Writer(24).varint(w.stream).varint(w.received).varint(w.limit).finish();
}

export function decodeWindow(body: Uint8Array): Window {
  const r = new Reader(body, 'WINDOW');
  const window = { stream: r.varint(), received: r.varint(), limit: atMostOffset('WINDOW', r.varint()) };
  r.end();
  return window;
}

/** RESET: stream, u16 code, whether the target was ever dialed. */
export interface Reset {
  readonly stream: number;
  readonly code: Code;
  readonly dialed: boolean;
}

export function encodeReset(reset: Reset): Uint8Array {
  return new Writer(16).varint(reset.stream).u16(CODES[reset.code]).u8(reset.dialed ? 1 : 0).finish(); // prettier-ignore
}

export function decodeReset(body: Uint8Array): Reset {
  const r = new Reader(body, 'RESET');
  const stream = r.varint();
  const code = codeName(r.u16());
  const dialed = r.u8();
  if (dialed > 1) throw malformed('RESET', 'a flag that is neither 0 nor 1');
  r.end();
  return { stream, code, dialed: dialed === 1 };
}

/** POOL: early-data credit granted in all. */
export function encodePool(limit: number): Uint8Array {
  return new Writer(8).varint(limit).finish();
}

export function decodePool(body: Uint8Array): number {
  const r = new Reader(body, 'POOL');
  const limit = r.varint();
  r.end();
  return limit;
}

/** GOAWAY: u16 code. */
export function encodeGoaway(code: Code): Uint8Array {
  return new Writer(2).u16(CODES[code]).finish();
}

export function decodeGoaway(body: Uint8Array): Code {
  const r = new Reader(body, 'GOAWAY');
  const code = codeName(r.u16());
  r.end();
  return code;
}

/** NEWS: u8 kind, bytes to the end of the frame. */
export interface News {
  readonly kind: number;
  readonly bytes: Uint8Array;
}

/** @throws WarrenError `limit` above MAX_NEWS bytes */
export function encodeNews(kind: number, bytes: Uint8Array): Uint8Array {
  if (bytes.length > MAX_NEWS) throw new WarrenError('limit', `an item of ${bytes.length} bytes, at most ${MAX_NEWS}`);
  return new Writer(1 + bytes.length).u8(kind).bytes(bytes).finish();
}

export function decodeNews(body: Uint8Array): News {
  const r = new Reader(body, 'NEWS');
  const kind = r.u8();
  if (r.left > MAX_NEWS) throw malformed('NEWS', `${r.left} bytes`);
  return { kind, bytes: r.rest() };
}

function atMostOffset(what: string, n: number): number {
  if (n > MAX_OFFSET) throw malformed(what, 'an offset beyond 2^53-2');
  return n;
}
