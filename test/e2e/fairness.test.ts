/** Who waits for whom on a slow path: small requests beside bulk, many talkers, equal shares; `ssh -L` for comparison. */
import { spawn } from 'node:child_process';
import { setTimeout as sleep } from 'node:timers/promises';
import type net from 'node:net';
import { CABLE, cablePair, type Cable } from '../helpers/cuts.js';
import { Lab, until } from '../helpers/hosts.js';
import { EchoClient, quantile, summary } from '../helpers/latency.js';
import { NETNS_NEEDS } from '../helpers/netns.js';
import { startSshd } from '../helpers/servers.js';
import { assert, full, isFull, suite } from '../helpers/suite.js';
import { dial, echo, flood, startUnixService } from '../helpers/traffic.js';

const test = suite('fairness on a slow path');
const lab = new Lab();
const MIB = 1024 * 1024;
/** The path of cuts.ts: 100 Mbit/s. */
const PATH_BYTES_PER_MS = 12_500;
/** Small runs on a busy machine only catch what is far off. */
const SLACK = isFull ? 1 : 4;
const WARM_UP_MS = 1_500;

const SERVICES = ['echo', 'sink', 'source'] as const;
type Doors = Record<(typeof SERVICES)[number], string>;
type Way = 'towards' | 'away from';

let cable: Cable;
/** the services themselves, and where host-b's tunnels to them listen */
let targets: Doors;
let doors: Doors;
/** Bytes that arrived over each open bulk connection, by the order in which they were opened. */
let sinks: number[] = [];

test.before(async () => {
  targets = {
    echo: await startUnixService(lab, 'echo', echo),
    sink: await startUnixService(lab, 'sink', socket => count(socket)),
    source: await startUnixService(lab, 'source', flood),
  };
  if (process.getuid?.() !== 0) return;
  cable = await cablePair(lab, { subnet: '10.81.0' });
  const listen = {} as Doors;
  for (const name of SERVICES) {
    await cable.a.ok(['expose', name, targets[name]]);
    listen[name] = await cable.b.connect(name, `unix:${lab.folder}/${name}.tunnel`);
  }
  doors = listen;
  await until('all services are known', async () =>
    (await cable.b.status()).tunnels.every(t => t.state === 'listening'),
  );
  const [link] = (await cable.b.status()).peers[0]!.links;
  assert.ok(link);
  const { stdout } = await cable.spaceA.exec('sysctl', '-n', 'net.ipv4.tcp_congestion_control');
  console.log(`note: ${CABLE.rate} both ways, congestion control ${stdout.trim()}`);
});
test.after(() => lab.close());

function count(socket: net.Socket): void {
  const index = sinks.push(0) - 1;
  const list = sinks;
  socket.on('data', (chunk: Buffer) => {
    list[index]! += chunk.length;
  });
}

/** Starts bulk connections. @returns what ends them */
async function startBulk(way: Way, at: Doors, connections = 1): Promise<() => void> {
  sinks = [];
  const open: net.Socket[] = [];
  for (let i = 0; i < connections; i++) {
    const socket = await dial(way === 'away from' ? at.sink : at.source);
    if (way === 'away from') flood(socket);
    else count(socket);
    open.push(socket);
  }
  return () => {
    for (const socket of open) socket.destroy();
  };
}

interface Measured {
  readonly idle: number[];
  readonly beside: number[];
  /** bulk meanwhile, bytes per ms */
  readonly rate: number;
}

/** Requests with and without bulk beside them, in turns, so that whatever else the machine does is in both. */
async function measure(way: Way, at: Doors, rounds: number, requests: number): Promise<Measured> {
  const client = await EchoClient.open(at.echo);
  const [idle, beside]: number[][] = [[], []];
  let [bytes, ms] = [0, 0];
  for (let round = 0; round < rounds; round++) {
    idle!.push(...(await client.requests(requests, 2)));
    const stop = await startBulk(way, at);
    await sleep(WARM_UP_MS);
    const [before, started] = [sinks[0]!, performance.now()];
    beside!.push(...(await client.requests(requests, 2)));
    bytes += sinks[0]! - before;
    ms += performance.now() - started;
    stop();
    await sleep(500);
  }
  client.close();
  return { idle: idle!, beside: beside!, rate: bytes / ms };
}

function tell(what: string, { idle, beside, rate }: Measured): number {
  const allowed = 3 * quantile(idle, 0.99) + 20;
  console.log(
    `note: ${what}: ${summary(idle)} alone; ${summary(beside)} beside ${(rate / 1000).toFixed(1)} MB/s; allowed ${allowed.toFixed(1)}`,
  );
  return allowed;
}

