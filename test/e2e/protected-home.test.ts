/** Homes that a passphrase protects: where it comes from, who can see it, and what happens without it. */
import { spawn } from 'node:child_process';
import * as fs from 'node:fs';
import { join } from 'node:path';
import { fingerprint } from '../daemon/home/made-home.js';
import { CLI, Lab, until, type Host, type Run } from '../helpers/hosts.js';
import { assert, suite } from '../helpers/suite.js';

const test = suite('protected homes');
const lab = new Lab();
test.after(() => lab.close());

const PASSPHRASE = 'tr0ubador and three more words';
const QUIET = ['--no-mdns', '--listen', '127.0.0.1:0'];
const deadline = 120_000;

function secretFile(name: string, text: string, mode = 0o600): string {
  const file = join(lab.folder, name);
  fs.writeFileSync(file, text, { mode });
  fs.chmodSync(file, mode);
  return file;
}

/** Processes in whose arguments or environment the passphrase stands, this one left out. */
function leaks(): string[] {
  return fs
    .readdirSync('/proc')
    .filter(pid => /^\d+$/.test(pid))
    .flatMap(pid =>
      ['cmdline', 'environ']
        .filter(name => {
          try {
            return fs.readFileSync(join('/proc', pid, name)).includes(PASSPHRASE);
          } catch {
            return false;
          }
        })
        .map(name => `${pid} ${name}`),
    );
}

/** Runs a command and looks at all processes of the host meanwhile. */
async function watched(command: Promise<Run>): Promise<Run> {
  const found: string[] = [];
  let done = false;
  const watching = (async () => {
    for (let looks = 0; !done && looks < 2_000; looks++) {
      if (fs.existsSync('/proc/self/environ')) found.push(...leaks());
      await new Promise(resolve => setTimeout(resolve, 50));
    }
  })();
  const result = await command.finally(() => (done = true));
  await watching;
  assert.equal(found, [], 'nothing in arguments and environments');
  return result;
}

function kept(host: Host): object {
  const of = (folder: string): object => (fs.existsSync(folder) ? fingerprint(folder) : {});
  const config = join(host.home, 'config.yaml');
  return { ...of(join(host.home, 'keys')), ...of(join(host.home, 'state')), config: fs.readFileSync(config, 'utf8') };
}

function isSealed(host: Host): boolean {
  return ['node.json', 'network.json'].every(name =>
    /"kind": "passphrase"/.test(fs.readFileSync(join(host.home, 'keys', name), 'utf8')),
  );
}

/** Exit code 1, nothing on stdout, one sentence and one hint, and no passphrase in them. */
function refused(result: Run, why: RegExp): void {
  assert.is(result.status, 1, result.stderr);
  assert.is(result.stdout, '');
  assert.match(result.stderr, /^warren: [^\n]+\nhint: [^\n]+\n$/);
  assert.match(result.stderr, why);
  assert.not.match(result.stderr, PASSPHRASE);
}

/** `warren ARGS` with the passphrase in an open descriptor 3. */
function withDescriptor(host: Host, args: readonly string[], text: string): Promise<Run> {
  return new Promise((resolve, reject) => {
    const child = spawn(process.execPath, [CLI, ...args], {
      env: { ...process.env, WARREN_HOME: host.home, NO_COLOR: '1' },
      stdio: ['ignore', 'pipe', 'pipe', 'pipe'],
    });
    let stdout = '';
    let stderr = '';
    child.stdout!.on('data', (chunk: Buffer) => (stdout += chunk.toString()));
    child.stderr!.on('data', (chunk: Buffer) => (stderr += chunk.toString()));
    child.on('error', reject);
    child.on('close', status => resolve({ status, stdout, stderr }));
    const secret = child.stdio[3] as NodeJS.WritableStream;
    secret.on('error', () => undefined);
    secret.end(text);
  });
}

