/** Tunnels and services joined by real sessions over a link in memory: what a byte meets between two daemons. */
import { createHash, randomBytes } from 'node:crypto';
import type net from 'node:net';
import { suite, assert, full } from '../../helpers/suite.js';
import { FakeMesh, recordingLog, type FakeNode } from '../../helpers/fake-mesh.js';
import type { SessionPair } from '../../helpers/session-pair.js';
import { dialText, eventually, readAll, serve, settled, type TestServer } from '../../helpers/sockets.js';
import { Tunnels } from '../../../daemon/services/tunnels.js';

const test = suite('services over sessions');

interface Lab {
  readonly mesh: FakeMesh;
  readonly here: FakeNode;
  readonly there: FakeNode;
  readonly pair: SessionPair;
  readonly tunnels: Tunnels;
  readonly server: TestServer;
  readonly listen: string;
  end(): Promise<void>;
}

async function lab(on: (socket: net.Socket) => void): Promise<Lab> {
  const mesh = new FakeMesh();
  const here = mesh.add('here');
  const there = mesh.add('there');
  const pair = await mesh.connect(here, there);
  const { timers } = mesh;
  const { log } = recordingLog();
  const local = here.exposed.incoming;
  const tunnels = new Tunnels({ mesh: mesh.of(here), local, timers, log, sockets: here.sockets });
  const server = await serve(on);
  there.exposed.set('x', { target: server.target });
  const { listen } = await tunnels.open('x');
  const end = async (): Promise<void> => {
    tunnels.cut('draining');
    there.exposed.cut('draining');
    pair.close();
    await server.close();
  };
  return { mesh, here, there, pair, tunnels, server, listen, end };
}

const streams = (pair: SessionPair): number =>
  pair.ends.reduce((sum, end) => sum + (end.slot.session?.stats().streams ?? 0), 0);
const kept = (pair: SessionPair): number => pair.ends.reduce((sum, end) => sum + end.budget.retained, 0);

async function nothingIsLeft({ here, there, tunnels, pair }: Lab): Promise<void> {
  await eventually('no socket is left', () => here.sockets.count + there.sockets.count === 0);
  assert.is(tunnels.openStreams + there.exposed.openStreams, 0);
  await eventually('no stream is left', () => streams(pair) === 0);
  await eventually('no byte is kept', () => kept(pair) === 0);
}

/** For tests whose full size takes long on a small machine. */
const LONG = { deadline: full(20_000, 300_000) };

const echo = (socket: net.Socket): void => void socket.pipe(socket);

/** Answers with the length and hash of the question, when the question has ended. */
function digesting(socket: net.Socket): void {
  const hash = createHash('sha256');
  let length = 0;
  socket.on('data', (chunk: Buffer) => {
    hash.update(chunk);
    length += chunk.length;
  });
  socket.once('end', () => socket.end(`${length} ${hash.digest('hex')}`));
}

test('a client that ends first gets its answer', async () => {
  const l = await lab(digesting);
  const bytes = randomBytes(3_000_000);
  const client = await dialText(l.listen);
  const answer = readAll(client);
  client.end(bytes);
  assert.is((await answer).bytes.toString(), `${bytes.length} ${createHash('sha256').update(bytes).digest('hex')}`);
  await nothingIsLeft(l);
  await l.end();
});

test('a server that ends first still hears the client', async () => {
  let heard = '';
  const l = await lab(socket => {
    socket.end('greeting');
    socket.on('data', (chunk: Buffer) => (heard += chunk.toString()));
  });
  const client = await dialText(l.listen);
  assert.is((await readAll(client)).bytes.toString(), 'greeting');
  client.end('late words');
  await eventually('they arrive', () => heard === 'late words');
  await nothingIsLeft(l);
  await l.end();
});

test(
  'megabytes in both directions at once',
  async () => {
    const l = await lab(echo);
    const size = full(16, 512) * 1024 * 1024;
    const block = randomBytes(1024 * 1024);
    const sent = createHash('sha256');
    const got = createHash('sha256');
    const client = await dialText(l.listen);
    client.on('data', (chunk: Buffer) => got.update(chunk));
    for (let left = size; left > 0; left -= block.length) {
      sent.update(block);
      if (!client.write(block)) await new Promise(resolve => client.once('drain', resolve));
    }
    client.end();
    await new Promise(resolve => client.once('end', resolve));
    assert.is(got.digest('hex'), sent.digest('hex'));
    await nothingIsLeft(l);
    await l.end();
  },
  LONG,
);

