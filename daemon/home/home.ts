/**
 * Opens a home: makes it 0700 when it is missing, refuses one that cannot be used safely, clears what a crash left.
 * Each refusal is one WarrenError `home` with a hint; nothing is changed in a refused home.
 */
import * as fs from 'node:fs';
import { dirname, join } from 'node:path';
import { checkSocketPath } from '../../protocol/admin/home.js';
import { WarrenError } from '../../protocol/errors.js';
import { codeOf, diskError, TEMPORARY_SUFFIX } from './atomic.js';
import { homePaths, type HomePaths } from './paths.js';

const FOLDER_MODE = 0o700;
/** Bits that let group and others read, write or enter. */
const OTHERS = 0o077;
const OTHERS_WRITE = 0o022;

/**
 * Makes or checks the home and its folders. `lock.ts` comes next, `clearLeftovers` after it.
 * @param root absolute path
 * @throws WarrenError `home`; `disk` when the disk is full
 */
export function openHome(root: string, platform: string = process.platform): HomePaths {
  const paths = homePaths(root, platform);
  checkSocketPath(paths.socket, platform);
  const stats = statOf(root);
  if (stats === undefined) makeRoot(root);
  else if (mayTighten(root, stats, platform)) tighten(root);
  else checkRoot(root, stats, platform);
  checkKeys(paths, platform);
  checkWritable(paths);
  for (const folder of [paths.keys, paths.state]) makeFolder(folder);
  return paths;
}

/** Removes temporary files of a daemon that was killed while it wrote. Only for the holder of the home's lock. */
export function clearLeftovers(paths: HomePaths): void {
  for (const folder of [paths.root, paths.keys, paths.state]) {
    for (const name of namesIn(folder)) {
      if (name.startsWith('.') && name.endsWith(TEMPORARY_SUFFIX)) fs.rmSync(join(folder, name), { force: true });
    }
  }
}

/** The checks alone, for `doctor`: every complaint about the permissions in a home, in words, without touching it. */
export function permissionProblems(root: string, platform: string = process.platform): readonly WarrenError[] {
  const paths = homePaths(root, platform);
  const problems: WarrenError[] = [];
  const stats = statOf(root);
  if (stats === undefined) return problems;
  for (const check of [() => checkRoot(root, stats, platform), () => checkKeys(paths, platform)]) {
    try {
      check();
    } catch (error) {
      if (error instanceof WarrenError) problems.push(error);
      else throw error;
    }
  }
  return problems;
}

function refuse(sentence: string, hint: string, cause?: unknown): WarrenError {
  return new WarrenError('home', sentence, { hint, cause });
}

function statOf(path: string): fs.Stats | undefined {
  try {
    return fs.statSync(path);
  } catch (error) {
    const code = codeOf(error);
    if (code === 'ENOENT') return undefined;
    if (code === 'ENOTDIR')
      throw refuse(`the home ${path} lies below something that is no directory`, ANOTHER_HOME, error);
    throw refuse(`the home ${path} cannot be opened: ${wordOf(code)}`, ANOTHER_HOME, error);
  }
}

const ANOTHER_HOME = 'use another home: --home DIR, or set WARREN_HOME';

function wordOf(code: string): string {
  const words: Readonly<Record<string, string>> = {
    EACCES: 'permission denied',
    EPERM: 'operation not permitted',
    EROFS: 'the file system is read-only',
    ENOSPC: 'no space is left on the disk',
    ENOTDIR: 'part of the path is no directory',
    ENAMETOOLONG: 'the path is too long',
    ELOOP: 'too many symbolic links',
  };
  return words[code] ?? code;
}

function makeRoot(root: string): void {
  try {
    fs.mkdirSync(dirname(root), { recursive: true });
    fs.mkdirSync(root, { mode: FOLDER_MODE });
    fs.chmodSync(root, FOLDER_MODE);
  } catch (error) {
    if (codeOf(error) === 'EEXIST' && fs.statSync(root, { throwIfNoEntry: false })?.isDirectory()) return;
    throw refuse(`the home ${root} cannot be made: ${wordOf(codeOf(error))}`, ANOTHER_HOME, error);
  }
}

