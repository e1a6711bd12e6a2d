import { LINK_LIFE, LINK_MS, LinkAge, REPLACE_JITTER, REPLACE_RETRY } from '../../../daemon/peers/link-age.js';
import { assert, suite } from '../../helpers/suite.js';
import { VirtualTime } from '../../helpers/virtual-time.js';

const test = suite('link age');
const LINK_LIFE_MS = LINK_LIFE * LINK_MS;
const REPLACE_RETRY_MS = REPLACE_RETRY * LINK_MS;
const tick = (): Promise<void> => new Promise(resolve => setImmediate(resolve));

function watch(
  isDialer: boolean,
  byte: number,
  works: () => boolean,
  linkMs = LINK_MS,
): { time: VirtualTime; age: LinkAge; seen: string[] } {
  const time = new VirtualTime();
  const seen: string[] = [];
  const age = new LinkAge({
    timers: time,
    linkMs,
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
    [0, LINK_MS * (1 - REPLACE_JITTER)],
    [255, LINK_MS * (1 + REPLACE_JITTER)],
  ] as const) {
    const { time, seen } = watch(true, byte, () => true);
    time.advance(at - 1);
    assert.equal(seen, []);
    time.advance(2);
    await tick();
    assert.equal(seen, [`replace ${at}`]);
  }
});

test('all follows in proportion from the time that the config sets', async () => {
  const { time, seen } = watch(true, 0, () => seen.length > 1, 1_000);
  for (let passed = 0; passed < 3_000; passed += 10) {
    time.advance(10);
    await tick();
  }
  assert.is(seen[0], `replace ${1_000 * (1 - REPLACE_JITTER)}`);
  const retried = Number(seen[1]?.slice('replace '.length));
  assert.ok(retried > 980 && retried < 1_000, seen[1]);
  // As long as the link is there: that a replacement came up does not mean that it was this link that made way.
  assert.ok(seen.length > 20);
  assert.is(seen.at(-1), 'end 3000');
});

test('a link that is still there is replaced again; the link ends after three hours all the same', async () => {
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
