/** Hashes that stay sorted while some come and some go. */
import { compare, toHex } from '../../../protocol/bytes.js';
import { SortedHashes } from '../../../protocol/identity/sorted-hashes.js';
import { assert, suite } from '../../helpers/suite.js';
import { seededRandom } from '../../helpers/random.js';
import { Dice } from '../session/virtual.js';

const test = suite('sorted hashes');

test('what comes and goes leaves the rest in order', () => {
  const dice = new Dice('sorted hashes');
  const random = seededRandom('sorted hashes');
  const sorted = new SortedHashes();
  let hashes: Uint8Array[] = [];
  for (let round = 0; round < 300; round++) {
    const gone = dice.chance(0.1) ? 0.5 : dice.chance(0.5) ? 0.05 : 0;
    hashes = hashes.filter(() => !dice.chance(gone));
    const many = dice.chance(0.1) ? 60 : dice.between(0, 20);
    // Short ones: many begin alike, and none stands twice.
    for (let i = 0; i < many; i++) {
      const hash = random(2);
      if (!hashes.some(other => compare(other, hash) === 0)) hashes.splice(dice.between(0, hashes.length), 0, hash);
    }
    const expected = hashes.map(toHex).sort();
    assert.equal(sorted.of(hashes).map(toHex), expected, `round ${round}`);
  }
  assert.equal(sorted.of([]), []);
});

test('one that is replaced by another one of the same number is noticed', () => {
  const sorted = new SortedHashes();
  const [a, b, c] = [Uint8Array.of(1), Uint8Array.of(2), Uint8Array.of(3)];
  assert.equal(sorted.of([b, a]), [a, b]);
  assert.equal(sorted.of([c, a]), [a, c]);
  assert.equal(sorted.of([b]), [b]);
});

test.run();
