/**
 * Which of the two AEADs is faster on this machine: that of processors with instructions for AES, or the other. Each
 * seals and opens records of bulk data for a few milliseconds. Small records are left out: most of what they take is the
 * kernel's and JavaScript's, and requests come as fast with one suite as with the other, though a call costs more.
 */
import type { Clock, Random } from '../clock.js';
import { AEAD_KEY_LENGTH, NONCE_LENGTH } from './lengths.js';
import type { Aead, AeadName } from './primitives.js';

/**
 * Preferred unless the other one is clearly faster: measured twice, the choice should be the same. Without instructions
 * for AES the other one is several times as fast; with them they are so close that fresh memory may cost more.
 */
const PREFERRED: AeadName = 'AESGCM';
const CLEARLY = 0.7;
/** Plaintext of one record, bytes: enough for the bytes to cost more than the call, little enough for many rounds. */
const RECORD = 16 * 1024;
/** How long all of it takes, ms; at least, and at most, so many rounds. */
const FOR_MS = 5;
const LEAST_ROUNDS = 3;
const MOST_ROUNDS = 100;

export interface SuiteChoice {
  readonly suite: AeadName;
  /** Microseconds for sealing and opening one record; the best of all rounds, since disturbances only add. */
  readonly microseconds: Readonly<Record<AeadName, number>>;
}

/** @param clock real time, or a test's */
export function chooseSuite(
  aeads: Readonly<Record<AeadName, Aead>>,
  random: Random,
  clock: Pick<Clock, 'monotonic'>,
): SuiteChoice {
  const best = { AESGCM: Infinity, ChaChaPoly: Infinity };
  const record = random(RECORD);
  const began = clock.monotonic();
  for (let round = 0; round < MOST_ROUNDS; round++) {
    if (round >= LEAST_ROUNDS && clock.monotonic() - began >= FOR_MS) break;
    for (const name of ['AESGCM', 'ChaChaPoly'] as const)
      best[name] = Math.min(best[name], time(aeads[name], random, clock, record));
  }
  const suite = best.ChaChaPoly < CLEARLY * best.AESGCM ? 'ChaChaPoly' : PREFERRED;
  return { suite, microseconds: best };
}

/** @returns microseconds */
function time(aead: Aead, random: Random, clock: Pick<Clock, 'monotonic'>, record: Uint8Array): number {
  const key = aead.key(random(AEAD_KEY_LENGTH));
  const nonce = new Uint8Array(NONCE_LENGTH);
  const began = clock.monotonic();
  key.open(nonce, nonce, key.seal(nonce, nonce, record));
  const ms = clock.monotonic() - began;
  key.destroy();
  return ms * 1000;
}
