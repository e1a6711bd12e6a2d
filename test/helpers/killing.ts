/** Lets real daemons die at a change of the file system that the test chooses (kill-at.ts). */
import { existsSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { packageRoot } from './hosts.js';

/** ms */
const QUIET_MS = 200;
const PRELOAD = pathToFileURL(join(packageRoot(), 'dist', 'test', 'helpers', 'kill-at.js')).href;

/** Where a process is to die: before its n-th change, counted from 1, or in the middle of it. */
export interface Point {
  readonly at: number;
  readonly half: boolean;
}

export class Killing {
  /** @param control file that tells the process when, made when it is needed */
  constructor(private readonly control: string) {}

  /** For `warren up` and `warren keys restore`: what they start can be killed. */
  get env(): NodeJS.ProcessEnv {
    return { NODE_OPTIONS: `${process.env.NODE_OPTIONS ?? ''} --import=${PRELOAD}`, WARREN_KILL_FILE: this.control };
  }

  /** From now on changes count. */
  arm({ at, half }: Point): void {
    rmSync(this.trace, { force: true });
    writeFileSync(this.control, half ? `${at} half` : String(at));
  }

  /** @returns the changes that were counted; the last one was not made, or not wholly, if the process died of it */
  disarm(): { readonly changes: readonly string[]; readonly killed: boolean } {
    rmSync(this.control, { force: true });
    const lines = existsSync(this.trace) ? readFileSync(this.trace, 'utf8').trimEnd().split('\n') : [];
    const killed = lines.at(-1) === 'killed';
    return { changes: killed ? lines.slice(0, -1) : lines, killed };
  }

  /** Returns when nothing has changed for a while: what follows behind an answer is counted too. */
  async quiet(): Promise<void> {
    const read = (): string => (existsSync(this.trace) ? readFileSync(this.trace, 'utf8') : '');
    for (let before = '', now = read(); now !== before && !now.endsWith('killed\n'); now = read()) {
      before = now;
      await new Promise(resolve => setTimeout(resolve, QUIET_MS));
    }
  }

  private get trace(): string {
    return `${this.control}.trace`;
  }
}

/** Every point there is: before each change, behind the last one, and within each write. */
export function pointsOf(changes: readonly string[]): Point[] {
  const before = [...changes, 'end'].map((_, i) => ({ at: i + 1, half: false }));
  const within = changes.flatMap((change, i) => (change.startsWith('write ') ? [{ at: i + 1, half: true }] : []));
  return [...before, ...within];
}
