import * as fs from 'node:fs';
import { join } from 'node:path';
import { createLog, errorFields, silentLog, type LogFields, type LogSink } from '../../../daemon/observe/log.js';
import { limitRepeats, REPEATS_WINDOW_MS, REPEATS_WRITTEN } from '../../../daemon/observe/repeats.js';
import { LogRing } from '../../../daemon/observe/ring.js';
import { fileSink, lineSink, prettySink } from '../../../daemon/observe/sinks.js';
import { WarrenError } from '../../../protocol/errors.js';
import { assert, suite } from '../../helpers/suite.js';
import { VirtualTime } from '../../helpers/virtual-time.js';
import { modeOf, withFolder } from '../home/temp.js';

const test = suite('the log');

const clock = { now: () => Date.UTC(2026, 10, 22, 12, 0, 0, 5) };

function collected(level?: 'debug' | 'info') {
  const lines: string[] = [];
  const sink: LogSink = line => void lines.push(line);
  const log = createLog({ clock, sinks: [sink], ...(level === undefined ? {} : { level }) });
  const last = (): Record<string, unknown> => JSON.parse(lines.at(-1)!) as Record<string, unknown>;
  return { log, lines, last };
}

test('a line is one JSON document with time, level, event, msg and the fields', () => {
  const { log, last, lines } = collected();
  log.warn(
    'link-down',
    { peer: 'b', rttMs: 3.5, links: ['x', 'y'], again: null, not: undefined, on: true },
    'it %s broke',
  );
  assert.equal(last(), {
    level: 'warn',
    time: '2026-11-22T12:00:00.005Z',
    event: 'link-down',
    peer: 'b',
    rttMs: 3.5,
    links: ['x', 'y'],
    again: null,
    on: true,
    msg: 'it %s broke',
  });
  assert.not.match(lines[0]!, /\n/);
});

test('a line feed in a field stays inside its line', () => {
  const { log, lines } = collected();
  log.info('a', { name: 'x\n{"level":"error"}' }, 'y\nz');
  assert.is(lines.length, 1);
  assert.not.match(lines[0]!, /\n/);
});

test('levels below the wanted one are left out', () => {
  const { log, lines } = collected();
  log.debug('a', {}, 'b');
  assert.is(lines.length, 0);
  const chatty = collected('debug');
  chatty.log.debug('a', {}, 'b');
  assert.is(chatty.last().level, 'debug');
});

test('children carry their fields; the own ones win', () => {
  const { log, last } = collected();
  log.child({ peer: 'b', n: 1 }).child({ link: 2 }).error('e', { n: 3 }, 'm');
  const { peer, n, link, level } = last();
  assert.equal({ peer, n, link, level }, { peer: 'b', n: 3, link: 2, level: 'error' });
});

test('a field cannot take the place of what every line has', () => {
  const { log, last } = collected();
  log.info('real', { event: 'fake', level: 'error', time: 'never', msg: 'no' }, 'yes');
  assert.equal(last(), { level: 'info', time: '2026-11-22T12:00:00.005Z', event: 'real', msg: 'yes' });
});

const TOKEN = 'warren1q2w3e4r5t6y7u8i9o0p';

test('secrets are masked wherever they are put', () => {
  const { log, lines } = collected('debug');
  const secret = 'c2VjcmV0LWJ5dGVzLWhlcmU';
  const careless = (fields: Record<string, unknown>): void => log.info('e', fields as LogFields, 'm');
  careless({ token: secret });
  careless({ networkSecret: secret, PSK: secret, signingSeed: secret, passphrase: secret, noisePrivate: secret });
  careless({ note: `join ${TOKEN} now`, list: [TOKEN, 'x'] });
  careless({ key: Buffer.from(secret), nested: { deep: secret }, bytes: [Buffer.from(secret)], fn: () => secret });
  careless({ url: `wss://user:${secret}@host/path` });
  careless({ pem: `-----BEGIN PRIVATE KEY-----\n${secret}\n-----END PRIVATE KEY-----` });
  log.warn('e', {}, `token ${TOKEN} is bad`);
  log.error('e', errorFields(new WarrenError('token', `no such invite: ${TOKEN}`)), 'm');
  log.child({ invite: TOKEN, secret }).debug('e', {}, 'm');
  const all = lines.join('\n');
  assert.is(lines.length, 9);
  assert.not.match(all, new RegExp(secret));
  assert.not.match(all, /q2w3e4r5/);
  assert.match(all, /wss:\/\/MASKED@host\/path/);
});

test('long texts and lists are cut', () => {
  const { log, last } = collected();
  log.info('e', { name: 'x'.repeat(5000), many: Array.from({ length: 500 }, (_, i) => i) }, 'y'.repeat(5000));
  assert.is((last().name as string).length, 1025);
  assert.is((last().many as number[]).length, 64);
  assert.is((last().msg as string).length, 1025);
});

test('a clock outside the calendar and a sink that throws do not stop the log', () => {
  const lines: string[] = [];
  const broken: LogSink = () => {
    throw new Error('full');
  };
  const log = createLog({ clock: { now: () => Number.NaN }, sinks: [broken, line => void lines.push(line)] });
  log.info('e', {}, 'm');
  assert.match(lines[0]!, /1970-01-01/);
  silentLog.child({}).error('e', {}, 'm');
});

