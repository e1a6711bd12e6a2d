/**
 * What was seen before in this process: preface nonces, and ephemeral keys of message 1. Memory only: after a restart
 * a recording may draw one message 2, which is useless without the key of its e.
 */
import type { Clock } from '../clock.js';
import { CLOCK_WINDOW_MS } from './wire.js';

/** Entries per generation; a set holds at most two generations. */
export const SEEN_PER_GENERATION = 16_384;

/**
 * A message 1 stamped one window ahead of the own clock stays acceptable for two windows; a generation is kept for one
 * whole life of its successor, so every entry is remembered at least this long while there is room.
 */
export const SEEN_FOR_MS = 2 * CLOCK_WINDOW_MS;

/** A bounded set of byte strings: two generations, the older one forgotten as a whole. */
export class SeenSet {
  private current = new Set<string>();
  private previous = new Set<string>();
  private since: number;

  /**
   * @param maxAgeMs entries are kept at least this long unless more than `max` come meanwhile
   * @param max entries per generation
   */
  constructor(
    private readonly clock: Clock,
    private readonly maxAgeMs = SEEN_FOR_MS,
    private readonly max = SEEN_PER_GENERATION,
  ) {
    this.since = clock.monotonic();
  }

  get size(): number {
    return this.current.size + this.previous.size;
  }

  /** Remembers `bytes`. @returns true if they were not in the set */
  add(bytes: Uint8Array): boolean {
    const now = this.clock.monotonic();
    if (this.current.size >= this.max || now - this.since >= this.maxAgeMs) {
      this.previous = now - this.since >= 2 * this.maxAgeMs ? new Set() : this.current;
      this.current = new Set();
      this.since = now;
    }
    const key = String.fromCharCode(...bytes);
    // A replay leaves no trace, so replaying cannot push out what is remembered.
    if (this.current.has(key) || this.previous.has(key)) return false;
    this.current.add(key);
    return true;
  }
}

/** One per process, shared by all listeners. Only holders of a PSK can make it grow, and not beyond its bounds. */
export class ReplayGuard {
  private readonly nonces: SeenSet;
  private readonly ephemerals: SeenSet;

  constructor(clock: Clock, maxAgeMs = SEEN_FOR_MS, perGeneration = SEEN_PER_GENERATION) {
    this.nonces = new SeenSet(clock, maxAgeMs, perGeneration);
    this.ephemerals = new SeenSet(clock, maxAgeMs, perGeneration);
  }

  /** @param nonce of a preface whose hint was right. @returns false: a replay */
  freshPreface(nonce: Uint8Array): boolean {
    return this.nonces.add(nonce);
  }

  /** @param e 32 bytes, of a message 1 whose tag was right. @returns false: a replay */
  freshEphemeral(e: Uint8Array): boolean {
    return this.ephemerals.add(e);
  }

  get size(): number {
    return this.nonces.size + this.ephemerals.size;
  }
}
