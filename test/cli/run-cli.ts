/** Runs the real CLI as a process and collects what it did. */
import { spawn, type ChildProcessWithoutNullStreams } from 'node:child_process';
import { existsSync, mkdtempSync, rmSync } from 'node:fs';
import { homedir, tmpdir } from 'node:os';
import { join } from 'node:path';
import { Readable, Writable } from 'node:stream';
import { fileURLToPath } from 'node:url';
import { run } from '../../cli/program.js';
import type { World } from '../../cli/world.js';

export interface Result {
  readonly status: number | null;
  readonly signal: NodeJS.Signals | null;
  readonly stdout: string;
  readonly stderr: string;
}

export interface RunOptions {
  readonly env?: Readonly<Record<string, string>>;
  /** written to standard input, which is then closed; undefined: closed at once */
  readonly stdin?: string | Buffer;
  readonly cwd?: string;
  /** another entry than the real one, see cli-with-fake-daemon.ts */
  readonly entry?: string;
}

/** How node runs a compiled file, or its TypeScript source when there is no compiled one beside the test. */
export function nodeArguments(path: string): string[] {
  const compiled = fileURLToPath(new URL(`${path}.js`, import.meta.url));
  if (existsSync(compiled)) return [compiled];
  return ['--import', import.meta.resolve('tsx'), fileURLToPath(new URL(`${path}.ts`, import.meta.url))];
}

const REAL = '../../cli/main';

export function startCli(args: readonly string[], options: RunOptions = {}): ChildProcessWithoutNullStreams {
  const { NO_COLOR: _n, FORCE_COLOR: _f, WARREN_HOME: _h, ...env } = process.env;
  return spawn(process.execPath, [...nodeArguments(options.entry ?? REAL), ...args], {
    env: { ...env, ...options.env },
    cwd: options.cwd,
  });
}

/** Waits for its end; standard input is left alone. */
export function finished(child: ChildProcessWithoutNullStreams): Promise<Result> {
  return new Promise((resolve, reject) => {
    let stdout = '';
    let stderr = '';
    child.stdout.setEncoding('utf8').on('data', (chunk: string) => (stdout += chunk));
    child.stderr.setEncoding('utf8').on('data', (chunk: string) => (stderr += chunk));
    child.on('error', reject);
    child.on('close', (status, signal) => resolve({ status, signal, stdout, stderr }));
  });
}

export async function runCli(args: readonly string[], options: RunOptions = {}): Promise<Result> {
  const child = startCli(args, options);
  const done = finished(child);
  child.stdin.on('error', () => undefined);
  child.stdin.end(options.stdin);
  return done;
}

/** A fresh folder that goes when `remove` is called. */
export function temporaryFolder(): { path: string; remove: () => void } {
  const path = mkdtempSync(join(tmpdir(), 'warren-cli-'));
  return { path, remove: () => rmSync(path, { recursive: true, force: true }) };
}

/** A stream that keeps what is written. */
export class Sink extends Writable {
  text = '';

  override _write(chunk: Buffer | string, _encoding: string, done: () => void): void {
    this.text += chunk.toString();
    done();
  }
}

/** A world without a terminal, with streams that keep what is written. */
export function fakeWorld(args: readonly string[], options: RunOptions = {}): World & { stdout: Sink; stderr: Sink } {
  return {
    args,
    env: options.env ?? {},
    cwd: options.cwd ?? process.cwd(),
    homedir: homedir(),
    platform: process.platform,
    version: '0.0.0',
    stdout: new Sink(),
    stderr: new Sink(),
    stdin: () => Readable.from(options.stdin === undefined ? [] : [options.stdin]),
    interactive: false,
    now: () => Date.now(),
    daemonProgram: '/nonexistent/daemon',
    doctorProgram: '/nonexistent/doctor',
    restoreProgram: '/nonexistent/restore',
    execPath: process.execPath,
    execArgv: [],
    onSignal: () => () => undefined,
    exit: () => undefined as never,
  };
}

/** Runs a command line in this process: as the real CLI does, without the cost of a start. */
export async function runHere(args: readonly string[], options: RunOptions = {}): Promise<Result> {
  let status: number | null = null;
  const world = fakeWorld(args, options);
  const exit = (code: number): never => {
    status ??= code;
    return undefined as never;
  };
  await run({ ...world, exit });
  return { status, signal: null, stdout: world.stdout.text, stderr: world.stderr.text };
}
