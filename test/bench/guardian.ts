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

const END_MS = 8_000;
const SETTLE_MS = 2_000;
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

/** Nobody is killed twice: by then the number may be another's. */
const killed = new Map<number, string | undefined>();

/** @returns whether any that was started is still there */
function killAll(): boolean {
  const own = processes.filter(({ pid, started }) => startedAt(pid) === started).map(({ pid }) => pid);
  for (const pid of familyOf([...own, ...daemons()])) {
    if (killed.has(pid)) continue;
    killed.set(pid, startedAt(pid));
    try {
      process.kill(pid, 'SIGKILL');
    } catch {
      // It has ended by itself.
    }
  }
  return [...killed].some(([pid, started]) => started !== undefined && startedAt(pid) === started);
}

/** A daemon that was just being started says only now that it is there: some time must pass without any. */
async function endAll(): Promise<void> {
  const end = Date.now() + END_MS;
  for (let goneSince = Date.now(); Date.now() < Math.min(end, goneSince + SETTLE_MS);) {
    if (killAll()) goneSince = Date.now();
    await sleep(POLL_MS);
  }
  for (const folder of folders) rmSync(folder, { recursive: true, force: true, maxRetries: 5 });
}

// Ctrl-C reaches the whole terminal; what ends this process is the end of its input.
for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) process.on(signal, () => undefined);
createInterface({ input: process.stdin })
  .on('line', take)
  .on('close', () => void endAll());
