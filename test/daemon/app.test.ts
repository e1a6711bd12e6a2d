/** Two daemons in this process: found, invite, join, expose, connect, and what they say of it. */
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { loadPrimitives } from '../../protocol/crypto/load.js';
import { createInception } from '../../protocol/identity/statement.js';
import type { StartRequest } from '../../protocol/admin/programs.js';
import { build, type Bound } from '../../daemon/app.js';
import { openHome } from '../../daemon/home/home.js';
import { saveKeys } from '../../daemon/home/keyfile.js';
import { silentLog, createLog, type Log } from '../../daemon/observe/log.js';
import { exchange, startService, echo } from '../helpers/traffic.js';
import { until } from '../helpers/hosts.js';
import { assert, suite } from '../helpers/suite.js';

const test = suite('two daemons');
const folder = mkdtempSync(join(tmpdir(), 'warren-app-'));
const closers: (() => void | Promise<void>)[] = [];
const running: Bound[] = [];

const logs = { recent: () => [], follow: () => () => undefined };

/** WARREN_TEST_LOG=1 shows what the daemons log. */
function logOf(name: string): Log {
  if (process.env.WARREN_TEST_LOG === undefined) return silentLog;
  return createLog({ clock: Date, level: 'debug', sinks: [line => console.log(name, line)] });
}

async function start(name: string, extra: Partial<StartRequest> = {}): Promise<Bound> {
  const home = join(folder, name);
  const paths = openHome(home);
  const bound = await build({
    paths,
    start: { kind: 'start', home, foreground: true, name, listen: ['127.0.0.1:0'], mdns: false, ...extra },
    log: logOf(name),
    logs,
    setLogLevel: () => undefined,
    onShutdown: () => ({ respawn: 'nobody' }),
  });
  running.push(bound);
  return bound;
}

test.after(async () => {
  for (const bound of running) await bound.stop(0, AbortSignal.abort());
  for (const close of closers) await close();
  rmSync(folder, { recursive: true, force: true });
});

const asked = { signal: new AbortController().signal };

test('found, invite, join, expose, connect, use', async () => {
  const a = await start('a');
  assert.is(a.status().network.members, 1);
  const { token } = a.api.invite({});
  const b = await start('b', { join: token });
  assert.is(b.status().network.id, a.status().network.id);
  assert.is(b.status().node.name, 'b');
  await until(
    'connected',
    () => a.status().peers[0]?.state === 'connected' && b.status().peers[0]?.state === 'connected',
  );
  assert.is(b.status().peers[0]?.links[0]?.transport, 'tcp');

  const port = await startService({ onClose: (c: () => void) => void closers.push(c) } as never, echo);
  a.api.expose('echo', { target: String(port) });
  const { listen } = await b.api.connect({ service: 'echo' });
  await until('the service is known', () => b.status().tunnels[0]?.state === 'listening');
  assert.is(await exchange(listen, 'hello through the burrow'), 'hello through the burrow');
  const big = 'x'.repeat(4000);
  assert.is(await exchange(listen, big), big);

  const ping = await b.api.ping('a', { count: 2 }, asked);
  assert.is(ping.rttMs.length, 2);
  assert.ok(ping.rttMs.every(ms => ms !== null && ms < 2000));
});

test('the node ID stays when a home joins; a third member and its services are known to the second one', async () => {
  const [a, b] = running as [Bound, Bound];
  const c = await start('c');
  const before = c.status().node.id;
  const joined = await c.api.join({ token: a.api.invite({ tags: ['batch'] }).token }, asked);
  assert.is(joined.name, 'c');
  assert.is(c.status().node.id, before);
  assert.equal(c.status().node.tags, ['batch']);
  await until('b is connected to c by itself', () =>
    b.status().peers.some(p => p.name === 'c' && p.state === 'connected'),
  );
  c.api.expose('from-c', { target: '9', version: '1.2.3', tags: ['x'] });
  const seen = await until(
    'the registry travels',
    () => b.api.services().services.find(s => s.name === 'from-c')?.instances[0],
  );
  assert.equal([seen.node, seen.version, seen.tags, seen.reachable], ['c', '1.2.3', ['x'], true]);
  c.api.unexpose('from-c');
  await until('and what is taken back goes', () => !b.api.services().services.some(s => s.name === 'from-c'));
});

