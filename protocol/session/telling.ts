/**
 * Streams whose progress can wait to be told: with the next record that leaves anyway if it is much, else with a timer
 * for all of them; streams whose last words nobody waits for, likewise with a shorter one; and streams that wait for
 * budget.
 */
import type { Timer, Timers } from '../clock.js';
import type { Limits } from '../limits.js';
import type { Stream } from './stream.js';

/** Streams that are offered freed budget at one time. */
const RETRY_AT_ONCE = 16;

export class Telling {
  private readonly lagging = new Set<Stream>();
  private readonly riding = new Set<Stream>();
  private readonly starving = new Set<Stream>();
  private trailing: Stream[] = [];
  private timer: Timer | undefined;
  private trailTimer: Timer | undefined;
  private isOver = false;

  /** @param delays the most that telling waits */
  constructor(
    private readonly timers: Timers,
    private readonly delays: Pick<Limits['session'], 'windowDelayMs' | 'trailMs'>,
  ) {}

  lags(stream: Stream): void {
    this.lagging.add(stream);
    this.arm();
  }

  rides(stream: Stream): void {
    this.riding.add(stream);
    this.arm();
  }

  starves(stream: Stream): void {
    this.starving.add(stream);
    this.arm();
  }

  /** The timer is left to run when a record takes all along: where one leaves after the other it is set rarely. */
  trails(stream: Stream): void {
    this.trailing.push(stream);
    if (this.trailTimer !== undefined || this.isOver) return;
    this.trailTimer = this.timers.after(this.delays.trailMs, () => {
      this.trailTimer = undefined;
      this.trail();
    });
  }

  /** What trails is told now. */
  trail(): void {
    if (this.trailing.length === 0) return;
    const { trailing } = this;
    this.trailing = [];
    for (const stream of trailing) stream.trail();
  }

  /** A record is about to leave. */
  ride(): void {
    this.trail();
    if (this.riding.size === 0) return;
    const riding = [...this.riding];
    this.riding.clear();
    for (const stream of riding) stream.tell();
  }

  /** Offers what budget there is to some of those that wait. */
  retry(): void {
    if (this.starving.size === 0) return;
    for (const stream of [...this.starving].slice(0, RETRY_AT_ONCE)) {
      this.starving.delete(stream);
      stream.tell();
    }
  }

  forget(stream: Stream): void {
    this.lagging.delete(stream);
    this.riding.delete(stream);
    this.starving.delete(stream);
  }

  /** Nothing more is told. */
  stop(): void {
    this.isOver = true;
    this.timer?.cancel();
    this.trailTimer?.cancel();
    this.trailing = [];
    this.lagging.clear();
    this.riding.clear();
    this.starving.clear();
  }

  private arm(): void {
    if (this.timer !== undefined || this.isOver) return;
    this.timer = this.timers.after(this.delays.windowDelayMs, () => {
      this.timer = undefined;
      const lagging = [...this.lagging];
      this.lagging.clear();
      for (const stream of lagging) stream.tell();
      this.ride();
      this.retry();
      if (this.starving.size > 0) this.arm();
    });
  }
}
