import { spawn } from 'node:child_process';
import { once } from 'node:events';
import type net from 'node:net';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { suite, assert } from '../../helpers/suite.js';
import { FakeMesh, recordingLog, type FakeNode, type LoggedLine } from '../../helpers/fake-mesh.js';
import { eventually, serve } from '../../helpers/sockets.js';
import { freePort } from '../../helpers/servers.js';
import type { ServiceStream, StreamHandler } from '../../../daemon/services/mesh.js';
import type { Code } from '../../../protocol/codes.js';
import { WarrenError, type ErrorCode } from '../../../protocol/errors.js';

const test = suite('exposed services');

/** A caller's stream that tells what it heard. */
class Call implements StreamHandler {
  heard = '';
  opens = 0;
  ended = false;
  over: { code: Code; dialed: boolean } | undefined;
  stream!: ServiceStream;
  opened(): void {
    this.opens++;
  }
  data(chunk: Uint8Array): void {
    this.heard += Buffer.from(chunk).toString();
    this.stream.consumed(chunk.length);
  }
  fin(): void {
    this.ended = true;
  }
  reset(code: Code, dialed: boolean): void {
    this.over = { code, dialed };
  }
}

interface Lab {
  readonly mesh: FakeMesh;
  readonly host: FakeNode;
  readonly guest: FakeNode;
  readonly lines: LoggedLine[];
  call(service: string): Call;
}

function lab(options: { dialTimeoutMs?: () => number; maxConnections?: number } = {}): Lab {
  const mesh = new FakeMesh();
  const { log, lines } = recordingLog();
  const host = mesh.add('host', { log, ...options });
  const guest = mesh.add('guest');
  const call = (service: string): Call => {
    const made = new Call();
    const metadata = new Map([['source', '127.0.0.1:9']]);
    made.stream = mesh.of(guest).open(host.nodeId, { service, class: 'interactive', metadata }, made);
    return made;
  };
  return { mesh, host, guest, lines, call };
}

function throws(code: ErrorCode, body: () => void): void {
  try {
    body();
  } catch (error) {
    assert.instance(error, WarrenError);
    assert.is((error as WarrenError).code, code);
    assert.ok((error as WarrenError).hint, 'has a hint');
    return;
  }
  assert.unreachable(`should throw ${code}`);
}

const echo = (socket: net.Socket): void => void socket.pipe(socket);

test('a stream reaches the target and ends in both directions', async () => {
  const server = await serve(echo);
  const { host, call } = lab();
  host.exposed.set('Echo', { target: server.target });
  const asked = call('echo');
  asked.stream.write(Buffer.from('early'));
  await eventually('the echo of what came before the dial', () => asked.heard === 'early');
  assert.is(asked.opens, 1);
  asked.stream.end();
  await eventually('the end comes back', () => asked.ended);
  await eventually('nothing is left', () => host.exposed.openStreams === 0 && host.sockets.count === 0);
  const [info] = host.exposed.list();
  assert.equal([info!.name, info!.totalStreams, info!.deniedStreams, info!.failedStreams], ['Echo', 1, 0, 0]);
  await server.close();
});

test('a service that is not there', async () => {
  const { call, lines } = lab();
  const asked = call('nothing');
  await eventually('refused', () => asked.over !== undefined);
  assert.equal(asked.over, { code: 'no-service', dialed: false });
  assert.is(lines[0]!.event, 'stream-no-service');
});

test('a denied caller is reset before anything is dialed; the log says who and why, once in a while', async () => {
  const server = await serve(echo);
  const { host, call, lines } = lab();
  host.exposed.set('db', { target: server.target, allow: ['somebody'] });
  const calls = Array.from({ length: 50 }, () => call('db'));
  await eventually('all refused', () => calls.every(asked => asked.over !== undefined));
  assert.equal(calls[0]!.over, { code: 'denied', dialed: false });
  assert.is(server.taken(), 0);
  assert.is(host.exposed.list()[0]!.deniedStreams, 50);
  assert.is(host.exposed.list()[0]!.totalStreams, 0);
  const told = lines.filter(line => line.event === 'stream-denied');
  assert.is(told.length, 1);
  assert.is(told[0]!.fields.caller, 'guest');
  assert.is(told[0]!.fields.source, '127.0.0.1:9');
  assert.is(told[0]!.fields.why, 'guest matches none of the allowed somebody.');
  await server.close();
});

