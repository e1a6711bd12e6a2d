/**
 * Puts a stream's bytes in order. Bytes in order go straight through; bytes ahead of a gap are copied and wait. Of bytes
 * that come twice the first seen win. All of it lies within granted credit, so the memory does too.
 */
import { WarrenError, malformed } from '../errors.js';
import { MAX_GAPS } from '../limits.js';

/** Pieces that wait; two that touch are two until the gap in front of them is closed. */
const MAX_PIECES = 2 * MAX_GAPS;

/** Bytes `start` … `start + length` in a buffer that grows as the piece does. */
interface Piece {
  readonly start: number;
  length: number;
  buffer: Uint8Array;
}

export class ReceiveBuffer {
  /** Bytes given out in order. */
  received = 0;
  /** Total size, once FIN has told it. */
  size: number | undefined;
  private highest = 0;
  /** Sorted, without overlap, all beyond `received`. */
  private pieces: Piece[] = [];

  /** All bytes have been given out, and FIN has come. */
  get isComplete(): boolean {
    return this.received === this.size;
  }

  /** Bytes that wait for a gap in front of them to be closed. */
  get ahead(): number {
    let bytes = 0;
    for (const piece of this.pieces) bytes += piece.length;
    return bytes;
  }

  /** What WINDOW tells: FIN counts as one more. */
  get told(): number {
    return this.isComplete ? this.received + 1 : this.received;
  }

  /**
   * @param limit credit granted: nothing may lie beyond
   * @param deliver gets what is in order now; may be called several times
   * @returns bytes that were new
   * @throws WarrenError with wire `flow-control` beyond `limit`, `protocol` beyond the final size or with too many gaps
   */
  push(offset: number, bytes: Uint8Array, limit: number, deliver: (chunk: Uint8Array) => void): number {
    const end = offset + bytes.length;
    if (end > limit) throw new WarrenError('protocol', 'more data than credit', { wire: 'flow-control' });
    if (this.size !== undefined && end > this.size) throw malformed('DATA', 'beyond the final size');
    this.highest = Math.max(this.highest, end);
    if (end <= this.received) return 0;
    const fresh = offset < this.received ? bytes.subarray(this.received - offset) : bytes;
    if (this.pieces.length > 0 || end - fresh.length > this.received) return this.pushAhead(end, fresh, deliver);
    this.received = end;
    deliver(fresh);
    return fresh.length;
  }

  /** @throws WarrenError `protocol` when the size contradicts what is known, `flow-control` when it is beyond `limit` */
  finish(size: number, limit: number): void {
    if (this.size !== undefined && this.size !== size) throw malformed('FIN', 'the final size changed');
    if (size < this.highest) throw malformed('FIN', 'a final size below data that has come');
    if (size > limit) throw new WarrenError('protocol', 'a final size beyond credit', { wire: 'flow-control' });
    this.size = size;
  }

  /** Bytes that came while others are missing, or that may close a gap. */
  private pushAhead(end: number, bytes: Uint8Array, deliver: (chunk: Uint8Array) => void): number {
    let fresh = 0;
    let at = end - bytes.length;
    let index = this.pieces.findIndex(p => p.start + p.length > at);
    if (index < 0) index = this.pieces.length;
    while (at < end) {
      const next = this.pieces[index];
      if (next !== undefined && next.start <= at) {
        at = Math.max(at, next.start + next.length);
        index++;
        continue;
      }
      const until = Math.min(end, next?.start ?? end);
      const part = bytes.subarray(bytes.length - (end - at), bytes.length - (end - until));
      if (!this.extend(index - 1, at, part)) this.insert(index++, at, part);
      fresh += part.length;
      at = until;
    }
    this.checkGaps();
    this.drain(deliver);
    return fresh;
  }

  /** Appends to the piece at `index` if that ends at `at`. */
  private extend(index: number, at: number, part: Uint8Array): boolean {
    const piece = this.pieces[index];
    if (piece === undefined || piece.start + piece.length !== at) return false;
    const length = piece.length + part.length;
    if (length > piece.buffer.length) {
      const grown = new Uint8Array(Math.max(length, 2 * piece.buffer.length));
      grown.set(piece.buffer.subarray(0, piece.length));
      piece.buffer = grown;
    }
    piece.buffer.set(part, piece.length);
    piece.length = length;
    return true;
  }

  private insert(index: number, at: number, part: Uint8Array): void {
    this.pieces.splice(index, 0, { start: at, length: part.length, buffer: part.slice() });
  }

  private checkGaps(): void {
    let gaps = 0;
    let end = this.received;
    for (const piece of this.pieces) {
      if (piece.start > end) gaps++;
      end = piece.start + piece.length;
    }
    if (gaps > MAX_GAPS || this.pieces.length > MAX_PIECES) throw malformed('DATA', 'too many gaps');
  }

  private drain(deliver: (chunk: Uint8Array) => void): void {
    while (this.pieces[0]?.start === this.received) {
      const { buffer, length } = this.pieces.shift()!;
      this.received += length;
      deliver(buffer.subarray(0, length));
    }
  }

  /** Lets go of what waits. */
  clear(): void {
    this.pieces = [];
  }
}
