import { ReplayGuard, SEEN_FOR_MS, SeenSet } from '../../../protocol/handshake/replay.js';
import { CLOCK_WINDOW_MS } from '../../../protocol/handshake/wire.js';
import { assert, suite } from '../../helpers/suite.js';
import { VirtualTime } from '../../helpers/virtual-time.js';

const test = suite('replay set');
const bytes = (n: number): Uint8Array => Uint8Array.of(n >> 24, n >> 16, n >> 8, n);

test('what was seen is not fresh', () => {
  const seen = new SeenSet(new VirtualTime(), 1000, 10);
  assert.is(seen.add(bytes(1)), true);
  assert.is(seen.add(bytes(1)), false);
  assert.is(seen.add(bytes(2)), true);
  assert.is(seen.add(bytes(1)), false);
});

test('an entry is remembered for its whole time, whenever it came', () => {
  const clock = new VirtualTime();
  const seen = new SeenSet(clock, 1000, 1000);
  for (let i = 0; i < 50; i++) {
    assert.is(seen.add(bytes(i)), true);
    clock.advance(77);
    for (let old = Math.max(0, i - 11); old <= i; old++) assert.is(seen.add(bytes(old)), false, `${old} at ${i}`);
    assert.ok(seen.size <= 60);
  }
});

test('what is not seen again is forgotten after two times', () => {
  const clock = new VirtualTime();
  const seen = new SeenSet(clock, 1000, 1000);
  seen.add(bytes(1));
  clock.advance(1000);
  seen.add(bytes(2));
  assert.is(seen.size, 2);
  clock.advance(1000);
  seen.add(bytes(3));
  assert.is(seen.size, 2);
  clock.advance(5000);
  seen.add(bytes(4));
  assert.is(seen.size, 1);
  assert.is(seen.add(bytes(1)), true);
});

test('it never holds more than two generations', () => {
  const seen = new SeenSet(new VirtualTime(), 1e9, 100);
  for (let i = 0; i < 1000; i++) {
    seen.add(bytes(i));
    assert.ok(seen.size <= 200);
    assert.is(seen.add(bytes(Math.max(0, i - 99))), false);
  }
});

test('a message 1 is remembered for as long as its time is acceptable', () => {
  assert.ok(SEEN_FOR_MS >= 2 * CLOCK_WINDOW_MS);
});

test('nonces and ephemeral keys are kept apart', () => {
  const guard = new ReplayGuard(new VirtualTime());
  assert.is(guard.freshPreface(bytes(1)), true);
  assert.is(guard.freshEphemeral(bytes(1)), true);
  assert.is(guard.freshPreface(bytes(1)), false);
  assert.is(guard.freshEphemeral(bytes(1)), false);
  assert.is(guard.size, 2);
});

test.run();
