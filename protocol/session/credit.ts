/**
 * Budgets: how much a peer may have on its way to this node (credit granted and not consumed), and how much this node
 * keeps for sending again. Both are counted per peer and per process. Credit is never withdrawn, only not extended.
 */
import type { Limits } from '../limits.js';
import { Slab } from '../slab.js';
import { SLAB_BYTES } from './send-buffer.js';

/**
 * A stream has at most this share of what is free, counting its own part as free: few streams may have much each, many
 * leave something for the next.
 */
const SHARE_OF_FREE = 1 / 4;
/**
 * New streams begin with the same window each until a peer's budget is used up this far. Beyond that they begin with less
 * and less, by the square of what is free: streams that rest keep what they have, and thousands of them may rest.
 */
const PLENTY = 1 / 2;
/**
 * A window doubles when more than this share of it would be consumed in a round trip: it ends up between two and four
 * times what is on the way.
 */
const BUSY_SHARE = 1 / 2;
/** Round trips shorter than this, ms, count as this: an event loop takes that long to turn around. */
const LEAST_ROUND_TRIP_MS = 2;
/** WINDOW is worth a frame of its own when this share of the window has been consumed, or received, since the last. */
const WORTH_TELLING = 1 / 4;
/** ... and worth riding along when so many bytes were received: a quarter of what every sender may keep. */
const WORTH_ADDING_BYTES = 16 * 1024;

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
  /** for small chunks, of all streams and both directions */
  readonly slab = new Slab(SLAB_BYTES);
  private isClosed = false;

  constructor(
    private readonly process: ProcessBudget,
    private readonly limits: Pick<Limits, 'receive' | 'retain'>,
  ) {}

  /** Grants up to `wanted` bytes of credit. @returns bytes granted, from 0 to `wanted` */
  grant(wanted: number): number {
    if (this.isClosed) return 0;
    const n = Math.max(0, Math.floor(Math.min(wanted, this.free)));
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

  /**
   * The most that a stream may have outstanding now.
   * @param window what it could use
   * @param outstanding what it has already
   */
  fairWindow(window: number, outstanding: number): number {
    const free = this.free + outstanding;
    return Math.min(window, Math.max(this.basicWindow(), Math.floor(free * SHARE_OF_FREE)));
  }

  /** The window that a stream has whatever it does with it: `initial`, less when little is free. */
  basicWindow(): number {
    const { initial, least, peer } = this.limits.receive;
    const share = Math.max(0, this.free) / (PLENTY * peer);
    return Math.min(initial, Math.max(least, Math.floor(initial * share * share)));
  }

  /** The session is over: whatever is still counted here is free. What comes back later counts no more. */
  close(): void {
    this.process.granted -= this.granted;
    this.process.retained -= this.retained;
    this.granted = 0;
    this.retained = 0;
    this.isClosed = true;
  }

  /** Credit that could still be granted. */
  get free(): number {
    return Math.min(this.limits.receive.peer - this.granted, this.freeOfProcess);
  }

  get freeOfProcess(): number {
    return this.process.limits.receive.process - this.process.granted;
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
    this.window = budget.basicWindow();
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
    this.window = Math.max(this.window, this.budget.basicWindow());
    const wanted = this.budget.fairWindow(this.window, outstanding);
    if (wanted > outstanding) this.limit += this.budget.grant(wanted - outstanding);
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
    const timed = this.consumed - this.timedFrom;
    if (this.isOver || timed < this.window * BUSY_SHARE) return;
    // By the rate: where a whole window comes in one record, it takes a round trip from one to the next.
    const inRoundTrip = timed * (Math.max(LEAST_ROUND_TRIP_MS, rttMs ?? 0) / (now - this.timedAt));
    if (inRoundTrip > this.window * BUSY_SHARE) this.window = Math.min(2 * this.window, this.limits.stream);
    this.timedAt = now;
    this.timedFrom = this.consumed;
  }

  /** Enough has happened since the last WINDOW to send one now. @param received as in WINDOW */
  isWorthTelling(received: number): boolean {
    const step = this.window * WORTH_TELLING;
    const couldExtend = this.isOver ? 0 : this.consumed + this.window - this.toldLimit;
    return couldExtend >= step || received - this.toldReceived >= step;
  }

  /** Enough that a sender with a short buffer may wait for it. @param received as in WINDOW */
  isWorthAdding(received: number): boolean {
    return received - this.toldReceived >= WORTH_ADDING_BYTES;
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
