/**
 * The table of remote nodes: links come in, are brought up and given to the peer's session.
 *
 * 1. `arrive`: a handshake is done (listener.ts, dial.ts) → bring-up.ts → the peer's slot decides what the link is for.
 * 2. `follow`: members come and go with the trust store; each gets a keeper of its links (link-keeper.ts).
 * 3. What one peer tells of the network is kept and passed on to the others (gossip.ts).
 */
import { equal } from '../../protocol/bytes.js';
import type { Random, Timer } from '../../protocol/clock.js';
import type { Code } from '../../protocol/codes.js';
import type { Primitives } from '../../protocol/crypto/primitives.js';
import { WarrenError } from '../../protocol/errors.js';
import { judgeIdentity } from '../../protocol/handshake/verdict.js';
import { nodeIdText, type NodeId, type NodeIdText } from '../../protocol/identity/node-id.js';
import type { TrustItem } from '../../protocol/identity/trust-item.js';
import type { Limits } from '../../protocol/limits.js';
import type { LinkEnd } from '../../protocol/link/index.js';
import {
  SessionSlot,
  type OpenRequest,
  type ProcessBudget,
  type Session,
  type Stream,
  type StreamHandler,
} from '../../protocol/session/index.js';
import type { SecretRecord } from '../home/statefile.js';
import { judgeLinkKeys } from '../keys/link-keys.js';
import { errorFields, type Log } from '../observe/log.js';
import { limitRepeats } from '../observe/repeats.js';
import { parseAddress, relayAddress, relayOf } from '../transport/address.js';
import type { NewLink } from '../transport/transport.js';
import { Arrivals } from './arrivals.js';
import { bringUp, peerOf, type AdmissionNeeds, type PeerLink } from './bring-up.js';
import { dialMember, type MemberDialOptions } from './dial-member.js';
import { Gossip } from './gossip.js';
import type { Concerned } from './judging.js';
import { LinkKeeper, type KeeperOptions } from './link-keeper.js';
import { Peer } from './peer.js';
import type { RelayPaths } from './relay-paths.js';
import { Strays } from './strays.js';

const KEY_GIVEN_UP = 'made with a key that was given up as compromised';

export interface PeersOptions extends MemberDialOptions {
  readonly primitives: Primitives;
  readonly random: Random;
  readonly limits: Limits;
  readonly budget: ProcessBudget;
  /** how long a link lives before its replacement, ms */
  readonly linkMs: number;
  /** peers that `peer remove` named, by node ID */
  readonly isRemoved: (id: NodeIdText) => boolean;
  readonly onStream: (stream: Stream, request: OpenRequest, peer: NodeId) => StreamHandler | Code;
  /** who is connected, or what is exposed, has changed */
  readonly onChange: () => void;
  readonly onAlarm: (sentence: string, node?: string) => void;
  /** left out: nobody is reached through others */
  readonly relay?: RelayPaths;
  /** whoever was in doubt is to be judged again: `follow`, and what goes with it */
  readonly onDoubtOver?: () => void;
}

export class Peers {
  private readonly peers = new Map<NodeIdText, Peer>();
  private readonly arriving = new Arrivals();
  private readonly gossip: Gossip;
  private readonly strays: Strays;
  /** runs until a member that is in doubt is to be judged again */
  private doubtTimer: Timer | undefined;
  private linkIds = 0;
  private stopped = false;
  /** for lines that whoever holds the network's secret can cause */
  private readonly repeats: Log;

  constructor(private readonly options: PeersOptions) {
    const { timers, log, network } = options;
    this.repeats = limitRepeats(log, timers);
    this.gossip = new Gossip(network, this.peers, timers);
    this.strays = new Strays({
      timers,
      log,
      isConnected: address => this.all().some(peer => peer.connected && peer.addresses([]).includes(address)),
      dial: async address => this.arriveOwn(await dialMember(options, address)),
    });
  }

  // What there is.

  all(): readonly Peer[] {
    return [...this.peers.values()];
  }

  get(id: NodeIdText): Peer | undefined {
    return this.peers.get(id);
  }

  /** Links that are up, those still in their catch-up included. */
  get linkCount(): number {
    return this.arriving.size + this.all().reduce((sum, peer) => sum + peer.links.size, 0);
  }

  // 1. A link arrives.

  /** From the listener: nobody waits for the outcome. */
  accept(newLink: NewLink): void {
    this.arrive(newLink, this.options.network.admission()).catch((error: unknown) => {
      const node = this.options.network.nameOf(newLink.established.peer.nodeId);
      this.repeats.info(
        'link-refused',
        { node, address: newLink.address, ...errorFields(error) },
        'a link was refused',
      );
    });
  }

