import net from 'node:net';
import { WebSocket, WebSocketServer } from 'ws';
import { WarrenError } from '../../../protocol/errors.js';
import { Initiator } from '../../../protocol/handshake/handshake.js';
import { toSubprotocol } from '../../../protocol/handshake/preface.js';
import {
  WS_CLIENT_OPTIONS,
  WS_FRAGMENTS_MAX,
  WS_MESSAGE_MAX,
  WebSocketTransport,
} from '../../../daemon/transport/websocket.js';
import { eventually, serve } from '../../helpers/sockets.js';
import { suite, assert } from '../../helpers/suite.js';
import { makeNode } from '../../protocol/handshake/nodes.js';
import { NETWORK_KEYS, Sink, call, station, timers, type Station } from './loopback.js';

const test = suite('the listening port');

async function refusal(addresses: readonly string[]): Promise<WarrenError> {
  try {
    await station({ addresses });
  } catch (error) {
    assert.instance(error, WarrenError);
    return error as WarrenError;
  }
  throw new Error('it listens');
}

test('a taken port is one sentence and a hint, and nothing else stays bound', async () => {
  const taken = await serve(() => undefined);
  const spare = await serve(() => undefined);
  await spare.close();
  const error = await refusal([spare.target, taken.target]);
  assert.is(error.code, 'in-use');
  assert.is(error.message, `Port ${taken.port} on 127.0.0.1 is taken by another program.`);
  assert.match(error.hint ?? '', /port 0/);
  const s = await station({ addresses: [spare.target] });
  assert.is(s.address, spare.target);
  await s.close();
  await taken.close();
});

test('addresses that cannot be bound are refused', async () => {
  assert.is((await refusal(['nonsense'])).code, 'bad-value');
  const foreign = await refusal(['192.0.2.1:0']);
  assert.is(foreign.code, 'bad-value');
  assert.is(foreign.message, 'This host has no address 192.0.2.1.');
  assert.ok(foreign.hint);
});

test('port 0 gives real ports, several addresses are bound in order, none at all is allowed', async () => {
  const s = await station({ addresses: ['127.0.0.1:0', '[::1]:0', '127.0.0.2:0'] });
  assert.is(s.listener.bound.length, 3);
  assert.match(s.listener.bound.join(' '), /^127\.0\.0\.1:[1-9]\d* \[::1\]:[1-9]\d* 127\.0\.0\.2:[1-9]\d*$/);
  for (const address of s.listener.bound) (await call(address)).transport.abort();
  await s.close();
  const port = s.port;
  const both = await station({ addresses: [`0.0.0.0:${port}`, `[::]:${port}`] });
  assert.equal(both.listener.bound, [`0.0.0.0:${port}`, `[::]:${port}`]);
  for (const host of ['127.0.0.1', '[::1]']) (await call(`${host}:${port}`)).transport.abort();
  await both.close();
  const none = await station({ addresses: [] });
  assert.equal(none.listener.bound, []);
  await none.close();
});

test('[::] alone takes IPv4 too, and such a caller is named by its IPv4 address', async () => {
  const s = await station({ addresses: ['[::]:0'] });
  const link = await call(`127.0.0.1:${s.port}`);
  assert.match((await s.link()).address, /^127\.0\.0\.1:\d+$/);
  link.transport.abort();
  await s.close();
});

test('close frees the port at once, drops half-open connections and leaves links alone', async () => {
  const s = await station();
  const link = await call(s.address);
  const accepted = await s.link();
  const stranger = net.connect(s.port, '127.0.0.1');
  await eventually('the stranger holds a place', () => s.listener.halfOpen === 1);
  const gone = new Promise(resolve => stranger.once('close', resolve));
  stranger.on('error', () => undefined);
  await s.listener.close();
  stranger.resume();
  await gone;
  const again = await station({ addresses: [s.address] });
  const sink = new Sink(accepted.transport);
  link.transport.write([Buffer.from('alive')]);
  assert.is((await sink.upTo(5)).toString(), 'alive');
  link.transport.abort();
  await s.close();
  await again.close();
});

test('a receiver that throws loses its link, not the listener', async () => {
  const s = await station({
    onLink: () => {
      throw new Error('on purpose');
    },
  });
  const sink = new Sink((await call(s.address)).transport);
  await sink.until(() => sink.closed !== undefined);
  assert.is(s.lines.filter(line => line.event === 'link-failed').length, 1);
  await s.close();
});

