import * as fs from 'node:fs';
import { join } from 'node:path';
import { nodeFileOps, writeFileAtomic, type FileOps } from '../../../daemon/home/atomic.js';
import { WarrenError } from '../../../protocol/errors.js';
import { assert, suite } from '../../helpers/suite.js';
import { modeOf, withFolder } from './temp.js';

const test = suite('atomic files');

/** File operations of which call number `failing` (from 0) fails with `code`; counts the calls. */
function failingAt(failing: number, code: string): { ops: FileOps; calls: () => string[] } {
  const calls: string[] = [];
  const ops = Object.fromEntries(
    Object.entries(nodeFileOps).map(([name, call]: [string, (...args: never[]) => unknown]) => [
      name,
      (...args: never[]) => {
        calls.push(name);
        if (calls.length - 1 === failing) throw Object.assign(new Error('injected'), { code });
        return call(...args);
      },
    ]),
  );
  return { ops: ops as unknown as FileOps, calls: () => calls };
}

function thrownBy(body: () => void): WarrenError {
  try {
    body();
  } catch (error) {
    assert.instance(error, WarrenError);
    return error as WarrenError;
  }
  throw new Error('nothing was thrown');
}

test('a new file has the mode asked for whatever the umask, and the content', async () => {
  await withFolder(folder => {
    const path = join(folder, 'a.json');
    const mask = process.umask(0);
    try {
      writeFileAtomic(path, 'one');
    } finally {
      process.umask(mask);
    }
    assert.is(modeOf(path), '600');
    writeFileAtomic(path, 'two', { mode: 0o640 });
    assert.is(modeOf(path), '640');
    assert.is(fs.readFileSync(path, 'utf8'), 'two');
    assert.equal(fs.readdirSync(folder), ['a.json']);
  });
});

/** Steps of which a failure costs nothing: the new file is in place and only litter may stay. */
const HARMLESS = new Set(['unlink']);

for (const existing of [true, false]) {
  test(`whatever step fails, ${existing ? 'the old file stays' : 'no file appears'} and nothing is left over`, async () => {
    await withFolder(folder => {
      const path = join(folder, 'config.yaml');
      const steps = new Set<string>();
      for (let failing = 0; ; failing++) {
        fs.rmSync(path, { force: true });
        if (existing) fs.writeFileSync(path, 'the old one', { mode: 0o600 });
        const { ops, calls } = failingAt(failing, 'ENOSPC');
        if (failing > 30) throw new Error('too many steps');
        let failed: WarrenError | undefined;
        try {
          writeFileAtomic(path, 'the new one', { ops });
        } catch (error) {
          failed = error as WarrenError;
        }
        const step = calls()[failing];
        if (step === undefined) break;
        steps.add(step);
        if (HARMLESS.has(step) && failed === undefined) continue;
        assert.is(failed?.code, 'disk', step);
        assert.match(failed!.message, /no space is left on the disk/);
        assert.ok(failed!.hint);
        assert.is(fs.existsSync(path), existing, step);
        if (existing) assert.is(fs.readFileSync(path, 'utf8'), 'the old one', step);
        if (step !== 'close') assert.equal(fs.readdirSync(folder), existing ? ['config.yaml'] : [], step);
      }
      for (const step of ['open', 'chmod', 'write', 'sync', 'close', 'rename', 'openDir', 'syncDir', 'link']) {
        assert.ok(steps.has(step), `step ${step} was tried`);
      }
    });
  });
}

test('a device that takes only some bytes at a time gets them all', async () => {
  await withFolder(folder => {
    const path = join(folder, 'a');
    const ops: FileOps = {
      ...nodeFileOps,
      write: (fd, bytes, offset) => nodeFileOps.write(fd, bytes.subarray(0, offset + 3), offset),
    };
    writeFileAtomic(path, '0123456789', { ops });
    assert.is(fs.readFileSync(path, 'utf8'), '0123456789');
  });
});

test('a device that takes nothing more is a full disk', async () => {
  await withFolder(folder => {
    const error = thrownBy(() => writeFileAtomic(join(folder, 'a'), 'x', { ops: { ...nodeFileOps, write: () => 0 } }));
    assert.is(error.code, 'disk');
    assert.equal(fs.readdirSync(folder), []);
  });
});

test('a symbolic link stays a link, its target changes', async () => {
  await withFolder(folder => {
    const real = join(folder, 'real.yaml');
    const link = join(folder, 'config.yaml');
    fs.writeFileSync(real, 'old');
    fs.symlinkSync(real, link);
    writeFileAtomic(link, 'new');
    assert.ok(fs.lstatSync(link).isSymbolicLink());
    assert.is(fs.readFileSync(real, 'utf8'), 'new');
  });
});

test('a file system that cannot sync folders is good enough', async () => {
  await withFolder(folder => {
    const path = join(folder, 'a');
    const syncDir = (): void => {
      throw Object.assign(new Error('no'), { code: 'EINVAL' });
    };
    writeFileAtomic(path, 'x', { ops: { ...nodeFileOps, syncDir } });
    assert.is(fs.readFileSync(path, 'utf8'), 'x');
  });
});

test('a file that cannot have a second name is replaced all the same', async () => {
  await withFolder(folder => {
    const path = join(folder, 'a');
    fs.writeFileSync(path, 'old');
    const link = (): void => {
      throw Object.assign(new Error('no'), { code: 'EPERM' });
    };
    writeFileAtomic(path, 'new', { ops: { ...nodeFileOps, link } });
    assert.is(fs.readFileSync(path, 'utf8'), 'new');
    const syncDir = (): void => {
      throw Object.assign(new Error('no'), { code: 'EIO' });
    };
    assert.is(thrownBy(() => writeFileAtomic(path, 'newer', { ops: { ...nodeFileOps, link, syncDir } })).code, 'disk');
    assert.equal(fs.readdirSync(folder), ['a']);
  });
});

test('each reason has its sentence; an unknown one names its code', async () => {
  await withFolder(folder => {
    const open = (code: string) => (): never => {
      throw Object.assign(new Error('no'), { code });
    };
    const told = (code: string): string =>
      thrownBy(() => writeFileAtomic(join(folder, 'a'), 'x', { ops: { ...nodeFileOps, open: open(code) } })).message;
    assert.match(told('EROFS'), /read-only/);
    assert.match(told('EDQUOT'), /quota/);
    assert.match(told('EWEIRD'), /EWEIRD/);
  });
});

test.run();
