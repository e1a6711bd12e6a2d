/**
 * Hosts for end-to-end tests: a temporary home each, driven by the real CLI as a process. Every daemon that was
 * started is stopped at the end of the test file, whatever happened.
 */
import { spawn, type ChildProcess } from 'node:child_process';
import { existsSync, mkdtempSync, readFileSync, rmSync } from 'node:fs';
import http from 'node:http';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { PATHS, type Diagnostics, type Status } from '../../protocol/admin/contract.js';

/** The folder of package.json, from the source tree as well as from dist/. */
export function packageRoot(): string {
  let folder = dirname(fileURLToPath(import.meta.url));
  while (!existsSync(join(folder, 'package.json'))) folder = dirname(folder);
  return folder;
}

export const CLI = join(packageRoot(), 'dist', 'cli', 'main.js');

export interface Run {
  readonly status: number | null;
  readonly stdout: string;
  readonly stderr: string;
}

export interface RunOptions {
  readonly input?: string;
  /** standard input has no end behind `input` */
  readonly keepOpen?: boolean;
  readonly env?: NodeJS.ProcessEnv;
  readonly cwd?: string;
  /** ms until the process is killed; default 30 s */
  readonly deadline?: number;
  /** network namespace to run in (needs root) */
  readonly netns?: string;
}

/** Runs any program to its end. */
export function run(command: string, args: readonly string[], options: RunOptions = {}): Promise<Run> {
  return new Promise((resolve, reject) => {
    const [program, all] =
      options.netns === undefined ? [command, args] : ['ip', ['netns', 'exec', options.netns, command, ...args]];
    const child = spawn(program, all, {
      env: { ...process.env, ...options.env },
      cwd: options.cwd,
      stdio: ['pipe', 'pipe', 'pipe'],
    });
    const out: Buffer[] = [];
    const err: Buffer[] = [];
    child.stdout.on('data', (chunk: Buffer) => out.push(chunk));
    child.stderr.on('data', (chunk: Buffer) => err.push(chunk));
    child.stdin.on('error', () => undefined);
    if (options.keepOpen === true) child.stdin.write(options.input ?? '');
    else child.stdin.end(options.input ?? '');
    const timer = setTimeout(() => child.kill('SIGKILL'), options.deadline ?? 30_000);
    child.on('error', reject);
    child.on('close', status => {
      clearTimeout(timer);
      resolve({ status, stdout: Buffer.concat(out).toString(), stderr: Buffer.concat(err).toString() });
    });
  });
}

export class Host {
  readonly home: string;

  constructor(
    readonly name: string,
    readonly folder: string,
    readonly netns?: string,
  ) {
    this.home = join(folder, name);
  }

  /** Runs `warren ARGS` on this host. */
  warren(args: readonly string[], options: RunOptions = {}): Promise<Run> {
    return run(process.execPath, [CLI, ...args], {
      netns: this.netns,
      ...options,
      env: { WARREN_HOME: this.home, NO_COLOR: '1', ...options.env },
    });
  }

  /** Like `warren`, but anything else than exit code 0 is a failure of the test; returns stdout. */
  async ok(args: readonly string[], options: RunOptions = {}): Promise<string> {
    const result = await this.warren(args, options);
    if (result.status !== 0)
      throw new Error(`${this.name}: warren ${args.join(' ')} ended with ${result.status}: ${result.stderr}`);
    return result.stdout.trim();
  }

  async json<T>(args: readonly string[]): Promise<T> {
    return JSON.parse(await this.ok([...args, '--json'])) as T;
  }

  /** `up --detach` on a free loopback port without mDNS, unless the flags say otherwise. */
  async up(flags: readonly string[] = [], env: NodeJS.ProcessEnv = {}): Promise<Status> {
    const listen =
      flags.includes('--listen') || flags.includes('--no-listen') || existsSync(join(this.home, 'config.yaml'))
        ? []
        : ['--listen', '127.0.0.1:0'];
    const name = existsSync(join(this.home, 'config.yaml')) || flags.includes('--name') ? [] : ['--name', this.name];
    const mdns = flags.includes('--mdns') ? [] : ['--no-mdns'];
    await this.ok(['up', ...name, ...listen, ...mdns, ...flags.filter(f => f !== '--mdns'), '--detach'], {
      deadline: 60_000,
      env,
    });
    return this.status();
  }

  status(): Promise<Status> {
    return this.json<Status>(['status']);
  }

  /** `connect`, returning the local address. */
  async connect(service: string, listen?: string): Promise<string> {
    return (await this.json<{ listen: string }>(['connect', service, ...(listen === undefined ? [] : [listen])]))
      .listen;
  }

