/** Texts of bytes, against those that Node makes. */
import { randomBytes } from 'node:crypto';
import { fromBase64url, fromHex, toBase64url, toHex } from '../../protocol/bytes.js';
import { assert, suite } from '../helpers/suite.js';

const test = suite('bytes as text');

test('base64url and hexadecimal of every length to 300 are as Node writes them, and lead back', () => {
  for (let length = 0; length <= 300; length++) {
    const bytes = randomBytes(length);
    assert.is(toBase64url(bytes), bytes.toString('base64url'));
    assert.is(toHex(bytes), bytes.toString('hex'));
    assert.ok(bytes.equals(fromBase64url(toBase64url(bytes))));
    assert.ok(bytes.equals(fromHex(toHex(bytes))));
  }
});

test('every value of a byte has its letters', () => {
  const all = Buffer.from(Array.from({ length: 256 }, (_, i) => i));
  assert.is(toBase64url(all), all.toString('base64url'));
  assert.is(toBase64url(all.subarray(1)), all.subarray(1).toString('base64url'));
  assert.is(toBase64url(all.subarray(2)), all.subarray(2).toString('base64url'));
});

test('no other text is base64url', () => {
  for (const text of ['A', 'AAAAA', 'AB', 'AA==', 'AA+A', 'AA/A', 'AA A', 'AAÄA'])
    assert.throws(() => fromBase64url(text), /base64url/, text);
});

test.run();
