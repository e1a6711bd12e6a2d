/** Records under mutation: whatever comes, the opener gives the true plaintext or an error, in bounded memory. */
import { concat } from '../../protocol/bytes.js';
import { loadPrimitives } from '../../protocol/crypto/load.js';
import { WarrenError } from '../../protocol/errors.js';
import { RecordOpener, RecordSealer } from '../../protocol/link/record.js';
import { assert, full, seed, suite } from '../helpers/suite.js';
import { Dice } from '../protocol/session/virtual.js';
import { mutate } from './mutate.js';

const test = suite('fuzz: records');
const { aead } = await loadPrimitives();
const LIMITS = { rekeyBytes: 1000, rekeyRecords: 3 };

test('mutated streams of records', () => {
  const dice = new Dice(`${seed()} records`);
  for (let i = 0; i < full(2_000, 100_000); i++) {
    const key = dice.bytes(32);
    const suiteName = dice.pick(['ChaChaPoly', 'AESGCM'] as const);
    const sealer = new RecordSealer(aead[suiteName], key, LIMITS);
    const sent = Array.from({ length: dice.between(1, 5) }, () => dice.bytes(dice.between(1, 300)));
    const wire = mutate(dice, concat(...sent.flatMap(p => sealer.seal([p]))));
    let got = 0;
    const opener = new RecordOpener(aead[suiteName], key, LIMITS, plaintext => {
      assert.equal(plaintext, sent[got++], 'a record that was never sent');
    });
    try {
      for (let at = 0; at < wire.length; ) {
        const n = dice.between(1, 200);
        opener.push(wire.subarray(at, at + n));
        at += n;
      }
    } catch (error) {
      if (!(error instanceof WarrenError)) throw error;
      assert.ok(error.code === 'malformed' || error.code === 'crypto', error.message);
    }
  }
}, { deadline: full(30_000, 600_000) }); // prettier-ignore

test.run();
