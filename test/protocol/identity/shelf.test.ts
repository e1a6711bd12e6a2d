import type { Claim } from '../../../protocol/identity/claim.js';
import { MAX_PER_SUBJECT, Shelf } from '../../../protocol/identity/shelf.js';
import type { Entry, Put } from '../../../protocol/identity/shelf.js';
import {
  LogBook,
  MAX_KEPT_STATEMENTS,
  MAX_STRANGERS,
  MAX_STRANGER_STATEMENTS,
} from '../../../protocol/identity/log-book.js';
import type { KeyLog } from '../../../protocol/identity/key-log.js';
import { nodeIdText } from '../../../protocol/identity/node-id.js';
import { assert, suite } from '../../helpers/suite.js';
import { random } from './helpers.js';

const test = suite('shelf');

interface Note extends Claim {
  readonly about: string;
}

const signers = Array.from({ length: 50 }, () => random(32));
const note = (signer: number, signerSeq: number, time: number, about = 'x', size = 100): Note =>
  ({
    signer: signers[signer]!,
    signerSeq,
    time,
    about,
    hash: random(32),
    bytes: new Uint8Array(size),
  }) as unknown as Note;

const shelf = (maxBytes = 1_000_000): Shelf<Note> =>
  new Shelf<Note>({
    subject: n => n.about,
    slot: n => nodeIdText(n.signer),
    prefer: (a, b) => b.time - a.time,
    maxBytes,
  });

const flat = (): number => 0;
const put = (s: Shelf<Note>, n: Note, rank: (e: Entry<Note>) => number = flat): Put => s.put(n, random(32), rank);
const times = (s: Shelf<Note>, about = 'x'): number[] => s.about(about).map(e => e.claim.time);

test('of one signer and key the preferred is kept, and one spare of an earlier key', () => {
  const s = shelf();
  const first = note(0, 0, 5);
  assert.is(put(s, first), 'added');
  assert.is(put(s, first), 'known');
  assert.is(put(s, note(0, 0, 4)), 'outdone');
  assert.is(put(s, note(0, 0, 6)), 'added');
  assert.equal(times(s), [6]);
  assert.is(put(s, note(0, 2, 1)), 'added');
  assert.is(put(s, note(0, 1, 9)), 'added');
  assert.equal(times(s), [1, 9], 'the newer key first, whatever the time');
  assert.is(put(s, note(0, 0, 99)), 'outdone');
  assert.equal(s.slots().map(l => l.length), [2]); // prettier-ignore
});

test('the best of a slot that is valid is chosen', () => {
  const s = shelf();
  put(s, note(0, 1, 1));
  put(s, note(0, 0, 2));
  put(s, note(1, 0, 3));
  assert.equal(s.best(s.about('x'), () => true).map(e => e.claim.time).sort(), [1, 3]); // prettier-ignore
  assert.equal(s.best(s.about('x'), e => e.claim.time > 1).map(e => e.claim.time).sort(), [2, 3]); // prettier-ignore
});

test('about one subject no more than 32 are kept: those of low rank, then the newest', () => {
  const s = shelf();
  const rank = (e: Entry<Note>): number => (e.claim.time === 7 ? 9 : 0);
  for (let i = 0; i < MAX_PER_SUBJECT; i++) assert.is(put(s, note(i, 0, i + 1), rank), 'added');
  assert.is(put(s, note(40, 0, 100), rank), 'added');
  assert.not(times(s).includes(7), 'the one of high rank went');
  assert.is(put(s, note(41, 0, 0), rank), 'outdone');
  assert.is(put(s, note(42, 0, 101), rank), 'added');
  assert.not(times(s).includes(1), 'then the oldest');
  assert.is(times(s).length, MAX_PER_SUBJECT);
});

test('in all no more bytes than allowed are kept, in whatever order they come', () => {
  const notes = Array.from({ length: 30 }, (_, i) => note(i, 0, i, `about ${i}`));
  const orders = [notes, [...notes].reverse(), [...notes].sort(() => random(1)[0]! - 128)];
  for (const order of orders) {
    const s = shelf(1000);
    const results = order.map(n => put(s, n));
    assert.equal([...s.entries()].map(e => e.claim.time).sort((a, b) => a - b), [20, 21, 22, 23, 24, 25, 26, 27, 28, 29]); // prettier-ignore
    if (order === orders[1]) assert.is(results.filter(r => r === 'full').length, 20);
  }
  const same = shelf(100);
  const [a, b] = [note(0, 0, 1, 'a'), note(1, 0, 1, 'b')];
  put(same, a);
  put(same, b);
  assert.is([...same.subjects()].length, 1);
});

test('when room is short, high rank goes first', () => {
  const s = shelf(200);
  const rank = (e: Entry<Note>): number => Number(e.subject);
  put(s, note(0, 0, 1, '1'), rank);
  put(s, note(1, 0, 9, '5'), rank);
  assert.is(put(s, note(2, 0, 1, '3'), rank), 'added');
  assert.equal([...s.subjects()].sort(), ['1', '3']);
});

const log = (length: number, forks = 0): KeyLog => ({ length, forkProofs: Array(forks).fill(0) }) as unknown as KeyLog;

test('strangers are bounded by number and by statements, the oldest going first', () => {
  const book = new LogBook();
  for (let i = 0; i < MAX_STRANGERS + 3; i++) book.add(`s${i}`, log(1), false);
  assert.is(book.get('s2'), undefined);
  assert.ok(book.get('s3'));
  const other = new LogBook();
  other.add('a', log(1), false);
  other.add('b', log(MAX_STRANGER_STATEMENTS), false);
  assert.is(other.get('a'), undefined);
  assert.ok(other.get('b'), 'the one that has just come stays');
  other.add('c', log(1), false);
  assert.is(other.get('b'), undefined);
});

test('members are kept however many come, and what they may hold in all is bounded', () => {
  const book = new LogBook();
  book.add('m', log(5), true);
  for (let i = 0; i < 200; i++) book.add(`s${i}`, log(1), false);
  assert.ok(book.get('m'));
  book.adopt('s199');
  book.adopt('nobody');
  assert.ok(book.isMember('s199') && !book.isMember('nobody'));
  assert.not(book.isFull);
  book.add('big', log(MAX_KEPT_STATEMENTS), true);
  assert.ok(book.isFull);
  book.sort(node => node === 'm' || node === 's199');
  assert.not(book.isFull);
  assert.ok(book.isMember('m') && book.isMember('s199') && !book.isMember('big'));
  assert.is(book.all().length, 2);
  book.add('f', log(1, 2), true);
  book.add('g', log(1, 1), false);
  assert.equal([...book.forked()], ['f', 'g']);
});

test.run();
