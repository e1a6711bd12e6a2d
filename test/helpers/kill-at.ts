/**
 * Preloaded into a daemon (`--import`): the process kills itself with SIGKILL at its n-th change of the file system, so that
 * a test can let it die at every one. The daemon is the real one; only the functions of node:fs that it calls are wrapped.
 *
 * WARREN_KILL_FILE names a control file. While it exists, changes are counted; it holds `N` or `N half`: die before change N,
 * or, if that is a write, with half of its bytes written. What was counted is appended to FILE.trace. The test's side of this
 * is killing.ts.
 */
import fs from 'node:fs';
import { syncBuiltinESMExports } from 'node:module';
import { basename } from 'node:path';

const control = process.env.WARREN_KILL_FILE;
const isDaemon = /[\\/]daemon[\\/](main|restore-main)\.js$/.test(process.argv[1] ?? '');

/** As they were: what this file does itself is not counted. */
const { openSync, closeSync, readFileSync, writeSync, fchmodSync, fsyncSync, linkSync, renameSync, unlinkSync } = fs;

let count = 0;
/** Open files that a write to the home made, by descriptor. */
const fresh = new Map<number, string>();

function ask(): { readonly at: number; readonly half: boolean } | undefined {
  try {
    const [at, half] = readFileSync(control!, 'utf8').split(' ');
    return { at: Number(at), half: half === 'half' };
  } catch {
    return undefined;
  }
}

function note(line: string): void {
  const fd = openSync(`${control}.trace`, 'a');
  writeSync(fd, Buffer.from(`${line}\n`));
  closeSync(fd);
}

function die(): never {
  process.kill(process.pid, 'SIGKILL');
  // The signal is there before the call returns; should it not be, nothing may follow all the same.
  for (;;) Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 1_000);
}

/** @param halve does half of it, if there is such a thing */
function counted(what: string, halve?: () => void): void {
  const order = ask();
  if (order === undefined) return;
  count++;
  note(what);
  if (count < order.at) return;
  if (order.half) {
    if (halve === undefined) return;
    halve();
  }
  note('killed');
  die();
}

function install(): void {
  fs.openSync = (path, flags, mode) => {
    const name = basename(String(path));
    const isFresh = typeof flags === 'string' && flags.startsWith('wx');
    if (isFresh) counted(`open ${plain(name)}`);
    const fd = openSync(path, flags ?? 'r', mode);
    if (isFresh) fresh.set(fd, plain(name));
    else fresh.delete(fd);
    return fd;
  };
  fs.fchmodSync = (fd, mode) => {
    if (fresh.has(fd)) counted(`chmod ${fresh.get(fd)}`);
    fchmodSync(fd, mode);
  };
  const write = (fd: number, bytes: NodeJS.ArrayBufferView, offset?: number | null): number => {
    const at = offset ?? 0;
    if (fresh.has(fd))
      counted(`write ${fresh.get(fd)}`, () => void writeSync(fd, bytes, at, Math.floor((bytes.byteLength - at) / 2)));
    return writeSync(fd, bytes, offset);
  };
  fs.writeSync = write as typeof fs.writeSync;
  fs.fsyncSync = fd => {
    counted(`fsync ${fresh.get(fd) ?? 'folder'}`);
    fsyncSync(fd);
  };
  fs.linkSync = (from, to) => {
    counted(`link ${plain(basename(String(from)))}`);
    linkSync(from, to);
  };
  fs.renameSync = (from, to) => {
    counted(`rename to ${plain(basename(String(to)))}`);
    renameSync(from, to);
  };
  fs.unlinkSync = path => {
    counted(`unlink ${plain(basename(String(path)))}`);
    unlinkSync(path);
  };
  syncBuiltinESMExports();
}

/** Without what is random in the names of temporary files. */
function plain(name: string): string {
  return name.replace(/\.[0-9a-f]{12}\./, '.');
}

if (control !== undefined && isDaemon) install();
