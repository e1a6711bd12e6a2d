/**
 * A record that is being put together. Frames and small payloads are copied into one scratch buffer, large payloads are
 * referred to, so that sealing sees few pieces and no large one was copied. One draft serves all records of a link.
 */
import { EMPTY, writeVarint } from '../bytes.js';
import { MAX_RECORD_PLAINTEXT } from '../limits.js';
import { MAX_DATA_HEADER, dataHeaderLength, frameLength, writeDataHeader } from './frame.js';

/** Payload pieces below this are copied: another piece costs the cipher more than the copy. */
const COPY_BELOW = 4 * 1024;
const FIRST_SCRATCH = 4 * 1024;
const MAX_FRAME_HEADER = 8 + 4;

export class RecordDraft {
  /** The number that the record will have on its link. */
  record = 0;
  /** Plaintext bytes so far. */
  size = 0;
  /** Plaintext bytes at which it is worth sealing. */
  target = 0;
  /** Bytes of stream data that may still be added, of any kind; the one who adds counts down. */
  dataRoom = 0;
  /** ... of bulk data. */
  bulkRoom = 0;
  /** Data was left behind for lack of room in the link. */
  isBlocked = false;
  /** A frame did not fit: there must be another record. */
  overflowed = false;

  private scratch = EMPTY;
  /** The scratch buffer is used up to here; from `from` on it is not yet among the parts. */
  private at = 0;
  private from = 0;
  private parts: Uint8Array[] = [];

  /** Begins the next record. @param target plaintext bytes at which it is worth sealing */
  begin(record: number, target: number): void {
    this.record = record;
    this.size = 0;
    this.target = Math.min(target, MAX_RECORD_PLAINTEXT);
    this.overflowed = false;
    this.at = 0;
    this.from = 0;
    this.parts = [];
  }

  /** Big enough to be sealed. */
  get isFull(): boolean {
    return this.overflowed || this.size >= this.target;
  }

  /** The most payload that a DATA frame may have now, so that the record does not grow beyond its target. */
  get payloadRoom(): number {
    return Math.max(0, this.target - this.size - MAX_DATA_HEADER);
  }

  /** Adds a frame. @returns false when it does not fit any more: `overflowed` is set then */
  frame(type: number, body: Uint8Array): boolean {
    const length = frameLength(type, body.length);
    if (this.size + length > MAX_RECORD_PLAINTEXT) {
      this.overflowed = true;
      return false;
    }
    this.room(MAX_FRAME_HEADER);
    this.at = writeVarint(this.scratch, this.at, type);
    this.at = writeVarint(this.scratch, this.at, body.length);
    this.payload(body);
    this.size += length;
    return true;
  }

  /** Adds a DATA frame whose payload (`length` ≤ payloadRoom bytes) is the given pieces, in order. */
  data(stream: number, offset: number, pieces: readonly Uint8Array[], length: number): void {
    this.room(MAX_DATA_HEADER);
    this.at = writeDataHeader(this.scratch, this.at, stream, offset, length);
    for (const piece of pieces) this.payload(piece);
    this.size += dataHeaderLength(stream, offset, length) + length;
  }

  private payload(bytes: Uint8Array): void {
    if (bytes.length < COPY_BELOW) {
      this.room(bytes.length);
      this.scratch.set(bytes, this.at);
      this.at += bytes.length;
      return;
    }
    this.cut();
    this.parts.push(bytes);
  }

  /** Makes room for n more bytes in the scratch buffer; what is there already stays where it is. */
  private room(n: number): void {
    if (this.at + n <= this.scratch.length) return;
    this.cut();
    this.scratch = new Uint8Array(Math.max(FIRST_SCRATCH, this.scratch.length * 2, n));
    this.at = 0;
    this.from = 0;
  }

  private cut(): void {
    if (this.at > this.from) this.parts.push(this.scratch.subarray(this.from, this.at));
    this.from = this.at;
  }

  /** The plaintext in pieces; valid until the next `begin`. */
  finish(): readonly Uint8Array[] {
    this.cut();
    return this.parts;
  }

  /** Gives memory back while the link is idle. */
  trim(): void {
    this.scratch = EMPTY;
    this.parts = [];
    this.at = 0;
    this.from = 0;
  }
}
