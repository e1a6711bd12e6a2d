/**
 * Files that are either the old ones or the new ones: temporary file in the same folder, write, fsync, rename, fsync of
 * the folder. Whatever step fails, the old content stays and the temporary file goes.
 *
 * Synchronous on purpose: what is persisted before use (a registry version, an invite's use, a key) must be on the disk
 * before the caller's next statement, and the files are small.
 */
import * as fs from 'node:fs';
import { randomBytes } from 'node:crypto';
import { basename, dirname, join } from 'node:path';
import { WarrenError } from '../../protocol/errors.js';

/** The calls to the file system, so that a test can let any of them fail. */
export interface FileOps {
  open(path: string, flags: string, mode?: number): number;
  chmod(fd: number, mode: number): void;
  /** @returns bytes written, possibly fewer than given */
  write(fd: number, bytes: Uint8Array, offset: number): number;
  sync(fd: number): void;
  close(fd: number): void;
  link(from: string, to: string): void;
  rename(from: string, to: string): void;
  unlink(path: string): void;
  openDir(path: string): number;
  syncDir(fd: number): void;
}

export const nodeFileOps: FileOps = {
  open: (path, flags, mode) => fs.openSync(path, flags, mode),
  chmod: (fd, mode) => fs.fchmodSync(fd, mode),
  write: (fd, bytes, offset) => fs.writeSync(fd, bytes, offset),
  sync: fd => fs.fsyncSync(fd),
  close: fd => fs.closeSync(fd),
  link: (from, to) => fs.linkSync(from, to),
  rename: (from, to) => fs.renameSync(from, to),
  unlink: path => fs.unlinkSync(path),
  openDir: path => fs.openSync(path, 'r'),
  syncDir: fd => fs.fsyncSync(fd),
};

export interface WriteOptions {
  /** permission bits of the new file, whatever the umask; default 0600 */
  readonly mode?: number;
  readonly ops?: FileOps;
}

/** Ends the names of all temporary files; `home.ts` removes those that a crash left behind. */
export const TEMPORARY_SUFFIX = '.tmp';

/**
 * Replaces the file at `path`, following a symbolic link to the real one.
 * @throws WarrenError `disk` when any step fails; the old file is then in place, unchanged
 */
export function writeFileAtomic(path: string, content: Uint8Array | string, options: WriteOptions = {}): void {
  const ops = options.ops ?? nodeFileOps;
  const bytes = typeof content === 'string' ? Buffer.from(content, 'utf8') : content;
  const target = realTarget(path);
  const stem = join(dirname(target), `.${basename(target)}.${randomBytes(6).toString('hex')}`);
  const fresh = `${stem}.new${TEMPORARY_SUFFIX}`;
  const old = `${stem}.old${TEMPORARY_SUFFIX}`;
  try {
    writeFresh(ops, fresh, bytes, options.mode ?? 0o600);
    replace(ops, target, fresh, old);
  } catch (error) {
    discard(ops, fresh);
    throw diskError(path, error);
  }
}

function writeFresh(ops: FileOps, path: string, bytes: Uint8Array, mode: number): void {
  const fd = ops.open(path, 'wx', mode);
  try {
    ops.chmod(fd, mode);
    for (let at = 0; at < bytes.length;) {
      const written = ops.write(fd, bytes, at);
      if (written <= 0) throw Object.assign(new Error('nothing was written'), { code: 'ENOSPC' });
      at += written;
    }
    ops.sync(fd);
  } finally {
    ops.close(fd);
  }
}

/**
 * After the rename the new content is visible but perhaps not durable: only the folder's fsync says so. A second name
 * for the old file is kept until then, and put back if the fsync fails.
 */
