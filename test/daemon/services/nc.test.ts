import { once } from 'node:events';
import http from 'node:http';
import type { AddressInfo, Socket } from 'node:net';
import type { Duplex } from 'node:stream';
import { suite, assert } from '../../helpers/suite.js';
import { FakeMesh, recordingLog, type FakeNode } from '../../helpers/fake-mesh.js';
import { eventually, readAll, serve, tcpPair } from '../../helpers/sockets.js';
import { Connections } from '../../../daemon/services/nc.js';
import { WarrenError, type ErrorCode } from '../../../protocol/errors.js';

const test = suite('connections of nc');

interface Lab {
  readonly mesh: FakeMesh;
  readonly here: FakeNode;
  readonly there: FakeNode;
  readonly connections: Connections;
}

function lab(): Lab {
  const mesh = new FakeMesh();
  const here = mesh.add('here');
  const there = mesh.add('there');
  const { timers } = mesh;
  const { log } = recordingLog();
  const local = here.exposed.incoming;
  const connections = new Connections({ mesh: mesh.of(here), local, timers, log, sockets: here.sockets });
  return { mesh, here, there, connections };
}

async function rejects(code: ErrorCode, promise: Promise<unknown>): Promise<WarrenError> {
  const error = await promise.then(
    () => undefined,
    (thrown: unknown) => thrown,
  );
  assert.instance(error, WarrenError);
  assert.is((error as WarrenError).code, code);
  return error as WarrenError;
}

test('a connection is joined after the answer; the greeting that came first is not lost', async () => {
  const { mesh, here, there, connections } = lab();
  const server = await serve(socket => {
    socket.write('SSH-2.0\n');
    socket.pipe(socket);
  });
  there.exposed.set('ssh', { target: server.target });
  const carry = await connections.connect('ssh');
  await new Promise(resolve => setTimeout(resolve, 30));
  const [client, accepted] = await tcpPair();
  carry(accepted);
  const all = readAll(client);
  client.end('hello');
  assert.equal(await all, { bytes: Buffer.from('SSH-2.0\nhello'), how: 'end' });
  await eventually('nothing is left', () => connections.openStreams === 0 && here.sockets.count === 0);
  assert.is(mesh.timers.count, 0);
  await server.close();
});

test('refusals are errors with their codes', async () => {
  const { there, connections } = lab();
  await rejects('not-found', connections.connect('nothing'));
  await rejects('bad-value', connections.connect('a b'));
  const server = await serve(() => undefined);
  there.exposed.set('x', { target: server.target, deny: ['here'] });
  await rejects('denied', connections.connect('x'));
  await server.close();
  there.exposed.set('x', { target: server.target });
  await rejects('unreachable', connections.connect('x'));
  there.reachable = false;
  assert.match(
    (await rejects('unreachable', connections.connect('x'))).message,
    /x on there: that node is not connected/,
  );
  assert.is(connections.openStreams, 0);
});

test('the next instance serves when the first does not', async () => {
  const { mesh, there, connections } = lab();
  const server = await serve(socket => socket.end('good'));
  there.answer = () => 'no-service';
  const other = mesh.add('other');
  other.openStreams = 1;
  other.exposed.set('x', { target: server.target });
  const carry = await connections.connect('x');
  const [client, accepted] = await tcpPair();
  carry(accepted);
  assert.is((await readAll(client)).bytes.toString(), 'good');
  client.destroy();
  await server.close();
});

test('whoever asked goes away before the answer, or before the connection is there', async () => {
  const { there, connections } = lab();
  const abort = new AbortController();
  there.answer = () => ({ data: () => undefined, fin: () => undefined, reset: () => undefined });
  const waiting = connections.connect('x', abort.signal);
  abort.abort();
  await rejects('unreachable', waiting);

  there.answer = undefined;
  const server = await serve(socket => void socket.resume());
  there.exposed.set('x', { target: server.target });
  const carry = await connections.connect('x');
  assert.is(connections.openStreams, 1);
  const [client, accepted] = await tcpPair();
  accepted.destroy();
  carry(accepted);
  await eventually('the stream is over', () => connections.openStreams === 0 && there.exposed.openStreams === 0);
  client.destroy();
  await server.close();
});

test('how a connection ended can be asked for', async () => {
  const { there, connections } = lab();
  const server = await serve(socket => socket.write('half'));
  there.exposed.set('x', { target: server.target });
  const carry = await connections.connect('x');
  assert.equal(connections.end(carry.id), { ended: false, error: null });
  const [client, accepted] = await tcpPair();
  carry(accepted);
  await once(client, 'readable');
  there.exposed.remove('x');
  await readAll(client);
  const { ended, error } = connections.end(carry.id);
  assert.equal([ended, error?.code], [true, 'not-found']);
  assert.match(error?.message ?? '', /the connection to x broke: it is not exposed there any more/);
  assert.throws(() => connections.end(carry.id + 1), /no stream/);
  await server.close();

  const closing = await serve(socket => socket.end('all'));
  there.exposed.set('x', { target: closing.target });
  const whole = await connections.connect('x');
  const [reader, taken] = await tcpPair();
  whole(taken);
  assert.is((await readAll(reader)).bytes.toString(), 'all');
  reader.end();
  await eventually('both directions ended', () => connections.end(whole.id).ended);
  assert.is(connections.end(whole.id).error, null);
  await closing.close();
});

test('the stream ends while it waits for its connection', async () => {
  const { there, connections } = lab();
  const server = await serve(() => undefined);
  there.exposed.set('x', { target: server.target });
  const carry = await connections.connect('x');
  there.exposed.remove('x');
  await eventually('gone', () => connections.openStreams === 0);
  const [client, accepted] = await tcpPair();
  carry(accepted);
  assert.is((await readAll(client)).how, 'ECONNRESET');
  await server.close();
});

test('an upgraded HTTP connection, half-closed by its client, gets its answer', async () => {
  const { there, connections } = lab();
  const service = await serve(socket => {
    let heard = 0;
    socket.on('data', (chunk: Buffer) => (heard += chunk.length));
    socket.once('end', () => socket.end(`got ${heard}`));
  });
  there.exposed.set('x', { target: service.target });
  const admin = http.createServer();
  admin.on('upgrade', (_request, socket: Duplex) => {
    void connections.connect('x').then(carry => {
      socket.write('HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: warren-stream\r\n\r\n');
      carry(socket);
    });
  });
  admin.listen(0, '127.0.0.1');
  await once(admin, 'listening');
  const { port } = admin.address() as AddressInfo;
  const request = http.request({
    port,
    host: '127.0.0.1',
    headers: { connection: 'Upgrade', upgrade: 'warren-stream' },
  });
  request.end();
  const [, socket] = (await once(request, 'upgrade')) as [unknown, Socket];
  socket.allowHalfOpen = true;
  const answer = readAll(socket);
  socket.end(Buffer.alloc(300_000));
  assert.is((await answer).bytes.toString(), 'got 300000');
  admin.close();
  await service.close();
});

test('draining waits, cutting ends', async () => {
  const { there, connections } = lab();
  const server = await serve(() => undefined);
  there.exposed.set('x', { target: server.target });
  const carry = await connections.connect('x');
  await connections.connect('x');
  const [client, accepted] = await tcpPair();
  carry(accepted);
  const ended = readAll(client);
  let drained = false;
  const drain = connections.drain().then(() => (drained = true));
  await new Promise(resolve => setTimeout(resolve, 20));
  assert.is(drained, false);
  assert.is(connections.cut('draining'), 2);
  await drain;
  assert.is((await ended).how, 'ECONNRESET');
  await server.close();
});

test.run();
