/**
 * When to dial one peer: at once when a link is wanted, then after a jittered exponential pause that starts anew as
 * soon as something changed (a new address, a lost link).
 *
 * While streams wait for a link (`every`), patience is worth nothing: a packet lost in a black hole must not cost the
 * kernel's back-off. Then a round begins every so often beside those that still hang.
 */
import type { Random, Timer, Timers } from '../../protocol/clock.js';
import { RateLimit, type Rate } from '../../protocol/limits.js';
import { DialRound } from './dial-round.js';

/** First pause after a failed round over all addresses, ms. */
export const DIAL_PAUSE_FIRST_MS = 500;
/** Longest pause, ms. */
export const DIAL_PAUSE_MAX_MS = 30_000;
/** Growth from one pause to the next. */
const DIAL_PAUSE_FACTOR = 1.8;
/** Each pause is drawn from [1 - JITTER, 1 + JITTER] times its nominal value, so that a herd spreads out. */
const DIAL_JITTER = 0.3;
/** Rounds that may hang at a time; the oldest is given up for the next one. */
export const MAX_HANGING_ROUNDS = 4;
/** Two rounds begin at least so far apart, whatever happens, ms. */
export const DIAL_GAP_MS = 100;
/** The next address joins a silent one after this long, ms (RFC 8305 §8). */
const STAGGER_MS = 250;
/** The same while streams wait. */
const HASTY_STAGGER_MS = 100;
/** While streams wait, each round tries so many of the best addresses, and one of the others in turn. */
export const HASTY_BEST = 3;
/** Links that served and broke soon may be replaced at once so often. */
const QUICK: Rate = { perSecond: 1, burst: 20 };

/** @returns `ms` times a factor drawn from [1 - DIAL_JITTER, 1 + DIAL_JITTER] */
export function jittered(ms: number, random: Random): number {
  const [high = 0, low = 0] = random(2);
  const unit = (high * 256 + low) / 0xffff;
  return ms * (1 - DIAL_JITTER + 2 * DIAL_JITTER * unit);
}

/**
 * @param failures rounds that failed in a row, from 1
 * @returns ms until the next round
 */
export function dialPause(failures: number, random: Random): number {
  return jittered(Math.min(DIAL_PAUSE_MAX_MS, DIAL_PAUSE_FIRST_MS * DIAL_PAUSE_FACTOR ** (failures - 1)), random);
}

/** A link that lasted this long was a good one: after it the pause begins anew, ms. */
export const DIAL_STEADY_MS = 10_000;

export interface DialLoopOptions {
  readonly timers: Timers;
  readonly random: Random;
  /** addresses to try now, best first; asked anew for each round */
  readonly addresses: () => readonly string[];
  /** false while there are links enough, or the peer is not to be dialed */
  readonly wanted: () => boolean;
  /**
   * ms from the start of one round to the next, whether the first still hangs or not; undefined (or left out): one
   * round at a time, with growing pauses
   */
  readonly every?: () => number | undefined;
  /** resolves when a link to the peer stands; rejects with the reason */
  readonly dial: (address: string, signal: AbortSignal) => Promise<void>;
  /** the last address of a round failed */
  readonly onFailed: (error: unknown) => void;
}

export class DialLoop {
  private failures = 0;
  private turns = 0;
  private next: Timer | undefined;
  private readonly rounds: DialRound[] = [];
  private readonly quick: RateLimit;
  private startedAt = Number.NEGATIVE_INFINITY;
  private again = false;
  /** a link ended soon while a round was under way, which may be the round's own */
  private hasLost = false;
  private stopped = false;

  constructor(private readonly options: DialLoopOptions) {
    this.quick = new RateLimit(QUICK, options.timers.monotonic());
  }

  get dialing(): boolean {
    return this.rounds.length > 0;
  }

  /** Something changed: dial now if a link is wanted, with the pause back at its start. */
  wake(): void {
    if (this.stopped) return;
    this.failures = 0;
    const every = this.every();
    if (this.rounds.length > 0 && every === undefined) {
      this.again = true;
      return;
    }
    const sinceStart = this.options.timers.monotonic() - this.startedAt;
    if (sinceStart >= DIAL_GAP_MS) this.begin();
    // What has begun just now is what is wanted.
    else this.beginIn((this.rounds.length > 0 ? every! : DIAL_GAP_MS) - sinceStart);
  }

