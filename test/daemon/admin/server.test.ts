import * as fs from 'node:fs';
import { request } from 'node:http';
import { join } from 'node:path';
import type { Duplex } from 'node:stream';
import { serveAdmin } from '../../../daemon/admin/server.js';
import { silentLog } from '../../../daemon/observe/log.js';
import type { AdminApi } from '../../../daemon/admin/api.js';
import { ADMIN_MAX_BODY, PATHS } from '../../../protocol/admin/contract.js';
import { WarrenError, type ErrorCode } from '../../../protocol/errors.js';
import { assert, suite } from '../../helpers/suite.js';
import { modeOf, withFolder } from '../home/temp.js';
import { json, raw, send, until, withAdmin } from './fake.js';

const test = suite('admin server');

test('the socket is 0600, replaces a stale one, and is gone after the end', async () => {
  await withFolder(async folder => {
    const path = join(folder, 'admin.sock');
    const api = { status: () => ({}) } as unknown as AdminApi;
    const mask = process.umask(0);
    const first = await serveAdmin({ path, api, log: silentLog });
    process.umask(mask);
    assert.is(modeOf(path), '600');
    // what a killed daemon leaves behind
    fs.renameSync(path, `${path}.kept`);
    await first.close(0);
    fs.renameSync(`${path}.kept`, path);
    assert.ok(fs.lstatSync(path).isSocket());
    const second = await serveAdmin({ path, api, log: silentLog });
    assert.is((await send(path, 'GET', PATHS.status)).status, 200);
    await second.close(0);
    assert.not(fs.existsSync(path));
    fs.writeFileSync(path, 'notes');
    await serveAdmin({ path, api, log: silentLog }).then(
      () => assert.unreachable(),
      (error: WarrenError) => assert.match(error.message, /is in the way of the admin socket/),
    );
    assert.is(fs.readFileSync(path, 'utf8'), 'notes');
    await serveAdmin({ path: join(folder, 'none', 'x.sock'), api, log: silentLog }).then(
      () => assert.unreachable(),
      (error: WarrenError) => assert.match(error.message, /cannot be bound: (EACCES|ENOENT)/),
    );
  });
});

const CALLS: readonly (readonly [string, string, unknown, readonly unknown[]])[] = [
  ['GET', '/v1/status', undefined, ['status']],
  ['GET', '/v1/diagnostics', undefined, ['diagnostics']],
  ['GET', '/v1/peers', undefined, ['peers']],
  ['DELETE', '/v1/peers/host-b', undefined, ['removePeer', 'host-b']],
  ['POST', '/v1/peers/host-b/ping', undefined, ['ping', 'host-b', {}]],
  ['POST', '/v1/peers/host-b/ping', { count: 3 }, ['ping', 'host-b', { count: 3 }]],
  ['POST', '/v1/invites', { ttlSeconds: 60, tags: ['a'] }, ['invite', { ttlSeconds: 60, tags: ['a'] }]],
  ['POST', '/v1/join', { token: 'warren1x' }, ['join', { token: 'warren1x' }]],
  ['GET', '/v1/services', undefined, ['services']],
  ['PUT', '/v1/services/pay.ments', { target: '80', tags: [] }, ['expose', 'pay.ments', { target: '80', tags: [] }]],
  ['DELETE', '/v1/services/pay', {}, ['unexpose', 'pay']],
  ['GET', '/v1/tunnels', undefined, ['tunnels']],
  ['POST', '/v1/tunnels', { service: 'pay', listen: '0' }, ['connect', { service: 'pay', listen: '0' }]],
  ['DELETE', '/v1/tunnels/constructor', undefined, ['disconnect', 'constructor']],
  ['GET', '/v1/stream-ends/12', undefined, ['streamEnd', 12]],
  ['GET', '/v1/keys', undefined, ['keys']],
  ['GET', '/v1/keys/log', undefined, ['keyLog']],
  ['POST', '/v1/keys/rotate', { reason: 'compromised' }, ['rotateKeys', { reason: 'compromised' }]],
  ['POST', '/v1/keys/detach-next', { file: '/f' }, ['detachNext', { file: '/f' }]],
  ['PUT', '/v1/keys/revocations/host-b', undefined, ['revoke', 'host-b']],
  ['PUT', '/v1/keys/settlements/host-b', { standing: '0011aabb' }, ['settle', 'host-b', { standing: '0011aabb' }]],
  ['PUT', '/v1/peers/host-b/role', { action: 'promote' }, ['setRole', 'host-b', { action: 'promote' }]],
  ['POST', '/v1/keys/backup', { passphrase: 'p' }, ['backup', { passphrase: 'p' }]],
  ['GET', '/v1/doctor', undefined, ['doctor']],
  ['POST', '/v1/reload', undefined, ['reload']],
  ['POST', '/v1/shutdown', { drainSeconds: 0, restart: true }, ['shutdown', { drainSeconds: 0, restart: true }]],
];

