/** Two network namespaces on a bridge find each other by mDNS; a node of another network there does not appear. */
import { run, Lab, connected, until } from '../helpers/hosts.js';
import { assert, suite } from '../helpers/suite.js';

const test = suite('mDNS between hosts');
const lab = new Lab();
const ID = `w${process.pid % 10_000}`;
const BRIDGE = `${ID}br`;
const NAMES = ['a', 'b', 'x'] as const;

async function ip(...args: string[]): Promise<void> {
  const result = await run('ip', args);
  if (result.status !== 0) throw new Error(`ip ${args.join(' ')}: ${result.stderr}`);
}

/** Three hosts on one bridge: 10.77.0.1, .2 and .3. */
async function wire(): Promise<void> {
  lab.onClose(async () => {
    for (const name of NAMES) await run('ip', ['netns', 'del', `${ID}${name}`]);
    await run('ip', ['link', 'del', BRIDGE]);
  });
  await ip('link', 'add', BRIDGE, 'type', 'bridge', 'mcast_snooping', '0');
  await ip('link', 'set', BRIDGE, 'up');
  for (const [i, name] of NAMES.entries()) {
    const ns = `${ID}${name}`;
    await ip('netns', 'add', ns);
    await ip('link', 'add', `${ID}v${name}`, 'type', 'veth', 'peer', 'name', 'eth0', 'netns', ns);
    await ip('link', 'set', `${ID}v${name}`, 'master', BRIDGE, 'up');
    await ip('-n', ns, 'addr', 'add', `10.77.0.${i + 1}/24`, 'dev', 'eth0');
    await ip('-n', ns, 'link', 'set', 'eth0', 'up');
    await ip('-n', ns, 'link', 'set', 'lo', 'up');
  }
}

test.after(() => lab.close());

test(
  'members find each other without knowing an address; others do not appear',
  async () => {
    await wire();
    const [a, b, x] = NAMES.map(name => lab.host(`host-${name}`, `${ID}${name}`)) as [
      ReturnType<Lab['host']>,
      ReturnType<Lab['host']>,
      ReturnType<Lab['host']>,
    ];
    await a.up(['--listen', '0.0.0.0:7667', '--mdns']);
    await x.up(['--listen', '0.0.0.0:7667', '--mdns']);
    await b.up(['--listen', '0.0.0.0:7667', '--mdns', '--join', await a.ok(['invite'])]);
    await connected(a, 'host-b');

    // Both move to other ports while the other one is away: what the registry says of them is wrong from now on.
    await b.ok(['down']);
    await a.ok(['down']);
    const { readFileSync, writeFileSync } = await import('node:fs');
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
