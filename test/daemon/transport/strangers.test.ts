import { randomBytes } from 'node:crypto';
import net from 'node:net';
import v8 from 'node:v8';
import vm from 'node:vm';
import { BARE_404 } from '../../../daemon/transport/upgrade.js';
import { Initiator } from '../../../protocol/handshake/handshake.js';
import { toSubprotocol } from '../../../protocol/handshake/preface.js';
import { MAGIC } from '../../../protocol/handshake/wire.js';
import { seededRandom } from '../../helpers/random.js';
import { eventually, readAll } from '../../helpers/sockets.js';
import { suite, assert, full, isFull } from '../../helpers/suite.js';
import { makeNode } from '../../protocol/handshake/nodes.js';
import { NETWORK_KEYS, call, station, type Station } from './loopback.js';

const test = suite('strangers at the port');
const random = seededRandom('strangers');
const MIB = 1024 * 1024;
const later = (ms: number) => new Promise<void>(resolve => setTimeout(resolve, ms));

/** A TLS 1.2 ClientHello begins like this. */
const CLIENT_HELLO = Buffer.concat([Buffer.from('1603010200010001fc0303', 'hex'), randomBytes(500)]);

/** Connects, sends, and gives what came back until the other side closed. */
async function knock(port: number, opening: Uint8Array | string, from = '127.0.0.1'): Promise<Buffer> {
  const socket = net.connect({ port, host: '127.0.0.1', localAddress: from, noDelay: true });
  socket.on('connect', () => {
    if (opening.length > 0) socket.write(opening);
  });
  const { bytes } = await readAll(socket);
  socket.destroy();
  return bytes;
}

function firstFlight(): { preface: Uint8Array; message1: Uint8Array } {
  const initiator = new Initiator(makeNode(`flight ${random(8).join()}`).ctx, {
    suite: 'ChaChaPoly',
    psk: NETWORK_KEYS,
  });
  return { preface: initiator.preface, message1: initiator.first() };
}

function upgradeRequest(protocols: string | undefined, more = '', method = 'GET', path = '/'): string {
  const offer = protocols === undefined ? '' : `Sec-WebSocket-Protocol: ${protocols}\r\n`;
  const key = randomBytes(16).toString('base64');
  return (
    `${method} ${path} HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n` +
    `Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: ${key}\r\n${offer}${more}\r\n`
  );
}

/** Stranger lines in the log, those left out included. */
function lines(s: Station): string[] {
  return s.lines.filter(line => line.event === 'stranger').map(line => line.msg);
}

test('garbage, TLS and broken prefaces get no byte and are closed', async () => {
  const s = await station({ limits: { deadlineMs: 60_000 } });
  const { preface } = firstFlight();
  const flipped = Uint8Array.from(preface);
  flipped[37]! ^= 1;
  const openings: Record<string, Uint8Array | string> = {
    'a null byte': Uint8Array.of(0),
    'a lower-case request': 'get / http/1.1\r\n\r\n',
    'an SMTP-like digit': '220 hello\r\n',
    'a TLS ClientHello': CLIENT_HELLO,
    'random bytes': Buffer.concat([Uint8Array.of(0x80), randomBytes(5_000)]),
    'the magic and random bytes': Buffer.concat([MAGIC, randomBytes(34)]),
    'the magic and much more': Buffer.concat([MAGIC, randomBytes(2 * MIB)]),
    'a preface with one bit changed': flipped,
    'a preface of another network': new Initiator(makeNode('other').ctx, {
      suite: 'AESGCM',
      psk: { ...NETWORK_KEYS, hintKey: new Uint8Array(32) },
    }).preface,
  };
  for (const [what, opening] of Object.entries(openings)) assert.is((await knock(s.port, opening)).length, 0, what);
  await eventually('no place is held', () => s.listener.halfOpen === 0);
  assert.is(s.accepted.length, 0);
  await s.close();
});

