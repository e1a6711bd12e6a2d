import { fork, spawn, type ChildProcess } from 'node:child_process';
import * as fs from 'node:fs';
import { createServer } from 'node:net';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import type { DoctorReply, Status } from '../../../protocol/admin/contract.js';
import type { StartReply, StartRequest } from '../../../protocol/admin/programs.js';
import { assert, suite } from '../../helpers/suite.js';
import { json, send, until as untilWithin } from '../admin/fake.js';
import { modeOf, withFolder } from '../home/temp.js';

const test = suite('the daemon as a process');

/** Processes start slowly on a busy machine. */
const PATIENCE_MS = 20_000;
const until = (check: () => boolean, what: string): Promise<void> => untilWithin(check, what, PATIENCE_MS);

/** The program beside this test: compiled, or the source when the test runs from source. */
function program(name: string): string {
  const base = join(dirname(fileURLToPath(import.meta.url)), '../../../daemon', name);
  return fs.existsSync(`${base}.js`) ? `${base}.js` : `${base}.ts`;
}

interface Started {
  readonly child: ChildProcess;
  readonly reply: Promise<StartReply | undefined>;
  readonly ended: Promise<number | string | null>;
  readonly stderr: () => string;
}

const running = new Set<ChildProcess>();

function watch(child: ChildProcess): Started {
  running.add(child);
  let stderr = '';
  child.stderr?.setEncoding('utf8').on('data', (chunk: string) => (stderr += chunk));
  // not 'close', which never comes after the channel was closed from this side
  const exited = new Promise<number | string | null>(resolve =>
    child.once('exit', (code, signal) => {
      running.delete(child);
      resolve(code ?? signal);
    }),
  );
  const flushed = new Promise<void>(resolve => (child.stderr === null ? resolve() : child.stderr.once('end', resolve)));
  const ended = Promise.all([exited, flushed]).then(([how]) => how);
  const first = new Promise<StartReply>(resolve => child.once('message', message => resolve(message as StartReply)));
  return { child, ended, stderr: () => stderr, reply: Promise.race([first, ended.then(() => undefined)]) };
}

function start(home: string, request: Partial<StartRequest> = {}, env: NodeJS.ProcessEnv = {}): Started {
  const detached = request.foreground === false;
  const child = fork(program('main'), [], {
    cwd: '/',
    env: { ...process.env, ...env },
    stdio: ['ignore', 'ignore', detached ? 'ignore' : 'pipe', 'ipc'],
  });
  child.send(
    { kind: 'start', home, foreground: true, listen: ['127.0.0.1:0'], mdns: false, ...request },
    () => undefined,
  );
  return watch(child);
}

async function ready(started: Started): Promise<Status> {
  const reply = await started.reply;
  if (reply?.kind !== 'ready') throw new Error(`not ready: ${JSON.stringify(reply)} ${started.stderr()}`);
  return reply.status;
}

async function failed(started: Started): Promise<Extract<StartReply, { kind: 'failed' }>> {
  const reply = await started.reply;
  assert.is(await started.ended, 1);
  if (reply?.kind !== 'failed') throw new Error(`did not fail: ${JSON.stringify(reply)} ${started.stderr()}`);
  return reply;
}

test.after(() => {
  for (const child of running) child.kill('SIGKILL');
});

test(
  'it starts, answers on its socket, refuses a second one, reloads, and drains on SIGTERM',
  async () => {
    await withFolder(async folder => {
      const home = join(folder, 'h');
      const first = start(home, { name: 'alice' });
      const status = await ready(first);
      assert.equal(
        [status.node.name, status.pid, status.home, status.state],
        ['alice', first.child.pid, home, 'ready'],
      );
      assert.is(fs.readFileSync(join(home, 'warren.pid'), 'utf8'), `${first.child.pid!}\n`);
      for (const name of [
        'admin.sock',
        'config.yaml',
        'keys/node.json',
        'keys/network.json',
        'state/memory.json',
        'warren.pid',
      ]) {
        assert.is(modeOf(join(home, name)), '600', name);
      }

      const second = await failed(start(home));
      assert.equal([second.code, /\(pid (\d+)\)/.exec(second.message)?.[1]], ['running', String(first.child.pid)]);

      const socket = join(home, 'admin.sock');
      const config = fs.readFileSync(join(home, 'config.yaml'), 'utf8');
      fs.writeFileSync(join(home, 'config.yaml'), `${config}oops: 1\n`);
      first.child.kill('SIGHUP');
      await until(() => first.stderr().includes('reload-failed'), 'the refusal of a bad config');
      const refused = await send(socket, 'POST', '/v1/reload');
      assert.equal([refused.status, json(refused).error?.code], [422, 'config']);
      fs.writeFileSync(join(home, 'config.yaml'), `${config}# a comment\nservices:\n  web: { target: 9 }\n`);
      first.child.kill('SIGHUP');
      await until(() => first.stderr().includes('"reloaded"'), 'the reload');
      const services = json(await send(socket, 'GET', '/v1/services')) as { services?: { name: string }[] };
      assert.equal(
        services.services?.map(service => service.name),
        ['web'],
      );

      first.child.kill('SIGTERM');
      assert.is(await first.ended, 0);
      for (const name of ['admin.sock', 'warren.pid']) assert.not(fs.existsSync(join(home, name)), name);
      const events = first
        .stderr()
        .trim()
        .split('\n')
        .map(line => (JSON.parse(line) as { event: string }).event);
      for (const event of ['started', 'ending', 'stopped']) assert.ok(events.includes(event), event);
      assert.not.match(fs.readFileSync(join(home, 'config.yaml'), 'utf8'), /oops/);
    });
  },
  { deadline: 60_000 },
);

