/**
 * The lasting relation of two nodes: owns streams, carried by 0..n links, of which one is in use. Frames come in through
 * `frame`, leave through `fill`; `attach` and `laneLost` move streams from link to link. Who may attach is decided
 * elsewhere (attach.ts).
 */
import type { Timer, Timers } from '../clock.js';
import type { Code } from '../codes.js';
import { WarrenError, malformed } from '../errors.js';
import type { NodeId } from '../identity/node-id.js';
import { MAX_STREAM_ID, type Limits } from '../limits.js';
import type { RecordDraft } from '../link/draft.js';
import { FRAME, encodeGoaway, encodePool } from '../link/frame.js';
import type { Link, LinkEnd } from '../link/link.js';
import { ControlQueue } from './control-queue.js';
import { PeerBudget, type ProcessBudget } from './credit.js';
import { FrameTaker } from './frames.js';
import { Lane, type LaneOwner } from './lane.js';
import { NewsQueue } from './news.js';
import { PoolGrant, PoolUse } from './pool.js';
import type { StreamOwner } from './stream-owner.js';
import { Stream } from './stream.js';
import { Telling } from './telling.js';
import type { OpenRequest, SessionEvents, SessionStats, StreamHandler } from './types.js';

/** Codes with which a link ends alone; with any other the session ends. */
const LINK_ONLY: ReadonlySet<Code> = new Set<Code>([
  'no-error',
  'surplus',
  'ping-timeout',
  'replaced',
  'duplicate-identity',
  'attach-failed',
]);

