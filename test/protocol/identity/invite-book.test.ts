import { equal } from '../../../protocol/bytes.js';
import { cborMap, encodeCanonical } from '../../../protocol/identity/cbor.js';
import { BURNT_MS, InviteBook, MAX_INVITES } from '../../../protocol/identity/invite-book.js';
import type { InviteUse } from '../../../protocol/identity/invite-book.js';
import { assert, suite } from '../../helpers/suite.js';
import { START, flipBit, random, thrown } from './helpers.js';

const test = suite('invite book');

const MINUTE = 60_000;
const a = random(32);
const b = random(32);
const open = (book: InviteBook, now = START, more: object = {}): string =>
  book.open(random, now, { ttl: 15 * MINUTE, ...more }).id;
const code = (use: InviteUse): string => (use.status === 'ok' ? (use.again ? 'again' : 'first') : use.code);

test('the first node that uses an invite has it, and may come again until it expires', () => {
  const book = new InviteBook();
  const id = open(book, START, { tags: ['core'] });
  assert.is(book.openCount(START), 1);
  assert.is(code(book.use(id, a, START + 1)), 'first');
  assert.is(book.openCount(START), 0);
  book.remember(id, Uint8Array.of(1, 2, 3));
  const again = book.use(id, a, START + 15 * MINUTE - 1);
  assert.is(code(again), 'again');
  assert.ok(again.status === 'ok');
  if (again.status === 'ok') assert.equal([again.entry.grant, again.entry.tags], [Uint8Array.of(1, 2, 3), ['core']]);
  assert.is(code(book.use(id, a, START + 15 * MINUTE)), 'invite-expired');
});

test('a second node is refused and shouted, also after the expiry', () => {
  const book = new InviteBook();
  const id = open(book);
  book.use(id, a, START);
  for (const now of [START, START + 15 * MINUTE]) {
    const second = book.use(id, b, now);
    assert.is(code(second), 'invite-used');
    assert.ok(second.status === 'refused' && second.alarm?.includes('leaked'));
  }
  assert.is(code(book.use(id, a, START)), 'again', 'the first is not harmed');
});

test('an invite for one node is for no other', () => {
  const book = new InviteBook();
  const id = open(book, START, { forNode: a });
  const other = book.use(id, b, START);
  assert.is(code(other), 'invite-used');
  assert.ok(other.status === 'refused' && other.alarm !== undefined);
  assert.is(code(book.use(id, a, START)), 'first');
});

test('burnt secrets answer for an hour, then they are unknown', () => {
  const book = new InviteBook();
  const id = open(book);
  const end = START + 15 * MINUTE;
  assert.equal(book.list(end - 1).map(e => e.state), ['open']); // prettier-ignore
  assert.equal(book.list(end).map(e => e.state), ['expired']); // prettier-ignore
  assert.is(code(book.use(id, a, end + BURNT_MS - 1)), 'invite-expired');
  assert.is(code(book.use(id, a, end + BURNT_MS)), 'invite-unknown');
  assert.is(book.list(end + BURNT_MS).length, 0);
  assert.is(code(book.use('nothing', a, START)), 'invite-unknown');
});

test('a use that led to nothing is taken back, one that led to a grant is not', () => {
  const book = new InviteBook();
  const [id, other] = [open(book), open(book)];
  book.use(id, a, START);
  assert.equal(book.list(START).map(e => e.state), ['used', 'open']); // prettier-ignore
  book.release(id);
  assert.is(code(book.use(id, b, START)), 'first');
  book.remember(id, random(9));
  book.release(id);
  assert.is(code(book.use(id, a, START)), 'invite-used');
  assert.is(code(book.use(other, a, START)), 'first');
});

test('no more than 64 are kept; expired ones give way, others do not', () => {
  const book = new InviteBook();
  book.open(random, START, { ttl: MINUTE });
  for (let i = 1; i < MAX_INVITES; i++) open(book);
  assert.match(
    thrown(() => open(book)),
    /64 invites are open/,
  );
  open(book, START + MINUTE);
  assert.match(
    thrown(() => open(book, START + MINUTE)),
    /64 invites are open/,
  );
  assert.is(book.list(START + MINUTE).length, MAX_INVITES);
});

test('a bad time to live or tag opens nothing', () => {
  const book = new InviteBook();
  for (const ttl of [0, -1, NaN, 1.5, Infinity]) assert.throws(() => book.open(random, START, { ttl }));
  assert.throws(() => book.open(random, START, { ttl: 1, tags: ['a b'] }));
  assert.is(book.list(START).length, 0);
});

test('secrets differ and ids say nothing of them', () => {
  const book = new InviteBook();
  const entries = Array.from({ length: 20 }, () => book.open(random, START, { ttl: 1 }));
  assert.is(new Set(entries.map(e => e.id)).size, 20);
  for (const x of entries) for (const y of entries) assert.is(equal(x.secret, y.secret), x === y);
});

test('the state goes out and comes back', () => {
  const book = new InviteBook();
  const used = open(book, START, { tags: ['x'] });
  open(book, START, { forNode: b });
  book.use(used, a, START);
  book.remember(used, random(200));
  const copy = new InviteBook();
  copy.importState(book.exportState());
  assert.equal(copy.list(START), book.list(START));
  assert.is(code(copy.use(used, b, START)), 'invite-used');
  copy.importState(new InviteBook().exportState());
  assert.is(copy.list(START).length, 0);
});

test('a state that is damaged changes nothing', () => {
  const book = new InviteBook();
  open(book);
  const before = book.list(START);
  const state = book.exportState();
  const bad = [new Uint8Array(0), state.subarray(1), state.subarray(0, -1), Uint8Array.of(...state, 0), random(100)];
  bad.push(encodeCanonical(cborMap([[0, 2], [1, []]])), encodeCanonical(cborMap([[0, 1], [1, [1]]])), encodeCanonical(cborMap([[0, 1]]))); // prettier-ignore
  for (const bytes of bad) assert.throws(() => book.importState(bytes));
  assert.equal(book.list(START), before);
  for (let bit = 0; bit < state.length * 8; bit++) {
    const copy = new InviteBook();
    try {
      copy.importState(flipBit(state, bit));
    } catch (error) {
      assert.is((error as Error).name, 'WarrenError');
    }
  }
});

test.run();