  /**
   * Brings a link up and gives it to its peer's session.
   * @param before runs once the link is admitted and before the session sees it
   * @throws WarrenError why it was not admitted
   */
  async arrive(newLink: NewLink, admission: AdmissionNeeds, before?: () => void): Promise<Peer> {
    if (this.stopped) {
      newLink.transport.abort();
      throw new WarrenError('unreachable', 'This daemon is on its way out.');
    }
    this.arriving.add(newLink, this.memberOf(newLink));
    try {
      const { timers, primitives, limits } = this.options;
      const link = await bringUp({
        newLink,
        id: ++this.linkIds,
        timers,
        primitives,
        limits,
        admission,
        onAdmitted: admitted => {
          before?.();
          this.admitted(admitted);
        },
        onLimited: sentence => this.limited(newLink, sentence),
        onClosed: (closed, code, sentence, by) => this.closed(closed, code, sentence, by),
      });
      return this.peerOf(link.link.established.peer.nodeId);
    } finally {
      this.arriving.done(newLink);
    }
  }

  /** @returns the member that proved itself by the handshake; undefined when that takes the catch-up, or is no member */
  private memberOf({ established: { peer } }: NewLink): NodeIdText | undefined {
    const { network } = this.options;
    const isProven = judgeIdentity(network.trust, peer).kind === 'admitted' && network.isMember(peer.nodeId);
    return isProven ? nodeIdText(peer.nodeId) : undefined;
  }

  private admitted(link: PeerLink): void {
    const { nodeId } = link.link.established.peer;
    const peer = this.peerOf(nodeId);
    if (this.options.isRemoved(peer.id)) {
      link.link.close('removed', 'removed by the operator');
      return;
    }
    peer.linkUp(link, this.options.timers);
    peer.keeper.linkUp(link);
    // What the new link has proven may have put older ones out of date.
    this.judgeKeys(peer);
    const { transport, direction, address } = link;
    const fields = { node: this.nameOf(peer), address, transport: transport.kind, direction, link: link.link.id };
    peer.log.info('link-up', fields, 'a link is up');
    peer.slot.linkAdmitted(link.link);
    this.options.onChange();
  }

  private limited(newLink: NewLink, sentence: string): void {
    const peer = this.peers.get(peerOf(newLink));
    if (peer !== undefined) peer.problem = sentence;
    this.repeats.warn(
      'link-limited',
      { address: newLink.address, reason: sentence },
      'a link is good for the catch-up only',
    );
  }

  private closed(link: PeerLink, code: Code, sentence: string, by: LinkEnd): void {
    const peer = this.peers.get(nodeIdText(link.link.established.peer.nodeId));
    if (peer === undefined) return;
    peer.linkDown(link, this.options.timers);
    const fields = { node: this.nameOf(peer), address: link.address, link: link.link.id, code, reason: sentence };
    peer.log.info('link-down', fields, 'a link has ended');
    if (code !== 'surplus' && !peer.connected) peer.problem = sentence;
    this.options.onChange();
    peer.keeper.linkDown(link, code, by);
  }

  // 2. Peers and who keeps their links.

  private peerOf(nodeId: NodeId): Peer {
    const id = nodeIdText(nodeId);
    const known = this.peers.get(id);
    if (known !== undefined) return known;
    const log = limitRepeats(this.options.log, this.options.timers);
    const itself = (): Peer => peer;
    const peer: Peer = new Peer(id, nodeId, this.slotFor(nodeId, itself, log), this.keeperFor(nodeId, itself), log);
    this.peers.set(id, peer);
    return peer;
  }

  private slotFor(nodeId: NodeId, peer: () => Peer, log: Log): SessionSlot {
    const { network, primitives, timers, limits, budget } = this.options;
    const name = (): string => network.nameOf(nodeId);
    return new SessionSlot({
      local: network.nodeId,
      peer: nodeId,
      primitives,
      timers,
      limits,
      budget,
      stillCounts: link => judgeLinkKeys(network.trust, network.nodeId, link.established) !== 'close',
      onStream: (stream, request) => this.options.onStream(stream, request, nodeId),
      onNews: (kind, body) => this.gossip.take(nodeId, kind, body),
      onUp: () => {
        this.gossip.catchUp(nodeId);
        log.info('session-up', { node: name() }, 'a session is up');
        peer().keeper.attached();
        for (const other of this.peers.values()) if (other !== peer()) other.keeper.relayIsUp();
        this.options.onChange();
      },
      onHeld: () => {
        log.info('session-held', { node: name() }, 'a session has no link: its streams wait');
        peer().keeper.held();
        this.options.onChange();
      },
      onTrouble: link => peer().keeper.troubled(link),
      onDown: code => {
        log.info('session-down', { node: name(), code }, 'a session is over');
        this.options.onChange();
      },
      onAlarm: sentence => this.options.onAlarm(sentence, name()),
    });
  }

