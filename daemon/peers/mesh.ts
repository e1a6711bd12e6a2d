/** The network as the services room sees it: who exposes what, streams to them, who is at the other end. */
import type { Code } from '../../protocol/codes.js';
import { equal } from '../../protocol/bytes.js';
import { nodeIdText, type NodeId } from '../../protocol/identity/node-id.js';
import {
  serviceKey,
  type AnnouncingNode,
  type Caller,
  type Instance,
  type Mesh,
  type OpenRequest,
  type ServiceStream,
  type StreamHandler,
} from '../services/index.js';
import type { TrustStore } from '../../protocol/identity/trust-store.js';
import type { Network } from './network.js';
import { sessionOf, type Peers } from './peers.js';

export interface MeshOptions {
  readonly network: Network;
  readonly peers: Peers;
  /** true if this daemon itself exposes the service */
  readonly exposesHere: (service: string) => boolean;
  /** streams open to the own service of that name */
  readonly openHere: (service: string) => number;
}

interface Index {
  readonly trust: TrustStore | undefined;
  readonly version: number;
  readonly byService: ReadonlyMap<string, readonly (AnnouncingNode & { readonly node: NodeId })[]>;
}

/** The streams that this daemon has open to one service of one node. */
interface Count {
  readonly key: string;
  streams: number;
}

export class PeerMesh implements Mesh {
  /** by node and service, none without streams: what instances are balanced by */
  private readonly counts = new Map<string, Count>();

  private indexed: Index = { trust: undefined, version: -1, byService: new Map() };

  constructor(private readonly options: MeshOptions) {}

  get self(): Caller {
    const { network } = this.options;
    return { nodeId: network.nodeId, name: network.name, tags: network.tags };
  }

  caller(node: NodeId): Caller | undefined {
    const { trust } = this.options.network;
    const grant = trust.grantForNow(node);
    if (grant === undefined) return undefined;
    return { nodeId: node, name: trust.nameOf(node) ?? '', tags: grant.tags };
  }

  instances(service: string): readonly Instance[] {
    const { network, peers, exposesHere, openHere } = this.options;
    const key = serviceKey(service);
    const remote = (this.index().get(key) ?? []).map(({ node, nodeId, name }) => ({
      node,
      name,
      reachable: peers.get(nodeId)?.takesStreams === true,
      openStreams: this.counts.get(`${nodeId}/${key}`)?.streams ?? 0,
      local: false,
    }));
    if (!exposesHere(service)) return remote;
    const here = {
      node: network.nodeId,
      name: network.name,
      reachable: true,
      openStreams: openHere(service),
      local: true,
    };
    return [here, ...remote];
  }

  /** Who exposes what, worked out once for each state of the trust store: every new connection asks. */
  private index(): ReadonlyMap<string, readonly (AnnouncingNode & { readonly node: NodeId })[]> {
    const { trust } = this.options.network;
    if (this.indexed.trust === trust && this.indexed.version === trust.version) return this.indexed.byService;
    const byService = new Map<string, (AnnouncingNode & { readonly node: NodeId })[]>();
    for (const node of this.announcing())
      for (const key of new Set(node.services.map(s => serviceKey(s.name))))
        byService.set(key, [...(byService.get(key) ?? []), node]);
    this.indexed = { trust, version: trust.version, byService };
    return byService;
  }

  /** Every other member with what its registry record says. */
  announcing(): (AnnouncingNode & { readonly node: NodeId })[] {
    const { network, peers } = this.options;
    return network.trust
      .members()
      .filter(member => !equal(member.node, network.nodeId))
      .map(member => {
        const nodeId = nodeIdText(member.node);
        const services = network.trust.record(member.node)?.services ?? [];
        const reachable = peers.get(nodeId)?.takesStreams === true;
        return { node: member.node, nodeId, name: network.nameOf(member.node), reachable, services };
      });
  }

  open(node: NodeId, request: OpenRequest, handler: StreamHandler): ServiceStream {
    const { network, peers } = this.options;
    const id = nodeIdText(node);
    const session = sessionOf(peers.get(id), () => network.nameOf(node));
    const counted = new Counted(this.counts, this.countOf(`${id}/${serviceKey(request.service)}`), handler);
    const stream = session.open(request, counted);
    counted.begin();
    return stream;
  }

  private countOf(key: string): Count {
    return this.counts.get(key) ?? { key, streams: 0 };
  }
}

/** Counts the stream as open until it has ended. One for each open connection: it holds no more than it must. */
class Counted implements StreamHandler {
  private isOpen = false;

  constructor(
    private readonly counts: Map<string, Count>,
    private readonly count: Count,
    private readonly handler: StreamHandler,
  ) {}

  begin(): void {
    this.isOpen = true;
    if (this.count.streams++ === 0) this.counts.set(this.count.key, this.count);
  }

  opened(): void {
    this.handler.opened?.();
  }

  data(chunk: Uint8Array): void {
    this.handler.data(chunk);
  }

  fin(): void {
    this.handler.fin();
  }

  drain(): void {
    this.handler.drain?.();
  }

  reset(code: Code, dialed: boolean): void {
    // Another instance may be chosen at once.
    this.closed();
    this.handler.reset(code, dialed);
  }

  closed(): void {
    if (!this.isOpen) return;
    this.isOpen = false;
    if (--this.count.streams === 0) this.counts.delete(this.count.key);
  }
}
