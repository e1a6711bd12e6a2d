/** What one peer tells of the network is kept, and passed on to every other peer. */
import { nodeIdText, type NodeId, type NodeIdText } from '../../protocol/identity/node-id.js';
import { decodeSecret, encodeSecret, type Secret } from '../../protocol/handshake/admission-frames.js';
import { ITEM_KINDS, NEWS_SECRET, kindOf, type TrustItem } from '../../protocol/identity/trust-item.js';
import { errorFields } from '../observe/log.js';
import type { Network } from './network.js';
import type { Peer } from './peer.js';

export class Gossip {
  constructor(
    private readonly network: Network,
    private readonly peers: ReadonlyMap<NodeIdText, Peer>,
  ) {}

  /** A peer tells something. */
  take(from: NodeId, kind: number, body: Uint8Array): void {
    if (kind === NEWS_SECRET) return void this.network.learnSecret(decodeSecret(body), from);
    const known = kindOf(kind);
    if (known === undefined) return;
    this.network.learn([{ kind: known, bytes: body.slice() }], from);
  }

  /** A link carries the session again: what came lately may have missed the peer. */
  catchUp(peer: NodeId): void {
    for (const item of this.network.recentFor(peer)) this.tell(nodeIdText(peer), item);
    const secret = this.network.currentSecret();
    if (secret !== undefined && secret.epoch > 0) this.send(nodeIdText(peer), NEWS_SECRET, encodeSecret(secret));
  }

  /** Hands an item to every peer but the one that it came from. */
  spread(item: TrustItem, from: NodeId | undefined): void {
    const source = from === undefined ? undefined : nodeIdText(from);
    for (const peer of this.peers.values()) {
      if (peer.id !== source && peer.slot.session !== undefined) this.tell(peer.id, item);
    }
  }

  /** Hands a network secret to every peer but the one that it came from. */
  spreadSecret(secret: Secret, from: NodeId | undefined): void {
    const source = from === undefined ? undefined : nodeIdText(from);
    for (const { id, slot } of this.peers.values())
      if (id !== source && slot.session !== undefined) this.send(id, NEWS_SECRET, encodeSecret(secret));
  }

  private tell(id: NodeIdText, item: TrustItem): void {
    this.send(id, ITEM_KINDS[item.kind], item.bytes);
  }

  /** A peer that does not take its news loses its session; what it missed comes with the next catch-up. */
  private send(id: NodeIdText, kind: number, body: Uint8Array): void {
    const peer = this.peers.get(id);
    if (peer === undefined) return;
    const { log } = peer;
    try {
      peer.slot.news(kind, body);
    } catch (error) {
      const node = this.network.nameOf(peer.nodeId);
      log.warn('news-not-taken', { node, ...errorFields(error) }, 'a peer takes no news');
      peer.slot.close('limit', 'the peer does not take its news');
    }
  }
}