test('a changed rule ends the streams that it no longer allows, and only those', async () => {
  const server = await serve(echo);
  const { mesh, host, call, lines } = lab();
  const other = mesh.add('other');
  host.exposed.set('db', { target: server.target });
  const asked = [call('db'), call('db')];
  const kept = new Call();
  kept.stream = mesh.of(other).open(host.nodeId, { service: 'db', class: 'bulk' }, kept);
  await eventually('all open', () => [...asked, kept].every(c => c.opens === 1));
  host.exposed.set('db', { target: server.target, deny: ['guest'] });
  await eventually('cut', () => asked.every(c => c.over?.code === 'denied'));
  kept.stream.write(Buffer.from('still here'));
  await eventually('the other goes on', () => kept.heard === 'still here');
  assert.is(kept.over, undefined);
  assert.is(host.exposed.list()[0]!.deniedStreams, 2);
  assert.is(lines.filter(line => line.event === 'stream-denied').length, 1);
  host.exposed.cut('draining');
  await server.close();
});

test('a caller that lost its tag, or its membership, is cut by a recheck', async () => {
  const server = await serve(echo);
  const { host, guest, call } = lab();
  guest.tags = ['ops'];
  host.exposed.set('db', { target: server.target, allow: ['tag:ops'] });
  host.exposed.set('free', { target: server.target });
  const tagged = call('db');
  const free = call('free');
  await eventually('open', () => tagged.opens === 1 && free.opens === 1);
  assert.is(host.exposed.recheck(), 0);
  guest.tags = [];
  assert.is(host.exposed.recheck(), 1);
  await eventually('cut', () => tagged.over?.code === 'denied');
  assert.is(free.over, undefined);
  guest.member = false;
  assert.is(host.exposed.recheck(), 1);
  await eventually('cut', () => free.over?.code === 'denied');
  await server.close();
});

test('removing a service ends its streams', async () => {
  const server = await serve(echo);
  const { host, call } = lab();
  host.exposed.set('db', { target: server.target });
  const asked = call('db');
  await eventually('open', () => asked.opens === 1);
  assert.is(host.exposed.remove('DB'), 1);
  await eventually('cut', () => asked.over?.code === 'no-service');
  assert.is(host.exposed.list().length, 0);
  throws('not-found', () => host.exposed.remove('db'));
  await eventually('no socket is left', () => host.sockets.count === 0);
  await server.close();
});

test('a new target concerns new streams only', async () => {
  const one = await serve(socket => socket.write('one'));
  const two = await serve(socket => socket.write('two'));
  const { host, call } = lab();
  host.exposed.set('x', { target: one.target });
  const first = call('x');
  await eventually('one', () => first.heard === 'one');
  host.exposed.set('x', { target: two.target });
  const second = call('x');
  await eventually('two', () => second.heard === 'two');
  assert.is(first.over, undefined);
  host.exposed.cut('draining');
  await Promise.all([one.close(), two.close()]);
});

test('a target that is down refuses, undialed; once it is up, it serves', async () => {
  const port = await freePort();
  const { host, call, lines } = lab();
  host.exposed.set('late', { target: `127.0.0.1:${port}` });
  const early = call('late');
  early.stream.write(Buffer.from('lost'));
  await eventually('refused', () => early.over !== undefined);
  assert.equal(early.over, { code: 'refused', dialed: false });
  assert.is(early.opens, 0);
  assert.is(lines.find(line => line.event === 'target-failed')?.fields.code, 'ECONNREFUSED');
  assert.is(host.exposed.list()[0]!.failedStreams, 1);
  const server = await serve(echo, port);
  const late = call('late');
  late.stream.write(Buffer.from('hi'));
  await eventually('served', () => late.heard === 'hi');
  host.exposed.cut('draining');
  await server.close();
});

test('a unix target: missing, then there', async () => {
  const folder = mkdtempSync(join(tmpdir(), 'warren-'));
  try {
    const path = join(folder, 'target');
    const { host, call } = lab();
    host.exposed.set('u', { target: `unix:${path}` });
    const early = call('u');
    await eventually('refused', () => early.over !== undefined);
    assert.equal(early.over, { code: 'refused', dialed: false });
    const server = await serve(echo, path);
    const late = call('u');
    late.stream.write(Buffer.from('hi'));
    late.stream.end();
    await eventually('served to the end', () => late.heard === 'hi' && late.ended);
    await server.close();
  } finally {
    rmSync(folder, { recursive: true });
  }
});

test('a target that breaks after it was reached is told as such', async () => {
  const server = await serve(socket => socket.once('data', () => socket.resetAndDestroy()));
  const { host, call } = lab();
  host.exposed.set('x', { target: server.target });
  const asked = call('x');
  await eventually('open', () => asked.opens === 1);
  asked.stream.write(Buffer.from('!'));
  await eventually('over', () => asked.over !== undefined);
  assert.equal(asked.over, { code: 'target-failed', dialed: true });
  await server.close();
});

