import { MAX_DEPTH, cborMap, decodeCanonical, decodeFields, encodeCanonical } from '../../../protocol/identity/cbor.js';
import type { CborKey, CborValue, Fields } from '../../../protocol/identity/cbor.js';
import { fromHex, toHex } from '../../../protocol/bytes.js';
import { assert, full, suite } from '../../helpers/suite.js';
import { below, random, thrown } from './helpers.js';

const test = suite('deterministic CBOR');

const decode = (hex: string, max = 1000): CborValue => decodeCanonical(fromHex(hex), 'thing', max);

test('keys are sorted by their encoding, whatever the order of insertion', () => {
  const map = cborMap([[100, 1], ['a', 2], [-1, 3], [5, 4], [24, undefined]]); // prettier-ignore
  assert.is(toHex(encodeCanonical(map)), 'a405041864012003616102');
});

test('values come back as they were', () => {
  const depthFree = (depth: number): CborValue => {
    const pick = below(random, depth > 3 ? 4 : 6);
    if (pick === 0) return below(random, 2) === 0 ? below(random, 300) : -1 - below(random, 300);
    if (pick === 1) return Number.MAX_SAFE_INTEGER - below(random, 1000);
    if (pick === 2) return random(below(random, 40));
    if (pick === 3) return below(random, 2) === 0 ? 'wärren ✓' : below(random, 2) === 0;
    if (pick === 4) return Array.from({ length: below(random, 4) }, () => depthFree(depth + 1));
    const keys: CborKey[] = [0, 1, 23, 24, 256, 'a', 'bb'];
    return cborMap(keys.filter(() => below(random, 2) === 0).map(k => [k, depthFree(depth + 1)] as const));
  };
  for (let i = 0; i < full(500, 20_000); i++) {
    const value = depthFree(0);
    assert.equal(decodeCanonical(encodeCanonical(value), 'thing', 100_000), value);
  }
});

const REFUSED: readonly (readonly [hex: string, why: string])[] = [
  ['', 'nothing'],
  ['1801', 'an integer that is not in its shortest form'],
  ['1900ff', 'an integer that is not in its shortest form'],
  ['1b0020000000000000', 'an integer beyond 2^53-1'],
  ['1bffffffffffffffff', 'an integer beyond 2^53-1'],
  ['3b0020000000000000', 'a negative integer beyond'],
  ['f6', 'null'],
  ['f7', 'undefined'],
  ['f93c00', 'a float that is an integer'],
  ['f97e00', 'NaN'],
  ['fb3ff8000000000000', 'a float'],
  ['c000', 'a tag'],
  ['e0', 'a simple value'],
  ['9f01ff', 'an array of indefinite length'],
  ['bf0101ff', 'a map of indefinite length'],
  ['5f4101ff', 'bytes of indefinite length'],
  ['7f6161ff', 'text of indefinite length'],
  ['ff', 'a break'],
  ['a201010102', 'a key twice'],
  ['a202010101', 'keys in the wrong order'],
  ['a161ff01', 'a key that is not UTF-8'],
  ['62c328', 'text that is not UTF-8'],
  ['63eda080', 'a surrogate in UTF-8'],
  ['a1410101', 'bytes as a key'],
  ['a1800101', 'an array as a key'],
  ['a1f50101', 'a boolean as a key'],
  ['580101', 'a length that is not in its shortest form'],
  ['4201', 'bytes that end too early'],
  ['8201', 'an array that ends too early'],
  ['a101', 'a map that ends too early'],
  ['0101', 'something behind the end'],
  ['9affffffff', 'an array of four thousand million'],
  ['baffffffff', 'a map of four thousand million'],
  ['9bffffffffffffffff', 'an array without end'],
  ['5b7fffffffffffffff', 'bytes without end'],
];

for (const [hex, why] of REFUSED) {
  test(`refused: ${why} (${hex})`, () => {
    assert.match(
      thrown(() => decode(hex)),
      /^thing: /,
    );
  });
}

test('as deep as allowed and no deeper', () => {
  const nested = (levels: number): string => '81'.repeat(levels) + '01';
  decode(nested(MAX_DEPTH));
  assert.match(
    thrown(() => decode(nested(MAX_DEPTH + 1))),
    /levels deep/,
  );
  assert.match(
    thrown(() => decode('81'.repeat(50_000), 60_000)),
    /levels deep/,
  );
  assert.match(
    thrown(() => decode('a101'.repeat(MAX_DEPTH + 1) + '01')),
    /levels deep/,
  );
  // Siblings are not depth: what is closed no longer counts.
  decode('98' + '32' + '8101'.repeat(50));
});

