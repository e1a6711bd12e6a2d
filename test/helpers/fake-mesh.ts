/**
 * A mesh without a network: nodes whose services are reached by streams in memory, or by real sessions over a link in
 * memory (`connect`). Each node may be unreachable, may answer as a test wants it to, and counts the streams that were
 * opened to it.
 */
import type { Timers } from '../../protocol/clock.js';
import type { Code } from '../../protocol/codes.js';
import { WarrenError } from '../../protocol/errors.js';
import { nodeIdText, type NodeId } from '../../protocol/identity/node-id.js';
import type { Session } from '../../protocol/session/index.js';
import { silentLog, type Log, type LogCall, type LogFields } from '../../daemon/observe/log.js';
import { ExposedServices, type ExposedOptions } from '../../daemon/services/exposed.js';
import { openLocal } from '../../daemon/services/local-stream.js';
import type { Caller, Instance, Mesh, OpenRequest, ServiceStream, StreamHandler } from '../../daemon/services/mesh.js';
import { SocketCount } from '../../daemon/services/sockets.js';
import { NodeTimers } from '../../daemon/transport/timers.js';
import { sessionPair, type OnStream, type SessionPair } from './session-pair.js';

export interface LoggedLine {
  readonly level: string;
  readonly event: string;
  readonly fields: LogFields;
  readonly msg: string;
}

/** A log that a test can read. */
export function recordingLog(): { log: Log; lines: LoggedLine[] } {
  const lines: LoggedLine[] = [];
  const call =
    (level: string): LogCall =>
    (event, fields, msg) =>
      void lines.push({ level, event, fields, msg });
  const log: Log = {
    debug: call('debug'),
    info: call('info'),
    warn: call('warn'),
    error: call('error'),
    child: () => log,
  };
  return { log, lines };
}

export class FakeNode {
  readonly nodeId: NodeId;
  tags: readonly string[] = [];
  reachable = true;
  /** a stream can be opened though nothing answers: what a node without a link looks like */
  throws: WarrenError | undefined;
  /** answers instead of the node's services */
  answer: ((stream: ServiceStream, request: OpenRequest, caller: Caller) => StreamHandler | Code) | undefined;
  /** streams opened to this node so far */
  opened = 0;
  /** what the mesh says of the streams open now */
  openStreams = 0;
  readonly exposed: ExposedServices;
  readonly sockets = new SocketCount();
  member = true;

  constructor(
    readonly name: string,
    number: number,
    callers: Pick<Mesh, 'caller'>,
    timers: Timers,
    options: Partial<ExposedOptions>,
  ) {
    this.nodeId = new Uint8Array(32).fill(number);
    // eslint-disable-next-line @typescript-eslint/no-this-alias
    const self = this;
    const mesh = {
      caller: callers.caller,
      get self(): Caller {
        return self.caller;
      },
    };
    this.exposed = new ExposedServices({ mesh, timers, log: silentLog, sockets: this.sockets, ...options });
  }

  get caller(): Caller {
    return { nodeId: this.nodeId, name: this.name, tags: this.tags };
  }
}

export class FakeMesh {
  readonly nodes: FakeNode[] = [];
  readonly timers = new NodeTimers();
  private readonly sessions = new Map<string, () => Session>();
  /** unconsumed bytes that a stream takes before it blocks */
  windowBytes = 64 * 1024;

  add(name: string, options: Partial<ExposedOptions> = {}): FakeNode {
    const caller = (id: NodeId): Caller | undefined => this.find(id)?.caller;
    const node = new FakeNode(name, this.nodes.length + 1, { caller }, this.timers, options);
    this.nodes.push(node);
    return node;
  }

  find(id: NodeId): FakeNode | undefined {
    return this.nodes.find(node => node.member && nodeIdText(node.nodeId) === nodeIdText(id));
  }

  /** The mesh as `self` sees it. */
  of(self: FakeNode): Mesh {
    return {
      self: self.caller,
      caller: id => this.find(id)?.caller,
      instances: service =>
        this.nodes
          .filter(node => node.exposed.has(service) || node.answer !== undefined)
          .map((node): Instance => {
            const { nodeId, name, reachable, openStreams } = node;
            return { node: nodeId, name, reachable, openStreams, local: node === self };
          }),
      open: (id, request, handler) => this.open(self, id, request, handler),
    };
  }

  /** Joins two nodes by a real session; their streams go through it from now on. */
  async connect(a: FakeNode, b: FakeNode): Promise<SessionPair> {
    const answer =
      (node: FakeNode): OnStream =>
      (stream, request, peer) =>
        node.exposed.incoming(stream, request, this.find(peer)!.caller);
    const pair = await sessionPair([a.nodeId, b.nodeId], this.timers, [answer(a), answer(b)]);
    this.sessions.set(`${a.name} ${b.name}`, () => pair.ends[0].slot.session!);
    this.sessions.set(`${b.name} ${a.name}`, () => pair.ends[1].slot.session!);
    return pair;
  }

  private open(self: FakeNode, id: NodeId, request: OpenRequest, handler: StreamHandler): ServiceStream {
    const node = this.find(id);
    if (node === undefined || !node.reachable) throw node?.throws ?? new WarrenError('unreachable', 'no session');
    node.opened++;
    const session = this.sessions.get(`${self.name} ${node.name}`);
    if (session !== undefined) return session().open(request, handler);
    return openLocal(node.answer ?? node.exposed.incoming, request, self.caller, handler, this.windowBytes);
  }
}
