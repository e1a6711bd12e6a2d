import { once } from 'node:events';
import { mkdtempSync, rmSync } from 'node:fs';
import net, { type AddressInfo, type Server } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { acceptThin, dialThin, thinned, type ThinSocket } from '../../../daemon/transport/thin-socket.js';
import { assert, suite } from '../../helpers/suite.js';
import { eventually, readAll, serve, settled, tcpPair, thinPair } from '../../helpers/sockets.js';
import { COPIED_BELOW } from '../../../protocol/session/send-buffer.js';

const test = suite('thin sockets');

/** What a thin socket tells, in order. */
function record(socket: ThinSocket): { readonly told: string[]; readonly chunks: Uint8Array[] } {
  const told: string[] = [];
  const chunks: Uint8Array[] = [];
  socket.once('connect', () => told.push('connect'));
  socket.on('data', (chunk: Uint8Array) => chunks.push(Buffer.from(chunk)));
  socket.on('end', () => told.push('end'));
  socket.once('finish', () => told.push('finish'));
  socket.on('error', (error: Error) => told.push(error.message));
  socket.on('close', () => told.push('close'));
  return { told, chunks };
}

const all = (chunks: readonly Uint8Array[]): Buffer => Buffer.concat(chunks);
const ignore = (): void => undefined;

function dialed(port: number): ThinSocket {
  const socket = dialThin('127.0.0.1', port);
  assert.ok(socket, 'this node has thin sockets');
  return socket;
}

test('bytes both ways and an end of each', async () => {
  const [client, socket] = await thinPair();
  const { told, chunks } = record(socket);
  client.write('one');
  await new Promise(resolve => setTimeout(resolve, 20));
  assert.is(chunks.length, 0, 'nothing is read before resume');
  socket.resume();
  await eventually('it is read', () => chunks.length === 1);
  client.end('two');
  await eventually('the end', () => told.includes('end'));
  assert.is(all(chunks).toString(), 'onetwo');
  assert.is(socket.destroyed, false, 'half-open');
  const atClient = readAll(client);
  socket.write(Buffer.from('answer'), ignore);
  socket.end();
  assert.equal(await atClient, { bytes: Buffer.from('answer'), how: 'end' });
  await eventually('closed', () => socket.closed);
  assert.equal(told, ['end', 'finish', 'close']);
  client.destroy();
});

test('a chunk below 1 KiB is lent, a longer one has memory of its own', async () => {
  const [client, socket] = await thinPair();
  const chunks: Uint8Array[] = [];
  socket.on('data', (chunk: Uint8Array) => chunks.push(chunk));
  socket.resume();
  for (const length of [COPIED_BELOW, COPIED_BELOW - 1, 1, COPIED_BELOW]) {
    const before = chunks.length;
    client.write(Buffer.alloc(length, 'x'));
    await eventually('it is read', () => chunks.length > before);
    assert.is(chunks.at(-1)!.length, length);
    assert.is(chunks.at(-1)!.buffer.byteLength === length, length >= COPIED_BELOW);
  }
  client.destroy();
  socket.destroy();
});

test('what is written, and the end, before the connection is there goes out when it is', async () => {
  const server = await serve(socket => socket.pipe(socket));
  const socket = dialed(server.port);
  const { told, chunks } = record(socket);
  assert.ok(socket.connecting);
  let taken = 0;
  socket.resume();
  socket.write(Buffer.from('a'), () => taken++);
  socket.write(Buffer.from('bc'), () => taken++);
  assert.is(socket.writableLength, 3);
  assert.is(taken, 0);
  socket.end();
  await eventually('closed', () => socket.closed);
  assert.is(all(chunks).toString(), 'abc');
  assert.is(socket.writableLength, 0);
  assert.ok(taken > 0);
  assert.is(told[0], 'connect');
  assert.is(told.at(-1), 'close');
  assert.equal(told.slice().sort(), ['close', 'connect', 'end', 'finish']);
  await server.close();
});