for (const way of ['towards', 'away from'] as const) {
  test(
    `a small request does not wait behind a bulk stream ${way} the one who asks`,
    async () => {
      const measured = await measure(way, doors, full(1, 6), full(150, 250));
      const allowed = tell(`bulk ${way} the one who asks`, measured);
      const p99 = quantile(measured.beside, 0.99);
      assert.ok(p99 <= SLACK * allowed, `p99 ${p99} ms, ${allowed} allowed`);
      assert.ok(measured.rate > 0.8 * PATH_BYTES_PER_MS * (isFull ? 1 : 0.5), `bulk got ${measured.rate} bytes per ms`);
    },
    { deadline: full(60_000, 180_000), needs: NETNS_NEEDS },
  );
}

test(
  'what ssh -L does on the same path, for comparison',
  async () => {
    const sshd = await startSshd(lab, { netns: cable.spaceA.netns, address: cable.spaceA.address() });
    const at = {} as Doors;
    const forwards = SERVICES.flatMap(name => {
      const local = `${lab.folder}/${name}.ssh`;
      at[name] = `unix:${local}`;
      return ['-L', `${local}:${targets[name].slice('unix:'.length)}`];
    });
    const options = [
      'StrictHostKeyChecking=no',
      'UserKnownHostsFile=/dev/null',
      'LogLevel=ERROR',
      'IdentitiesOnly=yes',
    ];
    const where = ['-p', String(sshd.port), '-i', sshd.keyFile, ...options.flatMap(o => ['-o', o])];
    const args = ['-N', ...where, ...forwards, `${sshd.user}@${cable.spaceA.address()}`];
    lab.keep(spawn('ip', ['netns', 'exec', cable.spaceB.netns, 'ssh', ...args], { stdio: 'ignore' }));
    await until('ssh forwards', async () => (await dial(at.echo)).destroy());
    for (const way of ['towards', 'away from'] as const) {
      const measured = await measure(way, at, 2, 100);
      tell(`ssh -L, bulk ${way} the one who asks`, measured);
      assert.ok(measured.rate > 0);
    }
  },
  { deadline: 180_000, size: 'full', needs: [...NETNS_NEEDS, 'ssh', 'sshd', 'ssh-keyscan'] },
);

test(
  'one bulk stream and a hundred talkers: none starves',
  async () => {
    const talkers = await Promise.all(Array.from({ length: 100 }, () => EchoClient.open(doors.echo)));
    const stop = await startBulk('towards', doors);
    await sleep(WARM_UP_MS);
    const [before, started] = [sinks[0]!, performance.now()];
    const end = started + full(2_000, 15_000);
    const times = await Promise.all(
      talkers.map(async client => {
        const out: number[] = [];
        while (performance.now() < end) out.push(...(await client.requests(1, 50)));
        return out;
      }),
    );
    const rate = (sinks[0]! - before) / (performance.now() - started);
    stop();
    for (const client of talkers) client.close();
    const medians = times.map(t => quantile(t, 0.5));
    const counts = times.map(t => t.length);
    const all = times.flat();
    console.log(
      `note: 100 talkers beside ${(rate / 1000).toFixed(1)} MB/s: ${summary(all)}; answers each ${Math.min(...counts)} to ${Math.max(...counts)}; medians ${Math.min(...medians).toFixed(1)} to ${Math.max(...medians).toFixed(1)} ms`,
    );
    assert.ok(Math.min(...counts) >= 0.8 * Math.max(...counts), 'all are answered about as often');
    assert.ok(Math.max(...medians) <= 2 * quantile(medians, 0.5), 'nobody waits twice as long as the others');
    assert.ok(Math.max(...all) <= SLACK * 500, `${Math.max(...all)} ms for one answer`);
    assert.ok(rate > 0.25 * PATH_BYTES_PER_MS, `bulk got ${rate} bytes per ms`);
  },
  { deadline: 60_000, needs: NETNS_NEEDS },
);

for (const way of ['towards', 'away from'] as const) {
  test(
    `ten bulk streams ${way} the caller share equally`,
    async () => {
      const stop = await startBulk(way, doors, 10);
      await until('all ten move', () => sinks.length === 10 && sinks.every(bytes => bytes > 0));
      await sleep(WARM_UP_MS);
      const before = [...sinks];
      await sleep(full(3_000, 10_000));
      const got = sinks.map((bytes, i) => bytes - before[i]!);
      stop();
      const mean = got.reduce((sum, bytes) => sum + bytes, 0) / got.length;
      const shares = got.map(bytes => bytes / mean);
      const [least, most] = [Math.min(...shares), Math.max(...shares)];
      console.log(
        `note: ten bulk streams ${way} the caller: ${(mean / MIB).toFixed(1)} MiB each, shares ${least.toFixed(3)} to ${most.toFixed(3)}`,
      );
      const allowed = 0.15 * (isFull ? 1 : 2);
      assert.ok(least > 1 - allowed && most < 1 + allowed, `shares from ${least} to ${most}`);
      await sleep(500);
    },
    { deadline: 60_000, needs: NETNS_NEEDS },
  );
}

test.run();
