/** `up`, `down` and `restart`: what the daemon's process is started with, how it is left, how it ends. */
import { existsSync, openSync, closeSync, readFileSync } from 'node:fs';
import { spawn, type ChildProcess } from 'node:child_process';
import { join } from 'node:path';
import { assert, suite } from '../helpers/suite.js';
import { packageRoot } from '../helpers/root.js';
import { eventually } from '../helpers/sockets.js';
import { HEAP_FLAGS } from '../../cli/daemon-process.js';
import type { Status } from '../../protocol/admin/contract.js';
import type { Noted } from './fake-daemon-program.js';
import { finished, nodeArguments, runCli, runHere, startCli, temporaryFolder, type Result } from './run-cli.js';

const test = suite('cli: up and down');
const entry = './cli-with-fake-daemon';
const TOKEN = 'warren1secretsecretsecret';

const folders: { home: string; remove: () => void }[] = [];

function freshHome(): string {
  const folder = temporaryFolder();
  const home = join(folder.path, 'home');
  folders.push({ home, remove: folder.remove });
  return home;
}

function noted(home: string): Noted[] {
  if (!existsSync(join(home, 'noted'))) return [];
  return readFileSync(join(home, 'noted'), 'utf8')
    .trim()
    .split('\n')
    .map(line => JSON.parse(line) as Noted);
}

/** The processes that this test's stand-ins were: a zombie counts as ended. */
function lives(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return !/\) [ZX]/.test(readFileSync(`/proc/${pid}/stat`, 'utf8'));
  } catch {
    return false;
  }
}

function signals(home: string): string {
  return existsSync(join(home, 'signals')) ? readFileSync(join(home, 'signals'), 'utf8') : '';
}

test.after(() => {
  for (const { home, remove } of folders) {
    for (const { pid } of noted(home)) if (lives(pid)) process.kill(pid, 'SIGKILL');
    remove();
  }
});

function cli(home: string, line: string, options: { stdin?: string } = {}): Promise<Result> {
  return runCli([...line.split(' '), '--home', home], { ...options, entry });
}

interface Foreground {
  readonly child: ChildProcess;
  readonly done: Promise<Result>;
  readonly daemon: Noted;
}

/** `warren up` that stays, when its daemon is ready. */
async function stay(home: string, ...flags: readonly string[]): Promise<Foreground> {
  const child = startCli(['up', ...flags, '--home', home], { entry });
  const done = finished(child);
  let told = '';
  child.stderr.on('data', (text: string) => (told += text));
  await eventually('the daemon is ready', () => told.includes('is up'), 15_000);
  return { child, done, daemon: noted(home)[0] as Noted };
}

test('--detach returns when it is ready; down returns when it has ended', async () => {
  const home = freshHome();
  const up = await cli(home, 'up --detach');
  assert.is(up.status, 0, up.stderr);
  assert.is(up.stdout, '');
  assert.match(up.stderr, /^host-a is up/);
  const [daemon] = noted(home);
  assert.ok(daemon !== undefined && lives(daemon.pid));
  assert.equal(daemon.request, { kind: 'start', home, foreground: false });
  assert.is(daemon.cwd, '/');
  const down = await cli(home, 'down');
  assert.is(down.status, 0, down.stderr);
  assert.not.ok(lives(daemon.pid));
  assert.is(down.stdout, '');
  assert.match(down.stderr, /2 open streams are given 10 s to end\nthe daemon has ended/);
  assert.is((await cli(home, 'down')).status, 3);
});

test('the daemon gets its heap flags, by hand and from systemd', async () => {
  const home = freshHome();
  assert.is((await cli(home, 'up --detach')).status, 0);
  const [daemon] = noted(home);
  for (const flag of HEAP_FLAGS) assert.ok(daemon?.execArgv.includes(flag), flag);
  const unit = readFileSync(join(packageRoot(), 'docs', 'examples', 'warren.service'), 'utf8');
  assert.match(unit, `ExecStart=/usr/bin/node ${HEAP_FLAGS.join(' ')} /opt/warren/dist/daemon/main.js`);
  assert.is((await cli(home, 'down')).status, 0);
});