  /** What the daemon holds now. */
  diagnostics(): Promise<Diagnostics> {
    return this.admin('GET', PATHS.diagnostics);
  }

  /** The same after a forced garbage collection. */
  collected(): Promise<Diagnostics> {
    return this.admin('POST', PATHS.diagnostics);
  }

  /** The status without a process of its own: for loops that wait, and for figures. */
  live(): Promise<Status> {
    return this.get(PATHS.status);
  }

  /** What the daemon answers, without a process of its own. @param path one of PATHS */
  get<T>(path: string): Promise<T> {
    return this.admin('GET', path);
  }

  /** One call of the admin contract, without a process for it. @throws Error with what the daemon said */
  admin<T>(method: string, path: string, content?: unknown): Promise<T> {
    return new Promise((resolve, reject) => {
      const headers = content === undefined ? {} : { 'content-type': 'application/json' };
      const where = { socketPath: join(this.home, 'admin.sock'), path, method, headers };
      const request = http.request(where, response => {
        let body = '';
        response.on('data', (chunk: Buffer) => (body += chunk.toString()));
        response.on('end', () => {
          if (response.statusCode === 200) resolve(JSON.parse(body) as T);
          else reject(new Error(`${this.name}: ${method} ${path}: ${body}`));
        });
        response.on('error', reject);
      });
      request.on('error', reject);
      request.end(content === undefined ? undefined : JSON.stringify(content));
    });
  }

  async pid(): Promise<number> {
    return (await this.status()).pid;
  }

  log(): string {
    const path = join(this.home, 'warren.log');
    return existsSync(path) ? readFileSync(path, 'utf8') : '';
  }

  /** kill -9; returns when the process is gone. */
  async kill(): Promise<void> {
    const pid = await this.pid();
    process.kill(pid, 'SIGKILL');
    await until(`pid ${pid} is gone`, () => !alive(pid));
  }
}

export function alive(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return true;
  } catch {
    return false;
  }
}

/** Polls until `check` holds (a value that is not false or undefined), or fails with the sentence. */
export async function until<T>(
  what: string,
  check: () => T | Promise<T>,
  ms = 20_000,
): Promise<Exclude<T, false | undefined>> {
  const end = Date.now() + ms;
  let last: unknown;
  for (;;) {
    try {
      const value = await check();
      if (value !== false && value !== undefined) return value as Exclude<T, false | undefined>;
      last = undefined;
    } catch (error) {
      last = error;
    }
    if (Date.now() > end)
      throw new Error(`not within ${ms} ms: ${what}${last === undefined ? '' : ` (${String(last)})`}`);
    await new Promise(resolve => setTimeout(resolve, 50));
  }
}

/** A folder of hosts and the processes that belong to them; `close` ends everything. */
export class Lab {
  readonly folder = mkdtempSync(join(tmpdir(), 'warren-lab-'));
  readonly hosts: Host[] = [];
  private readonly children: ChildProcess[] = [];
  private readonly closers: (() => void | Promise<void>)[] = [];

  host(name: string, netns?: string): Host {
    const host = new Host(name, this.folder, netns);
    this.hosts.push(host);
    return host;
  }

  /** Two hosts of one network, connected to each other. */
  async pair(flagsA: readonly string[] = [], flagsB: readonly string[] = []): Promise<[Host, Host]> {
    const a = this.host('host-a');
    const b = this.host('host-b');
    await a.up(flagsA);
    await b.up(['--join', await a.ok(['invite']), ...flagsB]);
    await connected(a, 'host-b');
    await connected(b, 'host-a');
    return [a, b];
  }

  /** Keeps a process to be killed at the end. */
  keep(child: ChildProcess): ChildProcess {
    this.children.push(child);
    return child;
  }

  onClose(closer: () => void | Promise<void>): void {
    this.closers.push(closer);
  }

  async close(): Promise<void> {
    for (const host of this.hosts) {
      const path = join(host.home, 'warren.pid');
      const pid = existsSync(path) ? Number.parseInt(readFileSync(path, 'utf8'), 10) : Number.NaN;
      if (Number.isInteger(pid) && pid > 1 && alive(pid)) process.kill(pid, 'SIGKILL');
    }
    for (const child of this.children) child.kill('SIGKILL');
    for (const closer of this.closers.reverse()) await closer();
    rmSync(this.folder, { recursive: true, force: true, maxRetries: 5 });
  }
}

/** Waits until `host` has a live session with the peer of that name. */
export function connected(host: Host, peer: string, ms = 20_000): Promise<unknown> {
  return until(
    `${host.name} is connected to ${peer}`,
    async () => (await host.live()).peers.some(p => p.name === peer && p.state === 'connected'),
    ms,
  );
}
