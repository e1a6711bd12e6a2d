/** Completion: the scripts parse, and candidates are commands, options, and names that the daemon knows. */
import { spawnSync } from 'node:child_process';
import { chmodSync, existsSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { assert, has, suite } from '../helpers/suite.js';
import { FakeDaemon } from './fake-daemon.js';
import { nodeArguments, runHere, temporaryFolder } from './run-cli.js';

const test = suite('cli: completion');
let daemon: FakeDaemon;
test.before(async () => {
  daemon = await new FakeDaemon().start();
});
test.after(() => daemon.stop());

async function candidates(...words: string[]): Promise<string[]> {
  const result = await runHere(['complete', '--', ...words], { env: { WARREN_HOME: daemon.home } });
  assert.is(result.status, 0);
  assert.is(result.stderr, '');
  return result.stdout
    .split('\n')
    .filter(line => line !== '')
    .map(line => line.split('\t')[0] ?? '');
}

test('commands and options', async () => {
  assert.equal(await candidates('con'), ['connect']);
  assert.equal(await candidates('peer', ''), ['remove', 'promote', 'demote']);
  assert.equal(await candidates('keys', 'l'), ['log']);
  assert.equal(await candidates('status', '--'), ['--watch', '--json', '--home', '--help']);
  assert.equal(await candidates('help', 'exp'), ['expose']);
  assert.equal(await candidates('completion', ''), ['bash', 'zsh', 'fish']);
  assert.equal(await candidates('invite', '--ttl', '1'), ['15m', '1h', '1d']);
  assert.not.ok((await candidates('')).includes('complete'));
  assert.ok((await candidates('')).includes('up'));
});

test('names from the daemon', async () => {
  assert.equal(await candidates('ping', ''), ['host-b', 'host-c']);
  assert.equal(await candidates('peer', 'remove', 'host-b'), ['host-b']);
  assert.equal(await candidates('connect', ''), ['payments', 'redis']);
  assert.equal(await candidates('nc', 'r'), ['redis']);
  assert.equal(await candidates('unexpose', ''), ['payments']);
  assert.equal(await candidates('disconnect', ''), ['redis']);
  assert.equal(await candidates('expose', 'x', '1', '--allow', 'host-'), ['host-b', 'host-c']);
  assert.equal(await candidates('connect', 'redis', ''), []);
});

test('--home on the line counts; without a daemon there is nothing to offer', async () => {
  assert.equal(await candidates('--home', '/nonexistent', 'ping', ''), []);
  assert.equal(await candidates('ping', '--home=/nonexistent', ''), []);
  assert.equal(await candidates('--home', daemon.home, 'ping', ''), ['host-b', 'host-c']);
});

test('a name that is no plain word is not offered to a shell', async () => {
  daemon.on('GET /v1/peers', {
    apiVersion: 1,
    peers: [
      { name: 'good', state: 'connected' },
      { name: '$(reboot)', state: 'x' },
      { name: 'a\nb', state: 'x' },
    ],
  });
  assert.equal(await candidates('ping', ''), ['good']);
});

test('a daemon that does not answer costs little time', async () => {
  daemon.on('GET /v1/services', () => undefined);
  const started = performance.now();
  assert.equal(await candidates('connect', ''), []);
  assert.ok(performance.now() - started < 5_000);
});

for (const shell of ['bash', 'zsh', 'fish'])
  test(`the ${shell} script parses`, async () => {
    const { stdout, status } = await runHere(['completion', shell]);
    assert.is(status, 0);
    assert.match(stdout, /warren complete --/);
    if (!has(shell)) return console.log(`note: ${shell} is not there to parse its script`);
    const parsed = spawnSync(shell, ['-n'], { input: stdout, encoding: 'utf8' });
    assert.is(parsed.status, 0, parsed.stderr);
  });

test(
  'bash completes with it, and runs nothing of what stands on the line',
  async () => {
    const folder = temporaryFolder();
    const program = join(folder.path, 'warren');
    const command = [process.execPath, ...nodeArguments('../../cli/main')].map(word => `'${word}'`).join(' ');
    writeFileSync(program, `#!/bin/sh\nexec ${command} "$@"\n`);
    chmodSync(program, 0o755);
    const { stdout: script } = await runHere(['completion', 'bash']);
    const complete = (...words: string[]): string => {
      const list = words.map(word => `'${word}'`).join(' ');
      const input = `${script}\nCOMP_WORDS=(warren ${list}); COMP_CWORD=${words.length}; _warren; printf '%s\\n' "\${COMPREPLY[@]}"`;
      const env = { ...process.env, PATH: `${folder.path}:${process.env.PATH}`, WARREN_HOME: daemon.home };
      const run = spawnSync('bash', [], { input, encoding: 'utf8', env, cwd: folder.path });
      assert.is(run.stderr, '');
      return run.stdout;
    };
    assert.is(complete('keys', 'sh'), 'show\n');
    assert.is(complete('$(touch ran)', '`touch ran`', '--'), '--version\n--home\n--help\n');
    assert.not.ok(existsSync(join(folder.path, 'ran')));
    folder.remove();
  },
  { needs: ['bash'] },
);

test.run();
