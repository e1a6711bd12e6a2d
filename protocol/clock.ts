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

const UNITS: readonly (readonly [number, string])[] = [
  [86_400_000, 'day'],
  [3_600_000, 'hour'],
  [60_000, 'minute'],
  [1000, 'second'],
];

/** A moment less than a day is a day. */
const NEARLY = 0.01;

/** A stretch of time for people, in its largest unit: `1 day`, `3 hours`. @param ms not below 0 */
export function spanText(ms: number): string {
  const [size, unit] = UNITS.find(([size]) => ms / size + NEARLY >= 1) ?? UNITS[UNITS.length - 1]!;
  const n = Math.floor(ms / size + NEARLY);
  return `${n} ${unit}${n === 1 ? '' : 's'}`;
}

/** Cryptographic randomness: n fresh bytes. */
export type Random = (n: number) => Uint8Array;
