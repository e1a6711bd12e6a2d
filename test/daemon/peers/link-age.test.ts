import { LINK_LIFE_MS, LinkAge, REPLACE_JITTER, REPLACE_MS, REPLACE_RETRY_MS } from '../../../daemon/peers/link-age.js';
import { assert, suite } from '../../helpers/suite.js';
import { VirtualTime } from '../../helpers/virtual-time.js';

const test = suite('link age');
const tick = (): Promise<void> => new Promise(resolve => setImmediate(resolve));

function watch(
  isDialer: boolean,
  byte: number,
  works: () => boolean,
): { time: VirtualTime; age: LinkAge; seen: string[] } {
  const time = new VirtualTime();
  const seen: string[] = [];
  const age = new LinkAge({
    timers: time,
    random: n => new Uint8Array(n).fill(byte),
    isDialer,
    replace: () => {
      seen.push(`replace ${time.monotonic()}`);
      return works() ? Promise.resolve() : Promise.reject(new Error('not now'));
    },
    end: () => seen.push(`end ${time.monotonic()}`),
  });
  return { time, age, seen };
}

test('the dialing side replaces after an hour, give or take a tenth', async () => {
  for (const [byte, at] of [
    [0, REPLACE_MS * (1 - REPLACE_JITTER)],
    [255, REPLACE_MS * (1 + REPLACE_JITTER)],
  ] as const) {
    const { time, seen } = watch(true, byte, () => true);
    time.advance(at - 1);
    assert.equal(seen, []);
    time.advance(2);
    await tick();
    assert.equal(seen, [`replace ${at}`]);
  }
});

test('a replacement that failed is tried again; the link ends after three hours all the same', async () => {
  const { time, seen } = watch(true, 128, () => false);
  for (let passed = 0; passed < LINK_LIFE_MS; passed += REPLACE_RETRY_MS / 5) {
    time.advance(REPLACE_RETRY_MS / 5);
    await tick();
  }
  assert.ok(seen.filter(s => s.startsWith('replace')).length > 20);
  assert.is(seen.filter(s => s === `end ${LINK_LIFE_MS}`).length, 1);
});

test('the accepting side replaces nothing and ends it at three hours; a link that is gone is watched no more', () => {
  const { time, seen } = watch(false, 0, () => true);
  time.advance(LINK_LIFE_MS);
  assert.equal(seen, [`end ${LINK_LIFE_MS}`]);
  const gone = watch(true, 0, () => true);
  gone.age.stop();
  gone.time.advance(2 * LINK_LIFE_MS);
  assert.equal(gone.seen, []);
  assert.is(gone.time.pending, 0);
});

test.run();
