/** A local listener, TCP or unix socket: bound exactly, told apart from stale leftovers, never accessible to others. */
import { chmodSync, existsSync, lstatSync, unlinkSync } from 'node:fs';
import net from 'node:net';
import { dirname } from 'node:path';
import { WarrenError } from '../../protocol/errors.js';
import { formatEndpoint, type Endpoint } from '../transport/address.js';
import { adopt } from '../transport/reading.js';
import { acceptThin } from '../transport/thin-socket.js';
import { LISTEN_BACKLOG, SOCKET_PROBE_MS } from './limits.js';
import type { AcceptedSocket } from './sockets.js';

export interface ListenerEvents {
  /** paused, half-open allowed */
  readonly connection: (socket: AcceptedSocket) => void;
  /** A connection could not be accepted; the listener goes on. (Out of descriptors, libuv closes it without a word.) */
  readonly failed: (error: Error) => void;
}

export interface LocalListener {
  /** with the real port */
  readonly endpoint: Endpoint;
  /** Connections that were accepted stay. */
  close(): void;
}

/**
 * @param endpoint port 0 takes any free port
 * @throws WarrenError `in-use` or `bad-value`
 */
export async function bindListener(endpoint: Endpoint, events: ListenerEvents): Promise<LocalListener> {
  try {
    return await listen(endpoint, events);
  } catch (error) {
    const taken = (error as NodeJS.ErrnoException).code === 'EADDRINUSE';
    if (!taken || endpoint.kind !== 'unix') throw refusal(endpoint, error);
    await removeStale(endpoint.path);
    return await listen(endpoint, events).catch((again: unknown) => {
      throw refusal(endpoint, again);
    });
  }
}

function listen(endpoint: Endpoint, events: ListenerEvents): Promise<LocalListener> {
  const server = net.createServer({ allowHalfOpen: true, pauseOnConnect: true, noDelay: true }, accepted =>
    events.connection(adopt(accepted, { allowHalfOpen: true, paused: true })),
  );
  return new Promise((resolve, reject) => {
    server.once('error', reject);
    server.once('listening', () => {
      server.off('error', reject);
      server.on('error', events.failed);
      acceptThin(server, events.connection);
      resolve({ endpoint: realEndpoint(endpoint, server), close: () => server.close() });
    });
    if (endpoint.kind === 'tcp')
      server.listen({ host: endpoint.host, port: endpoint.port, backlog: LISTEN_BACKLOG, exclusive: true });
    else listenPrivately(server, endpoint.path);
  });
}

/** Mode 0600 without a moment in which others could connect: the socket is made within `listen`, under a strict umask. */
function listenPrivately(server: net.Server, path: string): void {
  const before = process.umask(0o077);
  try {
    server.listen({ path, backlog: LISTEN_BACKLOG, exclusive: true });
  } finally {
    process.umask(before);
  }
  if (server.listening) chmodSync(path, 0o600);
}

function realEndpoint(endpoint: Endpoint, server: net.Server): Endpoint {
  const address = server.address();
  if (endpoint.kind === 'unix' || address === null || typeof address === 'string') return endpoint;
  return { kind: 'tcp', host: endpoint.host, port: address.port };
}

/**
 * Removes a socket file on which nobody answers.
 * @throws WarrenError `in-use` when somebody does, or when the file is no socket
 */
async function removeStale(path: string): Promise<void> {
  const before = lstatSync(path, { throwIfNoEntry: false });
  if (before === undefined) return;
  if (!before.isSocket())
    throw new WarrenError('in-use', `There is a file at ${path} that is no socket.`, {
      hint: 'Choose another path, or move that file away.',
    });
  if (await answers(path)) throw inUse(`unix:${path}`);
  const now = lstatSync(path, { throwIfNoEntry: false });
  if (now !== undefined && (now.ino !== before.ino || now.dev !== before.dev)) throw inUse(`unix:${path}`);
  if (now !== undefined) unlinkSync(path);
}

/** Anything but a plain refusal counts as alive: a busy owner is an owner. */
function answers(path: string): Promise<boolean> {
  return new Promise(resolve => {
    const socket = net.connect({ path });
    const settle = (alive: boolean): void => {
      socket.destroy();
      resolve(alive);
    };
    socket.setTimeout(SOCKET_PROBE_MS, () => settle(true));
    socket.once('connect', () => settle(true));
    socket.on('error', (error: NodeJS.ErrnoException) =>
      settle(error.code !== 'ECONNREFUSED' && error.code !== 'ENOENT'),
    );
  });
}

function inUse(where: string): WarrenError {
  return new WarrenError('in-use', `${where} is in use by another program.`, {
    hint: 'Choose another LISTEN, or leave it out for a free port.',
  });
}

function refusal(endpoint: Endpoint, error: unknown): WarrenError {
  if (error instanceof WarrenError) return error;
  const where = formatEndpoint(endpoint);
  const code = (error as NodeJS.ErrnoException).code ?? 'unknown error';
  const options = (hint: string): { hint: string; cause: unknown } => ({ hint, cause: error });
  switch (code) {
    case 'EADDRINUSE':
      return inUse(where);
    case 'EACCES':
    case 'EPERM':
      // libuv tells a missing folder as EACCES too (uv_pipe_bind).
      if (endpoint.kind === 'unix' && !existsSync(dirname(endpoint.path))) return missingFolder(where, error);
      return new WarrenError('bad-value', `This user may not listen on ${where}.`, options('Choose a port above 1023, or a folder that this user may write to.')); // prettier-ignore
    case 'EADDRNOTAVAIL':
    case 'ENOTFOUND':
    case 'EAI_AGAIN':
      return new WarrenError('bad-value', `${where} is no address of this host.`, options('Listen on 127.0.0.1, or on an address that this host has.')); // prettier-ignore
    case 'ENOENT':
    case 'ENOTDIR':
      return missingFolder(where, error);
    default:
      return new WarrenError('bad-value', `Cannot listen on ${where}: ${code}.`, options('Choose another LISTEN.'));
  }
}

function missingFolder(where: string, cause: unknown): WarrenError {
  return new WarrenError('bad-value', `The folder of ${where} does not exist.`, {
    hint: 'Create it first, or choose another path.',
    cause,
  });
}
