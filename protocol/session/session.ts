/**
 * The lasting relation of two nodes: owns streams, carried by 0..n links. Frames come in through `frame`, leave through
 * `fill`; `attach`, `laneLost` and `laneTicked` move streams from link to link. Which link carries what is decided in
 * lanes.ts, who may attach in attach.ts.
 */
import type { Timer, Timers } from '../clock.js';
import { LINK_ONLY, type Code } from '../codes.js';
import { WarrenError, malformed } from '../errors.js';
import type { NodeId } from '../identity/node-id.js';
import { MAX_STREAM_ID, type Limits } from '../limits.js';
import type { RecordDraft } from '../link/draft.js';
import { FRAME } from '../link/frame.js';
import type { Link, LinkEnd } from '../link/link.js';
import { ControlFrames } from './control-frames.js';
import { PeerBudget, type ProcessBudget } from './credit.js';
import { FrameTaker } from './frames.js';
import { Lane, type LaneOwner } from './lane.js';
import { Lanes } from './lanes.js';
import { NewsQueue } from './news.js';
import { PoolGrant, PoolUse } from './pool.js';
import type { StreamOwner } from './stream-owner.js';
import { encodeRequest } from './open-request.js';
import { Stream } from './stream.js';
import type { OpenRequest, SessionEvents, SessionStats, StreamHandler } from './types.js';

/** Streams that are closed but not forgotten, as a multiple of the limit of live ones. */
const LINGERING_FACTOR = 4;
/** ... those of both sides, and those that the peer may have forgotten already: no honest peer brings it to more. */
const CROWD_FACTOR = 3 * LINGERING_FACTOR;
/** Frames of one link whose arrival streams wait for, as a multiple of the same: each of the four kinds, for each stream. */
const TRACKED_FACTOR = 4 * CROWD_FACTOR;

export interface SessionOptions {
  readonly peer: NodeId;
  /** This node has the smaller ID: its streams have even ids. */
  readonly isSmaller: boolean;
  readonly timers: Timers;
  readonly limits: Limits;
  readonly budget: ProcessBudget;
  readonly events: SessionEvents;
}

export class Session implements StreamOwner, LaneOwner {
  readonly peer: NodeId;
  readonly limits: Limits;
  readonly budget: PeerBudget;
  private readonly timers: Timers;
  private readonly events: SessionEvents;

  private readonly lanes: Lanes;
  private readonly streams = new Map<number, Stream>();
  private nextId: number;
  private liveOwn = 0;
  private readonly frames: FrameTaker;
  private readonly grant: PoolGrant;
  private readonly use = new PoolUse();
  private readonly queue: NewsQueue;
  private readonly control: ControlFrames;
  private graceTimer: Timer | undefined;
  private over: Code | undefined;
  private counts = { opened: 0, accepted: 0, sent: 0, received: 0, resent: 0, resumptions: 0 };

  constructor(options: SessionOptions) {
    const { peer, isSmaller, timers, limits, budget, events } = options;
    this.peer = peer;
    this.timers = timers;
    this.limits = limits;
    this.events = events;
    this.lanes = new Lanes(timers, limits);
    this.budget = new PeerBudget(budget, limits);
    this.grant = new PoolGrant(this.budget, limits.receive);
    this.queue = new NewsQueue(limits.session.newsBytes);
    this.control = new ControlFrames({ timers, delays: limits.session, grant: this.grant, wake: () => this.wake() });
    this.nextId = isSmaller ? 0 : 1;
    this.frames = new FrameTaker(this, isSmaller ? 1 : 0, limits, timers.monotonic());
  }

  // ── for the owner ────────────────────────────────────────────────────────────────────────────────────────────────

  /** Attached links, the one that leads first. */
  get links(): readonly Link[] {
    return this.lanes.all().map(lane => lane.link);
  }

  /** Attached links that are not about to close. */
  get standing(): readonly Link[] {
    return this.lanes.all().flatMap(lane => (lane.isRetiring ? [] : [lane.link]));
  }

  /** Attached links of rank 0 that are neither in trouble nor about to close. */
  get sound(): number {
    return this.lanes.sound;
  }

  /** Streams that are not closed, or have something left to tell. */
  get streamCount(): number {
    return this.streams.size;
  }

  /** The same without those that carry links of others. */
  get serviceStreams(): number {
    let count = 0;
    for (const stream of this.streams.values()) if (!stream.isRelay) count++;
    return count;
  }

