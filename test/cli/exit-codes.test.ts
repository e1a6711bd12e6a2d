/** The table of exit codes, for every command that can fail that way; on failure stdout stays empty. */
import { chmodSync, existsSync, linkSync, mkdirSync, readdirSync, renameSync, writeFileSync } from 'node:fs';
import type { ServerResponse } from 'node:http';
import { createServer } from 'node:net';
import { join } from 'node:path';
import { assert, suite } from '../helpers/suite.js';
import { eventually } from '../helpers/sockets.js';
import { FakeDaemon } from './fake-daemon.js';
import { finished, runCli, runHere, startCli, temporaryFolder } from './run-cli.js';

const test = suite('cli: exit codes');
let daemon: FakeDaemon;
test.before(async () => {
  daemon = await new FakeDaemon().start();
});
test.after(() => daemon.stop());

const NEED_A_DAEMON = [
  'down',
  'restart',
  'status',
  'status --json',
  'logs',
  'reload',
  'invite',
  'join warren1abc',
  'peers',
  'peer remove host-b',
  'ping host-b',
  'expose payments 8080',
  'unexpose payments',
  'services',
  'connect redis',
  'disconnect redis',
  'tunnels',
  'nc redis',
  'keys show',
  'keys log',
];

for (const line of NEED_A_DAEMON)
  test(`3 without a daemon: ${line}`, async () => {
    const folder = temporaryFolder();
    const result = await runHere([...line.split(' '), '--home', join(folder.path, 'home')]);
    assert.is(result.status, 3, result.stderr);
    assert.is(result.stdout, '');
    assert.match(result.stderr, /^warren: no daemon runs on .*\nhint: start it: warren --home .* up\n$/);
    assert.equal(readdirSync(folder.path), [], 'a command that finds no daemon makes no home');
    folder.remove();
  });

test('3 when the socket is a leftover of a daemon that was killed', async () => {
  const folder = temporaryFolder();
  const server = createServer().listen(join(folder.path, 'admin.sock'));
  await new Promise(resolve => server.once('listening', resolve));
  // A hard link keeps the socket's name when the server takes its own away.
  linkSync(join(folder.path, 'admin.sock'), join(folder.path, 'kept'));
  await new Promise(resolve => server.close(resolve));
  renameSync(join(folder.path, 'kept'), join(folder.path, 'admin.sock'));
  assert.ok(existsSync(join(folder.path, 'admin.sock')));
  const result = await runCli(['status', '--home', folder.path]);
  assert.is(result.status, 3, result.stderr);
  folder.remove();
});

const BY_CODE = [
  ['denied', 4],
  ['not-admin', 4],
  ['bad-value', 1],
  ['not-found', 1],
  ['exists', 1],
  ['in-use', 1],
  ['member', 1],
  ['token', 1],
  ['unreachable', 1],
  ['timeout', 1],
  ['limit', 1],
  ['version', 1],
  ['config', 1],
  ['disk', 1],
  ['internal', 1],
  // From the daemon these are a refused request, not the CLI's own findings.
  ['usage', 1],
  ['not-running', 1],
] as const;

for (const [code, status] of BY_CODE)
  test(`${status} when the daemon says ${code}`, async () => {
    daemon.fail('POST /v1/reload', code, 'this is the sentence', 'this is the hint');
    for (const args of [['reload'], ['reload', '--json']]) {
      const result = await runHere([...args, '--home', daemon.home]);
      assert.is(result.status, status);
      assert.is(result.stdout, '');
      assert.is(result.stderr, 'warren: this is the sentence\nhint: this is the hint\n');
    }
  });

test('an error without a hint gets the usual one; sentences begin small and end without a full stop', async () => {
  daemon.fail('POST /v1/reload', 'denied', 'It is not allowed.');
  const result = await runHere(['reload', '--home', daemon.home]);
  assert.is(
    result.stderr,
    'warren: it is not allowed\nhint: the host that exposes it decides: ask there for an --allow\n',
  );
});

