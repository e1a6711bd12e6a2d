/**
 * How soon a cut is healed, in virtual time: the real rooms from the handshake to the streams, over a network that
 * resets, keeps silent, refuses and changes addresses.
 */
import { assert, full, seed, suite } from '../../helpers/suite.js';
import { DEAD_AFTER_MS, Scene } from './scene.js';

const test = suite('healing');

/** After the path is back, or after the ping deadline of the links that were silent, ms. */
const HEALED_MS = 2_000;
/**
 * The node that stays sees silence when the other one changes its address. A link that came up just before may keep the
 * place of the next one until its ping deadline: so many of the address changes may take until then.
 */
const RARE = 1 / 20;
const CUTS = full(120, 3_000);
const CUTS_EACH = 40;

const KINDS = ['reset', 'half reset', 'silence', 'address change'] as const;
type Kind = (typeof KINDS)[number];

interface Cut {
  /** when the path was back, ms */
  readonly back: number;
  /** from when healing is counted, ms */
  readonly from: number;
}

/** Makes a cut and waits until the path is back. */
async function cut(scene: Scene, kind: Kind): Promise<Cut> {
  const { net, dice } = scene;
  const begin = scene.now;
  if (kind === 'address change') {
    scene.move(dice.pick([0, 1]));
    return { back: begin, from: begin };
  }
  const ms = kind === 'silence' ? dice.between(1_000, 10_000) : dice.pick([0, dice.between(0, 3_000)]);
  net.state.tcp = kind === 'silence' ? 'silent' : 'refusing';
  if (kind === 'reset') net.reset();
  // The other side hears of it when it sends.
  if (kind === 'half reset') for (const connection of [...net.open]) connection.break(dice.pick([0, 1]));
  await scene.run(ms);
  net.state.tcp = 'up';
  const back = scene.now;
  return { back, from: kind === 'silence' ? Math.max(back, begin + DEAD_AFTER_MS) : back };
}

interface Worst {
  cuts: number;
  late: number;
  afterBack: number;
  afterDeadline: number;
  links: number;
}

async function cuts(label: string, count: number, dead: readonly string[], worst: Map<Kind, Worst>): Promise<number> {
  const scene = await Scene.make(label, [{ links: 2 }, { links: 2 }]);
  const { dice } = scene;
  scene.begin(dead);
  assert.ok(await scene.until(() => scene.hasLinks(2), 5_000), `${label}: no two links: ${String(scene.sound)}`);
  scene.echo.start(scene.nodes[0].session!);
  for (let i = 0; i < count; i++) {
    await scene.run(dice.pick([dice.between(100, 2_000), dice.between(2_000, 20_000)]));
    const kind = dice.pick(KINDS);
    const { back, from } = await cut(scene, kind);
    const name = `${label}, cut ${i}, ${kind}`;
    assert.ok(await scene.until(() => scene.answersSince(back), 60_000), `${name}: never healed`);
    const healed = scene.now;
    assert.equal(scene.complaints, [], name);
    const isFull = await scene.until(() => scene.hasLinks(2), 60_000);
    assert.ok(isFull, `${name}: ${String(scene.sound)} links`);
    const so = worst.get(kind) ?? { cuts: 0, late: 0, afterBack: 0, afterDeadline: 0, links: 0 };
    const isLate = healed - from > HEALED_MS;
    worst.set(kind, {
      cuts: so.cuts + 1,
      late: so.late + Number(isLate),
      afterBack: Math.max(so.afterBack, healed - back),
      afterDeadline: Math.max(so.afterDeadline, healed - from),
      links: Math.max(so.links, scene.now - from),
    });
    const bound = kind === 'address change' ? DEAD_AFTER_MS + HEALED_MS : HEALED_MS;
    assert.ok(healed - from <= bound, `${name}: healed ${Math.round(healed - from)} ms after it could be`);
  }
  const dials = scene.net.dials;
  scene.stop();
  return dials;
}

test(
  'every cut is healed within 2 s of the path being back, or of the ping deadline',
  async () => {
    const worst = new Map<Kind, Worst>();
    let dials = 0;
    for (let i = 0; i * CUTS_EACH < CUTS; i++) {
      // Every other network tells of addresses that lead nowhere.
      const dead = i % 2 === 0 ? [] : ['10.9.9.1:7667', '10.9.9.2:7667'];
      dials += await cuts(`${seed()} ${i}`, CUTS_EACH, dead, worst);
    }
    console.log(`note: ${CUTS} cuts, ${(dials / CUTS).toFixed(1)} dials for each; the slowest, in virtual ms:`);
    for (const kind of KINDS) {
      const { afterBack, afterDeadline, links, cuts: all, late } = worst.get(kind)!;
      const [back, deadline, both] = [afterBack, afterDeadline, links].map(ms => Math.round(ms));
      console.log(
        `note: ${kind}: ${back} after the path was back, ${deadline} after it could be; 2 links after ${both}`,
      );
      assert.ok(late <= 1 + RARE * all, `${kind}: ${late} of ${all} healed late`);
    }
  },
  { deadline: full(120_000, 1_200_000) },
);

test.run();
