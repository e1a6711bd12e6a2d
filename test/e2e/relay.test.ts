/**
 * Two hosts that take no connections from each other, and a third one that relays between them: a service of one is
 * used from the other; the relay holds no plaintext; the session takes the direct path as soon as there is one, and the
 * relay again when it breaks; restarts of the relay cost nobody a byte.
 */
import { createHash, randomBytes } from 'node:crypto';
import { mkdirSync, writeFileSync } from 'node:fs';
import { setTimeout as sleep } from 'node:timers/promises';
import type net from 'node:net';
import type { LinkInfo } from '../../protocol/admin/contract.js';
import { connected, Lab, until, type Host } from '../helpers/hosts.js';
import { NETNS_NEEDS, Network, type Space } from '../helpers/netns.js';
import { capture, searchMemory } from '../helpers/search.js';
import { assert, full, suite } from '../helpers/suite.js';
import { dial, echo, startUnixService } from '../helpers/traffic.js';

const test = suite('relay between hosts');
const lab = new Lab();
const NEEDS = [...NETNS_NEEDS, 'python3'];
const DEADLINE = { deadline: full(240_000, 900_000), needs: NEEDS };
/** What the issue of a direct path may take, ms. */
const DIRECT_WITHIN_MS = 15_000;
/** A dead path is noticed by pings after 6 s, then the relay is asked, ms; five times as wide. */
const BACK_WITHIN_MS = 5 * 8_000;

test.after(() => lab.close());

interface Trio {
  readonly a: Host;
  /** founder and relay */
  readonly b: Host;
  readonly c: Host;
  readonly spaces: Readonly<Record<'a' | 'b' | 'c', Space>>;
  /** Lets a and c dial each other; the returned function takes that back. */
  openDirectPath(): Promise<() => Promise<void>>;
}

let made: Promise<Trio> | undefined;

/** One trio for the whole file. */
function trio(): Promise<Trio> {
  return (made ??= makeTrio());
}

async function makeTrio(): Promise<Trio> {
  const network = new Network(lab);
  const [spaceA, spaceB, spaceC] = [await network.space('a'), await network.space('b'), await network.space('c')];
  await network.bridge('10.81.0', [spaceA, spaceB, spaceC]);
  const [a, b, c] = (['a', 'b', 'c'] as const).map((name, i) => {
    const host = lab.host(`host-${name}`, [spaceA, spaceB, spaceC][i]!.netns);
    mkdirSync(host.home, { mode: 0o700 });
    const node = { name: host.name, listen: [`10.81.0.${i + 1}:7667`], mdns: false, relay: name === 'b' };
    writeFileSync(`${host.home}/config.yaml`, JSON.stringify({ node }), { mode: 0o600 });
    return host;
  }) as [Host, Host, Host];
  // No connection from outside reaches a or c.
  const syn = ['-i', 'eth0', '-p', 'tcp', '--syn', '-j', 'DROP'];
  for (const space of [spaceA, spaceC]) await space.exec('iptables', '-w', '-I', 'INPUT', ...syn);
  await b.up();
  for (const host of [a, c]) await host.up(['--join', await b.ok(['invite'])]);
  for (const host of [a, c]) await connected(host, b.name);
  const spaces = { a: spaceA, b: spaceB, c: spaceC };
  const openDirectPath = async (): Promise<() => Promise<void>> => {
    for (const space of [spaceA, spaceC]) await space.exec('iptables', '-w', '-D', 'INPUT', ...syn);
    return async () => {
      for (const space of [spaceA, spaceC]) await space.exec('iptables', '-w', '-I', 'INPUT', ...syn);
      // What stands already goes silent.
      const drop = ['-s', spaceC.address(), '-j', 'DROP'];
      await spaceA.exec('iptables', '-w', '-I', 'INPUT', ...drop);
      await spaceC.exec('iptables', '-w', '-I', 'INPUT', '-s', spaceA.address(), '-j', 'DROP');
    };
  };
  return { a, b, c, spaces, openDirectPath };
}

async function linksTo(host: Host, peer: Host): Promise<readonly LinkInfo[]> {
  return (await host.status()).peers.find(p => p.name === peer.name)?.links ?? [];
}

async function relayed({ a, b, c }: Trio, ms?: number): Promise<void> {
  for (const [host, peer] of [
    [a, c],
    [c, a],
  ] as const)
    // prettier-ignore
    await until(
      `${host.name} reaches ${peer.name} through ${b.name}`,
      async () => {
        const links = await linksTo(host, peer);
        return links.length > 0 && links.every(link => link.transport === 'relay' && link.via === b.name);
      },
      ms,
    );
}

