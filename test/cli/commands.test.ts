/** What each command asks of the daemon, and what it shows of the answer. */
import { spawn } from 'node:child_process';
import { mkdirSync, writeFileSync } from 'node:fs';
import { join, relative } from 'node:path';
import { assert, suite } from '../helpers/suite.js';
import { FakeDaemon } from './fake-daemon.js';
import { nodeArguments, runCli, runHere, type Result, type RunOptions } from './run-cli.js';
import * as samples from './samples.js';

const test = suite('cli: commands');
let daemon: FakeDaemon;
test.before(async () => {
  daemon = await new FakeDaemon().start();
});
test.after(() => daemon.stop());

async function cli(line: string | readonly string[], options: RunOptions = {}): Promise<Result> {
  daemon.asked.length = 0;
  const args = typeof line === 'string' ? line.split(' ') : line;
  return runHere(args, { ...options, env: { WARREN_HOME: daemon.home, ...options.env } });
}

const READING: readonly (readonly [line: string, request: string])[] = [
  ['status', 'GET /v1/status'],
  ['peers', 'GET /v1/peers'],
  ['services', 'GET /v1/services'],
  ['tunnels', 'GET /v1/tunnels'],
  ['doctor', 'GET /v1/doctor'],
  ['keys show', 'GET /v1/keys'],
  ['keys log', 'GET /v1/keys/log'],
  ['invite', 'POST /v1/invites'],
  ['connect redis', 'POST /v1/tunnels'],
  ['expose payments 8080', 'PUT /v1/services/payments'],
  ['join warren1abc', 'POST /v1/join'],
  ['ping host-b', 'POST /v1/peers/host-b/ping'],
  ['reload', 'POST /v1/reload'],
];

for (const [line, request] of READING)
  test(`${line} --json is one document: the reply`, async () => {
    const result = await cli(`${line} --json`);
    assert.is(result.status, 0, result.stderr);
    assert.equal(JSON.parse(result.stdout), samples.replies[request]);
    assert.is((JSON.parse(result.stdout) as { apiVersion: unknown }).apiVersion, 1);
    assert.equal(
      daemon.asked.map(asked => asked.line),
      [request],
    );
  });

test('--home stands before or after any word, and beats WARREN_HOME', async () => {
  for (const args of [
    ['--home', daemon.home, 'keys', 'log'],
    ['keys', '--home', daemon.home, 'log'],
    ['keys', 'log', '--home', daemon.home],
    ['keys', 'log', `--home=${daemon.home}`],
    ['--home', '/nowhere', 'keys', 'log', '--home', daemon.home],
  ]) {
    const result = await cli(args, { env: { WARREN_HOME: '/nowhere' } });
    assert.is(result.status, 0, args.join(' ') + result.stderr);
  }
  const relativeHome = await cli(['peers', '--home', relative('/tmp', daemon.home)], { cwd: '/tmp' });
  assert.is(relativeHome.status, 0, relativeHome.stderr);
});

test('the default home is in the folder for data of programs', async () => {
  const env = { WARREN_HOME: '', XDG_DATA_HOME: '/tmp/warren-no-such', HOME: '/tmp/warren-no-such' };
  const result = await runCli(['peers'], { env });
  assert.is(result.status, 3);
  assert.match(result.stderr, /no daemon runs on \/tmp\/warren-no-such.*warren/);
  assert.match(result.stderr, /hint: start it: warren up\n/);
});

test('status shows who is connected and how, what is exposed, what is mapped, and warnings', async () => {
  const { stdout, stderr } = await cli('status');
  assert.match(stdout, /^host-a {2}ready\n/);
  assert.match(stdout, /host-b +bbbbbbbbbbbb… +connected +1 +tcp to 192\.0\.2\.7:7667 +0\.42 ms +3/);
  assert.match(stdout, /host-d +dddddddddddd… +connected +1 +relay through host-b +31 ms +3/);
  assert.match(stdout, /relays +2 links of other members now\n/);
  assert.match(stdout, /host-c +cccccccccccc… +down .*connection refused/);
  assert.match(stdout, /payments +127\.0\.0\.1:8080 +1 +12 +2 +0 +tag:gateway/);
  assert.match(stdout, /redis +127\.0\.0\.1:6380 +listening +2 +1 +9 +0 +0 +1\.5 KiB +4\.0 KiB/);
  assert.match(stdout, /! the clock of host-c is an hour ahead/);
  assert.match(stdout, /listens +127\.0\.0\.1:7667\n/);
  assert.is(stderr, '');
});

