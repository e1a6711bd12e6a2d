/**
 * Small chunks that wait for a local connection, put together: each that a socket holds costs it some hundred bytes beside
 * its own, and who sends them chooses how small they are.
 */
import { EMPTY } from '../../protocol/bytes.js';

/** Chunks smaller than this are put together. */
export const GATHER_BELOW = 1024;
const FIRST_BYTES = 256;
const MOST_BYTES = 16 * 1024;

export class Gather {
  /** Bytes that wait here. */
  length = 0;
  private memory = EMPTY;

  /** @param chunk copied. @returns false when there is no room: `take` first */
  add(chunk: Uint8Array): boolean {
    const length = this.length + chunk.length;
    if (length > MOST_BYTES) return false;
    if (length > this.memory.length) {
      const grown = new Uint8Array(Math.min(MOST_BYTES, Math.max(FIRST_BYTES, 2 * length)));
      grown.set(this.memory.subarray(0, this.length));
      this.memory = grown;
    }
    this.memory.set(chunk, this.length);
    this.length = length;
    return true;
  }

  /** All that waits; the memory is the caller's. */
  take(): Uint8Array {
    const bytes = this.memory.subarray(0, this.length);
    this.memory = EMPTY;
    this.length = 0;
    return bytes;
  }
}
