/** Lines that cannot be understood: exit code 2, one sentence, one hint, empty stdout, and the daemon is not asked. */
import { assert, suite } from '../helpers/suite.js';
import { FakeDaemon } from './fake-daemon.js';
import { runCli, runHere } from './run-cli.js';

const test = suite('cli: command line');
let daemon: FakeDaemon;
test.before(async () => {
  daemon = await new FakeDaemon().start();
});
test.after(() => daemon.stop());

const USAGE: readonly (readonly [line: string, sentence: RegExp, hint: RegExp])[] = [
  ['exopse a 1', /unknown command 'exopse'/, /did you mean expose\?/],
  ['status --jsn', /unknown option '--jsn'/, /did you mean --json\?/],
  ['--nonsense status', /unknown option '--nonsense'/, /warren help/],
  ['connect', /missing required argument 'SERVICE'/, /warren help connect/],
  ['expose payments', /missing required argument 'TARGET'/, /warren help expose/],
  ['nc', /missing required argument 'SERVICE'/, /warren help nc/],
  ['join', /missing required argument/, /warren help join/],
  ['ping', /missing required argument 'NODE'/, /warren help ping/],
  ['status extra', /too many arguments for 'status': expected 0/, /warren help status/],
  ['invite --ttl', /option '--ttl <TIME>' argument missing/, /warren help invite/],
  ['status --home', /option '--home <DIR>' argument missing/, /./],
  ['status --watch --json', /--watch and --json do not go together/, /./],
  ['up --listen 127.0.0.1:0 --no-listen', /do not go together/, /./],
  ['up --no-listen --listen 127.0.0.1:0', /do not go together/, /./],
  ['up --no-listen --advertise a:1', /--advertise and --no-listen do not go together/, /./],
  ['up --links', /option '--links <N>' argument missing/, /./],
  ['down --json', /unknown option '--json'/, /./],
  ['help nonsense', /unknown command 'nonsense'/, /./],
  ['peer remove', /missing required argument 'NODE'/, /warren help peer remove/],
  ['keys detach-next', /missing required argument 'FILE'/, /./],
  ['keys revoke', /missing required argument 'NODE'/, /./],
  ['keys backup', /missing argument|missing required argument/, /warren help keys backup/],
  ['keys restore', /missing argument|missing required argument/, /warren help keys restore/],
  ['peer demote', /missing required argument 'NODE'/, /./],
  ['keys rotate --why x', /unknown option '--why'/, /./],
  ['up --passphrase-file', /option '--passphrase-file <FILE>' argument missing/, /./],
  ['up --next-key', /option '--next-key <FILE>' argument missing/, /./],
  ['up --passphrase-file - --join -', /standard input can be read once only/, /./],
];

for (const [line, sentence, hint] of USAGE)
  test(`usage: ${line}`, async () => {
    const result = await runHere(line.split(' '), { env: { WARREN_HOME: daemon.home } });
    const [first = '', second = '', ...rest] = result.stderr.split('\n');
    assert.is(result.status, 2, result.stderr);
    assert.is(result.stdout, '');
    assert.ok(first.startsWith('warren: '), first);
    assert.match(first, sentence);
    assert.ok(second.startsWith('hint: '), second);
    assert.match(second, hint);
    assert.equal(rest, ['']);
    assert.equal(daemon.asked, []);
  });

test('the process itself ends like that', async () => {
  for (const line of ['exopse a 1', 'connect', 'status --jsn']) {
    const result = await runCli(line.split(' '), { env: { WARREN_HOME: daemon.home } });
    assert.is(result.status, 2);
    assert.is(result.stdout, '');
    assert.match(result.stderr, /^warren: .*\nhint: .*\n$/);
  }
  assert.equal(daemon.asked, []);
});

test('no command, or half of one, shows the help on stderr', async () => {
  for (const line of [[], ['peer'], ['keys']]) {
    const result = await runHere(line, { env: { WARREN_HOME: daemon.home } });
    assert.is(result.status, 2);
    assert.is(result.stdout, '');
    assert.match(result.stderr, /^Usage: warren/);
  }
});

test('help and version go to stdout', async () => {
  const general = await runCli(['help']);
  assert.is(general.status, 0);
  assert.match(general.stdout, /expose NAME TARGET/);
  assert.match(general.stdout, /Exit codes: 0 done/);
  assert.not.match(general.stdout, /complete \[WORD/);
  const one = await runHere(['help', 'connect']);
  assert.match(one.stdout, /Examples:\n {2}\$ warren connect payments/);
  const same = await runHere(['connect', '--help']);
  assert.is(same.stdout, one.stdout);
  const nested = await runHere(['help', 'peer', 'remove']);
  assert.match(nested.stdout, /^Usage: warren peer remove/);
  const version = await runCli(['--version']);
  assert.match(version.stdout, /^\d+\.\d+\.\d+\n$/);
  assert.is(version.status, 0);
});

test.run();
