/** Mutations for fuzz tests: of bytes, and of texts with words that the decoder knows. */
import type { Random } from '../../protocol/clock.js';
import { pick } from '../helpers/random.js';

/** One to four flips, cuts, repeats, swaps or insertions at random places. */
export function mutateBytes(random: Random, bytes: Uint8Array): Uint8Array {
  let out: Uint8Array = Uint8Array.from(bytes);
  for (let n = 1 + pick(random, 4); n > 0; n--) out = mutateOnce(random, out);
  return out;
}

function mutateOnce(random: Random, bytes: Uint8Array): Uint8Array {
  const at = pick(random, bytes.length + 1);
  const length = pick(random, Math.min(32, bytes.length - at + 1));
  switch (pick(random, 5)) {
    case 0: {
      const out = Uint8Array.from(bytes);
      if (at < out.length) out[at]! ^= 1 << pick(random, 8);
      return out;
    }
    case 1:
      return bytes.subarray(0, at);
    case 2:
      return Buffer.concat([bytes.subarray(0, at), bytes.subarray(at + length)]);
    case 3:
      return Buffer.concat([bytes.subarray(0, at + length), bytes.subarray(at)]);
    default:
      return Buffer.concat([bytes.subarray(0, at), random(1 + pick(random, 8)), bytes.subarray(at)]);
  }
}

/** Half the time bytes are mutated, half the time a word of `words` goes in the place of a stretch of text. */
export function mutateText(random: Random, text: string, words: readonly string[]): string {
  if (pick(random, 2) === 0) return Buffer.from(mutateBytes(random, Buffer.from(text))).toString('latin1');
  let out = text;
  for (let n = 1 + pick(random, 3); n > 0; n--) {
    const at = pick(random, out.length + 1);
    out = out.slice(0, at) + words[pick(random, words.length)]! + out.slice(at + pick(random, 12));
  }
  return out;
}