  /** A link carries the session now. */
  get isCarried(): boolean {
    return this.lanes.length > 0;
  }

  /** No link carries the session now. */
  get isHeld(): boolean {
    return this.lanes.length === 0 && this.over === undefined;
  }

  get isOver(): boolean {
    return this.over !== undefined;
  }

  /** The peer takes no new streams. */
  get isPeerLeaving(): boolean {
    return this.frames.peerGoaway !== undefined;
  }

  /**
   * Opens a stream; the peer hears of it at the end of this turn, or when a link is there again.
   * @throws WarrenError `unreachable` after the peer's goaway or the end, `limit` with too many streams, `bad-value`
   */
  open(request: OpenRequest, handler: StreamHandler): Stream {
    if (this.over !== undefined) throw new WarrenError('unreachable', 'the session is over', { wire: this.over });
    if (this.frames.peerGoaway !== undefined) {
      throw new WarrenError('unreachable', 'the peer takes no new streams', { wire: 'draining' });
    }
    if (this.liveOwn >= this.limits.session.streams || this.hasMany) {
      throw new WarrenError('limit', `${this.liveOwn} streams to one peer are open`, { wire: 'limit' });
    }
    if (this.nextId > MAX_STREAM_ID) throw new WarrenError('limit', 'the stream ids of this session are used up');
    const stream = new Stream(this, this.nextId, request, encodeRequest(request));
    stream.setHandler(handler);
    this.nextId += 2;
    this.liveOwn++;
    this.counts.opened++;
    this.streams.set(stream.id, stream);
    return stream;
  }

  /** What the first POOL says, for who tells it before a link carries the session. */
  firstPool(): number {
    this.grant.raise();
    return this.grant.limit;
  }

  /**
   * Queues an item for the peer (1 byte kind, at most 64 KiB); without a link nothing happens: `onUp` is the time to tell.
   * @throws WarrenError `limit`
   */
  news(kind: number, body: Uint8Array): void {
    if (this.lanes.length === 0) return;
    this.queue.push(kind, body);
    this.wake();
  }

  /** The peer may open no more streams; open ones run on. */
  goaway(code: Code = 'draining'): void {
    this.control.goaway(code);
  }

  /** Ends the session: streams are reset with `code`, links closed with it. */
  close(code: Code, sentence = ''): void {
    if (this.over !== undefined) return;
    this.over = code;
    this.control.stop();
    this.graceTimer?.cancel();
    for (const lane of this.lanes.clear()) lane.link.close(code, sentence);
    for (const stream of [...this.streams.values()]) stream.fail(code, stream.mayHaveDialed);
    this.streams.clear();
    this.control.clear();
    this.queue.clear();
    this.budget.close();
    this.events.onDown(code, this);
  }

  stats(): SessionStats {
    return {
      streams: this.streams.size,
      links: this.lanes.length,
      opened: this.counts.opened,
      accepted: this.counts.accepted,
      bytesSent: this.counts.sent,
      bytesReceived: this.counts.received,
      bytesResent: this.counts.resent,
      granted: this.budget.granted,
      retained: this.budget.retained,
      heldOutOfOrder: this.bytesAhead(),
      resumptions: this.counts.resumptions,
    };
  }

  private bytesAhead(): number {
    let bytes = 0;
    for (const stream of this.streams.values()) bytes += stream.bytesAhead;
    return bytes;
  }

  // ── links ────────────────────────────────────────────────────────────────────────────────────────────────────────

  /** A link has proven itself: it leads from now on. */
  attach(link: Link, isNew: boolean): void {
    const wasHeld = this.lanes.length === 0;
    const lane = new Lane(link, this);
    this.graceTimer?.cancel();
    this.graceTimer = undefined;
    this.lanes.add(lane);
    if (!isNew && wasHeld) this.counts.resumptions++;
    link.setHandler(lane);
    if (link.rttMs === null) link.ping();
    this.lead(lane, wasHeld);
  }

  /** Another link has taken over: this one closes when all it sent is acknowledged. */
  retire(link: Link): void {
    const lane = this.lanes.find(link);
    if (lane === undefined || lane.isRetiring) return;
    lane.isRetiring = true;
    this.timers.after(this.limits.link.retireMs, () => link.close('replaced'));
    this.vacate(lane);
    this.laneAcked(lane);
  }

