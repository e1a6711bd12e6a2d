/** What one peer tells of the network is kept, and passed on to every other peer. */
import type { Timers } from '../../protocol/clock.js';
import { nodeIdText, type NodeId, type NodeIdText } from '../../protocol/identity/node-id.js';
import { decodeSecret, encodeSecret, type Secret } from '../../protocol/handshake/admission-frames.js';
import { inTellingOrder, voidsMore } from '../../protocol/identity/telling-order.js';
import { ITEM_KINDS, NEWS_SECRET, kindOf, type TrustItem } from '../../protocol/identity/trust-item.js';
import { errorFields } from '../observe/log.js';
import type { Network } from './network.js';
import type { Peer } from './peer.js';
import { RecordPace } from './record-pace.js';

interface Told {
  readonly item: TrustItem;
  readonly from: NodeId | undefined;
}

export class Gossip {
  /** what is told at the end of this turn */
  private turn: Told[] = [];
  private readonly records: RecordPace;

  constructor(
    private readonly network: Network,
    private readonly peers: ReadonlyMap<NodeIdText, Peer>,
    private readonly timers: Pick<Timers, 'soon' | 'monotonic' | 'after'>,
  ) {
    this.records = new RecordPace(timers, (item, from) => this.spreadSoon(item, from));
  }

  /** A peer tells something. */
  take(from: NodeId, kind: number, body: Uint8Array): void {
    if (kind === NEWS_SECRET) return void this.network.learnSecret(decodeSecret(body), from);
    const known = kindOf(kind);
    if (known === undefined) return;
    this.network.learn([{ kind: known, bytes: body.slice() }], from);
  }

  /** A link carries the session again: what came lately may have missed the peer. */
  catchUp(peer: NodeId): void {
    for (const item of this.inOrder(this.network.recentFor(peer), item => item)) this.tell(nodeIdText(peer), item);
    const secret = this.network.currentSecret();
    if (secret !== undefined && secret.epoch > 0) this.send(nodeIdText(peer), NEWS_SECRET, encodeSecret(secret));
  }

  /**
   * Hands an item to every peer but the one that it came from, at the end of this turn; a record whose node makes them too
   * often, later.
   * @param about the node that it is about
   */
  spread(item: TrustItem, from: NodeId | undefined, about: NodeId | undefined): void {
    if (item.kind === 'registry' && about !== undefined) this.records.pass(about, item, from);
    else this.spreadSoon(item, from);
  }

  /** This home belongs to another network now, or its daemon ends: what is held is told no more. */
  clear(): void {
    this.records.clear();
  }

  private spreadSoon(item: TrustItem, from: NodeId | undefined): void {
    if (this.turn.push({ item, from }) === 1) this.timers.soon(() => this.spreadTurn());
  }

  private spreadTurn(): void {
    const told = this.inOrder(this.turn.splice(0), ({ item }) => item);
    const connected = [...this.peers.values()].filter(({ slot }) => slot.session !== undefined);
    for (const { item, from } of told) {
      const source = from === undefined ? undefined : nodeIdText(from);
      for (const { id } of connected) if (id !== source) this.tell(id, item);
    }
  }

  private inOrder<T>(told: readonly T[], itemOf: (one: T) => TrustItem): readonly T[] {
    return inTellingOrder(told, itemOf, one => voidsMore(this.network.primitives, itemOf(one)));
  }

  /**
   * Hands a network secret to every peer but the one that it came from, behind what this turn has told: a peer believes it
   * by the statement that speaks of it.
   */
  spreadSecret(secret: Secret, from: NodeId | undefined): void {
    const source = from === undefined ? undefined : nodeIdText(from);
    const body = encodeSecret(secret);
    this.timers.soon(() => {
      for (const { id, slot } of this.peers.values())
        if (id !== source && slot.session !== undefined) this.send(id, NEWS_SECRET, body);
    });
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
