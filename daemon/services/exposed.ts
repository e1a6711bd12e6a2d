/**
 * The services that this node exposes. A stream comes in, everything about it is decided first, into a plain record
 * (is there such a service, may this caller, is there room); then the target is dialed and bytes move.
 *
 * Changing a rule ends the open streams that it no longer allows (`denied`); removing a service ends its streams
 * (`no-service`): what was withdrawn is no longer reached. Changing a target concerns new streams only.
 */
import type { ExposedInfo } from '../../protocol/admin/contract.js';
import { equal } from '../../protocol/bytes.js';
import type { Timer, Timers } from '../../protocol/clock.js';
import type { Code } from '../../protocol/codes.js';
import { WarrenError } from '../../protocol/errors.js';
import { nodeIdText } from '../../protocol/identity/node-id.js';
import { errorFields, type Log } from '../observe/log.js';
import { formatEndpoint, parseTarget, type Endpoint } from '../transport/address.js';
import type { LocalSocket } from '../transport/thin-socket.js';
import { MAX_CONNECTIONS_PER_SERVICE, MAX_SERVICES, TARGET_DIAL_MS } from './limits.js';
import { LogPauses } from './log-pauses.js';
import { METADATA_SOURCE, type Caller, type Mesh, type OpenRequest, type ServiceStream, type StreamHandler } from './mesh.js'; // prettier-ignore
import { checkServiceName, serviceKey } from './names.js';
import { allowed, callerLabel, parseRule, type Rule } from './policy.js';
import type { SocketCount } from './sockets.js';
import { Splice, type SpliceOwner, type SpliceResult } from './splice.js';
import { dialFailure, dialTarget } from './target.js';

/** A service as the config file or `expose` defines it. */
export interface ServiceDefinition {
  /** PORT | HOST:PORT | unix:PATH */
  readonly target: string;
  readonly version?: string;
  readonly description?: string;
  readonly tags?: readonly string[];
  readonly allow?: readonly string[];
  readonly deny?: readonly string[];
}

export interface ExposedOptions {
  readonly mesh: Pick<Mesh, 'self' | 'caller'>;
  readonly timers: Timers;
  readonly log: Log;
  readonly sockets: SocketCount;
  /** ms; asked at each dial, since the config may change it */
  readonly dialTimeoutMs?: () => number;
  readonly maxConnections?: number;
}

/** One service with what it counts; definition and rule are replaced as a whole. */
interface Service {
  readonly name: string;
  definition: ServiceDefinition;
  target: Endpoint;
  rule: Rule;
  readonly connections: Set<Connection>;
  total: number;
  denied: number;
  failed: number;
}

type Decision =
  | { readonly verdict: 'dial'; readonly service: Service }
  | { readonly verdict: 'refuse'; readonly code: Code; readonly why: string; readonly service?: Service };

export class ExposedServices {
  /** by name in lower case */
  private readonly services = new Map<string, Service>();
  private readonly pauses: LogPauses;
  private readonly maxConnections: number;
  private draining = false;
  private onIdle: (() => void)[] = [];

  constructor(private readonly options: ExposedOptions) {
    this.pauses = new LogPauses(options.timers);
    this.maxConnections = options.maxConnections ?? MAX_CONNECTIONS_PER_SERVICE;
  }

  // Definitions.

  has(name: string): boolean {
    return this.services.has(serviceKey(name));
  }

  /** @throws WarrenError `exists` when the name is taken (without regard to case), and whatever `set` throws */
  add(name: string, definition: ServiceDefinition): ExposedInfo {
    const taken = this.services.get(serviceKey(name));
    if (taken !== undefined)
      throw new WarrenError(
        'exists',
        `The service ${taken.name} is already exposed, as ${formatEndpoint(taken.target)}.`,
        {
          hint: `Take it back with: warren unexpose ${taken.name}`,
        },
      );
    return this.set(name, definition);
  }

  /**
   * Adds the service or replaces its definition; open streams that the new rule does not allow end.
   * @throws WarrenError `bad-value` or `limit`; nothing has changed then
   */
  set(name: string, definition: ServiceDefinition): ExposedInfo {
    const key = serviceKey(checkServiceName(name));
    const target = parseTarget(definition.target);
    const rule = parseRule(definition);
    const known = this.services.get(key);
    if (known === undefined && this.services.size >= MAX_SERVICES)
      throw new WarrenError('limit', `This node exposes ${MAX_SERVICES} services already, which is the most.`, {
        hint: 'Take one back with: warren unexpose NAME',
      });
    const fresh = { name, connections: new Set<Connection>(), total: 0, denied: 0, failed: 0 };
    const service: Service = Object.assign(known ?? fresh, { definition, target, rule });
    this.services.set(key, service);
    this.recheckService(service);
    return info(service);
  }

