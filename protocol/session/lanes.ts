/**
 * The links that carry a session, and which of them carries what. One lane has the lead: it tells the session's own
 * frames and all control frames, and carries whoever has little to say. Streams with much to say go on the others, so
 * that nobody queues behind them. A stream is on one lane at a time: its lane changes when that one is no good any more,
 * or when all it has sent there has arrived, so that the peer hardly ever has to put bytes in order.
 *
 *   sound: takes streams · in trouble: the peer owes answers on it, and gives them on another · retiring: about to close
 */
import type { Timers } from '../clock.js';
import type { Limits } from '../limits.js';
import type { Link } from '../link/link.js';
import type { Lane } from './lane.js';
import type { Stream } from './stream.js';

/** A lane is far slower than another one when its round trip is this many times as long, and SLOW_LEAST_MS longer. */
const SLOW_FACTOR = 4;
const SLOW_LEAST_MS = 200;
/** ... for so long, ms. */
const SLOW_FOR_MS = 3_000;
/** A slow lane is replaced no more often than this, ms. */
const SLOW_PAUSE_MS = 60_000;
/** An answer is owed for no shorter than this many round trips before that counts as trouble. */
const TROUBLE_ROUND_TRIPS = 4;

/** What is wrong with a lane. */
export type Trouble = 'silent' | 'slow';

export class Lanes {
  /** Newest first. */
  private list: Lane[] = [];
  private leading: Lane | undefined;
  private slowReplacedAt = Number.NEGATIVE_INFINITY;

  constructor(
    private readonly timers: Timers,
    private readonly limits: Limits,
  ) {}

  get length(): number {
    return this.list.length;
  }

  /** The lane that leads; undefined without any. */
  get lead(): Lane | undefined {
    return this.leading;
  }

  /** The one that leads first. */
  all(): readonly Lane[] {
    const { leading } = this;
    return leading === undefined ? this.list : [leading, ...this.list.filter(lane => lane !== leading)];
  }

  find(link: Link): Lane | undefined {
    return this.list.find(lane => lane.link === link);
  }

  /** Direct lanes that streams may be given to. */
  get sound(): number {
    return this.list.filter(lane => lane.isSound && lane.link.rank === 0).length;
  }

  /** The new lane leads from now on. */
  add(lane: Lane): void {
    this.list.unshift(lane);
    this.leading = lane;
  }

  /** @returns the lane that leads from now on, if that is another one than before */
  remove(lane: Lane): Lane | undefined {
    this.list = this.list.filter(other => other !== lane);
    return this.leading === lane ? this.chooseLead() : undefined;
  }

  /** @returns all that there were */
  clear(): Lane[] {
    const { list } = this;
    this.list = [];
    this.leading = undefined;
    return list;
  }

  /** The lane that leads is no good any more. @returns the one that does now; undefined if there is none better */
  chooseLead(): Lane | undefined {
    const before = this.leading;
    const sound = this.list.filter(lane => lane.isSound);
    const choice = sound.length > 0 ? sound : this.list;
    this.leading = choice.reduce<Lane | undefined>(
      (best, lane) => (best === undefined || lane.link.rank < best.link.rank ? lane : best),
      undefined,
    );
    return this.leading === before ? undefined : this.leading;
  }

  // ── which lane carries a stream ──────────────────────────────────────────────────────────────────────────────────

  /** The lane on which the stream goes on; undefined without any. */
  laneFor(stream: Stream): Lane | undefined {
    const { leading } = this;
    const now = stream.lane;
    if (this.list.length <= 1 || leading === undefined || !stream.isSettled) return (stream.lane = leading);
    const isGood = now !== undefined && now.isSound;
    if (isGood && (now.scheduler.has(stream) || now.holds(stream))) return now;
    return (stream.lane = stream.isBulk ? this.laneForHeavy() : leading);
  }

  /** @returns the lane that carries a stream with much to say; the one that leads only when there is no other */
  laneForHeavy(): Lane | undefined {
    const { leading } = this;
    let best: Lane | undefined;
    for (const lane of this.list) {
      if (lane === leading || !lane.isSound || lane.link.rank > leading!.link.rank) continue;
      if (best === undefined || lane.scheduler.heavyCount < best.scheduler.heavyCount) best = lane;
    }
    return best ?? leading;
  }

  // ── which lane is no good ────────────────────────────────────────────────────────────────────────────────────────

  /** Looks at one lane, now and then. @returns what is wrong with it, once */
  watch(lane: Lane): Trouble | undefined {
    if (lane.isRetiring || lane.isLost) return undefined;
    const owed = lane.link.owedMs();
    if (owed === 0) lane.isInTrouble = lane.isDoubted = false;
    if (lane.isInTrouble) return undefined;
    const twins = this.twinsOf(lane);
    const [twin] = twins;
    if (twin === undefined) return void (lane.slowSince = undefined);
    const bound = this.patienceWith(lane);
    if (owed < bound / 2) return this.isSlow(lane, twin) ? 'slow' : undefined;
    // Silence counts against a lane only while another one is heard: else it is the peer, or the whole path.
    const heardAgo = this.timers.monotonic() - twin.link.heardAt;
    if (heardAgo > bound / 4) for (const other of twins) other.link.ping();
    return owed >= bound && heardAgo <= Math.max(bound / 2, this.limits.link.tickMs) ? 'silent' : undefined;
  }

  /** The peer leads on another lane than this side, and told it before: the one that leads here is asked for an answer. */
  doubt(): void {
    const lane = this.leading;
    if (lane === undefined || this.list.length < 2) return;
    lane.isDoubted = true;
    lane.link.ping();
  }

  /** How long the peer may owe an answer on this lane, ms. */
  private patienceWith(lane: Lane): number {
    const { troubleMs, doubtMs } = this.limits.session;
    return Math.max(lane.isDoubted ? doubtMs : troubleMs, TROUBLE_ROUND_TRIPS * (lane.link.rttMs ?? 0));
  }

  private isSlow(lane: Lane, twin: Lane): boolean {
    const now = this.timers.monotonic();
    const [own, other] = [lane.link.rttMs, twin.link.rttMs];
    if (own === null || other === null || own <= SLOW_FACTOR * other + SLOW_LEAST_MS) {
      lane.slowSince = undefined;
      return false;
    }
    // What an idle link was like some time ago is no verdict on what it is like now.
    lane.link.ping();
    lane.slowSince ??= now;
    if (now - lane.slowSince < SLOW_FOR_MS || now - this.slowReplacedAt < SLOW_PAUSE_MS) return false;
    this.slowReplacedAt = now;
    return true;
  }

  /** Other sound lanes of the same kind of path, the one heard last first: of three, two may have died at once. */
  private twinsOf(lane: Lane): Lane[] {
    return this.list
      .filter(other => other !== lane && other.isSound && other.link.rank === lane.link.rank)
      .sort((a, b) => b.link.heardAt - a.link.heardAt);
  }
}
