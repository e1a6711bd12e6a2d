import { Inbox } from '../../../daemon/transport/inbox.js';
import { suite, assert } from '../../helpers/suite.js';
import { VirtualTime } from '../../helpers/virtual-time.js';

const test = suite('inbox of a transport');

function setup() {
  const time = new VirtualTime();
  const seen: string[] = [];
  let flowing: boolean | undefined;
  const inbox = new Inbox(time, on => (flowing = on));
  return {
    time,
    seen,
    inbox,
    flowing: () => flowing,
    push: (text: string) => inbox.push(Buffer.from(text)),
    take: () => inbox.onData(chunk => seen.push(Buffer.from(chunk).toString())),
    watch: () => inbox.onClose(why => seen.push(`end: ${why}`)),
  };
}

test('what comes before anybody wants it is held, and reading stops', () => {
  const { time, seen, push, take, flowing } = setup();
  push('a');
  push('b');
  take();
  assert.equal(seen, []);
  push('c');
  time.settle();
  push('d');
  assert.equal(seen, ['a', 'b', 'c', 'd']);
  assert.is(flowing(), true);
});

test('the end waits for what came before it, also while nobody takes that', () => {
  const { time, seen, inbox, push, take, watch } = setup();
  watch();
  push('a');
  inbox.end('over');
  inbox.end('again');
  time.settle();
  assert.equal(seen, []);
  push('too late');
  take();
  time.settle();
  assert.equal(seen, ['a', 'end: over']);
  watch();
  time.settle();
  assert.is(seen.length, 2, 'told once');
});

test('pause holds bytes and the end behind them', () => {
  const { time, seen, inbox, push, take, watch, flowing } = setup();
  take();
  watch();
  time.settle();
  inbox.pause();
  assert.is(flowing(), false);
  push('a');
  inbox.end('over');
  time.settle();
  assert.equal(seen, []);
  inbox.resume();
  time.settle();
  assert.equal(seen, ['a', 'end: over']);
});

test('a receiver that lets go in the middle leaves the rest to the next one, in order', () => {
  const { time, seen, inbox, push, take } = setup();
  for (const text of ['a', 'b', 'c']) push(text);
  inbox.onData(chunk => {
    seen.push(`first ${Buffer.from(chunk).toString()}`);
    inbox.onData(undefined);
  });
  time.settle();
  push('d');
  take();
  time.settle();
  assert.equal(seen, ['first a', 'b', 'c', 'd']);
});

test('after discard nothing is delivered but the end', () => {
  const { time, seen, inbox, push, take, watch } = setup();
  take();
  watch();
  time.settle();
  inbox.pause();
  push('a');
  inbox.discard();
  push('b');
  inbox.end('over');
  assert.equal(seen, [], 'nobody is called inside its own call');
  time.settle();
  assert.equal(seen, ['end: over']);
});

test.run();
