/** Two nodes with several links, in virtual time: how many there are, that they stay, and what takes over when. */
import { DEFAULT_LIMITS } from '../../../protocol/limits.js';
import { isRelayed } from '../../../daemon/peers/relay-paths.js';
import { assert, full, seed, suite } from '../../helpers/suite.js';
import { DEAD_AFTER_MS, Scene } from './scene.js';

const test = suite('several links');

const MINUTE_MS = 60_000;
/** A link that nobody uses is dead so long after it fell silent, ms. */
const IDLE_DEAD_MS =
  DEFAULT_LIMITS.link.pingIdleMs + DEFAULT_LIMITS.link.pingDeadlineMs + 2 * DEFAULT_LIMITS.link.tickMs;
/** A direct path that has opened carries the session after so long, ms. */
const DIRECT_AGAIN_MS = 15_000;
/** A relayed path is tried after so long without a direct link, ms; then comes its handshake. */
const RELAYED_MS = 1_000 + 500;

function linksUp(scene: Scene): number {
  return scene.nodes[0].lines.filter(({ event }) => event === 'link-up').length;
}

for (const [a, b, isOneSided] of [
  [1, 1],
  [2, 2],
  [2, 2, true],
  [3, 3],
  [8, 8],
  [1, 3],
  [3, 1],
  [4, 2],
  [2, 4, true],
] as readonly [number, number, boolean?][])
  test(`wishes ${a} and ${b}${isOneSided ? ', one side alone dials' : ''}: they settle and stay`, async () => {
    const scene = await Scene.make(`${seed()} ${a} ${b}`, [{ links: a }, { links: b }]);
    scene.begin([], isOneSided);
    await scene.run(20_000);
    const [links = 0] = scene.sound;
    assert.ok(links >= Math.min(a, b) && links <= Math.max(a, b), `${links} links`);
    assert.ok(scene.hasLinks(links), `not the same on both sides: ${String(scene.sound)}`);
    const before = linksUp(scene);
    const first = scene.linkIds;
    const minutes = full(4, 30);
    await scene.run(minutes * MINUTE_MS);
    assert.equal(scene.linkIds, first, 'the same links');
    const ups = linksUp(scene) - before;
    // Who wants more asks again about once a minute, each side.
    assert.ok(ups <= (a === b ? 0 : 2 * 1.5 * minutes), `${ups} more links in ${minutes} min`);
    scene.stop();
  });

test('one of two links is lost: no message waits, and soon there are two again', async () => {
  const scene = await Scene.make(`${seed()} one of two`, [{ links: 2 }, { links: 2 }]);
  scene.begin();
  await scene.until(() => scene.hasLinks(2), 5_000);
  scene.echo.start(scene.nodes[0].session!);
  let slowest = 0;
  let [afterBreak, afterSilence] = [0, 0];
  for (let i = 0; i < full(24, 200); i++) {
    await scene.run(scene.dice.between(500, 15_000));
    const victim = scene.dice.pick([...scene.net.open]);
    const isSilent = scene.dice.chance(0.5);
    const from = scene.now;
    if (isSilent) victim.isSilent = true;
    else victim.break(...scene.dice.pick([[0], [1], [0, 1]]));
    assert.ok(await scene.until(() => scene.answersSince(from), 10_000));
    slowest = Math.max(slowest, scene.now - from);
    const isFull = await scene.until(() => !scene.net.open.has(victim) && scene.hasLinks(2), 30_000);
    assert.ok(isFull, `${i}: two again`);
    if (isSilent) afterSilence = Math.max(afterSilence, scene.now - from);
    else afterBreak = Math.max(afterBreak, scene.now - from);
    assert.equal(scene.complaints, []);
  }
  const links = `two links ${afterBreak} ms after a break, ${afterSilence} ms after a silence`;
  console.log(`note: one of two links lost: the slowest answer after ${slowest} ms, ${links}`);
  assert.ok(slowest <= 2_000, `an answer took ${slowest} ms`);
  assert.ok(afterBreak <= 5_000 && afterSilence <= IDLE_DEAD_MS + 2_000, links);
  scene.stop();
});

test('links grow old one by one: each is replaced, and there are never too few', async () => {
  const linkMs = 6 * MINUTE_MS;
  const scene = await Scene.make(`${seed()} age`, [
    { links: 3, linkMs },
    { links: 3, linkMs },
  ]);
  scene.begin();
  await scene.until(() => scene.hasLinks(3), 10_000);
  const first = new Set(scene.linkIds);
  let fewSince: number | undefined;
  let longest = 0;
  let oldest = 0;
  const isOver = await scene.until(() => {
    const ages = [...scene.nodes[0].peer.links].map(({ since }) => scene.timers.now() - since);
    oldest = Math.max(oldest, ...ages);
    if (scene.sound.every(sound => sound >= 3)) fewSince = undefined;
    else longest = Math.max(longest, scene.now - (fewSince ??= scene.now));
    return false;
  }, 5 * linkMs);
  assert.not(isOver);
  // The end of the old link may be there a moment before the word that the new one carries the session.
  assert.ok(longest <= 20, `too few links for ${longest} ms`);
  assert.ok(scene.linkIds.every(id => !first.has(id)));
  assert.ok(oldest < 1.5 * linkMs, `a link was ${Math.round(oldest / MINUTE_MS)} min old`);
  assert.ok(linksUp(scene) < 60, `${linksUp(scene)} links in all`);
  scene.stop();
});

test(
  'a relayed path takes over when no direct one works, one link of it, and gives way when one does',
  async () => {
    const scene = await Scene.make(`${seed()} relay`, [
      { links: 2, relay: true },
      { links: 2, relay: true },
    ]);
    const { net, dice } = scene;
    scene.begin();
    await scene.until(() => scene.hasLinks(2), 5_000);
    scene.echo.start(scene.nodes[0].session!);
    const relayed = (): number[] => scene.nodes.map(({ peer }) => [...peer.links].filter(isRelayed).length);
    let [over, back, most] = [0, 0, 0];
    for (let i = 0; i < full(8, 60); i++) {
      await scene.run(dice.between(500, 30_000));
      assert.equal(relayed(), [0, 0], 'not while direct links work');
      const isSilent = dice.chance(0.5);
      const from = scene.now + (isSilent ? DEAD_AFTER_MS : 0);
      net.state.tcp = isSilent ? 'silent' : 'refusing';
      if (!isSilent) net.reset(({ kind }) => kind === 'tcp');
      assert.ok(await scene.until(() => scene.answersSince(from), 60_000), `${i}: the relay does not take over`);
      over = Math.max(over, scene.now - from);
      const end = scene.now + dice.between(1_000, 120_000);
      await scene.until(() => {
        most = Math.max(most, ...relayed());
        return scene.now > end;
      }, 130_000);
      assert.equal(relayed(), [1, 1]);
      net.state.tcp = 'up';
      const opened = scene.now;
      const isDirect = (): boolean => scene.hasLinks(2) && relayed().every(links => links === 0);
      assert.ok(await scene.until(isDirect, 60_000), `${i}: not direct again: ${String(scene.sound)}`);
      back = Math.max(back, scene.now - opened);
      assert.equal(scene.complaints, []);
    }
    console.log(`note: the relay carried after ${over} ms, two direct links alone ${back} ms after the path opened`);
    assert.ok(over <= RELAYED_MS, `the relay took over after ${over} ms`);
    assert.ok(back <= DIRECT_AGAIN_MS, `direct again after ${back} ms`);
    assert.ok(most <= 2, `${most} relayed links at a time`);
    scene.stop();
  },
  { deadline: 120_000 },
);

test.run();
