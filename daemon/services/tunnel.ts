/**
 * One tunnel: accepts local connections, finds each an instance, joins the two, counts how it ended.
 */
import type { TunnelInfo, TunnelState } from '../../protocol/admin/contract.js';
import type { Timer, Timers } from '../../protocol/clock.js';
import type { Code } from '../../protocol/codes.js';
import { errorFields, type Log } from '../observe/log.js';
import { formatEndpoint, formatHostPort, type Endpoint } from '../transport/address.js';
import { Attempts, type AttemptsOptions } from './attempts.js';
import { Balancer } from './balancer.js';
import { codeWords } from './code-words.js';
import { MAX_CONNECTIONS_PER_TUNNEL } from './limits.js';
import { bindListener, type LocalListener } from './listener.js';
import type { Answerer } from './local-stream.js';
import type { LogPauses } from './log-pauses.js';
import { METADATA_SOURCE, type Instance, type Mesh, type OpenRequest } from './mesh.js';
import { serviceKey } from './names.js';
import { cutSocket, peerAddress, type AcceptedSocket, type SocketCount } from './sockets.js';
import { Splice, type SpliceOwner, type SpliceResult } from './splice.js';

export interface TunnelOptions {
  readonly mesh: Mesh;
  /** answers streams to this daemon's own services: `ExposedServices.incoming` */
  readonly local: Answerer;
  readonly timers: Timers;
  readonly log: Log;
  readonly pauses: LogPauses;
  readonly sockets: SocketCount;
  readonly maxConnections?: number;
}

/** Codes of a stream that came to an end by its own two ends; any other means that warren lost it. */
const ENDED_BY_ITS_ENDS: ReadonlySet<Code> = new Set<Code>(['no-error', 'caller-gone', 'target-failed', 'cancelled']);

export class Tunnel {
  private listener: LocalListener | undefined;
  private problem: string | undefined;
  private retry: Timer | undefined;
  private closed = false;
  private readonly finding: AttemptsOptions;
  private readonly connections = new Set<Connection>();
  private total = 0;
  private denied = 0;
  private failed = 0;
  /** bytes of connections that have ended */
  private bytesSent = 0;
  private bytesReceived = 0;
  private onIdle: (() => void)[] = [];

  constructor(
    readonly service: string,
    private readonly endpoint: Endpoint,
    private readonly options: TunnelOptions,
  ) {
    this.finding = { mesh: options.mesh, local: options.local, balancer: new Balancer() };
  }

  /** Where it listens, with the real port once there is one. */
  get where(): string {
    return formatEndpoint(this.listener?.endpoint ?? this.endpoint);
  }

  get openStreams(): number {
    return this.connections.size;
  }

  // Listening.

  /** @throws WarrenError `in-use` or `bad-value` */
  async bind(): Promise<void> {
    const listener = await bindListener(this.endpoint, { connection: this.accept, failed: this.acceptFailed });
    if (this.closed) {
      listener.close();
      return;
    }
    this.listener = listener;
    this.problem = undefined;
    const fields = { service: this.service, listen: this.where };
    this.options.log.info('tunnel-listening', fields, `${this.where} leads to ${this.service}.`);
  }

  /** Like `bind`, but a failure is kept as the tunnel's state and tried again after `retryMs`. Never throws. */
  async bindOrRetry(retryMs: number): Promise<void> {
    try {
      await this.bind();
    } catch (error) {
      if (this.closed) return;
      const fields = { service: this.service, listen: this.where, ...errorFields(error) };
      if (this.problem === undefined) this.options.log.warn('tunnel-failed', fields, fields.error);
      this.problem = fields.error;
      this.retry = this.options.timers.after(retryMs, () => void this.bindOrRetry(retryMs));
    }
  }

  private readonly acceptFailed = (error: Error): void => {
    this.failed++;
    const leftOut = this.options.pauses.pass(`accept ${serviceKey(this.service)}`);
    if (leftOut === undefined) return;
    this.options.log.warn(
      'tunnel-accept-failed',
      { service: this.service, listen: this.where, leftOut, ...errorFields(error) },
      `A connection to ${this.where} could not be accepted.`,
    );
  };

  // One connection.

  private readonly accept = (socket: AcceptedSocket): void => {
    this.options.sockets.track(socket);
    this.total++;
    if (this.connections.size >= (this.options.maxConnections ?? MAX_CONNECTIONS_PER_TUNNEL)) {
      socket.on('error', () => undefined);
      cutSocket(socket);
      this.count('limit');
      return;
    }
    const attempts = new Attempts(this.finding, this.request(socket));
    const connection = new Connection(socket, attempts, this.record);
    this.connections.add(connection);
    connection.start();
  };

