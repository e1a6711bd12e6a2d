/**
 * A node that does not listen is a full member: it reaches its peer through an HTTP proxy that wants credentials, over
 * ws:// and wss://, at a name that only the proxy knows; services pass both ways, and the credentials appear nowhere.
 */
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import type { DoctorReply, PeerInfo } from '../../protocol/admin/contract.js';
import { Lab, connected, run, until, type Host } from '../helpers/hosts.js';
import { startProxy, type TestProxy } from '../helpers/proxy.js';
import { freePort, startNginx } from '../helpers/servers.js';
import { echo, exchange, startService } from '../helpers/traffic.js';
import { assert, suite } from '../helpers/suite.js';

const test = suite('outbound only, through a proxy');
const lab = new Lab();
test.after(() => lab.close());

const USER = 'jonas';
const PASSWORD = 'pa:ss/w%rd';
const CREDENTIALS = `${USER}:${PASSWORD}`;
const IN_A_URL = `${USER}:${encodeURIComponent(PASSWORD)}`;

async function proxy(routes: Readonly<Record<string, number>>): Promise<TestProxy> {
  const started = await startProxy({ routes, credentials: CREDENTIALS });
  lab.onClose(() => started.close());
  return started;
}

function peerOf(status: { peers: readonly PeerInfo[] }, name: string): PeerInfo {
  const peer = status.peers.find(p => p.name === name);
  if (peer === undefined) throw new Error(`${name} is no peer`);
  return peer;
}

/** Services of either node are called from the other. */
async function servicesBothWays(a: Host, b: Host): Promise<void> {
  for (const [exposer, caller] of [
    [a, b],
    [b, a],
  ] as const) {
    const service = `echo-of-${exposer.name}`;
    await exposer.ok(['expose', service, String(await startService(lab, echo))]);
    const listen = await caller.connect(service);
    await until(`${service} answers`, async () => (await exchange(listen, 'hello').catch(() => '')) === 'hello');
  }
}

/** Nothing that a daemon writes or says holds the password, in any of its spellings. */
async function isQuietAbout(...hosts: readonly Host[]): Promise<void> {
  const spellings = [PASSWORD, IN_A_URL, encodeURIComponent(PASSWORD), Buffer.from(CREDENTIALS).toString('base64')];
  for (const host of hosts) {
    const said = [host.log()];
    for (const command of ['status', 'doctor', 'peers'])
      for (const json of [[], ['--json']]) {
        const { stdout, stderr } = await host.warren([command, ...json]);
        said.push(stdout, stderr);
      }
    said.push((await host.warren(['logs', '-n', '2000'])).stdout);
    for (const text of said) for (const secret of spellings) assert.not.match(text, secret);
  }
}

async function checkNode(a: Host, b: Host, through: TestProxy, target: string): Promise<void> {
  await connected(a, b.name);
  await connected(b, a.name);
  const status = await b.status();
  assert.is(status.proxy, `http://127.0.0.1:${through.port}`);
  assert.equal([status.listen, status.advertise], [[], []]);
  const links = peerOf(status, a.name).links;
  assert.ok(links.length > 0 && links.every(link => link.transport === 'websocket' && link.direction === 'dialed'));
  // Credentials are sent when they were asked for, not before.
  assert.ok(through.requests.every(request => request.target === target));
  assert.is(through.requests[0]?.authorization, undefined);
  assert.ok(through.requests[1]?.authorization?.startsWith('Basic '));
  // The other side knows no address of it, so it has nothing to dial.
  const seen = peerOf(await a.status(), b.name);
  assert.equal(seen.addresses, []);
  assert.ok(seen.links.every(link => link.direction === 'accepted'));
  await servicesBothWays(a, b);
}

test(
  'over ws://, the proxy named by HTTPS_PROXY',
  async () => {
    const port = await freePort();
    const through = await proxy({ 'peer.test:8080': port });
    const a = lab.host('ws-a');
    const b = lab.host('ws-b');
    await a.up(['--listen', `127.0.0.1:${port}`, '--advertise', 'ws://peer.test:8080/warren']);
    const token = await a.ok(['invite']);

    const direct = await b.warren(['up', '--name', 'ws-b', '--no-listen', '--no-mdns', '--detach', '--join', token]);
    assert.is(direct.status, 1, 'without the proxy the name is unknown');
    assert.match(direct.stderr, /peer\.test cannot be looked up/);

    const env = { HTTPS_PROXY: `http://${IN_A_URL}@127.0.0.1:${through.port}` };
    await b.up(['--name', 'ws-b', '--no-listen', '--join', token], env);
    await checkNode(a, b, through, 'peer.test:8080');

    assert.match(await b.ok(['status']), /listens +nowhere \(outbound only\)/);
    assert.match(await b.ok(['status']), new RegExp(`dials +through http://127\\.0\\.0\\.1:${through.port}`));
    const checks = (await b.json<DoctorReply>(['doctor'])).checks.filter(c => ['port', 'proxy'].includes(c.name));
    assert.match(checks.map(c => c.message).join('; '), /outbound only.*; links are dialed through.*\(HTTPS_PROXY\)/);

    // The link is lost, and comes back by the same way; the peer waits for it.
    const before = through.requests.length;
    through.cut();
    await until('the link is back', () => through.requests.length > before);
    await connected(b, a.name);
    await until('the tunnel works', async () => {
      const listen = (await b.status()).tunnels[0]?.listen ?? '';
      return (await exchange(listen, 'again').catch(() => '')) === 'again';
    });
    await isQuietAbout(a, b);
  },
  { deadline: 120_000 },
);

