/** Time and randomness are passed in, so that the whole protocol runs in virtual time with a seed. */

export interface Clock {
  /** Wall clock, ms since the Unix epoch; may jump. For statements, grants and expiry only. */
  now(): number;
  /** Monotonic clock in ms (fractions allowed); for deadlines and round-trip times. */
  monotonic(): number;
}

/** A pending callback that can be taken back; cancelling twice, or after it ran, does nothing. */
export interface Timer {
  cancel(): void;
}

export interface Timers extends Clock {
  /** Runs `callback` once, not before `ms` milliseconds have passed. Never keeps a process alive by itself. */
  after(ms: number, callback: () => void): Timer;
  /** Runs `callback` once, after the current event's work and before the next timer: the end of this turn. */
  soon(callback: () => void): void;
}

/** Cryptographic randomness: n fresh bytes. */
export type Random = (n: number) => Uint8Array;