test('a name that is taken, an invite that was used, a member of another network: each refused, nothing changed', async () => {
  const [a, b] = running as [Bound, Bound];
  const { token } = a.api.invite({});
  await rejects(start('d', { name: 'B', join: token }), /taken/);
  const d = await start('d', { name: 'd', join: token });
  assert.is(d.status().node.name, 'd');
  await rejects(start('e', { join: token }), /used by another/);
  await rejects(d.api.join({ token: a.api.invite({}).token }, asked), /already/);
  assert.throws(() => b.api.invite({}), /admin/);
  const stranger = await start('stranger');
  stranger.api.invite({});
  await rejects(stranger.api.join({ token: a.api.invite({}).token }, asked), /invites to its own network/);
  await rejects(b.api.join({ token: stranger.api.invite({}).token }, asked), /member/);
  await rejects(stranger.api.join({ token: stranger.api.invite({}).token }, asked), /this very node/);
});

test('a removed peer is cut off and stays so; the others keep it', async () => {
  const [a, b] = running as [Bound, Bound];
  b.api.removePeer('c');
  await until('b has no link to c', () => b.status().peers.find(p => p.name === 'c')?.state === 'denied');
  await new Promise(resolve => setTimeout(resolve, 1500));
  assert.is(b.status().peers.find(p => p.name === 'c')?.links.length, 0);
  assert.is(a.status().peers.find(p => p.name === 'c')?.state, 'connected');
  assert.throws(() => b.api.removePeer('nobody'), /nobody/);
  assert.throws(() => b.api.removePeer('B'), /this very node/);
  await rejects(b.api.ping(b.status().node.id, {}, asked), /this very node/);
});

test('a restarted home is the same node of the same network, without a new invite', async () => {
  const [a, b] = running as [Bound, Bound];
  const before = b.status();
  await b.stop(0, AbortSignal.abort());
  await until('a has noticed', () => a.status().peers.find(p => p.name === 'b')?.state !== 'connected');
  const again = await start('b');
  running[1] = again;
  assert.is(again.status().node.id, before.node.id);
  assert.is(again.status().network.id, before.network.id);
  assert.equal(again.status().listen, before.listen);
  assert.equal(
    again.status().tunnels.map(t => t.listen),
    before.tunnels.map(t => t.listen),
  );
  assert.equal(again.status().warnings, []);
  await until('connected again', () => a.status().peers.find(p => p.name === 'b')?.state === 'connected');
});

async function rejects(promise: Promise<unknown>, sentence: RegExp): Promise<void> {
  try {
    await promise;
  } catch (error) {
    assert.match((error as Error).message, sentence);
    return;
  }
  assert.unreachable(`not refused: ${String(sentence)}`);
}

test('a name that the config got after the join is told as one that does not hold', async () => {
  const home = await start('renamed');
  await home.stop(0, AbortSignal.abort());
  const again = await start('renamed', { name: 'other' });
  assert.is(again.status().node.name, 'renamed');
  assert.match(again.status().warnings.join(), /other.*knows it as renamed/);
});

/** A home whose keys are two hours old, of a daemon that is to rotate them every hour. */
async function oldHome(name: string, nextFile?: string): Promise<void> {
  const primitives = await loadPrimitives();
  const made = createInception(primitives, { now: Date.now() - 2 * 3_600_000 });
  const paths = openHome(join(folder, name));
  saveKeys(paths.nodeKeys, {
    nodeId: made.nodeId,
    signingSeed: made.signing.privateKey,
    noisePrivate: made.noise.privateKey,
    ...(nextFile === undefined ? { nextSeed: made.next } : { nextSeed: undefined, nextFile }),
    statements: [made.statement],
  });
  writeFileSync(paths.config, 'keys: { rotate: 1h }\n', { mode: 0o600 });
}

test('keys that have had their time are rotated by the daemon itself; with the next one in a file it reminds', async () => {
  await oldHome('due');
  const due = await start('due');
  await until('it has rotated', () => due.status().node.seq === 1);
  assert.is(due.api.keyLog().statements[1]?.reason, 'routine');
  assert.equal(due.status().warnings, []);
  await oldHome('reminds', join(folder, 'away.next'));
  const reminds = await start('reminds');
  assert.is(reminds.status().node.seq, 0);
  assert.match(reminds.status().warnings.join(), /have had their time; rotate them with: .*--next-key \S*away\.next/);
});

test.run();