  laneAcked(lane: Lane): void {
    if (lane.isRetiring && lane.link.inFlight === 0) lane.link.close('replaced');
  }

  laneLost(lane: Lane, code: Code, sentence: string, by: LinkEnd): void {
    if (this.over !== undefined) return;
    if (by !== 'transport' && !LINK_ONLY.has(code)) return this.close(code, sentence);
    const next = this.lanes.remove(lane);
    if (this.lanes.length === 0) return this.hold();
    if (next !== undefined) this.lead(next, false);
    this.breakOff(stream => lane.holds(stream));
    this.sendAgain(lane);
    this.moveWaiting(lane);
  }

  laneTicked(lane: Lane): boolean {
    const trouble = this.lanes.watch(lane);
    if (trouble === undefined) return lane.slowSince !== undefined;
    if (trouble === 'slow') {
      this.retire(lane.link);
    } else {
      lane.isInTrouble = true;
      this.vacate(lane);
      // It may come too late: what arrives twice is dropped there.
      this.sendAgain(lane);
    }
    this.events.onTrouble?.(lane.link, trouble, this);
    return true;
  }

  turnedHeavy(lane: Lane, stream: Stream): boolean {
    if (lane !== this.lanes.lead || !stream.isSettled) return false;
    const other = this.lanes.laneForHeavy();
    if (other === undefined || other === lane) return false;
    stream.lane = other;
    other.scheduler.activateHeavy(stream);
    other.link.wake();
    return true;
  }

  /** The lane is no good for new frames: what waits on it goes elsewhere. */
  private vacate(lane: Lane): void {
    if (this.lanes.lead === lane) {
      const next = this.lanes.chooseLead();
      if (next !== undefined) this.lead(next, false);
    }
    this.moveWaiting(lane);
  }

  private moveWaiting(lane: Lane): void {
    for (const stream of lane.scheduler.withdrawAll()) this.hasData(stream);
  }

  /** Whatever the lane may have lost goes again, on other lanes. */
  private sendAgain(lane: Lane): void {
    for (const stream of this.streams.values()) if (!stream.isRelay && lane.holds(stream)) stream.resume();
  }

  /** Relay streams are not resumed: what runs within them does that end to end. */
  private breakOff(isLost: (stream: Stream) => boolean): void {
    for (const stream of [...this.streams.values()]) if (stream.isRelay && isLost(stream)) stream.breakOff('link-lost');
  }

  private hold(): void {
    this.queue.clear();
    const { graceMs } = this.limits.session;
    this.graceTimer = this.timers.after(graceMs, () => this.close('grace-over', 'no link for the grace time'));
    this.breakOff(() => true);
    this.events.onHeld(this);
  }

  /** The lane leads: tells everything again, streams in order of their ids, then RESUMED. @param lost data is gone */
  private lead(lane: Lane, lost: boolean): void {
    // One hop: what relays a link does not itself go through another node.
    if (lane.link.rank > 0) this.breakOff(() => true);
    this.control.restart();
    for (const id of [...this.streams.keys()].sort((a, b) => a - b)) this.streams.get(id)!.resync(lost);
    for (const other of this.lanes.all()) other.toResync = -1;
    lane.toResync = this.control.length;
    for (const stream of this.streams.values()) {
      // What the peer may not know yet is opened on this lane, so its data stays behind that.
      if (!stream.isSettled) stream.lane?.scheduler.withdraw(stream);
      this.hasData(stream);
    }
    lane.link.wake();
    this.events.onUp(this);
  }

  private wake(): void {
    this.lanes.lead?.link.wake();
  }

  // ── frames coming in ─────────────────────────────────────────────────────────────────────────────────────────────

  frame(lane: Lane, type: number, body: Uint8Array): void {
    if (type === FRAME.RESUMED) return this.takeResumed(lane, body);
    this.frames.take(type, body, this.now());
  }

  private takeResumed(lane: Lane, body: Uint8Array): void {
    if (body.length !== 0) throw malformed('RESUMED', `${body.length} bytes too many`);
    if (lane.hasPeerState && lane !== this.lanes.lead) this.lanes.doubt();
    if (lane.hasPeerState) return;
    lane.hasPeerState = true;
    for (const stream of this.streams.values()) if (stream.isStale) stream.resume();
  }

  stream(id: number): Stream | undefined {
    return this.streams.get(id);
  }

  isOwnId(id: number): boolean {
    return id % 2 === this.nextId % 2;
  }

