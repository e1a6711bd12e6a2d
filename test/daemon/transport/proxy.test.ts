import { execFileSync, spawn } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import type http from 'node:http';
import https from 'node:https';
import net from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Scope } from '../../../daemon/transport/scope.js';
import { parseProxy } from '../../../daemon/transport/proxy-choice.js';
import { PROXY_HEADER_MAX, ProxyPath } from '../../../daemon/transport/proxy.js';
import { WarrenError } from '../../../protocol/errors.js';
import { until } from '../../helpers/hosts.js';
import { answers } from '../../helpers/servers.js';
import { startProxy, type TestProxy, type TestProxyOptions } from '../../helpers/proxy.js';
import { eventually, serve } from '../../helpers/sockets.js';
import { assert, suite } from '../../helpers/suite.js';
import { Sink, call, sameKeys, station, timers, type Station } from './loopback.js';

const test = suite('dialing through a proxy');

/** Ends every test with nothing left open. */
async function withProxy(
  options: (s: Station) => TestProxyOptions,
  use: (proxy: TestProxy, s: Station) => Promise<void>,
): Promise<void> {
  const s = await station();
  const proxy = await startProxy(options(s));
  try {
    await use(proxy, s);
  } finally {
    await proxy.close();
    await s.close();
  }
}

/** Dials as a node whose config names this proxy. */
function through(proxy: { readonly port: number }, address: string, more: Parameters<typeof call>[1] = {}, user = '') {
  const chosen = parseProxy(`http://${user}127.0.0.1:${proxy.port}`);
  return call(address, { proxy: () => chosen, ...more });
}

async function failure(dialing: Promise<unknown>): Promise<WarrenError> {
  try {
    await dialing;
  } catch (error) {
    assert.instance(error, WarrenError);
    return error as WarrenError;
  }
  throw new Error('it worked');
}

for (const [address, kind] of [
  ['peer.test:7667', 'tcp'],
  ['ws://peer.test:7667/warren', 'websocket'],
] as const)
  test(`${address}: a link stands, the proxy looks the name up, and bytes pass both ways`, () =>
    withProxy(
      s => ({ routes: { 'peer.test:7667': s.port } }),
      async (proxy, s) => {
        const link = await through(proxy, address);
        const accepted = await s.link();
        assert.is(link.transport.kind, kind);
        assert.is(link.address, address);
        assert.ok(sameKeys(link.established, accepted.established));
        const bytes = Buffer.alloc(300_000, 7);
        for (const [from, to] of [
          [link, accepted],
          [accepted, link],
        ] as const) {
          // prettier-ignore
          const sink = new Sink(to.transport);
          from.transport.write([bytes]);
          assert.ok((await sink.upTo(bytes.length)).equals(bytes));
        }
        assert.equal(proxy.requests, [{ target: 'peer.test:7667', authorization: undefined, connection: 1 }]);
        link.transport.abort();
        await eventually('the tunnel is gone', () => proxy.open() === 0);
      },
    ));

test('no credentials are sent before they are asked for; with them a link stands, whatever the proxy does after 407', async () => {
  for (const after407 of ['close', 'keep'] as const)
    await withProxy(
      s => ({ routes: { 'peer.test:80': s.port }, credentials: 'jürgen:p@ss:wörd/%', after407 }),
      async proxy => {
        const user = `${encodeURIComponent('jürgen')}:${encodeURIComponent('p@ss:wörd/%')}@`;
        const link = await through(proxy, 'ws://peer.test/', {}, user);
        assert.equal(
          proxy.requests.map(r => [r.connection, r.authorization !== undefined]),
          [
            [1, false],
            [2, true],
          ],
        );
        link.transport.abort();
        await eventually('both connections are gone', () => proxy.open() === 0);
      },
    );
});