test('a connection is taken over from a socket at rest; the end of either is the end of both', async () => {
  const [client, socket] = await tcpPair();
  const thin = thinned(socket);
  assert.ok(thin, 'at rest');
  let lent = '';
  let isFirst = true;
  thin.on('data', () => (lent += ' data '));
  thin.borrow(memory => {
    lent += Buffer.from(memory).toString();
    isFirst &&= memory.buffer.byteLength > memory.length;
    return 0;
  });
  client.write('one');
  await new Promise(resolve => setTimeout(resolve, 20));
  assert.is(lent, '', 'it is paused');
  thin.resume();
  await eventually('it is read', () => lent === 'one');
  assert.ok(isFirst, 'a view of memory that is lent');
  const atClient = readAll(client);
  thin.write(Buffer.from('answer'), ignore);
  await eventually('it is with the client', () => client.bytesRead === 6);
  let isClosed = false;
  socket.once('close', () => (isClosed = true));
  thin.destroy();
  await eventually('the socket has closed', () => isClosed);
  assert.equal(await atClient, { bytes: Buffer.from('answer'), how: 'end' });
  const [other, second] = await tcpPair();
  const taken = thinned(second)!;
  second.destroy();
  await eventually('closed', () => taken.closed);
  client.destroy();
  other.destroy();
});

test('a read brings no more than the borrower expects, where that is much', async () => {
  const [client, socket] = await tcpPair();
  const thin = thinned(socket)!;
  const BOUND = 70_000;
  let expected = BOUND;
  const reads: number[] = [];
  const total = (): number => reads.reduce((sum, n) => sum + n, 0);
  thin.borrow(memory => {
    reads.push(memory.length);
    return expected;
  });
  thin.resume();
  const sent = Buffer.alloc(3_000_000, 7);
  client.write(sent);
  await eventually('all is there', () => total() === sent.length);
  assert.ok(Math.max(...reads) <= BOUND, 'bounded');
  expected = 100;
  client.write(sent);
  await eventually('all is there again', () => total() === 2 * sent.length);
  assert.ok(Math.max(...reads) > BOUND, 'what is little bounds nothing');
  thin.destroy();
  client.destroy();
});

test('who brings much is read once in a turn: others go first', async () => {
  const [client, socket] = await tcpPair();
  const thin = thinned(socket)!;
  let turn = 0;
  let total = 0;
  let pausedAt = 0;
  const fullReads = new Map<number, number>();
  const count = (): void => {
    turn++;
    if (!thin.destroyed) setImmediate(count);
  };
  setImmediate(count);
  const BOUND = 50_000;
  thin.borrow(memory => {
    total += memory.length;
    if (memory.length === BOUND) fullReads.set(turn, (fullReads.get(turn) ?? 0) + 1);
    if (fullReads.size === 4 && pausedAt === 0) {
      pausedAt = total;
      // Behind the return the next turn is asked for; the pause comes in between.
      process.nextTick(() => thin.pause());
    }
    return BOUND;
  });
  const sent = Buffer.alloc(2_000_000, 7);
  client.write(sent);
  await settled(() => client.bytesWritten - client.writableLength);
  thin.resume();
  await eventually('some was read', () => pausedAt > 0);
  await new Promise(resolve => setTimeout(resolve, 20));
  assert.is(total, pausedAt, 'a pause holds between two turns too');
  thin.resume();
  await eventually('all is there', () => total === sent.length);
  assert.is(Math.max(...fullReads.values()), 1);
  thin.destroy();
  client.destroy();
});

test('a socket that has read something, that has ended or is gone is left as it is', async () => {
  const [client, socket] = await tcpPair();
  client.write('one');
  socket.resume();
  const chunks: Buffer[] = [];
  socket.once('data', () => socket.pause());
  await eventually('something was read', () => socket.bytesRead === 3);
  socket.unshift('one');
  assert.is(thinned(socket), undefined);
  socket.on('data', (chunk: Buffer) => chunks.push(chunk));
  socket.resume();
  client.write('two');
  await eventually('it reads on', () => all(chunks).toString() === 'onetwo');
  socket.end();
  assert.is(thinned(socket), undefined, 'not writable');
  socket.destroy();
  assert.is(thinned(socket), undefined, 'gone');
  client.destroy();
});

test('a refused connection is an error with code, then the close', async () => {
  const server = await serve(ignore);
  const { port } = server;
  await server.close();
  const socket = dialed(port);
  let code: string | undefined;
  socket.on('error', (error: NodeJS.ErrnoException) => (code = error.code));
  const { told } = record(socket);
  await eventually('closed', () => socket.closed);
  assert.equal(told, [`connect ECONNREFUSED 127.0.0.1:${port}`, 'close']);
  assert.is(code, 'ECONNREFUSED');
});

