import {
  checkBody,
  checkLogsQuery,
  checkNode,
  connectBody,
  emptyBody,
  exposeBody,
  inviteBody,
  joinBody,
  pingBody,
  shutdownBody,
} from '../../../daemon/admin/validate.js';
import { ADMIN_MAX_BODY } from '../../../protocol/admin/contract.js';
import { WarrenError } from '../../../protocol/errors.js';
import { pick, seededRandom } from '../../helpers/random.js';
import { assert, full, suite } from '../../helpers/suite.js';
import { mutateText } from '../mutate.js';
import { json, raw, send, until, withAdmin } from './fake.js';

const test = suite('fuzz: admin requests');

const BODIES = [
  [pingBody, '{"count":3}'],
  [inviteBody, '{"ttlSeconds":900,"tags":["core","b"]}'],
  [joinBody, '{"token":"warren1abcdefghijklmnop"}'],
  [
    exposeBody,
    '{"target":"127.0.0.1:80","version":"2.1.0","description":"d","tags":["a"],"allow":["tag:x"],"deny":["b"]}',
  ],
  [connectBody, '{"service":"pay","listen":"127.0.0.1:0"}'],
  [shutdownBody, '{"drainSeconds":10,"restart":true}'],
  [emptyBody, '{}'],
] as const;

const WORDS = [
  ...[
    'null',
    'true',
    '-1',
    '0',
    '1e999',
    '1.5',
    '"x"',
    '[]',
    '{}',
    '[[',
    '{"',
    '"a":',
    ',',
    ':',
    '"',
    '\\u0000',
    '\\ud800',
  ],
  ...[
    '"__proto__":',
    '"constructor":',
    '"toString":',
    '"count":',
    '"tags":',
    '"target":',
    '"restart":',
    '9007199254740993',
    ' ',
    '\n',
  ],
];

function isWhole(value: unknown): boolean {
  return value === undefined || (typeof value === 'number' && Number.isInteger(value));
}

/** What an accepted body promises to the daemon, whichever it is. */
function checkPromises(body: Readonly<Record<string, unknown>>): void {
  assert.ok(isWhole(body.count) && isWhole(body.ttlSeconds) && isWhole(body.drainSeconds));
  for (const key of ['token', 'target', 'version', 'description', 'service', 'listen']) {
    if (body[key] !== undefined) assert.type(body[key], 'string');
  }
  for (const key of ['tags', 'allow', 'deny']) {
    const list = body[key];
    if (list !== undefined) assert.ok(Array.isArray(list) && list.every(entry => typeof entry === 'string'));
  }
}

test(
  'mutated bodies are checked or refused with a field and a hint',
  () => {
    const random = seededRandom('admin bodies');
    let accepted = 0;
    for (let i = 0; i < full(4000, 100_000); i++) {
      const [schema, seed] = BODIES[pick(random, BODIES.length)]!;
      let value: unknown;
      try {
        value = JSON.parse(mutateText(random, seed, WORDS));
      } catch {
        continue;
      }
      try {
        checkPromises(checkBody<object>(schema, value) as Record<string, unknown>);
        accepted++;
      } catch (error) {
        assert.instance(error, WarrenError, String((error as Error).stack));
        assert.is((error as WarrenError).code, 'bad-value');
        assert.ok((error as WarrenError).hint);
      }
    }
    assert.ok(accepted > 0);
  },
  { deadline: 300_000 },
);

test(
  'mutated node names and queries are checked or refused',
  () => {
    const random = seededRandom('admin queries');
    for (let i = 0; i < full(2000, 100_000); i++) {
      const text = mutateText(random, pick(random, 2) === 0 ? 'follow=1&lines=200' : 'host-b.example', [
        '&',
        '=',
        'lines',
        '%00',
        '+',
        '-1',
        '\u202e',
        '',
      ]);
      try {
        const { lines } = checkLogsQuery(new URLSearchParams(text));
        assert.ok(Number.isInteger(lines) && lines >= 0 && lines <= 2000);
        assert.match(checkNode(text), /^[\x21-\x7e]{1,128}$/);
      } catch (error) {
        assert.instance(error, WarrenError, String((error as Error).stack));
        assert.is((error as WarrenError).code, 'bad-value');
      }
    }
  },
  { deadline: 300_000 },
);

const REQUESTS = [
  'GET /v1/status HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n',
  'POST /v1/invites HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Type: application/json\r\nContent-Length: 13\r\n\r\n{"tags":["a"]}',
  'PUT /v1/services/pay HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\n10\r\n{"target":"800"}\r\n0\r\n\r\n',
  'GET /v1/streams/pay HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: warren-stream\r\n\r\nbytes',
  'GET /v1/logs?follow=0&lines=5 HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n',
];

test(
  'mutated requests on the socket: an answer or the end, and the server lives',
  async () => {
    const random = seededRandom('admin requests');
    await withAdmin(async ({ path, server, behave }) => {
      behave.openStream = () => socket => void socket.resume().end('x');
      for (let round = 0; round < full(30, 600); round++) {
        const open = Array.from({ length: 10 }, () => {
          const request = mutateText(random, REQUESTS[pick(random, REQUESTS.length)]!, [
            '\r\n',
            '\0',
            'HTTP/9.9',
            'Content-Length: 99',
            '/',
            '%',
            ': ',
            'upgrade',
          ]);
          const connection = raw(path, request);
          connection.socket.end();
          return connection;
        });
        await Promise.all(open.map(({ closed }) => closed));
        for (const { text } of open) assert.ok(text() === '' || text().startsWith('HTTP/1.1 '), text());
      }
      await until(() => server.connections === 0, 'all connections closed');
      const reply = await send(path, 'GET', '/v1/status');
      assert.equal(json(reply), { apiVersion: 1, done: true });
      assert.ok(ADMIN_MAX_BODY > 0);
    });
  },
  { deadline: 300_000 },
);

test.run();
