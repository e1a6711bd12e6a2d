import { NodeTimers } from '../../../daemon/transport/timers.js';
import { suite, assert } from '../../helpers/suite.js';

const test = suite('timers');
const immediate = () => new Promise<void>(resolve => setImmediate(resolve));

test('a timer never fires before its time', async () => {
  const timers = new NodeTimers();
  const one = async (ms: number): Promise<void> => {
    const start = timers.monotonic();
    await new Promise<void>(resolve => timers.after(ms, resolve));
    assert.ok(timers.monotonic() - start >= ms, `${timers.monotonic() - start} < ${ms}`);
  };
  // Begun at odd moments within a millisecond, where a timer that counts in whole ones may be early.
  for (let i = 0; i < 30; i++) {
    for (const until = timers.monotonic() + i / 30; timers.monotonic() < until;);
    await Promise.all([0, 0.4, 1, 1.5, 3.7].map(one));
  }
  assert.is(timers.count, 0);
});

test('a wait beyond 2^31 ms does not fire at once', async () => {
  const timers = new NodeTimers();
  let fired = false;
  const timer = timers.after(2 ** 40, () => (fired = true));
  await new Promise(resolve => setTimeout(resolve, 20));
  assert.not(fired);
  assert.is(timers.count, 1);
  timer.cancel();
  assert.is(timers.count, 0);
});

test('cancel takes it back, also twice, also afterwards', async () => {
  const timers = new NodeTimers();
  let fired = 0;
  const early = timers.after(1, () => fired++);
  early.cancel();
  early.cancel();
  const late = await new Promise<{ cancel(): void }>(resolve => {
    const timer = timers.after(5, () => resolve(timer));
  });
  late.cancel();
  assert.is(fired, 0);
  assert.is(timers.count, 0);
});

test('soon runs everything of a turn in order at its end, what is added then in the next turn', async () => {
  const timers = new NodeTimers();
  const seen: string[] = [];
  timers.soon(() => {
    seen.push('a');
    timers.soon(() => seen.push('c'));
  });
  timers.soon(() => seen.push('b'));
  await Promise.resolve();
  assert.equal(seen, []);
  await immediate();
  assert.equal(seen, ['a', 'b']);
  await immediate();
  assert.equal(seen, ['a', 'b', 'c']);
});

test('one callback that throws does not take the others of its turn with it', async () => {
  const timers = new NodeTimers();
  const seen: string[] = [];
  const thrown = new Promise<string>(resolve => {
    process.once('uncaughtException', error => resolve((error as Error).message));
  });
  timers.soon(() => seen.push('a'));
  timers.soon(() => {
    throw new Error('on purpose');
  });
  timers.soon(() => seen.push('b'));
  assert.is(await thrown, 'on purpose');
  await immediate();
  await immediate();
  assert.equal(seen, ['a', 'b']);
});

test.run();