test(
  'from a file: a new home, a restart, a start after kill -9; nobody sees it',
  async () => {
    const host = lab.host('from-file');
    const file = secretFile('file', `${PASSPHRASE}\n`);
    const up = ['up', '--detach', '--name', 'a', ...QUIET, '--passphrase-file', file];
    const first = await watched(host.warren(up, { deadline: 60_000 }));
    assert.is(first.status, 0, first.stderr);
    assert.ok(isSealed(host));
    const { node } = await host.status();
    const again = await watched(host.warren(['restart'], { deadline: 60_000 }));
    assert.is(again.status, 0, again.stderr);
    assert.is((await host.status()).node.id, node.id, 'the restarted daemon was not asked');
    const told = [
      await host.ok(['status', '--json']),
      await host.ok(['keys', 'show', '--json']),
      await host.ok(['doctor', '--json']),
      await host.ok(['logs', '--json']),
      host.log(),
      fs.readFileSync(join(host.home, 'config.yaml'), 'utf8'),
    ];
    for (const text of told) assert.not.ok(text.includes(PASSPHRASE));
    await host.kill();
    const after = await watched(host.warren(['up', '--detach', '--passphrase-file', file], { deadline: 60_000 }));
    assert.is(after.status, 0, after.stderr);
    assert.is((await host.status()).node.id, node.id);
    await host.ok(['down']);
  },
  { deadline },
);

test(
  'from a descriptor, from standard input, from credentials: the same home',
  async () => {
    const host = lab.host('from-elsewhere');
    const up = ['up', '--detach', ...QUIET];
    const first = await watched(withDescriptor(host, [...up, '--passphrase-file', '/dev/fd/3'], `${PASSPHRASE}\n`));
    assert.is(first.status, 0, first.stderr);
    assert.ok(isSealed(host));
    const { node } = await host.status();
    await host.ok(['down']);

    const piped = host.warren(['up', '--detach', '--passphrase-file', '-'], { input: PASSPHRASE, deadline: 60_000 });
    assert.is((await watched(piped)).status, 0);
    assert.is((await host.status()).node.id, node.id);
    await host.ok(['down']);

    const credentials = join(lab.folder, 'credentials');
    fs.mkdirSync(credentials);
    // As systemd lays them down: the folder is guarded, the modes in it are its own affair.
    fs.writeFileSync(join(credentials, 'warren-passphrase'), `${PASSPHRASE}\n`, { mode: 0o440 });
    const env = { CREDENTIALS_DIRECTORY: credentials };
    const third = await watched(host.warren(['up', '--detach'], { env, deadline: 60_000 }));
    assert.is(third.status, 0, third.stderr);
    assert.is((await host.status()).node.id, node.id);
    await host.ok(['down']);

    fs.chmodSync(join(credentials, 'warren-passphrase'), 0o444);
    const byPath = ['up', '--detach', '--passphrase-file', join(credentials, 'warren-passphrase')];
    assert.is((await host.warren(byPath, { env, deadline: 60_000 })).status, 0);
    await host.ok(['down']);
  },
  { deadline },
);

test(
  'an open home gets a passphrase at a start, and keeps its identity',
  async () => {
    const host = lab.host('late');
    const before = await host.up();
    await host.ok(['down']);
    assert.not.ok(isSealed(host));
    const file = secretFile('late.pass', PASSPHRASE);
    await host.ok(['up', '--detach', '--passphrase-file', file], { deadline: 60_000 });
    assert.ok(isSealed(host));
    assert.is((await host.status()).node.id, before.node.id);
    await host.ok(['down']);
    assert.equal(
      fs.readdirSync(join(host.home, 'keys')).filter(name => name.endsWith('.tmp')),
      [],
    );
  },
  { deadline },
);

