import net from 'node:net';
import { once } from 'node:events';
import { existsSync, mkdtempSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { suite, assert, full } from '../../helpers/suite.js';
import { FakeMesh, recordingLog, type FakeNode, type LoggedLine } from '../../helpers/fake-mesh.js';
import { dialText, eventually, readAll, serve } from '../../helpers/sockets.js';
import { Tunnels, type TunnelsOptions } from '../../../daemon/services/tunnels.js';
import type { StreamHandler } from '../../../daemon/services/mesh.js';
import { WarrenError, type ErrorCode } from '../../../protocol/errors.js';
import type { Code } from '../../../protocol/codes.js';

const test = suite('tunnels');

interface Lab {
  readonly mesh: FakeMesh;
  /** where the tunnels are */
  readonly here: FakeNode;
  readonly tunnels: Tunnels;
  readonly lines: LoggedLine[];
}

function lab(options: Partial<TunnelsOptions> = {}): Lab {
  const mesh = new FakeMesh();
  const here = mesh.add('here');
  const { log, lines } = recordingLog();
  const { timers } = mesh;
  const local = here.exposed.incoming;
  const tunnels = new Tunnels({ mesh: mesh.of(here), local, timers, log, sockets: here.sockets, ...options });
  return { mesh, here, tunnels, lines };
}

async function ask(where: string, text: string): Promise<string> {
  const socket = await dialText(where);
  const answer = readAll(socket);
  socket.end(text);
  const { bytes, how } = await answer;
  return how === 'end' ? bytes.toString() : how;
}

/** A connection that is expected to be refused: accepted, then reset. */
async function refused(where: string): Promise<string> {
  const socket = net.connect({ port: Number(where.split(':').at(-1)), host: '127.0.0.1' });
  socket.on('error', () => undefined);
  const ended = readAll(socket);
  return (await ended).how;
}

async function rejects(code: ErrorCode, promise: Promise<unknown>): Promise<WarrenError> {
  try {
    await promise;
  } catch (error) {
    assert.instance(error, WarrenError);
    assert.is((error as WarrenError).code, code);
    assert.ok((error as WarrenError).hint, 'has a hint');
    return error as WarrenError;
  }
  throw new Error(`should be rejected with ${code}`);
}

const echo = (socket: net.Socket): void => void socket.pipe(socket);

/** Answers every question with the question and a name, then ends. */
function named(name: string): (socket: net.Socket) => void {
  return socket => {
    let heard = '';
    socket.on('data', (chunk: Buffer) => (heard += chunk.toString()));
    socket.once('end', () => socket.end(`${name}:${heard}`));
  };
}

test('a tunnel leads to the service; a free port is told', async () => {
  const server = await serve(named('s'));
  const { mesh, tunnels, here } = lab();
  const there = mesh.add('there');
  there.exposed.set('echo', { target: server.target });
  const info = await tunnels.open('echo');
  assert.match(info.listen, /^127\.0\.0\.1:[1-9]\d*$/);
  assert.is(info.state, 'listening');
  assert.is(await ask(info.listen, 'hello'), 's:hello');
  await eventually('nothing is left', () => here.sockets.count === 0 && there.sockets.count === 0);
  const [after] = tunnels.list();
  assert.equal([after!.totalStreams, after!.openStreams, after!.failed, after!.denied], [1, 0, 0, 0]);
  assert.equal([after!.bytesSent, after!.bytesReceived], [5, 7]);
  tunnels.cut('draining');
  await server.close();
});

test('a waiting tunnel refuses, and works when the service appears', async () => {
  const server = await serve(named('s'));
  const { mesh, tunnels, lines } = lab();
  const there = mesh.add('there');
  const { listen, state } = await tunnels.open('later');
  assert.is(state, 'waiting');
  assert.is(await refused(listen), 'ECONNRESET');
  assert.is(tunnels.list()[0]!.failed, 1);
  assert.is(lines.filter(line => line.event === 'tunnel-connection-failed').length, 1);
  there.exposed.set('Later', { target: server.target });
  assert.is(tunnels.list()[0]!.state, 'listening');
  there.reachable = false;
  assert.is(tunnels.list()[0]!.state, 'unreachable');
  there.reachable = true;
  assert.is(tunnels.list()[0]!.state, 'listening');
  assert.is(await ask(listen, 'x'), 's:x');
  tunnels.cut('draining');
  await server.close();
});

test('a denied caller is reset and counted', async () => {
  const server = await serve(echo);
  const { mesh, tunnels } = lab();
  mesh.add('there').exposed.set('db', { target: server.target, deny: ['here'] });
  const { listen } = await tunnels.open('db');
  assert.is(await refused(listen), 'ECONNRESET');
  const [info] = tunnels.list();
  assert.equal([info!.denied, info!.failed], [1, 0]);
  tunnels.cut('draining');
  await server.close();
});

test('a rule that changes cuts the connection, counted as denied', async () => {
  const server = await serve(echo);
  const { mesh, tunnels } = lab();
  const there = mesh.add('there');
  there.exposed.set('db', { target: server.target });
  const { listen } = await tunnels.open('db');
  const client = await dialText(listen);
  const ended = readAll(client);
  client.write('x');
  await eventually('it works', () => tunnels.list()[0]!.bytesReceived === 1);
  there.exposed.set('db', { target: server.target, allow: ['other'] });
  assert.is((await ended).how, 'ECONNRESET');
  assert.is(tunnels.list()[0]!.denied, 1);
  tunnels.cut('draining');
  await server.close();
});

test('instances take turns, the busier one is spared', async () => {
  const servers = await Promise.all(['a', 'b', 'c'].map(name => serve(named(name))));
  const { mesh, tunnels } = lab();
  const nodes = servers.map((server, i) => {
    const node = mesh.add(`n${i}`);
    node.exposed.set('x', { target: server.target });
    return node;
  });
  const { listen } = await tunnels.open('x');
  for (let i = 0; i < 6; i++) await ask(listen, 'x');
  assert.equal(
    nodes.map(node => node.opened),
    [2, 2, 2],
  );
  nodes[0]!.openStreams = 5;
  nodes[1]!.reachable = false;
  for (let i = 0; i < 4; i++) assert.is(await ask(listen, 'x'), 'c:x');
  tunnels.cut('draining');
  await Promise.all(servers.map(server => server.close()));
});

test('the next instance is asked when the first certainly did not reach its target, with every byte', async () => {
  const server = await serve(named('good'));
  const refusals: Code[] = ['no-service', 'denied', 'refused', 'limit', 'draining'];
  // The session with it ended before the open had left this node.
  refusals.push('going-away', 'peer-restarted', 'grace-over', 'removed');
  for (const code of refusals) {
    const { mesh, tunnels } = lab();
    const bad = mesh.add('bad');
    // Refuses late, when bytes have come already.
    bad.answer = (stream): StreamHandler => {
      setTimeout(() => stream.reset(code, false), 30);
      return { data: () => undefined, fin: () => undefined, reset: () => undefined };
    };
    const good = mesh.add('good');
    good.openStreams = 1;
    good.exposed.set('x', { target: server.target });
    const { listen } = await tunnels.open('x');
    assert.is(await ask(listen, 'kept'), 'good:kept', code);
    assert.equal([bad.opened, good.opened], [1, 1]);
    assert.equal([tunnels.list()[0]!.failed, tunnels.list()[0]!.denied], [0, 0]);
    tunnels.cut('draining');
  }
  await server.close();
});

test('no second instance is asked when the target may have been reached, or for any other code', async () => {
  const cases: readonly [Code, boolean][] = [
    ['refused', true],
    ['target-failed', true],
    ['target-failed', false],
    ['grace-over', true],
    ['peer-restarted', true],
    ['going-away', true],
    ['draining', true],
  ];
  for (const [code, dialed] of cases) {
    const { mesh, tunnels } = lab();
    mesh.add('bad').answer = (stream): Code | StreamHandler => {
      setTimeout(() => stream.reset(code, dialed), 5);
      return { data: () => undefined, fin: () => undefined, reset: () => undefined };
    };
    const good = mesh.add('good');
    good.openStreams = 1;
    good.answer = () => 'no-service';
    const { listen } = await tunnels.open('x');
    assert.is(await refused(listen), 'ECONNRESET');
    assert.is(good.opened, 0, `${code} ${dialed}`);
    assert.is(tunnels.list()[0]!.failed, 1);
    tunnels.cut('draining');
  }
});

test('an unreachable instance is passed over; when all are, the caller is reset', async () => {
  const server = await serve(named('s'));
  const { mesh, tunnels, lines } = lab();
  const down = mesh.add('down');
  down.exposed.set('x', { target: server.target });
  down.reachable = false;
  const { listen } = await tunnels.open('x');
  assert.is(await refused(listen), 'ECONNRESET');
  const [line] = lines.filter(l => l.event === 'tunnel-connection-failed');
  assert.is(line!.fields.instance, 'down');
  mesh.add('up').exposed.set('x', { target: server.target });
  assert.is(await ask(listen, 'x'), 's:x');
  tunnels.cut('draining');
  await server.close();
});

test('a service of this node itself is reached without the network, by the same rules', async () => {
  const server = await serve(named('own'));
  const { here, tunnels } = lab();
  here.exposed.set('x', { target: server.target });
  const { listen } = await tunnels.open('x');
  assert.is(await ask(listen, 'hi'), 'own:hi');
  assert.is(here.opened, 0);
  here.exposed.set('x', { target: server.target, deny: ['here'] });
  assert.is(await refused(listen), 'ECONNRESET');
  assert.is(tunnels.list()[0]!.denied, 1);
  tunnels.cut('draining');
  await server.close();
});

test('a taken port, a second tunnel to one listener, an unknown service', async () => {
  const { tunnels } = lab();
  const server = await serve(echo);
  const error = await rejects('in-use', tunnels.open('x', server.target));
  assert.match(error.message, server.target);
  assert.is(tunnels.list().length, 0);
  const { listen } = await tunnels.open('x');
  await rejects('exists', tunnels.open('X', listen));
  await rejects('exists', tunnels.open('x'));
  await rejects('in-use', tunnels.open('y', listen));
  await tunnels.open('x', '127.0.0.1:0');
  assert.is(tunnels.list().length, 2);
  await rejects('bad-value', tunnels.open('y', 'nowhere'));
  await rejects('bad-value', tunnels.open('y', '203.0.113.1:0'));
  await rejects('bad-value', tunnels.open('a b'));
  assert.is(tunnels.close('x', listen), 0);
  assert.is(tunnels.close('x'), 0);
  await rejects(
    'not-found',
    Promise.resolve().then(() => tunnels.close('x')),
  );
  await server.close();
});

test('a tunnel of the config whose port is taken fails, and recovers when the port is free', async () => {
  const { tunnels, mesh } = lab({ listenRetryMs: 20 });
  const blocker = await serve(echo);
  const info = await tunnels.restore('x', blocker.target);
  assert.is(info.state, 'failed');
  assert.match(info.problem!, 'in use');
  await blocker.close();
  await eventually('it listens', () => tunnels.list()[0]!.state === 'waiting');
  assert.is(tunnels.list()[0]!.problem, null);
  tunnels.close('x');
  assert.is(mesh.timers.count, 0);
});

test('closing a tunnel ends its connections and frees its port', async () => {
  const server = await serve(echo);
  const { mesh, tunnels } = lab();
  mesh.add('there').exposed.set('x', { target: server.target });
  const { listen } = await tunnels.open('x');
  const client = await dialText(listen);
  const ended = readAll(client);
  await eventually('open', () => server.open() === 1);
  assert.is(tunnels.close('x'), 1);
  assert.is((await ended).how, 'ECONNRESET');
  await eventually('the target hears it', () => server.open() === 0);
  await tunnels.open('x', listen);
  tunnels.cut('draining');
  await server.close();
});

test('draining stops listening and waits for what is open', async () => {
  const server = await serve(named('s'));
  const { mesh, tunnels } = lab();
  mesh.add('there').exposed.set('x', { target: server.target });
  const { listen } = await tunnels.open('x');
  const client = await dialText(listen);
  const answer = readAll(client);
  await eventually('open', () => server.open() === 1);
  let done = false;
  const drained = tunnels.drain().then(() => (done = true));
  const late = net.connect({ port: Number(listen.split(':')[1]), host: '127.0.0.1' });
  const [error] = (await once(late, 'error')) as [NodeJS.ErrnoException];
  assert.is(error.code, 'ECONNREFUSED');
  assert.is(done, false);
  client.end('bye');
  assert.is((await answer).bytes.toString(), 's:bye');
  await drained;
  await server.close();
});

test('a unix listener: mode 0600, stale file taken over, a live one and a plain file left alone', async () => {
  const folder = mkdtempSync(join(tmpdir(), 'warren-'));
  const before = process.umask(0);
  try {
    const server = await serve(named('s'));
    const { mesh, tunnels } = lab();
    mesh.add('there').exposed.set('x', { target: server.target });
    const path = join(folder, 'sock');
    const { listen } = await tunnels.open('x', `unix:${path}`);
    assert.is(listen, `unix:${path}`);
    assert.is(statSync(path).mode & 0o777, 0o600);
    assert.is(process.umask(), 0, 'the umask is back');
    assert.is(await ask(listen, 'q'), 's:q');
    await rejects('in-use', tunnels.open('y', `unix:${path}`));
    assert.is(await ask(listen, 'q'), 's:q', 'it was left alone');
    tunnels.close('x');
    await eventually('its file is gone', () => !existsSync(path));

    // What a killed daemon leaves: a socket file on which nobody listens.
    const leftover = net.createServer().listen(join(folder, 'old'));
    await once(leftover, 'listening');
    const { rename } = await import('node:fs/promises');
    await rename(join(folder, 'old'), path);
    leftover.close();
    await once(leftover, 'close');
    assert.ok(existsSync(path));
    await tunnels.open('x', `unix:${path}`);
    assert.is(await ask(`unix:${path}`, 'q'), 's:q');

    writeFileSync(join(folder, 'file'), 'precious');
    const error = await rejects('in-use', tunnels.open('y', `unix:${folder}/file`));
    assert.match(error.message, 'no socket');
    assert.ok(existsSync(join(folder, 'file')));
    const missing = await rejects('bad-value', tunnels.open('y', `unix:${folder}/missing/sock`));
    assert.match(missing.message, /folder of .* does not exist/);
    await rejects('bad-value', tunnels.open('y', `unix:/${'x'.repeat(200)}`));
    tunnels.cut('draining');
    await server.close();
  } finally {
    process.umask(before);
    rmSync(folder, { recursive: true });
  }
});

test('connections beyond the limit are reset and counted', async () => {
  const server = await serve(echo);
  const { mesh, tunnels } = lab({ maxConnections: 1 });
  mesh.add('there').exposed.set('x', { target: server.target });
  const { listen } = await tunnels.open('x');
  const client = await dialText(listen);
  client.on('error', () => undefined);
  await eventually('open', () => server.open() === 1);
  assert.is(await refused(listen), 'ECONNRESET');
  assert.is(tunnels.list()[0]!.failed, 1);
  tunnels.cut('draining');
  await server.close();
});

test('many connections at once, each with its own bytes', async () => {
  const server = await serve(echo);
  const { mesh, tunnels, here } = lab();
  const there = mesh.add('there');
  there.exposed.set('x', { target: server.target });
  const { listen } = await tunnels.open('x');
  const count = full(500, 2000);
  const clients = await Promise.all(Array.from({ length: count }, () => dialText(listen)));
  await eventually('all are open', () => server.open() === count, 15_000);
  const answers = clients.map(client => readAll(client));
  clients.forEach((client, i) => client.end(`number ${i} `.repeat(100)));
  const all = await Promise.all(answers);
  all.forEach(({ bytes, how }, i) => {
    assert.is(how, 'end');
    assert.is(bytes.toString(), `number ${i} `.repeat(100));
  });
  await eventually('nothing is left', () => here.sockets.count === 0 && there.sockets.count === 0);
  assert.equal([tunnels.openStreams, there.exposed.openStreams], [0, 0]);
  tunnels.cut('draining');
  await server.close();
});

test('short connections leave nothing behind', async () => {
  const server = await serve(named('s'));
  const { mesh, tunnels, here } = lab();
  const there = mesh.add('there');
  there.exposed.set('x', { target: server.target });
  const { listen } = await tunnels.open('x');
  const total = full(1000, 20_000);
  let started = 0;
  const worker = async (): Promise<void> => {
    while (started++ < total) {
      const [text, how] = started % 5 === 0 ? ['', 'reset'] : ['hi', 'ask'];
      if (how === 'ask') assert.is(await ask(listen, text), 's:hi');
      else (await dialText(listen)).on('error', () => undefined).resetAndDestroy();
    }
  };
  await Promise.all(Array.from({ length: 16 }, worker));
  await eventually('nothing is left', () => here.sockets.count === 0 && there.sockets.count === 0);
  await eventually('no stream is left', () => tunnels.openStreams + there.exposed.openStreams === 0);
  assert.is(mesh.timers.count, 0);
  assert.is(tunnels.list()[0]!.failed, 0);
  tunnels.cut('draining');
  await server.close();
});

test.run();
