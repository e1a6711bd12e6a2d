/**
 * `warren nc`: standard input and output joined to a service, each direction ended on its own. Fit to be an ssh
 * ProxyCommand.
 */
import { once } from 'node:events';
import type { Socket } from 'node:net';
import { PATHS, type StreamEnd } from '../../protocol/admin/contract.js';
import { WarrenError } from '../../protocol/errors.js';
import { fill } from '../client.js';
import type { Context } from '../context.js';
import type { Input } from '../world.js';
import { segment } from '../values.js';

const UPGRADE = 'warren-stream';
/** The service's host may have to dial its target first. */
const OPEN_TIMEOUT_MS = 30_000;
/** The service has ended its direction; input that still flows is sent on, silence this long ends the command. */
const LINGER_MS = 500;

export async function nc(context: Context, service: string): Promise<void> {
  const path = fill(PATHS.stream, { service: segment(service, 'service name') });
  const { socket, head, headers } = await context.client.upgrade(path, UPGRADE, OPEN_TIMEOUT_MS);
  const stdin = context.world.stdin();
  let serviceEnded = false;
  const broken = new Promise<never>((_, reject) => {
    socket.on('error', error => reject(brokenBy(service, error)));
  });
  // Awaited below in races only; a fault after the end is none.
  broken.catch(() => undefined);

  const input = send(stdin, socket);
  input.catch(() => undefined);
  const output = (async () => {
    if (head.length > 0) await write(context, head);
    for await (const chunk of socket.iterator({ destroyOnReturn: false }) as AsyncIterable<Buffer>)
      await write(context, chunk);
  })();
  const silence = new Silence(socket);
  try {
    await Promise.race([output, broken]);
    await checkEnd(context, service, headers['warren-stream']);
    serviceEnded = true;
    await Promise.race([input, broken, silence.reached]);
  } catch (error) {
    if (!serviceEnded) throw error instanceof WarrenError ? error : brokenBy(service, error);
  } finally {
    silence.stop();
    stdin.destroy();
    socket.destroy();
  }
}

async function write({ world }: Context, chunk: Buffer): Promise<void> {
  if (!world.stdout.write(chunk)) await once(world.stdout, 'drain');
}

/**
 * A unix socket ends alike whether the service closed or the stream broke: the daemon knows which. When it has gone it
 * has taken the stream with it.
 * @param id of the reply's header; a daemon that gives none is not asked
 */
async function checkEnd({ client }: Context, service: string, id: string | string[] | undefined): Promise<void> {
  if (typeof id !== 'string') return;
  const { error } = await client.get<StreamEnd>(fill(PATHS.streamEnd, { id })).catch((failure: unknown) => {
    if (failure instanceof WarrenError && failure.code === 'not-found') return { error: null };
    throw new WarrenError('unreachable', `the connection to ${service} broke: the daemon has ended`, {
      hint: 'start it again: warren up',
      cause: failure,
    });
  });
  if (error !== null)
    throw new WarrenError(error.code, error.message, error.hint === undefined ? {} : { hint: error.hint });
}

/** Standard input to the service, its end included. */
async function send(stdin: Input, socket: Socket): Promise<void> {
  for await (const chunk of stdin as AsyncIterable<Buffer>) if (!socket.write(chunk)) await once(socket, 'drain');
  await new Promise<void>(resolve => socket.end(resolve));
}

/** Reached when the socket has had nothing new to send, and nothing left unsent, for LINGER_MS. */
class Silence {
  readonly reached: Promise<void>;
  #timer: NodeJS.Timeout | undefined;

  constructor(socket: Socket) {
    this.reached = new Promise(resolve => {
      let sent = -1;
      this.#timer = setInterval(() => {
        if (socket.bytesWritten === sent && socket.writableLength === 0) resolve();
        sent = socket.bytesWritten;
      }, LINGER_MS);
    });
  }

  stop(): void {
    clearInterval(this.#timer);
  }
}

function brokenBy(service: string, error: unknown): WarrenError {
  const code = (error as NodeJS.ErrnoException).code;
  return new WarrenError('unreachable', `the connection to ${service} broke${code === undefined ? '' : ` (${code})`}`, {
    hint: 'see why: warren logs -n 20',
  });
}