test('HOST:PORT with a web server behind the proxy falls back to WebSocket, asked for credentials once', async () => {
  const s = await station();
  const front = await serve(incoming => {
    incoming.once('data', (chunk: Buffer) => {
      if (chunk[0] !== 0x47) return incoming.destroy();
      const behind = net.connect(s.port, '127.0.0.1');
      behind.on('error', () => undefined);
      behind.write(chunk);
      return incoming.pipe(behind).pipe(incoming);
    });
  });
  const proxy = await startProxy({ routes: { 'peer.test:8080': front.port }, credentials: 'u:p' });
  const link = await through(proxy, 'peer.test:8080', {}, 'u:p@');
  assert.is(link.transport.kind, 'websocket');
  assert.equal(
    proxy.requests.map(r => r.authorization !== undefined),
    [false, true, true],
  );
  link.transport.abort();
  await proxy.close();
  await front.close();
  await s.close();
});

test('what comes behind the answer of the proxy is not lost, however it is cut', async () => {
  const greeting = 'the target speaks first';
  const answer = `HTTP/1.1 200 OK\r\nX-Cache: none\r\n\r\n${greeting}`;
  for (const cuts of [[answer.length], [answer.length - greeting.length], [5, 30, 36, 40]]) {
    const proxy = await startProxy({
      routes: {},
      answer: (_, socket) => {
        void (async () => {
          let at = 0;
          for (const cut of [...cuts, answer.length]) {
            socket.write(answer.slice(at, cut));
            at = cut;
            await new Promise(resolve => setTimeout(resolve, 10));
          }
        })();
      },
    });
    const scope = new Scope({ name: 'x', deadlineMs: 5_000, timers });
    const target = { host: 'peer.test', port: 1 };
    const path = new ProxyPath({ proxy: parseProxy(`http://127.0.0.1:${proxy.port}`), target, timers });
    const socket = await path.connect(scope);
    let got = '';
    socket.on('data', (chunk: Buffer) => (got += chunk.toString()));
    await eventually('all is there', () => got === greeting);
    scope.end();
    socket.destroy();
    await proxy.close();
  }
});

const FAILURES: readonly (readonly [name: string, answer: string, sentence: RegExp, user?: string])[] = [
  [
    '403',
    'HTTP/1.1 403 Forbidden\r\nContent-Length: 2\r\n\r\nno',
    /it refuses to connect to peer\.test:80 \(HTTP 403\)/,
  ],
  ['502', 'HTTP/1.1 502 Bad Gateway\r\n\r\n', /it could not reach peer\.test:80 \(HTTP 502\)/],
  ['a redirect', 'HTTP/1.1 302 Found\r\nLocation: http://x/\r\n\r\n', /refuses.*\(HTTP 302\)/],
  ['407 without credentials', CHALLENGE('Basic realm="x"'), /it wants a user name and password/],
  ['407 with wrong ones', CHALLENGE('Digest realm="a, Basic b", Basic realm="x"'), /does not accept/, 'u:secret@'],
  ['another login', CHALLENGE('Negotiate, NTLM'), /of another kind than Basic \(Negotiate, NTLM\)/, 'u:secret@'],
  ['a Basic that is only in a text', CHALLENGE('Digest realm=", Basic "'), /than Basic \(Digest\)/, 'u:secret@'],
  ['407 that says nothing', 'HTTP/1.1 407 X\r\n\r\n', /of another kind than Basic\./, 'u:secret@'],
  ['no HTTP', 'SSH-2.0-OpenSSH_9.2\r\n', /what answers there is no HTTP proxy/],
  ['nothing', '', /it closed the connection without an answer/],
  ['half an answer', 'HTTP/1.1 200 OK\r\nX-Y: ', /it closed the connection without an answer|no HTTP proxy/],
  [
    'an endless header',
    `HTTP/1.1 200 OK\r\n${`X-Filler: ${'x'.repeat(100)}\r\n`.repeat(100)}\r\n`,
    new RegExp(`its answer has more than ${PROXY_HEADER_MAX} bytes of headers`),
  ],
];