test(
  'wrong, missing, empty, readable by others, nowhere: one sentence each, and nothing has changed',
  async () => {
    const host = lab.host('refuses');
    const right = secretFile('right', PASSPHRASE);
    await host.ok(['up', '--detach', ...QUIET, '--passphrase-file', right], { deadline: 60_000 });
    await host.ok(['down']);
    const before = kept(host);
    const up = (...flags: string[]): Promise<Run> => host.warren(['up', '--detach', ...flags], { deadline: 60_000 });
    const from = (file: string): Promise<Run> => up('--passphrase-file', file);
    refused(await from(secretFile('wrong', 'another')), /the passphrase does not open/);
    refused(await up(), /protected by a passphrase, and none was given/);
    refused(await from(secretFile('empty', '\n')), /there is no passphrase in/);
    refused(await from(secretFile('open', PASSPHRASE, 0o644)), /others can read the passphrase file .* \(mode 0644\)/);
    refused(await from(secretFile('long', 'x'.repeat(2_000))), /longer than any passphrase/);
    refused(await from(join(lab.folder, 'nowhere')), /it does not exist/);
    refused(await from(lab.folder), /it is a folder/);
    refused(await from('/dev/fd/77'), /that descriptor is not open/);
    assert.equal(kept(host), before);

    const keys = join(host.home, 'keys', 'node.json');
    fs.chmodSync(keys, 0o644);
    const readable = kept(host);
    refused(await from(right), /others can read the key file .*node\.json/);
    assert.equal(kept(host), readable);
    fs.chmodSync(keys, 0o600);
    assert.is((await from(right)).status, 0);
    await host.ok(['down']);
  },
  { deadline: 240_000 },
);

/** Types at a terminal: each answer once its question is there. */
async function typing(host: Host, line: string, answers: readonly (readonly [string, string])[]): Promise<Run> {
  const child = spawn('script', ['-qec', `'${process.execPath}' '${CLI}' ${line}`, '/dev/null'], {
    env: { ...process.env, WARREN_HOME: host.home, NO_COLOR: '1', TERM: 'xterm' },
    stdio: ['pipe', 'pipe', 'pipe'],
  });
  lab.keep(child);
  let seen = '';
  let from = 0;
  child.stdout.on('data', (chunk: Buffer) => (seen += chunk.toString()));
  const ended = new Promise<number | null>(resolve => child.once('close', resolve));
  for (const [question, answer] of answers) {
    await until(`it asks: ${question}`, () => seen.includes(question, from), 30_000);
    from = seen.indexOf(question, from) + question.length;
    await new Promise(resolve => setTimeout(resolve, 100));
    child.stdin.write(answer);
  }
  return { status: await ended, stdout: seen, stderr: '' };
}

test(
  'at a terminal: a new one is typed twice, an old one once, and nothing is shown',
  async () => {
    const host = lab.host('typed');
    const flags = QUIET.join(' ');
    const differ = await typing(host, `up --detach ${flags} --passphrase-file -`, [
      ['new passphrase for', `${PASSPHRASE}\r`],
      ['the same again', 'something else\r'],
    ]);
    assert.is(differ.status, 1);
    assert.match(differ.stdout, /the two passphrases differ/);
    assert.not.ok(fs.existsSync(join(host.home, 'keys', 'node.json')));
    const first = await typing(host, `up --detach ${flags} --passphrase-file -`, [
      ['new passphrase for', `${PASSPHRASE}x\u007f\r`],
      ['the same again', `wrong\u0015${PASSPHRASE}\r`],
    ]);
    assert.is(first.status, 0, first.stdout);
    assert.ok(isSealed(host));
    await host.ok(['down']);
    const broken = await typing(host, 'up --detach', [['passphrase of', 'corr\u0003']]);
    assert.is(broken.status, 130, broken.stdout);
    const second = await typing(host, 'up --detach', [['passphrase of', `${PASSPHRASE}\r`]]);
    assert.is(second.status, 0, second.stdout);
    for (const { stdout } of [differ, first, second]) assert.not.ok(stdout.includes('tr0ub'), stdout);
    await host.ok(['down']);
  },
  { deadline: 240_000, needs: ['script'] },
);

test.run();
