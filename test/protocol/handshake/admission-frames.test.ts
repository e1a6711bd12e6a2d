import { concat } from '../../../protocol/bytes.js';
import { CODES } from '../../../protocol/codes.js';
import {
  HaveReader,
  MAX_HAVE_BYTES,
  MAX_HAVE_PIECE,
  SECRET_TAG_LENGTH,
  decodeAdmit,
  decodeDone,
  decodeItem,
  decodeNext,
  decodeSecret,
  encodeAdmit,
  encodeDone,
  encodeHave,
  encodeItem,
  encodeSecret,
  type Have,
} from '../../../protocol/handshake/admission-frames.js';
import { MAX_SUMMARY_BYTES } from '../../../protocol/identity/catch-up.js';
import { ITEM_KINDS, MAX_ITEM_BYTES, type ItemKind } from '../../../protocol/identity/trust-item.js';
import { MAX_RECORD_PLAINTEXT } from '../../../protocol/limits.js';
import { frameLength, FRAME } from '../../../protocol/link/frame.js';
import { assert, suite } from '../../helpers/suite.js';

const test = suite('admission frames');

function read(bodies: readonly Uint8Array[]): Have | undefined {
  const reader = new HaveReader();
  let have: Have | undefined;
  for (const body of bodies) {
    assert.is(have, undefined);
    have = reader.push(body);
  }
  return have;
}

test('a HAVE of any size arrives in pieces that fit into a record', () => {
  const tags = [1, 2, 3].map(n => new Uint8Array(SECRET_TAG_LENGTH).fill(n));
  for (const size of [
    0,
    1,
    MAX_HAVE_PIECE - 26,
    MAX_HAVE_PIECE - 25,
    MAX_HAVE_PIECE - 24,
    200_000,
    MAX_SUMMARY_BYTES,
  ]) {
    const summary = new Uint8Array(size).fill(7);
    const bodies = encodeHave({ secretTags: tags, summary });
    assert.is(bodies.length, Math.ceil((size + 25) / MAX_HAVE_PIECE));
    for (const body of bodies) assert.ok(frameLength(FRAME.HAVE, body.length) < MAX_RECORD_PLAINTEXT);
    const have = read(bodies)!;
    assert.equal(have.secretTags, tags);
    assert.is(Buffer.compare(have.summary, summary), 0);
  }
});

test('a HAVE that is doubled, empty, too long or with impossible secrets is refused', () => {
  const done = new HaveReader();
  done.push(Uint8Array.of(1, 0));
  assert.throws(() => done.push(Uint8Array.of(1, 0)), /second/);
  assert.throws(() => read([Uint8Array.of(1)]), /0 bytes/);
  assert.throws(() => read([new Uint8Array(MAX_HAVE_PIECE + 2)]), /bytes/);
  assert.throws(() => read([new Uint8Array(0)]), /too early/);
  assert.throws(() => read([Uint8Array.of(2, 0)]), /flag/);
  assert.throws(() => read([Uint8Array.of(1, 9)]), /9 secrets/);
  assert.throws(() => read([Uint8Array.of(1, 1, 0, 0)]), /too early/);
  const reader = new HaveReader();
  const piece = new Uint8Array(MAX_HAVE_PIECE + 1);
  const pieces = Math.floor(MAX_HAVE_BYTES / MAX_HAVE_PIECE);
  for (let i = 0; i < pieces; i++) assert.is(reader.push(piece), undefined);
  assert.throws(() => reader.push(piece), /too long/);
});

test('items of every kind, up to their length', () => {
  for (const kind of Object.keys(ITEM_KINDS) as ItemKind[]) {
    const item = { kind, bytes: new Uint8Array(MAX_ITEM_BYTES[kind]).fill(1) };
    assert.equal(decodeItem(encodeItem(item)), item);
    assert.throws(() => decodeItem(concat(encodeItem(item), new Uint8Array(1))), /bytes/);
  }
  assert.is(decodeItem(Uint8Array.of(0, 1)), undefined);
  assert.is(decodeItem(Uint8Array.of(255)), undefined);
  assert.throws(() => decodeItem(concat(Uint8Array.of(255), new Uint8Array(100_000))), /bytes/);
  assert.throws(() => decodeItem(new Uint8Array(0)), /too early/);
});

test('DONE, NEXT, SECRET and ADMIT', () => {
  assert.is(decodeDone(encodeDone(true)), true);
  assert.is(decodeDone(encodeDone(false)), false);
  assert.throws(() => decodeDone(Uint8Array.of(2)), /flag/);
  assert.throws(() => decodeDone(Uint8Array.of(0, 0)), /too many/);
  decodeNext(new Uint8Array(0));
  assert.throws(() => decodeNext(new Uint8Array(1)), /too many/);
  const secret = { epoch: 70_000, secret: new Uint8Array(32).fill(9) };
  assert.equal(decodeSecret(encodeSecret(secret)), secret);
  assert.throws(() => decodeSecret(encodeSecret(secret).subarray(1)), /.+/);
  assert.throws(() => decodeSecret(concat(encodeSecret(secret), new Uint8Array(1))), /too many/);
  const limited = { standing: 'limited', code: 'grant-expired' } as const;
  assert.equal(decodeAdmit(encodeAdmit(limited)), limited);
  assert.equal(encodeAdmit({ standing: 'admitted', code: 'no-error' }), Uint8Array.of(1, 0, CODES['no-error']));
  assert.is(decodeAdmit(Uint8Array.of(0, 0x12, 0x34)).code, 'unknown-code');
  assert.throws(() => decodeAdmit(Uint8Array.of(2, 0, 0)), /flag/);
  assert.throws(() => decodeAdmit(Uint8Array.of(1, 0)), /too early/);
  assert.throws(() => decodeAdmit(Uint8Array.of(1, 0, 0, 0)), /too many/);
});

test.run();
