/**
 * The table of remote nodes: links come in, are brought up and given to the peer's session; peers without a link are
 * dialed; what one peer tells of the network is kept and passed on to the others.
 *
 * 1. `arrive`: a handshake is done (listener.ts, dial.ts) → bring-up.ts → the peer's slot decides what the link is for.
 * 2. `follow`: members come and go with the trust store; each gets a dial loop.
 * 3. `spread`: every item that this node takes in goes to every peer but the one that it came from.
 */
import type { Random, Timer, Timers } from '../../protocol/clock.js';
import type { Code } from '../../protocol/codes.js';
import type { Primitives } from '../../protocol/crypto/primitives.js';
import type { AeadName } from '../../protocol/crypto/primitives.js';
import { WarrenError } from '../../protocol/errors.js';
import { judgeIdentity } from '../../protocol/handshake/verdict.js';
import { nodeIdText, type NodeId, type NodeIdText } from '../../protocol/identity/node-id.js';
import { ITEM_KINDS, kindOf, type TrustItem } from '../../protocol/identity/trust-item.js';
import type { Limits } from '../../protocol/limits.js';
import {
  SessionSlot,
  type OpenRequest,
  type ProcessBudget,
  type Session,
  type Stream,
  type StreamHandler,
} from '../../protocol/session/index.js';
import { errorFields, type Log } from '../observe/log.js';
import { limitRepeats } from '../observe/repeats.js';
import { dial, type ProxyChooser } from '../transport/dial.js';
import type { DialTls } from '../transport/tls.js';
import { parseAddress } from '../transport/address.js';
import type { NewLink } from '../transport/transport.js';
import { Arrivals } from './arrivals.js';
import { bringUp, peerOf, type AdmissionNeeds, type PeerLink } from './bring-up.js';
import { DialLoop } from './dial-loop.js';
import { LinkAge } from './link-age.js';
import type { Network } from './network.js';
import { Peer } from './peer.js';

/** Addresses of unknown nodes (config, mDNS) are tried again this often, ms. */
const STRAY_RETRY_MS = 30_000;
/** Unknown addresses that are being tried at a time. */
const MAX_STRAY_DIALS = 16;

export interface PeersOptions {
  readonly network: Network;
  readonly primitives: Primitives;
  readonly timers: Timers;
  readonly random: Random;
  readonly log: Log;
  readonly limits: Limits;
  readonly budget: ProcessBudget;
  /** how long a link lives before its replacement, ms */
  readonly linkMs: number;
  /** the suite that this node picks when it dials */
  readonly suite: () => AeadName;
  /** peers that `peer remove` named, by node ID */
  readonly isRemoved: (id: NodeIdText) => boolean;
  readonly onStream: (stream: Stream, request: OpenRequest, peer: NodeId) => StreamHandler | Code;
  /** who is connected, or what is exposed, has changed */
  readonly onChange: () => void;
  readonly onAlarm: (sentence: string, node?: string) => void;
  readonly tls?: DialTls;
  /** asked at each dial, since the config may change it */
  readonly proxy?: ProxyChooser;
}

export class Peers {
  private readonly peers = new Map<NodeIdText, Peer>();
  private readonly arriving = new Arrivals();
  private readonly ages = new Map<PeerLink, LinkAge>();
  private readonly strays = new Set<string>();
  private fixed: readonly string[] = [];
  private retry: Timer | undefined;
  private linkIds = 0;
  private stopped = false;
  /** for lines that whoever holds the network's secret can cause */
  private readonly repeats: Log;

  constructor(private readonly options: PeersOptions) {
    this.repeats = limitRepeats(options.log, options.timers);
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
        onClosed: (closed, code, sentence) => this.closed(closed, code, sentence),
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
    this.ages.set(link, this.watchAge(peer, link));
    const { transport, direction, address } = link;
    const fields = { node: this.nameOf(peer), address, transport: transport.kind, direction, link: link.link.id };
    peer.log.info('link-up', fields, 'a link is up');
    peer.slot.linkAdmitted(link.link);
    this.options.onChange();
  }

