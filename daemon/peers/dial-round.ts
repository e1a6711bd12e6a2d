/**
 * One attempt at one peer: a race over its addresses. The next address joins in when one has failed, or a little later
 * when it keeps silent (RFC 8305 §5); the first link wins and the others are given up.
 */
import type { Timer, Timers } from '../../protocol/clock.js';

/** With so many addresses silent at a time, the next ones join in more slowly ... */
export const MANY_RACING = 4;
/** ... one after so long, ms. */
export const SLOW_STAGGER_MS = 1_000;

export interface DialRoundOptions {
  readonly timers: Timers;
  /** best first, at least one */
  readonly addresses: readonly string[];
  /** a silent address gets company after so long, ms */
  readonly staggerMs: number;
  /** false: no further address is tried */
  readonly wanted: () => boolean;
  /** resolves when a link to the peer stands; rejects with the reason */
  readonly dial: (address: string, signal: AbortSignal) => Promise<void>;
}

export class DialRound {
  private readonly given = new AbortController();
  private next = 0;
  private running = 0;
  private pace: Timer | undefined;
  private last: { readonly error: unknown } | undefined;
  private end: (outcome: { readonly error: unknown } | undefined) => void = () => undefined;
  private isOver = false;

  constructor(private readonly options: DialRoundOptions) {}

  /** @param onEnd called once: with undefined when an address led to a link, else with the last error */
  start(onEnd: (outcome: { readonly error: unknown } | undefined) => void): void {
    this.end = onEnd;
    this.tryNext();
  }

  /** Gives it up: whatever is under way is ended, and nothing more is told. */
  abort(): void {
    this.finish();
  }

  private tryNext(): void {
    this.pace?.cancel();
    this.pace = undefined;
    const { addresses, staggerMs, timers, wanted } = this.options;
    if (this.isOver || this.next >= addresses.length) return;
    // The first is what the caller wants; later ones only while nothing has changed.
    if (this.next > 0 && !wanted()) {
      this.next = addresses.length;
      return this.lose();
    }
    void this.attempt(addresses[this.next++]!);
    if (this.next >= addresses.length) return;
    const pause = this.running < MANY_RACING ? staggerMs : SLOW_STAGGER_MS;
    this.pace = timers.after(pause, () => this.tryNext());
  }

  private async attempt(address: string): Promise<void> {
    this.running++;
    try {
      await this.options.dial(address, this.given.signal);
    } catch (error) {
      this.running--;
      if (this.isOver) return;
      this.last = { error };
      this.tryNext();
      return this.lose();
    }
    if (this.isOver) return;
    this.finish();
    this.end(undefined);
  }

  /** Over without a link, if nothing is under way and nothing is left to try. */
  private lose(): void {
    if (this.isOver || this.running > 0 || this.next < this.options.addresses.length) return;
    const outcome = this.last ?? { error: new Error('no address was tried') };
    this.finish();
    this.end(outcome);
  }

  private finish(): void {
    this.isOver = true;
    this.pace?.cancel();
    this.given.abort();
  }
}
