/**
 * Budgets: how much a peer may have on its way to this node (credit granted and not consumed), and how much this node
 * keeps for sending again. Both are counted per peer and per process. Credit is never withdrawn, only not extended.
 */
import type { Limits } from '../limits.js';

/** New streams get at most this share of what is free, so that many of them still get something each. */
const SHARE_OF_FREE = 1 / 256;
/**
 * A window doubles when half of it was consumed in less than a round trip: it ends up between two and four times what is
 * on the way. Round trips shorter than this, ms, count as this: an event loop takes that long to turn around.
 */
const LEAST_ROUND_TRIP_MS = 2;
/** WINDOW is worth a frame of its own when this share of the window has been consumed, or received, since the last. */
const WORTH_TELLING = 1 / 4;

/** What all peers of this process together use. One per daemon. */
export class ProcessBudget {
  granted = 0;
  retained = 0;

  constructor(readonly limits: Pick<Limits, 'receive' | 'retain'>) {}
}

/** One peer's part of it, across all streams of its session. */
export class PeerBudget {
  granted = 0;
  retained = 0;
  private isClosed = false;

  constructor(
    private readonly process: ProcessBudget,
    private readonly limits: Pick<Limits, 'receive' | 'retain'>,
  ) {}

  /**
   * Grants up to `wanted` bytes of credit.
   * @param share of the budgets that may be in use afterwards, 0 … 1
   * @returns bytes granted, from 0 to `wanted`
   */
  grant(wanted: number, share = 1): number {
    if (this.isClosed) return 0;
    const ownFree = share * this.limits.receive.peer - this.granted;
    const allFree = share * this.process.limits.receive.process - this.process.granted;
    const n = Math.max(0, Math.floor(Math.min(wanted, ownFree, allFree)));
    this.granted += n;
    this.process.granted += n;
    return n;
  }

  /** Granted bytes were consumed, or never will be sent. */
  giveBack(n: number): void {
    if (this.isClosed) return;
    this.granted -= n;
    this.process.granted -= n;
  }

  /** The window that a stream has for itself, before any growth: `initial`, less when little is free. */
  basicWindow(): number {
    const { initial, least } = this.limits.receive;
    const { own, process } = this.free;
    return Math.min(initial, Math.max(least, Math.floor(Math.min(own, process) * SHARE_OF_FREE)));
  }

  /** The session is over: whatever is still counted here is free. What comes back later counts no more. */
  close(): void {
    this.process.granted -= this.granted;
    this.process.retained -= this.retained;
    this.granted = 0;
    this.retained = 0;
    this.isClosed = true;
  }

  /** Credit that could still be granted: out of this peer's budget, and out of the process's. */
  get free(): { readonly own: number; readonly process: number } {
    return {
      own: this.limits.receive.peer - this.granted,
      process: this.process.limits.receive.process - this.process.granted,
    };
  }

  retain(n: number): void {
    if (this.isClosed) return;
    this.retained += n;
    this.process.retained += n;
  }

  release(n: number): void {
    if (this.isClosed) return;
    this.retained -= n;
    this.process.retained -= n;
  }

  get freeToRetain(): number {
    const ownFree = this.limits.retain.peer - this.retained;
    return Math.min(ownFree, this.process.limits.retain.process - this.process.retained);
  }
}

/** The receiving side of one stream: what was granted, consumed and told. */
export class StreamCredit {
  /** Absolute: the peer may send bytes below this offset. */
  limit = 0;
  consumed = 0;
  /** Bytes that shall be granted beyond what is consumed. */
  window: number;
  private toldLimit = 0;
  private toldReceived = 0;
  /** since when, and from which offset, consumption is timed */
  private timedAt: number;
  private timedFrom = 0;
  private isOver = false;
  isCancelled = false;

  constructor(
    private readonly budget: PeerBudget,
    private readonly limits: Limits['receive'],
    now: number,
  ) {
    this.window = limits.initial;
    this.timedAt = now;
  }

  /** Credit that has been granted already, elsewhere: what an OPEN claimed of the pool. */
  adopt(granted: number): void {
    this.limit += granted;
    this.toldLimit = this.limit;
  }

  /** Extends the limit as far as window and budgets allow. */
  extend(): void {
    if (this.isOver) return;
    const outstanding = this.limit - this.consumed;
    const basic = Math.min(this.window, this.budget.basicWindow());
    if (basic > outstanding) this.limit += this.budget.grant(basic - outstanding);
    const growth = this.window - Math.max(basic, outstanding);
    if (growth > 0) this.limit += this.budget.grant(growth, this.limits.growthShare);
  }

  /** The stream could not get even its basic window: it asks again when budget is free. */
  get isStarving(): boolean {
    return !this.isOver && this.limit - this.consumed < Math.min(this.window, this.budget.basicWindow());
  }

  /** The application has got rid of n bytes. */
  consume(n: number, now: number, rttMs: number | null): void {
    if (this.isCancelled) return;
    this.consumed += n;
    this.budget.giveBack(n);
    if (this.isOver || this.consumed - this.timedFrom < this.window / 2) return;
    const roundTrip = Math.max(LEAST_ROUND_TRIP_MS, rttMs ?? 0);
    if (now - this.timedAt < roundTrip) this.window = Math.min(2 * this.window, this.limits.stream);
    this.timedAt = now;
    this.timedFrom = this.consumed;
  }

  /** Enough has happened since the last WINDOW to send one now. @param received as in WINDOW */
  isWorthTelling(received: number): boolean {
    const step = this.window * WORTH_TELLING;
    const couldExtend = this.isOver ? 0 : this.consumed + this.window - this.toldLimit;
    return couldExtend >= step || received - this.toldReceived >= step;
  }

  /** Something has happened since the last WINDOW. */
  hasNews(received: number): boolean {
    return received > this.toldReceived || this.limit > this.toldLimit;
  }

  /** The limit, and `received` if given, are on their way to the peer. */
  told(received = this.toldReceived): void {
    this.toldReceived = received;
    this.toldLimit = this.limit;
  }

  /** No more data will come beyond `size`: the credit for it is free. Consuming what has come goes on. */
  finish(size: number): void {
    if (this.isOver) return;
    this.isOver = true;
    this.budget.giveBack(this.limit - size);
    this.limit = size;
  }

  /** Nobody will consume any more: all credit is free. */
  cancel(): void {
    if (this.isCancelled) return;
    this.isOver = true;
    this.isCancelled = true;
    this.budget.giveBack(this.limit - this.consumed);
    this.limit = this.consumed;
  }
}