  /** The address that led to this link leads to its replacement. */
  private watchAge(peer: Peer, link: PeerLink): LinkAge {
    const { timers, random, linkMs } = this.options;
    return new LinkAge({
      timers,
      random,
      linkMs,
      isDialer: link.direction === 'dialed',
      replace: async () => void (await this.dial(link.address, { expect: peer.nodeId })),
      end: () => link.link.close('replaced', 'the link has lived its time'),
    });
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

  private closed(link: PeerLink, code: Code, sentence: string): void {
    const peer = this.peers.get(nodeIdText(link.link.established.peer.nodeId));
    if (peer === undefined) return;
    peer.linkDown(link, this.options.timers);
    this.ages.get(link)?.stop();
    this.ages.delete(link);
    const fields = { node: this.nameOf(peer), address: link.address, link: link.link.id, code, reason: sentence };
    peer.log.info('link-down', fields, 'a link has ended');
    if (code !== 'surplus' && !peer.connected) peer.problem = sentence;
    this.options.onChange();
    if (code !== 'surplus') peer.dialer.lost(this.options.timers.now() - link.since);
  }

  // 2. Peers and who dials them.

  private peerOf(nodeId: NodeId): Peer {
    const id = nodeIdText(nodeId);
    const known = this.peers.get(id);
    if (known !== undefined) return known;
    const log = limitRepeats(this.options.log, this.options.timers);
    const peer: Peer = new Peer(
      id,
      nodeId,
      this.slotFor(nodeId, log),
      this.dialerFor(nodeId, () => peer),
      log,
    );
    this.peers.set(id, peer);
    return peer;
  }

  private slotFor(nodeId: NodeId, log: Log): SessionSlot {
    const { network, primitives, timers, limits, budget } = this.options;
    const name = (): string => network.nameOf(nodeId);
    return new SessionSlot({
      local: network.nodeId,
      peer: nodeId,
      primitives,
      timers,
      limits,
      budget,
      onStream: (stream, request) => this.options.onStream(stream, request, nodeId),
      onNews: (kind, body) => this.news(nodeId, kind, body),
      onUp: () => {
        for (const item of network.recentFor(nodeId)) this.tell(nodeIdText(nodeId), item);
        log.info('session-up', { node: name() }, 'a session is up');
        this.options.onChange();
      },
      onHeld: () => {
        log.info('session-held', { node: name() }, 'a session has no link: its streams wait');
        this.options.onChange();
      },
      onDown: code => {
        log.info('session-down', { node: name(), code }, 'a session is over');
        this.options.onChange();
      },
      onAlarm: sentence => this.options.onAlarm(sentence, name()),
    });
  }

  private dialerFor(nodeId: NodeId, peer: () => Peer): DialLoop {
    const { timers, random, network } = this.options;
    return new DialLoop({
      timers,
      random,
      addresses: () => this.addressesOf(peer()),
      wanted: () =>
        !this.stopped && peer().links.size === 0 && !this.options.isRemoved(peer().id) && network.isMember(nodeId),
      dial: async (address, signal) => void (await this.dial(address, { expect: nodeId, signal })),
      onFailed: error => {
        peer().problem = error instanceof Error ? error.message : String(error);
        this.options.log.debug(
          'dial-failed',
          { node: network.nameOf(nodeId), ...errorFields(error) },
          'dialing failed',
        );
      },
    });
  }

  /** The registry's addresses first, then those that have led there before. */
  addressesOf(peer: Peer): string[] {
    const told = this.options.network.trust.record(peer.nodeId)?.addresses ?? [];
    return peer.addresses(told).filter(isDialable);
  }

  /** Dials one address with the network's secret. @throws WarrenError */
  private async dial(
    address: string,
    wish: { readonly expect?: NodeId; readonly signal?: AbortSignal },
  ): Promise<Peer> {
    const { network, timers, log, tls, proxy } = this.options;
    const newLink = await dial({
      address,
      context: network.context(),
      psk: network.currentPsk(),
      suite: this.options.suite(),
      timers,
      log,
      ...wish,
      ...(tls === undefined ? {} : { tls }),
      ...(proxy === undefined ? {} : { proxy }),
    });
    return this.arrive(newLink, network.admission());
  }

  /**
   * Dials whoever is a member and has no link, and parts from whoever is none any more; to be called when the trust
   * store has changed, and now and then, since grants expire.
   */
  follow(): void {
    if (this.stopped) return;
    for (const peer of this.peers.values()) this.partFromOutcast(peer);
    for (const member of this.options.network.trust.members()) {
      if (nodeIdText(member.node) === nodeIdText(this.options.network.nodeId)) continue;
      const peer = this.peerOf(member.node);
      const told = this.options.network.trust.record(peer.nodeId)?.addresses ?? [];
      const isToldAnew = peer.isToldAnew(told);
      if (peer.links.size > 0) continue;
      // What somebody else tells must not undo the pauses between failed dials.
      if (isToldAnew) peer.dialer.wake();
      else peer.dialer.nudge();
    }
  }

  /** Whose grant is over keeps its place and may come for the catch-up; who was revoked is forgotten. */
  private partFromOutcast(peer: Peer): void {
    const judgement = this.options.network.trust.judge(peer.nodeId);
    if (judgement.verdict === 'admitted') return;
    if (peer.links.size > 0 || peer.slot.session !== undefined) this.cutOff(peer, judgement.code, judgement.sentence);
    if (judgement.verdict !== 'refused') return;
    peer.dialer.stop();
    this.peers.delete(peer.id);
  }

  /** @param addresses of the config file, dialed whoever is there */
  setFixed(addresses: readonly string[]): void {
    this.fixed = addresses;
    this.retryFixed();
  }

  private retryFixed(): void {
    this.retry?.cancel();
    if (this.stopped || this.fixed.length === 0) return;
    for (const address of this.fixed) this.tryAddress(address);
    this.retry = this.options.timers.after(STRAY_RETRY_MS, () => this.retryFixed());
  }

  /** An address of some node of this network: worth a dial unless a link to it is up. */
  tryAddress(address: string): void {
    if (this.stopped || this.strays.has(address) || this.strays.size >= MAX_STRAY_DIALS) return;
    if (this.all().some(peer => peer.connected && peer.addresses([]).includes(address))) return;
    this.strays.add(address);
    this.dial(address, {})
      .then(peer => peer.learn(address))
      .catch((error: unknown) =>
        this.options.log.debug('dial-failed', { address, ...errorFields(error) }, 'dialing failed'),
      )
      .finally(() => this.strays.delete(address));
  }

  // 3. What one tells goes to the others.

  private news(from: NodeId, kind: number, body: Uint8Array): void {
    const known = kindOf(kind);
    if (known === undefined) return;
    this.options.network.learn([{ kind: known, bytes: body.slice() }], from);
  }

  /** Hands an item to every peer but the one that it came from. */
  spread(item: TrustItem, from: NodeId | undefined): void {
    const source = from === undefined ? undefined : nodeIdText(from);
    for (const peer of this.peers.values()) {
      if (peer.id !== source && peer.slot.session !== undefined) this.tell(peer.id, item);
    }
  }

  /** A peer that does not take its news loses its session; what it missed comes with the next catch-up. */
  private tell(id: NodeIdText, item: TrustItem): void {
    const peer = this.peers.get(id);
    try {
      peer?.slot.news(ITEM_KINDS[item.kind], item.bytes);
    } catch (error) {
      peer?.log.warn('news-not-taken', { node: this.nameOf(peer), ...errorFields(error) }, 'a peer takes no news');
      peer?.slot.close('limit', 'the peer does not take its news');
    }
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

  /** Tells every peer that no new stream is wanted here. */
  goaway(): void {
    for (const peer of this.peers.values()) peer.slot.goaway('draining');
  }

  /** Ends every session and link. */
  stop(code: Code): void {
    this.stopped = true;
    this.retry?.cancel();
    for (const peer of this.peers.values()) {
      peer.dialer.stop();
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
export function sessionOf(peer: Peer | undefined, name: string): Session {
  const session = peer?.slot.session;
  if (session !== undefined) return session;
  throw new WarrenError('unreachable', `There is no session with ${name} now.`, {
    hint: 'See who is connected with: warren status',
  });
}

function isDialable(address: string): boolean {
  try {
    parseAddress(address);
    return true;
  } catch {
    return false;
  }
}
