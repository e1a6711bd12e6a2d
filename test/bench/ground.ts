/** Where a benchmark stands: a temporary folder, what runs in it, and a guardian that ends it all whatever happens. */
import { spawn, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { mkdirSync, mkdtempSync, openSync, closeSync, readFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { packageRoot } from '../helpers/root.js';
import { CLI, Host, run, type Run, type RunOptions } from '../helpers/hosts.js';
import { startedAt } from './measure.js';

/** The compiled daemon, for a start without the CLI. */
export const DAEMON = join(packageRoot(), 'dist', 'daemon', 'main.js');

/** A host whose daemon and commands run under the Node that is to be measured. */
export class BenchHost extends Host {
  constructor(
    name: string,
    folder: string,
    readonly node: string,
  ) {
    super(name, folder);
  }

  override warren(args: readonly string[], options: RunOptions = {}): Promise<Run> {
    return run(this.node, [CLI, ...args], {
      deadline: 60_000,
      ...options,
      env: { WARREN_HOME: this.home, NO_COLOR: '1', ...options.env },
    });
  }
}

export class Ground {
  readonly folder = mkdtempSync(join(tmpdir(), 'warren-bench-'));
  private readonly guardian: ChildProcess;
  private readonly closers: (() => void)[] = [];
  private made = 0;

  /** @param node the Node under which warren runs */
  constructor(readonly node: string) {
    const program = fileURLToPath(new URL('./guardian.js', import.meta.url));
    this.guardian = spawn(process.execPath, [program], { stdio: ['pipe', 'inherit', 'inherit'], detached: true });
    this.guardian.stdin?.on('error', () => undefined);
    this.tell(`folder ${this.folder}`);
  }

  /** A new folder below the temporary one. */
  place(name: string): string {
    const folder = join(this.folder, `${name}-${++this.made}`);
    mkdirSync(folder, { mode: 0o700 });
    return folder;
  }

  /** Starts a server; what it says goes to a file of its own. */
  start(command: string, args: readonly string[], env: NodeJS.ProcessEnv = {}): Server {
    const log = join(this.folder, `log-${++this.made}`);
    const out = openSync(log, 'w', 0o600);
    const child = spawn(command, args, { stdio: ['ignore', out, out], env: { ...process.env, ...env }, cwd: '/' });
    closeSync(out);
    child.on('error', () => undefined);
    const { pid } = child;
    if (pid === undefined) throw new Error(`${command} cannot be started`);
    this.tell(`process ${pid} ${startedAt(pid) ?? ''}`);
    return new Server(command, child, pid, log);
  }

  /** @param place a folder for its home; left out: one of its own */
  host(name: string, place = this.place(name)): BenchHost {
    const host = new BenchHost(name, place, this.node);
    this.tell(`home ${host.home}`);
    return host;
  }

  /** Called at the end, for what runs in this process. */
  onClose(closer: () => void): void {
    this.closers.push(closer);
  }

  /** Ends everything and removes the folder. */
  async close(): Promise<void> {
    for (const closer of this.closers.splice(0)) closer();
    if (this.guardian.exitCode !== null) return;
    const ended = once(this.guardian, 'exit');
    this.guardian.stdin?.end();
    await ended;
  }

  private tell(line: string): void {
    this.guardian.stdin?.write(`${line}\n`);
  }
}

/** A server that runs until the end of the benchmark, or until it is told to end. */
export class Server {
  constructor(
    readonly name: string,
    private readonly child: ChildProcess,
    readonly pid: number,
    private readonly logFile: string,
  ) {}

  get log(): string {
    return readFileSync(this.logFile, 'utf8');
  }

  get hasEnded(): boolean {
    return this.child.exitCode !== null || this.child.signalCode !== null;
  }

  async end(signal: NodeJS.Signals = 'SIGTERM'): Promise<void> {
    if (this.hasEnded) return;
    const ended = once(this.child, 'exit');
    this.child.kill(signal);
    const timer = setTimeout(() => this.child.kill('SIGKILL'), 5_000);
    await ended;
    clearTimeout(timer);
  }
}
