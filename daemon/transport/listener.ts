/**
 * The daemon's port: raw links and WebSocket on the same number. Binds, counts half-open connections, logs strangers;
 * what happens on one connection is in opening.ts.
 */
import { createServer, isIPv4, type Server, type Socket } from 'node:net';
import type { AddressInfo } from 'node:net';
import { WarrenError } from '../../protocol/errors.js';
import type { ReplayGuard } from '../../protocol/handshake/replay.js';
import type { HandshakeContext, PskKeys } from '../../protocol/handshake/types.js';
import type { Timers } from '../../protocol/clock.js';
import { errorFields, type Log } from '../observe/log.js';
import { limitRepeats } from '../observe/repeats.js';
import { formatHostPort, parseListen, type HostPort } from './address.js';
import { GUARD_LIMITS, Guard, type GuardLimits } from './guard.js';
import { Opening, type OpeningHost } from './opening.js';
import { adopt } from './reading.js';
import { reasonOf } from './reasons.js';
import { openingReports } from './reports.js';
import type { NewLink } from './transport.js';
import { UpgradeServer } from './upgrade.js';

export interface ListenOptions {
  /** HOST:PORT or [IPV6]:PORT each; port 0 takes any free one; none at all is allowed */
  readonly addresses: readonly string[];
  readonly context: HandshakeContext;
  /** what prefaces are tried against, newest secret first; asked for each connection */
  readonly psks: () => readonly PskKeys[];
  /** one per process */
  readonly replay: ReplayGuard;
  readonly timers: Timers;
  readonly limits?: GuardLimits;
  readonly log: Log;
  /** a handshake is done; the receiver owns the transport from here on */
  readonly onLink: (link: NewLink) => void;
}

export interface Listener {
  /** HOST:PORT with real ports, in the order of the addresses asked for */
  readonly bound: readonly string[];
  /** connections whose handshake is not done */
  readonly halfOpen: number;
  /** Frees the ports and drops half-open connections. Links are not touched. */
  close(): Promise<void>;
}

/**
 * Binds all addresses or none.
 * @throws WarrenError `bad-value` for an address that cannot be bound, `in-use` for one that is taken
 */
export async function listen(options: ListenOptions): Promise<Listener> {
  const wanted = options.addresses.map(parseListen);
  // Strangers can cause every one of these lines.
  const log = limitRepeats(options.log, options.timers);
  const guard = new Guard(options.limits ?? GUARD_LIMITS, options.timers);
  const host = openingHost(options, log);
  const servers: Server[] = [];
  try {
    for (const address of wanted) servers.push(await bind(address, wanted, socket => accept(socket, guard, host)));
  } catch (error) {
    for (const server of servers) server.close();
    guard.close();
    throw error;
  }
  for (const server of servers) {
    server.on('error', error =>
      log.error('accept-failed', { error: reasonOf(error) }, `A connection could not be accepted: ${reasonOf(error)}.`),
    );
  }
  return {
    bound: servers.map(boundTo),
    get halfOpen() {
      return guard.size;
    },
    close: async () => {
      for (const server of servers) server.close();
      guard.close();
      // The handles close at the end of this turn; 'close' of a server would wait for its links.
      await new Promise<void>(resolve => setImmediate(resolve));
    },
  };
}

function accept(socket: Socket, guard: Guard, host: OpeningHost): void {
  const opening = new Opening(host, socket);
  const address = socket.remoteAddress;
  const place = address === undefined ? undefined : guard.admit(address, why => opening.drop(why));
  if (place === undefined) opening.drop('no place');
  else opening.start(place);
}

function openingHost(options: ListenOptions, log: Log): OpeningHost {
  const { context, psks, replay, timers, onLink } = options;
  return {
    context,
    psks,
    replay,
    timers,
    onLink: link => handOver(link, onLink, log),
    upgrades: new UpgradeServer(timers),
    ...openingReports(log),
  };
}

/** Runs inside a socket's or a stream's event: what goes wrong behind it ends this link, not the process. */
export function handOver(link: NewLink, onLink: (link: NewLink) => void, log: Log): void {
  try {
    onLink(link);
  } catch (error) {
    link.transport.abort();
    log.error('link-failed', { remote: link.address, ...errorFields(error) }, 'A link could not be taken over.');
  }
}

async function bind(address: HostPort, all: readonly HostPort[], onSocket: (socket: Socket) => void): Promise<Server> {
  const server = createServer({ noDelay: true, pauseOnConnect: true }, accepted =>
    onSocket(adopt(accepted, { allowHalfOpen: false, paused: false })),
  );
  // [::] takes IPv4 as well, unless the same port is asked for there too.
  const ipv6Only = all.some(other => isIPv4(other.host) && other.port === address.port);
  await new Promise<void>((resolve, reject) => {
    const failed = (error: NodeJS.ErrnoException): void => reject(bindError(address, error));
    server.once('error', failed);
    server.listen({ host: address.host, port: address.port, ipv6Only }, () => {
      server.off('error', failed);
      resolve();
    });
  });
  return server;
}

function bindError(address: HostPort, cause: NodeJS.ErrnoException): WarrenError {
  const name = formatHostPort(address.host, address.port);
  switch (cause.code) {
    case 'EADDRINUSE':
      return new WarrenError('in-use', `Port ${address.port} on ${address.host} is taken by another program.`, {
        hint: 'Choose another port with --listen HOST:PORT, or port 0 for any free one.',
        cause,
      });
    case 'EACCES':
      return new WarrenError('bad-value', `This user may not listen on ${name}.`, {
        hint: 'Choose a port above 1023.',
        cause,
      });
    case 'EADDRNOTAVAIL':
    case 'ENOTFOUND':
      return new WarrenError('bad-value', `This host has no address ${address.host}.`, {
        hint: 'Listen on 0.0.0.0, 127.0.0.1 or an address of this host.',
        cause,
      });
    default:
      return new WarrenError('bad-value', `${name} cannot be listened on: ${reasonOf(cause)}.`, { cause });
  }
}

function boundTo(server: Server): string {
  const { address, port } = server.address() as AddressInfo;
  return formatHostPort(address, port);
}