test('a stalled reader: bounded memory, others go on, and it may go on itself', async () => {
  let stalled: net.Socket | undefined;
  const l = await lab(socket => {
    if (stalled === undefined) stalled = socket.pause();
    else socket.pipe(socket);
  });
  const writer = await dialText(l.listen);
  await eventually('it is connected', () => stalled !== undefined);
  const block = Buffer.alloc(1024 * 1024);
  let stop = false;
  const write = (): void => {
    while (!stop && writer.write(block));
    if (!stop) writer.once('drain', write);
  };
  write();
  await settled(() => l.tunnels.list()[0]!.bytesSent, 300);
  const isBounded = (): void => {
    const buffered = kept(l.pair) + l.pair.ends[1].budget.granted;
    assert.ok(buffered <= 64 * 1024 * 1024, `${buffered} bytes between the daemons`);
  };
  isBounded();
  for (let i = 0; i < 10; i++) {
    const other = await dialText(l.listen);
    const answer = readAll(other);
    other.end('quick');
    assert.is((await answer).bytes.toString(), 'quick');
  }
  isBounded();
  stop = true;
  let got = 0;
  stalled!.on('data', (chunk: Buffer) => (got += chunk.length));
  stalled!.resume();
  writer.end();
  await eventually('all of it arrives', () => got === writer.bytesWritten, 15_000);
  stalled!.end();
  writer.resume();
  await nothingIsLeft(l);
  await l.end();
});

test('resets pass in both directions', async () => {
  let target: net.Socket | undefined;
  const l = await lab(socket => (target = socket));
  const one = await dialText(l.listen);
  const atClient = readAll(one);
  await eventually('open', () => target !== undefined);
  target!.resetAndDestroy();
  assert.is((await atClient).how, 'ECONNRESET');

  target = undefined;
  const two = await dialText(l.listen);
  await eventually('open', () => target !== undefined);
  const atTarget = readAll(target!);
  two.resetAndDestroy();
  assert.is((await atTarget).how, 'ECONNRESET');
  await nothingIsLeft(l);
  await l.end();
});

test('denied, and cut by a changed rule', async () => {
  const l = await lab(echo);
  const client = await dialText(l.listen);
  const ended = readAll(client);
  await eventually('open', () => l.server.open() === 1);
  l.there.exposed.set('x', { target: l.server.target, deny: ['here'] });
  assert.is((await ended).how, 'ECONNRESET');
  const again = await readAll(await dialText(l.listen));
  assert.is(again.how, 'ECONNRESET');
  assert.is(l.tunnels.list()[0]!.denied, 2);
  assert.is(l.server.taken(), 1);
  await nothingIsLeft(l);
  await l.end();
});

test('the link breaks and comes back: the connections do not notice', async () => {
  const l = await lab(digesting);
  const size = 24 * 1024 * 1024;
  const block = randomBytes(64 * 1024);
  const hash = createHash('sha256');
  const client = await dialText(l.listen);
  const answer = readAll(client);
  for (let sent = 0; sent < size; sent += block.length) {
    hash.update(block);
    if (!client.write(block)) await new Promise(resolve => client.once('drain', resolve));
    if ((sent / block.length) % 100 === 50) {
      l.pair.cutLink();
      await new Promise(resolve => setTimeout(resolve, 20));
      await l.pair.connect();
    }
  }
  client.end();
  assert.is((await answer).bytes.toString(), `${size} ${hash.digest('hex')}`);
  await nothingIsLeft(l);
  await l.end();
});

test(
  'many connections at once, each with its own bytes',
  async () => {
    const l = await lab(echo);
    const count = full(500, 2000);
    const clients = await Promise.all(Array.from({ length: count }, () => dialText(l.listen)));
    await eventually('all are open', () => l.server.open() === count, 60_000);
    const answers = clients.map(client => readAll(client));
    clients.forEach((client, i) => client.end(`number ${i} `.repeat(1000)));
    (await Promise.all(answers)).forEach(({ bytes, how }, i) => {
      assert.is(how, 'end');
      assert.is(bytes.toString(), `number ${i} `.repeat(1000));
    });
    await nothingIsLeft(l);
    await l.end();
  },
  LONG,
);

test(
  'short connections leave nothing behind',
  async () => {
    const l = await lab(digesting);
    const total = full(500, 50_000);
    let started = 0;
    const worker = async (): Promise<void> => {
      while (started++ < total) {
        const client = await dialText(l.listen);
        if (started % 7 === 0) {
          client.on('error', () => undefined).resetAndDestroy();
          continue;
        }
        const answer = readAll(client);
        client.end('hi');
        assert.match((await answer).bytes.toString(), /^2 /);
      }
    };
    await Promise.all(Array.from({ length: 16 }, worker));
    await nothingIsLeft(l);
    assert.is(l.tunnels.list()[0]!.failed, 0);
    await l.end();
  },
  LONG,
);

test.run();
