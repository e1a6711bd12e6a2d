import {
  fromBase32,
  fingerprint,
  labelledHash,
  nodeIdText,
  parseNodeId,
  shortId,
  toBase32,
} from '../../../protocol/identity/node-id.js';
import { toHex } from '../../../protocol/bytes.js';
import { assert, suite } from '../../helpers/suite.js';
import { primitives, random, thrown } from './helpers.js';

const test = suite('node IDs');

test('the text form has 52 characters and comes back', () => {
  for (let i = 0; i < 200; i++) {
    const id = random(32);
    const text = nodeIdText(id);
    assert.match(text, /^[0-9a-hjkmnp-tv-z]{52}$/);
    assert.equal(parseNodeId(text), id);
    assert.equal(parseNodeId(text.toUpperCase()), id);
    assert.equal(parseNodeId(fingerprint(id)), id);
    assert.is(shortId(id), text.slice(0, 10));
  }
});

test('known texts', () => {
  assert.is(nodeIdText(new Uint8Array(32)), '0'.repeat(52));
  assert.is(nodeIdText(new Uint8Array(32).fill(255)), 'z'.repeat(51) + 'g');
  assert.is(fingerprint(new Uint8Array(32)), Array.from({ length: 13 }, () => '0000').join(' '));
});

test('each ID has its own text, however alike they are and however often they are asked for', () => {
  const id = new Uint8Array(32);
  const alike = Array.from({ length: 32 }, (_, i) => id.map((_byte, at) => (at === i ? 1 : 0)));
  for (let round = 0; round < 2; round++) {
    assert.is(new Set([id, ...alike].map(nodeIdText)).size, 33);
    for (const one of alike) assert.is(nodeIdText(one), toBase32(one));
  }
  // Bytes that are written anew are another ID.
  id[0] = 255;
  assert.is(nodeIdText(id), toBase32(id));
});

test('letters that look like digits read as those', () => {
  const id = parseNodeId('1'.repeat(20) + '0'.repeat(32))!;
  assert.equal(parseNodeId('iIlL1'.repeat(4) + 'oO0'.repeat(10) + 'oo'), id);
});

test('what is not a full ID is none', () => {
  const text = nodeIdText(random(32));
  for (const bad of [
    '',
    'host-a',
    text.slice(1),
    text + '0',
    'u' + text.slice(1),
    text.slice(0, 51) + '1',
    '-' + text.slice(1),
  ]) {
    assert.is(parseNodeId(bad), undefined, bad);
  }
  assert.throws(() => nodeIdText(random(31)));
});

test('base32 of every length comes back, and one text stands for one value', () => {
  for (let n = 0; n < 40; n++) {
    const bytes = random(n);
    assert.equal(fromBase32(toBase32(bytes)), bytes);
  }
  for (const bad of ['0', '000', '000000', '01', '*0', '0001'])
    assert.match(
      thrown(() => fromBase32(bad)),
      /^base32: /,
    );
});

test('a hash under one label is none under another', () => {
  const { SHA256 } = primitives.hash;
  const a = labelledHash(SHA256, 'a', random(3));
  assert.is(a.length, 32);
  assert.not.equal(labelledHash(SHA256, 'ab', Uint8Array.of(1)), labelledHash(SHA256, 'a', Uint8Array.of(98, 1)));
  assert.is(toHex(labelledHash(SHA256, 'x', new Uint8Array(0))), toHex(SHA256.hash(Uint8Array.of(120, 0))));
});

test.run();