  private request(socket: AcceptedSocket): OpenRequest {
    const peer = peerAddress(socket);
    const source = peer === undefined ? 'unix' : formatHostPort(peer.host, peer.port);
    return { service: this.service, class: 'interactive', metadata: new Map([[METADATA_SOURCE, source]]) };
  }

  /** The one place where a connection's end is counted and told. */
  private readonly record = (connection: Connection, result: SpliceResult): void => {
    const { ending, code, opened, bytesSent, bytesReceived } = result;
    this.connections.delete(connection);
    this.bytesSent += bytesSent;
    this.bytesReceived += bytesReceived;
    const gaveUp = ending === 'socket' || code === 'cancelled';
    if (!ENDED_BY_ITS_ENDS.has(code) || (!opened && !gaveUp)) this.count(code, connection);
    const fields = { service: this.service, instance: connection.instance, ending, wire: code, bytesSent, bytesReceived }; // prettier-ignore
    this.options.log.debug('tunnel-connection-ended', fields, 'A connection through a tunnel ended.');
    if (this.connections.size === 0) for (const idle of this.onIdle.splice(0)) idle();
  };

  private count(code: Code, connection?: Connection): void {
    if (code === 'denied') this.denied++;
    else this.failed++;
    const leftOut = this.options.pauses.pass(`tunnel ${serviceKey(this.service)} ${code}`);
    if (leftOut === undefined) return;
    const instance = connection?.instance;
    const why = connection !== undefined && instance === undefined ? 'nobody exposes it now' : codeWords(code);
    this.options.log.warn(
      'tunnel-connection-failed',
      { service: this.service, instance, listen: this.where, wire: code, leftOut, ...connection?.problem },
      `A connection to ${this.service}${instance === undefined ? '' : ` on ${instance}`} failed: ${why}.`,
    );
  }

  // The end.

  /** Stops listening; resolves when the last connection has ended. */
  drain(): Promise<void> {
    this.stop();
    if (this.connections.size === 0) return Promise.resolve();
    return new Promise(resolve => this.onIdle.push(resolve));
  }

  /** Stops listening and ends all connections. @returns how many */
  close(code: Code): number {
    this.stop();
    const open = [...this.connections];
    for (const { splice } of open) splice.cut(code);
    return open.length;
  }

  private stop(): void {
    this.closed = true;
    this.retry?.cancel();
    this.listener?.close();
  }

  info(): TunnelInfo {
    const instances = this.options.mesh.instances(this.service);
    let { bytesSent, bytesReceived } = this;
    for (const { splice } of this.connections) {
      bytesSent += splice.bytesSent;
      bytesReceived += splice.bytesReceived;
    }
    return {
      service: this.service,
      listen: this.where,
      state: this.state(instances),
      instances: instances.length,
      openStreams: this.connections.size,
      totalStreams: this.total,
      denied: this.denied,
      failed: this.failed,
      bytesSent,
      bytesReceived,
      problem: this.problem ?? null,
    };
  }

  private state(instances: readonly Instance[]): TunnelState {
    if (this.problem !== undefined) return 'failed';
    if (instances.length === 0) return 'waiting';
    return instances.some(instance => instance.reachable) ? 'listening' : 'unreachable';
  }
}

/** One local connection: its search for an instance, then the two joined. */
class Connection implements SpliceOwner {
  readonly splice: Splice;
  /** the instance that has answered */
  private answering: string | undefined;

  constructor(
    readonly socket: AcceptedSocket,
    private attempts: Attempts | undefined,
    private readonly ended: (connection: Connection, result: SpliceResult) => void,
  ) {
    this.splice = new Splice(this);
  }

  /** Name of the instance in question; undefined: there was none to be asked. */
  get instance(): string | undefined {
    return this.answering ?? this.attempts?.instance?.name;
  }

  /** What kept its stream from being opened at all. */
  get problem(): Attempts['problem'] {
    return this.attempts?.problem;
  }

  start(): void {
    if (!this.tryNext()) this.splice.cut(this.attempts?.code ?? 'no-service');
  }

  private tryNext(): boolean {
    const stream = this.attempts?.next(this.splice);
    if (stream === undefined) return false;
    this.splice.attach(stream);
    return true;
  }

  broken(): typeof CALLER_GONE {
    return CALLER_GONE;
  }

  refused(code: Code, dialed: boolean): boolean {
    return this.attempts?.refused(code, dialed) === true && this.tryNext();
  }

  /** Who was asked, and for what, has had its time: thousands of connections may rest. */
  opened(): void {
    this.answering = this.instance;
    this.attempts = undefined;
  }

  done(result: SpliceResult): void {
    this.ended(this, result);
  }
}

const CALLER_GONE = { code: 'caller-gone', dialed: true } as const;