test('errors become a code and a sentence', () => {
  assert.equal(errorFields(new WarrenError('disk', 'full')), { code: 'disk', error: 'full' });
  assert.equal(errorFields(Object.assign(new Error('x'), { code: 'EPIPE' })), { code: 'EPIPE', error: 'x' });
  assert.equal(errorFields(new Error('x')), { code: 'internal', error: 'x' });
  assert.equal(errorFields('x'), { code: 'internal', error: 'x' });
});

test('the file is 0600, appended to, and rotated at its size', async () => {
  await withFolder(folder => {
    const path = join(folder, 'warren.log');
    fs.writeFileSync(path, 'old\n', { mode: 0o644 });
    const file = fileSink(path, 64);
    assert.is(modeOf(path), '600');
    file.sink('a'.repeat(40), 'info');
    assert.is(fs.readFileSync(path, 'utf8'), `old\n${'a'.repeat(40)}\n`);
    file.sink('b'.repeat(40), 'info');
    assert.is(fs.readFileSync(`${path}.1`, 'utf8'), `old\n${'a'.repeat(40)}\n`);
    assert.is(fs.readFileSync(path, 'utf8'), `${'b'.repeat(40)}\n`);
    assert.is(modeOf(path), '600');
    file.sink('c'.repeat(100), 'info');
    file.sink('d', 'info');
    assert.equal(fs.readdirSync(folder).sort(), ['warren.log', 'warren.log.1']);
    assert.is(fs.readFileSync(path, 'utf8'), 'd\n');
    fs.renameSync(path, join(folder, 'moved'));
    file.reopen();
    file.sink('e', 'info');
    assert.is(fs.readFileSync(path, 'utf8'), 'e\n');
    file.close();
  });
});

test('a file that cannot be rotated goes on growing', async () => {
  await withFolder(folder => {
    const path = join(folder, 'warren.log');
    const file = fileSink(path, 10);
    fs.mkdirSync(join(`${path}.1`, 'in the way'), { recursive: true });
    for (const line of ['aaaaaaaa', 'bbbbbbbb', 'cccccccc']) file.sink(line, 'info');
    assert.is(fs.readFileSync(path, 'utf8'), 'aaaaaaaa\nbbbbbbbb\ncccccccc\n');
    fs.rmSync(`${path}.1`, { recursive: true });
    file.sink('dddddddd', 'info');
    assert.is(fs.readFileSync(path, 'utf8'), 'dddddddd\n');
    file.close();
  });
});

test('text for a terminal is one line, without control characters of others', () => {
  const out: string[] = [];
  const log = createLog({ clock, sinks: [prettySink(text => void out.push(text), false)] });
  log.warn('peer-name', { name: 'a\u001b[2J\u202eb', n: 4 }, 'told\nname');
  assert.is(out[0], '12:00:00 warn  told\\u{a}name [peer-name] name=a\\u{1b}[2J\\u{202e}b n=4\n');
  prettySink(text => void out.push(text), false)('not json', 'error');
  assert.match(out[1]!, /not json/);
  const coloured = createLog({ clock, sinks: [prettySink(text => void out.push(text), true)] });
  coloured.error('e', {}, 'm');
  assert.match(out[2]!, /\u001b\[31m/);
  lineSink(text => void out.push(text))('x', 'info');
  assert.is(out[3], 'x\n');
});

test('the ring keeps the newest lines within both limits and tells followers', () => {
  const ring = new LogRing({ lines: 20, characters: 100 });
  const seen: string[] = [];
  const stop = ring.follow(line => void seen.push(line));
  ring.follow(() => {
    throw new Error('broken follower');
  });
  for (let i = 0; i < 50; i++) ring.sink(`l${i}`, 'info');
  assert.is(seen.length, 50);
  const kept = ring.recent(1000);
  assert.ok(kept.length <= 20 && kept.length >= 18);
  assert.is(kept.at(-1), 'l49');
  assert.equal(ring.recent(2), ['l48', 'l49']);
  assert.equal(ring.recent(0), []);
  stop();
  assert.is(ring.followerCount, 1);
  ring.sink('x'.repeat(90), 'info');
  assert.is(seen.length, 50);
  assert.ok(ring.recent(1000).join('').length <= 100);
  ring.sink('y'.repeat(500), 'info');
  assert.equal(ring.recent(1000), []);
});

test('repeated lines of an event are counted, and told at the end of their window', async () => {
  const time = new VirtualTime();
  const { log, lines, last } = collected();
  const limited = limitRepeats(log, time);
  for (let i = 0; i < 100; i++) limited.child({ room: 'x' }).warn('stranger', { i }, 'garbage');
  limited.info('other', {}, 'm');
  assert.is(lines.length, REPEATS_WRITTEN + 1);
  time.advance(REPEATS_WINDOW_MS + 1);
  assert.is(lines.length, REPEATS_WRITTEN + 2);
  assert.equal([last().event, last().suppressed, last().level], ['stranger', 100 - REPEATS_WRITTEN, 'warn']);
  limited.warn('stranger', {}, 'garbage');
  assert.is(last().msg, 'garbage');
  time.advance(3 * REPEATS_WINDOW_MS);
  assert.is(lines.length, REPEATS_WRITTEN + 3);
});

test('events beyond the number told apart share one count', () => {
  const time = new VirtualTime();
  const { log, lines } = collected();
  const limited = limitRepeats(log, time);
  for (let i = 0; i < 1000; i++) limited.info(`e${i}`, {}, 'm');
  assert.is(lines.length, 256 + REPEATS_WRITTEN);
  time.advance(REPEATS_WINDOW_MS + 1);
  assert.match(lines.at(-1)!, /"event":"other-events".*"suppressed":739/);
});

test.run();
