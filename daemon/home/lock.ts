/**
 * One daemon per home, decided by the kernel and free of races. The lock is a listening unix socket `lock.N`:
 *
 * 1. the highest N in the home is the lock; whoever can connect to it has found the running daemon,
 * 2. when it is dead (its process is gone, however it went), N+1 is claimed: a socket that listens already is given
 *    that name by link(2), which fails when the name exists, so that one claimant wins,
 * 3. the winner looks again: a higher number means that it was slow, and that it lost.
 *
 * N never falls: the lower ones are removed by a holder only, the highest stays behind after a clean end. No PID is
 * trusted, so a reused one cannot block a start, and a lock left by a killed daemon costs nothing.
 */
import * as fs from 'node:fs';
import { randomBytes } from 'node:crypto';
import { createConnection, createServer, type Server } from 'node:net';
import { join } from 'node:path';
import { WarrenError } from '../../protocol/errors.js';
import { codeOf, writeFileAtomic } from './atomic.js';
import type { HomePaths } from './paths.js';
import { listenPrivate } from './socket.js';

const LOCK_NAME = /^lock\.([1-9][0-9]{0,8})$/;
/** As long as `admin.sock`, so that it fits wherever that fits. */
const CLAIM_PREFIX = '.lock-';
/** How long the holder may take to say its PID. */
const GREETING_MS = 1000;
/** Claims lost to others in a row before giving up. */
const MAX_ATTEMPTS = 20;

export interface HomeLock {
  /** Ends the lock and removes the PID file, if it is still this daemon's. */
  release(): void;
}

/**
 * Takes the home for this process and writes its PID file.
 * @throws WarrenError `running` when a daemon has it; `home` when the file system cannot hold sockets
 */
export async function lockHome(paths: HomePaths, pid: number = process.pid): Promise<HomeLock> {
  for (let attempt = 0; attempt < MAX_ATTEMPTS; attempt++) {
    const highest = highestLock(paths.root);
    if (highest > 0) await refuseIfAlive(paths, lockPath(paths, highest));
    const server = await claim(paths, highest + 1, pid);
    if (server === undefined) continue;
    if (highestLock(paths.root) > highest + 1) {
      server.close();
      continue;
    }
    removeOlder(paths.root, highest + 1);
    return holding(paths, server, pid);
  }
  throw running(undefined, paths);
}

/** @returns the PID that the running daemon tells; 0 when it tells none; undefined when no daemon runs here */
export async function runningPid(paths: HomePaths): Promise<number | undefined> {
  const highest = highestLock(paths.root);
  return highest === 0 ? undefined : probe(lockPath(paths, highest));
}

function holding(paths: HomePaths, server: Server, pid: number): HomeLock {
  try {
    writeFileAtomic(paths.pid, `${pid}\n`);
  } catch (error) {
    server.close();
    throw error;
  }
  let held = true;
  return {
    release: () => {
      if (!held) return;
      held = false;
      if (pidIn(paths.pid) === pid) fs.rmSync(paths.pid, { force: true });
      server.close();
    },
  };
}

function lockPath(paths: HomePaths, n: number): string {
  return join(paths.root, `lock.${n}`);
}

function highestLock(root: string): number {
  return Math.max(0, ...locksIn(root));
}

function locksIn(root: string): readonly number[] {
  return fs.readdirSync(root).flatMap(name => {
    const match = LOCK_NAME.exec(name);
    return match === null ? [] : [Number(match[1])];
  });
}

function removeOlder(root: string, held: number): void {
  for (const n of locksIn(root)) if (n < held) fs.rmSync(join(root, `lock.${n}`), { force: true });
  for (const name of fs.readdirSync(root)) {
    if (name.startsWith(CLAIM_PREFIX)) fs.rmSync(join(root, name), { force: true });
  }
}

/** @returns undefined when another process has the name */
async function claim(paths: HomePaths, n: number, pid: number): Promise<Server | undefined> {
  const draft = join(paths.root, `${CLAIM_PREFIX}${randomBytes(2).toString('hex')}`);
  const server = createServer(socket => {
    socket.on('error', () => undefined);
    socket.setTimeout(GREETING_MS, () => socket.destroy());
    socket.end(`${pid}\n`);
  });
  try {
    await listenPrivate(server, draft);
    fs.linkSync(draft, lockPath(paths, n));
    fs.rmSync(draft, { force: true });
    server.unref();
    return server;
  } catch (error) {
    server.close();
    const code = codeOf(error);
    // the name is taken, or a winner has swept the draft away
    if (code === 'EEXIST' || code === 'ENOENT' || code === 'EADDRINUSE') return undefined;
    throw new WarrenError('home', `the home ${paths.root} cannot hold a socket: ${code}`, {
      hint: 'use a home on a local file system: --home DIR',
      cause: error,
    });
  }
}

async function refuseIfAlive(paths: HomePaths, lock: string): Promise<void> {
  const pid = await probe(lock);
  if (pid !== undefined) throw running(pid === 0 ? pidIn(paths.pid) : pid, paths);
}

function running(pid: number | undefined, paths: HomePaths): WarrenError {
  const who = pid === undefined ? '' : ` (pid ${pid})`;
  return new WarrenError('running', `a daemon already runs on the home ${paths.root}${who}`, {
    hint: 'end it with `warren down`, or use another home: --home DIR',
  });
}

function pidIn(file: string): number | undefined {
  try {
    const text = fs.readFileSync(file, 'utf8').trim();
    return /^[1-9][0-9]{0,9}$/.test(text) ? Number(text) : undefined;
  } catch {
    return undefined;
  }
}

/** @returns undefined when nobody listens; 0 when somebody does and says nothing; else the PID it says */
function probe(path: string): Promise<number | undefined> {
  return new Promise(resolve => {
    let text = '';
    const socket = createConnection({ path });
    const done = (pid: number | undefined): void => {
      clearTimeout(timer);
      socket.destroy();
      resolve(pid);
    };
    const timer = setTimeout(() => done(0), GREETING_MS);
    const said = (): number => (/^[1-9][0-9]{0,9}\n$/.test(text) ? Number(text) : 0);
    socket.setEncoding('latin1');
    socket.on('data', (chunk: string) => {
      text += chunk;
      if (text.length > 16) done(0);
    });
    socket.on('end', () => done(said()));
    socket.on('error', error => {
      const gone = ['ECONNREFUSED', 'ENOENT', 'ENOTSOCK'].includes(codeOf(error));
      done(gone ? undefined : said());
    });
  });
}
