/** Two network namespaces on a bridge find each other by mDNS; a node of another network there does not appear. */
import { readFileSync, writeFileSync } from 'node:fs';
import { Lab, connected, until } from '../helpers/hosts.js';
import { Network } from '../helpers/netns.js';
import { assert, suite } from '../helpers/suite.js';

const test = suite('mDNS between hosts');
const lab = new Lab();

test.after(() => lab.close());

test(
  'members find each other without knowing an address; others do not appear',
  async () => {
    const network = new Network(lab);
    const [spaceA, spaceB, spaceX] = [await network.space('a'), await network.space('b'), await network.space('x')];
    await network.bridge('10.77.0', [spaceA, spaceB, spaceX]);
    const [a, b] = [lab.host('host-a', spaceA.netns), lab.host('host-b', spaceB.netns)];
    const x = lab.host('host-x', spaceX.netns);
    await a.up(['--listen', '0.0.0.0:7667', '--mdns']);
    await x.up(['--listen', '0.0.0.0:7667', '--mdns']);
    await b.up(['--listen', '0.0.0.0:7667', '--mdns', '--join', await a.ok(['invite'])]);
    await connected(a, 'host-b');

    // Both move to other ports while the other one is away: what the registry says of them is wrong from now on.
    await b.ok(['down']);
    await a.ok(['down']);
    for (const host of [a, b]) {
      const file = `${host.home}/config.yaml`;
      writeFileSync(file, readFileSync(file, 'utf8').replace('0.0.0.0:7667', '0.0.0.0:7668'));
    }
    await b.up(['--mdns']);
    await a.up(['--mdns']);
    await connected(a, 'host-b', 60_000);
    await until('found by mDNS', () => (a.log() + b.log()).includes('mdns-found'), 30_000);
    assert.is((await x.status()).peers.length, 0);
    assert.is((await a.status()).peers.length, 1);
    assert.not(x.log().includes('mdns-found'));
  },
  { deadline: 180_000, needs: ['root', 'ip'] },
);

test.run();