test('HTTP of every kind gets the same bare 404', async () => {
  const s = await station({ limits: { deadlineMs: 60_000 } });
  const { preface } = firstFlight();
  const good = toSubprotocol(preface);
  const stranger = toSubprotocol(Buffer.concat([MAGIC, randomBytes(34)]));
  const many = Array.from({ length: 500 }, (_, i) => `X-${i}: y\r\n`).join('');
  const requests: Record<string, string> = {
    GET: 'GET / HTTP/1.1\r\nHost: x\r\n\r\n',
    'HTTP/1.0 without a host': 'GET / HTTP/1.0\r\n\r\n',
    'HTTP/1.1 without a host': 'GET / HTTP/1.1\r\n\r\n',
    HEAD: 'HEAD / HTTP/1.1\r\nHost: x\r\n\r\n',
    'POST with a body': 'POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\n\r\nhello',
    'POST without its body': 'POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 500000\r\n\r\n',
    expect: 'POST / HTTP/1.1\r\nHost: x\r\nExpect: 100-continue\r\nContent-Length: 5\r\n\r\n',
    'an unknown expectation': 'POST / HTTP/1.1\r\nHost: x\r\nExpect: tea\r\nContent-Length: 5\r\n\r\n',
    CONNECT: 'CONNECT x:80 HTTP/1.1\r\nHost: x\r\n\r\n',
    OPTIONS: 'OPTIONS * HTTP/1.1\r\nHost: x\r\n\r\n',
    'HTTP/2': 'PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n',
    'no HTTP behind a letter': 'XYZ\r\n\r\n',
    'a bad header': 'GET / HTTP/1.1\r\nHo st: x\r\n\r\n',
    'two lengths': 'POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n',
    'a header too long': `GET / HTTP/1.1\r\nHost: x\r\nX: ${'y'.repeat(20_000)}\r\n\r\n`,
    'a path too long': `GET /${'y'.repeat(70_000)} HTTP/1.1\r\nHost: x\r\n\r\n`,
    'headers too many': `GET / HTTP/1.1\r\nHost: x\r\n${many}\r\n`,
    'two requests at once': 'GET / HTTP/1.1\r\nHost: x\r\n\r\n'.repeat(2),
    'keep-alive': 'GET / HTTP/1.1\r\nHost: x\r\nConnection: keep-alive\r\n\r\n',
    'an upgrade to h2c': 'GET / HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: h2c\r\n\r\n',
    'an upgrade without proof': upgradeRequest(undefined),
    "an upgrade with a browser's subprotocol": upgradeRequest('chat'),
    'an upgrade with a wrong proof': upgradeRequest(stranger),
    'an upgrade with a proof cut short': upgradeRequest(good.slice(0, -1)),
    'an upgrade with two subprotocols': upgradeRequest(`${good}, chat`),
    'an upgrade by POST': upgradeRequest(good, '', 'POST'),
  };
  for (const [what, request] of Object.entries(requests)) {
    assert.is((await knock(s.port, request)).toString(), BARE_404, what);
  }
  await eventually('no place is held', () => s.listener.halfOpen === 0);
  await s.close();
});

test('an upgrade with a good proof that is no WebSocket upgrade gets the same 404, and burns its proof', async () => {
  const s = await station();
  const broken = [
    (p: string) => upgradeRequest(p).replace(/Sec-WebSocket-Key: .*\r\n/, ''),
    (p: string) => upgradeRequest(p).replace(/Sec-WebSocket-Key: .*\r\n/, 'Sec-WebSocket-Key: short\r\n'),
    (p: string) => upgradeRequest(p).replace('Version: 13', 'Version: 99'),
  ];
  for (const make of broken) {
    const proof = toSubprotocol(firstFlight().preface);
    assert.is((await knock(s.port, make(proof))).toString(), BARE_404);
    assert.is((await knock(s.port, upgradeRequest(proof))).toString(), BARE_404);
  }
  await s.close();
});

test('an upgrade with a good proof gets its 101 whatever the path; replayed, a bare 404', async () => {
  const s = await station();
  const request = upgradeRequest(
    toSubprotocol(firstFlight().preface),
    'X-Forwarded-For: 1.2.3.4\r\n',
    'GET',
    '/any/path?x=1',
  );
  const socket = net.connect(s.port, '127.0.0.1');
  socket.write(request);
  const [answer] = (await new Promise(resolve =>
    socket.once('data', (data: Buffer) => resolve([data.toString()])),
  )) as [string];
  assert.match(answer, /^HTTP\/1\.1 101 Switching Protocols\r\n/);
  assert.not.match(answer, /Sec-WebSocket-Extensions|Date|Server/i);
  socket.destroy();
  assert.is((await knock(s.port, request)).toString(), BARE_404);
  assert.is((await knock(s.port, request, '127.0.0.2')).toString(), BARE_404);
  await s.close();
});

test('a recorded first flight gets an answer once, then no byte', async () => {
  const s = await station();
  const { preface, message1 } = firstFlight();
  const flight = Buffer.concat([preface, message1]);
  const socket = net.connect(s.port, '127.0.0.1');
  socket.write(flight);
  const answer = await new Promise<Buffer>(resolve => socket.once('data', resolve));
  assert.ok(answer.length > 1_000, 'message 2');
  for (const from of ['127.0.0.1', '127.0.0.2']) assert.is((await knock(s.port, flight, from)).length, 0);
  // The same message 1 behind a fresh preface: the preface is in the prologue.
  assert.is((await knock(s.port, Buffer.concat([firstFlight().preface, message1]))).length, 0);
  socket.destroy();
  await s.close();
});

