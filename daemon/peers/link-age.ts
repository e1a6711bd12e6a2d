/**
 * Fresh keys on long-lived links: the side that dialed opens a replacement after about an hour, and the old link ends
 * after three hours at the latest. The session moves its streams to the newer link; nobody notices.
 */
import type { Random, Timer, Timers } from '../../protocol/clock.js';

/** A dialed link is replaced after so long, give or take REPLACE_JITTER, ms. */
export const REPLACE_MS = 60 * 60_000;
export const REPLACE_JITTER = 0.1;
/** A replacement that failed is tried again after so long, ms. */
export const REPLACE_RETRY_MS = 5 * 60_000;
/** No link lives longer, ms. */
export const LINK_LIFE_MS = 3 * 60 * 60_000;

export interface LinkAgeOptions {
  readonly timers: Timers;
  readonly random: Random;
  /** true on the side that dialed */
  readonly isDialer: boolean;
  /** opens another link to the same peer; rejects when it cannot be had */
  readonly replace: () => Promise<void>;
  /** ends the link */
  readonly end: () => void;
}

/** Watches one link until `stop`. */
export class LinkAge {
  private replacement: Timer | undefined;
  private readonly life: Timer;
  private stopped = false;

  constructor(private readonly options: LinkAgeOptions) {
    const { timers, random, isDialer, end } = options;
    this.life = timers.after(LINK_LIFE_MS, end);
    const [byte = 0] = random(1);
    const spread = 1 - REPLACE_JITTER + (2 * REPLACE_JITTER * byte) / 0xff;
    if (isDialer) this.replacement = timers.after(REPLACE_MS * spread, () => void this.replace());
  }

  private async replace(): Promise<void> {
    try {
      await this.options.replace();
    } catch {
      if (this.stopped) return;
      this.replacement = this.options.timers.after(REPLACE_RETRY_MS, () => void this.replace());
    }
  }

  /** The link has ended. */
  stop(): void {
    this.stopped = true;
    this.replacement?.cancel();
    this.life.cancel();
  }
}
