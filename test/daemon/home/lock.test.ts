import * as fs from 'node:fs';
import { execFile, spawn } from 'node:child_process';
import { createServer } from 'node:net';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { openHome } from '../../../daemon/home/home.js';
import { lockHome, runningPid, type HomeLock } from '../../../daemon/home/lock.js';
import { WarrenError } from '../../../protocol/errors.js';
import { assert, full, suite } from '../../helpers/suite.js';
import { modeOf, withFolder } from './temp.js';

const test = suite('one daemon per home');

async function refusedWith(body: () => Promise<unknown>): Promise<WarrenError> {
  try {
    await body();
  } catch (error) {
    assert.instance(error, WarrenError);
    return error as WarrenError;
  }
  throw new Error('nothing was refused');
}

test('the second daemon is told the pid of the first; after its end the home is free', async () => {
  await withFolder(async folder => {
    const paths = openHome(folder);
    const first = await lockHome(paths, 4711);
    assert.is(fs.readFileSync(paths.pid, 'utf8'), '4711\n');
    assert.is(modeOf(join(folder, 'lock.1')), '600');
    const refused = await refusedWith(() => lockHome(paths, 4712));
    assert.is(refused.code, 'running');
    assert.match(refused.message, /a daemon already runs on the home .* \(pid 4711\)/);
    assert.is(await runningPid(paths), 4711);
    assert.is(fs.readFileSync(paths.pid, 'utf8'), '4711\n');
    first.release();
    first.release();
    assert.not(fs.existsSync(paths.pid));
    assert.is(await runningPid(paths), undefined);
    const next = await lockHome(paths, 4713);
    assert.equal(
      fs.readdirSync(folder).filter(name => name.includes('lock')),
      ['lock.2'],
    );
    next.release();
  });
});

test('a stale PID file never blocks a start, even when its number belongs to a living process', async () => {
  await withFolder(async folder => {
    const paths = openHome(folder);
    for (const text of [String(process.pid), '1', '999999', 'garbage', '']) {
      fs.writeFileSync(paths.pid, text);
      const lock = await lockHome(paths, 5);
      assert.is(fs.readFileSync(paths.pid, 'utf8'), '5\n');
      lock.release();
    }
  });
});

test('the lock of a killed process is free at once', async () => {
  await withFolder(async folder => {
    const paths = openHome(folder);
    const script = `
      require('node:net').createServer().listen({ path: ${JSON.stringify(join(folder, 'lock.7'))} }, () => console.log('up'));
    `;
    const child = spawn(process.execPath, ['-e', script], { stdio: ['ignore', 'pipe', 'inherit'] });
    await new Promise(resolve => child.stdout.once('data', resolve));
    fs.writeFileSync(paths.pid, `${child.pid!}\n`);
    // it listens and says nothing: still a running daemon, named by its PID file
    const refused = await refusedWith(() => lockHome(paths));
    assert.match(refused.message, new RegExp(`pid ${child.pid!}`));
    child.kill('SIGKILL');
    await new Promise(resolve => child.once('exit', resolve));
    assert.ok(fs.existsSync(join(folder, 'lock.7')));
    const lock = await lockHome(paths);
    assert.ok(fs.existsSync(join(folder, 'lock.8')));
    assert.not(fs.existsSync(join(folder, 'lock.7')));
    lock.release();
  });
});

test('a plain file in the place of a lock is no daemon', async () => {
  await withFolder(async folder => {
    const paths = openHome(folder);
    fs.writeFileSync(join(folder, 'lock.3'), 'x');
    const lock = await lockHome(paths);
    lock.release();
  });
});

test('of many claimants at once exactly one wins, round after round', async () => {
  await withFolder(async folder => {
    const paths = openHome(folder);
    for (let round = 0; round < full(10, 100); round++) {
      const results = await Promise.allSettled(Array.from({ length: 8 }, (_, i) => lockHome(paths, 100 + i)));
      const won = results.filter((r): r is PromiseFulfilledResult<HomeLock> => r.status === 'fulfilled');
      assert.is(won.length, 1, `round ${round}`);
      for (const r of results) if (r.status === 'rejected') assert.is((r.reason as WarrenError).code, 'running');
      won[0]!.value.release();
    }
    assert.is(fs.readdirSync(folder).filter(name => name.includes('lock')).length, 1);
  });
});

test(
  'processes that come and go never have the home at the same time',
  async () => {
    await withFolder(async folder => {
      openHome(folder);
      const base = join(dirname(fileURLToPath(import.meta.url)), 'contender');
      const file = fs.existsSync(`${base}.js`) ? `${base}.js` : `${base}.ts`;
      const times = String(full(10, 250));
      const runs = Array.from({ length: 4 }, () =>
        promisify(execFile)(process.execPath, [...process.execArgv, file, folder, times]),
      );
      // each ends with an error when another is inside while it holds the home
      const turnedAway = (await Promise.all(runs)).map(({ stdout }) => Number(stdout));
      assert.ok(
        turnedAway.some(n => n > 0),
        "nobody was ever in anybody's way: nothing was tried",
      );
    });
  },
  { deadline: 120_000 },
);

test('a daemon that listens on a lock but babbles is one that runs', async () => {
  await withFolder(async folder => {
    const paths = openHome(folder);
    const server = createServer(
      socket => void socket.on('error', () => undefined).end('not a number at all, and long'),
    );
    await new Promise<void>(resolve => server.listen({ path: join(folder, 'lock.1') }, resolve));
    assert.is((await refusedWith(() => lockHome(paths))).code, 'running');
    await new Promise(resolve => server.close(resolve));
  });
});

test('a PID file that cannot be written gives the lock back', async () => {
  await withFolder(async folder => {
    const paths = openHome(folder);
    fs.mkdirSync(paths.pid);
    assert.is((await refusedWith(() => lockHome(paths))).code, 'disk');
    fs.rmdirSync(paths.pid);
    (await lockHome(paths)).release();
  });
});

test.run();
