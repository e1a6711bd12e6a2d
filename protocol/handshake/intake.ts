/** Gathers exactly the bytes that the next step needs: no step sees a byte too few, no buffer is larger than its message. */
import { EMPTY } from '../bytes.js';

export class Intake {
  private buffer: Uint8Array;
  private have = 0;

  /** @param need bytes of the first step */
  constructor(need: number) {
    this.buffer = new Uint8Array(need);
  }

  /** Bytes missing before the next step. */
  get wanted(): number {
    return this.buffer.length - this.have;
  }

  /** Asks for the next step's bytes; what `take` returned last is no longer touched. */
  expect(need: number): void {
    this.buffer = new Uint8Array(need);
    this.have = 0;
  }

  /** @returns what of `chunk` is left over: empty while bytes are missing */
  fill(chunk: Uint8Array): Uint8Array {
    const n = Math.min(this.wanted, chunk.length);
    this.buffer.set(chunk.subarray(0, n), this.have);
    this.have += n;
    return n === chunk.length ? EMPTY : chunk.subarray(n);
  }

  take(): Uint8Array {
    return this.buffer;
  }
}