/** Listens, never accepts, and fills its own backlog: the kernel drops what else asks for a connection. */
const DEAF_SERVER = `
import socket, sys
s = socket.socket()
s.bind(("127.0.0.1", 0))
s.listen(0)
held = []
for _ in range(4):
    c = socket.socket()
    c.setblocking(False)
    c.connect_ex(s.getsockname())
    held.append(c)
print(s.getsockname()[1], flush=True)
sys.stdin.readline()
`;

test(
  'a target that never answers: dial-timeout',
  async () => {
    const deaf = spawn('python3', ['-c', DEAF_SERVER], { stdio: ['pipe', 'pipe', 'inherit'] });
    const [port] = (await once(deaf.stdout, 'data')) as [Buffer];
    const { mesh, host, call, lines } = lab({ dialTimeoutMs: () => 80 });
    host.exposed.set('x', { target: `127.0.0.1:${port.toString().trim()}` });
    const asked = call('x');
    await eventually('over', () => asked.over !== undefined);
    assert.equal(asked.over, { code: 'dial-timeout', dialed: true });
    assert.match(lines.find(line => line.event === 'target-failed')!.msg, 'no answer in time');
    await eventually('nothing is left', () => host.sockets.count === 0 && mesh.timers.count === 0);
    deaf.stdin.end();
  },
  { needs: ['python3'] },
);

test('a caller that goes away while the target is being dialed leaves nothing behind', async () => {
  const server = await serve(echo);
  const { mesh, host, call } = lab();
  host.exposed.set('x', { target: server.target });
  for (let i = 0; i < 20; i++) {
    const asked = call('x');
    await new Promise(resolve => process.nextTick(resolve));
    asked.stream.reset('caller-gone');
  }
  await eventually('nothing is left', () => host.exposed.openStreams === 0 && host.sockets.count === 0);
  assert.is(mesh.timers.count, 0);
  await server.close();
});

test('connections beyond the limit are refused and counted', async () => {
  const server = await serve(echo);
  const { host, call } = lab({ maxConnections: 2 });
  host.exposed.set('x', { target: server.target });
  const calls = [call('x'), call('x'), call('x')];
  await eventually('one refused', () => calls[2]!.over !== undefined);
  assert.equal(calls[2]!.over, { code: 'limit', dialed: false });
  assert.is(host.exposed.list()[0]!.failedStreams, 1);
  calls[0]!.stream.reset('caller-gone');
  await eventually('room again', () => host.exposed.openStreams === 1);
  const again = call('x');
  await eventually('open', () => again.opens === 1);
  host.exposed.cut('draining');
  await server.close();
});

test('draining refuses new streams and waits for the open ones', async () => {
  const server = await serve(echo);
  const { host, call } = lab();
  host.exposed.set('x', { target: server.target });
  const open = call('x');
  await eventually('open', () => open.opens === 1);
  let drained = false;
  const drain = host.exposed.drain().then(() => (drained = true));
  const late = call('x');
  await eventually('refused', () => late.over !== undefined);
  assert.equal(late.over, { code: 'draining', dialed: false });
  open.stream.write(Buffer.from('still'));
  await eventually('served', () => open.heard === 'still');
  assert.is(drained, false);
  open.stream.end();
  await drain;
  await server.close();
});

test('definitions are checked before anything changes', () => {
  const { host } = lab();
  const { exposed } = host;
  exposed.add('x', { target: '80', version: '1', tags: ['t'] });
  throws('exists', () => exposed.add('X', { target: '81' }));
  throws('bad-value', () => exposed.set('x', { target: 'nowhere' }));
  throws('bad-value', () => exposed.set('x', { target: '81', allow: ['a b'] }));
  throws('bad-value', () => exposed.set('a/b', { target: '81' }));
  throws('bad-value', () => exposed.add('y', { target: 'udp:53' }));
  assert.equal(exposed.list(), [
    {
      name: 'x',
      target: '127.0.0.1:80',
      version: '1',
      description: null,
      tags: ['t'],
      allow: [],
      deny: [],
      openStreams: 0,
      totalStreams: 0,
      deniedStreams: 0,
      failedStreams: 0,
    },
  ]);
  for (let i = 1; i < 64; i++) exposed.add(`s${i}`, { target: '80' });
  throws('limit', () => exposed.add('one-more', { target: '80' }));
  exposed.set('S1', { target: '81' });
  assert.is(exposed.list().length, 64);
});

test.run();