/** A WebSocket whose upgrade proved the secret; nothing of the handshake was sent yet. */
async function proven(s: Station): Promise<{ ws: WebSocket; closed: Promise<void>; initiator: Initiator }> {
  const initiator = new Initiator(makeNode('proven').ctx, { suite: 'ChaChaPoly', psk: NETWORK_KEYS });
  const ws = new WebSocket(`ws://${s.address}/`, toSubprotocol(initiator.preface), { perMessageDeflate: false });
  ws.on('error', () => undefined);
  const closed = new Promise<void>(resolve => ws.once('close', () => resolve()));
  await new Promise(resolve => ws.once('open', resolve));
  return { ws, closed, initiator };
}

const offences: Record<string, (ws: WebSocket) => void> = {
  'a text message': ws => ws.send('hello'),
  'a message beyond the limit': ws => ws.send(Buffer.alloc(WS_MESSAGE_MAX + 1)),
  'a huge message': ws => ws.send(Buffer.alloc(8 * 1024 * 1024)),
  'fragments beyond the limit': ws => {
    for (let i = 0; i <= WS_FRAGMENTS_MAX + 1; i++) ws.send(Buffer.alloc(1), { fin: false });
  },
  'an endless message of tiny fragments': ws => {
    for (let i = 0; i < 10_000; i++) ws.send(Buffer.alloc(0), { fin: false });
  },
};

for (const [what, offend] of Object.entries(offences)) {
  test(`WebSocket: ${what} ends a handshake, with one line in the log`, async () => {
    const s = await station();
    const { ws, closed } = await proven(s);
    offend(ws);
    await closed;
    await eventually('no place is held', () => s.listener.halfOpen === 0);
    assert.is(s.lines.filter(line => line.event === 'handshake-failed').length, 1);
    assert.is(s.accepted.length, 0);
    await s.close();
  });

  test(`WebSocket: ${what} ends a link`, async () => {
    const s = await station();
    const { ws, closed, initiator } = await proven(s);
    const answer = new Promise<Buffer>(resolve => ws.once('message', resolve));
    ws.send(initiator.first());
    const step = initiator.push(await answer);
    assert.is(step.kind, 'established');
    if (step.kind === 'established') ws.send(step.send!);
    const sink = new Sink((await s.link()).transport);
    offend(ws);
    await closed;
    await sink.until(() => sink.closed !== undefined);
    assert.is(sink.bytes, 0);
    await s.close();
  });
}

test('WebSocket: a flood of pings to somebody who does not read the answers ends the link', async () => {
  const s = await station();
  const { ws, initiator } = await proven(s);
  const answer = new Promise<Buffer>(resolve => ws.once('message', resolve));
  ws.send(initiator.first());
  const step = initiator.push(await answer);
  if (step.kind === 'established') ws.send(step.send!);
  const sink = new Sink((await s.link()).transport);
  ws.pause();
  const flood = setInterval(() => {
    for (let i = 0; i < 20_000; i++) ws.ping(Buffer.alloc(125));
  }, 1);
  await sink.until(() => sink.closed !== undefined);
  clearInterval(flood);
  ws.terminate();
  await s.close();
});

test('WebSocket: what the accepting side sends as text or too long ends the dialed link too', async () => {
  for (const offend of [offences['a text message']!, offences['a message beyond the limit']!]) {
    const server = new WebSocketServer({ port: 0, host: '127.0.0.1' });
    await new Promise(resolve => server.once('listening', resolve));
    const { port } = server.address() as net.AddressInfo;
    server.on('connection', ws => offend(ws));
    const socket = net.connect(port, '127.0.0.1');
    await new Promise(resolve => socket.once('connect', resolve));
    const ws = new WebSocket(`ws://127.0.0.1:${port}`, { ...WS_CLIENT_OPTIONS, createConnection: () => socket });
    const sink = await new Promise<Sink>(resolve =>
      ws.once('open', () => resolve(new Sink(new WebSocketTransport(ws, socket, timers)))),
    );
    await sink.until(() => sink.closed !== undefined);
    assert.is(sink.bytes, 0);
    await new Promise(resolve => server.close(resolve));
  }
});

test.run();
