import { randomBytes } from 'node:crypto';
import {
  DIAL_GAP_MS,
  DIAL_PAUSE_FIRST_MS,
  DIAL_PAUSE_MAX_MS,
  DIAL_STEADY_MS,
  DialLoop,
  HASTY_BEST,
  MAX_HANGING_ROUNDS,
  dialPause,
} from '../../../daemon/peers/dial-loop.js';
import { suite, assert } from '../../helpers/suite.js';
import { VirtualTime } from '../../helpers/virtual-time.js';

const test = suite('dial loop');
const tick = (): Promise<void> => new Promise(resolve => setImmediate(resolve));

interface Scene {
  readonly time: VirtualTime;
  readonly loop: DialLoop;
  readonly dialed: string[];
  readonly aborted: string[];
  readonly state: {
    wanted: boolean;
    every: number | undefined;
    addresses: string[];
    answer: (address: string) => Promise<void>;
  };
}

function scene(): Scene {
  const time = new VirtualTime();
  const dialed: string[] = [];
  const aborted: string[] = [];
  const state: Scene['state'] = {
    wanted: true,
    every: undefined,
    addresses: ['a:1', 'b:2'],
    answer: () => Promise.reject(new Error('no')),
  };
  const loop = new DialLoop({
    timers: time,
    random: n => randomBytes(n),
    addresses: () => state.addresses,
    wanted: () => state.wanted,
    dial: (address, signal) => {
      dialed.push(address);
      signal.addEventListener('abort', () => aborted.push(address));
      return state.answer(address);
    },
    every: () => state.every,
    onFailed: () => undefined,
  });
  return { time, loop, dialed, aborted, state };
}

test('the pause grows, is jittered and bounded', () => {
  for (let failures = 1; failures < 40; failures++) {
    const pause = dialPause(failures, n => randomBytes(n));
    assert.ok(pause >= DIAL_PAUSE_FIRST_MS * 0.69 && pause <= DIAL_PAUSE_MAX_MS * 1.31, `${failures}: ${pause}`);
  }
  assert.ok(dialPause(1, n => new Uint8Array(n)) < dialPause(1, n => new Uint8Array(n).fill(255)));
  assert.ok(dialPause(10, n => new Uint8Array(n)) > dialPause(2, n => new Uint8Array(n)));
});

test('tries every address in turn, then pauses, then again', async () => {
  const { time, loop, dialed } = scene();
  loop.wake();
  await tick();
  await tick();
  assert.equal(dialed, ['a:1', 'b:2']);
  time.advance(DIAL_PAUSE_FIRST_MS * 0.6);
  await tick();
  assert.is(dialed.length, 2, 'not before the pause is over');
  time.advance(DIAL_PAUSE_FIRST_MS);
  await tick();
  await tick();
  assert.is(dialed.length, 4);
  loop.stop();
});

test('stops at the first address that leads to a link', async () => {
  const { loop, dialed, state, time } = scene();
  state.answer = address => {
    if (address === 'b:2') return Promise.resolve();
    return Promise.reject(new Error('no'));
  };
  state.addresses = ['a:1', 'b:2', 'c:3'];
  loop.wake();
  await tick();
  await tick();
  assert.equal(dialed, ['a:1', 'b:2']);
  state.wanted = false;
  time.advance(10 * DIAL_PAUSE_MAX_MS);
  await tick();
  assert.is(dialed.length, 2);
});

test('waking starts the pause anew; one attempt at a time', async () => {
  const { loop, dialed, state } = scene();
  let release = (): void => undefined;
  state.addresses = ['a:1'];
  state.answer = () => new Promise<void>((_, reject) => (release = () => reject(new Error('late'))));
  loop.wake();
  loop.wake();
  loop.wake();
  await tick();
  assert.is(dialed.length, 1);
  assert.ok(loop.dialing);
  release();
  await tick();
  await tick();
  loop.stop();
});

test('a link that ends soon makes the pause grow; one that lasted is replaced at once', async () => {
  const { time, loop, dialed, state } = scene();
  state.addresses = ['a:1'];
  state.answer = () => {
    state.wanted = false;
    return Promise.resolve();
  };
  loop.wake();
  await tick();
  assert.is(dialed.length, 1);
  for (let i = 0; i < 20; i++) {
    state.wanted = true;
    loop.lost(100);
    time.advance(DIAL_PAUSE_FIRST_MS / 2);
    await tick();
    assert.is(dialed.length, 1 + i, `round ${i}: not at once`);
    time.advance(2 * DIAL_PAUSE_MAX_MS);
    await tick();
    await tick();
    assert.is(dialed.length, 2 + i);
  }
  const before = dialed.length;
  state.wanted = true;
  loop.lost(100);
  time.advance(DIAL_PAUSE_MAX_MS / 2);
  await tick();
  assert.is(dialed.length, before, 'the pause has grown');
  loop.lost(DIAL_STEADY_MS);
  await tick();
  assert.is(dialed.length, before + 1);
  loop.stop();
});