/** Streams that are closed but not forgotten, as a multiple of the limit of live ones. */
const LINGERING_FACTOR = 4;

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

  private lanes: Lane[] = [];
  private readonly streams = new Map<number, Stream>();
  private nextId: number;
  private liveOwn = 0;
  private readonly frames: FrameTaker;
  private readonly grant: PoolGrant;
  private readonly use = new PoolUse();
  private readonly queue: NewsQueue;
  private readonly control = new ControlQueue();
  private readonly telling: Telling;
  private graceTimer: Timer | undefined;
  private goawayCode: Code | undefined;
  private isGoawayToSend = false;
  private over: Code | undefined;
  private counts = { opened: 0, accepted: 0, sent: 0, received: 0, resent: 0, resumptions: 0 };

  constructor(options: SessionOptions) {
    const { peer, isSmaller, timers, limits, budget, events } = options;
    this.peer = peer;
    this.timers = timers;
    this.limits = limits;
    this.events = events;
    this.budget = new PeerBudget(budget, limits);
    this.grant = new PoolGrant(this.budget, limits.receive);
    this.queue = new NewsQueue(limits.session.newsBytes);
    this.telling = new Telling(timers, limits.session.windowDelayMs);
    this.nextId = isSmaller ? 0 : 1;
    this.frames = new FrameTaker(this, isSmaller ? 1 : 0, limits, timers.monotonic());
  }

  // ── for the owner ────────────────────────────────────────────────────────────────────────────────────────────────

  /** Attached links, the one in use first. */
  get links(): readonly Link[] {
    return this.lanes.map(lane => lane.link);
  }

  /** Streams that are not closed, or have something left to tell. */
  get streamCount(): number {
    return this.streams.size;
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
    if (this.liveOwn >= this.limits.session.streams || this.isCrowded) {
      throw new WarrenError('limit', `${this.liveOwn} streams to one peer are open`, { wire: 'limit' });
    }
    if (this.nextId > MAX_STREAM_ID) throw new WarrenError('limit', 'the stream ids of this session are used up');
    this.frames.checkRequest(request);
    const stream = new Stream(this, this.nextId, request, true);
    stream.setHandler(handler);
    this.nextId += 2;
    this.liveOwn++;
    this.counts.opened++;
    this.streams.set(stream.id, stream);
    return stream;
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
    if (this.goawayCode !== undefined) return;
    this.goawayCode = code;
    this.isGoawayToSend = true;
    this.wake();
  }

  /** Ends the session: streams are reset with `code`, links closed with it. */
  close(code: Code, sentence = ''): void {
    if (this.over !== undefined) return;
    this.over = code;
    this.telling.stop();
    this.graceTimer?.cancel();
    const { lanes } = this;
    this.lanes = [];
    for (const lane of lanes) lane.link.close(code, sentence);
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

  /** A link has proven itself: it carries the session from now on. Returns the links that were in use before. */
  attach(link: Link, isNew: boolean): readonly Link[] {
    const wasHeld = this.lanes.length === 0;
    const before = this.links;
    const lane = new Lane(link, this);
    this.graceTimer?.cancel();
    this.graceTimer = undefined;
    this.lanes.unshift(lane);
    if (!isNew && wasHeld) this.counts.resumptions++;
    link.setHandler(lane);
    if (link.rttMs === null) link.ping();
    this.resync(lane, wasHeld);
    this.events.onUp(this);
    return before;
  }

  /** The streams have moved away: the link closes when all it sent is acknowledged. */
  retire(link: Link): void {
    const lane = this.lanes.find(l => l.link === link);
    if (lane === undefined || lane.isRetiring) return;
    lane.isRetiring = true;
    this.timers.after(this.limits.link.retireMs, () => link.close('replaced'));
    this.laneAcked(lane);
  }

  laneAcked(lane: Lane): void {
    if (lane.isRetiring && lane.link.inFlight === 0) lane.link.close('replaced');
  }

  laneLost(lane: Lane, code: Code, sentence: string, by: LinkEnd): void {
    if (this.over !== undefined) return;
    if (by !== 'transport' && !LINK_ONLY.has(code)) return this.close(code, sentence);
    const wasInUse = this.lanes[0] === lane;
    this.lanes = this.lanes.filter(l => l !== lane);
    const next = this.lanes[0];
    if (next === undefined) return this.hold();
    // Whatever was on the lost link goes again on the one in use; what arrives twice is dropped there.
    if (wasInUse) this.resync(next, true);
    if (wasInUse || lane.link.inFlight > 0) for (const stream of this.streams.values()) stream.resume();
    if (wasInUse) this.events.onUp(this);
  }

  private hold(): void {
    this.queue.clear();
    const { graceMs } = this.limits.session;
    this.graceTimer = this.timers.after(graceMs, () => this.close('grace-over', 'no link for the grace time'));
    this.events.onHeld(this);
  }

  /** Tells everything again, streams in order of their ids, then RESUMED. @param lost data on its way is gone */
  private resync(lane: Lane, lost: boolean): void {
    this.control.clear();
    this.grant.forgetTold();
    this.isGoawayToSend = this.goawayCode !== undefined;
    for (const id of [...this.streams.keys()].sort((a, b) => a - b)) this.streams.get(id)!.resync(lost);
    lane.toResync = this.control.length;
    for (const stream of this.streams.values()) lane.scheduler.activate(stream);
    lane.link.wake();
  }

  private wake(): void {
    this.lanes[0]?.link.wake();
  }

  // ── frames coming in ─────────────────────────────────────────────────────────────────────────────────────────────

  frame(lane: Lane, type: number, body: Uint8Array): void {
    if (type === FRAME.RESUMED) return this.takeResumed(lane, body);
    this.frames.take(type, body, this.now());
  }

  private takeResumed(lane: Lane, body: Uint8Array): void {
    if (body.length !== 0) throw malformed('RESUMED', `${body.length} bytes too many`);
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

  /** So many streams wait for the peer to know that they are over that it must be holding that knowledge back. */
  get isCrowded(): boolean {
    return this.streams.size >= LINGERING_FACTOR * this.limits.session.streams;
  }

  /** The peer opens a stream. `claim` is taken out of the pool. */
  takeOpen(id: number, request: OpenRequest, claim: number, limit: number, isFull: boolean): void {
    this.grant.take(claim);
    const stream = new Stream(this, id, request, false);
    this.streams.set(id, stream);
    this.counts.accepted++;
    stream.takeOpen(claim, limit);
    if (this.goawayCode !== undefined) stream.reset('draining', false);
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
    if (lane !== this.lanes[0] || this.over !== undefined) return;
    this.telling.ride();
    this.telling.retry();
    const isLive = (stream: Stream): boolean => this.streams.get(stream.id) === stream;
    if (!this.fillOwn(draft) || !this.control.fill(lane, draft, isLive)) return;
    lane.scheduler.fillSparse(draft);
    if (draft.isFull || !this.queue.fill(draft)) return;
    const before = draft.size;
    lane.scheduler.fillHeavy(draft);
    if (draft.size > before) lane.scheduler.fillSparse(draft);
  }

  private fillOwn(draft: RecordDraft): boolean {
    if (this.isGoawayToSend) {
      if (!draft.frame(FRAME.GOAWAY, encodeGoaway(this.goawayCode!))) return false;
      this.isGoawayToSend = false;
    }
    if (!this.grant.raise()) return true;
    if (!draft.frame(FRAME.POOL, encodePool(this.grant.limit))) return false;
    this.grant.told();
    return true;
  }

  // ── what streams call ────────────────────────────────────────────────────────────────────────────────────────────

  now(): number {
    return this.timers.monotonic();
  }

  rttMs(): number | null {
    return this.lanes[0]?.link.rttMs ?? null;
  }

  claim(): number {
    return this.use.claim();
  }

  hasControl(stream: Stream): void {
    if (this.over === undefined && this.control.add(stream)) this.wake();
  }

  hasData(stream: Stream): void {
    const lane = this.lanes[0];
    if (lane === undefined) return;
    lane.scheduler.activate(stream);
    lane.link.wake();
  }

  lags(stream: Stream): void {
    this.telling.lags(stream);
  }

  rides(stream: Stream): void {
    this.telling.rides(stream);
  }

  starves(stream: Stream): void {
    this.telling.starves(stream);
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
    this.telling.forget(stream);
    for (const lane of this.lanes) lane.scheduler.remove(stream);
  }
}
