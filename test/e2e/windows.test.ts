/** One stream over a long, wide path, beside readers that stall: windows grow to the path and stay within their budget. */
import { setTimeout as sleep } from 'node:timers/promises';
import type net from 'node:net';
import { startDelayProxy } from '../helpers/delay-proxy.js';
import { Lab, connected, until, type Host } from '../helpers/hosts.js';
import { freePort } from '../helpers/servers.js';
import { assert, full, isFull, suite } from '../helpers/suite.js';
import { dial, flood, startService } from '../helpers/traffic.js';

const test = suite('windows on a long path');
const lab = new Lab();
const MIB = 1024 * 1024;
/** 500 Mbit/s and 50 ms each way: 6 MiB are on the path when it is full. */
const PATH = { delayMs: 50, bytesPerMs: 62_500 };
const STALLED = full(20, 100);
/** Of plain TCP through the same proxy; a small run on a busy machine only catches a window that does not grow. */
const LEAST_SHARE = isFull ? 0.8 : 0.25;
/** Neither is timed while it starts: windows double once per round trip. */
const WARM_UP_MS = 3_000;
const ROUNDS = full(1, 4);
const ROUND_MS = full(2_000, 6_000);
/** Limits.receive.peer and Limits.retain.peer. */
const PEER_BUDGET = 128 * MIB;
const FLAT_BYTES = 5 * MIB;

let exposer: Host;
let caller: Host;
/** the source's ends of all connections */
const flooded: net.Socket[] = [];
/** where the source answers: by the tunnel, and by plain TCP through the same proxy */
let tunnel: string;
let plain: string;

test.before(async () => {
  const daemonPort = await freePort();
  const source = await startService(lab, socket => {
    flooded.push(socket);
    flood(socket);
  });
  const [toDaemon, toSource] = (await startDelayProxy(lab, PATH, [daemonPort, source])) as [number, number];
  plain = `127.0.0.1:${toSource}`;
  exposer = lab.host('host-a');
  caller = lab.host('host-b');
  await exposer.up(['--listen', `127.0.0.1:${daemonPort}`, '--advertise', `127.0.0.1:${toDaemon}`]);
  // It only dials, so that every link goes through the proxy.
  await caller.up(['--no-listen', '--join', await exposer.ok(['invite'])]);
  await connected(caller, 'host-a');
  await exposer.ok(['expose', 'source', String(source)]);
  tunnel = await caller.connect('source');
  await until('the tunnel listens', async () => (await caller.status()).tunnels[0]?.state === 'listening');
});
test.after(() => lab.close());

/** One connection, read as fast as it comes, timed behind its warm-up. @returns bytes per ms */
async function rateOf(address: string): Promise<number> {
  const socket = await dial(address);
  let bytes = 0;
  socket.on('data', (chunk: Buffer) => {
    bytes += chunk.length;
  });
  await sleep(WARM_UP_MS);
  const [before, started] = [bytes, performance.now()];
  await sleep(ROUND_MS);
  const rate = (bytes - before) / (performance.now() - started);
  socket.destroy();
  await sleep(300);
  return rate;
}

/** Plain TCP and the tunnel in turns. @returns what each of them got, bytes per ms */
async function compare(): Promise<{ plain: number; warren: number }> {
  const sum = { plain: 0, warren: 0 };
  for (let i = 0; i < ROUNDS; i++) {
    sum.plain += await rateOf(plain);
    sum.warren += await rateOf(tunnel);
  }
  return { plain: sum.plain / ROUNDS, warren: sum.warren / ROUNDS };
}

function tell(what: string, rates: { plain: number; warren: number }): number {
  const share = rates.warren / rates.plain;
  const mb = (rate: number): string => (rate / 1000).toFixed(1);
  console.log(`note: ${what}: ${mb(rates.warren)} MB/s, plain TCP ${mb(rates.plain)} MB/s: ${share.toFixed(2)} of it`);
  return share;
}

test(
  'one stream fills the path as plain TCP does',
  async () => {
    await until('every link knows its round trip, which is that of the proxy', async () =>
      (await caller.status()).peers[0]!.links.every(link => (link.rttMs ?? 0) >= 2 * PATH.delayMs),
    );
    const rates = await compare();
    assert.ok(rates.plain > (isFull ? 0.8 : 0.2) * PATH.bytesPerMs, `the proxy passes ${rates.plain} bytes per ms`);
    const share = tell('one stream', rates);
    assert.ok(share >= LEAST_SHARE, `${share} of plain TCP`);
  },
  { deadline: full(60_000, 180_000) },
);

/** Nothing has left the source for a second. */
async function haveStopped(): Promise<boolean> {
  const sent = (): number => flooded.reduce((sum, socket) => sum + socket.bytesWritten, 0);
  const before = sent();
  await sleep(1_000);
  return sent() === before;
}

interface Held {
  readonly granted: number;
  readonly retained: number;
  readonly rss: number;
}

/** The lowest of several collected readings, since the allocator gives pages back when it pleases. */
async function held(): Promise<Held> {
  const readings: Held[] = [];
  for (let i = 0; i < 3; i++) {
    const [a, b] = [await exposer.collected(), await caller.collected()];
    const { grantedBytes: granted } = b;
    readings.push({ granted, retained: a.retainedBytes, rss: Math.max(a.rssBytes, b.rssBytes) });
    await sleep(500);
  }
  const least = (of: (reading: Held) => number): number => Math.min(...readings.map(of));
  return { granted: least(r => r.granted), retained: least(r => r.retained), rss: least(r => r.rss) };
}

test(
  'a hundred stalled readers take nothing of its speed, and memory stays within its budget',
  async () => {
    const stalled: net.Socket[] = [];
    for (let i = 0; i < STALLED; i++) {
      const socket = await dial(tunnel);
      socket.pause();
      stalled.push(socket);
    }
    await until('all of them are open', async () => (await caller.diagnostics()).streams >= STALLED);
    // Until then they fill their windows, and the buffers of all the sockets on the way, as fast as anybody else.
    await until('all of them have stalled', () => haveStopped(), 60_000);
    const first = tell('one stream beside stalled readers', await compare());
    const middle = await held();
    const second = tell('... later', await compare());
    const end = await held();
    for (const [when, { granted, retained, rss }] of Object.entries({ middle, end })) {
      const mib = (bytes: number): string => (bytes / MIB).toFixed(1);
      console.log(`note: ${when}: granted ${mib(granted)}, retained ${mib(retained)}, RSS ${mib(rss)} MiB`);
      assert.ok(granted <= PEER_BUDGET && retained <= PEER_BUDGET, `${when}: ${granted} granted, ${retained} retained`);
    }
    assert.ok(first >= LEAST_SHARE && second >= LEAST_SHARE, `${first}, then ${second} of plain TCP`);
    if (isFull) assert.ok(end.rss - middle.rss <= FLAT_BYTES, `RSS from ${middle.rss} to ${end.rss}`);
    assert.ok(end.retained - middle.retained <= MIB, `retained from ${middle.retained} to ${end.retained}`);
    for (const socket of stalled) socket.resetAndDestroy();
    await until('all of it is given back', async () => (await caller.diagnostics()).streams === 0);
    assert.is((await exposer.diagnostics()).retainedBytes, 0);
  },
  { deadline: full(90_000, 300_000) },
);

test.run();
