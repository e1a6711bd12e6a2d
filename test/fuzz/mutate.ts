/** Mutations of bytes, for fuzz tests. */
import type { Dice } from '../protocol/session/virtual.js';

const INTERESTING = [0, 1, 0x3f, 0x40, 0x7f, 0x80, 0xbf, 0xc0, 0xff];

/** One to four random changes: flipped bits, interesting bytes, cuts, insertions, repeats, swaps. */
export function mutate(dice: Dice, bytes: Uint8Array): Uint8Array {
  let out = bytes;
  for (let n = dice.between(1, 4); n > 0; n--) out = change(dice, out);
  return out;
}

function change(dice: Dice, bytes: Uint8Array): Uint8Array {
  const out = bytes.slice();
  const at = dice.below(out.length + 1);
  const to = Math.min(out.length, at + dice.between(1, 16));
  switch (dice.below(7)) {
    case 0:
      if (at < out.length) out[at]! ^= 1 << dice.below(8);
      return out;
    case 1:
      if (at < out.length) out[at] = dice.pick(INTERESTING);
      return out;
    case 2:
      return out.slice(0, at);
    case 3:
      return join(out.subarray(0, at), out.subarray(to));
    case 4:
      return join(out.subarray(0, at), dice.bytes(dice.between(1, 9)), out.subarray(at));
    case 5:
      return join(out.subarray(0, to), out.subarray(at, to), out.subarray(to));
    default:
      return join(out.subarray(at, to), out.subarray(0, at), out.subarray(to));
  }
}

function join(...parts: Uint8Array[]): Uint8Array {
  return new Uint8Array(Buffer.concat(parts));
}
