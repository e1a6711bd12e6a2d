/** Two daemons in this process: found, invite, join, expose, connect, and what they say of it. */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { StartRequest } from '../../protocol/admin/contract.js';
import { build, type Bound } from '../../daemon/app.js';
import { openHome } from '../../daemon/home/home.js';
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
    onShutdown: () => 'nobody',
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
  await until('connected', () => a.status().peers[0]?.state === 'connected' && b.status().peers[0]?.state === 'connected');
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

test.run();
