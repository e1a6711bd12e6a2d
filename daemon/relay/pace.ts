/** A rate in bytes per second, kept by waiting: who has spent more than its share is told how long to wait. */
import type { Clock } from '../../protocol/clock.js';

export class Pace {
  /** monotonic ms: when all that was spent would have been due */
  private paidUntil = Number.NEGATIVE_INFINITY;

  /**
   * @param bytesPerSecond the rate
   * @param burstMs after a pause so much time's worth goes at once
   */
  constructor(
    private readonly clock: Pick<Clock, 'monotonic'>,
    private readonly bytesPerSecond: number,
    private readonly burstMs: number,
  ) {}

  spend(bytes: number): void {
    const earliest = this.clock.monotonic() - this.burstMs;
    this.paidUntil = Math.max(this.paidUntil, earliest) + (bytes * 1000) / this.bytesPerSecond;
  }

  /** ms until more may be spent; 0: now */
  wait(): number {
    return Math.max(0, this.paidUntil - this.clock.monotonic());
  }
}
