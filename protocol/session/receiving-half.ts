/** The receiving direction of a stream: bytes in order, credit, and what WINDOW tells. */
import { WarrenError } from '../errors.js';
import type { Limits } from '../limits.js';
import type { RecordDraft } from '../link/draft.js';
import { FRAME, encodeWindow } from '../link/frame.js';
import { StreamCredit, type PeerBudget } from './credit.js';
import { ReceiveBuffer } from './receive-buffer.js';

export class ReceivingHalf {
  readonly buffer = new ReceiveBuffer();
  readonly credit: StreamCredit;
  /** FIN, and all before it, has been handed over. */
  isDone = false;
  /** The next WINDOW is sent even if it says nothing new. */
  isWindowForced = false;

  constructor(budget: PeerBudget, limits: Limits['receive'], now: number) {
    this.credit = new StreamCredit(budget, limits, now);
  }

  /** Payload bytes handed over. */
  get received(): number {
    return this.buffer.received;
  }

  /** @returns bytes that were new. @throws WarrenError see ReceiveBuffer.push */
  takeData(offset: number, bytes: Uint8Array, deliver: (chunk: Uint8Array) => void): number {
    return this.buffer.push(offset, bytes, this.credit.limit, deliver);
  }

  /** @throws WarrenError see ReceiveBuffer.finish */
  takeFin(size: number): void {
    this.buffer.finish(size, this.isDone ? size : this.credit.limit);
  }

  /** @returns true once: when the last byte has been handed over and FIN is there */
  finish(): boolean {
    if (this.isDone || !this.buffer.isComplete) return false;
    this.isDone = true;
    this.isWindowForced = true;
    this.credit.finish(this.buffer.received);
    return true;
  }

  /** @throws WarrenError `internal` for more than was handed over */
  consumed(n: number, now: number, rttMs: number | null): void {
    if (n > this.buffer.received - this.credit.consumed) {
      throw new WarrenError('internal', 'more bytes consumed than were handed over');
    }
    this.credit.consume(n, now, rttMs);
  }

  /** A WINDOW of its own is worth it. */
  get isWorthTelling(): boolean {
    return this.credit.isWorthTelling(this.buffer.told);
  }

  /** A WINDOW beside other frames is worth it. */
  get isWorthAdding(): boolean {
    return this.credit.isWorthAdding(this.buffer.told);
  }

  /** There is something that the peer does not know. */
  get hasNews(): boolean {
    return this.credit.hasNews(this.buffer.told);
  }

  /** Adds WINDOW if there is anything to say. @returns false when it did not fit */
  writeWindow(draft: RecordDraft, stream: number): boolean {
    const received = this.buffer.told;
    if (!this.isWindowForced && !this.hasNews) return true;
    if (!draft.frame(FRAME.WINDOW, encodeWindow({ stream, received, limit: this.credit.limit }))) return false;
    this.isWindowForced = false;
    this.credit.told(received);
    return true;
  }

  /** Lets go of everything. */
  drop(): void {
    this.buffer.clear();
    this.credit.cancel();
  }
}