/**
 * An empty folder, and a home that others can only read, get the mode 0700. A folder full of other things keeps its
 * mode, since it has other uses.
 */
function mayTighten(root: string, stats: fs.Stats, platform: string): boolean {
  if (platform === 'win32' || !stats.isDirectory() || (stats.mode & OTHERS) === 0) return false;
  const names = namesIn(root);
  return names.length === 0 || (names.includes('keys') && (stats.mode & OTHERS_WRITE) === 0);
}

function tighten(root: string): void {
  try {
    fs.chmodSync(root, FOLDER_MODE);
  } catch (error) {
    throw refuse(`the home ${root} belongs to another user`, ANOTHER_HOME, error);
  }
}

/** Others may not change what is in the home: they could swap the config or the socket. */
function checkRoot(root: string, stats: fs.Stats, platform: string): void {
  if (!stats.isDirectory()) throw refuse(`the home ${root} is not a directory`, ANOTHER_HOME);
  if (platform === 'win32' || (stats.mode & OTHERS_WRITE) === 0) return;
  throw refuse(`others can write to the home ${root} (mode ${octal(stats.mode)})`, `run: chmod 700 ${root}`);
}

function checkWritable(paths: HomePaths): void {
  const probe = join(paths.root, `.probe-${process.pid}${TEMPORARY_SUFFIX}`);
  try {
    fs.writeFileSync(probe, '', { mode: 0o600 });
    fs.unlinkSync(probe);
  } catch (error) {
    if (['ENOSPC', 'EDQUOT', 'EIO'].includes(codeOf(error))) throw diskError(paths.root, error);
    throw refuse(
      `the home ${paths.root} is not writable: ${wordOf(codeOf(error))}`,
      'it must belong to the user that runs the daemon; or use another home: --home DIR',
      error,
    );
  }
}

/** Secrets that others can read are no secrets any more: the operator must decide, so the daemon does not mend it. */
function checkKeys(paths: HomePaths, platform: string): void {
  if (platform === 'win32') return;
  const folder = fs.statSync(paths.keys, { throwIfNoEntry: false });
  if (folder === undefined) return;
  if ((folder.mode & OTHERS_WRITE) !== 0) {
    throw refuse(`others can write to ${paths.keys} (mode ${octal(folder.mode)})`, `run: chmod 700 ${paths.keys}`);
  }
  for (const name of namesIn(paths.keys)) {
    const file = join(paths.keys, name);
    const stats = fs.statSync(file, { throwIfNoEntry: false });
    if (stats?.isFile() && (stats.mode & OTHERS) !== 0) throw readable(file, stats.mode);
  }
}

/** The refusal of a secret file that group or others can read. */
export function readable(file: string, mode: number): WarrenError {
  return refuse(`others can read the key file ${file} (mode ${octal(mode)})`, `run: chmod 600 ${file}`);
}

function octal(mode: number): string {
  return (mode & 0o777).toString(8).padStart(4, '0');
}

function namesIn(folder: string): readonly string[] {
  try {
    return fs.readdirSync(folder);
  } catch (error) {
    if (codeOf(error) === 'ENOENT') return [];
    throw refuse(
      `${folder} cannot be read: ${wordOf(codeOf(error))}`,
      'it must belong to the user that runs the daemon',
      error,
    );
  }
}

function makeFolder(path: string): void {
  try {
    fs.mkdirSync(path, { mode: FOLDER_MODE });
  } catch (error) {
    if (codeOf(error) === 'EEXIST') return;
    throw refuse(`${path} cannot be made: ${wordOf(codeOf(error))}`, ANOTHER_HOME, error);
  }
}
