import { execFileSync, spawn } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import http from 'node:http';
import https from 'node:https';
import net from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Duplex } from 'node:stream';
import { NEXT_ADDRESS_MS, connectAny } from '../../../daemon/transport/connect.js';
import { WarrenError } from '../../../protocol/errors.js';
import { eventually, serve } from '../../helpers/sockets.js';
import { suite, assert } from '../../helpers/suite.js';
import { keysOf, makeNode } from '../../protocol/handshake/nodes.js';
import { Sink, call, sameKeys, splitter, station, timers, type Station } from './loopback.js';

const test = suite('dialing');

/** Runs `dialing` and returns the WarrenError it ends with. */
async function failure(dialing: Promise<unknown>): Promise<WarrenError> {
  try {
    await dialing;
  } catch (error) {
    assert.instance(error, WarrenError);
    return error as WarrenError;
  }
  throw new Error('it worked');
}

const sockets = (): number => process.getActiveResourcesInfo().filter(name => /^(TCPSocket|TLS|TCP)/.test(name)).length;

/** An HTTP(S) front that passes upgrades on to the station and answers 200 to the rest. */
async function front(s: Station, server: http.Server): Promise<{ port: number; close(): Promise<void> }> {
  const open = new Set<Duplex>();
  server.on('request', (_request, response) => response.end('hello'));
  server.on('upgrade', (request: http.IncomingMessage, socket: Duplex, head: Buffer) => {
    const behind = net.connect(s.port, '127.0.0.1');
    for (const end of [socket, behind]) {
      open.add(end);
      end.on('error', () => undefined);
      end.on('close', () => {
        socket.destroy();
        behind.destroy();
      });
    }
    const headers = Object.entries(request.headers).map(([name, value]) => `${name}: ${String(value)}\r\n`);
    behind.write(`GET /rewritten HTTP/1.1\r\n${headers.join('')}\r\n`);
    if (head.length > 0) behind.write(head);
    socket.pipe(behind).pipe(socket);
  });
  await new Promise<void>(resolve => server.listen(0, '127.0.0.1', resolve));
  return {
    port: (server.address() as net.AddressInfo).port,
    close: async () => {
      for (const end of open) end.destroy();
      server.closeAllConnections();
      await new Promise(resolve => server.close(resolve));
    },
  };
}

test('HOST:PORT with a web server in front falls back to WebSocket', async () => {
  const s = await station();
  const f = await front(s, http.createServer());
  const link = await call(`127.0.0.1:${f.port}`);
  assert.is(link.transport.kind, 'websocket');
  assert.is(link.address, `127.0.0.1:${f.port}`);
  assert.ok(sameKeys(link.established, (await s.link()).established));
  link.transport.abort();
  await f.close();
  await s.close();
});

test('whatever stands in the way of raw links, WebSocket is tried: a silent one, one that closes', async () => {
  const s = await station();
  for (const manner of ['silent', 'closing'] as const) {
    const filter = await serve(incoming => {
      incoming.once('data', (chunk: Buffer) => {
        if (chunk[0] !== 0x47) {
          if (manner === 'closing') incoming.destroy();
          return;
        }
        const behind = net.connect(s.port, '127.0.0.1');
        behind.on('error', () => undefined);
        behind.write(chunk);
        incoming.pipe(behind).pipe(incoming);
      });
    });
    const start = performance.now();
    const link = await call(filter.target, { rawAnswerMs: manner === 'silent' ? 200 : 60_000 });
    const ms = performance.now() - start;
    assert.is(link.transport.kind, 'websocket');
    assert.ok(manner === 'silent' ? ms >= 200 && ms < 5_000 : ms < 5_000, `${manner}: ${ms} ms`);
    link.transport.abort();
    await filter.close();
  }
  await s.close();
});

test('a host name is looked up, and its addresses are tried until one answers', async () => {
  const s = await station();
  const link = await call(`localhost:${s.port}`);
  assert.is(link.transport.remote, s.address);
  link.transport.abort();
  await s.close();
});

test('an address that refuses gives way to the next one at once', async () => {
  const s = await station();
  const start = performance.now();
  const socket = await connectAny(
    ['127.0.0.2', '127.0.0.3', '127.0.0.1'],
    s.port,
    timers,
    new AbortController().signal,
  );
  assert.ok(performance.now() - start < 4 * NEXT_ADDRESS_MS);
  assert.is(socket.remoteAddress, '127.0.0.1');
  socket.destroy();
  await s.close();
});

