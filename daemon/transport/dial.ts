/**
 * From an address to a link on which the handshake is done.
 *
 * HOST:PORT is tried as a raw link first. If what answers there is no warren (it closes, stays silent, or sends
 * something else) the same HOST:PORT is tried as WebSocket, since a web server may stand in front. ws:// and wss:// go
 * to WebSocket directly. Where a proxy is set, every connection goes through it (proxy.ts), and it is the proxy that looks
 * the name up. One deadline covers everything, the look-up of the name included.
 */
import type { Socket } from 'node:net';
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
import { formatAddress, parseAddress, type Address, type HostPort } from './address.js';
import { connectAny, resolveHost } from './connect.js';
import { drive, type Outcome } from './drive.js';
import { formatProxy, type Proxy } from './proxy-choice.js';
import { ProxyPath } from './proxy.js';
import { reasonOf } from './reasons.js';
import { Scope } from './scope.js';
import { TcpTransport } from './tcp.js';
import { startTls, type DialTls } from './tls.js';
import type { NewLink, Transport } from './transport.js';
import { WS_CLIENT_OPTIONS, WebSocketTransport } from './websocket.js';

/** From the call to the finished handshake, ms. */
export const DIAL_DEADLINE_MS = 10_000;
/** How long a connection may stay silent after message 1 before WebSocket is tried, ms. */
export const RAW_ANSWER_MS = 3_000;

/** @returns undefined: dial the target directly */
export type ProxyChooser = (target: HostPort) => Proxy | undefined;

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
  /** the proxy through which a target is reached; throws when what is set is none. Left out: everything directly */
  readonly proxy?: ProxyChooser;
  /** default DIAL_DEADLINE_MS */
  readonly deadlineMs?: number;
  /** default RAW_ANSWER_MS */
  readonly rawAnswerMs?: number;
}

/**
 * @throws WarrenError `bad-value` (the address, or the proxy's) · `unreachable` (no answer, not a warren, not the wanted
 *   node, no way through the proxy; given up) · `timeout` · `version` · what the handshake ended with
 */
export async function dial(options: DialOptions): Promise<NewLink> {
  const { timers, signal, log } = options;
  const address = parseAddress(options.address);
  const name = formatAddress(address);
  const proxy = options.proxy?.(address);
  const scope = new Scope({
    name: proxy === undefined ? name : `${name} (through the proxy ${formatProxy(proxy)})`,
    deadlineMs: options.deadlineMs ?? DIAL_DEADLINE_MS,
    timers,
    signal,
  });
  try {
    scope.signal.throwIfAborted();
    const connect = await wayTo(address, proxy, options, scope);
    if (address.kind !== 'tcp') return await overWebSocket(options, address, connect, scope);
    const raw = await overTcp(options, connect, scope);
    if (raw.link !== undefined) return raw.link;
    const path: Address = { ...address, kind: 'ws', path: '/' };
    log.debug('dial-fallback', { address: name, reason: raw.why }, 'No raw link; trying WebSocket.');
    return await overWebSocket(options, path, connect, scope);
  } finally {
    scope.end();
  }
}

/** A new connection at each call, with the target behind it. */
type Connect = () => Promise<Socket>;

async function wayTo(target: HostPort, proxy: Proxy | undefined, options: DialOptions, scope: Scope): Promise<Connect> {
  const { timers, tls } = options;
  if (proxy !== undefined) {
    const path = new ProxyPath({ proxy, target, timers, tls });
    return () => path.connect(scope);
  }
  const addresses = await resolveHost(target.host, scope.signal);
  return () => connectAny(addresses, target.port, timers, scope.signal);
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

async function overTcp(options: DialOptions, connect: Connect, scope: Scope): Promise<RawResult> {
  const socket = await connect();
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

async function overWebSocket(options: DialOptions, address: Address, connect: Connect, scope: Scope): Promise<NewLink> {
  const tcp = await connect();
  const socket = address.kind === 'wss' ? await toWebServer(tcp, address.host, options.tls ?? {}, scope) : tcp;
  const initiator = new Initiator(options.context, options);
  const transport = await upgrade(socket, address, toSubprotocol(initiator.preface), scope, options.timers);
  transport.write([initiator.first()]);
  const outcome = await handshake(transport, socket, initiator, scope);
  if (outcome.kind === 'established') return newLink(options, transport, outcome);
  socket.destroy();
  if (outcome.kind === 'drop') throw dropError(outcome);
  if (outcome.kind === 'closed' && !outcome.heard) throw notHeard(scope.name);
  throw new WarrenError('unreachable', `${scope.name} ended the handshake: ${outcome.why}.`);
}

/** It knew the secret, and did not take message 1. It never says why, since that may have been a replay. */
function notHeard(name: string): WarrenError {
  const what = `${name} ended the handshake at the first message`;
  return new WarrenError('unreachable', `${what}: the clocks of the two hosts are probably more than an hour apart.`, {
    hint: 'Compare them (date -u), and set the wrong one, best by NTP; `warren doctor` on the other host tells.',
    wire: 'clock-skew',
  });
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

function toWebServer(tcp: Socket, host: string, tls: DialTls, scope: Scope): Promise<Socket> {
  return startTls(
    tcp,
    host,
    tls,
    scope,
    (why, cause) =>
      new WarrenError('unreachable', `${scope.name} does not complete TLS: ${why}.`, {
        hint: 'Check the certificate of the web server and the name in the address.',
        cause,
      }),
  );
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