const REFUSED_HERE: readonly (readonly [string[], RegExp])[] = [
  [['invite', '--ttl', 'soon'], /"soon" is no duration/],
  [['invite', '--ttl', '15'], /"15" is no duration/],
  [['invite', '--ttl', '1s'], /a --ttl of 1s is not possible/],
  [['invite', '--ttl', '8d'], /a --ttl of 8d is not possible/],
  [['ping', 'host-b', '-c', '0'], /"0" is no count/],
  [['ping', 'host-b', '-c', '1e3'], /"1e3" is no count/],
  [['logs', '-n', '-1'], /"-1" is no number of lines/],
  [['completion', 'tcsh'], /no completion for "tcsh"/],
  [['connect', ''], /"" is no service name/],
  [['nc', '..'], /"\.\." is no service name/],
  [['join', '@/does/not/exist'], /cannot be read: it does not exist/],
  [['peers', '--home', ''], /--home needs a directory/],
  [['join', '-'], /there is no token there/],
  [['join', '   '], /there is no token there/],
];

for (const [args, sentence] of REFUSED_HERE)
  test(`1 for a refused value: ${args.join(' ')}`, async () => {
    const before = daemon.asked.length;
    const result = await runHere(['--home', daemon.home, ...args]);
    assert.is(result.status, 1, result.stderr);
    assert.is(result.stdout, '');
    assert.match(result.stderr, sentence);
    assert.match(result.stderr, /\nhint: ./);
    assert.is(daemon.asked.length, before);
  });

test('1 when the home cannot have a socket', async () => {
  const long = await runHere(['status', '--home', `/tmp/${'x'.repeat(120)}`]);
  assert.is(long.status, 1);
  assert.match(long.stderr, /path is too long: \d+ bytes.*\nhint: use a home with a shorter path/);
  const folder = temporaryFolder();
  writeFileSync(join(folder.path, 'file'), '');
  const file = await runHere(['status', '--home', join(folder.path, 'file')]);
  assert.is(file.status, 1, file.stderr);
  assert.match(file.stderr, /is not a folder/);
  folder.remove();
});

test('1 when the daemon breaks off, answers no JSON, another version, or no reason', async () => {
  const cases: readonly (readonly [(response: ServerResponse) => void, RegExp])[] = [
    [response => response.socket?.destroy(), /closed the connection before it had answered/],
    [response => response.writeHead(200, { 'content-length': '100' }).write('{', () => response.destroy()), /closed/],
    [response => response.end('hello'), /no JSON/],
    [response => response.end('{"apiVersion":2}'), /admin API version 2, this program 1/],
    [response => response.end('null'), /admin API version undefined/],
    [response => response.writeHead(500).end('<html>'), /HTTP status 500 and no reason/],
    [response => response.writeHead(500).end('null'), /HTTP status 500 and no reason/],
  ];
  for (const [answer, sentence] of cases) {
    daemon.on('GET /v1/peers', (_, response) => answer(response));
    const result = await runHere(['peers', '--home', daemon.home]);
    assert.is(result.status, 1, String(sentence));
    assert.is(result.stdout, '');
    assert.match(result.stderr, sentence);
  }
});

test('the process itself ends like that', async () => {
  daemon.fail('GET /v1/keys', 'denied', 'no');
  daemon.fail('GET /v1/keys/log', 'bad-value', 'no');
  for (const [line, status] of [
    ['keys show', 4],
    ['keys log', 1],
    ['peers --home /nonexistent', 3],
  ] as const) {
    const result = await runCli(['--home', daemon.home, ...line.split(' ')]);
    assert.is(result.status, status);
    assert.is(result.stdout, '');
    assert.match(result.stderr, /^warren: ./);
  }
});

test('130 when interrupted', async () => {
  daemon.on('GET /v1/tunnels', () => undefined);
  const child = startCli(['tunnels', '--home', daemon.home]);
  const done = finished(child);
  await eventually('it asks', () => daemon.asked.some(asked => asked.line === 'GET /v1/tunnels'));
  child.kill('SIGINT');
  const result = await done;
  assert.is(result.status, 130);
  assert.is(result.stdout, '');
});

test('1 for a socket of another user', async () => {
  if (process.getuid?.() === 0) return console.log('note: root may open every socket');
  const folder = temporaryFolder();
  mkdirSync(join(folder.path, 'shut'));
  chmodSync(join(folder.path, 'shut'), 0o000);
  const result = await runCli(['status', '--home', join(folder.path, 'shut')]);
  assert.is(result.status, 1);
  assert.match(result.stderr, /belongs to another user/);
  chmodSync(join(folder.path, 'shut'), 0o700);
  folder.remove();
});

test.run();
