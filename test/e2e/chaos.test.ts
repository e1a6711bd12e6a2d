/** Bulk both ways and 50 request/response clients over a cable that is cut again and again: nobody notices. */
import { setTimeout as sleep } from 'node:timers/promises';
import { Dice } from '../protocol/session/virtual.js';
import { Askers, answering } from '../helpers/askers.js';
import { bothWays } from '../helpers/both-ways.js';
import { Cutter, cablePair, lateOnes, told, tunnelOver, type Cable, type Healing } from '../helpers/cuts.js';
import { Lab, until } from '../helpers/hosts.js';
import { NETNS_NEEDS } from '../helpers/netns.js';
import { assert, full, seed, suite } from '../helpers/suite.js';
import { startUnixService } from '../helpers/traffic.js';

const test = suite('links come and go, streams stay');
const lab = new Lab();
const MIB = 1024 * 1024;
const CLIENTS = 50;
/** A cut for each so many bytes moved, both directions together. */
const CUT_EVERY = 10 * MIB;
/** The bytes moved are looked at so often, ms. */
const LOOK_MS = 10;
const LONGEST_SILENCE_MS = full(3_000, 10_000);

test.after(() => lab.close());

test(
  'a cut for every 10 MiB moved: all bytes arrive, every request is answered',
  async () => {
    const total = full(24, 1024) * MIB;
    const cable = await cablePair(lab, { subnet: '10.80.0' });
    const asking = await tunnelOver(lab, cable, 'asking', await startUnixService(lab, 'asking', answering));
    const askers = await Askers.start(asking, CLIENTS);
    await until('every client was answered', () => askers.answers > 4 * CLIENTS);
    const before = await linksUp(cable);

    const { up, down, arrived } = await bothWays(lab, cable, total);
    let isOver = false;
    const over = (): void => void (isOver = true);
    arrived.then(over, over);
    const dice = new Dice(seed());
    const cutter = new Cutter(cable, () => dice.between(1_000, LONGEST_SILENCE_MS));
    const healings: Healing[] = [];
    for (let at = CUT_EVERY; at < 2 * total && !isOver; at += CUT_EVERY) {
      while (up.bytes + down.bytes < at && !isOver) await sleep(LOOK_MS);
      if (isOver) break;
      const cut = await cutter.next();
      const flowed = Math.max(...(await Promise.all([up.next(), down.next()])));
      healings.push({ cut, ms: flowed - cut.backAt });
    }
    await arrived;
    await askers.stop();

    console.log(
      `note: ${healings.length} cuts, ${(await linksUp(cable)) - before} new links; from path back until bytes flow both ways: ${told(healings)}; ${askers.answers} answers, the slowest after ${(askers.slowestMs / 1000).toFixed(2)} s`,
    );
    assert.equal(askers.errors, []);
    assert.ok(healings.length >= full(4, 190), `${healings.length} cuts`);
    assert.equal(lateOnes(healings), []);
  },
  { deadline: full(150_000, 45 * 60_000), needs: NETNS_NEEDS },
);

/** Links that host-b has had to host-a. */
async function linksUp({ b }: Cable): Promise<number> {
  return (await b.status()).peers[0]!.linksUp;
}

test.run();
