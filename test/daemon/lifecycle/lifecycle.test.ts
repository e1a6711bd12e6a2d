import { EventEmitter } from 'node:events';
import * as fs from 'node:fs';
import { join } from 'node:path';
import { Ending, STOP_EXTRA_MS } from '../../../daemon/lifecycle/ending.js';
import { setUpLog } from '../../../daemon/lifecycle/log-setup.js';
import { Readiness, notifySupervisor } from '../../../daemon/lifecycle/readiness.js';
import { handleSignals } from '../../../daemon/lifecycle/signals.js';
import { fromArguments, fromParent } from '../../../daemon/lifecycle/start-request.js';
import { createLog } from '../../../daemon/observe/log.js';
import { Turns } from '../../../daemon/admin/turns.js';
import { WarrenError } from '../../../protocol/errors.js';
import { assert, suite } from '../../helpers/suite.js';
import { withFolder } from '../home/temp.js';

const test = suite('lifecycle');

const turn = (): Promise<void> => new Promise(resolve => setImmediate(resolve));

test('the daemon is ready when no task is left', async () => {
  const readiness = new Readiness();
  assert.ok(readiness.ready);
  const [a, b] = [readiness.task('listener'), readiness.task('admin')];
  let told = false;
  void readiness.wait().then(() => (told = true));
  a();
  a();
  await turn();
  assert.equal([told, readiness.missing], [false, ['admin']]);
  b();
  await readiness.wait();
  await turn();
  assert.ok(told);
});

test('a supervisor is told when it asked for it, and given nothing of the environment', () => {
  const calls: unknown[] = [];
  const spawn = (...args: unknown[]): void => void calls.push(args);
  notifySupervisor('ready', {}, spawn);
  notifySupervisor('ready', { NOTIFY_SOCKET: '' }, spawn);
  assert.equal(calls, []);
  notifySupervisor('stopping', { NOTIFY_SOCKET: '/run/n', PATH: '/bin', SECRET: 'x' }, spawn);
  assert.equal(calls, [['systemd-notify', ['--stopping'], { PATH: '/bin', NOTIFY_SOCKET: '/run/n' }]]);
});

test('the first signal stops, the next one forces, SIGHUP reloads until then', () => {
  const source = new EventEmitter();
  const told: string[] = [];
  const restore = handleSignals(source, {
    stop: signal => told.push(`stop ${signal}`),
    force: signal => told.push(`force ${signal}`),
    reload: () => told.push('reload'),
  });
  for (const signal of ['SIGHUP', 'SIGINT', 'SIGHUP', 'SIGTERM', 'SIGINT']) source.emit(signal, signal);
  assert.equal(told, ['reload', 'stop SIGINT', 'force SIGTERM', 'force SIGINT']);
  restore();
  assert.is(source.eventNames().length, 0);
});

function watched(stop: (drainMs: number, force: AbortSignal) => Promise<void>) {
  const events: string[] = [];
  const log = createLog({
    clock: Date,
    sinks: [line => void events.push((JSON.parse(line) as { event: string }).event)],
  });
  let finished: (how: unknown) => void = () => undefined;
  const end = new Promise(resolve => (finished = resolve));
  const ending = new Ending({ log, stop, finish: ({ reason }, clean) => finished([reason, clean]) });
  return { ending, events, end };
}

test('an end is begun once and finishes clean', async () => {
  const { ending, events, end } = watched(async drainMs => assert.is(drainMs, 7));
  assert.is(ending.begun, false);
  assert.is(ending.begin({ reason: 'SIGTERM', drainMs: 7, restart: false }), true);
  assert.is(ending.begin({ reason: 'shutdown', drainMs: 9, restart: true }), false);
  assert.equal(await end, ['SIGTERM', true]);
  assert.equal(events, ['ending']);
});

test('a forced end tells the rooms, once', async () => {
  const { ending, events, end } = watched(
    (_, force) => new Promise(resolve => force.addEventListener('abort', () => resolve())),
  );
  ending.begin({ reason: 'SIGTERM', drainMs: 60_000, restart: false });
  ending.force('SIGINT');
  ending.force('SIGINT');
  assert.equal(await end, ['SIGTERM', true]);
  assert.equal(events, ['ending', 'forced']);
});

