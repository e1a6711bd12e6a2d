/** Colours, pipes, log lines; and tables, widths, figures as functions. */
import { PassThrough } from 'node:stream';
import { assert, suite } from '../helpers/suite.js';
import { formatError, sentence } from '../../cli/output/error.js';
import { colours, wantsColour } from '../../cli/output/colour.js';
import { formatBytes, formatDuration, formatRtt, formatSince, formatUntil, shortId } from '../../cli/output/format.js';
import { table } from '../../cli/output/table.js';
import { clean, displayWidth, escapeJson, truncate } from '../../cli/output/text.js';
import { absoluteUnix, parseDuration } from '../../cli/values.js';
import { WarrenError } from '../../protocol/errors.js';
import { eventually } from '../helpers/sockets.js';
import { FakeDaemon, sendError, sendJson } from './fake-daemon.js';
import { finished, runCli, startCli } from './run-cli.js';
import { status } from './samples.js';

const test = suite('cli: output');
let daemon: FakeDaemon;
test.before(async () => {
  daemon = await new FakeDaemon().start();
});
test.after(() => daemon.stop());

const ESCAPE = '\u001b';

test('no colour into a pipe, colour when forced, none when refused', async () => {
  const run = (env: Record<string, string>): Promise<{ stdout: string }> =>
    runCli(['status', '--home', daemon.home], { env });
  assert.not.ok((await run({})).stdout.includes(ESCAPE));
  assert.ok((await run({ FORCE_COLOR: '1' })).stdout.includes(ESCAPE));
  assert.not.ok((await run({ FORCE_COLOR: '0' })).stdout.includes(ESCAPE));
  assert.not.ok((await run({ NO_COLOR: '1', FORCE_COLOR: '1' })).stdout.includes(ESCAPE));
  const help = await runCli(['help'], { env: { FORCE_COLOR: '1' } });
  assert.ok(help.stdout.includes(ESCAPE));
  assert.not.ok((await runCli(['help'])).stdout.includes(ESCAPE));
});

test('a terminal gets colour unless it is dumb', () => {
  const terminal = Object.assign(new PassThrough(), { isTTY: true });
  assert.is(wantsColour({ TERM: 'xterm' }, terminal), true);
  assert.is(wantsColour({ TERM: 'dumb' }, terminal), false);
  assert.is(wantsColour({ NO_COLOR: '' }, terminal), true);
  assert.is(wantsColour({ NO_COLOR: '1' }, terminal), false);
  assert.is(wantsColour({}, new PassThrough()), false);
});

test('a large reply arrives whole through a pipe that is read slowly', async () => {
  const peer = (i: number): object => ({ name: `host-${i}`, note: 'x'.repeat(1000) });
  daemon.on('GET /v1/peers', { apiVersion: 1, peers: Array.from({ length: 2000 }, (_, i) => peer(i)) });
  const child = startCli(['peers', '--json', '--home', daemon.home]);
  child.stdin.end();
  child.stdout.pause();
  await new Promise(resolve => setTimeout(resolve, 500));
  const done = finished(child);
  child.stdout.resume();
  const result = await done;
  assert.is(result.status, 0);
  assert.is((JSON.parse(result.stdout) as { peers: unknown[] }).peers.length, 2000);
});

const LINE = {
  time: '2026-01-01T00:00:00.000Z',
  level: 'warn',
  event: 'dial-failed',
  msg: 'host-b does not answer',
  peer: 'host-b',
  why: 'a \u001b[2J reason',
  pid: 1,
};

test('logs: lines for people, one document with --json, fields in order, nothing obeyed', async () => {
  daemon.on('GET /v1/logs?lines=5', (_, response) => response.end(`${JSON.stringify(LINE)}\nnot json \u0007\n`));
  const plain = await runCli(['logs', '-n', '5', '--home', daemon.home]);
  assert.is(plain.status, 0, plain.stderr);
  assert.equal(plain.stdout.split('\n'), [
    '2026-01-01T00:00:00.000Z warn  dial-failed host-b does not answer peer=host-b why="a \\u001b[2J reason"',
    'not json �',
    '',
  ]);
  const json = await runCli(['logs', '-n', '5', '--json', '--home', daemon.home]);
  assert.equal(JSON.parse(json.stdout), { apiVersion: 1, lines: [LINE] });
});

test('logs -f shows lines as they come; a reader that goes ends it quietly', async () => {
  daemon.on('GET /v1/logs?lines=100&follow=1', (_, response) => {
    const timer = setInterval(() => response.write(`${JSON.stringify(LINE)}\n`), 20);
    response.on('close', () => clearInterval(timer));
  });
  const child = startCli(['logs', '-f', '--json', '--home', daemon.home]);
  let stderr = '';
  child.stderr.on('data', (chunk: Buffer) => (stderr += chunk.toString()));
  const first = await new Promise<Buffer>(resolve => child.stdout.once('data', resolve));
  assert.equal(JSON.parse(first.toString().split('\n')[0] ?? ''), LINE);
  child.stdout.destroy();
  const status = await new Promise(resolve => child.once('close', resolve));
  assert.is(status, 0);
  assert.is(stderr, '');
});