  /** Dials now if a link is wanted and nothing is under way: neither a round nor the pause after a failed one. */
  nudge(): void {
    if (!this.stopped && this.rounds.length === 0 && this.next === undefined) this.begin();
  }

  /**
   * A link has ended. One that lasted, or that broke in use, is replaced at once; one that ended soon counts as a failed
   * round, so that two nodes that disagree do not dial each other without end.
   * @param lastedMs how long it was up
   * @param brokeInUse it carried the session and the connection under it was lost
   */
  lost(lastedMs: number, brokeInUse = false): void {
    if (this.stopped) return;
    const isGood = lastedMs >= DIAL_STEADY_MS || (brokeInUse && this.quick.take(this.options.timers.monotonic()));
    if (isGood) return this.wake();
    this.hasLost = true;
    if (this.rounds.length === 0 && !(this.next !== undefined && this.every() !== undefined)) this.pauseAfterFailure();
  }

  /** Everything is different now: what hangs is given up, and dialing begins anew. */
  restart(): void {
    this.giveUp();
    this.wake();
  }

  /** Gives up what hangs, if no link is wanted any more. */
  rest(): void {
    if (this.rounds.length > 0 && !this.options.wanted()) this.giveUp();
  }

  stop(): void {
    this.stopped = true;
    this.next?.cancel();
    this.giveUp();
  }

  private every(): number | undefined {
    return this.options.every?.();
  }

  private begin(): void {
    this.next?.cancel();
    this.next = undefined;
    if (this.stopped) return;
    const every = this.every();
    if (every !== undefined) this.beginIn(every);
    if (!this.options.wanted()) return;
    try {
      this.round(every !== undefined);
    } catch (error) {
      this.options.onFailed(error);
      if (this.next === undefined) this.pauseAfterFailure();
    }
  }

  private round(hasty: boolean): void {
    const { timers, wanted, dial } = this.options;
    const all = this.options.addresses();
    const addresses = hasty ? this.some(all) : all;
    if (addresses.length === 0) return;
    while (this.rounds.length >= MAX_HANGING_ROUNDS) this.rounds.shift()!.abort();
    this.startedAt = timers.monotonic();
    this.again = false;
    this.hasLost = false;
    const round = new DialRound({
      timers,
      addresses,
      staggerMs: hasty ? HASTY_STAGGER_MS : STAGGER_MS,
      wanted,
      dial,
    });
    this.rounds.push(round);
    round.start(outcome => this.ended(round, outcome));
  }

  /** The best ones, and of the others one after the other. */
  private some(addresses: readonly string[]): readonly string[] {
    const others = addresses.slice(HASTY_BEST);
    if (others.length === 0) return addresses;
    return [...addresses.slice(0, HASTY_BEST), others[this.turns++ % others.length]!];
  }

  private ended(round: DialRound, failure: { readonly error: unknown } | undefined): void {
    this.rounds.splice(this.rounds.indexOf(round), 1);
    if (this.stopped) return;
    if (failure !== undefined) this.options.onFailed(failure.error);
    if (!this.options.wanted()) return this.giveUp();
    if (this.next !== undefined || this.rounds.length > 0) return;
    if (this.again) this.begin();
    else if (failure !== undefined || this.hasLost) this.pauseAfterFailure();
    // More than one link is wanted: the other side may be bringing one up as well.
    else this.beginIn(jittered(DIAL_PAUSE_FIRST_MS, this.options.random));
  }

  private pauseAfterFailure(): void {
    this.failures++;
    this.beginIn(this.every() ?? dialPause(this.failures, this.options.random));
  }

  private beginIn(ms: number): void {
    this.next?.cancel();
    this.next = this.options.timers.after(ms, () => this.begin());
  }

  /** What still hangs is not needed any more. */
  private giveUp(): void {
    for (const round of this.rounds.splice(0)) round.abort();
  }
}