  /**
   * @returns how many open streams ended
   * @throws WarrenError `not-found`
   */
  remove(name: string): number {
    const service = this.services.get(serviceKey(name));
    if (service === undefined)
      throw new WarrenError('not-found', `This node exposes no service ${JSON.stringify(name.slice(0, 80))}.`, {
        hint: 'See what it exposes with: warren services',
      });
    this.services.delete(serviceKey(name));
    return cutAll(service, 'no-service');
  }

  /** In the order of their names. */
  list(): ExposedInfo[] {
    return [...this.services.values()].map(info).sort((a, b) => a.name.localeCompare(b.name));
  }

  /** Streams open now, all services together; those of removed services end with them. */
  get openStreams(): number {
    let open = 0;
    for (const service of this.services.values()) open += service.connections.size;
    return open;
  }

  /** Streams open now to one service; 0 when there is none of that name. */
  openStreamsOf(name: string): number {
    return this.services.get(serviceKey(name))?.connections.size ?? 0;
  }

  // A stream comes in.

  /**
   * @param caller as proven by the link's handshake
   * @returns the handler of what comes, or the code with which the stream is to be refused, the target not dialed
   */
  readonly incoming = (stream: ServiceStream, request: OpenRequest, caller: Caller): StreamHandler | Code => {
    const decision = this.decide(request, caller);
    if (decision.verdict === 'refuse') {
      this.refuse(decision, request, caller);
      return decision.code;
    }
    return this.dial(decision.service, stream, request, caller);
  };

  private decide(request: OpenRequest, caller: Caller): Decision {
    if (this.draining) return { verdict: 'refuse', code: 'draining', why: 'This daemon is on its way out.' };
    const service = this.services.get(serviceKey(request.service));
    if (service === undefined) return { verdict: 'refuse', code: 'no-service', why: 'There is no such service here.' };
    const judgement = allowed(service.rule, caller);
    if (!judgement.ok) return { verdict: 'refuse', code: 'denied', why: judgement.why, service };
    if (service.connections.size >= this.maxConnections)
      return {
        verdict: 'refuse',
        code: 'limit',
        why: `It carries ${this.maxConnections} connections already.`,
        service,
      };
    return { verdict: 'dial', service };
  }

  private refuse(decision: Decision & { verdict: 'refuse' }, request: OpenRequest, caller: Caller): void {
    const { code, why, service } = decision;
    if (service !== undefined && code === 'denied') service.denied++;
    else if (service !== undefined) service.failed++;
    this.warn(`stream-${code}`, request.service, caller, { code, why }, `Refused ${request.service}: ${why}`, request);
  }

  private dial(service: Service, stream: ServiceStream, request: OpenRequest, caller: Caller): StreamHandler {
    service.total++;
    const socket = dialTarget(service.target);
    this.options.sockets.track(socket);
    const connection = new Connection(service, caller, socket, this.record);
    service.connections.add(connection);
    const { splice } = connection;
    const deadline = this.options.timers.after(this.dialTimeoutMs, () => splice.cut('dial-timeout'));
    connection.dialing = { deadline, request };
    socket.once('connect', () => {
      if (splice.done) return;
      connection.connected();
      stream.accept();
    });
    // What comes before the target has answered waits in the socket, bounded by the credit that nobody gives back yet.
    splice.attach(stream);
    return splice;
  }

  private get dialTimeoutMs(): number {
    return this.options.dialTimeoutMs?.() ?? TARGET_DIAL_MS;
  }

  /** The one place where a connection's end is counted and told. */
  private readonly record = (connection: Connection, result: SpliceResult): void => {
    const { service, caller, dialing } = connection;
    const { code, ending, bytesSent, bytesReceived } = result;
    dialing?.deadline.cancel();
    service.connections.delete(connection);
    const target = formatEndpoint(service.target);
    if (dialing !== undefined && (ending === 'socket' || code === 'dial-timeout')) {
      service.failed++;
      const reason = code === 'dial-timeout' ? { code, error: 'no answer in time' } : errorFields(result.error);
      const sentence = `The target ${target} of ${service.name} cannot be reached: ${reason.error}.`;
      this.warn('target-failed', service.name, caller, { target, wire: code, ...reason }, sentence, dialing.request);
    } else if (ending === 'cut' && code === 'denied') {
      service.denied++;
    }
    this.options.log.debug(
      'service-stream-ended',
      { service: service.name, caller: callerLabel(caller), target, ending, wire: code, bytesSent, bytesReceived },
      'A stream to a service ended.',
    );
    if (this.openStreams === 0) for (const idle of this.onIdle.splice(0)) idle();
  };

