/** What processes cost, as /proc says: CPU seconds, resident memory, who belongs to whom. */
import { readFileSync, readdirSync } from 'node:fs';

/** USER_HZ, in which /proc counts on Linux whatever the kernel's own rate is. */
const TICKS_PER_SECOND = 100;
/** Places in /proc/PID/stat behind the program's name, which may hold blanks. */
const PARENT = 1;
const USER_TICKS = 11;
const SYSTEM_TICKS = 12;
const REAPED_USER_TICKS = 13;
const REAPED_SYSTEM_TICKS = 14;
const STARTED = 19;

/** The fields of /proc/PID/stat behind the name. @returns undefined: there is no such process */
function stat(pid: number | 'self'): readonly string[] | undefined {
  try {
    const text = readFileSync(`/proc/${pid}/stat`, 'latin1');
    return text.slice(text.lastIndexOf(')') + 2).split(' ');
  } catch {
    return undefined;
  }
}

function ticks(fields: readonly string[] | undefined, ...places: number[]): number {
  return places.reduce((sum, place) => sum + Number(fields?.[place] ?? 0), 0) / TICKS_PER_SECOND;
}

/** CPU seconds, user and system, of all threads of these processes so far. */
export function cpuSeconds(pids: readonly number[]): number {
  return pids.reduce((sum, pid) => sum + ticks(stat(pid), USER_TICKS, SYSTEM_TICKS), 0);
}

/** The same, in their own code and in the kernel. */
export function splitSeconds(pids: readonly number[]): { readonly user: number; readonly system: number } {
  const sum = (place: number): number => pids.reduce((total, pid) => total + ticks(stat(pid), place), 0);
  return { user: sum(USER_TICKS), system: sum(SYSTEM_TICKS) };
}

/** CPU seconds that this machine has been busy with anything, so far: user, nice, system, interrupts (proc(5), /proc/stat). */
export function busySeconds(): number {
  const [user, nice, system, , , irq, softirq] = (readFileSync('/proc/stat', 'latin1').split('\n', 1)[0] ?? '')
    .split(/ +/)
    .slice(1)
    .map(Number);
  return [user, nice, system, irq, softirq].reduce((sum: number, count) => sum + (count ?? 0), 0) / TICKS_PER_SECOND;
}

/** CPU seconds of all children of this process that have ended. */
export function endedChildrenSeconds(): number {
  return ticks(stat('self'), REAPED_USER_TICKS, REAPED_SYSTEM_TICKS);
}

/** Resident bytes of these processes together. */
export function residentBytes(pids: readonly number[]): number {
  return pids.reduce((sum, pid) => {
    try {
      const kib = /^VmRSS:\s+(\d+) kB/m.exec(readFileSync(`/proc/${pid}/status`, 'latin1'))?.[1];
      return sum + Number(kib ?? 0) * 1024;
    } catch {
      return sum;
    }
  }, 0);
}

/** When a process was started, in ticks since the machine's start: with the number it names one process for ever. */
export function startedAt(pid: number): string | undefined {
  return stat(pid)?.[STARTED];
}

/** These processes and all that descend from them. */
export function familyOf(roots: readonly number[]): number[] {
  const children = new Map<number, number[]>();
  for (const name of readdirSync('/proc')) {
    if (!/^\d+$/.test(name)) continue;
    const parent = Number(stat(Number(name))?.[PARENT]);
    children.set(parent, [...(children.get(parent) ?? []), Number(name)]);
  }
  const family = [...roots];
  for (const pid of family) family.push(...(children.get(pid) ?? []));
  return family;
}