test('where nobody is, one sentence says so', async () => {
  const { port, close } = await serve(() => undefined);
  await close();
  for (const scheme of ['', 'ws://', 'wss://']) {
    const error = await failure(call(`${scheme}127.0.0.1:${port}`));
    assert.is(error.code, 'unreachable');
    assert.is(error.message, `127.0.0.1:${port} cannot be reached: connection refused.`);
  }
  const unknown = await failure(call('no-such-host.invalid:7667'));
  assert.is(unknown.code, 'unreachable');
  assert.match(unknown.message, /^no-such-host\.invalid cannot be looked up/);
  assert.is((await failure(call('nonsense'))).code, 'bad-value');
});

test('a daemon of another network looks like a web server that knows nothing', async () => {
  const s = await station({ psks: [keysOf(new Uint8Array(32).fill(9))] });
  const error = await failure(call(s.address));
  assert.is(error.code, 'unreachable');
  assert.is(error.message, `There is no warren of this network at ${s.address}: it answers HTTP 404.`);
  assert.ok(error.hint);
  await s.close();
});

for (const scheme of ['', 'ws://']) {
  const kind = scheme === '' ? 'tcp' : 'websocket';
  test(`${kind}: only the wanted node will do`, async () => {
    const s = await station();
    const other = makeNode('somebody else');
    const error = await failure(call(scheme + s.address, { expect: other.keys.nodeId }));
    assert.match(error.message, /answered instead of/);
    await eventually('the other side saw it', () => s.lines.length > 0);
    assert.is(s.lines.length, 1, 'a warren that answers is not asked again over WebSocket');
    const link = await call(scheme + s.address, { expect: s.node.keys.nodeId });
    link.transport.abort();
    await s.close();
  });

  test(`${kind}: the own node at the other end is refused`, async () => {
    const s = await station();
    const error = await failure(call(scheme + s.address, { context: s.node.ctx }));
    assert.match(error.message, /itself/);
    await s.close();
  });

  test(`${kind}: another version is told to the holder of the secret, and both logs name both`, async () => {
    const s = await station();
    const newer = makeNode('newer');
    newer.ctx.versions = { oldest: 2, newest: 3 };
    const error = await failure(call(scheme + s.address, { context: newer.ctx }));
    assert.is(error.code, 'version');
    assert.match(error.message, /version 1.*versions 2 to 3/);
    const line = s.lines.find(entry => entry.event === 'version-mismatch');
    assert.match(line?.msg ?? '', /version 3.*version 1/);
    await eventually('no place is held', () => s.listener.halfOpen === 0);
    await s.close();
  });

  test(`${kind}: the deadline and the caller's signal end it, and nothing is left`, async () => {
    const before = sockets();
    const silent = await serve(socket => socket.resume().on('end', () => socket.end()));
    const address = scheme + silent.target;
    const late = await failure(call(address, { deadlineMs: 150, rawAnswerMs: 60 }));
    assert.is(late.code, 'timeout');
    assert.match(late.message, /did not answer in 0\.15 s\.$/);
    for (const ms of [0, 1, 5, 50]) {
      const stop = new AbortController();
      setTimeout(() => stop.abort(), ms);
      const error = await failure(call(address, { signal: stop.signal }));
      assert.match(error.message, /was given up\.$/);
    }
    assert.is((await failure(call(address, { signal: AbortSignal.abort() }))).code, 'unreachable');
    await eventually('the server sees them go', () => silent.open() === 0);
    await silent.close();
    await eventually('no socket is left', () => sockets() === before);
    await eventually('no timer is left', () => timers.count === 0);
  });

  test(`${kind}: an abort after the handshake does not touch the link`, async () => {
    const s = await station();
    const stop = new AbortController();
    const link = await call(scheme + s.address, { signal: stop.signal, deadlineMs: 100 + 400 });
    const accepted = await s.link();
    stop.abort();
    await new Promise(resolve => setTimeout(resolve, 600));
    const sink = new Sink(accepted.transport);
    link.transport.write([Buffer.from('still here')]);
    assert.is((await sink.upTo(10)).toString(), 'still here');
    link.transport.abort();
    await s.close();
  });
}

test('odd answers to an upgrade end in one sentence', async () => {
  const answers = [
    'HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n',
    'HTTP/1.1 302 Found\r\nLocation: ws://127.0.0.1:1/\r\nContent-Length: 0\r\n\r\n',
    'HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: x\r\n\r\n',
    'SSH-2.0-OpenSSH_9.2\r\n',
    '',
  ];
  for (const answer of answers) {
    const server = await serve(socket => {
      socket.on('data', () => undefined);
      socket.end(answer);
    });
    const error = await failure(call(`ws://${server.target}`));
    assert.is(error.code, 'unreachable');
    assert.match(error.message, /^There is no warren of this network at ws:\/\/127\.0\.0\.1:\d+\/: [^\n]+\.$/);
    await server.close();
  }
});