  /** True for an id of this side that was given out. */
  wasOpened(id: number): boolean {
    return id < this.nextId;
  }

  takePool(limit: number): void {
    this.use.raise(limit);
  }

  takeNews(kind: number, bytes: Uint8Array): void {
    this.events.onNews(kind, bytes, this);
  }

  countReceived(bytes: number): void {
    this.counts.received += bytes;
  }

  /** So many streams wait for the peer to know that they are over that this side opens no more. */
  private get hasMany(): boolean {
    return this.streams.size >= LINGERING_FACTOR * this.limits.session.streams;
  }

  /** ... that the peer must be holding that knowledge back. */
  get isCrowded(): boolean {
    return this.streams.size >= CROWD_FACTOR * this.limits.session.streams;
  }

  get mostTracked(): number {
    return TRACKED_FACTOR * this.limits.session.streams;
  }

  /** The peer opens a stream. `claim` is taken out of the pool. */
  takeOpen(id: number, request: OpenRequest, claim: number, limit: number, isFull: boolean): void {
    this.grant.take(claim);
    const stream = new Stream(this, id, request);
    this.streams.set(id, stream);
    this.counts.accepted++;
    stream.takeOpen(claim, limit);
    if (this.control.goawayCode !== undefined) stream.reset('draining', false);
    else if (isFull) stream.reset('limit', false);
    else this.offer(stream, request);
    if (stream.state === 'closed') this.frames.countRefusal();
  }

  private offer(stream: Stream, request: OpenRequest): void {
    const answer = this.events.onStream(stream, request, this);
    if (typeof answer === 'string') stream.reset(answer, false);
    else stream.setHandler(answer);
  }

  // ── frames going out ─────────────────────────────────────────────────────────────────────────────────────────────

  fill(lane: Lane, draft: RecordDraft): void {
    if (this.over !== undefined) return;
    const leads = lane === this.lanes.lead;
    if (leads && !this.control.fill(lane, draft, this.isLive)) return;
    lane.scheduler.fillSparse(draft);
    if (draft.isFull || (leads && !this.queue.fill(draft))) return;
    const before = draft.size;
    lane.scheduler.fillHeavy(draft);
    if (draft.size > before) lane.scheduler.fillSparse(draft);
  }

  private readonly isLive = (stream: Stream): boolean => this.streams.get(stream.id) === stream;

  // ── what streams call ────────────────────────────────────────────────────────────────────────────────────────────

  now(): number {
    return this.timers.monotonic();
  }

  rttMs(): number | null {
    return this.lanes.lead?.link.rttMs ?? null;
  }

  claim(): number {
    return this.use.claim();
  }

  hasControl(stream: Stream): void {
    this.control.add(stream);
  }

  hasOpen(stream: Stream): void {
    this.control.addOpen(stream);
  }

  hasData(stream: Stream): void {
    const lane = this.lanes.laneFor(stream);
    if (lane === undefined) return;
    lane.scheduler.activate(stream);
    if (!this.control.isAsking || lane !== this.lanes.lead) lane.link.wake();
  }

  hasWritten(stream: Stream): void {
    this.hasData(stream);
    this.lanes.laneFor(stream)?.link.wokenFor(stream.sendable);
  }

  /** A stream that was opened with much to say has had to wait for this. */
  settled(stream: Stream): void {
    const { lane } = stream;
    if (lane?.scheduler.hasHeavy(stream) !== true || !this.turnedHeavy(lane, stream)) return;
    lane.scheduler.withdraw(stream);
  }

  lags(stream: Stream): void {
    this.control.telling.lags(stream);
  }

  rides(stream: Stream): void {
    this.control.telling.rides(stream);
  }

  trails(stream: Stream): void {
    this.control.telling.trails(stream);
  }

  starves(stream: Stream): void {
    this.control.telling.starves(stream);
  }

  sent(fresh: number, again: number): void {
    this.counts.sent += fresh;
    this.counts.resent += again;
  }

  drains(stream: Stream): void {
    this.timers.soon(() => stream.drain());
  }

  closed(stream: Stream): void {
    if (stream.isOpener) this.liveOwn--;
    else this.frames.peerStreamClosed();
  }

  forget(stream: Stream): void {
    if (this.streams.get(stream.id) !== stream) return;
    this.streams.delete(stream.id);
    this.control.telling.forget(stream);
    for (const lane of this.lanes.all()) lane.scheduler.remove(stream);
  }
}
