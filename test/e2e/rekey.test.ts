/** Keys are replaced under load, within a link and by new links. */
import { bothWays } from '../helpers/both-ways.js';
import { cablePair } from '../helpers/cuts.js';
import { Lab } from '../helpers/hosts.js';
import { NETNS_NEEDS } from '../helpers/netns.js';
import { assert, full, suite } from '../helpers/suite.js';

const test = suite('rekey under load');
const MIB = 1024 * 1024;
const REKEY_BYTES = 4 * MIB;

const lab = new Lab();
test.after(() => lab.close());

test(
  'a new link every second and new keys every 4 MiB, under bulk both ways: all bytes arrive',
  async () => {
    const total = full(96, 1024) * MIB;
    const cable = await cablePair(lab, {
      subnet: '10.82.0',
      limits: { rekeyBytes: REKEY_BYTES, linkSeconds: 1 },
      shape: { rate: full('200mbit', '1gbit'), burst: '256kb', latency: '20ms' },
    });
    const before = (await cable.a.status()).peers[0]!;
    await (
      await bothWays(lab, cable, total)
    ).arrived;
    const after = (await cable.a.status()).peers[0]!;
    const [links, rekeys] = [after.linksUp - before.linksUp, after.rekeys - before.rekeys];
    console.log(`note: ${links} new links and ${rekeys} rekeys over ${total / MIB} MiB each way`);
    // Two links at a time, each replaced after about a second.
    assert.ok(links >= full(3, 12), `${links} links`);
    // Of what each link has carried in each direction, less than 4 MiB led to no rekey.
    const most = ((2 * total) / REKEY_BYTES) * 1.1;
    const least = (2 * total) / REKEY_BYTES - 2 * (links + after.links.length);
    assert.ok(rekeys >= least && rekeys <= most, `${rekeys} rekeys, ${least} to ${most} are possible`);
    assert.ok(rekeys > 0);
    assert.not.match(cable.a.log() + cable.b.log(), '"session-down"');
  },
  { deadline: full(120_000, 600_000), needs: NETNS_NEEDS },
);

test.run();
