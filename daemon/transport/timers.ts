/** Time as the operating system gives it: the one place where protocol/clock.ts meets node's timers. */
import type { Timer, Timers } from '../../protocol/clock.js';

/** The most that setTimeout takes; longer waits are made of several. */
const LONGEST_TIMEOUT_MS = 0x7fffffff;

export class NodeTimers implements Timers {
  private readonly running = new Set<NodeTimer>();
  private turn: (() => void)[] = [];

  /** Timers that are waiting now, for diagnostics. */
  get count(): number {
    return this.running.size;
  }

  now(): number {
    return Date.now();
  }

  monotonic(): number {
    return performance.now();
  }

  after(ms: number, callback: () => void): Timer {
    const timer = new NodeTimer(this.running, this.monotonic() + ms, callback);
    timer.arm();
    return timer;
  }

  soon(callback: () => void): void {
    if (this.turn.push(callback) === 1) setImmediate(this.runTurn);
  }

  /** All of one turn in one immediate; what they add belongs to the next turn. */
  private readonly runTurn = (): void => {
    const callbacks = this.turn;
    this.turn = [];
    let done = 0;
    try {
      for (const callback of callbacks) {
        done++;
        callback();
      }
    } finally {
      // One that throws does not take the others with it.
      const rest = callbacks.slice(done);
      if (rest.length > 0) {
        if (this.turn.length === 0) setImmediate(this.runTurn);
        this.turn.unshift(...rest);
      }
    }
  };
}

class NodeTimer implements Timer {
  private handle: NodeJS.Timeout | undefined;

  constructor(
    private readonly running: Set<NodeTimer>,
    private readonly due: number,
    private readonly callback: () => void,
  ) {}

  /** Waits for what is left. setTimeout counts in whole ms of the loop's clock and may be early by a fraction. */
  arm(): void {
    this.running.add(this);
    const left = Math.max(0, Math.ceil(this.due - performance.now()));
    this.handle = setTimeout(() => this.fire(), Math.min(left, LONGEST_TIMEOUT_MS));
    this.handle.unref();
  }

  cancel(): void {
    clearTimeout(this.handle);
    this.running.delete(this);
  }

  private fire(): void {
    if (performance.now() < this.due) {
      this.arm();
      return;
    }
    this.running.delete(this);
    this.callback();
  }
}
