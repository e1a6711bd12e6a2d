/**
 * The daemon's program. The order of a start: what to do → home → lock → log → build (which binds) → admin socket →
 * ready. Whatever fails is told to the parent as one sentence, and the process ends with 1 and leaves nothing running.
 */
import type { ShutdownRequest } from '../protocol/admin/contract.js';
import type { StartReply, StartRequest } from '../protocol/admin/programs.js';
import { WarrenError } from '../protocol/errors.js';
import { loadPrimitives } from '../protocol/crypto/load.js';
import { decodeInvite } from '../protocol/identity/invite.js';
import { serveAdmin, type AdminServer } from './admin/server.js';
import { Turns } from './admin/turns.js';
import { build, type Bound, type Respawn } from './app.js';
import { ConfigFile } from './config/edit.js';
import { DEFAULT_LIMITS } from './config/limits.js';
import { completeRestore } from './home/backup.js';
import { clearLeftovers, openHome } from './home/home.js';
import { lockHome, type HomeLock } from './home/lock.js';
import type { HomePaths } from './home/paths.js';
import type { Seal } from './home/sealed.js';
import { unlockHome } from './home/vault.js';
import { Ending, type EndingRequest } from './lifecycle/ending.js';
import { tuneHeap } from './lifecycle/heap.js';
import { setUpLog, type DaemonLog } from './lifecycle/log-setup.js';
import { nextKeyPlace, passphraseSource } from './lifecycle/passphrase.js';
import { Readiness, notifySupervisor } from './lifecycle/readiness.js';
import { handleSignals } from './lifecycle/signals.js';
import { fromArguments, fromParent, type Channel } from './lifecycle/start-request.js';
import { errorFields } from './observe/log.js';
import { VERSION } from './version.js';

/** Asks a supervisor to start the daemon again (EX_TEMPFAIL of sysexits.h); the unit names it in RestartForceExitStatus. */
const EXIT_RESTART = 75;
/** What admin requests under way are given when the daemon ends, ms. */
const ADMIN_CLOSE_MS = 1_000;

const hasParent = process.send !== undefined;
/** To ask a person something by. */
const channel = hasParent ? (process as Channel) : undefined;
const isSupervised = !hasParent && (process.env.NOTIFY_SOCKET ?? process.env.INVOCATION_ID ?? '') !== '';

async function main(): Promise<void> {
  process.umask(0o077);
  tuneHeap(process.versions.v8);
  try {
    const start = hasParent ? await fromParent(process) : fromArguments(process.argv.slice(2), process.env);
    // A token that is none is refused before there is a home.
    if (start.join !== undefined) decodeInvite((await loadPrimitives()).hash.SHA256, start.join);
    const paths = openHome(start.home);
    const lock = await lockHome(paths);
    clearLeftovers(paths);
    await new Daemon(start, paths, lock).run();
  } catch (error) {
    await tellFailure(error);
    process.exit(1);
  }
}

class Daemon {
  private readonly output: DaemonLog;
  private readonly readiness = new Readiness();
  private readonly turns = new Turns();
  private readonly ending: Ending;
  private bound: Bound | undefined;
  private admin: AdminServer | undefined;
  private seal: Seal | undefined;

  constructor(
    private start: StartRequest,
    private readonly paths: HomePaths,
    private readonly lock: HomeLock,
  ) {
    const detached = hasParent && !start.foreground;
    process.stderr.on('error', () => undefined);
    this.output = setUpLog({
      file: detached ? paths.log : undefined,
      now: Date.now,
      stderr: process.stderr,
      env: process.env,
    });
    this.ending = new Ending({
      log: this.output.log,
      stop: async (drainMs, force) => this.bound?.stop(drainMs, force),
      finish: (request, clean) => this.finish(request, clean),
    });
  }

  /** @throws what kept it from starting; nothing is bound or locked then */
  async run(): Promise<void> {
    const { log } = this.output;
    this.listenToTheOutside();
    const serving = this.readiness.task('admin socket');
    try {
      const bound = await this.build();
      this.bound = bound;
      this.admin = await serveAdmin({ path: this.paths.socket, api: bound.api, log, turns: this.turns });
      serving();
      const status = bound.status();
      log.info(
        'started',
        { version: VERSION, pid: process.pid, home: this.paths.root, node: status.node.id },
        'the daemon is ready',
      );
      await this.tellReady({
        kind: 'ready',
        status,
        ...(bound.joined && { joined: { apiVersion: 1, ...bound.joined } }),
      });
    } catch (error) {
      log.error('start-failed', errorFields(error), 'the daemon could not start');
      await this.bound?.stop(0, AbortSignal.abort());
      this.release();
      throw error;
    }
  }

