/** A stranger gets no byte, memory stays flat, members connect meanwhile. */
import { createHash, randomBytes } from 'node:crypto';
import { once } from 'node:events';
import http from 'node:http';
import net from 'node:net';
import { Lab, connected, until, type Host } from '../helpers/hosts.js';
import { pool } from '../helpers/traffic.js';
import { assert, full, suite } from '../helpers/suite.js';

const test = suite('strangers');
const lab = new Lab();
const MIB = 1024 * 1024;
const MAGIC = Buffer.from([0xd7, 0x77, 0x72, 0x6e]);
/** Strangers come from another address than the members, so that the limits for each source do not mix. */
const STRANGER = '127.0.0.2';

let a: Host;
let port: number;
/** What member b sent first on its own links, as seen by a recorder between the two. */
const recordedTcp: Buffer[] = [];
const recordedUpgrades: Buffer[] = [];

/** A forwarder that keeps what the dialing side says first. */
async function recorder(target: () => number, into: Buffer[]): Promise<number> {
  const server = net.createServer(socket => {
    const onward = net.connect(target(), '127.0.0.1');
    let first: Buffer | undefined;
    socket.on('data', (chunk: Buffer) => {
      if (first === undefined) into.push((first = chunk));
      onward.write(chunk);
    });
    onward.on('data', (chunk: Buffer) => socket.write(chunk));
    for (const [x, y] of [
      [socket, onward],
      [onward, socket],
    ] as const) {
      x.on('close', () => y.destroy());
      x.on('error', () => y.destroy());
    }
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  lab.onClose(() => void server.close());
  return (server.address() as net.AddressInfo).port;
}

test.before(async () => {
  const tcp = await recorder(() => port, recordedTcp);
  const ws = await recorder(() => port, recordedUpgrades);
  a = lab.host('host-a');
  await a.up(['--advertise', `127.0.0.1:${tcp}`]);
  port = Number((await a.status()).listen[0]!.split(':').pop());
  const b = lab.host('host-b');
  await b.up(['--no-listen', '--join', await a.ok(['invite'])]);
  await connected(a, 'host-b');
  const config = await import('node:fs');
  config.writeFileSync(
    `${a.home}/config.yaml`,
    config.readFileSync(`${a.home}/config.yaml`, 'utf8').replace(`127.0.0.1:${tcp}`, `ws://127.0.0.1:${ws}/x`),
  );
  await a.ok(['reload']);
  const c = lab.host('host-c');
  await c.up(['--no-listen', '--join', await a.ok(['invite'])]);
  await connected(a, 'host-c');
  assert.ok(recordedTcp.length > 0 && recordedUpgrades.length > 0);
});
test.after(() => lab.close());

/** Sends the bytes and returns all that comes back until the other side closes or the patience ends. */
function provoke(bytes: Buffer | undefined, patience = 300): Promise<Buffer> {
  return new Promise(resolve => {
    const socket = net.connect({ port, host: '127.0.0.1', localAddress: STRANGER });
    const got: Buffer[] = [];
    const done = (): void => {
      clearTimeout(timer);
      socket.destroy();
      resolve(Buffer.concat(got));
    };
    const timer = setTimeout(done, patience);
    socket.on('data', chunk => got.push(chunk));
    socket.on('error', done);
    socket.on('close', done);
    socket.on('connect', () => bytes !== undefined && socket.write(bytes));
  });
}

/** The start of a TLS 1.2/1.3 ClientHello record. */
function clientHello(): Buffer {
  const body = Buffer.concat([Buffer.from([0x03, 0x03]), randomBytes(32), Buffer.from([0, 0, 2, 0x13, 0x01, 1, 0])]);
  const handshake = Buffer.concat([Buffer.from([1, 0, 0, body.length]), body]);
  return Buffer.concat([Buffer.from([0x16, 3, 1, 0, handshake.length]), handshake]);
}

function opening(kind: number): Buffer | undefined {
  switch (kind % 7) {
    case 0:
      return randomBytes(1 + Math.floor(Math.random() * 3000)).fill(0x99, 0, 1);
    case 1:
      return Buffer.concat([MAGIC, Buffer.from([1, 1]), randomBytes(1288)]);
    case 2:
      return recordedTcp[0]!.subarray(0, Math.floor(Math.random() * recordedTcp[0]!.length));
    case 3:
      return recordedTcp[Math.floor(Math.random() * recordedTcp.length)]!;
    case 4:
      return clientHello();
    case 5:
      return MAGIC.subarray(0, 2);
    default:
      return undefined;
  }
}

test(
  '1,000 assorted openings get no byte, memory is flat, members connect without delay',
  async () => {
    const count = full(500, 1000);
    const flood = (openings: number): Promise<unknown> =>
      pool(openings, 24, async i => assert.is((await provoke(opening(i))).length, 0, `opening ${i % 7} was answered`));
    const first = flood(count);
    const member = lab.host('host-d');
    const started = Date.now();
    await member.up(['--no-listen', '--join', await a.ok(['invite'])]);
    await connected(a, 'host-d');
    console.log(`note: a member joined in ${Date.now() - started} ms beside the strangers`);
    await first;
    // The allocator gives pages back when it pleases: of several collected readings the lowest tells what is really held.
    const half = async (): Promise<number> => {
      const readings: number[] = [];
      for (let i = 0; i < 4; i++) {
        await flood(count / 4);
        readings.push((await a.collected()).rssBytes);
      }
      return Math.min(...readings);
    };
    const middle = await half();
    const after = await half();
    console.log(`note: RSS ${(middle / MIB).toFixed(1)} → ${(after / MIB).toFixed(1)} MiB`);
    assert.ok(after - middle <= 5 * MIB, `RSS grew by ${after - middle} bytes`);
    await until('no half-open handshake is left', async () => (await a.diagnostics()).halfOpen === 0, 60_000);
  },
  { deadline: full(180_000, 300_000) },
);

const BARE_404 = /^HTTP\/1\.1 404 Not Found\r\n(?:(?:content-length: 0|connection: close)\r\n)*\r\n$/i;

test('HTTP and WebSocket upgrades without proof get a bare 404', async () => {
  const get = await provoke(Buffer.from('GET / HTTP/1.1\r\nHost: x\r\n\r\n'), 2000);
  assert.match(get.toString(), BARE_404);
  const upgrade = (protocol: string): Buffer =>
    Buffer.from(
      `GET /x HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: ${randomBytes(16).toString('base64')}\r\n${protocol}\r\n`,
    );
  const bare = await provoke(upgrade(''), 2000);
  assert.match(bare.toString(), BARE_404);
  const forged = await provoke(
    upgrade(`Sec-WebSocket-Protocol: warren.${createHash('sha512').update('x').digest('base64url').slice(0, 51)}\r\n`),
    2000,
  );
  assert.match(forged.toString(), BARE_404);
  assert.match(
    (await provoke(Buffer.from('POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\n\r\nhello'), 2000)).toString(),
    BARE_404,
  );
});

test('a recorded WebSocket proof gets a bare 404', async () => {
  assert.match(recordedUpgrades[0]!.toString('latin1'), /^GET .*upgrade/is);
  assert.match((await provoke(recordedUpgrades[0], 2000)).toString('latin1'), BARE_404);
});

test('an ordinary HTTP client sees a 404 without a server name', async () => {
  const [response] = (await once(
    http.get({ port, host: '127.0.0.1', path: '/', localAddress: STRANGER, agent: false }),
    'response',
  )) as [http.IncomingMessage];
  assert.is(response.statusCode, 404);
  assert.is(response.headers.server, undefined);
  assert.is(response.headers.date, undefined);
  response.resume();
});

test('strangers leave rate-limited lines in the log, and no secret', () => {
  const lines = a.log().split('\n');
  assert.ok(lines.length < 400, `${lines.length} log lines`);
});

test.run();
