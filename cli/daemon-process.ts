/**
 * The daemon as a process: started by its program's path with an IPC channel for what it is to do (argv is public, a
 * token is a secret), watched until it is ready, ended or gone.
 */
import { fork, type ChildProcess } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { constants } from 'node:os';
import { parse } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import type { PassphraseAnswer, PassphraseQuestion, StartReply, StartRequest } from '../protocol/admin/programs.js';
import { WarrenError } from '../protocol/errors.js';
import { askPassphrase } from './passphrase.js';
import type { World } from './world.js';

/** Until a daemon without `--join` must be ready: generous, since a slow disk or a busy machine is no failure. */
export const START_TIMEOUT_MS = 60_000;
/** Until one with `--join` must have joined. */
export const JOIN_TIMEOUT_MS = 120_000;
/** What a daemon that has said that it failed is given to end by itself. */
const FAILED_TIMEOUT_MS = 1_000;
/** And any daemon after SIGTERM, before it is killed. */
const END_TIMEOUT_MS = 5_000;
const POLL_MS = 50;

/**
 * V8 counts the memory of buffers as the heap's. Under bulk it grows by hundreds of MB/s, and beside a heap as small as the
 * daemon's every few of them would set off a full collection. Below this many MiB the young generation's, which costs
 * little, does the work alone. The young generation is as large as Node 20 has it: Node 24 lets it grow further, which costs
 * tens of MiB and longer pauses, and saves nothing.
 */
export const HEAP_FLAGS: readonly string[] = ['--initial-old-space-size=96', '--max-semi-space-size=16'];

export type Ready = Extract<StartReply, { kind: 'ready' }>;

export interface Ending {
  readonly code: number | null;
  readonly signal: NodeJS.Signals | null;
}

export class DaemonProcess {
  readonly #child: ChildProcess;
  readonly #reply: Promise<StartReply | undefined>;
  readonly ended: Promise<Ending>;
  /** It has said that it ends in order to be started again. */
  restarting = false;
  /** What the next daemon of a protected home is given instead of the passphrase. */
  handedOver: string | undefined;
  /** A person is being asked; that takes as long as it takes. */
  #asking: Promise<void> | undefined;

  /**
   * Starts it. It gets a session of its own, so that a Ctrl-C in the terminal reaches `warren up` alone, which hands
   * it on once: a second signal would force the daemon.
   * @param detached true: it gets none of the caller's descriptors; false: its talk goes to the caller's stderr
   */
  constructor(world: World, request: StartRequest, detached: boolean) {
    this.#child = fork(world.daemonProgram, [], {
      cwd: parse(request.home).root,
      execPath: world.execPath,
      execArgv: [...HEAP_FLAGS, ...world.execArgv],
      detached: true,
      stdio: ['ignore', detached ? 'ignore' : 2, detached ? 'ignore' : 2, 'ipc'],
    });
    const child = this.#child;
    this.ended = new Promise(resolve => {
      child.once('exit', (code, signal) => resolve({ code, signal }));
      child.once('error', () => resolve({ code: 1, signal: null }));
    });
    this.#reply = new Promise((resolve, reject) => {
      child.on('message', message => {
        const reply = message as StartReply;
        if (reply.kind === 'restarting') {
          this.restarting = true;
          this.handedOver = reply.handOver;
        } else if (reply.kind === 'passphrase') this.#asking = this.#answer(world, reply).catch(reject);
        else resolve(reply);
      });
      void this.ended.then(() => resolve(undefined));
    });
    this.#reply.catch(() => undefined);
    // A daemon that died at once shows in `ended`; the unsent request is no second failure.
    child.send(request, () => undefined);
  }

  /**
   * @param timeoutMs until it must be ready; undefined waits for ever
   * @throws WarrenError with the daemon's own code and sentence when it could not start; it has ended then
   */
  async ready(timeoutMs: number): Promise<Ready> {
    const reply = await this.#replyWithin(timeoutMs);
    if (reply === 'late') {
      await this.end();
      throw new WarrenError(
        'timeout',
        `the daemon was not ready within ${Math.round(timeoutMs / 1000)} s, and was ended`,
        {
          hint: 'run it in the foreground to see what it does: warren up',
        },
      );
    }
    if (reply?.kind === 'ready') return reply;
    if (reply?.kind === 'failed') {
      if (!(await this.#endsWithin(FAILED_TIMEOUT_MS))) await this.end();
      throw new WarrenError(reply.code, reply.message, reply.hint === undefined ? {} : { hint: reply.hint });
    }
    throw new WarrenError('internal', `the daemon ended before it was ready (${describe(await this.ended)})`, {
      hint: 'run `warren doctor`, or `warren up` in the foreground to see why',
    });
  }

  /** @throws what kept a person from answering; the daemon has ended then */
  async #replyWithin(timeoutMs: number): Promise<StartReply | 'late' | undefined> {
    for (;;) {
      const late = new AbortController();
      try {
        const timeout = sleep(timeoutMs, 'late' as const, { signal: late.signal }).catch(() => undefined);
        const reply = await Promise.race([this.#reply, timeout]);
        if (reply !== 'late' || this.#asking === undefined) return reply;
        await this.#asking;
      } catch (error) {
        await this.end();
        throw error;
      } finally {
        late.abort();
      }
    }
  }

  async #answer(world: World, question: PassphraseQuestion): Promise<void> {
    const answer: PassphraseAnswer = { kind: 'passphrase', passphrase: await askPassphrase(world, question) };
    this.#asking = undefined;
    this.#child.send(answer, () => undefined);
  }

  signal(signal: NodeJS.Signals): void {
    this.#child.kill(signal);
  }

  /** Ends it, by force when it does not listen. */
  async end(): Promise<void> {
    this.#child.kill('SIGTERM');
    if (await this.#endsWithin(END_TIMEOUT_MS)) return;
    this.#child.kill('SIGKILL');
    await this.ended;
  }

  /** Lets go of it: it lives on, the caller may end. */
  release(): void {
    if (this.#child.connected) this.#child.disconnect();
    this.#child.unref();
  }

  async #endsWithin(ms: number): Promise<boolean> {
    const late = new AbortController();
    const ended = await Promise.race([
      this.ended.then(() => true),
      sleep(ms, false, { signal: late.signal }).catch(() => false),
    ]);
    late.abort();
    return ended;
  }
}

/** The exit code that stands for an ending: 128 + number for a signal, as shells have it. */
export function exitCodeOfEnding(ending: Ending): number {
  if (ending.signal !== null) return 128 + constants.signals[ending.signal];
  return ending.code ?? 1;
}

export function describe(ending: Ending): string {
  return ending.signal === null ? `exit code ${ending.code ?? 1}` : ending.signal;
}

/** Waits until a process is gone. @returns false when it is still there after `timeoutMs` */
export async function waitGone(world: World, pid: number, timeoutMs: number): Promise<boolean> {
  const deadline = world.now() + timeoutMs;
  while (lives(world, pid)) {
    if (world.now() >= deadline) return false;
    await sleep(POLL_MS);
  }
  return true;
}

/** A zombie counts as gone: it waits for a parent that may never ask, and holds nothing any more. */
function lives(world: World, pid: number): boolean {
  try {
    process.kill(pid, 0);
  } catch (error) {
    return (error as NodeJS.ErrnoException).code === 'EPERM';
  }
  if (world.platform !== 'linux') return true;
  try {
    const stat = readFileSync(`/proc/${pid}/stat`, 'utf8');
    return !/^[ZX]/.test(stat.slice(stat.lastIndexOf(')') + 2));
  } catch {
    return false;
  }
}
