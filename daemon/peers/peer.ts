/** One remote node: its session, the links that carry it, and how it is reached. */
import type { Timers } from '../../protocol/clock.js';
import type { NodeId, NodeIdText } from '../../protocol/identity/node-id.js';
import type { SessionSlot } from '../../protocol/session/index.js';
import type { PeerState } from '../../protocol/admin/contract.js';
import type { Log } from '../observe/log.js';
import type { PeerLink } from './bring-up.js';
import type { LinkKeeper } from './link-keeper.js';
import { isRelayed } from './relay-paths.js';

/** Addresses learned otherwise than from the registry, for each peer. */
const MAX_LEARNED = 8;

export class Peer {
  readonly links = new Set<PeerLink>();
  /** links that there have been */
  linksUp = 0;
  /** ms since the epoch of the last moment with a link */
  lastSeen: number | undefined;
  /** why there is no link, one sentence */
  problem: string | undefined;
  /** rounds of dials that have failed since the last link */
  failedRounds = 0;
  /** Addresses that have led to this node, newest first. */
  private learned: string[] = [];
  private toldBefore = '';
  /** of links that have ended */
  private rekeysBefore = 0;

  constructor(
    readonly id: NodeIdText,
    readonly nodeId: NodeId,
    readonly slot: SessionSlot,
    readonly keeper: LinkKeeper,
    /** limits repeated lines: the peer decides how often its links come and go */
    readonly log: Log,
  ) {}

  /** A link carries the session. */
  get connected(): boolean {
    return this.slot.session?.isCarried === true;
  }

  /** Rekeys of all links that there have been. */
  get rekeys(): number {
    return [...this.links].reduce((sum, { link }) => sum + link.rekeys, this.rekeysBefore);
  }

  /** It can be reached, and has not said that it is on its way out. */
  get takesStreams(): boolean {
    return this.connected && this.slot.session?.isPeerLeaving !== true;
  }

  state(removed: boolean): PeerState {
    if (removed) return 'denied';
    if (this.connected) return 'connected';
    if (this.slot.session !== undefined) return 'held';
    return this.keeper.dialing || this.links.size > 0 ? 'connecting' : 'down';
  }

  linkUp(link: PeerLink, timers: Timers): void {
    this.links.add(link);
    this.linksUp++;
    this.lastSeen = timers.now();
    this.problem = undefined;
    this.failedRounds = 0;
    if (link.direction === 'dialed' && !isRelayed(link)) this.learn(link.address);
  }

  linkDown(link: PeerLink, timers: Timers): void {
    if (this.links.delete(link)) this.rekeysBefore += link.link.rekeys;
    this.lastSeen = timers.now();
  }

  /** An address that leads, or may lead, to this node. */
  learn(address: string): void {
    this.learned = [address, ...this.learned.filter(a => a !== address)].slice(0, MAX_LEARNED);
  }

  /** @returns whether its registry record tells other addresses than the last time */
  isToldAnew(told: readonly string[]): boolean {
    const before = this.toldBefore;
    this.toldBefore = told.join(' ');
    return this.toldBefore !== before;
  }

  /** @param told what its registry record says */
  addresses(told: readonly string[]): string[] {
    return [...new Set([...told, ...this.learned])];
  }

  /** Where the last link that this node dialed led to. */
  get lastGood(): string | undefined {
    return this.learned[0];
  }
}
