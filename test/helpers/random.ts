/** Seeded randomness for tests: the same seed gives the same bytes. */
import { createHash } from 'node:crypto';
import type { Random } from '../../protocol/clock.js';
import { seed } from './suite.js';

/**
 * SHA-256 in counter mode over the run's seed.
 * @param label keeps the streams of different tests apart
 */
export function seededRandom(label: string, from = seed()): Random {
  let block = 0;
  let pool: Buffer = Buffer.alloc(0);
  return n => {
    const parts = [pool];
    for (let have = pool.length; have < n; have += 32) {
      parts.push(createHash('sha256').update(`${from}/${label}/${block++}`).digest());
    }
    const all = Buffer.concat(parts);
    pool = all.subarray(n);
    return new Uint8Array(all.subarray(0, n));
  };
}

/** @returns an integer from 0 to `below` - 1 */
export function pick(random: Random, below: number): number {
  const [a, b, c, d] = random(4);
  return (a! * 0x1000000 + b! * 0x10000 + c! * 0x100 + d!) % below;
}