test('an end that fails or hangs is cut short and not clean', async () => {
  const failing = watched(() => Promise.reject(new Error('x')));
  failing.ending.begin({ reason: 'a', drainMs: 0, restart: false });
  assert.equal(await failing.end, ['a', false]);
  assert.equal(failing.events, ['ending', 'stop-failed']);
  const hanging = watched(() => new Promise(() => undefined));
  const started = Date.now();
  hanging.ending.begin({ reason: 'b', drainMs: 0, restart: false });
  hanging.ending.force('again');
  const alive = setTimeout(() => undefined, STOP_EXTRA_MS);
  assert.equal(await hanging.end, ['b', false]);
  clearTimeout(alive);
  assert.ok(Date.now() - started < STOP_EXTRA_MS - 1000);
  assert.equal(hanging.events, ['ending', 'forced', 'stop-late']);
});

async function refusal(work: () => unknown): Promise<WarrenError> {
  try {
    await work();
  } catch (error) {
    assert.instance(error, WarrenError);
    return error as WarrenError;
  }
  throw new Error('accepted');
}

test('a start request comes from the parent, whole or not at all', async () => {
  const request = {
    kind: 'start',
    home: '/h',
    foreground: true,
    listen: ['a:1'],
    noListen: undefined,
    mdns: false,
    join: 't',
  };
  const channel = new EventEmitter();
  const asked = fromParent(channel);
  channel.emit('message', request);
  assert.equal(await asked, request);
  for (const bad of [
    null,
    {},
    { ...request, home: 'relative' },
    { ...request, listen: 'x' },
    { ...request, join: 'x'.repeat(20_000) },
  ]) {
    const other = new EventEmitter();
    const refused = refusal(() => fromParent(other));
    other.emit('message', bad);
    assert.is((await refused).message, 'the parent sent no start request');
  }
  assert.match((await refusal(() => fromParent(new EventEmitter(), 5))).message, /did not say/);
  const gone = new EventEmitter();
  const refused = refusal(() => fromParent(gone));
  gone.emit('disconnect');
  assert.match((await refused).message, /went away/);
});

test('without a parent there is --home DIR and nothing else', async () => {
  assert.is(fromArguments(['--home', '/x'], {}).home, '/x');
  assert.is(fromArguments([], { WARREN_HOME: '/y' }).home, '/y');
  for (const args of [['--home'], ['/x'], ['--home', '/x', 'more'], ['--token', 'x']]) {
    assert.is((await refusal(() => fromArguments(args, {}))).code, 'usage');
  }
  assert.is((await refusal(() => fromArguments(['--home', ''], {}))).code, 'bad-value');
});

test('the log goes to the file of a detached daemon, or to stderr as lines or text; the ring has it too', async () => {
  await withFolder(folder => {
    const out: string[] = [];
    const stderr = { write: (text: string) => out.push(text) };
    const file = join(folder, 'warren.log');
    const toFile = setUpLog({ file, now: Date.now, stderr, env: {} });
    toFile.log.info('a', {}, 'b');
    assert.match(fs.readFileSync(file, 'utf8'), /"event":"a"/);
    fs.rmSync(file);
    toFile.reopen();
    toFile.log.debug('x', {}, 'not at this level');
    toFile.log.setLevel('debug');
    toFile.log.child({ n: 1 }).debug('c', {}, 'd');
    assert.match(fs.readFileSync(file, 'utf8'), /^[^\n]*"event":"c"[^\n]*\n$/);
    toFile.close();
    assert.equal(out, []);
    setUpLog({ file: undefined, now: Date.now, stderr, env: {} }).log.info('a', {}, 'b');
    assert.match(out[0]!, /^\{.*\}\n$/);
    const terminal = { ...stderr, isTTY: true };
    setUpLog({ file: undefined, now: Date.now, stderr: terminal, env: { NO_COLOR: '1' } }).log.info('a', {}, 'b');
    assert.match(out[1]!, /^\d\d:\d\d:\d\d info {2}b \[a\]\n$/);
    setUpLog({ file: undefined, now: Date.now, stderr: terminal, env: {} }).log.info('a', {}, 'b');
    assert.match(out[2]!, /\u001b\[/);
    const { ring, close } = setUpLog({ file: undefined, now: Date.now, stderr, env: {} });
    assert.equal(ring.recent(5), []);
    close();
  });
});

test('turns: one after the other, also past a failure', async () => {
  const turns = new Turns();
  const order: string[] = [];
  const slow = turns.run(async () => {
    await turn();
    order.push('slow');
  });
  const failing = turns.run(() => {
    order.push('failing');
    throw new Error('x');
  });
  const last = turns.run(() => order.push('last'));
  await slow;
  await failing.then(
    () => assert.unreachable(),
    () => undefined,
  );
  await last;
  assert.equal(order, ['slow', 'failing', 'last']);
});

test.run();