test('--json prints the status', async () => {
  const home = freshHome();
  const up = await cli(home, 'up --detach --json');
  assert.is((JSON.parse(up.stdout) as Status).pid, noted(home)[0]?.pid);
});

test('flags are handed over as they are given, and only those; never in argv, the token least of all', async () => {
  const home = freshHome();
  const line = `up --detach --name host-x --listen 127.0.0.1:0 --listen [::1]:0 --advertise wss://h/p --no-mdns --links 4 --proxy http://proxy.example:3128 --join ${TOKEN}`;
  const up = await cli(home, line);
  assert.is(up.status, 0, up.stderr);
  assert.match(up.stderr, /^joined the network of host-a as host-b\nhost-a is up/);
  const [daemon] = noted(home);
  assert.equal(daemon?.request, {
    kind: 'start',
    home,
    foreground: false,
    name: 'host-x',
    listen: ['127.0.0.1:0', '[::1]:0'],
    advertise: ['wss://h/p'],
    mdns: false,
    links: 4,
    proxy: 'http://proxy.example:3128',
    join: TOKEN,
  });
  assert.not.match(daemon?.argv.join(' ') ?? '', /warren1|host-x/);
});

test('--no-listen, and a token from stdin', async () => {
  const home = freshHome();
  const up = await cli(home, 'up --detach --no-listen --join -', { stdin: `${TOKEN}\n` });
  assert.is(up.status, 0, up.stderr);
  assert.equal(noted(home)[0]?.request, { kind: 'start', home, foreground: false, noListen: true, join: TOKEN });
});

test('a detached daemon keeps none of the descriptors of its caller', async () => {
  const home = freshHome();
  const file = join(folders.at(-1)?.home ?? '', '..', 'held');
  const held = openSync(file, 'w');
  // The caller's standard streams are pipes, and 9 is a file that it keeps open.
  const child = spawn(process.execPath, [...nodeArguments(entry), 'up', '--detach', '--home', home], {
    stdio: ['pipe', 'pipe', 'pipe', 'ignore', 'ignore', 'ignore', 'ignore', 'ignore', 'ignore', held],
  });
  closeSync(held);
  // `close` comes when nobody holds the pipes any more: not while a daemon has inherited them.
  assert.is(await new Promise(resolve => child.on('close', resolve)), 0);
  const [daemon] = noted(home);
  assert.ok(daemon !== undefined && lives(daemon.pid));
  assert.not.ok(Object.values(daemon.descriptors).some(target => target.endsWith('/held')));
});

for (const [name, detach, sentence] of [
  ['fails', '', /^warren: the port is taken\nhint: take another\n$/],
  ['fails', ' --detach', /^warren: the port is taken\nhint: take another\n$/],
  ['crashes', ' --detach', /^warren: the daemon ended before it was ready \(exit code 7\)\nhint: /],
  ['lingers', ' --detach', /^warren: something\nhint: /],
] as const)
  test(`up${detach}, a start that ${name}: exit 1, nothing on stdout, no daemon left`, async () => {
    const home = freshHome();
    const up = await cli(home, `up --name ${name}${detach} --json`);
    assert.is(up.status, 1);
    assert.is(up.stdout, '');
    assert.match(up.stderr, sentence);
    const [daemon] = noted(home);
    assert.ok(daemon !== undefined && !lives(daemon.pid));
  });

test('interrupted while it starts: 130 and no daemon left', async () => {
  for (const detach of [['--detach'], []]) {
    const home = freshHome();
    const child = startCli(['up', '--name', 'is-slow', ...detach, '--home', home], { entry });
    const done = finished(child);
    await eventually('the daemon was started', () => noted(home).length === 1, 15_000);
    child.kill('SIGINT');
    const result = await done;
    assert.is(result.status, 130, result.stderr);
    assert.is(result.stdout, '');
    assert.not.ok(lives(noted(home)[0]?.pid ?? 0));
  }
});

