/**
 * Bodies of the frames between Split and admission (numbers: protocol/link/frame.ts).
 *
 *   HAVE   0x50  last u8 ‖ piece          what the sender has, in pieces: count u8 ‖ secret tags 8 each ‖ summary
 *   ITEM   0x52  kind u8 ‖ bytes          one signed structure
 *   DONE   0x54  more u8                  a round is told; 1: ask for the next one with NEXT
 *   NEXT   0x56
 *   SECRET 0x58  epoch varint ‖ 32 bytes  a network secret that the receiver lacks
 *   ADMIT  0x5b  standing u8 ‖ code u16   the verdict: 1 admitted, 0 limited and why
 */
import { EMPTY, Reader, Writer } from '../bytes.js';
import { CODES, codeName, type Code } from '../codes.js';
import { malformed } from '../errors.js';
import { MAX_SUMMARY_BYTES } from '../identity/catch-up.js';
import { NETWORK_SECRET_LENGTH } from '../identity/network-secret.js';
import { MAX_RECORD_BYTES } from '../identity/registry-record.js';
import { ITEM_KINDS, MAX_ITEM_BYTES, kindOf, type TrustItem } from '../identity/trust-item.js';
import { MAX_SECRETS } from './wire.js';

/** Bytes of what one HAVE carries at most; a record holds four of them. */
export const MAX_HAVE_PIECE = 64 * 1024;
/** First bytes of a secret's hash: enough to tell whether the other side has it. */
export const SECRET_TAG_LENGTH = 8;
export const MAX_HAVE_BYTES = 1 + MAX_SECRETS * SECRET_TAG_LENGTH + MAX_SUMMARY_BYTES;

/** What a node has before the catch-up. */
export interface Have {
  /** SECRET_TAG_LENGTH bytes each, at most MAX_SECRETS */
  readonly secretTags: readonly Uint8Array[];
  /** TrustStore.summary() */
  readonly summary: Uint8Array;
}

/** @returns the bodies of the HAVE frames to send, in order */
export function encodeHave(have: Have): Uint8Array[] {
  const writer = new Writer(MAX_HAVE_PIECE).u8(have.secretTags.length);
  for (const tag of have.secretTags) writer.bytes(tag);
  const whole = writer.bytes(have.summary).finish();
  const bodies: Uint8Array[] = [];
  for (let at = 0; at < whole.length; at += MAX_HAVE_PIECE) {
    const isLast = at + MAX_HAVE_PIECE >= whole.length;
    const piece = whole.subarray(at, at + MAX_HAVE_PIECE);
    bodies.push(new Writer(1 + piece.length).u8(isLast ? 1 : 0).bytes(piece).finish()); // prettier-ignore
  }
  return bodies;
}

/** Puts the pieces of one side's HAVE together, within MAX_HAVE_BYTES. */
export class HaveReader {
  private pieces: Uint8Array[] = [];
  private length = 0;
  private isOver = false;

  /**
   * @returns the whole once the last piece is there
   * @throws WarrenError `malformed`, also for a piece behind the last one
   */
  push(body: Uint8Array): Have | undefined {
    const reader = new Reader(body, 'HAVE');
    const last = flag(reader);
    const piece = reader.rest();
    if (this.isOver) throw malformed('HAVE', 'a second one');
    if (piece.length === 0 || piece.length > MAX_HAVE_PIECE)
      throw malformed('HAVE', `a piece of ${piece.length} bytes`);
    this.length += piece.length;
    if (this.length > MAX_HAVE_BYTES) throw malformed('HAVE', 'too long');
    this.pieces.push(piece.slice());
    if (!last) return undefined;
    this.isOver = true;
    return this.whole();
  }

  private whole(): Have {
    const writer = new Writer(this.length);
    for (const piece of this.pieces) writer.bytes(piece);
    this.pieces = [];
    const reader = new Reader(writer.finish(), 'HAVE');
    const count = reader.u8();
    if (count > MAX_SECRETS) throw malformed('HAVE', `${count} secrets`);
    const secretTags = Array.from({ length: count }, () => reader.take(SECRET_TAG_LENGTH));
    return { secretTags, summary: reader.rest() };
  }
}

export function encodeItem(item: TrustItem): Uint8Array {
  return new Writer(1 + item.bytes.length).u8(ITEM_KINDS[item.kind]).bytes(item.bytes).finish();
}

/** @returns undefined for a kind that is not known here: a newer node may tell it. @throws WarrenError `malformed` */
export function decodeItem(body: Uint8Array): TrustItem | undefined {
  const reader = new Reader(body, 'ITEM');
  const kind = kindOf(reader.u8());
  const max = kind === undefined ? MAX_RECORD_BYTES : MAX_ITEM_BYTES[kind];
  if (reader.left > max) throw malformed('ITEM', `${reader.left} bytes, at most ${max} are allowed`);
  return kind && { kind, bytes: reader.rest().slice() };
}

export function encodeDone(more: boolean): Uint8Array {
  return Uint8Array.of(more ? 1 : 0);
}

/** @returns whether there is more to ask for */
export function decodeDone(body: Uint8Array): boolean {
  const reader = new Reader(body, 'DONE');
  const more = flag(reader);
  reader.end();
  return more;
}

export const NEXT_BODY = EMPTY;

export function decodeNext(body: Uint8Array): void {
  new Reader(body, 'NEXT').end();
}

export interface Secret {
  readonly epoch: number;
  /** 32 bytes */
  readonly secret: Uint8Array;
}

export function encodeSecret(secret: Secret): Uint8Array {
  return new Writer(8 + NETWORK_SECRET_LENGTH).varint(secret.epoch).bytes(secret.secret).finish();
}

export function decodeSecret(body: Uint8Array): Secret {
  const reader = new Reader(body, 'SECRET');
  const secret = { epoch: reader.varint(), secret: reader.take(NETWORK_SECRET_LENGTH).slice() };
  reader.end();
  return secret;
}

export interface Admit {
  readonly standing: 'admitted' | 'limited';
  /** why limited; `no-error` when admitted */
  readonly code: Code;
}

export function encodeAdmit(admit: Admit): Uint8Array {
  return new Writer(3).u8(admit.standing === 'admitted' ? 1 : 0).u16(CODES[admit.code]).finish(); // prettier-ignore
}

export function decodeAdmit(body: Uint8Array): Admit {
  const reader = new Reader(body, 'ADMIT');
  const standing = flag(reader) ? 'admitted' : 'limited';
  const code = codeName(reader.u16());
  reader.end();
  return { standing, code };
}

function flag(reader: Reader): boolean {
  const value = reader.u8();
  if (value > 1) throw malformed(reader.what, 'a flag that is neither 0 nor 1');
  return value === 1;
}