  private keeperFor(nodeId: NodeId, peer: () => Peer): LinkKeeper {
    const { timers, random, limits, linkMs, network, relay } = this.options;
    return new LinkKeeper({
      timers,
      random,
      limits,
      linkMs,
      links: () => peer().links,
      session: () => peer().slot.session,
      mayDial: () => !this.stopped && !this.options.isRemoved(peer().id) && network.isMember(nodeId),
      addresses: () => this.addressesOf(peer()),
      lastGood: () => peer().lastGood,
      dial: async (address, signal) => {
        const wish = { expect: nodeId, failures: peer().failedRounds, ...(signal !== undefined && { signal }) };
        await this.arriveOwn(await dialMember(this.options, address, wish));
      },
      ...(relay !== undefined && { relayed: this.relayedDials(relay, nodeId) }),
      onFailed: error => {
        // Not for each address: then one of them might meet an older secret every time.
        peer().failedRounds++;
        peer().problem = error instanceof Error ? error.message : String(error);
        this.options.log.debug(
          'dial-failed',
          { node: network.nameOf(nodeId), ...errorFields(error) },
          'dialing failed',
        );
      },
    });
  }

  private relayedDials(relay: RelayPaths, target: NodeId): NonNullable<KeeperOptions['relayed']> {
    return {
      addresses: () => relay.viaFor(nodeIdText(target)).map(relayAddress),
      dial: async (address, signal = new AbortController().signal) => {
        await this.arriveOwn(await relay.dial(relayOf(address)!, target, signal));
      },
    };
  }

  /** A link that this side has dialed, as a member of this network. */
  private arriveOwn(newLink: NewLink): Promise<Peer> {
    return this.arrive(newLink, this.options.network.admission());
  }

  /** The registry's addresses first, then those that have led there before; none of a node that tells to be outbound only. */
  addressesOf(peer: Peer): string[] {
    const told = this.options.network.trust.record(peer.nodeId)?.addresses;
    if (told?.length === 0) return [];
    return peer.addresses(told ?? []).filter(isDialable);
  }

  /**
   * Dials whoever is a member and has no link, and parts from whoever is none any more; to be called when the trust
   * store has changed, and now and then, since grants expire.
   * @param concerned whom what has changed concerns; default: everybody
   */
  follow(concerned?: Concerned): void {
    if (this.stopped) return;
    for (const peer of concerned === undefined ? this.peers.values() : this.known(concerned)) {
      this.partFromOutcast(peer);
      this.judgeKeys(peer);
    }
    const { trust } = this.options.network;
    const nodes = concerned?.values() ?? trust.members().map(member => member.node);
    for (const node of nodes) if (trust.grantForNow(node) !== undefined) this.keepLinks(node);
  }

  private known(concerned: NonNullable<Concerned>): Peer[] {
    return [...concerned.keys()].flatMap(id => this.peers.get(id) ?? []);
  }

  private keepLinks(member: NodeId): void {
    const { network } = this.options;
    // Of some the key log is not here yet.
    if (equal(member, network.nodeId) || !network.isMember(member)) return;
    const peer = this.peerOf(member);
    const told = network.trust.record(member)?.addresses ?? [];
    peer.keeper.follow(peer.isToldAnew(told));
  }

  /** Whose grant is over keeps its place and may come for the catch-up; who was revoked is forgotten. */
  private partFromOutcast(peer: Peer): void {
    const { trust } = this.options.network;
    const judgement = trust.judge(peer.nodeId);
    if (judgement.verdict === 'admitted') return;
    const until = trust.doubtUntil(peer.nodeId);
    if (judgement.code === 'not-admitted' && until !== undefined) return this.judgeAgain(until);
    if (peer.links.size > 0 || peer.slot.session !== undefined) this.cutOff(peer, judgement.code, judgement.sentence);
    if (judgement.verdict !== 'refused') return;
    peer.keeper.stop();
    this.peers.delete(peer.id);
  }

  /** An admin that gives up its keys signs anew what it stands by; a part of that may be still on its way. */
  private judgeAgain(at: number): void {
    const { timers, onDoubtOver } = this.options;
    this.doubtTimer ??= timers.after(Math.max(0, at - timers.monotonic()), () => {
      this.doubtTimer = undefined;
      if (onDoubtOver !== undefined) onDoubtOver();
      else this.follow();
    });
  }

