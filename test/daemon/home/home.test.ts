import * as fs from 'node:fs';
import { join } from 'node:path';
import { clearLeftovers, openHome, permissionProblems } from '../../../daemon/home/home.js';
import { homeOf } from '../../../daemon/home/paths.js';
import { adminSocketPath, resolveHome } from '../../../protocol/admin/home.js';
import { WarrenError } from '../../../protocol/errors.js';
import { assert, suite } from '../../helpers/suite.js';
import { modeOf, withFolder } from './temp.js';

const test = suite('the home');

function refusal(body: () => unknown): WarrenError {
  try {
    body();
  } catch (error) {
    assert.instance(error, WarrenError);
    const refused = error as WarrenError;
    assert.is(refused.code, 'home');
    assert.ok(refused.hint, 'has a hint');
    return refused;
  }
  throw new Error('nothing was refused');
}

/** As an ordinary user, also when the tests run as root. */
function asNobody<T>(body: () => T): T {
  if (process.getuid?.() !== 0) return body();
  process.setegid!(65534);
  process.seteuid!(65534);
  try {
    return body();
  } finally {
    process.seteuid!(0);
    process.setegid!(0);
  }
}

const QUESTION = { env: {}, homedir: '/home/u', cwd: '/srv', platform: 'linux' };

test('--home wins over WARREN_HOME, which wins over XDG_DATA_HOME, which wins over ~/.local/share', () => {
  const env = { WARREN_HOME: '/w', XDG_DATA_HOME: '/x' };
  assert.is(resolveHome({ ...QUESTION, home: '/h', env }), '/h');
  assert.is(resolveHome({ ...QUESTION, env }), '/w');
  assert.is(resolveHome({ ...QUESTION, env: { ...env, WARREN_HOME: '' } }), '/x/warren');
  assert.is(resolveHome({ ...QUESTION, env: { XDG_DATA_HOME: 'relative' } }), '/home/u/.local/share/warren');
  assert.is(resolveHome(QUESTION), '/home/u/.local/share/warren');
});

test('a relative home is relative to where the command runs', () => {
  assert.is(resolveHome({ ...QUESTION, home: 'a/../b' }), '/srv/b');
  assert.is(homeOf('/somewhere', {}), '/somewhere');
});

test('macOS and Windows have their own places', () => {
  assert.is(resolveHome({ ...QUESTION, platform: 'darwin' }), '/home/u/Library/Application Support/warren');
  const windows = { ...QUESTION, platform: 'win32', homedir: 'C:\\Users\\u', cwd: 'C:\\' };
  assert.is(resolveHome(windows), 'C:\\Users\\u\\AppData\\Local\\warren\\Data');
  assert.match(adminSocketPath('C:\\Users\\u\\w', 'win32'), /^\\\\\.\\pipe\\warren-c-users-u-w$/);
});

test('an empty home or a NUL in it is refused', () => {
  for (const home of ['', 'a\0b']) {
    assert.throws(
      () => resolveHome({ ...QUESTION, home }),
      (error: WarrenError) => error.code === 'bad-value',
    );
  }
});

test('a missing home is made 0700 with its folders, parents too, whatever the umask', async () => {
  await withFolder(folder => {
    const mask = process.umask(0);
    try {
      const paths = openHome(join(folder, 'a', 'b'));
      for (const path of [paths.root, paths.keys, paths.state]) assert.is(modeOf(path), '700', path);
    } finally {
      process.umask(mask);
    }
  });
});

test('an empty folder and a readable home are tightened; a folder full of other things is left alone', async () => {
  await withFolder(folder => {
    const empty = join(folder, 'empty');
    fs.mkdirSync(empty);
    fs.chmodSync(empty, 0o777);
    openHome(empty);
    assert.is(modeOf(empty), '700');
    fs.chmodSync(empty, 0o755);
    openHome(empty);
    assert.is(modeOf(empty), '700');
    const used = join(folder, 'used');
    fs.mkdirSync(used);
    fs.writeFileSync(join(used, 'x'), '');
    fs.chmodSync(used, 0o755);
    openHome(used);
    assert.is(modeOf(used), '755');
  });
});

test('a home that others can write to is refused', async () => {
  await withFolder(folder => {
    fs.writeFileSync(join(folder, 'x'), '');
    fs.chmodSync(folder, 0o1777);
    const error = refusal(() => openHome(folder));
    assert.match(error.message, /others can write to the home .* \(mode 0777\)/);
    assert.match(error.hint!, /chmod 700/);
    assert.equal(fs.readdirSync(folder), ['x']);
    assert.is(permissionProblems(folder).length, 1);
  });
});

test('keys that others can read are refused by name, and stay as they are', async () => {
  for (const mode of [0o640, 0o604, 0o644, 0o660]) {
    await withFolder(folder => {
      const { keys } = openHome(folder);
      const file = join(keys, 'node.json');
      fs.writeFileSync(file, 'x');
      fs.chmodSync(file, mode);
      const error = refusal(() => openHome(folder));
      assert.match(error.message, /others can read the key file .*node\.json \(mode 06/);
      assert.is(error.hint, `run: chmod 600 ${file}`);
      assert.is(modeOf(file), mode.toString(8));
      assert.is(permissionProblems(folder).length, 1);
    });
  }
});

test('a folder of keys that others can write to is refused', async () => {
  await withFolder(folder => {
    const { keys } = openHome(folder);
    fs.chmodSync(keys, 0o770);
    assert.match(refusal(() => openHome(folder)).message, /others can write to .*keys/);
  });
});

test('a home that is a file, or lies below one, is refused', async () => {
  await withFolder(folder => {
    const file = join(folder, 'f');
    fs.writeFileSync(file, '');
    assert.match(refusal(() => openHome(file)).message, /is not a directory/);
    assert.match(refusal(() => openHome(join(file, 'x'))).message, /below something that is no directory/);
  });
});

test('a home that is not writable is refused, and so is one that cannot be made or belongs to another user', async () => {
  await withFolder(folder => {
    const closed = join(folder, 'closed');
    fs.mkdirSync(closed);
    fs.writeFileSync(join(closed, 'x'), '');
    fs.chmodSync(closed, 0o555);
    fs.chmodSync(folder, 0o755);
    asNobody(() => {
      assert.match(refusal(() => openHome(closed)).message, /is not writable: permission denied/);
      assert.match(refusal(() => openHome(join(closed, 'new'))).message, /cannot be made: permission denied/);
    });
    const other = join(folder, 'other');
    fs.mkdirSync(other);
    fs.chmodSync(other, 0o755);
    if (process.getuid?.() === 0) {
      asNobody(() => assert.match(refusal(() => openHome(other)).message, /belongs to another user/));
    }
    assert.equal(fs.readdirSync(other), []);
  });
});

test('a home whose socket path is too long is refused before anything is made', async () => {
  await withFolder(folder => {
    const long = join(folder, 'x'.repeat(100));
    const error = refusal(() => openHome(long));
    assert.match(error.message, /socket path is too long: \d+ bytes, at most 107/);
    assert.not(fs.existsSync(long));
  });
});

test('what a killed daemon left half written is removed, the rest stays', async () => {
  await withFolder(folder => {
    const paths = openHome(folder);
    for (const name of ['.node.json.0011.new.tmp', 'node.json'])
      fs.writeFileSync(join(paths.keys, name), '', { mode: 0o600 });
    fs.writeFileSync(join(folder, 'notes.tmp'), '');
    clearLeftovers(paths);
    assert.equal(fs.readdirSync(paths.keys), ['node.json']);
    assert.ok(fs.existsSync(join(folder, 'notes.tmp')));
  });
});

test.run();
