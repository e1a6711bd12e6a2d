/** The real process as a World: the one file of the CLI that reads globals. */
import { readFileSync } from 'node:fs';
import { homedir } from 'node:os';
import { isatty } from 'node:tty';
import { fileURLToPath } from 'node:url';
import type { World } from './world.js';

/** A program of the daemon, in the folder beside this one, in the language that this file is in. */
function sibling(path: string): string {
  const extension = import.meta.url.endsWith('.ts') ? '.ts' : '.js';
  return fileURLToPath(new URL(path + extension, import.meta.url));
}

/** The version in package.json: one folder up, or two when this file was compiled into dist/. */
function version(): string {
  for (const path of ['../package.json', '../../package.json'])
    try {
      return (JSON.parse(readFileSync(new URL(path, import.meta.url), 'utf8')) as { version: string }).version;
    } catch {
      continue;
    }
  return 'unknown';
}

/** The newest handler of a signal alone is called; taking it away brings the one before back. */
function signalStacks(): World['onSignal'] {
  const stacks = new Map<NodeJS.Signals, (() => void)[]>();
  return (signal, handler) => {
    let stack = stacks.get(signal);
    if (stack === undefined) {
      const fresh: (() => void)[] = [];
      stacks.set(signal, fresh);
      process.on(signal, () => fresh.at(-1)?.());
      stack = fresh;
    }
    const mine = stack;
    mine.push(handler);
    return () => {
      const at = mine.lastIndexOf(handler);
      if (at >= 0) mine.splice(at, 1);
    };
  };
}

export function realWorld(): World {
  // A reader that has gone away has read enough: `warren logs | head -3` is no failure.
  process.stdout.on('error', (error: NodeJS.ErrnoException) => process.exit(error.code === 'EPIPE' ? 0 : 1));
  process.stderr.on('error', () => undefined);
  return {
    args: process.argv.slice(2),
    env: process.env,
    cwd: process.cwd(),
    homedir: homedir(),
    platform: process.platform,
    version: version(),
    stdout: process.stdout,
    stderr: process.stderr,
    stdin: () => process.stdin,
    interactive: isatty(0) && isatty(2),
    now: () => Date.now(),
    daemonProgram: sibling('../daemon/main'),
    doctorProgram: sibling('../daemon/doctor-main'),
    restoreProgram: sibling('../daemon/restore-main'),
    execPath: process.execPath,
    execArgv: process.execArgv,
    onSignal: signalStacks(),
    exit: code => process.exit(code),
  };
}
