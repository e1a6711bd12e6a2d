/**
 * What a stream has written and the peer has not received, by reference. Positions are offsets in the stream:
 *
 *   0 … base      received by the peer, let go
 *   base … next   sent, kept for sending again
 *   next … end    to be sent (again, below `highest`)
 */
import { EMPTY } from '../bytes.js';
import type { Limits } from '../limits.js';

/** Slots of dropped chunks before the array is closed up. */
const COMPACT_AT = 64;

/** A chunk that is less than this share of the memory it keeps alive is copied. */
const WORTH_KEEPING = 1 / 2;

/** The chunk itself, or a copy when it is a small view into large memory. */
export function compacted(chunk: Uint8Array): Uint8Array {
  return chunk.length < chunk.buffer.byteLength * WORTH_KEEPING ? chunk.slice() : chunk;
}

export class SendBuffer {
  base = 0;
  next = 0;
  highest = 0;
  end = 0;

  private chunks: Uint8Array[] = [];
  /** index of the chunk that holds `base`, and the offset of its first byte */
  private head = 0;
  private headAt = 0;
  /** index of the chunk that holds `next`, and the offset of its first byte */
  private cursor = 0;
  private cursorAt = 0;

  get unsent(): number {
    return this.end - this.next;
  }

  get retained(): number {
    return this.end - this.base;
  }

  write(chunk: Uint8Array): void {
    this.chunks.push(compacted(chunk));
    this.end += chunk.length;
  }

  /** The next `length` (≤ unsent) bytes, which count as sent from now on. */
  take(length: number): Uint8Array[] {
    const pieces: Uint8Array[] = [];
    let left = length;
    while (left > 0) {
      const chunk = this.chunks[this.cursor]!;
      const from = this.next - this.cursorAt;
      const n = Math.min(left, chunk.length - from);
      pieces.push(n === chunk.length ? chunk : chunk.subarray(from, from + n));
      this.next += n;
      left -= n;
      if (from + n === chunk.length) {
        this.cursor++;
        this.cursorAt += chunk.length;
      }
    }
    this.highest = Math.max(this.highest, this.next);
    return pieces;
  }

  /** The peer has received everything before `to` (base ≤ to ≤ highest). */
  release(to: number): void {
    this.base = to;
    while (this.head < this.chunks.length && this.headAt + this.chunks[this.head]!.length <= to) {
      this.headAt += this.chunks[this.head]!.length;
      // The slot stays until the array is closed up, the bytes do not.
      this.chunks[this.head++] = EMPTY;
    }
    if (this.next < to) this.next = to;
    if (this.cursor < this.head) {
      this.cursor = this.head;
      this.cursorAt = this.headAt;
    }
    if (this.head >= COMPACT_AT && this.head * 2 >= this.chunks.length) this.compact();
  }

  private compact(): void {
    this.chunks.splice(0, this.head);
    this.cursor -= this.head;
    this.head = 0;
  }

  /** What was sent and not received is to be sent again. */
  rewind(): void {
    this.next = this.base;
    this.cursor = this.head;
    this.cursorAt = this.headAt;
  }

  /** Everything from `base` on, as it was written. */
  all(): Uint8Array[] {
    const out = this.chunks.slice(this.head);
    if (out.length > 0) out[0] = out[0]!.subarray(this.base - this.headAt);
    return out;
  }

  /** Lets go of all bytes; positions stay. */
  clear(): void {
    this.chunks = [];
    this.base = this.next = this.highest = this.end;
    this.head = this.cursor = 0;
    this.headAt = this.cursorAt = this.end;
  }
}

/**
 * How many bytes a stream may have in its send buffer before its user is asked to pause: two of the peer's windows, one
 * on the way and one behind it, within the limits.
 * @param window bytes that the peer takes now
 * @param free bytes left in the peer's budget for retained data
 */
export function sendBound(window: number, free: number, limits: Limits['retain']): number {
  return Math.max(limits.least, Math.min(2 * window, limits.stream, free));
}
