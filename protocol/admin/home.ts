/**
 * Where a home is, and what in it daemon and CLI both must find: pure functions of the environment, no file is touched.
 */
import { posix, win32 } from 'node:path';
import { ADMIN_SOCKET } from './contract.js';
import { utf8 } from '../bytes.js';
import { WarrenError } from '../errors.js';

export interface HomeQuestion {
  /** the value of --home; wins over everything */
  readonly home?: string;
  readonly env: Readonly<Record<string, string | undefined>>;
  /** the user's home directory */
  readonly homedir: string;
  readonly cwd: string;
  readonly platform: string;
}

/**
 * --home, else WARREN_HOME, else the XDG data directory (Linux), Application Support (macOS), LOCALAPPDATA (Windows).
 * @returns an absolute path. @throws WarrenError `bad-value` on an empty --home or a NUL in the path
 */
export function resolveHome(question: HomeQuestion): string {
  const path = question.platform === 'win32' ? win32 : posix;
  if (question.home === '') throw new WarrenError('bad-value', '--home needs a directory', { hint: HOME_HINT });
  const given = question.home ?? (question.env.WARREN_HOME === '' ? undefined : question.env.WARREN_HOME);
  if (given?.includes('\0')) throw new WarrenError('bad-value', 'the home has a NUL in its path', { hint: HOME_HINT });
  if (given !== undefined) return path.resolve(question.cwd, given);
  switch (question.platform) {
    case 'darwin':
      return path.join(question.homedir, 'Library', 'Application Support', 'warren');
    case 'win32':
      return path.join(question.env.LOCALAPPDATA ?? path.join(question.homedir, 'AppData', 'Local'), 'warren', 'Data');
    default:
      return path.join(xdgDataHome(question), 'warren');
  }
}

const HOME_HINT = 'name a directory: --home DIR, or set WARREN_HOME';

/** XDG base directory specification: a relative value is to be ignored. */
function xdgDataHome({ env, homedir }: HomeQuestion): string {
  const value = env.XDG_DATA_HOME;
  return value !== undefined && posix.isAbsolute(value) ? value : posix.join(homedir, '.local', 'share');
}

/** Longest path of a unix socket in bytes, without the NUL that ends it (sockaddr_un). */
export function maxSocketPath(platform: string): number {
  return platform === 'linux' ? 107 : 103;
}

/** The admin socket of a home: a file in it, on Windows a named pipe that carries the home's path. */
export function adminSocketPath(home: string, platform: string): string {
  if (platform !== 'win32') return posix.join(home, ADMIN_SOCKET);
  return `\\\\.\\pipe\\warren-${home.toLowerCase().replace(/[^a-z0-9]+/g, '-')}`;
}

/** @throws WarrenError `home` when the path does not fit into a socket address; the length is named */
export function checkSocketPath(path: string, platform: string): void {
  const max = maxSocketPath(platform);
  const length = utf8(path).length;
  if (platform === 'win32' || length <= max) return;
  throw new WarrenError('home', `the socket path is too long: ${length} bytes, at most ${max} are possible: ${path}`, {
    hint: 'use a home with a shorter path: --home DIR, or set WARREN_HOME',
  });
}