test('no longer than allowed', () => {
  decode('4401020304', 5);
  assert.match(
    thrown(() => decode('4401020304', 4)),
    /at most 4/,
  );
});

test('what the decoder would refuse is not encoded', () => {
  const bad: unknown[] = [1.5, -0, NaN, 2 ** 53, null, undefined, '\ud800', [null], new Map([[true, 1]]), {}, 1n];
  let deep: CborValue = 1;
  for (let i = 0; i <= MAX_DEPTH; i++) deep = [deep];
  for (const value of [...bad, deep]) assert.throws(() => encodeCanonical(value as CborValue), /does not carry/);
});

test('a Buffer is bytes as well, also as a view into a larger one', () => {
  const whole = Buffer.from('00a10142aabb00', 'hex');
  assert.equal(decodeCanonical(whole.subarray(1, 6), 'thing', 10), new Map([[1, fromHex('aabb')]]));
  assert.is(toHex(encodeCanonical(Buffer.from('aabb', 'hex'))), '42aabb');
});

const fields = (entries: readonly (readonly [CborKey, CborValue])[]): Fields =>
  decodeFields(encodeCanonical(cborMap(entries)), 'thing', 1000);

test('fields are taken by key, type and bounds', () => {
  const f = fields([[0, 1], [1, random(4)], [2, 7], [3, 'x'], [4, [1, 2]], [5, ['a', 'b']]]); // prettier-ignore
  f.version(1);
  assert.is(f.bytes(1, 'b', 4).length, 4);
  assert.is(f.uint(2, 'u', 7), 7);
  assert.is(f.text(3, 't', 1), 'x');
  assert.equal(
    f.list(4, 'l', 2, v => v),
    [1, 2],
  );
  assert.equal(
    f.texts(5, 'ts', { count: 2, length: 1 }, () => true),
    ['a', 'b'],
  );
  assert.is(f.optionalBytes(6, 'b', 4), undefined);
  assert.is(f.optionalUint(6, 'u'), undefined);
  assert.is(f.optionalText(6, 't', 1), undefined);
  assert.equal(
    f.texts(6, 'ts', { count: 2, length: 1 }, () => true),
    [],
  );
  f.end();
});

test('fields that are missing, unknown, of a wrong type or out of bounds are refused with their name', () => {
  const anything = (): boolean => true;
  const two = { count: 2, length: 2 };
  const cases: readonly (readonly [CborValue, (f: Fields) => unknown, RegExp])[] = [
    [1, f => f.uint(8, 'u'), /u is missing/],
    [1, f => f.end(), /unknown field 7/],
    [1, f => f.bytes(7, 'b', 4), /b is not bytes/],
    [random(3), f => f.bytes(7, 'b', 4), /3 bytes instead of 4/],
    [random(3), f => f.bytes(7, 'b', { max: 2 }), /at most 2/],
    ['x', f => f.uint(7, 'u'), /not a natural number/],
    [-1, f => f.uint(7, 'u'), /not a natural number/],
    [9, f => f.uint(7, 'u', 8), /at most 8/],
    [9, f => f.text(7, 't', 8), /not text/],
    ['xx', f => f.text(7, 't', 1), /longer than 1/],
    ['xx', f => f.text(7, 't', 2, () => false), /not allowed/],
    ['xx', f => f.list(7, 'l', 2, v => v), /not a list/],
    [[1, 2, 3], f => f.list(7, 'l', 2, v => v), /more than 2/],
    [[], f => f.texts(7, 'ts', two, anything), /empty instead of absent/],
    [['a', 'a'], f => f.texts(7, 'ts', two, anything), /repeats/],
    [['a', 'A'], f => f.texts(7, 'ts', two, anything, t => t.toLowerCase()), /repeats/],
    [['a', 1], f => f.texts(7, 'ts', two, anything), /not text/],
    [['a', 'bcd'], f => f.texts(7, 'ts', two, anything), /longer than 2/],
  ];
  for (const [value, read, expected] of cases) assert.match(thrown(() => read(fields([[7, value]]))), expected); // prettier-ignore
  assert.match(thrown(() => fields([['name', 1]]).end()), /unknown field by name/); // prettier-ignore
  assert.match(thrown(() => fields([[0, 2]]).version(1)), /version 2 is not known/); // prettier-ignore
  assert.match(
    thrown(() => decodeFields(encodeCanonical([1]), 'thing', 10)),
    /not a map/,
  );
});

test.run();