  private warn(
    event: string,
    service: string,
    caller: Caller,
    fields: Readonly<Record<string, string>>,
    sentence: string,
    request: OpenRequest,
  ): void {
    const callerId = nodeIdText(caller.nodeId);
    // A caller that invents names gets one line, not one per name.
    const known = this.has(service) ? serviceKey(service) : '';
    const leftOut = this.pauses.pass(`${event} ${known} ${callerId}`);
    if (leftOut === undefined) return;
    const source = request.metadata?.get(METADATA_SOURCE);
    this.options.log.warn(
      event,
      { service, caller: callerLabel(caller), callerId, source, ...fields, leftOut },
      sentence,
    );
  }

  // Rules and callers change; the daemon ends.

  /**
   * To be called when a member's name, tags or standing changed: judges all open streams anew by what is known now.
   * @returns how many ended
   */
  recheck(): number {
    let ended = 0;
    for (const service of this.services.values()) ended += this.recheckService(service);
    return ended;
  }

  private recheckService(service: Service): number {
    let ended = 0;
    for (const { caller, splice } of [...service.connections]) {
      const now = this.callerNow(caller);
      const judgement = now === undefined ? undefined : allowed(service.rule, now);
      if (judgement?.ok === true) continue;
      const why = judgement?.why ?? `${callerLabel(caller)} is no member any more.`;
      splice.cut('denied');
      ended++;
      const callerId = nodeIdText(caller.nodeId);
      if (this.pauses.pass(`cut ${serviceKey(service.name)} ${callerId}`) === undefined) continue;
      this.options.log.warn(
        'stream-denied',
        { service: service.name, caller: callerLabel(caller), callerId, code: 'denied', why },
        `Ended open streams of ${service.name}: ${why}`,
      );
    }
    return ended;
  }

  private callerNow({ nodeId }: Caller): Caller | undefined {
    const { mesh } = this.options;
    return equal(nodeId, mesh.self.nodeId) ? mesh.self : mesh.caller(nodeId);
  }

  /** From now on new streams are refused with `draining`. Resolves when the last open one has ended. */
  drain(): Promise<void> {
    this.draining = true;
    if (this.openStreams === 0) return Promise.resolve();
    return new Promise(resolve => this.onIdle.push(resolve));
  }

  /** Ends every open stream. @returns how many */
  cut(code: Code): number {
    let ended = 0;
    for (const service of this.services.values()) ended += cutAll(service, code);
    return ended;
  }
}

/** One stream and the connection to its target. */
class Connection implements SpliceOwner {
  readonly splice: Splice;
  /** until the target has taken the connection */
  dialing: { readonly deadline: Timer; readonly request: OpenRequest } | undefined;

  constructor(
    readonly service: Service,
    readonly caller: Caller,
    readonly socket: LocalSocket,
    private readonly ended: (connection: Connection, result: SpliceResult) => void,
  ) {
    this.splice = new Splice(this);
  }

  connected(): void {
    this.dialing?.deadline.cancel();
    this.dialing = undefined;
  }

  broken(error: Error | undefined): { readonly code: Code; readonly dialed: boolean } {
    return this.dialing === undefined ? TARGET_BROKE : dialFailure(error);
  }

  done(result: SpliceResult): void {
    this.ended(this, result);
  }
}

const TARGET_BROKE = { code: 'target-failed', dialed: true } as const;

function cutAll(service: Service, code: Code): number {
  const open = [...service.connections];
  for (const { splice } of open) splice.cut(code);
  return open.length;
}

function info(service: Service): ExposedInfo {
  const { definition } = service;
  return {
    name: service.name,
    target: formatEndpoint(service.target),
    version: definition.version ?? null,
    description: definition.description ?? null,
    tags: definition.tags ?? [],
    allow: definition.allow ?? [],
    deny: definition.deny ?? [],
    openStreams: service.connections.size,
    totalStreams: service.total,
    deniedStreams: service.denied,
    failedStreams: service.failed,
  };
}