test('the deadline cuts who says nothing, dribbles, or stalls after its proof', async () => {
  const s = await station({ limits: { deadlineMs: 300 } });
  const { preface, message1 } = firstFlight();
  const dribble = async (bytes: Uint8Array | string): Promise<{ bytes: Buffer; ms: number }> => {
    const start = performance.now();
    const socket = net.connect({ port: s.port, host: '127.0.0.1', noDelay: true });
    let at = 0;
    const timer = setInterval(() => at < bytes.length && socket.write(Buffer.from(bytes.slice(at, ++at))), 20);
    const { bytes: answer } = await readAll(socket);
    clearInterval(timer);
    socket.destroy();
    return { bytes: answer, ms: performance.now() - start };
  };
  const results = await Promise.all([
    dribble(''),
    dribble(Buffer.concat([preface, message1])),
    dribble('GET / HTTP/1.1\r\nHost: a-name-that-takes-its-time\r\n\r\n'),
    knock(s.port, Buffer.concat([firstFlight().preface, Buffer.alloc(100)])).then(bytes => ({ bytes, ms: 300 })),
  ]);
  for (const { bytes, ms } of results) {
    assert.is(bytes.length, 0);
    assert.ok(ms >= 250 && ms < 5_000, `${ms} ms`);
  }
  assert.is(s.listener.halfOpen, 0);
  await s.close();
});

test('the cap of a source lets its newest in and leaves other sources alone', async () => {
  const s = await station({ limits: { perSource: 4, total: 100, deadlineMs: 60_000 } });
  const closed: string[] = [];
  const hold = async (from: string, name: string): Promise<net.Socket> => {
    const socket = net.connect({ port: s.port, host: '127.0.0.1', localAddress: from });
    socket.on('error', () => undefined);
    socket.on('close', () => closed.push(name));
    await new Promise(resolve => socket.once('connect', resolve));
    return socket;
  };
  const sockets = [];
  for (let i = 0; i < 4; i++) sockets.push(await hold('127.0.0.2', `b${i}`));
  for (let i = 0; i < 4; i++) sockets.push(await hold('127.0.0.3', `c${i}`));
  await eventually('all places are taken', () => s.listener.halfOpen === 8);
  sockets.push(await hold('127.0.0.2', 'b4'));
  await eventually('the oldest went', () => closed.length === 1);
  assert.equal(closed, ['b0']);
  assert.is(s.listener.halfOpen, 8);
  for (const socket of sockets) socket.destroy();
  await eventually('all places are free', () => s.listener.halfOpen === 0);
  await s.close();
});

test('who has proven the secret keeps its place in a flood, over both transports', async () => {
  const s = await station({ limits: { perSource: 8, total: 8, deadlineMs: 60_000 } });
  let gone = 0;
  const hold = (opening?: Uint8Array | string): net.Socket => {
    const socket = net.connect(s.port, '127.0.0.1');
    socket.on('error', () => undefined);
    socket.on('close', () => gone++);
    if (opening !== undefined) socket.write(opening);
    return socket.resume();
  };
  const members = [hold(firstFlight().preface), hold(upgradeRequest(toSubprotocol(firstFlight().preface)))];
  await eventually('the members hold places', () => s.listener.halfOpen === 2);
  await later(30);
  const strangers = Array.from({ length: 30 }, () => hold());
  await eventually('only the newest strangers are left', () => gone === 24);
  await later(30);
  assert.is(gone, 24);
  assert.ok(members.every(socket => !socket.readableEnded && !socket.destroyed));
  for (const socket of [...members, ...strangers]) socket.destroy();
  await eventually('all places are free', () => s.listener.halfOpen === 0);
  await s.close();
});

