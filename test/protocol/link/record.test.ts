import { EMPTY, concat, equal } from '../../../protocol/bytes.js';
import { loadPrimitives } from '../../../protocol/crypto/load.js';
import type { AeadName } from '../../../protocol/crypto/primitives.js';
import { WarrenError } from '../../../protocol/errors.js';
import { DEFAULT_LIMITS, MAX_RECORD_PLAINTEXT } from '../../../protocol/limits.js';
import { MAX_RECORD_LENGTH, RecordOpener, RecordSealer, recordHeader } from '../../../protocol/link/record.js';
import { assert, full, seed, suite } from '../../helpers/suite.js';
import { Dice } from '../session/virtual.js';

const test = suite('records');
const { aead } = await loadPrimitives();
const KEY = Uint8Array.from({ length: 32 }, (_, i) => i);
const NEVER = { rekeyBytes: Infinity, rekeyRecords: Infinity };
const SUITES: readonly AeadName[] = ['ChaChaPoly', 'AESGCM'];

function opener(suiteName: AeadName, limits = DEFAULT_LIMITS.record): { opener: RecordOpener; got: Uint8Array[] } {
  const got: Uint8Array[] = [];
  return { got, opener: new RecordOpener(aead[suiteName], KEY, limits, p => void got.push(p)) };
}

function errorOf(run: () => void): WarrenError {
  try {
    run();
  } catch (error) {
    if (error instanceof WarrenError) return error;
    throw error;
  }
  throw new Error('it did not throw');
}

for (const name of SUITES) {
  test(`${name}: records arrive whole, byte by byte`, () => {
    const sealer = new RecordSealer(aead[name], KEY, DEFAULT_LIMITS.record);
    const { opener: o, got } = opener(name);
    const sent = [Uint8Array.of(1), new Uint8Array(40).fill(2), new Uint8Array(3000).fill(3)];
    const wire = concat(...sent.flatMap(p => sealer.seal([p])));
    for (const byte of wire) o.push(Uint8Array.of(byte));
    assert.equal(got, sent);
    assert.is(o.records, 3);
    assert.is(o.partial, 0);
  });

  test(`${name}: a record stays what it was, whatever is sealed after it and whatever becomes of the parts`, () => {
    const sealer = new RecordSealer(aead[name], KEY, DEFAULT_LIMITS.record);
    const { opener: o, got } = opener(name);
    const scratch = new Uint8Array(9000);
    const wire: Uint8Array[] = [];
    const sent: Uint8Array[] = [];
    for (let i = 0; i < 60; i++) {
      const part = scratch.subarray(0, [1, 60, 2000, 6000, 9000][i % 5]).fill(i);
      sent.push(part.slice());
      wire.push(...sealer.seal([part]));
      scratch.fill(0xff);
      if (i === 30) sealer.trim();
    }
    for (const piece of wire) o.push(piece);
    assert.equal(got, sent);
  });

  test(`${name}: any parts, any splits, up to the largest record`, () => {
    const dice = new Dice(`${seed()} records`);
    for (let round = 0; round < full(20, 500); round++) {
      const sealer = new RecordSealer(aead[name], KEY, { rekeyBytes: dice.between(1, 100_000), rekeyRecords: 5 });
      const limits = (sealer as unknown as { direction: { limits: typeof NEVER } }).direction.limits;
      const { opener: o, got } = opener(name, limits as typeof DEFAULT_LIMITS.record);
      const sent: Uint8Array[] = [];
      const pieces: Uint8Array[] = [];
      for (let i = dice.between(1, 12); i > 0; i--) {
        const parts = Array.from({ length: dice.between(1, 4) }, () => dice.bytes(dice.pick([1, 20, 700, 5000])));
        sent.push(concat(...parts));
        pieces.push(...sealer.seal(parts));
      }
      const wire = concat(...pieces);
      for (let at = 0; at < wire.length;) {
        const n = dice.pick([1, 3, 100, 4096, 70_000]);
        o.push(wire.subarray(at, at + n));
        at += n;
      }
      assert.ok(equal(concat(...got), concat(...sent)));
      assert.is(got.length, sent.length);
      assert.is(o.rekeys, sealer.rekeys);
    }
  });

  test(`${name}: the largest record passes, a larger one is not sealed`, () => {
    const sealer = new RecordSealer(aead[name], KEY, DEFAULT_LIMITS.record);
    const { opener: o, got } = opener(name);
    o.push(concat(...sealer.seal([new Uint8Array(MAX_RECORD_PLAINTEXT)])));
    assert.is(got[0]!.length, MAX_RECORD_PLAINTEXT);
    assert.is(errorOf(() => sealer.seal([new Uint8Array(MAX_RECORD_PLAINTEXT + 1)])).code, 'internal');
    assert.is(errorOf(() => sealer.seal([])).code, 'internal');
  });

  test(`${name}: any flipped bit stops it, and nothing of the record comes out`, () => {
    const wire = concat(...new RecordSealer(aead[name], KEY, NEVER).seal([new Uint8Array(50)]));
    for (let bit = 0; bit < wire.length * 8; bit++) {
      const bad = wire.slice();
      bad[bit >> 3]! ^= 1 << (bit & 7);
      const { opener: o, got } = opener(name);
      try {
        // A length that grew waits for more: then it must be the tag that fails.
        o.push(bad);
        o.push(new Uint8Array(MAX_RECORD_LENGTH));
        throw new Error(`bit ${bit} went unnoticed`);
      } catch (error) {
        assert.instance(error, WarrenError);
      }
      assert.is(got.length, 0);
    }
  });

  test(`${name}: nonces are the suite's, also where bytes and words turn over`, () => {
    for (const n of [0, 1, 255, 256, 2 ** 32 - 1, 2 ** 32, 2 ** 40 + 3]) {
      const sealer = new RecordSealer(aead[name], KEY, NEVER);
      (sealer as unknown as { direction: { records: number } }).direction.records = n;
      const nonce = new Uint8Array(12);
      new DataView(nonce.buffer).setBigUint64(4, BigInt(n), name === 'ChaChaPoly');
      const expected = aead[name].key(KEY).seal(nonce, recordHeader(9 + 16), new Uint8Array(9));
      assert.equal(concat(...sealer.seal([new Uint8Array(9)])), concat(recordHeader(25), expected));
    }
  });

  test(`${name}: rekey is Noise's REKEY and leaves n alone`, () => {
    const sealer = new RecordSealer(aead[name], KEY, { rekeyBytes: Infinity, rekeyRecords: 1 });
    sealer.seal([Uint8Array.of(1)]);
    const top = new Uint8Array(12).fill(0xff, 4);
    const next = aead[name].key(KEY).seal(top, EMPTY, new Uint8Array(32)).subarray(0, 32);
    const nonce = new Uint8Array(12);
    new DataView(nonce.buffer).setBigUint64(4, 1n, name === 'ChaChaPoly');
    const expected = aead[name].key(next).seal(nonce, recordHeader(17), Uint8Array.of(2));
    assert.equal(concat(...sealer.seal([Uint8Array.of(2)])), concat(recordHeader(17), expected));
  });
}