test(
  'over wss:// behind nginx, the proxy named by the config, changed by reload',
  async () => {
    const [front, back] = [await freePort(), await freePort()];
    const pems = await selfSigned();
    await startNginx(
      lab,
      `map $http_upgrade $connection_upgrade { default upgrade; '' close; }
       server { listen 127.0.0.1:${front} ssl; ssl_certificate ${pems.cert}; ssl_certificate_key ${pems.key};
         location /burrow { proxy_pass http://127.0.0.1:${back}; proxy_http_version 1.1; proxy_set_header Upgrade $http_upgrade; proxy_set_header Connection $connection_upgrade; } }`,
      front,
    );
    const first = await proxy({ 'peer.test:443': front });
    const second = await proxy({ 'peer.test:443': front });
    const a = lab.host('wss-a');
    const b = lab.host('wss-b');
    await a.up(['--listen', `127.0.0.1:${back}`, '--advertise', 'wss://peer.test/burrow']);
    const token = await a.ok(['invite']);
    const flags = ['up', '--name', 'wss-b', '--no-listen', '--no-mdns', '--detach', '--join', token];
    const env = { NODE_EXTRA_CA_CERTS: pems.cert };

    // The flag alone: the proxy wants credentials, and the error says where they go.
    const bare = await b.warren([...flags, '--proxy', `http://127.0.0.1:${first.port}`], { env });
    assert.is(bare.status, 1);
    assert.match(bare.stderr, /it wants a user name and password/);
    const config = join(b.home, 'config.yaml');
    const named = (port: number): void =>
      writeFileSync(
        config,
        readFileSync(config, 'utf8').replace(/proxy: .*/, `proxy: http://${IN_A_URL}@127.0.0.1:${port} # ours`),
      );
    named(first.port);
    first.requests.length = 0;
    await b.up(['--proxy', `http://127.0.0.1:${first.port}`, '--join', token], env);
    assert.match(readFileSync(config, 'utf8'), `${IN_A_URL}@`, 'the flag leaves the credentials of the config');
    await checkNode(a, b, first, 'peer.test:443');

    named(second.port);
    const told = await b.json<{ changes: string[] }>(['reload']);
    assert.equal(told.changes, [`node.proxy is now http://127.0.0.1:${second.port}`]);
    const asked = first.requests.length;
    first.cut();
    await connected(b, a.name);
    await until('the new proxy is used', () => second.requests.length > 0 && second.open() > 0);
    assert.is(first.requests.length, asked, 'the old proxy is not asked any more');
    await isQuietAbout(a, b);
  },
  { deadline: 120_000, needs: ['nginx', 'openssl'] },
);

test('a node that stops listening comes by itself from then on, and is dialed no more', async () => {
  const founder = lab.host('founder');
  const other = lab.host('other');
  await founder.up();
  await other.up(['--join', await founder.ok(['invite'])]);
  await connected(other, founder.name);
  const config = join(other.home, 'config.yaml');
  writeFileSync(config, readFileSync(config, 'utf8').replace('node:\n', 'node:\n  logLevel: debug\n'));
  await other.ok(['reload']);
  assert.ok(peerOf(await other.status(), founder.name).addresses.length > 0);
  await founder.ok(['down']);
  await founder.up(['--no-listen']);
  await connected(other, founder.name);
  await until('it tells no address', async () => peerOf(await other.status(), founder.name).addresses.length === 0);
  const dialedBefore = other.log().split('dial-failed').length;
  await founder.ok(['down']);
  await until('it is gone', async () => peerOf(await other.status(), founder.name).state !== 'connected');
  await new Promise(resolve => setTimeout(resolve, 2_000));
  assert.is(other.log().split('dial-failed').length, dialedBefore);
  await founder.up();
  await connected(other, founder.name);
});

test('a founder that does not listen gives out no invite, and says why', async () => {
  const lonely = lab.host('lonely');
  await lonely.up(['--no-listen']);
  const invite = await lonely.warren(['invite']);
  assert.is(invite.status, 1);
  assert.is(invite.stdout, '');
  assert.match(invite.stderr, /no address at which another host could reach it\.?\nhint: Let it listen/i);
});

test('what HTTPS_PROXY names is no HTTP proxy: the daemon runs, dials nothing, and says so', async () => {
  const odd = lab.host('odd');
  await odd.up([], { HTTPS_PROXY: `socks5://${IN_A_URL}@127.0.0.1:1` });
  const status = await odd.status();
  assert.is(status.proxy, null);
  assert.match(status.warnings.join(), /no link can be dialed: HTTPS_PROXY in the daemon's environment/);
  const { checks } = await odd.json<DoctorReply>(['doctor']);
  assert.is(checks.find(c => c.name === 'proxy')?.state, 'problem');
  await isQuietAbout(odd);
});

async function selfSigned(): Promise<{ cert: string; key: string }> {
  const [cert, key] = [join(lab.folder, 'cert.pem'), join(lab.folder, 'key.pem')];
  const args = ['req', '-x509', '-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:prime256v1', '-nodes', '-days', '2'];
  const names = ['-subj', '/CN=peer.test', '-addext', 'subjectAltName=DNS:peer.test'];
  await run('openssl', [...args, ...names, '-keyout', key, '-out', cert]);
  return { cert, key };
}

test.run();