test(
  'a killed daemon leaves a stale socket and PID file, and the next one starts with the same identity',
  async () => {
    await withFolder(async folder => {
      const killed = start(folder);
      const before = await ready(killed);
      killed.child.kill('SIGKILL');
      assert.is(await killed.ended, 'SIGKILL');
      for (const name of ['admin.sock', 'warren.pid']) assert.ok(fs.existsSync(join(folder, name)));
      const next = start(folder);
      const after = await ready(next);
      assert.equal([after.node.id, after.listen], [before.node.id, before.listen]);
      next.child.kill('SIGINT');
      assert.is(await next.ended, 0);
    });
  },
  { deadline: 60_000 },
);

test(
  'detached: the log is a file, nothing of the caller is kept, and it outlives the channel',
  async () => {
    await withFolder(async folder => {
      const daemon = start(folder, { foreground: false }, { INVOCATION_ID: 'x' });
      const status = await ready(daemon);
      await until(() => !daemon.child.connected, 'the channel to be closed');
      assert.match(fs.readFileSync(join(folder, 'warren.log'), 'utf8'), /"event":"started"/);
      assert.is(modeOf(join(folder, 'warren.log')), '600');
      if (process.platform === 'linux') {
        const fds = [0, 1, 2].map(fd => fs.readlinkSync(`/proc/${status.pid}/fd/${fd}`));
        assert.equal(fds, ['/dev/null', '/dev/null', '/dev/null']);
      }
      const reply = json(
        await send(join(folder, 'admin.sock'), 'POST', '/v1/shutdown', { drainSeconds: 1, restart: true }),
      );
      assert.equal([reply.pid, reply.respawn], [status.pid, 'caller']);
      assert.is(await daemon.ended, 0);
    });
  },
  { deadline: 60_000 },
);

test(
  "in the foreground it ends with its parent's channel; a restart is handed to the parent",
  async () => {
    await withFolder(async folder => {
      const orphan = start(folder);
      await ready(orphan);
      orphan.child.disconnect();
      assert.is(await orphan.ended, 0);
      const restarted = start(folder);
      await ready(restarted);
      const told = new Promise(resolve => restarted.child.once('message', resolve));
      const reply = json(await send(join(folder, 'admin.sock'), 'POST', '/v1/shutdown', { restart: true }));
      assert.is(reply.respawn, 'parent');
      assert.equal(await told, { kind: 'restarting' });
      assert.is(await restarted.ended, 0);
    });
  },
  { deadline: 60_000 },
);

test(
  'what keeps it from starting is one sentence with a hint, exit code 1, and no trace',
  async () => {
    await withFolder(async folder => {
      const server = createServer();
      await new Promise<void>(resolve => server.listen(0, '127.0.0.1', resolve));
      const { port } = server.address() as { port: number };
      const garbage = await failed(start(join(folder, 'g'), { join: 'garbage' }));
      assert.is(garbage.code, 'token');
      assert.not(fs.existsSync(join(folder, 'g')), 'no home was made for it');
      const taken = await failed(start(join(folder, 'a'), { listen: [`127.0.0.1:${port}`] }));
      assert.equal([taken.code, taken.message.includes(String(port)), typeof taken.hint], ['in-use', true, 'string']);
      assert.not(fs.existsSync(join(folder, 'a', 'config.yaml')));
      assert.not(fs.existsSync(join(folder, 'a', 'admin.sock')));
      assert.not(fs.existsSync(join(folder, 'a', 'warren.pid')));
      server.close();

      const bad = await failed(start(join(folder, 'b'), { listen: ['nonsense'] }));
      assert.is(bad.code, 'bad-value');

      fs.writeFileSync(join(folder, 'file'), '');
      const home = await failed(start(join(folder, 'file')));
      assert.equal([home.code, home.message.includes('is not a directory')], ['home', true]);

      const nonsense = start(folder, { home: 5 } as unknown as StartRequest);
      assert.is((await failed(nonsense)).code, 'usage');
    });
  },
  { deadline: 60_000 },
);