function CHALLENGE(schemes: string): string {
  return `HTTP/1.1 407 Proxy Authentication Required\r\nProxy-Authenticate: ${schemes}\r\nContent-Length: 0\r\n\r\n`;
}

for (const [name, answer, sentence, user = ''] of FAILURES)
  test(`a proxy that answers with ${name}: one sentence, a hint, no credentials, nothing left open`, async () => {
    const proxy = await startProxy({ routes: {}, answer: (_, socket) => void socket.end(answer) });
    for (const address of ['ws://peer.test/', 'peer.test:80']) {
      const error = await failure(through(proxy, address, {}, user));
      assert.is(error.code, 'unreachable');
      assert.ok(error.message.startsWith(`There is no way through the proxy http://127.0.0.1:${proxy.port}: `));
      assert.match(error.message, sentence);
      assert.match(error.message, /^[^\n]+\.$/);
      assert.ok(error.hint);
      assert.not.match(`${error.message}${error.hint ?? ''}`, /secret|dTpzZWNyZXQ/);
    }
    await eventually('no connection is left', () => proxy.open() === 0);
    await proxy.close();
  });

test('a proxy that is not there, that has no address, or that says nothing', async () => {
  const gone = await serve(() => undefined);
  await gone.close();
  const refused = await failure(through(gone, 'peer.test:80'));
  assert.is(refused.code, 'unreachable');
  assert.match(refused.message, /no way through the proxy http:\/\/127\.0\.0\.1:\d+: .*connection refused\.$/);
  const nowhere = parseProxy('http://no-such-proxy.invalid:3128');
  assert.match((await failure(call('peer.test:80', { proxy: () => nowhere }))).message, /cannot be looked up/);

  const silent = await startProxy({ routes: {}, answer: () => undefined });
  const late = await failure(through(silent, 'ws://peer.test/', { deadlineMs: 150 }));
  assert.is(late.code, 'timeout');
  assert.is(
    late.message,
    `ws://peer.test/ (through the proxy http://127.0.0.1:${silent.port}) did not answer in 0.15 s.`,
  );
  const stop = new AbortController();
  setTimeout(() => stop.abort(), 50);
  assert.match((await failure(through(silent, 'peer.test:80', { signal: stop.signal }))).message, /was given up\.$/);
  await eventually('nothing is left', () => silent.open() === 0);
  await silent.close();
});

test('what is set as a proxy and is none: nothing is dialed directly instead', async () => {
  const s = await station();
  const error = await failure(call(s.address, { proxy: () => parseProxy('socks5://127.0.0.1:1080') }));
  assert.is(error.code, 'bad-value');
  assert.is(s.lines.length + s.accepted.length, 0);
  await s.close();
});

/** A throw-away certificate for localhost and peer.test. */
function certificate(): { key: Buffer; cert: Buffer } {
  const folder = mkdtempSync(join(tmpdir(), 'warren-tls-'));
  const [key, cert] = [join(folder, 'key.pem'), join(folder, 'cert.pem')];
  const args = ['req', '-x509', '-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:P-256', '-nodes', '-days', '2'];
  const names = ['-subj', '/CN=localhost', '-addext', 'subjectAltName=DNS:localhost,DNS:peer.test'];
  execFileSync('openssl', [...args, ...names, '-keyout', key, '-out', cert], { stdio: 'ignore' });
  const pair = { key: readFileSync(key), cert: readFileSync(cert) };
  rmSync(folder, { recursive: true });
  return pair;
}

