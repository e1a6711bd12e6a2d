/** Of two links either may die, loudly or silently, while 50 clients ask: nobody notices. */
import type { LinkInfo } from '../../protocol/admin/contract.js';
import { Askers, answering } from '../helpers/askers.js';
import { Meter } from '../helpers/both-ways.js';
import { cablePair, tunnelOver, type Cable } from '../helpers/cuts.js';
import { Lab, until, type Host } from '../helpers/hosts.js';
import { NETNS_NEEDS } from '../helpers/netns.js';
import { assert, full, suite } from '../helpers/suite.js';
import { dial, sendBytes, startUnixService } from '../helpers/traffic.js';

const test = suite('a spare link');
const lab = new Lab();
const PORT = 7667;
const CLIENTS = 50;

test.after(() => lab.close());

/** Links to the only peer of a host. */
async function linksOf(host: Host): Promise<readonly LinkInfo[]> {
  return (await host.status()).peers[0]?.links ?? [];
}

/** Until every request must be answered that was on its way when one of two links was killed, ms. */
const UNSEEN_MS = 5_000;

test(
  'killing either of two links is unseen by 50 clients',
  async () => {
    const cable = await cablePair(lab, { subnet: '10.83.0' });
    const asking = await tunnelOver(lab, cable, 'asking', await startUnixService(lab, 'asking', answering));
    // Bulk keeps to the link that does not carry those who ask: then either of the two is in use.
    const endless = await startUnixService(
      lab,
      'endless',
      socket => void sendBytes(socket, Infinity).catch(() => undefined),
    );
    const bulk = await dial(await tunnelOver(lab, cable, 'endless', endless));
    const meter = new Meter();
    bulk.on('data', (chunk: Buffer) => meter.add(chunk.length)).on('close', () => meter.done());
    await bothUp(cable);
    const slowest: Record<'reset' | 'drop', number> = { reset: 0, drop: 0 };
    for (let round = 0; round < full(2, 20); round++) {
      const how = (round + Math.floor(round / 2)) % 2 === 0 ? 'reset' : 'drop';
      const askers = await Askers.start(asking, CLIENTS);
      await until('every client was answered', () => askers.answers > 4 * CLIENTS);
      await killLink(cable, 1 - (round % 2), how);
      await bothUp(cable);
      await meter.next();
      await askers.stop();
      assert.equal(askers.errors, []);
      assert.not(meter.isDone, 'the bulk stream goes on');
      slowest[how] = Math.max(slowest[how], askers.slowestMs);
      assert.is((await cable.b.status()).peers[0]?.state, 'connected');
    }
    console.log(
      `note: the slowest answer while one of two links was killed by RST: ${slowest.reset.toFixed(0)} ms, by silence: ${slowest.drop.toFixed(0)} ms`,
    );
    assert.ok(slowest.reset <= UNSEEN_MS && slowest.drop <= UNSEEN_MS, JSON.stringify(slowest));
    assert.not.match(cable.a.log() + cable.b.log(), '"session-held"');
  },
  { deadline: full(120_000, 300_000), needs: NETNS_NEEDS },
);

function bothUp({ a, b }: Cable): Promise<unknown> {
  return until(
    'two links are up',
    async () => (await linksOf(a)).length >= 2 && (await linksOf(b)).length >= 2,
    30_000,
  );
}

/** Ends the older or the newer of two links for good: no packet of its connection comes through again. */
async function killLink({ a, b, spaceA, spaceB }: Cable, which: number, how: 'reset' | 'drop'): Promise<void> {
  // The side that accepted a link sees the other one's port, which tells the connections apart.
  const accepted = async (host: Host): Promise<LinkInfo[]> =>
    (await linksOf(host)).filter(link => link.direction === 'accepted');
  const all = [
    ...(await accepted(a)).map(link => ({ host: a, space: spaceA, link })),
    ...(await accepted(b)).map(link => ({ host: b, space: spaceB, link })),
  ].sort((x, y) => x.link.since.localeCompare(y.link.since));
  const { host, space, link } = all[which]!;
  await space.block({ how, localPort: PORT, peerPort: portOf(link.address) });
  await until('the link is gone', async () => !(await accepted(host)).some(l => l.address === link.address));
}

function portOf(address: string): number {
  return Number(address.slice(address.lastIndexOf(':') + 1));
}

test.run();
