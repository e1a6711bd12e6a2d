/**
 * What a stream has written and the peer has not received, by reference. Positions are offsets in the stream:
 *
 *   0 … base      received by the peer, let go
 *   base … next   sent, kept for sending again
 *   next … end    to be sent (again, below `highest`)
 */
import { EMPTY, areFew } from '../bytes.js';
import type { Limits } from '../limits.js';
import { Slab } from '../slab.js';

/** Slots of dropped chunks before the array is closed up. */
const COMPACT_AT = 64;

/** A chunk that is less than this share of the memory it keeps alive is copied. */
const WORTH_KEEPING = 1 / 2;

/**
 * Chunks smaller than this are copied, which costs less than memory of their own, and put together: held alone, each
 * would cost some hundred bytes beside its own.
 */
export const COPIED_BELOW = 1024;
/** Memory for putting them together: as much at first, twice as much each time, up to the last, bytes. */
const FIRST_GATHERING = 256;
const LAST_GATHERING = 16 * 1024;

/**
 * Memory for small chunks, shared by the streams of a peer, bytes. A chunk that is held for long keeps all of it alive:
 * who holds many puts them together. In a send buffer one at most stands alone for each LAST_GATHERING bytes.
 */
export const SLAB_BYTES = 8 * 1024;

/**
 * The chunk itself, or a copy when it is a small view into large memory.
 * @param slab where copies of fewer than COPIED_BELOW bytes go to; left out: memory of their own
 */
export function compacted(chunk: Uint8Array, slab?: Slab): Uint8Array {
  if (!areFew(chunk.length) && chunk.length >= chunk.buffer.byteLength * WORTH_KEEPING) return chunk;
  return slab !== undefined && chunk.length < COPIED_BELOW ? slab.copy(chunk) : chunk.slice();
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
  /** Memory that the last chunk is the beginning of; EMPTY when it is somebody else's. */
  private gathering = EMPTY;

  /** @param slab takes what is small */
  constructor(private readonly slab = new Slab(SLAB_BYTES)) {}

  get unsent(): number {
    return this.end - this.next;
  }

  get retained(): number {
    return this.end - this.base;
  }

  /** @param chunk kept by reference; below COPIED_BELOW it is copied, and the caller's again after the return */
  write(chunk: Uint8Array): void {
    const { length } = this.chunks;
    const last = this.head < length ? this.chunks[length - 1]! : EMPTY;
    if (chunk.length >= COPIED_BELOW) this.append(compacted(chunk));
    else if (last.length === 0 || last.length >= LAST_GATHERING) this.append(this.slab.copy(chunk));
    else this.gather(last, chunk);
    this.end += chunk.length;
  }

  private append(chunk: Uint8Array): void {
    this.gathering = EMPTY;
    this.chunks.push(chunk);
  }

  /** Puts the chunk behind the last one, or begins anew beside it when that has no room. */
  private gather(last: Uint8Array, chunk: Uint8Array): void {
    const { gathering } = this;
    const used = last.length;
    if (used + chunk.length > gathering.length) {
      const size = Math.min(LAST_GATHERING, Math.max(FIRST_GATHERING, 2 * gathering.length, chunk.length));
      this.gathering = new Uint8Array(size);
      this.gathering.set(chunk);
      this.chunks.push(this.gathering.subarray(0, chunk.length));
      return;
    }
    const index = this.chunks.length - 1;
    if (this.cursor > index) {
      this.cursor = index;
      this.cursorAt = this.end - used;
    }
    // What was taken of it before does not reach behind its end.
    gathering.set(chunk, used);
    this.chunks[index] = gathering.subarray(0, used + chunk.length);
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
    if (this.head === this.chunks.length) this.gathering = EMPTY;
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
    this.gathering = EMPTY;
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
