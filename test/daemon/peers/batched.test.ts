/** Work done once for all who ask for it. */
import { Batched } from '../../../daemon/peers/batched.js';
import { VirtualTimers } from '../../protocol/session/virtual.js';
import { assert, suite } from '../../helpers/suite.js';

const test = suite('batched work');

function made(): { timers: VirtualTimers; batched: Batched; done: number[] } {
  const timers = new VirtualTimers();
  const done: number[] = [];
  return { timers, batched: new Batched(timers, () => done.push(timers.monotonic())), done };
}

test('is done once at the end of the turn in which it is asked for', () => {
  const { timers, batched, done } = made();
  batched.soon();
  batched.soon();
  batched.within(100);
  assert.ok(batched.isWaiting);
  assert.equal(done, []);
  timers.run(1_000);
  assert.equal(done, [0]);
  assert.not(batched.isWaiting);
});

test('waits for more, no longer than the most urgent of those who ask', () => {
  const { timers, batched, done } = made();
  batched.within(1_000);
  timers.run(100);
  batched.within(200);
  batched.within(600);
  timers.run(100);
  batched.within(1_000);
  timers.run(5_000);
  assert.equal(done, [300]);
  batched.within(50);
  timers.run(10);
  batched.soon();
  timers.run(1_000);
  assert.equal(done, [300, 5_210]);
});

test('is not done any more once it has been done in another way', () => {
  const { timers, batched, done } = made();
  batched.soon();
  batched.done();
  batched.within(10);
  batched.done();
  timers.run(1_000);
  assert.equal(done, []);
  assert.not(batched.isWaiting);
  batched.soon();
  timers.run(1);
  assert.is(done.length, 1);
});

test.run();
