/**
 * Whether a link is alive: a ping when nothing has come for long, or when what was sent stays unacknowledged; and the
 * verdict when no answer comes. While nothing is under way the link looks at its clocks only when its next ping is due.
 */
import { equal } from '../bytes.js';
import type { Timer, Timers } from '../clock.js';
import type { Primitives } from '../crypto/primitives.js';
import type { Limits } from '../limits.js';
import type { Feedback } from './feedback.js';
import { PING_BYTES } from './frame.js';

/** A ping may stay without an answer for so many deadlines as long as anything else arrives. */
const BUSY_PING_DEADLINES = 4;

/** @param ms the round trip; undefined: the link has ended without an answer */
export type PingCallback = (ms: number | undefined) => void;

interface PingOut {
  readonly nonce: Uint8Array;
  readonly sentAt: number;
  readonly waiting: PingCallback[];
}

/** The link as its liveness sees it. */
export interface LivenessOptions {
  readonly timers: Timers;
  readonly limits: Limits['link'];
  readonly primitives: Pick<Primitives, 'random'>;
  readonly feedback: Feedback;
  /** When the last bytes came in, ms (monotonic). */
  heardAt(): number;
  /** @param nonce of a PING that is to be sent, PING_BYTES */
  send(nonce: Uint8Array): void;
  /** The link's handler looks at its clocks, too. @returns true: it is to be asked again after `tickMs` in any case */
  ticked(): boolean;
  /** Nothing has come in for a whole tick. */
  quiet(): void;
  /** No answer has come: the link is dead. */
  dead(): void;
}

export class Liveness {
  private timer: Timer | undefined;
  /** Nothing is under way: the next tick is for the next ping, and whatever moves before that brings it forward. */
  private isResting = false;
  private isStopped = false;
  private out: PingOut | undefined;

  constructor(private readonly options: LivenessOptions) {
    this.tickIn(options.limits.tickMs);
  }

  /** A ping waits for its answer. */
  get isPinging(): boolean {
    return this.out !== undefined;
  }

  /** For how long the peer has owed an answer, ms: to data, or to a ping. 0: it owes none. */
  owedMs(): number {
    const { feedback, timers } = this.options;
    const { oldestSentAt, ackedAt } = feedback;
    const now = timers.monotonic();
    const forData = oldestSentAt === undefined ? 0 : now - Math.max(oldestSentAt, ackedAt);
    const forPing = this.out === undefined ? 0 : now - this.out.sentAt;
    return Math.max(forData, forPing);
  }

  /** Asks for a round trip, and for the proof that the link is alive. Callers share one ping. */
  ping(answered?: PingCallback): void {
    if (this.isStopped) return answered?.(undefined);
    if (this.out === undefined) {
      const { primitives, timers } = this.options;
      this.out = { nonce: primitives.random(PING_BYTES), sentAt: timers.monotonic(), waiting: [] };
      this.options.send(this.out.nonce);
    }
    if (answered !== undefined) this.out.waiting.push(answered);
  }

  /** A PONG has come. @returns false: it answers no ping that is out */
  answered(nonce: Uint8Array): boolean {
    const { out } = this;
    if (out === undefined || !equal(out.nonce, nonce)) return false;
    this.out = undefined;
    const now = this.options.heardAt();
    const ms = now - out.sentAt;
    this.options.feedback.roundTrip(ms, now);
    for (const answered of out.waiting) answered(ms);
    return true;
  }

  /** Something moves on the link. */
  stir(): void {
    if (!this.isResting || this.isStopped) return;
    this.isResting = false;
    this.timer?.cancel();
    this.tickIn(this.options.limits.tickMs);
  }

  /** The link has ended: whoever waits for an answer gets none. */
  stop(): void {
    this.isStopped = true;
    this.timer?.cancel();
    const unanswered = this.out?.waiting ?? [];
    this.out = undefined;
    for (const answered of unanswered) answered(undefined);
  }

  private tick(): void {
    const isWatched = this.options.ticked();
    if (this.isStopped) return;
    const now = this.options.timers.monotonic();
    if (this.out !== undefined) this.watchPing(this.out, now);
    else this.watchPath(now);
    if (this.isStopped) return;
    const { pingIdleMs, tickMs } = this.options.limits;
    const silence = now - this.options.heardAt();
    const isQuiet = this.out === undefined && this.options.feedback.inFlight === 0 && silence >= tickMs;
    this.isResting = !isWatched && isQuiet;
    this.tickIn(this.isResting ? Math.ceil(pingIdleMs - silence) : tickMs);
  }

  private tickIn(ms: number): void {
    this.timer = this.options.timers.after(ms, () => this.tick());
  }

  private watchPath(now: number): void {
    const { feedback, limits } = this.options;
    const silence = now - this.options.heardAt();
    const oldest = feedback.oldestSentAt;
    const isSilent = oldest !== undefined && now - Math.max(oldest, feedback.ackedAt) >= limits.pingSilentMs;
    if (isSilent || silence >= limits.pingIdleMs) this.ping();
    if (silence >= limits.tickMs) this.options.quiet();
  }

  /** Nothing at all arriving, or no answer for several deadlines although other things arrive: the link is dead. */
  private watchPing(out: PingOut, now: number): void {
    const { pingDeadlineMs } = this.options.limits;
    const silence = now - Math.max(out.sentAt, this.options.heardAt());
    if (silence < pingDeadlineMs && now - out.sentAt < BUSY_PING_DEADLINES * pingDeadlineMs) return;
    this.options.dead();
  }
}
