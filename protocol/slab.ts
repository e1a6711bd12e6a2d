/**
 * Memory for small pieces, handed out one behind the other: memory of its own costs a small array more than all that
 * happens to its bytes.
 */
import { EMPTY } from './bytes.js';

/** Pieces beyond this share of the slab have memory of their own: what is left at its end goes to waste. */
const LARGEST_SHARE = 1 / 4;

export class Slab {
  private memory = EMPTY;
  private at = 0;

  /** @param size bytes of memory that one piece may keep alive */
  constructor(private readonly size: number) {}

  /** @returns n bytes, all zero, that are the caller's alone: no byte is handed out twice */
  piece(n: number): Uint8Array {
    if (n > this.size * LARGEST_SHARE) return new Uint8Array(n);
    if (this.at + n > this.memory.length) {
      this.memory = new Uint8Array(this.size);
      this.at = 0;
    }
    const from = this.at;
    this.at = from + n;
    return this.memory.subarray(from, this.at);
  }

  /** The same bytes in a piece. */
  copy(bytes: Uint8Array): Uint8Array {
    const piece = this.piece(bytes.length);
    piece.set(bytes);
    return piece;
  }

  /** Lets go of the memory; pieces keep what they are part of. */
  trim(): void {
    this.memory = EMPTY;
    this.at = 0;
  }
}
