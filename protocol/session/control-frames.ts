/**
 * What a session tells besides data and news, on the lane that leads: GOAWAY, POOL, the control frames of streams. What
 * is worth no record of its own goes with one that leaves anyway (telling.ts says what that is).
 */
import type { Timers } from '../clock.js';
import type { Code } from '../codes.js';
import type { Limits } from '../limits.js';
import type { RecordDraft } from '../link/draft.js';
import { FRAME, encodeGoaway, encodePool } from '../link/frame.js';
import { ControlQueue } from './control-queue.js';
import type { Lane } from './lane.js';
import type { PoolGrant } from './pool.js';
import type { Stream } from './stream.js';
import { Telling } from './telling.js';

export interface ControlFramesOptions {
  readonly timers: Timers;
  readonly delays: Pick<Limits['session'], 'windowDelayMs' | 'trailMs'>;
  readonly grant: PoolGrant;
  /** There is something to tell: the lane that leads is to be flushed. */
  readonly wake: () => void;
}

export class ControlFrames {
  readonly telling: Telling;
  /** Streams are asked what they have to tell, right before it is taken: what they answer asks for no flush. */
  isAsking = false;
  /** What the peer is told with GOAWAY; undefined: it may open streams. */
  goawayCode: Code | undefined;
  private isGoawayToSend = false;
  private isOpening = false;
  private isOver = false;
  private readonly queue = new ControlQueue();

  constructor(private readonly options: ControlFramesOptions) {
    this.telling = new Telling(options.timers, options.delays);
  }

  /** The peer is told once to open no more streams, and again on every new lane. */
  goaway(code: Code): void {
    if (this.goawayCode !== undefined) return;
    this.goawayCode = code;
    this.isGoawayToSend = true;
    this.wake();
  }

  /** The stream has control frames to send. */
  add(stream: Stream): void {
    if (!this.isOver && this.queue.add(stream)) this.wake();
  }

  /** The stream's OPEN waits one turn for the first bytes. */
  addOpen(stream: Stream): void {
    // The peer is to know of streams that are over before it hears of the next: it counts them, too.
    this.isAsking = true;
    try {
      this.telling.trail();
    } finally {
      this.isAsking = false;
    }
    if (this.isOver || !this.queue.add(stream) || this.isOpening) return;
    this.isOpening = true;
    this.options.timers.soon(() => {
      this.isOpening = false;
      this.wake();
    });
  }

  /** Another lane leads: nothing has been told on it yet. */
  restart(): void {
    this.queue.clear();
    this.options.grant.forgetTold();
    this.isGoawayToSend = this.goawayCode !== undefined;
  }

  /** Streams that wait to be asked. */
  get length(): number {
    return this.queue.length;
  }

  /** @param isLive whether a stream still counts. @returns false when something did not fit */
  fill(lane: Lane, draft: RecordDraft, isLive: (stream: Stream) => boolean): boolean {
    this.isAsking = true;
    try {
      this.telling.ride();
      this.telling.retry();
    } finally {
      this.isAsking = false;
    }
    return this.fillOwn(draft) && this.queue.fill(lane, draft, isLive);
  }

  private fillOwn(draft: RecordDraft): boolean {
    const { grant } = this.options;
    if (this.isGoawayToSend) {
      if (!draft.frame(FRAME.GOAWAY, encodeGoaway(this.goawayCode!))) return false;
      this.isGoawayToSend = false;
    }
    if (!grant.raise()) return true;
    if (!draft.frame(FRAME.POOL, encodePool(grant.limit))) return false;
    grant.told();
    return true;
  }

  /** The session is ending: nothing new is told, no timer is left. */
  stop(): void {
    this.isOver = true;
    this.telling.stop();
  }

  /** Lets go of what waits. */
  clear(): void {
    this.queue.clear();
  }

  private wake(): void {
    if (!this.isAsking) this.options.wake();
  }
}