/** A web server with TLS that passes upgrades on. */
async function webServer(s: Station, pair: { key: Buffer; cert: Buffer }): Promise<{ port: number; close(): void }> {
  const server = https.createServer(pair);
  server.on('upgrade', (request: http.IncomingMessage, socket: net.Socket, head: Buffer) => {
    const behind = net.connect(s.port, '127.0.0.1');
    for (const end of [socket, behind]) end.on('error', () => undefined);
    const headers = Object.entries(request.headers).map(([name, value]) => `${name}: ${String(value)}\r\n`);
    behind.write(`GET / HTTP/1.1\r\n${headers.join('')}\r\n`);
    behind.write(head);
    socket.pipe(behind).pipe(socket);
    socket.on('close', () => behind.destroy());
  });
  await new Promise<void>(resolve => server.listen(0, '127.0.0.1', resolve));
  return { port: (server.address() as net.AddressInfo).port, close: () => void server.close() };
}

test(
  'wss:// through http:// and https:// proxies: both certificates count, that of the proxy always',
  async () => {
    const pair = certificate();
    const s = await station();
    const web = await webServer(s, pair);
    const routes = { 'peer.test:443': web.port };
    const plain = await startProxy({ routes, credentials: 'u:p' });
    const secure = await startProxy({ routes, credentials: 'u:p', secure: pair });
    for (const proxy of [`http://u:p@localhost:${plain.port}`, `https://u:p@localhost:${secure.port}`]) {
      const chosen = parseProxy(proxy);
      const link = await call('wss://peer.test/warren', { proxy: () => chosen, tls: { ca: pair.cert } });
      const accepted = await s.link();
      const sink = new Sink(accepted.transport);
      link.transport.write([Buffer.alloc(200_000, 1)]);
      await sink.upTo(200_000);
      assert.is(sink.bytes, 200_000);
      link.transport.abort();
    }
    const strange = parseProxy(`https://u:p@localhost:${secure.port}`);
    const before = secure.requests.length;
    const untrusted = await failure(
      call('peer.test:443', { proxy: () => strange, tls: { rejectUnauthorized: false } }),
    );
    assert.match(untrusted.message, /no way through the proxy https:\/\/localhost:\d+: it does not complete TLS/);
    assert.is(secure.requests.length, before, 'credentials are not shown to a proxy that proves nothing');
    const noTls = parseProxy(`https://localhost:${plain.port}`);
    assert.match((await failure(call('peer.test:443', { proxy: () => noTls }))).message, /does not complete TLS/);
    await plain.close();
    await secure.close();
    web.close();
    await s.close();
  },
  { needs: ['openssl'] },
);

test(
  'tinyproxy, with credentials and without',
  async () => {
    const spare = await serve(() => undefined);
    await spare.close();
    const folder = mkdtempSync(join(tmpdir(), 'warren-tinyproxy-'));
    const config = join(folder, 'tinyproxy.conf');
    writeFileSync(
      config,
      `Port ${spare.port}\nListen 127.0.0.1\nTimeout 60\nBasicAuth user secret\nLogLevel Critical\n`,
    );
    const tinyproxy = spawn('tinyproxy', ['-d', '-c', config], { stdio: 'ignore' });
    const s = await station();
    try {
      await until('it answers', () => answers({ port: spare.port, host: '127.0.0.1' }));
      for (const address of [s.address, `ws://${s.address}/`]) {
        const link = await through(spare, address, {}, 'user:secret@');
        const sink = new Sink((await s.link()).transport);
        link.transport.write([Buffer.alloc(200_000, 1)]);
        assert.is((await sink.upTo(200_000)).length, 200_000);
        link.transport.abort();
      }
      assert.match((await failure(through(spare, s.address))).message, /wants a user name and password/);
      assert.match((await failure(through(spare, s.address, {}, 'user:wrong@'))).message, /does not accept/);
      const nobody = await serve(() => undefined);
      await nobody.close();
      assert.match((await failure(through(spare, nobody.target, {}, 'user:secret@'))).message, /could not reach 127/);
    } finally {
      tinyproxy.kill();
      await new Promise(resolve => tinyproxy.once('exit', resolve));
      rmSync(folder, { recursive: true });
      await s.close();
    }
  },
  { needs: ['tinyproxy'] },
);

test.run();