test('impossible lengths are refused from the header alone', () => {
  for (const length of [0, 1, 16, MAX_RECORD_LENGTH + 1, 0xffffff]) {
    const { opener: o } = opener('AESGCM');
    const error = errorOf(() => o.push(recordHeader(length)));
    assert.is(error.code, 'malformed');
    assert.is(error.wire, 'protocol');
  }
});

test('records in another order, twice, or one missing: refused', () => {
  const make = (): Uint8Array[] => {
    const sealer = new RecordSealer(aead.AESGCM, KEY, NEVER);
    return [1, 2, 3].map(b => concat(...sealer.seal([Uint8Array.of(b)])));
  };
  const [one, two, three] = make() as [Uint8Array, Uint8Array, Uint8Array];
  for (const wire of [[two], [one, one], [one, three], [one, two, two]]) {
    const { opener: o } = opener('AESGCM');
    assert.is(errorOf(() => wire.forEach(r => o.push(r))).code, 'crypto');
  }
});

test('the nonces are never used up silently', () => {
  const sealer = new RecordSealer(aead.AESGCM, KEY, NEVER);
  (sealer as unknown as { direction: { records: number } }).direction.records = Number.MAX_SAFE_INTEGER;
  assert.is(errorOf(() => sealer.seal([Uint8Array.of(1)])).code, 'limit');
});

test('who reads as much as is missing never keeps a part of a record', () => {
  const { opener: o, got } = opener('AESGCM');
  const sealer = new RecordSealer(aead.AESGCM, KEY, NEVER);
  const wire = concat(...[1000, 5, 70_000].flatMap(n => sealer.seal([new Uint8Array(n)])));
  assert.is(o.missing, 0);
  let at = 3;
  o.push(wire.subarray(0, at));
  while (o.missing > 0) {
    assert.is(o.partial, 3, 'a header, and nothing behind it');
    o.push(wire.subarray(at, (at += o.missing)));
  }
  assert.equal(got.map(p => p.length), [1000, 5, 70_000]); // prettier-ignore
});

test('an idle opener holds no buffer; a stopped one takes nothing', () => {
  const { opener: o, got } = opener('AESGCM');
  const wire = concat(...new RecordSealer(aead.AESGCM, KEY, NEVER).seal([new Uint8Array(1000)]));
  o.push(wire.subarray(0, 500));
  const held = (): number => (o as unknown as { assembly: Uint8Array }).assembly.length;
  o.trim();
  assert.ok(held() >= 1000, 'a record in the middle is kept');
  o.push(wire.subarray(500));
  o.trim();
  assert.is(held(), 0);
  o.stop();
  o.push(wire);
  assert.is(got.length, 1);
});

test.run();