test('a socket that is to be read before it is connected: what is told, and in which order', async () => {
  const server = await serve(socket => socket.end('first words'));
  const reading = dialed(server.port);
  const { told, chunks } = record(reading);
  reading.on('data', () => told.push('data'));
  reading.resume();
  const paused = dialed(server.port);
  const atPaused = record(paused);
  paused.resume();
  paused.pause();
  await eventually('both have connected', () => told.includes('end') && atPaused.told.includes('connect'));
  assert.equal(told, ['connect', 'data', 'end']);
  assert.is(all(chunks).toString(), 'first words');
  await new Promise(resolve => setTimeout(resolve, 50));
  assert.equal(atPaused.told, ['connect'], 'nothing is read before the next resume');
  paused.resume();
  await eventually('it is read', () => atPaused.told.includes('end'));
  assert.is(all(atPaused.chunks).toString(), 'first words');
  reading.destroy();
  paused.destroy();
  await server.close();

  const refused = dialed(server.port);
  const atRefused = record(refused);
  refused.resume();
  await eventually('closed', () => refused.closed);
  assert.equal(atRefused.told, [`connect ECONNREFUSED 127.0.0.1:${server.port}`, 'close']);
});

test('a socket that is destroyed while it connects tells its close and nothing else', async () => {
  const server = await serve(ignore);
  const socket = dialed(server.port);
  const { told } = record(socket);
  socket.write(Buffer.from('x'), ignore);
  socket.destroy();
  socket.destroy();
  await eventually('closed', () => socket.closed);
  assert.equal(told, ['close']);
  await server.close();
});

test('a reset by the other end is an error; one by this end reaches the other', async () => {
  const [client, socket] = await thinPair();
  const { told } = record(socket);
  socket.resume();
  client.resetAndDestroy();
  await eventually('closed', () => socket.closed);
  assert.equal(told, ['read ECONNRESET', 'close']);

  const [reader, cut] = await thinPair();
  const atReader = readAll(reader);
  const { told: toldOfCut } = record(cut);
  cut.resetAndDestroy();
  assert.is((await atReader).how, 'ECONNRESET');
  await eventually('closed', () => cut.closed);
  assert.equal(toldOfCut, ['close']);
});

test('writing to an end that has gone is an error', async () => {
  const [client, socket] = await thinPair();
  const { told } = record(socket);
  client.resetAndDestroy();
  await once(client, 'close');
  for (let i = 0; i < 100 && !socket.destroyed; i++) {
    socket.write(Buffer.from('anyone?'), ignore);
    await new Promise(setImmediate);
  }
  await eventually('closed', () => socket.closed);
  assert.match(told[0]!, /^write (EPIPE|ECONNRESET)$/);
  assert.is(told.at(-1), 'close');
});

test('a socket that is paused leaves the bytes to the operating system', async () => {
  const [client, socket] = await thinPair();
  const { chunks } = record(socket);
  const size = 64 * 1024 * 1024;
  client.write(Buffer.alloc(size, 7));
  let got = 0;
  socket.on('data', chunk => {
    got += chunk.length;
    socket.pause();
  });
  socket.resume();
  const first = await settled(() => got);
  assert.is(chunks.length, 1, 'one read, for the pause came within it');
  assert.is(await settled(() => got), first);
  assert.ok(client.writableLength > 0, 'the writer waits');
  socket.on('data', () => socket.resume());
  socket.resume();
  await eventually('the rest', () => got === size);
  assert.ok(all(chunks).every(byte => byte === 7));
  client.destroy();
  socket.destroy();
});

test('what the other end does not take waits, in order, and counts until it is taken', async () => {
  const [client, socket] = await thinPair();
  client.pause();
  const size = 256 * 1024;
  let taken = 0;
  for (let i = 0; i < 256; i++) {
    socket.cork();
    for (let j = 0; j < 4; j++) socket.write(Buffer.alloc(size / 4, i), () => taken++);
    socket.uncork();
    await new Promise(setImmediate);
  }
  socket.end();
  const waits = socket.writableLength;
  assert.ok(waits > 32 * 1024 * 1024, `${waits} bytes wait`);
  assert.is(socket.writableFinished, false);
  const before = taken;
  const { bytes, how } = await readAll(client.resume());
  assert.is(how, 'end');
  assert.is(bytes.length, 256 * size);
  for (let i = 0; i < 256; i++) assert.ok(bytes.subarray(i * size, (i + 1) * size).every(byte => byte === i));
  assert.is(socket.writableLength, 0);
  assert.ok(taken > before);
  client.destroy();
  socket.destroy();
});

