/**
 * From an address to a link on which the handshake is done.
 *
 * HOST:PORT is tried as a raw link first. If what answers there is no warren (it closes, stays silent, or sends
 * something else) the same HOST:PORT is tried as WebSocket, since a web server may stand in front. ws:// and wss:// go
 * to WebSocket directly. One deadline covers everything, the look-up of the name included.
 */
import type { Socket } from 'node:net';
import { connect as connectTls, type TLSSocket } from 'node:tls';
import { isIP } from 'node:net';
import { WebSocket } from 'ws';
import type { Code } from '../../protocol/codes.js';
import type { Timers } from '../../protocol/clock.js';
import type { AeadName } from '../../protocol/crypto/primitives.js';
import { WarrenError } from '../../protocol/errors.js';
import { Initiator, dropError } from '../../protocol/handshake/handshake.js';
import { toSubprotocol } from '../../protocol/handshake/preface.js';
import type { HandshakeContext, PskKeys } from '../../protocol/handshake/types.js';
import type { NodeId } from '../../protocol/identity/node-id.js';
import { EMPTY } from '../../protocol/bytes.js';
import type { Log } from '../observe/log.js';
import { formatAddress, parseAddress, type Address } from './address.js';
import { connectAny, resolveHost } from './connect.js';
import { drive, type Outcome } from './drive.js';
import { reasonOf } from './reasons.js';
import { TcpTransport } from './tcp.js';
import type { NewLink, Transport } from './transport.js';
import { WS_CLIENT_OPTIONS, WebSocketTransport } from './websocket.js';

/** From the call to the finished handshake, ms. */
export const DIAL_DEADLINE_MS = 10_000;
/** How long a connection may stay silent after message 1 before WebSocket is tried, ms. */
export const RAW_ANSWER_MS = 3_000;

/** For servers whose certificate the system does not know. */
export interface DialTls {
  /** PEM, instead of the system's authorities */
  readonly ca?: string | Buffer | readonly (string | Buffer)[];
  /** false: take any certificate; the handshake inside proves the peer all the same */
  readonly rejectUnauthorized?: boolean;
}

export interface DialOptions {
  /** HOST:PORT, ws://… or wss://… */
  readonly address: string;
  readonly context: HandshakeContext;
  readonly psk: PskKeys;
  readonly suite: AeadName;
  /** the only node that will do */
  readonly expect?: NodeId;
  readonly join?: { readonly name: string };
  readonly timers: Timers;
  readonly log: Log;
  readonly signal?: AbortSignal;
  readonly tls?: DialTls;
  /** default DIAL_DEADLINE_MS */
  readonly deadlineMs?: number;
  /** default RAW_ANSWER_MS */
  readonly rawAnswerMs?: number;
}

/**
 * @throws WarrenError `bad-value` (the address) · `unreachable` (no answer, not a warren, not the wanted node; given up)
 *   · `timeout` · `version` · what the handshake ended with
 */
export async function dial(options: DialOptions): Promise<NewLink> {
  const address = parseAddress(options.address);
  const scope = new Scope(options, formatAddress(address));
  try {
    scope.signal.throwIfAborted();
    const addresses = await resolveHost(address.host, scope.signal);
    if (address.kind !== 'tcp') return await overWebSocket(options, address, addresses, scope);
    const raw = await overTcp(options, address, addresses, scope);
    if (raw.link !== undefined) return raw.link;
    const path: Address = { ...address, kind: 'ws', path: '/' };
    options.log.debug('dial-fallback', { address: scope.name, reason: raw.why }, 'No raw link; trying WebSocket.');
    return await overWebSocket(options, path, addresses, scope);
  } finally {
    scope.end();
  }
}

/** Everything that one call has open ends with it: by its deadline, by the caller's signal, or because it is done. */
class Scope {
  private readonly abort = new AbortController();
  private readonly deadline;
  private readonly callerAborted = (): void => this.giveUp('unreachable', `Dialing ${this.name} was given up.`);

  constructor(
    private readonly options: DialOptions,
    readonly name: string,
  ) {
    const ms = options.deadlineMs ?? DIAL_DEADLINE_MS;
    this.deadline = options.timers.after(ms, () => this.giveUp('timeout', `${name} did not answer in ${ms / 1000} s.`));
    if (options.signal?.aborted) this.callerAborted();
    else options.signal?.addEventListener('abort', this.callerAborted);
  }

  get signal(): AbortSignal {
    return this.abort.signal;
  }

  end(): void {
    this.deadline.cancel();
    this.options.signal?.removeEventListener('abort', this.callerAborted);
  }

  /** Runs `begin`; destroys `socket` and rejects if the scope ends first. */
  async within<T>(
    socket: Socket,
    begin: (resolve: (value: T) => void, reject: (error: unknown) => void) => void,
  ): Promise<T> {
    const { signal } = this;
    let aborted: () => void = () => undefined;
    try {
      return await new Promise<T>((resolve, reject) => {
        aborted = () => reject(signal.reason);
        if (signal.aborted) aborted();
        else {
          signal.addEventListener('abort', aborted);
          begin(resolve, reject);
        }
      });
    } catch (error) {
      socket.on('error', () => undefined);
      socket.destroy();
      throw error;
    } finally {
      signal.removeEventListener('abort', aborted);
    }
  }

