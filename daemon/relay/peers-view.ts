/** The table of peers as the relay room sees it. */
import { nodeIdText, parseNodeId, type NodeIdText } from '../../protocol/identity/node-id.js';
import type { Network } from '../peers/network.js';
import type { Peer } from '../peers/peer.js';
import type { Peers } from '../peers/peers.js';
import type { Candidate, DirectSession, RelayPeers } from './types.js';

export class PeersView implements RelayPeers {
  readonly self: NodeIdText;

  /** @param peers asked for at each use: the two rooms need each other */
  constructor(
    private readonly network: Network,
    private readonly peers: () => Peers,
  ) {
    this.self = nodeIdText(network.nodeId);
  }

  direct(node: NodeIdText): DirectSession | undefined {
    const peer = this.peers().get(node);
    if (peer === undefined || directLinks(peer).length === 0) return undefined;
    // Who is no member any more loses its session, but not in this very turn.
    return this.network.isMember(peer.nodeId) ? peer.slot.session : undefined;
  }

  candidates(): readonly Candidate[] {
    return this.peers()
      .all()
      .filter(peer => takesStreams(peer) && this.network.trust.record(peer.nodeId)?.relays === true)
      .map(peer => ({ id: peer.id, rttMs: fastest(peer) }));
  }

  nameOf(node: NodeIdText): string {
    const id = parseNodeId(node);
    return id === undefined ? node : this.network.nameOf(id);
  }
}

function directLinks(peer: Peer): readonly { readonly rttMs: number | null }[] {
  return [...peer.links].filter(({ transport }) => transport.kind !== 'relay').map(({ link }) => link);
}

function takesStreams(peer: Peer): boolean {
  return peer.slot.session?.isPeerLeaving === false && directLinks(peer).length > 0;
}

/** The round trip of the best direct link, ms. */
function fastest(peer: Peer): number | null {
  const measured = directLinks(peer).flatMap(({ rttMs }) => (rttMs === null ? [] : [rttMs]));
  return measured.length === 0 ? null : Math.min(...measured);
}