test('status --watch draws again until interrupted, also past a daemon that is gone for a moment', async () => {
  let asked = 0;
  daemon.on('GET /v1/status', (_, response) => {
    asked += 1;
    if (asked === 2) sendError(response, 'unreachable', 'gone for a moment');
    else sendJson(response, 200, { ...status, pid: asked });
  });
  const child = startCli(['status', '--watch', '--home', daemon.home]);
  const done = finished(child);
  await eventually('four frames', () => asked >= 4, 15_000);
  child.kill('SIGINT');
  const result = await done;
  assert.is(result.status, 130);
  assert.match(result.stdout, /pid 1,[^]*gone for a moment[^]*pid 3,/);
});

test('tables align wide, combined and coloured cells', () => {
  const red = (text: string): string => `<${text}>`;
  const lines = table(
    [{ title: 'NAME' }, { title: 'N', align: 'right' }, { title: 'TEXT' }],
    [
      ['漢字', '1', 'a'],
      ['e\u0301', { text: '22', paint: red }, 'b'],
      ['🐇', '333', 'c\u001b'],
    ],
  );
  assert.equal(lines, ['NAME    N  TEXT', '漢字    1  a', 'e\u0301     < 22>  b', '🐇    333  c\ufffd']);
  assert.equal(table([{ title: 'A' }], []), []);
});

test('the last column is cut to the terminal', () => {
  const lines = table([{ title: 'A' }, { title: 'B' }], [['x', 'a long description']], { width: 14 });
  assert.equal(lines, ['A  B', 'x  a long des…']);
  assert.is(truncate('漢字漢字', 5), '漢字…');
  assert.is(displayWidth(truncate('漢字漢字', 6)), 5);
});

test('widths', () => {
  for (const [text, width] of [
    ['abc', 3],
    ['漢', 2],
    ['ｆ', 2],
    ['한', 2],
    ['e\u0301', 1],
    ['👩‍👩‍👧', 2],
    ['é…', 2],
    ['', 0],
  ] as const)
    assert.is(displayWidth(text), width, text);
});

test('cleaning', () => {
  assert.is(clean('a\tb\r\nc'), 'a b c');
  assert.is(clean('\u001b[31m\u009b\u007f\u202e\u2066\u200b\ud800'), '�[31m������');
  assert.is(clean('Zahlung 支払い ✓'), 'Zahlung 支払い ✓');
  const value = { text: '\u009b\u202e\u001b\ud800 ok' };
  const json = escapeJson(JSON.stringify(value));
  assert.not.match(json, /[\u0080-\u009f\u202e]/);
  assert.equal(JSON.parse(json), value);
});

test('sentences begin small, names keep their case, no full stop', () => {
  for (const [text, shown] of [
    ['There is a tunnel to payments already, on 127.0.0.1:9.', 'there is a tunnel to payments already, on 127.0.0.1:9'],
    ['A join is under way already.', 'a join is under way already'],
    ['Payments on host-a: it cannot be reached.', 'Payments on host-a: it cannot be reached'],
    ['This-node is not connected', 'This-node is not connected'],
    ['A is not connected', 'A is not connected'],
    ['Use it. Or wait...', 'use it. Or wait...'],
    ['"The" cannot be a tag', '"The" cannot be a tag'],
    ['DNS knows no host', 'DNS knows no host'],
  ] as const)
    assert.is(sentence(text), shown);
  const error = new WarrenError('in-use', 'The port is taken.', { hint: 'Choose another one.' });
  assert.is(
    formatError(error, colours({}, new PassThrough())),
    'warren: the port is taken\nhint: choose another one\n',
  );
});

test('figures and times', () => {
  const now = Date.parse('2026-01-02T00:00:00Z');
  assert.is(formatDuration(0), '0 s');
  assert.is(formatDuration(59), '59 s');
  assert.is(formatDuration(3 * 3600), '3 h');
  assert.is(formatDuration(3 * 3600 + 120), '3 h 2 min');
  assert.is(formatDuration(49 * 3600), '2 d 1 h');
  assert.is(formatSince('2026-01-01T23:59:00Z', now), '1 min');
  assert.is(formatSince('2026-01-02T00:01:00Z', now), '0 s');
  assert.is(formatSince('nonsense', now), '?');
  assert.is(formatUntil('2026-01-02T00:15:00Z', now), '15 min');
  assert.is(formatUntil('2026-01-01T00:00:00Z', now), 'expired');
  assert.is(formatBytes(512), '512 B');
  assert.is(formatBytes(1536), '1.5 KiB');
  assert.is(formatBytes(300 * 1024 * 1024), '300 MiB');
  assert.is(formatRtt(null), '–');
  assert.is(formatRtt(0.123), '0.12 ms');
  assert.is(formatRtt(7.25), '7.3 ms');
  assert.is(formatRtt(123.4), '123 ms');
  assert.is(shortId('short'), 'short');
});

test('durations', () => {
  for (const [text, seconds] of [
    ['90s', 90],
    ['15m', 900],
    ['1h', 3600],
    ['2d', 172_800],
    ['1h30m', 5400],
  ] as const)
    assert.is(parseDuration(text), seconds);
  for (const text of ['', '15', 'm', '0s', '-1m', '1.5h', '1 h', '1w', 'NaN', '1h-', '99999999999s'])
    assert.throws(() => parseDuration(text), /is no duration/, text);
});

test('relative socket paths', () => {
  assert.is(absoluteUnix('unix:a/b', '/c'), 'unix:/c/a/b');
  assert.is(absoluteUnix('unix:/a', '/c'), 'unix:/a');
  assert.is(absoluteUnix('unix:', '/c'), 'unix:');
  assert.is(absoluteUnix('8080', '/c'), '8080');
});

test.run();