async function tunnel({ a, c }: Trio, service: string, on: (socket: net.Socket) => void): Promise<string> {
  await a.ok(['expose', service, await startUnixService(lab, service, on)]);
  const listen = await c.connect(service, `unix:${lab.folder}/${service}-tunnel.sock`);
  await until(`${service} is known`, async () =>
    (await c.status()).tunnels.some(t => t.service === service && t.state === 'listening'),
  );
  return listen;
}

/** Sends the same block again and again, at most so much in a second, until the client ends; then its SHA-256. */
function pouring(bytesPerSecond: number, sent: { bytes: number; sha256: string }): (socket: net.Socket) => void {
  const block = randomBytes(64 * 1024);
  return socket => {
    const hash = createHash('sha256');
    const start = performance.now();
    let isOver = false;
    socket.once('data', () => (isOver = true));
    const pour = async (): Promise<void> => {
      while (!isOver && !socket.destroyed) {
        const allowed = ((performance.now() - start) / 1000) * bytesPerSecond;
        if (sent.bytes > allowed || socket.writableNeedDrain) {
          await sleep(5);
          continue;
        }
        hash.update(block);
        sent.bytes += block.length;
        socket.write(block);
      }
      sent.sha256 = hash.digest('hex');
      socket.end();
    };
    void pour();
  };
}

class Poured {
  bytes = 0;
  private readonly hash = createHash('sha256');
  private readonly ended: Promise<void>;

  constructor(private readonly socket: net.Socket) {
    socket.on('data', (chunk: Buffer) => {
      this.bytes += chunk.length;
      this.hash.update(chunk);
    });
    this.ended = new Promise((resolve, reject) => {
      socket.once('end', resolve);
      socket.once('close', () => reject(new Error(`closed after ${this.bytes} bytes without an end`)));
    });
    this.ended.catch(() => undefined);
  }

  /** Returns when so many more bytes have come. */
  async flows(bytes: number, ms?: number): Promise<void> {
    const to = this.bytes + bytes;
    await until(`${bytes} more bytes`, () => this.bytes >= to, ms);
  }

  async stop(): Promise<string> {
    this.socket.write('enough');
    await this.ended;
    this.socket.end();
    return this.hash.digest('hex');
  }
}

test('a service of one is used from the other; the relay shows how much it carries', async () => {
  const all = await trio();
  await relayed(all);
  const address = await tunnel(all, 'echo', echo);
  const socket = await dial(address);
  socket.end('by way of a third one');
  const [answer] = (await socket.setEncoding('utf8').toArray()) as string[];
  assert.is(answer, 'by way of a third one');
  const { relay } = await all.b.status();
  assert.ok(relay.on && relay.links >= 1, JSON.stringify(relay));
  assert.match(await all.b.ok(['status']), /^relays +\d+ links? of other members now$/m);
  assert.match(await all.c.ok(['status']), /^ *host-a .*connected +\d+ +relay through host-b /m);
}, DEADLINE); // prettier-ignore

test('no plaintext in the relay, neither in its memory nor in its traffic', async () => {
  const all = await trio();
  const { a, b, c, spaces } = all;
  await relayed(all);
  const marker = Buffer.from(randomBytes(24).toString('hex'));
  const block = Buffer.alloc(64 * 1024, marker);
  const address = await tunnel(all, 'marked', socket => {
    const pour = (): void => {
      while (!socket.destroyed && socket.write(block));
    };
    socket.on('drain', pour);
    pour();
  });
  const stop = await capture(lab, spaces.b.netns, marker);
  // A reader that reads 8 MiB and then no more: every buffer on the way is full while the memory is searched.
  const socket = await dial(address);
  let read = 0;
  socket.on('data', (chunk: Buffer) => {
    read += chunk.length;
    if (read >= 8 * 1024 * 1024) socket.pause();
  });
  await until('the reader has read its share', () => read >= 8 * 1024 * 1024);
  await sleep(1_000);
  const [atA, atB, atC] = [a, b, c].map(host => host.pid());
  const inRelay = searchMemory(await atB!, marker);
  const inA = searchMemory(await atA!, marker);
  const inC = searchMemory(await atC!, marker);
  socket.destroy();
  const seen = await stop();

  // The same capture finds the marker where it passes in clear.
  const control = await capture(lab, spaces.b.netns, marker);
  await sendInClear(spaces, block);
  const inClear = await control();
  console.log(
    `note: marker in memory: relay ${inRelay.found} times in ${mib(inRelay.bytes)}, host-a ${inA.found}, host-c ${inC.found}; on the relay's wire: ${seen.found} in ${seen.packets} packets, ${mib(seen.bytes)}; in clear: ${inClear.found} in ${inClear.packets} packets`,
  );
  assert.ok(seen.bytes > 2 * 8 * 1024 * 1024, 'what was read has passed the relay twice');
  assert.ok(inA.found > 100 && inC.found > 100, 'the search of memory finds it where it is');
  assert.ok(inClear.found > 100, 'the capture finds it where it is');
  assert.ok(inRelay.bytes > 32 * 1024 * 1024);
  assert.is(inRelay.found, 0, 'in the memory of the relay');
  assert.is(seen.found, 0, 'in the traffic of the relay');
}, DEADLINE); // prettier-ignore

