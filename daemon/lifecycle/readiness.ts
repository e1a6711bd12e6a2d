/**
 * Readiness: a task that was registered and not finished keeps the daemon not ready. When the last one finishes, the
 * supervisor and the parent are told.
 */
import { execFile } from 'node:child_process';

export class Readiness {
  private readonly pending = new Map<symbol, string>();
  private readonly waiting: (() => void)[] = [];

  /** @param what names the task for who asks what is missing. @returns marks it as finished */
  task(what: string): () => void {
    const key = Symbol(what);
    this.pending.set(key, what);
    return () => {
      if (this.pending.delete(key) && this.ready) for (const wake of this.waiting.splice(0)) wake();
    };
  }

  get ready(): boolean {
    return this.pending.size === 0;
  }

  /** What is not finished yet. */
  get missing(): readonly string[] {
    return [...this.pending.values()];
  }

  /** Resolves when no task is left. */
  wait(): Promise<void> {
    return this.ready ? Promise.resolve() : new Promise(resolve => this.waiting.push(resolve));
  }
}

export type ServiceState = 'ready' | 'stopping' | 'reloading';

/** Runs a program and does not care how it ends. */
export type Spawn = (program: string, args: readonly string[], env: NodeJS.ProcessEnv) => void;

const spawnQuietly: Spawn = (program, args, env) => {
  execFile(program, args, { env, timeout: 5_000 }, () => undefined);
};

/**
 * Tells systemd, when it started this process with Type=notify. Node has no unix datagram sockets, so the small program
 * systemd-notify does it; the unit needs NotifyAccess=all.
 */
export function notifySupervisor(
  state: ServiceState,
  env: NodeJS.ProcessEnv = process.env,
  spawn: Spawn = spawnQuietly,
): void {
  if (env.NOTIFY_SOCKET === undefined || env.NOTIFY_SOCKET === '') return;
  spawn('systemd-notify', [`--${state}`], { PATH: env.PATH ?? '/usr/bin:/bin', NOTIFY_SOCKET: env.NOTIFY_SOCKET });
}
