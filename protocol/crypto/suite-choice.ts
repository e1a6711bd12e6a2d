/**
 * Which of the two AEADs is faster on this machine: that of processors with instructions for AES, or the other. Each
 * seals and opens records as links carry them, small and large, for a few milliseconds.
 */
import type { Clock, Random } from '../clock.js';
import { AEAD_KEY_LENGTH, NONCE_LENGTH } from './lengths.js';
import type { Aead, AeadName } from './primitives.js';

/** Preferred unless the other one is clearly faster: measured twice, the choice should be the same. */
const PREFERRED: AeadName = 'AESGCM';
const CLEARLY = 0.9;
/** Plaintext of a record with a few small frames, and of one full of bulk data, bytes. */
const SMALL = 512;
const LARGE = 64 * 1024;
/** Small records in one measurement: one alone is too quick for the clock. */
const SMALL_AT_ONCE = 8;
/** How long all of it takes, ms; at least, and at most, so many rounds. */
const FOR_MS = 5;
const LEAST_ROUNDS = 3;
const MOST_ROUNDS = 50;

/** Microseconds for sealing and opening one record; the best of all rounds, since disturbances only add. */
export interface SuiteSpeed {
  small: number;
  large: number;
}

export interface SuiteChoice {
  readonly suite: AeadName;
  readonly speed: Readonly<Record<AeadName, SuiteSpeed>>;
}

/** @param clock real time, or a test's */
export function chooseSuite(
  aeads: Readonly<Record<AeadName, Aead>>,
  random: Random,
  clock: Pick<Clock, 'monotonic'>,
): SuiteChoice {
  const slowest = { small: Infinity, large: Infinity };
  const speed = { AESGCM: { ...slowest }, ChaChaPoly: { ...slowest } };
  const [small, large] = [random(SMALL), random(LARGE)];
  const began = clock.monotonic();
  for (let round = 0; round < MOST_ROUNDS; round++) {
    if (round >= LEAST_ROUNDS && clock.monotonic() - began >= FOR_MS) break;
    for (const name of ['AESGCM', 'ChaChaPoly'] as const) {
      const best = speed[name];
      const run = (plaintext: Uint8Array, times: number): number => time(aeads[name], random, clock, plaintext, times);
      best.small = Math.min(best.small, run(small, SMALL_AT_ONCE));
      best.large = Math.min(best.large, run(large, 1));
    }
  }
  const other: AeadName = 'ChaChaPoly';
  return { suite: cost(speed[other]) < CLEARLY * cost(speed[PREFERRED]) ? other : PREFERRED, speed };
}

/** Sealing is a larger part of the work with bulk than with requests, so large records count twice. */
function cost({ small, large }: SuiteSpeed): number {
  return small * large * large;
}

function time(
  aead: Aead,
  random: Random,
  clock: Pick<Clock, 'monotonic'>,
  plaintext: Uint8Array,
  times: number,
): number {
  const key = aead.key(random(AEAD_KEY_LENGTH));
  const nonce = new Uint8Array(NONCE_LENGTH);
  const began = clock.monotonic();
  for (let i = 0; i < times; i++) key.open(nonce, nonce, key.seal(nonce, nonce, plaintext));
  const ms = clock.monotonic() - began;
  key.destroy();
  return (ms * 1000) / times;
}
