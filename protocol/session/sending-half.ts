/** The sending direction of a stream: what waits, what may go, what must go again, and when its user is to pause. */
import { malformed } from '../errors.js';
import type { Limits } from '../limits.js';
import type { RecordDraft } from '../link/draft.js';
import { FRAME, encodeFin } from '../link/frame.js';
import type { PeerBudget } from './credit.js';
import { SendBuffer, sendBound } from './send-buffer.js';

export class SendingHalf {
  /** Payload bytes sent, each counted once. */
  sent = 0;
  /** The user has written its last byte. */
  hasEnded = false;
  /** The peer has everything, FIN included. */
  isDone = false;
  /** Sent on a link that is gone; waits for the peer to say what it has. */
  isStale = false;

  readonly buffer: SendBuffer;
  /** The peer's credit: bytes below this offset may be sent. */
  private limit = 0;
  private peerReceived = 0;
  private isFinSent = false;
  private wasFinSent = false;
  private isPaused = false;

  constructor(
    private readonly budget: PeerBudget,
    private readonly limits: Limits['retain'],
  ) {
    this.buffer = new SendBuffer(budget.slab);
  }

  write(chunk: Uint8Array): void {
    this.buffer.write(chunk);
    this.budget.retain(chunk.length);
  }

  /** Asked after a write. @returns false: pause until `drain` */
  goesOn(): boolean {
    if (this.buffer.retained > this.bound() || this.buffer.unsent > this.limits.unsent) this.isPaused = true;
    return !this.isPaused;
  }

  get canDrain(): boolean {
    const { retained, unsent } = this.buffer;
    return this.isPaused && retained <= this.bound() / 2 && unsent <= this.limits.unsent / 2;
  }

  /** @returns true when the user is to be told that there is room again */
  drain(): boolean {
    if (!this.canDrain) return false;
    this.isPaused = false;
    return !this.hasEnded;
  }

  private bound(): number {
    // A stream whose reader stalls leaves the budget to the others.
    if (this.buffer.base > 0 && this.limit === this.buffer.base) return 0;
    return sendBound(this.limit - this.buffer.base, this.budget.freeToRetain, this.limits);
  }

  /** The larger limit counts. */
  raise(limit: number): void {
    if (limit > this.limit) this.limit = limit;
  }

  /**
   * WINDOW says what the peer has, FIN counted as one more.
   * @throws WarrenError with wire `protocol` when that is more than was sent
   */
  acknowledge(received: number): void {
    const { highest, end } = this.buffer;
    if (received > (this.wasFinSent ? end + 1 : highest)) throw malformed('WINDOW', 'received more than was sent');
    this.peerReceived = Math.max(this.peerReceived, received);
    if (this.wasFinSent && received > end) this.isDone = true;
  }

  /** Lets go of what the peer has. */
  release(): void {
    const to = Math.min(this.peerReceived, this.buffer.end);
    if (to <= this.buffer.base) return;
    this.budget.release(to - this.buffer.base);
    this.buffer.release(to);
  }

  get sendable(): number {
    return this.isStale ? 0 : Math.max(0, Math.min(this.buffer.unsent, this.limit - this.buffer.next));
  }

  get hasFin(): boolean {
    return !this.isStale && this.hasEnded && !this.isFinSent && this.buffer.unsent === 0;
  }

  /** Adds a DATA frame of `length` (≤ sendable) bytes. @returns how many of them had been sent before */
  writeData(draft: RecordDraft, stream: number, length: number): number {
    const { next, highest } = this.buffer;
    draft.data(stream, next, this.buffer.take(length), length);
    const fresh = this.buffer.highest - highest;
    this.sent += fresh;
    return length - fresh;
  }

  /** Adds FIN; if it does not fit it stays to be sent. */
  writeFin(draft: RecordDraft, stream: number): void {
    if (!draft.frame(FRAME.FIN, encodeFin({ stream, size: this.buffer.end }))) return;
    this.isFinSent = true;
    this.wasFinSent = true;
  }

  /** Sends again from what the peer is known to have. */
  resume(): void {
    this.isStale = false;
    this.buffer.rewind();
    this.isFinSent = this.isDone;
  }

  /** Lets go of everything. */
  drop(): void {
    this.budget.release(this.buffer.retained);
    this.buffer.clear();
  }
}
