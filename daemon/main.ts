/**
 * The daemon's program. The order of a start: what to do → home → lock → log → build (which binds) → admin socket →
 * ready. Whatever fails is told to the parent as one sentence, and the process ends with 1 and leaves nothing behind.
 */
import { ADMIN_SOCKET, API_VERSION, type StartReply, type StartRequest } from '../protocol/admin/contract.js';
import { WarrenError } from '../protocol/errors.js';
import { serveAdmin, type AdminServer } from './admin/server.js';
import { Turns } from './admin/turns.js';
import { build, type Bound } from './app.js';
import { DEFAULT_LIMITS } from './config/limits.js';
import { clearLeftovers, openHome } from './home/home.js';
import { lockHome, type HomeLock } from './home/lock.js';
import type { HomePaths } from './home/paths.js';
import { Ending, type EndingRequest } from './lifecycle/ending.js';
import { setUpLog, type DaemonLog } from './lifecycle/log-setup.js';
import { notifySupervisor, Readiness } from './lifecycle/readiness.js';
import { handleSignals } from './lifecycle/signals.js';
import { fromArguments, fromParent } from './lifecycle/start-request.js';
import { errorFields } from './observe/log.js';
import { VERSION } from './version.js';

/** Asks a supervisor to start the daemon again (EX_TEMPFAIL); the unit names it in RestartForceExitStatus. */
const EXIT_RESTART = 75;
/** What admin requests under way are given when the daemon ends, ms. */
const ADMIN_CLOSE_MS = 1_000;

const hasParent = process.send !== undefined;

function tellParent(reply: StartReply): Promise<void> {
  return new Promise(resolve => {
    if (process.send === undefined || !process.connected) resolve();
    else process.send(reply, () => resolve());
  });
}

function failure(error: unknown): Extract<StartReply, { kind: 'failed' }> {
  if (!(error instanceof WarrenError)) return { kind: 'failed', ...errorFieldsOf(error) };
  const { code, message, hint } = error;
  return { kind: 'failed', code, message, ...(hint === undefined ? {} : { hint }) };
}

function errorFieldsOf(error: unknown): { code: 'internal'; message: string } {
  return { code: 'internal', message: `the daemon could not start: ${errorFields(error).error}` };
}