test(
  'a deprecation that is fatal keeps no daemon from starting: it goes without what is deprecated',
  async () => {
    await withFolder(async folder => {
      const home = join(folder, 'h');
      const daemon = start(home, {}, { NODE_OPTIONS: '--pending-deprecation --throw-deprecation' });
      await ready(daemon);
      const { checks } = json(await send(join(home, 'admin.sock'), 'GET', '/v1/doctor')) as unknown as DoctorReply;
      assert.match(checks.find(check => check.name === 'node')?.message ?? '', /through node's streams/);
      daemon.child.kill('SIGTERM');
      assert.is(await daemon.ended, 0);
      assert.not.match(daemon.stderr(), /Deprecation/);
    });
  },
  { deadline: 60_000 },
);

test(
  'under a supervisor: --home, readiness told, logs as lines, and its exit code asks for a restart',
  async () => {
    await withFolder(async folder => {
      const told = join(folder, 'told');
      fs.writeFileSync(join(folder, 'systemd-notify'), `#!/bin/sh\necho "$@" >> ${told}\n`, { mode: 0o755 });
      const home = join(folder, 'h');
      fs.mkdirSync(home, { mode: 0o700 });
      fs.writeFileSync(join(home, 'config.yaml'), 'node: { name: a, listen: [127.0.0.1:0], mdns: false }\n');
      const env = { ...process.env, PATH: `${folder}:${process.env.PATH ?? ''}`, NOTIFY_SOCKET: join(folder, 'n') };
      const daemon = watch(
        spawn(process.execPath, [...process.execArgv, program('main'), '--home', home], {
          env,
          stdio: ['ignore', 'ignore', 'pipe'],
        }),
      );
      await until(() => fs.existsSync(told) && fs.readFileSync(told, 'utf8') === '--ready\n', 'readiness');
      const reply = json(await send(join(home, 'admin.sock'), 'POST', '/v1/shutdown', { restart: true }));
      assert.is(reply.respawn, 'parent');
      assert.is(await daemon.ended, 75);
      assert.match(fs.readFileSync(told, 'utf8'), /--stopping/);
      for (const line of daemon.stderr().trim().split('\n'))
        assert.type((JSON.parse(line) as { msg: string }).msg, 'string');

      const wrong = watch(
        spawn(process.execPath, [...process.execArgv, program('main'), '--token', 'x'], {
          stdio: ['ignore', 'pipe', 'pipe'],
        }),
      );
      assert.is(await wrong.ended, 1);
      assert.match(wrong.stderr(), /^warren: the daemon takes --home DIR and nothing else\nhint: .+\n$/);
    });
  },
  { deadline: 60_000 },
);

test(
  'the offline doctor tells what it finds and changes nothing',
  async () => {
    await withFolder(async folder => {
      const checkup = async (home: string): Promise<DoctorReply> => {
        const child = spawn(process.execPath, [...process.execArgv, program('doctor-main'), home], {
          stdio: ['ignore', 'pipe', 'pipe'],
        });
        let out = '';
        child.stdout.setEncoding('utf8').on('data', (chunk: string) => (out += chunk));
        assert.is(await watch(child).ended, 0);
        return JSON.parse(out) as DoctorReply;
      };
      const none = await checkup(join(folder, 'none'));
      assert.equal(
        none.checks.filter(check => check.state !== 'ok').map(check => check.name),
        ['daemon', 'home'],
      );
      assert.not(fs.existsSync(join(folder, 'none')));
      fs.mkdirSync(join(folder, 'keys'));
      fs.writeFileSync(join(folder, 'keys', 'node.json'), 'x');
      fs.chmodSync(join(folder, 'keys', 'node.json'), 0o644);
      fs.writeFileSync(join(folder, 'config.yaml'), 'nodes: {}\n');
      const before = fs.readdirSync(folder);
      const ill = await checkup(folder);
      assert.equal(
        ill.checks.filter(check => check.state === 'problem').map(check => check.name),
        ['permissions', 'config'],
      );
      assert.equal(fs.readdirSync(folder), before);
    });
  },
  { deadline: 60_000 },
);

test.run();
