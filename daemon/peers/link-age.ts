/**
 * Fresh keys on long-lived links: the side that dialed opens a replacement after about an hour (`limits.linkSeconds`),
 * and the old link ends after three times as long at the latest. The session moves its streams to the newer link; nobody
 * notices.
 */
import type { Random, Timer, Timers } from '../../protocol/clock.js';

/** A dialed link is replaced after so long, give or take REPLACE_JITTER, unless the config says otherwise, ms. */
export const LINK_MS = 60 * 60_000;
export const REPLACE_JITTER = 0.1;
/** A link that has lived this share of its time makes way for a new one (`session.replaceAfterMs`). */
export const REPLACEABLE = 5 / 6;
/** A link that is still there this share of it after its replacement was dialed is replaced again. */
export const REPLACE_RETRY = 1 / 12;
/** No link lives longer than so many times its time. */
export const LINK_LIFE = 3;

export interface LinkAgeOptions {
  readonly timers: Timers;
  readonly random: Random;
  /** how long a link lives before its replacement, ms */
  readonly linkMs: number;
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
    const { timers, random, linkMs, isDialer, end } = options;
    this.life = timers.after(LINK_LIFE * linkMs, end);
    const [byte = 0] = random(1);
    const spread = 1 - REPLACE_JITTER + (2 * REPLACE_JITTER * byte) / 0xff;
    if (isDialer) this.replacement = timers.after(linkMs * spread, () => void this.replace());
  }

  /** Whether it worked is seen by this link's end: with several links, another one may have made way. */
  private async replace(): Promise<void> {
    await this.options.replace().catch(() => undefined);
    if (this.stopped) return;
    const { timers, linkMs } = this.options;
    this.replacement = timers.after(REPLACE_RETRY * linkMs, () => void this.replace());
  }

  /** The link has ended. */
  stop(): void {
    this.stopped = true;
    this.replacement?.cancel();
    this.life.cancel();
  }
}
