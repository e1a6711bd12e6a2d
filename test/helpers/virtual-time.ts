/** Timers in virtual time: nothing happens until the test moves the clock. */
import type { Timer, Timers } from '../../protocol/clock.js';

interface Entry {
  readonly at: number;
  readonly order: number;
  readonly callback: () => void;
  live: boolean;
}

export class VirtualTime implements Timers {
  private time = 0;
  private order = 0;
  private entries: Entry[] = [];
  private turn: (() => void)[] = [];

  /** @param epoch what `now()` says at the start, ms since 1970 */
  constructor(private readonly epoch = 1_800_000_000_000) {}

  now(): number {
    return this.epoch + this.time;
  }

  monotonic(): number {
    return this.time;
  }

  after(ms: number, callback: () => void): Timer {
    const entry: Entry = { at: this.time + Math.max(0, ms), order: this.order++, callback, live: true };
    this.entries.push(entry);
    return {
      cancel: () => {
        entry.live = false;
        this.entries = this.entries.filter(e => e !== entry);
      },
    };
  }

  soon(callback: () => void): void {
    this.turn.push(callback);
  }

  /** Timers that wait. */
  get pending(): number {
    return this.entries.length;
  }

  /** Ends the current turn: runs what was asked for `soon`, and what that asks for. */
  settle(): void {
    for (let next = this.turn.shift(); next !== undefined; next = this.turn.shift()) next();
  }

  /** Moves the clock, running every timer at its time. */
  advance(ms: number): void {
    const end = this.time + ms;
    this.settle();
    for (;;) {
      const due = this.entries.filter(e => e.at <= end).sort((x, y) => x.at - y.at || x.order - y.order)[0];
      if (due === undefined) break;
      this.entries = this.entries.filter(e => e !== due);
      this.time = Math.max(this.time, due.at);
      if (due.live) due.callback();
      this.settle();
    }
    this.time = end;
  }
}
