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
/** A link whose keys are outdated is replaced within this, ms; chosen at random, so that a rotation causes no rush. */
export const OUTDATED_MS = 15_000;
/** ... and is replaced again after this, ms, while it is still there. */
export const OUTDATED_RETRY_MS = 5_000;
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
  private isOutdated = false;
  private stopped = false;

  constructor(private readonly options: LinkAgeOptions) {
    const { timers, random, linkMs, isDialer, end } = options;
    this.life = timers.after(LINK_LIFE * linkMs, end);
    const [byte = 0] = random(1);
    const spread = 1 - REPLACE_JITTER + (2 * REPLACE_JITTER * byte) / 0xff;
    if (isDialer) this.replacement = timers.after(linkMs * spread, () => void this.replace());
  }

  /** Its keys have been replaced: it is to be replaced soon, whatever its age. */
  outdated(): void {
    const { timers, random, isDialer } = this.options;
    if (this.isOutdated || this.stopped) return;
    this.isOutdated = true;
    if (!isDialer) return;
    this.replacement?.cancel();
    const [byte = 0] = random(1);
    this.replacement = timers.after((OUTDATED_MS * byte) / 0xff, () => void this.replace());
  }

  /** Whether it worked is seen by this link's end: with several links, another one may have made way. */
  private async replace(): Promise<void> {
    await this.options.replace().catch(() => undefined);
    if (this.stopped) return;
    const { timers, linkMs } = this.options;
    const retry = this.isOutdated ? OUTDATED_RETRY_MS : REPLACE_RETRY * linkMs;
    this.replacement = timers.after(retry, () => void this.replace());
  }

  /** The link has ended. */
  stop(): void {
    this.stopped = true;
    this.replacement?.cancel();
    this.life.cancel();
  }
}