  /**
   * Links made with keys that have been replaced since are replaced too; with keys given up as compromised, closed. The
   * statement that says so goes out on them first: else a thief's link might come before the owner's next one.
   */
  private judgeKeys(peer: Peer): void {
    const { network, timers } = this.options;
    for (const link of [...peer.links]) {
      const verdict = judgeLinkKeys(network.trust, network.nodeId, link.link.established);
      if (verdict === 'replace') peer.keeper.outdated(link);
      else if (verdict === 'close') timers.soon(() => link.link.close('key-compromised', KEY_GIVEN_UP));
    }
  }

  /** @param addresses of the config file, dialed whoever is there */
  setFixed(addresses: readonly string[]): void {
    this.strays.setFixed(addresses);
  }

  /** An address of some node of this network: worth a dial unless a link to it is up. */
  tryAddress(address: string): void {
    this.strays.try(address);
  }

  /**
   * This host's addresses have changed: links from those that are gone are dead, and whoever is out of reach may be in
   * reach now.
   * @param isHere whether an address (without port) is one of this host's
   */
  moved(isHere: (address: string) => boolean): void {
    for (const peer of this.peers.values()) {
      for (const { link, transport } of peer.links) {
        if (transport.local === undefined || isHere(hostOf(transport.local))) continue;
        link.transportClosed('the address of this host is gone');
        transport.abort();
      }
      if (!peer.connected) peer.keeper.renew();
    }
    this.strays.retryFixed();
  }

  // 3. What one tells goes to the others.

  /** Hands an item to every peer but the one that it came from. @param about the node that it is about */
  spread(item: TrustItem, from: NodeId | undefined, about?: NodeId): void {
    this.gossip.spread(item, from, about);
  }

  /** This home belongs to another network now: what was still to be told of the old one is not. */
  moveNetwork(): void {
    this.gossip.clear();
  }

  /** Hands a network secret to every peer but the one that it came from. */
  tellSecret(secret: SecretRecord, from: NodeId | undefined): void {
    this.gossip.spreadSecret(secret, from);
  }

  // What the operator asks for.

  /** Ends the peer's session and dials it no more; the owner remembers that it is removed. */
  remove(id: NodeIdText): void {
    const peer = this.peers.get(id);
    if (peer === undefined) return;
    this.cutOff(peer, 'removed', 'removed by the operator');
    this.options.onChange();
  }

  private cutOff(peer: Peer, code: Code, sentence: string): void {
    peer.slot.close(code, sentence);
    for (const { link } of peer.links) link.close(code, sentence);
  }

  /** Streams of services that have not ended, or have something left to tell. */
  get serviceStreams(): number {
    return this.all().reduce((sum, peer) => sum + (peer.slot.session?.serviceStreams ?? 0), 0);
  }

  /** The longest round trip to a peer that is connected, ms; 0 when none is. */
  get longestRttMs(): number {
    const links = this.all().flatMap(peer => [...peer.links]);
    return links.reduce((longest, { link }) => Math.max(longest, link.rttMs ?? 0), 0);
  }

  /** Tells every peer that no new stream is wanted here. */
  goaway(): void {
    for (const peer of this.peers.values()) peer.slot.goaway('draining');
  }

  /** Ends every session and link. */
  stop(code: Code): void {
    this.stopped = true;
    this.doubtTimer?.cancel();
    this.strays.stop();
    this.gossip.clear();
    for (const peer of this.peers.values()) {
      peer.keeper.stop();
      peer.slot.close(code);
      for (const { link } of peer.links) link.close(code, 'the daemon stops');
    }
    this.arriving.abort();
  }

  private nameOf(peer: Peer): string {
    return this.options.network.nameOf(peer.nodeId);
  }
}

/** @throws WarrenError `unreachable` when there is no session that takes streams */
export function sessionOf(peer: Peer | undefined, name: () => string): Session {
  const session = peer?.slot.session;
  if (session !== undefined) return session;
  throw new WarrenError('unreachable', `There is no session with ${name()} now.`, {
    hint: 'See who is connected with: warren status',
  });
}

/** @param end HOST:PORT as a transport says it */
function hostOf(end: string): string {
  return end
    .slice(0, end.lastIndexOf(':'))
    .replace(/^\[|\]$/g, '')
    .replace(/%.*$/, '');
}

function isDialable(address: string): boolean {
  try {
    parseAddress(address);
    return true;
  } catch {
    return false;
  }
}