/** From c to b over plain TCP. */
async function sendInClear({ b, c }: Trio['spaces'], bytes: Buffer): Promise<void> {
  const port = 4444;
  const listen = `import socket; s = socket.create_server(('${b.address()}', ${port})); c, _ = s.accept(); n = 0
while n < ${bytes.length}: n += len(c.recv(65536))`;
  const send = `import socket, sys, time
for i in range(100):
  try: s = socket.create_connection(('${b.address()}', ${port})); break
  except OSError: time.sleep(0.05)
s.sendall(bytes.fromhex('${bytes.subarray(0, 48).toString('hex')}') * ${(bytes.length / 48 + 1) | 0})`;
  await Promise.all([b.exec('python3', '-c', listen), c.exec('python3', '-c', send)]);
}

function mib(bytes: number): string {
  return `${(bytes / 1024 ** 2).toFixed(0)} MiB`;
}

/** @returns ends the watch; every state that `host` has told of `peer` meanwhile */
function watchStates(host: Host, peer: Host): () => Promise<ReadonlySet<string>> {
  const seen = new Set<string>();
  let isOver = false;
  const watch = async (): Promise<void> => {
    while (!isOver) {
      const { peers, tunnels } = await host.status();
      seen.add(peers.find(p => p.name === peer.name)?.state ?? 'none');
      for (const t of tunnels) if (t.state === 'failed') seen.add('a tunnel has failed');
    }
  };
  const watching = watch();
  return async () => {
    isOver = true;
    await watching;
    return seen;
  };
}

test('restart and loss of the relay: the session waits, and no byte is lost', async () => {
  const all = await trio();
  const { a, b, c } = all;
  await relayed(all);
  const sent = { bytes: 0, sha256: '' };
  const poured = new Poured(await dial(await tunnel(all, 'restarts', pouring(4 * 1024 * 1024, sent))));
  await poured.flows(4 * 1024 * 1024);

  const before = performance.now();
  const states = watchStates(c, a);
  await b.ok(['restart'], { deadline: 60_000 });
  await relayed(all, 60_000);
  await poured.flows(4 * 1024 * 1024, 60_000);
  const restarted = performance.now() - before;
  // The session is told as what it is: waiting while the relay is gone, never over.
  assert.equal([...(await states())].sort(), ['connected', 'held']);

  await b.kill();
  await sleep(500);
  await b.up();
  const up = performance.now();
  await relayed(all, 60_000);
  await poured.flows(4 * 1024 * 1024, 60_000);
  const killed = performance.now() - up;
  assert.ok((await b.status()).relay.links >= 1);
  assert.is(await poured.stop(), sent.sha256);
  assert.is(poured.bytes, sent.bytes);
  console.log(
    `note: bytes flow again ${(restarted / 1000).toFixed(1)} s after a restart was asked for, ${(killed / 1000).toFixed(1)} s after a killed relay was up again`,
  );
}, DEADLINE); // prettier-ignore

test('a direct path takes the session over, and the relay takes it back, without a lost byte', async () => {
  const all = await trio();
  const { a, c } = all;
  await relayed(all);
  const sent = { bytes: 0, sha256: '' };
  const poured = new Poured(await dial(await tunnel(all, 'bulk', pouring(full(4, 8) * 1024 * 1024, sent))));
  await poured.flows(4 * 1024 * 1024);

  const close = await all.openDirectPath();
  const opened = performance.now();
  await until('the session is on the direct path', async () => {
    const links = [...(await linksTo(a, c)), ...(await linksTo(c, a))];
    return links.length > 1 && links.every(link => link.transport !== 'relay' && link.via === null);
  });
  const direct = performance.now() - opened;
  await poured.flows(4 * 1024 * 1024);

  await close();
  const closed = performance.now();
  await relayed(all, BACK_WITHIN_MS);
  const back = performance.now() - closed;
  await poured.flows(4 * 1024 * 1024);
  assert.is(await poured.stop(), sent.sha256);
  assert.is(poured.bytes, sent.bytes);
  console.log(
    `note: direct ${(direct / 1000).toFixed(1)} s after the path was open, relayed again ${(back / 1000).toFixed(1)} s after it was closed; ${mib(sent.bytes)} moved`,
  );
  assert.ok(direct <= DIRECT_WITHIN_MS, `${direct} ms`);
}, DEADLINE); // prettier-ignore

test.run();
