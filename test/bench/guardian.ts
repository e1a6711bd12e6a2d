/**
 * A process of its own that ends everything a benchmark has started, once its standard input ends: that is when the
 * benchmark asks for it, and also when the benchmark was killed. Lines that it reads:
 *
 *   process PID STARTED   end this process and its descendants, if it is still the one that was started then
 *   home DIR              end the daemon of this home
 *   folder DIR            remove this folder at the end
 */
import { existsSync, readFileSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { setTimeout as sleep } from 'node:timers/promises';
import { familyOf, startedAt } from './measure.js';

const END_MS = 5_000;
const POLL_MS = 20;

const processes: { readonly pid: number; readonly started: string }[] = [];
const homes: string[] = [];
const folders: string[] = [];

function take(line: string): void {
  const [word, rest = ''] = [line.slice(0, line.indexOf(' ')), line.slice(line.indexOf(' ') + 1)];
  if (word === 'home') homes.push(rest);
  else if (word === 'folder') folders.push(rest);
  else if (word === 'process') {
    const [pid, started = ''] = rest.split(' ');
    processes.push({ pid: Number(pid), started });
  }
}

/** Daemons by the pid file that they hold while they run. */
function daemons(): number[] {
  return homes.flatMap(home => {
    const path = join(home, 'warren.pid');
    const pid = existsSync(path) ? Number.parseInt(readFileSync(path, 'utf8'), 10) : Number.NaN;
    return Number.isInteger(pid) && pid > 1 ? [pid] : [];
  });
}

async function endAll(): Promise<void> {
  const own = processes.filter(({ pid, started }) => startedAt(pid) === started).map(({ pid }) => pid);
  const family = familyOf([...own, ...daemons()]).map(pid => ({ pid, started: startedAt(pid) }));
  for (const { pid } of family) {
    try {
      process.kill(pid, 'SIGKILL');
    } catch {
      // It has ended by itself.
    }
  }
  const isThere = (): boolean => family.some(({ pid, started }) => started !== undefined && startedAt(pid) === started);
  for (const end = Date.now() + END_MS; Date.now() < end && isThere();) await sleep(POLL_MS);
  for (const folder of folders) rmSync(folder, { recursive: true, force: true, maxRetries: 5 });
}

// Ctrl-C reaches the whole terminal; what ends this process is the end of its input.
for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) process.on(signal, () => undefined);
createInterface({ input: process.stdin })
  .on('line', take)
  .on('close', () => void endAll());
