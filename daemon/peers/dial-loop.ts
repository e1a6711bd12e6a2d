/**
 * When to dial one peer: at once when a link is wanted, then after a jittered exponential pause that starts anew as
 * soon as something changed (a new address, a lost link). One attempt at a time; addresses are tried in turn.
 */
import type { Random, Timer, Timers } from '../../protocol/clock.js';

/** First pause after a failed round over all addresses, ms. */
export const DIAL_PAUSE_FIRST_MS = 500;
/** Longest pause, ms. */
export const DIAL_PAUSE_MAX_MS = 30_000;
/** Growth from one pause to the next. */
const DIAL_PAUSE_FACTOR = 1.8;
/** Each pause is drawn from [1 - JITTER, 1 + JITTER] times its nominal value, so that a herd spreads out. */
const DIAL_JITTER = 0.3;

/**
 * @param failures rounds that failed in a row, from 1
 * @returns ms until the next round
 */
export function dialPause(failures: number, random: Random): number {
  const nominal = Math.min(DIAL_PAUSE_MAX_MS, DIAL_PAUSE_FIRST_MS * DIAL_PAUSE_FACTOR ** (failures - 1));
  const [high = 0, low = 0] = random(2);
  const unit = (high * 256 + low) / 0xffff;
  return nominal * (1 - DIAL_JITTER + 2 * DIAL_JITTER * unit);
}

/** A link that lasted this long was a good one: after it the pause begins anew, ms. */
export const DIAL_STEADY_MS = 10_000;

export interface DialLoopOptions {
  readonly timers: Timers;
  readonly random: Random;
  /** addresses to try now, best first; asked anew for each round */
  readonly addresses: () => readonly string[];
  /** false while a link is there, or the peer is not to be dialed */
  readonly wanted: () => boolean;
  /** resolves when a link to the peer stands; rejects with the reason */
  readonly dial: (address: string, signal: AbortSignal) => Promise<void>;
  /** the last address of a round failed */
  readonly onFailed: (error: unknown) => void;
}

export class DialLoop {
  private failures = 0;
  private pause: Timer | undefined;
  private running: AbortController | undefined;
  private again = false;
  private stopped = false;

  constructor(private readonly options: DialLoopOptions) {}

  get dialing(): boolean {
    return this.running !== undefined;
  }

  /** Something changed: dial now if a link is wanted, with the pause back at its start. */
  wake(): void {
    if (this.stopped) return;
    this.failures = 0;
    this.pause?.cancel();
    this.pause = undefined;
    if (this.running !== undefined) this.again = true;
    else this.begin();
  }

  /** Dials now if a link is wanted and nothing is under way: neither a round nor the pause after a failed one. */
  nudge(): void {
    if (!this.stopped && this.running === undefined && this.pause === undefined) this.begin();
  }

  /**
   * A link has ended. One that lasted is replaced at once; one that ended soon counts as a failed round, so that two
   * nodes that disagree do not dial each other without end.
   * @param lastedMs how long it was up
   */
  lost(lastedMs: number): void {
    if (lastedMs >= DIAL_STEADY_MS) this.wake();
    else if (!this.stopped && this.running === undefined && this.pause === undefined) this.pauseAfterFailure();
  }

  stop(): void {
    this.stopped = true;
    this.pause?.cancel();
    this.running?.abort();
  }

  private begin(): void {
    this.round().catch((error: unknown) => {
      this.running = undefined;
      if (this.stopped) return;
      this.options.onFailed(error);
      this.pauseAfterFailure();
    });
  }

  private async round(): Promise<void> {
    if (this.stopped || !this.options.wanted()) return;
    const addresses = this.options.addresses();
    if (addresses.length === 0) return;
    const attempt = new AbortController();
    this.running = attempt;
    this.again = false;
    const failure = await this.tryEach(addresses, attempt.signal);
    this.running = undefined;
    if (this.stopped) return;
    if (failure !== undefined) this.options.onFailed(failure.error);
    if (!this.options.wanted()) return;
    if (this.again) this.begin();
    else this.pauseAfterFailure();
  }

  private pauseAfterFailure(): void {
    this.failures++;
    this.pause = this.options.timers.after(dialPause(this.failures, this.options.random), () => {
      this.pause = undefined;
      this.begin();
    });
  }

  /** @returns undefined when one address led to a link, else the last error */
  private async tryEach(addresses: readonly string[], signal: AbortSignal): Promise<{ error: unknown } | undefined> {
    let last: { error: unknown } | undefined;
    for (const address of addresses) {
      if (signal.aborted || !this.options.wanted()) return last;
      try {
        await this.options.dial(address, signal);
        return undefined;
      } catch (error) {
        last = { error };
      }
    }
    return last;
  }
}
