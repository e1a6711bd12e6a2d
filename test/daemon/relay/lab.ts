/** Nodes with real sessions over links in memory, each with a relay room, for the tests of this room. */
import type { OpenRequest, Session, Stream, StreamHandler } from '../../../protocol/session/index.js';
import type { Code } from '../../../protocol/codes.js';
import { compare } from '../../../protocol/bytes.js';
import { nodeIdText, type NodeId, type NodeIdText } from '../../../protocol/identity/node-id.js';
import { Relay } from '../../../daemon/relay/relay.js';
import type { Candidate, RelayPeers } from '../../../daemon/relay/types.js';
import type { ForwardLimits } from '../../../daemon/relay/forward.js';
import { NodeTimers } from '../../../daemon/transport/timers.js';
import type { NewLink } from '../../../daemon/transport/transport.js';
import { recordingLog, type LoggedLine } from '../../helpers/fake-mesh.js';
import { sessionPair, type SessionPair } from '../../helpers/session-pair.js';
import { keysOf, makeNode, type TestNode } from '../../protocol/handshake/nodes.js';

export const timers = new NodeTimers();
export const NETWORK_KEYS = keysOf();
export const LIMITS: ForwardLimits = { total: 16, perPeer: 4, bytesPerSecond: 1024 ** 3 };
export const never = new AbortController().signal;

export interface LabNode {
  readonly name: string;
  readonly node: TestNode;
  readonly nodeId: NodeId;
  readonly id: NodeIdText;
  readonly relay: Relay;
  readonly lines: readonly LoggedLine[];
  /** relayed links that have come here */
  readonly accepted: NewLink[];
  /** Nodes whose session is carried by a relayed link only. */
  readonly indirect: Set<NodeIdText>;
  candidates: readonly Candidate[];
  /** answers streams instead of the relay room */
  answer: ((stream: Stream, request: OpenRequest, peer: NodeId) => StreamHandler | Code) | undefined;
}

interface Joint {
  readonly nodes: readonly [LabNode, LabNode];
  readonly pair: SessionPair;
}

export class Lab {
  private readonly joints: Joint[] = [];
  private readonly names = new Map<NodeIdText, string>();

  add(name: string, limits: Partial<ForwardLimits> = {}, handshakeMs = 5_000): LabNode {
    const node = makeNode(name);
    const { nodeId } = node.keys;
    const id = nodeIdText(nodeId);
    const { log, lines } = recordingLog();
    const accepted: NewLink[] = [];
    const indirect = new Set<NodeIdText>();
    const peers: RelayPeers = {
      self: id,
      direct: other => (indirect.has(other) ? undefined : this.session(id, other)),
      candidates: () => made.candidates,
      nameOf: other => this.names.get(other) ?? other.slice(0, 10),
    };
    const relay = new Relay({
      peers,
      timers,
      log,
      limits: { ...LIMITS, ...limits },
      handshakeMs,
      context: () => node.ctx,
      psks: () => [NETWORK_KEYS],
      currentPsk: () => NETWORK_KEYS,
      suite: () => 'AESGCM',
      replay: node.replay,
      onLink: link => void accepted.push(link),
    });
    const made: LabNode = {
      name, node, nodeId, id, relay, lines, accepted, indirect, candidates: [], answer: undefined,
    }; // prettier-ignore
    this.names.set(id, name);
    return made;
  }

  async connect(a: LabNode, b: LabNode): Promise<SessionPair> {
    const nodes = compare(a.nodeId, b.nodeId) < 0 ? ([a, b] as const) : ([b, a] as const);
    const answering =
      (node: LabNode) =>
      (stream: Stream, request: OpenRequest, peer: NodeId): StreamHandler | Code => {
        if (node.answer !== undefined) return node.answer(stream, request, peer);
        return request.class === 'relay' ? node.relay.incoming(stream, request, peer) : 'no-service';
      };
    const pair = await sessionPair([nodes[0].nodeId, nodes[1].nodeId], timers, [
      answering(nodes[0]),
      answering(nodes[1]),
    ]);
    this.joints.push({ nodes, pair });
    return pair;
  }

  /** The session that node `own` has with `other`. */
  session(own: NodeIdText, other: NodeIdText): Session | undefined {
    for (const { nodes, pair } of this.joints) {
      const side = nodes.findIndex(n => n.id === own);
      if (side >= 0 && nodes[1 - side]!.id === other) return pair.ends[side as 0 | 1].slot.session;
    }
    return undefined;
  }

  /** What the node's sessions hold: bytes kept for sending, and credit granted beyond what is consumed. */
  held(node: LabNode): { readonly retained: number; readonly streams: number } {
    let retained = 0;
    let streams = 0;
    for (const { nodes, pair } of this.joints) {
      const side = nodes.indexOf(node);
      if (side < 0) continue;
      retained += pair.ends[side as 0 | 1].budget.retained;
      streams += pair.ends[side as 0 | 1].slot.session?.streamCount ?? 0;
    }
    return { retained, streams };
  }

  close(): void {
    for (const { pair } of this.joints) pair.close();
  }
}

export interface Chain {
  readonly lab: Lab;
  readonly a: LabNode;
  readonly b: LabNode;
  readonly c: LabNode;
  readonly ab: SessionPair;
  readonly bc: SessionPair;
}

/** a — b — c; b relays. */
export async function chain(limits: Partial<ForwardLimits> = {}, handshakeMs?: number): Promise<Chain> {
  const lab = new Lab();
  const [a, b, c] = ['a', 'b', 'c'].map(name => lab.add(name, limits, handshakeMs)) as [LabNode, LabNode, LabNode];
  const ab = await lab.connect(a, b);
  const bc = await lab.connect(b, c);
  b.relay.set('on');
  return { lab, a, b, c, ab, bc };
}
