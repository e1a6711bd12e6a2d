/** Work that many things ask for and that is done once for all of them. */
import type { Timer, Timers } from '../../protocol/clock.js';

export class Batched {
  private isSoon = false;
  private timer: Timer | undefined;
  /** ms, monotonic: when the timer fires */
  private due = Number.POSITIVE_INFINITY;

  constructor(
    private readonly timers: Timers,
    private readonly work: () => void,
  ) {}

  /** It has been asked for and is not done yet. */
  get isWaiting(): boolean {
    return this.isSoon || this.timer !== undefined;
  }

  /** At the end of this turn. */
  soon(): void {
    if (this.isSoon) return;
    this.isSoon = true;
    this.timers.soon(() => {
      if (!this.isSoon) return;
      this.done();
      this.work();
    });
  }

  /** At the end of a turn at most `ms` from now. */
  within(ms: number): void {
    const due = this.timers.monotonic() + ms;
    if (this.isSoon || this.due <= due) return;
    this.done();
    this.due = due;
    this.timer = this.timers.after(ms, () => {
      this.done();
      this.soon();
    });
  }

  /** It need not be done any more, or has been done. */
  done(): void {
    this.isSoon = false;
    this.timer?.cancel();
    this.timer = undefined;
    this.due = Number.POSITIVE_INFINITY;
  }
}