  private async build(): Promise<Bound> {
    const { log, ring } = this.output;
    const { start, paths } = this;
    this.seal = await unlockHome({
      paths,
      tools: await loadPrimitives(),
      handedOver: start.handedOver,
      passphrase: passphraseSource(start, channel, process.env),
    });
    // Strings cannot be wiped; at least nothing holds them any longer.
    this.start = { ...start, passphrase: undefined, nextPassphrase: undefined, handedOver: undefined };
    if (completeRestore(paths, this.seal)) log.info('restored', {}, 'a restore that was cut short is finished');
    return build({
      paths: this.paths,
      start: this.start,
      seal: this.seal,
      nextKey: nextKeyPlace(start, channel),
      log,
      logs: ring,
      setLogLevel: level => log.setLevel(level),
      onShutdown: request => this.shutDown(request),
    });
  }

  private async tellReady(reply: StartReply): Promise<void> {
    await tellParent(reply);
    notifySupervisor('ready');
    // a detached daemon keeps nothing of its caller, not even the channel
    if (hasParent && !this.start.foreground && process.connected) process.disconnect();
  }

  private listenToTheOutside(): void {
    handleSignals(process, {
      stop: signal => this.end(signal, false),
      force: signal => this.ending.force(signal),
      reload: () => void this.reload(),
    });
    if (hasParent) process.once('disconnect', () => this.parentGone());
    for (const event of ['uncaughtException', 'unhandledRejection'] as const)
      process.on(event, error => this.crash(error));
  }

  /** Before the daemon is ready nobody would know of it; in the foreground it lives and dies with `warren up`. */
  private parentGone(): void {
    if (this.start.foreground || !this.readiness.ready) this.end('parent-gone', false);
  }

  private end(reason: string, restart: boolean, drainMs: number = this.drainMs()): void {
    if (!this.ending.begin({ reason, drainMs, restart })) this.ending.force(reason);
    else notifySupervisor('stopping');
  }

  private shutDown(request: ShutdownRequest): Respawn {
    const restart = request.restart === true;
    const drainMs = request.drainSeconds === undefined ? this.drainMs() : request.drainSeconds * 1000;
    this.ending.begin({ reason: restart ? 'restart' : 'shutdown', drainMs, restart });
    notifySupervisor('stopping');
    if (!restart) return { respawn: 'nobody' };
    if (isSupervised || this.parentRestarts) return { respawn: 'parent' };
    return { respawn: 'caller', ...this.handOver };
  }

  /** So that the next daemon of a protected home needs no passphrase. */
  private get handOver(): { readonly handOver?: string } {
    return this.seal === undefined ? {} : { handOver: this.seal.handOver() };
  }

  /** `warren up` in the foreground starts the next daemon. */
  private get parentRestarts(): boolean {
    return hasParent && this.start.foreground && process.connected;
  }

  /** As the config file says now; a file that does not parse must not keep the daemon from ending. */
  private drainMs(): number {
    try {
      return new ConfigFile(this.paths.config).load().limits.drainSeconds * 1000;
    } catch {
      return DEFAULT_LIMITS.drainSeconds * 1000;
    }
  }

  private async reload(): Promise<void> {
    this.output.reopen();
    try {
      await this.turns.run(async () => this.bound?.reload());
    } catch (error) {
      this.output.log.error('reload-failed', errorFields(error), 'the config was not taken over; nothing has changed');
    }
  }

  private async finish(request: EndingRequest, clean: boolean): Promise<void> {
    await this.admin?.close(ADMIN_CLOSE_MS);
    if (request.restart && this.parentRestarts) await tellParent({ kind: 'restarting', ...this.handOver });
    this.release();
    process.exit(exitCode(request, clean, this.readiness.ready));
  }

  /** What is left in the process's hands when everything else has ended. */
  private release(): void {
    this.lock.release();
    this.output.close();
  }

  /** The state of the program is not known any more: the next daemon starts from what is on the disk. */
  private crash(error: unknown): void {
    const stack = error instanceof Error ? (error.stack ?? '') : '';
    this.output.log.error('crash', { ...errorFields(error), stack }, 'the daemon ends because of an error in itself');
    this.lock.release();
    process.exit(1);
  }
}

function exitCode(request: EndingRequest, clean: boolean, wasReady: boolean): number {
  if (!clean || !wasReady) return 1;
  return request.restart && isSupervised ? EXIT_RESTART : 0;
}

function tellParent(reply: StartReply): Promise<void> {
  return new Promise(resolve => {
    if (process.send === undefined || !process.connected) resolve();
    else process.send(reply, () => resolve());
  });
}

/** To the parent; without one, to whoever reads stderr. */
async function tellFailure(error: unknown): Promise<void> {
  const known =
    error instanceof WarrenError
      ? error
      : new WarrenError('internal', `the daemon could not start: ${errorFields(error).error}`);
  const { code, message, hint } = known;
  if (!hasParent) process.stderr.write(`warren: ${message}\n${hint === undefined ? '' : `hint: ${hint}\n`}`);
  await tellParent({ kind: 'failed', code, message, ...(hint === undefined ? {} : { hint }) });
}

void main();