  private giveUp(code: 'timeout' | 'unreachable', sentence: string): void {
    this.abort.abort(new WarrenError(code, sentence));
  }
}

/** What a handshake may end with although the other end is a warren; anything else may be a web server. */
const FROM_A_WARREN: ReadonlySet<Code | undefined> = new Set<Code>([
  'version',
  'wrong-node',
  'wrong-network',
  'self',
  'clock-skew',
  'internal',
]);

type RawResult =
  { readonly link: NewLink; readonly why?: undefined } | { readonly link?: undefined; readonly why: string };

async function overTcp(
  options: DialOptions,
  address: Address,
  addresses: readonly string[],
  scope: Scope,
): Promise<RawResult> {
  const socket = await connectAny(addresses, address.port, options.timers, scope.signal);
  const transport = new TcpTransport(socket, options.timers);
  const initiator = new Initiator(options.context, options);
  transport.write([initiator.preface, initiator.first()]);
  const silent = options.timers.after(options.rawAnswerMs ?? RAW_ANSWER_MS, () => transport.abort());
  const outcome = await handshake(transport, socket, initiator, scope).finally(() => silent.cancel());
  if (outcome.kind === 'established') return { link: newLink(options, transport, outcome) };
  socket.destroy();
  if (outcome.kind === 'drop' && FROM_A_WARREN.has(outcome.code)) throw dropError(outcome);
  return { why: outcome.why };
}

async function overWebSocket(
  options: DialOptions,
  address: Address,
  addresses: readonly string[],
  scope: Scope,
): Promise<NewLink> {
  const tcp = await connectAny(addresses, address.port, options.timers, scope.signal);
  const socket = address.kind === 'wss' ? await startTls(tcp, address.host, options.tls ?? {}, scope) : tcp;
  const initiator = new Initiator(options.context, options);
  const transport = await upgrade(socket, address, toSubprotocol(initiator.preface), scope, options.timers);
  transport.write([initiator.first()]);
  const outcome = await handshake(transport, socket, initiator, scope);
  if (outcome.kind === 'established') return newLink(options, transport, outcome);
  socket.destroy();
  if (outcome.kind === 'drop') throw dropError(outcome);
  throw new WarrenError('unreachable', `${scope.name} ended the handshake: ${outcome.why}.`);
}

function handshake(transport: Transport, socket: Socket, initiator: Initiator, scope: Scope): Promise<Outcome> {
  return scope.within<Outcome>(socket, resolve => drive(transport, initiator, EMPTY, resolve));
}

function newLink(
  options: DialOptions,
  transport: Transport,
  { established, rest }: Extract<Outcome, { kind: 'established' }>,
): NewLink {
  return { transport, established, rest, direction: 'dialed', address: options.address };
}

function startTls(tcp: Socket, host: string, tls: DialTls, scope: Scope): Promise<TLSSocket> {
  return scope.within<TLSSocket>(tcp, (resolve, reject) => {
    const socket = connectTls({
      socket: tcp,
      host,
      // RFC 6066 §3: no server name for an IP address
      ...(isIP(host) === 0 && { servername: host }),
      ...(tls.ca !== undefined && { ca: typeof tls.ca === 'string' || Buffer.isBuffer(tls.ca) ? tls.ca : [...tls.ca] }),
      rejectUnauthorized: tls.rejectUnauthorized ?? true,
      ALPNProtocols: ['http/1.1'],
      minVersion: 'TLSv1.2',
    });
    socket.once('secureConnect', () => resolve(socket));
    socket.on('error', error =>
      reject(
        new WarrenError('unreachable', `${scope.name} does not complete TLS: ${reasonOf(error)}.`, {
          hint: 'Check the certificate of the web server and the name in the address.',
          cause: error,
        }),
      ),
    );
  });
}

/** RFC 6455 §4.1 on a socket that is connected already. */
function upgrade(
  socket: Socket,
  address: Address,
  subprotocol: string,
  scope: Scope,
  timers: Timers,
): Promise<WebSocketTransport> {
  return scope.within<WebSocketTransport>(socket, (resolve, reject) => {
    const refused = (why: string): void =>
      reject(
        new WarrenError('unreachable', `There is no warren of this network at ${scope.name}: ${why}.`, {
          hint: 'Check the address, and that a web server in front passes WebSocket upgrades on.',
        }),
      );
    const ws = new WebSocket(formatAddress(address), [subprotocol], {
      ...WS_CLIENT_OPTIONS,
      createConnection: () => socket,
    });
    // In the same turn, since the first message may have come with the answer.
    ws.once('open', () => resolve(new WebSocketTransport(ws, socket, timers)));
    ws.on('error', error => refused(reasonOf(error)));
    ws.once('unexpected-response', (_request, response) => refused(`it answers HTTP ${response.statusCode ?? 0}`));
  });
}