test('each path asks the daemon for its own thing, with the checked request', async () => {
  await withAdmin(async ({ path, asked }) => {
    for (const [method, url, body, call] of CALLS) {
      const reply = await send(path, method, url, body);
      assert.is(reply.status, 200, `${method} ${url}: ${reply.text}`);
      assert.is(reply.headers['content-type'], 'application/json');
      assert.equal(json(reply), { apiVersion: 1, done: true });
      assert.equal(asked.at(-1), call);
    }
    assert.is(
      new Set(CALLS.map(([, url]) => url.replace(/host-b|pay\.ments|pay|constructor/, ':'))).size + 2,
      Object.keys(PATHS).length,
    );
  });
});

const BAD: readonly (readonly [string, string, unknown, number, string, RegExp, Record<string, string>?])[] = [
  ['GET', '/', undefined, 404, 'not-found', /has no path "\/"/],
  ['GET', '/v2/status', undefined, 404, 'not-found', /has no path/],
  ['GET', '/v1/status/', undefined, 404, 'not-found', /has no path/],
  ['DELETE', '/v1/peers/%zz', undefined, 404, 'not-found', /has no path/],
  ['POST', '/v1/status', undefined, 405, 'usage', /has no POST for this path/],
  ['PATCH', '/v1/services/pay', {}, 405, 'usage', /has no PATCH/],
  ['GET', '/v1/services/pay', undefined, 405, 'usage', /has no GET/],
  ['GET', '/v1/stream-ends/x', undefined, 400, 'bad-value', /no number of a stream/],
  ['POST', '/v1/join', 'not json', 400, 'malformed', /is not JSON/],
  ['POST', '/v1/join', Buffer.from([0x22, 0xff, 0x22]), 400, 'malformed', /is not JSON/],
  ['POST', '/v1/join', '[]', 400, 'bad-value', /not a JSON object/],
  ['POST', '/v1/join', 'null', 400, 'bad-value', /not a JSON object/],
  ['POST', '/v1/join', {}, 400, 'bad-value', /^token is missing$/],
  ['POST', '/v1/join', { token: 5 }, 400, 'bad-value', /^token must be text$/],
  ['POST', '/v1/join', { token: 'x'.repeat(20_000) }, 400, 'bad-value', /^token is too long for an invite$/],
  ['POST', '/v1/join', { token: 'x', tokn: 1 }, 400, 'bad-value', /^unknown field "tokn" in the request$/],
  ['POST', '/v1/join', '{"token":"x","__proto__":{}}', 400, 'bad-value', /unknown field "__proto__"/],
  ['POST', '/v1/join', '{"token":"x","constructor":{}}', 400, 'bad-value', /unknown field "constructor"/],
  ['POST', '/v1/join', { token: 'x' }, 415, 'usage', /not declared as JSON/, { 'content-type': 'text/plain' }],
  [
    'POST',
    '/v1/invites',
    { ttlSeconds: 59 },
    400,
    'bad-value',
    /^ttlSeconds must be a whole number from 60 to 604800$/,
  ],
  ['POST', '/v1/invites', { ttlSeconds: 60.5 }, 400, 'bad-value', /^ttlSeconds must be/],
  ['POST', '/v1/invites', { tags: 'a' }, 400, 'bad-value', /^tags must be a list of texts$/],
  ['POST', '/v1/invites', { tags: ['a', 5] }, 400, 'bad-value', /^tags\.1 must be text$/],
  ['POST', '/v1/peers/b/ping', { count: 101 }, 400, 'bad-value', /^count must be a whole number from 1 to 100$/],
  ['PUT', '/v1/services/a%20b', { target: '1' }, 400, 'bad-value', /"a b" cannot be a service's name/],
  ['PUT', '/v1/services/-', { target: '1' }, 400, 'bad-value', /cannot be a service's name/],
  [
    'PUT',
    '/v1/services/a',
    { target: '1', deny: Array(300).fill('x') },
    400,
    'bad-value',
    /^deny has more than 256 entries$/,
  ],
  ['PUT', `/v1/services/${'a'.repeat(600)}`, { target: '1' }, 404, 'not-found', /has no path/],
  ['POST', '/v1/tunnels', { service: '' }, 400, 'bad-value', /cannot be a service's name/],
  ['DELETE', '/v1/peers/a%00b', undefined, 400, 'bad-value', /names no node/],
  ['DELETE', `/v1/peers/${'a'.repeat(200)}`, undefined, 400, 'bad-value', /names no node/],
  ['POST', '/v1/reload', { now: true }, 400, 'bad-value', /unknown field "now"/],
  ['POST', '/v1/shutdown', { drainSeconds: -1 }, 400, 'bad-value', /^drainSeconds must be/],
  ['POST', '/v1/shutdown', { restart: 'yes' }, 400, 'bad-value', /^restart must be true or false$/],
  ['GET', '/v1/logs?lines=x', undefined, 400, 'bad-value', /^lines must be/],
  ['GET', '/v1/logs?lines=100000', undefined, 400, 'bad-value', /^lines must be/],
  ['GET', '/v1/logs?follow=yes', undefined, 400, 'bad-value', /^follow must be 0 or 1$/],
  ['GET', '/v1/logs?tail=1', undefined, 400, 'bad-value', /^unknown query "tail"$/],
  ['GET', '/v1/streams/pay', undefined, 426, 'usage', /needs an upgraded connection/],
];

test('a bad request gets a status, a code, a sentence and a hint, and never reaches the daemon', async () => {
  await withAdmin(async ({ path, asked, lines }) => {
    for (const [method, url, body, status, code, sentence, headers] of BAD) {
      const reply = await send(path, method, url, body, headers);
      const what = `${method} ${url.slice(0, 60)} ${JSON.stringify(body)?.slice(0, 60)}: ${reply.status} ${reply.text.slice(0, 300)}`;
      assert.is(reply.status, status, what);
      const { apiVersion, error } = json(reply);
      assert.is(apiVersion, 1);
      assert.is(error?.code, code, what);
      assert.match(error!.message, sentence, what);
      assert.ok(error!.hint, what);
    }
    assert.equal(asked, []);
    assert.equal(lines, []);
    const { headers } = await send(path, 'POST', '/v1/services/pay', {});
    assert.is(headers.allow, 'PUT, DELETE');
  });
});

test('a body over the limit is refused before and while it is read', async () => {
  await withAdmin(async ({ path, asked }) => {
    const declared = await send(path, 'POST', '/v1/join', { token: 'x'.repeat(ADMIN_MAX_BODY) });
    assert.equal([declared.status, json(declared).error?.code], [413, 'limit']);
    const chunked = raw(
      path,
      'POST /v1/join HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\n',
    );
    const piece = `4000\r\n${' '.repeat(0x4000)}\r\n`;
    for (let i = 0; i < 8; i++) chunked.socket.write(piece);
    await chunked.closed;
    assert.match(chunked.text(), /^HTTP\/1\.1 413 /);
    assert.equal(asked, []);
  });
});

test('what is no HTTP gets one answer and the end', async () => {
  await withAdmin(async ({ path, server }) => {
    for (const garbage of [
      '\0\0\0\0\r\n\r\n',
      'GET\r\n\r\n',
      `GET /v1/status HTTP/1.1\r\nX: ${'y'.repeat(20_000)}\r\n\r\n`,
    ]) {
      const { text, closed } = raw(path, garbage);
      await closed;
      assert.match(text(), /^HTTP\/1\.1 400 /);
      assert.match(text(), /"code":"malformed"/);
    }
    await until(() => server.connections === 0, 'all connections closed');
  });
});

test("the daemon's errors keep code, sentence and hint; others are told as internal and logged", async () => {
  await withAdmin(async ({ path, behave, lines }) => {
    const statuses: readonly (readonly [ErrorCode, number])[] = [
      ['not-admin', 403],
      ['exists', 409],
      ['unreachable', 502],
      ['disk', 500],
    ];
    for (const [code, status] of statuses) {
      behave.invite = () => {
        throw new WarrenError(code, 'no', { hint: 'so' });
      };
      const reply = await send(path, 'POST', '/v1/invites');
      assert.equal(
        [reply.status, json(reply)],
        [status, { apiVersion: 1, error: { code, message: 'no', hint: 'so' } }],
      );
    }
    assert.equal(lines, []);
    behave.invite = () => Promise.reject(new TypeError('secret detail'));
    const reply = await send(path, 'POST', '/v1/invites?x=1');
    assert.is(reply.status, 500);
    assert.equal(json(reply).error, {
      code: 'internal',
      message: 'something went wrong inside the daemon',
      hint: 'look for admin-failed in `warren logs`',
    });
    const line = JSON.parse(lines[0]!) as Record<string, unknown>;
    assert.equal(
      [line.event, line.method, line.path, line.error],
      ['admin-failed', 'POST', '/v1/invites', 'secret detail'],
    );
  });
});

test('changes wait for each other, readings do not', async () => {
  await withAdmin(async ({ path, behave, asked }) => {
    let finish = (): void => undefined;
    behave.expose = () => new Promise(resolve => (finish = () => resolve({ done: true } as never)));
    const first = send(path, 'PUT', '/v1/services/a', { target: '1' });
    await until(() => asked.length === 1, 'the first change');
    const second = send(path, 'DELETE', '/v1/services/a');
    assert.is((await send(path, 'GET', '/v1/services')).status, 200);
    assert.equal(
      asked.map(([name]) => name),
      ['expose', 'services'],
    );
    finish();
    assert.equal([(await first).status, (await second).status], [200, 200]);
    assert.is(asked.at(-1)![0], 'unexpose');
    behave.expose = () => {
      throw new Error('one that fails');
    };
    assert.is((await send(path, 'PUT', '/v1/services/a', { target: '1' })).status, 500);
    assert.is((await send(path, 'DELETE', '/v1/services/a')).status, 200);
  });
});

test('a client that goes away aborts what it asked for', async () => {
  await withAdmin(async ({ path, behave }) => {
    let signal: AbortSignal | undefined;
    behave.ping = (_node, _request, asked) => {
      signal = asked.signal;
      return new Promise(() => undefined);
    };
    const asked = request({ socketPath: path, method: 'POST', path: '/v1/peers/b/ping', agent: false });
    asked.on('error', () => undefined);
    asked.end();
    await until(() => signal !== undefined, 'the ping');
    assert.is(signal!.aborted, false);
    asked.destroy();
    await until(() => signal!.aborted, 'the abort');
  });
});

const UPGRADE = 'GET /v1/streams/pay HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: warren-stream\r\n\r\n';

test('an upgraded connection carries bytes both ways, those sent along with the request too, and half-closes', async () => {
  await withAdmin(async ({ path, behave, asked, server }) => {
    behave.openStream = async () => {
      await new Promise(resolve => setTimeout(resolve, 20));
      return (socket: Duplex) => {
        let got = '';
        socket.on('data', (chunk: Buffer) => {
          got += chunk.toString();
          socket.write(chunk.toString().toUpperCase());
        });
        socket.on('end', () => socket.end(`<${got.length}>`));
      };
    };
    const { socket, text, closed } = raw(path, `${UPGRADE}early `);
    socket.write('later');
    await until(() => text().endsWith('LATER'), 'the bytes');
    socket.end();
    await closed;
    assert.is(
      text(),
      'HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: warren-stream\r\n\r\nEARLY LATER<11>',
    );
    assert.equal(asked, [['openStream', 'pay']]);
    await until(() => server.connections === 0, 'the connection to be forgotten');
  });
});

test('a stream that cannot be had is refused before the 101', async () => {
  await withAdmin(async ({ path, behave, lines }) => {
    const refusal = async (first: string): Promise<string> => {
      const { text, closed } = raw(path, first);
      await closed;
      return text();
    };
    assert.match(
      await refusal(UPGRADE),
      /^HTTP\/1\.1 404 [^]*"code":"not-found","message":"no such service","hint":"look"/,
    );
    behave.openStream = () => Promise.reject(new WarrenError('denied', 'not you'));
    assert.match(await refusal(UPGRADE), /^HTTP\/1\.1 403 /);
    behave.openStream = () => Promise.reject(new Error('bug'));
    assert.match(await refusal(UPGRADE), /^HTTP\/1\.1 500 [^]*inside the daemon/);
    assert.is(lines.length, 1);
    assert.match(await refusal(UPGRADE.replace('streams/pay', 'streams/a%20b')), /^HTTP\/1\.1 400 /);
    assert.match(await refusal(UPGRADE.replace('streams/pay', 'nowhere')), /^HTTP\/1\.1 404 /);
    assert.match(await refusal(UPGRADE.replace('streams/pay', 'status')), /^HTTP\/1\.1 400 [^]*no such upgrade/);
    assert.match(await refusal(UPGRADE.replace('warren-stream', 'websocket')), /^HTTP\/1\.1 400 [^]*no such upgrade/);
    assert.match(await refusal(UPGRADE.replace('GET', 'DELETE')), /^HTTP\/1\.1 405 /);
  });
});

test('a client that leaves before its stream is there leaves a connection that ends at once', async () => {
  await withAdmin(async ({ path, behave, server, lines }) => {
    let give: (() => void) | undefined;
    let closed = 0;
    behave.openStream = () =>
      new Promise(resolve => {
        give = () =>
          resolve(socket => {
            socket.on('close', () => closed++);
            socket.on('end', () => socket.end());
            socket.resume();
          });
      });
    const { socket } = raw(path, UPGRADE);
    await until(() => give !== undefined, 'the request');
    socket.destroy();
    await new Promise(resolve => setTimeout(resolve, 10));
    give!();
    await until(() => closed === 1 && server.connections === 0, 'the end');
    const carry = (): void => {
      throw new Error('cannot carry');
    };
    behave.openStream = () => Object.assign(carry, { id: 12 });
    const next = raw(path, UPGRADE);
    await next.closed;
    assert.match(next.text(), /^HTTP\/1\.1 101 .*\r\nWarren-Stream: 12\r\n\r\n$/s);
    assert.is(lines.length, 1);
  });
});

test('logs: the last lines; followed until the client goes', async () => {
  await withAdmin(async ({ path, ring }) => {
    for (let i = 0; i < 10; i++) ring.sink(`{"n":${i}}`, 'info');
    const once = await send(path, 'GET', '/v1/logs?lines=2');
    assert.equal([once.headers['content-type'], once.text], ['application/x-ndjson', '{"n":8}\n{"n":9}\n']);
    assert.is((await send(path, 'GET', '/v1/logs')).text.split('\n').length, 11);
    assert.is((await send(path, 'GET', '/v1/logs?lines=0')).text, '');
    const following = raw(path, 'GET /v1/logs?follow=1&lines=1 HTTP/1.1\r\nHost: x\r\n\r\n');
    await until(() => following.text().includes('{"n":9}'), 'the first line');
    assert.is(ring.followerCount, 1);
    ring.sink('{"n":10}', 'info');
    await until(() => following.text().includes('{"n":10}'), 'the next line');
    following.socket.destroy();
    await until(() => ring.followerCount === 0, 'the follower to be forgotten');
  });
});

test('a follower that does not read is cut off within its budget', async () => {
  await withAdmin(async ({ path, ring }) => {
    const slow = raw(path, 'GET /v1/logs?follow=1&lines=0 HTTP/1.1\r\nHost: x\r\n\r\n');
    await until(() => ring.followerCount === 1, 'the follower');
    slow.socket.pause();
    const line = 'x'.repeat(64 * 1024);
    for (let i = 0; i < 200 && ring.followerCount > 0; i++) {
      ring.sink(line, 'info');
      if (i % 10 === 0) await new Promise(resolve => setTimeout(resolve, 1));
    }
    await until(() => ring.followerCount === 0, 'the follower to be cut off');
    slow.socket.destroy();
  });
});

test('closing waits for requests under way, ends followers, and cuts what is left at its deadline', async () => {
  await withAdmin(async ({ path, behave, server, ring }) => {
    let finish = (): void => undefined;
    behave.doctor = () => new Promise(resolve => (finish = () => resolve({ checks: [] })));
    behave.openStream = () => () => undefined;
    const pending = send(path, 'GET', '/v1/doctor');
    const following = raw(path, 'GET /v1/logs?follow=1 HTTP/1.1\r\nHost: x\r\n\r\n');
    const idle = raw(path, '');
    const stream = raw(path, UPGRADE);
    await until(
      () => ring.followerCount === 1 && stream.text().includes('101') && finish.toString().includes('resolve'),
      'all of them',
    );
    const started = Date.now();
    const closing = server.close(400);
    await following.closed;
    setTimeout(finish, 100);
    assert.is((await pending).status, 200);
    await closing;
    assert.ok(Date.now() - started >= 390, 'the stream had its time');
    await stream.closed;
    await idle.closed;
    assert.is(server.connections, 0);
  });
});

test.run();
