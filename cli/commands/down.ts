/** `warren down` and `warren restart`: the daemon drains and ends; for a restart, somebody starts the next one. */
import { setTimeout as sleep } from 'node:timers/promises';
import { PATHS, type ShutdownReply, type ShutdownRequest, type Status } from '../../protocol/admin/contract.js';
import { WarrenError } from '../../protocol/errors.js';
import type { Context } from '../context.js';
import { START_TIMEOUT_MS, waitGone } from '../daemon-process.js';

const DRAIN_SECONDS = 10;
/** After the drain: closing links, writing what is to be kept, on a busy machine. */
const END_TIMEOUT_MS = DRAIN_SECONDS * 1000 + 10_000;
/** Until a supervisor has started a daemon again. */
const SUPERVISOR_TIMEOUT_MS = 10_000;
const POLL_MS = 100;

export async function down(context: Context): Promise<void> {
  const reply = await shutdown(context, { drainSeconds: DRAIN_SECONDS });
  context.talk(`the daemon has ended (pid ${reply.pid})`);
}

export async function restart(context: Context): Promise<void> {
  const reply = await shutdown(context, { drainSeconds: DRAIN_SECONDS, restart: true });
  if (reply.respawn === 'caller') {
    const { startDetached } = await import('./up.js');
    const { handOver: handedOver } = reply;
    return startDetached(context, {
      kind: 'start',
      home: context.home,
      foreground: false,
      ...(handedOver !== undefined && { handedOver }),
    });
  }
  const next = await waitForNext(
    context,
    reply.pid,
    reply.respawn === 'parent' ? START_TIMEOUT_MS : SUPERVISOR_TIMEOUT_MS,
  );
  if (next === undefined)
    throw new WarrenError('timeout', `the daemon has ended (pid ${reply.pid}), and nothing has started it again`, {
      hint: context.command('up'),
    });
  context.talk(`the daemon runs again (pid ${next.pid})`);
}

/** Asks the daemon to end and waits until it has. */
async function shutdown(context: Context, request: ShutdownRequest): Promise<ShutdownReply> {
  const reply = await context.client.post<ShutdownReply>(PATHS.shutdown, request);
  if (reply.openStreams > 0)
    context.talk(
      `${reply.openStreams} open ${reply.openStreams === 1 ? 'stream is' : 'streams are'} given ${DRAIN_SECONDS} s to end`,
    );
  if (!(await waitGone(context.world, reply.pid, END_TIMEOUT_MS)))
    throw new WarrenError('timeout', `the daemon (pid ${reply.pid}) has not ended within ${END_TIMEOUT_MS / 1000} s`, {
      hint: `end it by force: kill -9 ${reply.pid}`,
    });
  return reply;
}

/** Waits for a daemon with another process ID. */
async function waitForNext(context: Context, before: number, timeoutMs: number): Promise<Status | undefined> {
  const deadline = context.world.now() + timeoutMs;
  for (;;) {
    try {
      const status = await context.client.get<Status>(PATHS.status);
      if (status.pid !== before) return status;
    } catch (error) {
      if (!(error instanceof WarrenError) || !['not-running', 'unreachable'].includes(error.code)) throw error;
    }
    if (context.world.now() >= deadline) return undefined;
    await sleep(POLL_MS);
  }
}