test('members connect without delay while 600 strangers hold sockets and keep coming', async () => {
  const s = await station({ limits: { perSource: 32, total: 256, deadlineMs: 60_000 } });
  const strangers: net.Socket[] = [];
  const stranger = (i: number): void => {
    const socket = net.connect({ port: s.port, host: '127.0.0.1', localAddress: `127.0.0.${2 + (i % 30)}` });
    socket.on('error', () => undefined);
    if (i % 3 === 0) socket.write(MAGIC);
    if (i % 3 === 1) socket.write('GET / HTTP/1.1\r\nX-Slow: ');
    strangers.push(socket);
  };
  for (let i = 0; i < 600; i++) stranger(i);
  await eventually('the house is full', () => s.listener.halfOpen === 256);
  const more = setInterval(() => stranger(strangers.length), 5);
  let slowest = 0;
  for (let i = 0; i < 10; i++) {
    const start = performance.now();
    const link = await call(`${i % 2 === 0 ? '' : 'ws://'}${s.address}`);
    slowest = Math.max(slowest, performance.now() - start);
    link.transport.abort();
  }
  clearInterval(more);
  assert.ok(slowest < 5_000, `${slowest} ms`);
  assert.ok(s.listener.halfOpen <= 256);
  for (const socket of strangers) socket.destroy();
  await eventually('all places are free', () => s.listener.halfOpen === 0);
  await s.close();
});

test('what is said of strangers in the log is bounded and names who and why', async () => {
  const s = await station();
  for (let i = 0; i < 100; i++) await knock(s.port, CLIENT_HELLO);
  assert.ok(lines(s).length >= 1 && lines(s).length <= 10, `${lines(s).length} lines`);
  assert.match(lines(s)[0]!, /^A stranger at 127\.0\.0\.1:\d+ was turned away: it began a TLS handshake\.$/);
  await s.close();
});

/** One of many ways to begin; resolves when the other side has closed or was given up on. */
async function assorted(s: Station, i: number, recorded: { flight: Uint8Array; request: string }): Promise<Buffer> {
  const from = `127.0.0.${2 + (i % 8)}`;
  switch (i % 8) {
    case 0:
      return knock(
        s.port,
        Buffer.concat([Uint8Array.of(0x81 + (random(1)[0]! % 64)), random(random(1)[0]! * 8)]),
        from,
      );
    case 1:
      return knock(s.port, CLIENT_HELLO, from);
    case 2:
      return knock(s.port, recorded.flight, from);
    case 3:
      return knock(s.port, Buffer.concat([MAGIC, random(100)]), from);
    case 4:
      return knock(s.port, 'GET / HTTP/1.1\r\nHost: x\r\n\r\n', from);
    case 5:
      return knock(s.port, recorded.request, from);
    case 6:
      return knock(s.port, upgradeRequest('chat'), from);
    default: {
      const socket = net.connect({ port: s.port, host: '127.0.0.1', localAddress: from });
      if (i % 16 === 7) socket.write(firstFlight().preface.subarray(0, 20));
      setTimeout(() => socket.destroy(), 20);
      return (await readAll(socket)).bytes;
    }
  }
}

test(
  '1,000 assorted openings get no byte but the 404, and leave nothing behind',
  async () => {
    v8.setFlagsFromString('--expose-gc');
    const collect = vm.runInNewContext('gc') as () => void;
    const s = await station({ limits: { deadlineMs: 2_000 } });
    const { preface, message1 } = firstFlight();
    const recorded = {
      flight: Buffer.concat([preface, message1]),
      request: upgradeRequest(toSubprotocol(firstFlight().preface)),
    };
    // Used up by their owners.
    for (const used of [recorded.flight, recorded.request]) {
      const socket = net.connect(s.port, '127.0.0.1');
      socket.write(used);
      await new Promise(resolve => socket.once('data', resolve));
      socket.destroy();
    }
    let done = 0;
    const round = async (size: number): Promise<NodeJS.MemoryUsage> => {
      for (const end = done + size; done < end; done += 20) {
        const batch = Array.from({ length: 20 }, (_, k) => assorted(s, done + k, recorded));
        for (const answer of await Promise.all(batch)) assert.ok(answer.length === 0 || answer.toString() === BARE_404);
      }
      await eventually('no place is held', () => s.listener.halfOpen === 0);
      collect();
      await later(20);
      collect();
      return process.memoryUsage();
    };
    await round(full(300, 2_500));
    const first = await round(full(300, 2_500));
    const second = await round(full(400, 2_500));
    const used = (memory: NodeJS.MemoryUsage): number => memory.heapUsed + memory.external;
    const grown = (used(second) - used(first)) / MIB;
    assert.ok(grown < 1, `${grown.toFixed(1)} MiB more in use`);
    // What the process holds comes to rest only after some thousand of them.
    const held = (second.rss - first.rss) / MIB;
    if (isFull) assert.ok(held < 5, `${held.toFixed(1)} MiB more held`);
    assert.is(s.accepted.length, 0);
    const link = await call(s.address);
    link.transport.abort();
    await s.close();
  },
  { deadline: full(40_000, 300_000) },
);

test.run();
