/** Keys are replaced under load, within a link and by new links. */
import type { LinkInfo } from '../../protocol/admin/contract.js';
import { bothWays } from '../helpers/both-ways.js';
import { cablePair } from '../helpers/cuts.js';
import { Lab, type Host } from '../helpers/hosts.js';
import { NETNS_NEEDS } from '../helpers/netns.js';
import { assert, full, suite } from '../helpers/suite.js';

const test = suite('rekey under load');
const MIB = 1024 * 1024;
const REKEY_BYTES = 4 * MIB;

const lab = new Lab();
test.after(() => lab.close());

/** Links to the only peer of a host. */
async function linksOf(host: Host): Promise<readonly LinkInfo[]> {
  return (await host.status()).peers[0]?.links ?? [];
}

test(
  'a new link every second and new keys every 4 MiB, under bulk both ways: all bytes arrive',
  async () => {
    const total = full(96, 1024) * MIB;
    const cable = await cablePair(lab, {
      subnet: '10.82.0',
      limits: { rekeyBytes: REKEY_BYTES, linkSeconds: 1 },
      shape: { rate: full('200mbit', '1gbit'), burst: '256kb', latency: '20ms' },
    });
    /** the most rekeys seen of each link, by when it came up */
    const rekeys = new Map<string, number>();
    const { arrived } = await bothWays(lab, cable, total);
    let isOver = false;
    const over = arrived.finally(() => (isOver = true));
    while (!isOver) {
      for (const { since, rekeys: now } of await linksOf(cable.a)) {
        rekeys.set(since, Math.max(now, rekeys.get(since) ?? 0));
      }
      await Promise.race([over, new Promise(resolve => setTimeout(resolve, 100))]);
    }
    await arrived;
    const sum = [...rekeys.values()].reduce((x, y) => x + y, 0);
    console.log(`note: ${rekeys.size} links, ${sum} rekeys seen in status over ${total / MIB} MiB each way`);
    // What a link carried after the last look at it, and less than 4 MiB at the end of each direction, is not seen.
    assert.ok(rekeys.size >= full(3, 8), `${rekeys.size} links`);
    const possible = (2 * total) / REKEY_BYTES;
    assert.ok(sum >= possible / 3 && sum <= possible * 1.1, `${sum} rekeys of ${possible}`);
    assert.not.match(cable.a.log() + cable.b.log(), '"session-down"');
    await cable.b.ok(['down']);
    await cable.a.ok(['down']);
  },
  { deadline: full(120_000, 600_000), needs: NETNS_NEEDS },
);

test.run();