function replace(ops: FileOps, target: string, fresh: string, old: string): void {
  const before = keep(ops, target, old);
  let renamed = false;
  try {
    const folder = ops.openDir(dirname(target));
    try {
      ops.rename(fresh, target);
      renamed = true;
      syncFolder(ops, folder);
    } finally {
      ops.close(folder);
    }
  } catch (error) {
    if (renamed) undo(ops, target, old, before);
    else if (before === 'kept') discard(ops, old);
    throw error;
  }
  if (before === 'kept') discard(ops, old);
}

/** none: there is no old file · loose: there is one, and it cannot have a second name */
type Before = 'kept' | 'none' | 'loose';

function keep(ops: FileOps, target: string, old: string): Before {
  try {
    ops.link(target, old);
    return 'kept';
  } catch (error) {
    const code = codeOf(error);
    if (code === 'ENOENT') return 'none';
    // a file of another user, or one with too many names: replacing it is allowed all the same
    if (code === 'EPERM' || code === 'EACCES' || code === 'EMLINK' || code === 'ENOTSUP') return 'loose';
    throw error;
  }
}

function undo(ops: FileOps, target: string, old: string, before: Before): void {
  try {
    if (before === 'kept') ops.rename(old, target);
    else if (before === 'none') ops.unlink(target);
  } catch {
    // the error of the fsync is the one that is told
  }
}

/**
 * Gives a file that is on the disk already another name in its folder, over what has that name.
 * @throws WarrenError `disk`; it has one of the two names then
 */
export function renameDurably(from: string, to: string, ops: FileOps = nodeFileOps): void {
  try {
    const folder = ops.openDir(dirname(to));
    try {
      ops.rename(from, to);
      syncFolder(ops, folder);
    } finally {
      ops.close(folder);
    }
  } catch (error) {
    throw diskError(to, error);
  }
}

/** Removes a file for good. @throws WarrenError `disk` */
export function removeDurably(path: string, ops: FileOps = nodeFileOps): void {
  try {
    ops.unlink(path);
    const folder = ops.openDir(dirname(path));
    try {
      syncFolder(ops, folder);
    } finally {
      ops.close(folder);
    }
  } catch (error) {
    throw diskError(path, error);
  }
}

/** Some file systems and Windows cannot sync a folder; there is nothing more to be had there. */
function syncFolder(ops: FileOps, folder: number): void {
  try {
    ops.syncDir(folder);
  } catch (error) {
    if (!['EINVAL', 'EPERM', 'ENOTSUP', 'EISDIR'].includes(codeOf(error))) throw error;
  }
}

function discard(ops: FileOps, path: string): void {
  try {
    ops.unlink(path);
  } catch {
    // never made, or gone already
  }
}

function realTarget(path: string): string {
  try {
    return fs.realpathSync(path);
  } catch {
    return path;
  }
}

export function codeOf(error: unknown): string {
  return (error as NodeJS.ErrnoException | undefined)?.code ?? '';
}

const REASONS: Readonly<Record<string, readonly [string, string]>> = {
  ENOSPC: ['no space is left on the disk', 'free some space and try again; the old file is unchanged'],
  EDQUOT: ['the disk quota is used up', 'free some space and try again; the old file is unchanged'],
  EROFS: ['the file system is read-only', 'mount it writable, or use another home: --home DIR'],
  EACCES: ['permission denied', 'the folder must belong to the user that runs the daemon'],
  EPERM: ['operation not permitted', 'the folder must belong to the user that runs the daemon'],
  EIO: ['the disk reports an error', 'check the disk; the old file is unchanged'],
  ENOENT: ['the folder is gone', 'restart the daemon to have it made again'],
};

/** Any failure of the file system as one sentence. */
export function diskError(path: string, error: unknown): WarrenError {
  if (error instanceof WarrenError) return error;
  const code = codeOf(error);
  const [why, hint] = REASONS[code] ?? [
    `the file system answers ${code || 'an unknown error'}`,
    'the old file is unchanged',
  ];
  return new WarrenError('disk', `cannot write ${path}: ${why}`, { hint, cause: error });
}