/** A throw-away certificate for localhost. */
function certificate(folder: string): { key: Buffer; cert: Buffer } {
  const [key, cert] = [join(folder, 'key.pem'), join(folder, 'cert.pem')];
  const args = ['req', '-x509', '-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:P-256', '-nodes', '-days', '2'];
  const subject = ['-subj', '/CN=localhost', '-addext', 'subjectAltName=DNS:localhost,IP:127.0.0.1'];
  execFileSync('openssl', [...args, ...subject, '-keyout', key, '-out', cert], { stdio: 'ignore' });
  return { key: readFileSync(key), cert: readFileSync(cert) };
}

test(
  'wss:// through a web server; its certificate counts',
  async () => {
    const folder = mkdtempSync(join(tmpdir(), 'warren-tls-'));
    const { key, cert } = certificate(folder);
    rmSync(folder, { recursive: true });
    const s = await station();
    const f = await front(s, https.createServer({ key, cert }));
    for (const host of ['localhost', '127.0.0.1']) {
      const link = await call(`wss://${host}:${f.port}/warren`, { tls: { ca: cert } });
      assert.is(link.transport.kind, 'websocket');
      const accepted = await s.link();
      assert.ok(sameKeys(link.established, accepted.established));
      const sink = new Sink(accepted.transport);
      link.transport.write([Buffer.alloc(200_000, 1)]);
      await sink.upTo(200_000);
      assert.is(sink.bytes, 200_000);
      link.transport.abort();
    }
    const untrusted = await failure(call(`wss://localhost:${f.port}/`));
    assert.is(untrusted.code, 'unreachable');
    assert.match(untrusted.message, /does not complete TLS: .*certificate/);
    const trusting = await call(`wss://localhost:${f.port}/`, { tls: { rejectUnauthorized: false } });
    trusting.transport.abort();
    assert.is((await failure(call(`wss://${s.address}/`, { tls: { ca: cert } }))).code, 'unreachable');
    await f.close();
    await s.close();
  },
  { needs: ['openssl'] },
);

test(
  'nginx with its usual lines for an upgrade passes a link on',
  async () => {
    const s = await station();
    const folder = mkdtempSync(join(tmpdir(), 'warren-nginx-'));
    const spare = await serve(() => undefined);
    const port = spare.port;
    await spare.close();
    const temp = ['client_body', 'proxy', 'fastcgi', 'uwsgi', 'scgi'].map(n => `${n}_temp_path ${folder}/${n};`);
    writeFileSync(
      join(folder, 'nginx.conf'),
      `daemon off; worker_processes 1; pid ${folder}/pid; error_log ${folder}/error.log;
      events {} http { access_log off; ${temp.join(' ')} server { listen 127.0.0.1:${port};
      location / { proxy_pass http://127.0.0.1:${s.port}; proxy_http_version 1.1;
      proxy_set_header Upgrade $http_upgrade; proxy_set_header Connection "upgrade"; } } }`,
    );
    const nginx = spawn('nginx', ['-c', join(folder, 'nginx.conf'), '-p', folder], { stdio: 'ignore' });
    try {
      let link;
      for (let i = 0; link === undefined; i++)
        link = await call(`ws://127.0.0.1:${port}/any/where`).catch(async (error: unknown) => {
          if (i === 50) throw error;
          await new Promise(resolve => setTimeout(resolve, 50));
        });
      const accepted = await s.link();
      assert.ok(sameKeys(link.established, accepted.established));
      const bytes = Buffer.alloc(1_000_000, 7);
      for (const [from, to] of [
        [link, accepted],
        [accepted, link],
      ] as const) {
        // prettier-ignore
        const sink = new Sink(to.transport);
        from.transport.write([bytes]);
        assert.ok((await sink.upTo(bytes.length)).equals(bytes));
      }
      link.transport.abort();
      // A plain HOST:PORT meets nginx, which answers 400 to a raw link, and falls back.
      const plain = await call(`127.0.0.1:${port}`);
      assert.is(plain.transport.kind, 'websocket');
      plain.transport.abort();
    } finally {
      nginx.kill();
      await new Promise(resolve => nginx.once('exit', resolve));
      rmSync(folder, { recursive: true });
    }
    await s.close();
  },
  { needs: ['nginx'] },
);

test('a link that comes in pieces through a slow relay is still one link', async () => {
  const s = await station();
  const relay = await splitter(s.port, 3);
  const link = await call(relay.target);
  assert.is(link.transport.kind, 'tcp');
  link.transport.abort();
  await relay.close();
  await s.close();
});

test.run();
