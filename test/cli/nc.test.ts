/** `warren nc`: bytes both ways, each direction ended on its own, refusals with their exit code. */
import { createHash, randomBytes } from 'node:crypto';
import type { Socket } from 'node:net';
import { assert, full, suite } from '../helpers/suite.js';
import { eventually } from '../helpers/sockets.js';
import { FakeDaemon, streamLine } from './fake-daemon.js';
import { finished, runCli, runHere, startCli } from './run-cli.js';

const test = suite('cli: nc');
let daemon: FakeDaemon;
test.before(async () => {
  daemon = await new FakeDaemon().start();
});
test.after(() => daemon.stop());

const SWITCHING = 'HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: warren-stream\r\n\r\n';

/** The next stream is taken; its socket ends its directions one by one. */
function serve(take: (socket: Socket) => void, first = ''): void {
  daemon.stream = socket => {
    socket.allowHalfOpen = true;
    socket.write(SWITCHING + first);
    take(socket);
  };
}

async function readAll(socket: Socket): Promise<Buffer> {
  const chunks: Buffer[] = [];
  await new Promise<void>(resolve => {
    socket.on('data', (chunk: Buffer) => chunks.push(chunk));
    socket.on('end', resolve);
  });
  return Buffer.concat(chunks);
}

test('the end of stdin is passed on, the answer comes after it', async () => {
  serve(socket => void readAll(socket).then(request => socket.end(`answer to ${request.toString()}`)));
  const result = await runCli(['nc', 'echo', '--home', daemon.home], { stdin: 'the question' });
  assert.is(result.status, 0, result.stderr);
  assert.is(result.stdout, 'answer to the question');
  assert.is(result.stderr, '');
  assert.equal(daemon.asked.at(-1), { line: streamLine('echo'), body: 'warren-stream' });
});

test('bytes that come with the reply are not lost', async () => {
  serve(socket => void readAll(socket).then(() => socket.end('second')), 'first ');
  const result = await runCli(['nc', 'greeter', '--home', daemon.home]);
  assert.is(result.stdout, 'first second');
});

test('it ends when the service closes, also while stdin stays open', async () => {
  serve(socket => socket.end('bye\n'));
  const child = startCli(['nc', 'daytime', '--home', daemon.home]);
  const result = await finished(child);
  assert.is(result.status, 0, result.stderr);
  assert.is(result.stdout, 'bye\n');
});

test('a service that ends its direction first still gets all of the input', async () => {
  const size = full(4, 64) * 1024 * 1024;
  const bytes = randomBytes(size);
  let got: Buffer | undefined;
  serve(socket => {
    socket.end();
    void readAll(socket).then(all => (got = all));
  });
  const result = await runCli(['nc', 'upload', '--home', daemon.home], { stdin: bytes });
  assert.is(result.status, 0, result.stderr);
  await eventually('the service has read to the end', () => got !== undefined);
  assert.ok(got?.equals(bytes));
});

test('large amounts both ways at once arrive whole', async () => {
  const bytes = randomBytes(full(8, 128) * 1024 * 1024);
  const hash = createHash('sha256');
  serve(socket => {
    socket.write(bytes);
    socket.on('data', (chunk: Buffer) => hash.update(chunk));
    socket.on('end', () => socket.end());
  });
  const child = startCli(['nc', 'bulk', '--home', daemon.home]);
  const back = createHash('sha256');
  child.stdout.on('data', (chunk: Buffer) => back.update(chunk));
  child.stdin.end(bytes);
  const status = await new Promise(resolve => child.on('close', resolve));
  assert.is(status, 0);
  const sent = createHash('sha256').update(bytes).digest('hex');
  assert.is(back.digest('hex'), sent);
  assert.is(hash.digest('hex'), sent);
});

test('refused: 4 when denied, 1 when there is no such service, nothing on stdout', async () => {
  for (const [code, http, status] of [
    ['denied', 403, 4],
    ['not-found', 404, 1],
    ['unreachable', 502, 1],
  ] as const) {
    daemon.stream = socket => {
      const body = JSON.stringify({ apiVersion: 1, error: { code, message: 'no', hint: 'ask' } });
      socket.end(`HTTP/1.1 ${http} No\r\nContent-Length: ${body.length}\r\nConnection: close\r\n\r\n${body}`);
    };
    const result = await runHere(['nc', 'secret', '--home', daemon.home], { stdin: 'lost' });
    assert.is(result.status, status);
    assert.is(result.stdout, '');
    assert.is(result.stderr, 'warren: no\nhint: ask\n');
  }
});

test('a stream that broke without a sign is told by the daemon; one that ended is none', async () => {
  const serveNumbered = (id: number): void => {
    daemon.stream = socket => {
      socket.write(SWITCHING.replace(/\r\n$/, `Warren-Stream: ${id}\r\n\r\n`));
      socket.end('half');
    };
  };
  const broken = { code: 'denied', message: 'the connection to x broke: its rules', hint: 'ask' };
  for (const [id, reply, exit, stderr] of [
    [7, { ended: true, error: broken }, 4, 'warren: the connection to x broke: its rules\nhint: ask\n'],
    [8, { ended: true, error: null }, 0, ''],
    [9, { ended: false, error: null }, 0, ''],
  ] as const) {
    serveNumbered(id);
    daemon.on(`GET /v1/stream-ends/${id}`, { apiVersion: 1, ...reply });
    const result = await runHere(['nc', 'x', '--home', daemon.home], { stdin: '' });
    assert.equal([result.status, result.stdout, result.stderr], [exit, 'half', stderr]);
  }
  serveNumbered(10);
  assert.is((await runHere(['nc', 'x', '--home', daemon.home], { stdin: '' })).status, 0, 'too long ago');
});

test('a stream that breaks is a failure', async () => {
  serve(socket => {
    socket.write('half');
    // Unread input makes the end of a unix socket a reset.
    socket.pause();
    setTimeout(() => socket.destroy(), 200);
  });
  const result = await runCli(['nc', 'breaks', '--home', daemon.home], { stdin: randomBytes(1024 * 1024) });
  assert.is(result.status, 1);
  assert.match(result.stderr, /the connection to breaks broke/);
});

test('130 when interrupted', async () => {
  let open = false;
  serve(() => (open = true));
  const child = startCli(['nc', 'silent', '--home', daemon.home]);
  const done = finished(child);
  await eventually('the stream is open', () => open);
  child.kill('SIGINT');
  assert.is((await done).status, 130);
});

test.run();