test('sockets whose writes wait and sockets whose writes do not keep out of each other', async () => {
  const pairs = await Promise.all(Array.from({ length: 4 }, () => thinPair()));
  const size = 4 * 1024 * 1024;
  const taken = pairs.map(() => 0);
  for (let round = 0; round < 8; round++) {
    for (const [i, [, socket]] of pairs.entries()) {
      const length = i % 2 === 0 ? size : 10;
      socket.write(Buffer.alloc(length, 16 * i + round), () => (taken[i] = taken[i]! + 1));
    }
  }
  assert.equal(
    pairs.map(([, socket]) => socket.writableLength > 0),
    [true, false, true, false],
  );
  assert.equal([taken[1], taken[3]], [8, 8]);
  for (const [i, [client, socket]] of pairs.entries()) {
    socket.end();
    const { bytes, how } = await readAll(client);
    assert.is(how, 'end');
    const length = i % 2 === 0 ? size : 10;
    assert.is(bytes.length, 8 * length);
    for (let round = 0; round < 8; round++)
      assert.ok(bytes.subarray(round * length, (round + 1) * length).every(byte => byte === 16 * i + round));
    client.destroy();
    socket.destroy();
  }
});

test('writes within a cork go out together', async () => {
  const [client, socket] = await thinPair();
  const chunks: Buffer[] = [];
  client.on('data', (chunk: Buffer) => chunks.push(chunk));
  socket.cork();
  for (const text of ['a', 'b', 'c']) socket.write(Buffer.from(text), ignore);
  await new Promise(resolve => setTimeout(resolve, 20));
  assert.is(chunks.length, 0);
  socket.uncork();
  await eventually('they come', () => all(chunks).toString() === 'abc');
  assert.is(chunks.length, 1);
  client.destroy();
  socket.destroy();
});

test('nothing is heard after destroy, not even the rest of what was read', async () => {
  const [client, socket] = await thinPair();
  const { told, chunks } = record(socket);
  client.end(Buffer.alloc(1024 * 1024));
  socket.on('data', () => socket.destroy());
  socket.resume();
  await eventually('closed', () => socket.closed);
  assert.is(chunks.length, 1);
  assert.equal(told, ['close']);
  socket.write(Buffer.from('x'), ignore);
  socket.end();
  socket.resume();
  socket.pause();
  client.destroy();
});

test('who is at the other end is known while there is one', async () => {
  const [client, socket] = await thinPair();
  assert.equal(socket.peer, { host: '127.0.0.1', port: client.localPort });
  assert.ok(socket.isTcp);
  client.resetAndDestroy();
  await eventually('it is gone', () => socket.peer === undefined);
  socket.destroy();
  assert.is(socket.peer, undefined);
});

test('unix sockets are thin too, and know no reset', async () => {
  const folder = mkdtempSync(join(tmpdir(), 'warren-'));
  const server = net.createServer({ allowHalfOpen: true, pauseOnConnect: true });
  try {
    server.listen(join(folder, 's'));
    await once(server, 'listening');
    const accepted = new Promise<ThinSocket>(resolve => acceptThin(server, resolve));
    const client = net.connect(join(folder, 's'));
    const socket = await accepted;
    assert.is(socket.isTcp, false);
    assert.is(socket.peer, undefined);
    assert.throws(() => socket.resetAndDestroy());
    assert.is(socket.destroyed, false);
    const atClient = readAll(client);
    socket.write(Buffer.from('hello'), ignore);
    socket.end();
    assert.equal(await atClient, { bytes: Buffer.from('hello'), how: 'end' });
    socket.destroy();
  } finally {
    server.close();
    rmSync(folder, { recursive: true });
  }
});

test('an IPv6 address is dialed, a name is left to node', async () => {
  const server = net.createServer(socket => socket.end('six'));
  server.listen(0, '::1');
  await once(server, 'listening');
  const socket = dialThin('::1', (server.address() as AddressInfo).port)!;
  const { chunks } = record(socket);
  socket.resume();
  await eventually('it answers', () => all(chunks).toString() === 'six');
  socket.destroy();
  server.close();
  assert.is(dialThin('localhost', 1), undefined);
});

test('a server that looks different inside keeps its own sockets', async () => {
  acceptThin({} as Server, () => assert.unreachable());
  acceptThin({ _handle: {} } as unknown as Server, () => assert.unreachable());
  const server = net.createServer();
  let ofNode = 0;
  server.on('connection', socket => {
    ofNode++;
    socket.destroy();
  });
  server.on('error', () => undefined);
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  acceptThin(server, () => assert.unreachable());
  const { _handle: handle } = server as unknown as { _handle: { onconnection(status: number, made: unknown): void } };
  let told: Error | undefined;
  server.on('error', error => (told = error));
  handle.onconnection(-24, undefined);
  assert.is((told as NodeJS.ErrnoException).code, 'EMFILE');
  assert.is(ofNode, 0);
  server.close();
});

test.run();
