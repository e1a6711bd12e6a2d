/** What strangers or broken targets cause again and again is logged once in a while, with the number left out. */
import type { Clock } from '../../protocol/clock.js';
import { LOG_PAUSE_ENTRIES, LOG_PAUSE_MS } from './limits.js';

export class LogPauses {
  private readonly entries = new Map<string, { until: number; leftOut: number }>();

  constructor(private readonly clock: Pick<Clock, 'monotonic'>) {}

  /**
   * @param key names the kind of line and whom it concerns
   * @returns how many lines were left out since the last one; undefined: leave this one out too
   */
  pass(key: string): number | undefined {
    const now = this.clock.monotonic();
    const entry = this.entries.get(key);
    if (entry !== undefined && now < entry.until) {
      entry.leftOut++;
      return undefined;
    }
    if (entry === undefined && this.entries.size >= LOG_PAUSE_ENTRIES) this.entries.clear();
    this.entries.set(key, { until: now + LOG_PAUSE_MS, leftOut: 0 });
    return entry?.leftOut ?? 0;
  }
}