test('links that end before their round does make the pause grow too', async () => {
  const { time, loop, dialed, state } = scene();
  state.addresses = ['a:1'];
  state.answer = () => {
    loop.lost(1);
    return Promise.resolve();
  };
  loop.wake();
  for (let i = 0; i < 600; i++) {
    await tick();
    time.advance(100);
  }
  assert.ok(dialed.length > 3 && dialed.length < 15, `${dialed.length} dials in a minute`);
});

test('without addresses, unwanted or stopped, nothing is dialed', async () => {
  const { loop, dialed, state, time } = scene();
  state.addresses = [];
  loop.wake();
  state.addresses = ['a:1'];
  state.wanted = false;
  loop.wake();
  state.wanted = true;
  loop.stop();
  loop.wake();
  time.advance(DIAL_PAUSE_MAX_MS);
  await tick();
  assert.is(dialed.length, 0);
});

test('a nudge begins a round, and neither ends a pause nor disturbs a round', async () => {
  const { time, loop, dialed } = scene();
  loop.nudge();
  loop.nudge();
  await tick();
  await tick();
  assert.equal(dialed, ['a:1', 'b:2']);
  for (let i = 0; i < 10; i++) loop.nudge();
  await tick();
  assert.is(dialed.length, 2);
  time.advance(DIAL_PAUSE_FIRST_MS * 1.4);
  await tick();
  await tick();
  assert.is(dialed.length, 4);
  loop.stop();
  loop.nudge();
  await tick();
  assert.is(dialed.length, 4);
});

test('what fails before the dial is a failed round, not the end of the process', async () => {
  const { time, loop, dialed, state } = scene();
  const addresses = state.addresses;
  Object.defineProperty(state, 'addresses', {
    configurable: true,
    get: () => {
      throw new Error('no descriptors left');
    },
  });
  loop.wake();
  await tick();
  Object.defineProperty(state, 'addresses', { value: addresses });
  time.advance(DIAL_PAUSE_FIRST_MS * 1.4);
  await tick();
  await tick();
  assert.equal(dialed, addresses);
  loop.stop();
});

const hanging = (): Promise<void> => new Promise<void>(() => undefined);

test('a silent address gets company of the next one; the first link wins and the others are given up', async () => {
  const { time, loop, dialed, aborted, state } = scene();
  let win = (): void => undefined;
  state.addresses = ['a:1', 'b:2', 'c:3'];
  state.answer = address => (address === 'b:2' ? new Promise(resolve => (win = resolve)) : hanging());
  loop.wake();
  assert.equal(dialed, ['a:1']);
  time.advance(1_000);
  assert.equal(dialed, ['a:1', 'b:2', 'c:3']);
  state.wanted = false;
  win();
  await tick();
  assert.equal(aborted.sort(), ['a:1', 'b:2', 'c:3'], 'nothing of the round is left');
  assert.not(loop.dialing);
});

test('while streams wait, rounds begin beside those that hang, a few at a time; the oldest is given up', async () => {
  const { time, loop, dialed, aborted, state } = scene();
  state.addresses = ['a:1'];
  state.every = 1_000;
  state.answer = hanging;
  loop.wake();
  for (let second = 1; second <= 10; second++) {
    time.advance(1_000);
    await tick();
    assert.is(dialed.length, 1 + second);
    assert.is(aborted.length, Math.max(0, 1 + second - MAX_HANGING_ROUNDS));
  }
  state.wanted = false;
  loop.rest();
  await tick();
  assert.is(aborted.length, dialed.length);
  state.every = undefined;
  time.advance(60_000);
  assert.is(dialed.length, 11);
  assert.is(time.pending, 0);
});

test('with many addresses each hasty round tries the best, and each of the others in its turn', () => {
  const { time, loop, dialed, state } = scene();
  state.addresses = Array.from({ length: HASTY_BEST + 3 }, (_, i) => `h:${i}`);
  state.every = 1_000;
  state.answer = hanging;
  loop.wake();
  time.advance(2_999);
  const best = state.addresses.slice(0, HASTY_BEST);
  assert.equal(dialed, [...best, 'h:3', ...best, 'h:4', ...best, 'h:5']);
  loop.stop();
});

test('being woken again and again begins no more than one round in a while', async () => {
  const { time, loop, dialed, state } = scene();
  state.addresses = ['a:1'];
  state.every = 1_000;
  for (let ms = 0; ms < 1_000; ms += 10) {
    loop.wake();
    await tick();
    time.advance(10);
  }
  assert.ok(dialed.length <= 1_000 / DIAL_GAP_MS + 1, `${dialed.length} dials in a second`);
  loop.stop();
});

test('links that carried streams and broke soon are replaced at once, but not without end', async () => {
  const { time, loop, dialed, state } = scene();
  state.addresses = ['a:1'];
  state.answer = () => Promise.resolve();
  let atOnce = 0;
  for (let i = 0; i < 200; i++) {
    const before = dialed.length;
    loop.lost(10, true);
    time.advance(DIAL_GAP_MS);
    await tick();
    atOnce += Math.min(1, dialed.length - before);
  }
  assert.ok(atOnce >= 20 && atOnce <= 60, `${atOnce} of 200 in 20 s`);
  loop.stop();
});

test.run();