test('in the foreground: SIGHUP and SIGINT are handed on, once; 130', async () => {
  const home = freshHome();
  const { child, done, daemon } = await stay(home);
  assert.is(daemon.request.foreground, true);
  child.kill('SIGHUP');
  await eventually('the daemon got it', () => signals(home) === 'SIGHUP\n');
  child.kill('SIGINT');
  const result = await done;
  assert.is(result.status, 130);
  assert.is(signals(home), 'SIGHUP\nSIGINT\n');
  assert.not.ok(lives(daemon.pid));
  assert.match(result.stderr, /end +Ctrl-C/);
  assert.is(result.stdout, '');
});

test('in the foreground: SIGTERM ends it with the exit code of the daemon', async () => {
  const home = freshHome();
  const { child, done } = await stay(home);
  child.kill('SIGTERM');
  assert.is((await done).status, 0);
  assert.is(signals(home), 'SIGTERM\n');
});

test('in the foreground: a daemon that is killed is told, with 128 and the signal', async () => {
  const home = freshHome();
  const { done, daemon } = await stay(home);
  process.kill(daemon.pid, 'SIGKILL');
  const result = await done;
  assert.is(result.status, 137);
  assert.match(result.stderr, /warren: the daemon ended \(SIGKILL\)/);
});

test('in the foreground: the daemon goes when `warren up` is killed', async () => {
  const home = freshHome();
  const { child, daemon } = await stay(home);
  child.kill('SIGKILL');
  await eventually('it has ended', () => !lives(daemon.pid));
});

test('restart in the foreground: `warren up` starts the next one, from the config alone', async () => {
  const home = freshHome();
  const { done, daemon: first } = await stay(home, '--name', 'host-x', '--join', TOKEN);
  const restart = await cli(home, 'restart');
  assert.is(restart.status, 0, restart.stderr);
  const second = noted(home)[1] as Noted;
  assert.not.ok(lives(first.pid));
  assert.ok(lives(second.pid));
  assert.match(restart.stderr, new RegExp(`the daemon runs again \\(pid ${second.pid}\\)`));
  assert.equal(second.request, { kind: 'start', home, foreground: true });
  assert.is((await cli(home, 'down')).status, 0);
  assert.is((await done).status, 0);
});

test('restart of a detached daemon: the command starts the next one', async () => {
  const home = freshHome();
  await cli(home, 'up --detach');
  const restart = await cli(home, 'restart');
  assert.is(restart.status, 0, restart.stderr);
  const [first, second] = noted(home);
  assert.ok(first !== undefined && second !== undefined && !lives(first.pid) && lives(second.pid));
  assert.equal(second.request, { kind: 'start', home, foreground: false });
});

test('a refused value ends `up` before anything is started', async () => {
  const home = freshHome();
  for (const line of ['up --join @/does/not/exist', 'up --join -']) {
    const result = await runHere([...line.split(' '), '--home', home]);
    assert.is(result.status, 1);
    assert.is(result.stdout, '');
  }
  for (const line of ['up --links 0', 'up --links 9', 'up --links two', 'up --links 1.5', 'up --links -1']) {
    const result = await runHere([...line.split(' '), '--home', home]);
    assert.is(result.status, 1, line);
    assert.match(result.stderr, /is no number of links\nhint: write a whole number from 1 to 8/);
  }
  const long = await runHere(['up', '--home', `/tmp/${'x'.repeat(120)}`]);
  assert.is(long.status, 1);
  assert.match(long.stderr, /too long/);
  assert.not.ok(existsSync(home));
});

test('a proxy with a password in the arguments is refused before anything is started, and not repeated', async () => {
  const home = freshHome();
  for (const proxy of ['http://user:hunter2@proxy:3128', 'user:hunter2@proxy:3128', 'https://user@proxy']) {
    const result = await runHere(['up', '--detach', '--proxy', proxy, '--home', home]);
    assert.is(result.status, 1);
    assert.is(result.stdout, '');
    assert.match(
      result.stderr,
      /^warren: the proxy has a user name or password in it.*\nhint: .*node\.proxy.*HTTPS_PROXY/,
    );
    assert.not.match(result.stderr, /hunter2/);
  }
  assert.not.ok(existsSync(home));
});

test.run();
