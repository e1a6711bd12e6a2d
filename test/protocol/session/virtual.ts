/** Virtual time and seeded randomness for tests of links and sessions. */
import type { Timer, Timers } from '../../../protocol/clock.js';

/** A small seeded generator (mulberry32 over a hash of the seed); good enough to shuffle tests. */
export class Dice {
  private state: number;

  constructor(seed: string) {
    let h = 0x811c9dc5;
    for (const c of seed) h = Math.imul(h ^ c.charCodeAt(0), 0x01000193);
    this.state = h >>> 0;
  }

  /** 0 ≤ x < 1 */
  next(): number {
    this.state = (this.state + 0x6d2b79f5) >>> 0;
    let t = this.state;
    t = Math.imul(t ^ (t >>> 15), t | 1);
    t ^= t + Math.imul(t ^ (t >>> 7), t | 61);
    return ((t ^ (t >>> 14)) >>> 0) / 0x1_0000_0000;
  }

  /** 0 … n-1 */
  below(n: number): number {
    return Math.floor(this.next() * n);
  }

  /** low … high */
  between(low: number, high: number): number {
    return low + this.below(high - low + 1);
  }

  chance(p: number): boolean {
    return this.next() < p;
  }

  pick<T>(list: readonly T[]): T {
    return list[this.below(list.length)]!;
  }

  bytes(n: number): Uint8Array {
    const out = new Uint8Array(n);
    for (let i = 0; i < n; i++) out[i] = this.below(256);
    return out;
  }
}

interface Event {
  readonly at: number;
  readonly order: number;
  readonly run: () => void;
  isCancelled: boolean;
}

/** Time moves only when the next event is run; what is to run `soon` runs right behind the event at hand. */
export class VirtualTimers implements Timers {
  private time = 0;
  private order = 0;
  private readonly heap: Event[] = [];
  private turn: (() => void)[] = [];

  now(): number {
    return 1_700_000_000_000 + this.time;
  }

  monotonic(): number {
    return this.time;
  }

  after(ms: number, callback: () => void): Timer {
    const event: Event = { at: this.time + Math.max(0, ms), order: this.order++, run: callback, isCancelled: false };
    this.push(event);
    return { cancel: () => void (event.isCancelled = true) };
  }

  soon(callback: () => void): void {
    this.turn.push(callback);
  }

  /** Events that wait and are not cancelled. */
  get waiting(): number {
    return this.heap.filter(e => !e.isCancelled).length + this.turn.length;
  }

  /** Runs the rest of the turn, or else the next event. @returns false when there is none up to `until` */
  step(until = Number.POSITIVE_INFINITY): boolean {
    if (this.turn.length > 0) {
      this.runTurn();
      return true;
    }
    while (this.heap[0]?.isCancelled === true) this.pop();
    const event = this.heap[0];
    if (event === undefined || event.at > until) return false;
    this.pop();
    this.time = Math.max(this.time, event.at);
    event.run();
    this.runTurn();
    return true;
  }

  /** Runs `ms` of virtual time. */
  run(ms: number): void {
    const until = this.time + ms;
    while (this.step(until));
    this.time = until;
  }

  /** Runs until `done` says so. @returns false when that did not happen within `ms` */
  runUntil(done: () => boolean, ms: number): boolean {
    const until = this.time + ms;
    while (!done()) {
      if (!this.step(until)) return done();
    }
    return true;
  }

  private runTurn(): void {
    while (this.turn.length > 0) {
      const callbacks = this.turn;
      this.turn = [];
      for (const callback of callbacks) callback();
    }
  }

  private push(event: Event): void {
    const { heap } = this;
    let i = heap.push(event) - 1;
    while (i > 0) {
      const parent = (i - 1) >> 1;
      if (!isBefore(event, heap[parent]!)) break;
      heap[i] = heap[parent]!;
      i = parent;
    }
    heap[i] = event;
  }

  private pop(): void {
    const { heap } = this;
    const last = heap.pop()!;
    if (heap.length === 0) return;
    let i = 0;
    for (;;) {
      let child = 2 * i + 1;
      if (child >= heap.length) break;
      if (child + 1 < heap.length && isBefore(heap[child + 1]!, heap[child]!)) child++;
      if (!isBefore(heap[child]!, last)) break;
      heap[i] = heap[child]!;
      i = child;
    }
    heap[i] = last;
  }
}

function isBefore(a: Event, b: Event): boolean {
  return a.at < b.at || (a.at === b.at && a.order < b.order);
}