test('an empty list is told on stderr', async () => {
  daemon.on('GET /v1/tunnels', { apiVersion: 1, tunnels: [] });
  const result = await cli('tunnels');
  daemon.on('GET /v1/tunnels', samples.replies['GET /v1/tunnels'] ?? {});
  assert.is(result.status, 0);
  assert.is(result.stdout, '');
  assert.match(result.stderr, /no service is mapped here/);
});

test('what comes from the network cannot drive the terminal', async () => {
  const plain = await cli('services');
  assert.match(plain.stdout, /a �\[31mred�\[0m cache�!/);
  const json = await cli('services --json');
  assert.match(json.stdout, /a \\u001b\[31mred\\u001b\[0m cache\\u202e!/);
  daemon.fail('GET /v1/doctor', 'internal', 'two\nlines \u0007\u009b31m', 'and\r\u001b]0;x\u0007');
  const failed = await cli('doctor');
  daemon.on('GET /v1/doctor', samples.doctor);
  assert.is(failed.stderr, 'warren: two lines ��31m\nhint: and �]0;x�\n');
});

test('invite prints the token alone when stdout is no terminal', async () => {
  const result = await cli('invite --ttl 1h30m --tag a --tag b');
  assert.is(result.stdout, `${samples.invite.token}\n`);
  assert.is(result.stderr, '');
  assert.equal(daemon.asked[0]?.body, { ttlSeconds: 5400, tags: ['a', 'b'] });
  await cli('invite');
  assert.equal(daemon.asked[0]?.body, { ttlSeconds: 900 });
});

test(
  'invite on a terminal shows a card and a QR code',
  async () => {
    const command = [process.execPath, ...nodeArguments('../../cli/main'), '--home', daemon.home, 'invite'].join(' ');
    const child = await runOnTerminal(command);
    assert.match(child, /█/);
    assert.ok(child.split(/\r?\n/).includes(samples.invite.token), 'the token stands on a line of its own');
    assert.match(child, /warren up --join -/);
  },
  { needs: ['script'] },
);

async function runOnTerminal(command: string): Promise<string> {
  const child = spawn('script', ['-qec', command, '/dev/null'], {
    stdio: ['ignore', 'pipe', 'ignore'],
    env: { ...process.env, NO_COLOR: '1', COLUMNS: '100' },
  });
  let text = '';
  child.stdout.on('data', (chunk: Buffer) => (text += chunk.toString()));
  await new Promise(resolve => child.on('close', resolve));
  return text;
}

test('join takes the token from the line, from stdin and from a file', async () => {
  const token = 'warren1abcdefghijkl';
  const file = join(daemon.home, 'token.txt');
  writeFileSync(file, `\n  ${token}\r\n`);
  for (const [args, options] of [
    [['join', token], {}],
    [['join', '-'], { stdin: `${token}\n` }],
    [['join', `@${file}`], {}],
    [['join', '@token.txt'], { cwd: daemon.home }],
  ] as const) {
    const result = await cli(args, options);
    assert.is(result.status, 0, result.stderr);
    assert.equal(daemon.asked, [{ line: 'POST /v1/join', body: { token } }]);
    assert.is(result.stdout, '');
    assert.is(result.stderr, 'joined the network of host-a as host-b\n');
  }
});

test('join reads no endless input', async () => {
  mkdirSync(join(daemon.home, 'folder'), { recursive: true });
  const long = await cli('join -', { stdin: 'x'.repeat(1024 * 1024) });
  assert.is(long.status, 1);
  assert.match(long.stderr, /longer than any token/);
  const folder = await cli(['join', `@${join(daemon.home, 'folder')}`]);
  assert.is(folder.status, 1);
  assert.match(folder.stderr, /it is a folder/);
  assert.equal(daemon.asked, []);
});

test('join in the network already: the note', async () => {
  daemon.on('POST /v1/join', { ...samples.join, note: 'already a member: the token was left alone' });
  const result = await cli('join warren1abc');
  daemon.on('POST /v1/join', samples.join);
  assert.is(result.status, 0);
  assert.is(result.stderr, 'already a member: the token was left alone\n');
});

test('expose sends what was given and makes a relative socket path absolute', async () => {
  const args =
    'expose payments unix:run/db.sock --version 2 --description text --tag a --allow x --allow tag:y --deny z';
  const result = await cli(args, { cwd: '/tmp' });
  assert.is(result.status, 0, result.stderr);
  assert.equal(daemon.asked, [
    {
      line: 'PUT /v1/services/payments',
      body: {
        target: 'unix:/tmp/run/db.sock',
        version: '2',
        description: 'text',
        tags: ['a'],
        allow: ['x', 'tag:y'],
        deny: ['z'],
      },
    },
  ]);
  assert.is(result.stdout, '');
  assert.is(result.stderr, 'payments is exposed: 127.0.0.1:8080, for tag:gateway\n');
});

test('names are sent as one segment of the path', async () => {
  await cli(['unexpose', 'a/../b?c']);
  assert.is(daemon.asked[0]?.line, 'DELETE /v1/services/a%2F..%2Fb%3Fc');
});

test('connect prints the address alone, warnings go to stderr', async () => {
  daemon.on('POST /v1/tunnels', {
    apiVersion: 1,
    service: 'redis',
    listen: '127.0.0.1:6380',
    warning: 'nobody exposes redis now',
  });
  const result = await cli('connect redis unix:r.sock', { cwd: '/tmp' });
  assert.is(result.status, 0);
  assert.is(result.stdout, '127.0.0.1:6380\n');
  assert.is(result.stderr, 'warren: warning: nobody exposes redis now\n');
  assert.equal(daemon.asked[0]?.body, { service: 'redis', listen: 'unix:/tmp/r.sock' });
  await cli('connect redis');
  assert.equal(daemon.asked[0]?.body, { service: 'redis' });
});

test('deleting commands say what they did on stderr', async () => {
  for (const [line, request] of [
    ['unexpose payments', 'DELETE /v1/services/payments'],
    ['disconnect redis', 'DELETE /v1/tunnels/redis'],
    ['peer remove host-b', 'DELETE /v1/peers/host-b'],
  ] as const) {
    const result = await cli(line);
    assert.is(result.status, 0, result.stderr);
    assert.is(result.stdout, '');
    assert.match(result.stderr, /./);
    assert.is(daemon.asked[0]?.line, request);
  }
});

test('ping shows each answer, and fails when there is none', async () => {
  const result = await cli('ping host-b');
  assert.equal(result.stdout.split('\n'), [
    'host-b over tcp: 0.40 ms',
    'host-b over tcp: no answer to ping 2',
    'host-b over tcp: 0.60 ms',
    'host-b over tcp: 0.50 ms',
    '3 of 4 answered, min/mean/max 0.40 ms / 0.50 ms / 0.60 ms',
    '',
  ]);
  assert.equal(daemon.asked[0]?.body, { count: 4 });
  daemon.on('POST /v1/peers/host-c/ping', {
    apiVersion: 1,
    node: 'host-c',
    nodeId: 'c',
    transport: 'tcp',
    rttMs: [null, null],
  });
  const silent = await cli('ping host-c -c 2 --json');
  assert.is(silent.status, 1);
  assert.is(silent.stdout, '');
  assert.match(silent.stderr, /host-c has not answered any of 2 pings/);
});

test('reload tells changes and what needs a restart', async () => {
  const result = await cli('reload');
  assert.is(result.stdout, '');
  assert.match(
    result.stderr,
    /^service payments added\nwarren: warning: needs a restart: node\.name\nhint: warren restart\n$/,
  );
});

test('doctor prints each check with its hint', async () => {
  const { stdout, status } = await cli('doctor');
  assert.is(status, 0);
  assert.match(stdout, /^ok +clock: within a second/);
  assert.match(
    stdout,
    /problem +ports: port 7667 is taken\n +hint: choose another: --listen\n1 ok, 0 to look at, 1 to mend\n$/,
  );
});

test.run();
