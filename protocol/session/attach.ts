/**
 * The place of one peer's session. Every admitted link to the peer comes here. The node with the smaller ID decides what
 * it is for (NEW, ATTACH, or none), one link at a time; the other side answers. Neither side ever lets a link without
 * proof touch a session that is alive.
 */
import { EMPTY, compare, equal } from '../bytes.js';
import type { Timer, Timers } from '../clock.js';
import type { Code } from '../codes.js';
import type { Primitives } from '../crypto/primitives.js';
import { WarrenError } from '../errors.js';
import { shortId, type NodeId } from '../identity/node-id.js';
import type { Limits } from '../limits.js';
import {
  FRAME,
  decodeAttach,
  decodeAttached,
  decodePool,
  encodeAttach,
  encodePool,
  requireEmpty,
} from '../link/frame.js';
import type { Link, LinkHandler } from '../link/link.js';
import type { ProcessBudget } from './credit.js';
import { probe } from './probe.js';
import { SessionSecrets, type Candidate } from './secrets.js';
import { Session } from './session.js';
import type { SessionEvents } from './types.js';

export interface SlotOptions extends SessionEvents {
  readonly local: NodeId;
  readonly peer: NodeId;
  readonly primitives: Primitives;
  readonly timers: Timers;
  readonly limits: Limits;
  readonly budget: ProcessBudget;
  /** Whether the keys that a link was made with still count; asked before it takes the place of a session. Default: yes. */
  readonly stillCounts?: (link: Link) => boolean;
}

/** Links beyond the wanted ones that the side which does not decide puts up with: they are being replaced. */
const SPARE_LINKS = 2;

/** waiting: nothing said yet · probing: whether an older link is alive · the others: what was said last */
type Phase = 'waiting' | 'probing' | 'new' | 'attach' | 'check' | 'unknown' | 'attached';

/** A link that is not attached yet. */
class Newcomer implements LinkHandler {
  phase: Phase = 'waiting';
  /** Answering side: what CONFIRM will commit to. */
  candidate: Candidate | undefined;
  /** Deciding side: what begins when NEW is answered. Its pool was told behind NEW, so that the answer may bring data. */
  promised: Session | undefined;
  /** Answering side: the pool that was told behind NEW, when that could not be answered at once. */
  pool = 0;
  /** Deciding side: the links that this one takes over from. */
  dead: readonly Link[] = [];
  aged: Link | undefined;
  timer: Timer | undefined;
  /** Deciding side: others wait behind it. */
  hurry: Timer | undefined;
  private hasVerdict = false;

  constructor(
    readonly link: Link,
    private readonly slot: SessionSlot,
  ) {}

  frame(type: number, body: Uint8Array): void {
    // On the short way of admission a side goes on behind its own verdict; the peer's then comes here, once.
    if (type === FRAME.ADMIT && !this.hasVerdict) this.hasVerdict = true;
    else this.slot.frame(this, type, body);
  }

  linkClosed(): void {
    this.slot.left(this);
  }
}

export class SessionSlot {
  private readonly options: SlotOptions;
  private readonly isDecider: boolean;
  private current: Session | undefined;
  private secrets: SessionSecrets | undefined;
  private newcomers: Newcomer[] = [];
  /** The newcomer that is being decided on; one at a time. */
  private busy: Newcomer | undefined;
  private goawayCode: Code | undefined;

  constructor(options: SlotOptions) {
    this.options = options;
    const order = compare(options.local, options.peer);
    if (order === 0) throw new WarrenError('internal', 'a session with oneself');
    this.isDecider = order < 0;
  }

  // ── for the owner ────────────────────────────────────────────────────────────────────────────────────────────────

  get session(): Session | undefined {
    return this.current;
  }

  /** Links that wait to be attached. */
  get waiting(): number {
    return this.newcomers.length;
  }

  /** Takes a link that this side has admitted, and sets its handler. */
  linkAdmitted(link: Link): void {
    if (link.isClosed) return;
    if (this.newcomers.length >= this.options.limits.session.waitingLinks) {
      // The oldest has had its chance; whoever holds places open must not keep the honest peer out.
      this.newcomers.find(n => n !== this.busy)?.link.close('surplus', 'too many links wait to be attached');
    }
    const newcomer = new Newcomer(link, this);
    this.newcomers.push(newcomer);
    if (!this.isDecider) newcomer.timer = this.patience(newcomer);
    link.setHandler(newcomer);
    if (this.busy !== undefined) this.hurry(this.busy);
    this.next();
  }

  /** Queues an item for the peer; without a session that is up nothing happens: `onUp` is the time to tell. */
  news(kind: number, body: Uint8Array): void {
    this.current?.news(kind, body);
  }

  /** This session and the ones after it take no new streams from the peer. */
  goaway(code: Code = 'draining'): void {
    this.goawayCode = code;
    this.current?.goaway(code);
  }

  /** Ends the session and closes all links, also those that wait. */
  close(code: Code, sentence = ''): void {
    this.current?.close(code, sentence);
    for (const { link } of [...this.newcomers]) link.close(code, sentence);
  }

  // ── both sides ───────────────────────────────────────────────────────────────────────────────────────────────────

  frame(from: Newcomer, type: number, body: Uint8Array): void {
    const isExpected = this.isDecider ? this.takeAnswer(from, type, body) : this.takeQuestion(from, type, body);
    // A skippable one may come late: ADMIT does, when both sides had nothing to hand over.
    if (!isExpected && type % 2 === 0) {
      throw new WarrenError('protocol', `a frame of type ${type} before the attach is done`, { wire: 'protocol' });
    }
  }

  left(newcomer: Newcomer): void {
    newcomer.timer?.cancel();
    newcomer.hurry?.cancel();
    newcomer.promised?.close('cancelled');
    this.newcomers = this.newcomers.filter(n => n !== newcomer);
    if (this.busy !== newcomer) return;
    this.busy = undefined;
    this.next();
  }

  /** Whoever has to be asked first does not wait for ever. */
  private patience(newcomer: Newcomer): Timer {
    const { timers, limits } = this.options;
    return timers.after(limits.session.waitMs, () => newcomer.link.close('attach-failed', 'nothing was asked'));
  }

  /** The newcomer carries the session from now on. */
  private attach(newcomer: Newcomer, session: Session, isNew: boolean): void {
    this.newcomers = this.newcomers.filter(n => n !== newcomer);
    newcomer.timer?.cancel();
    newcomer.hurry?.cancel();
    if (this.busy === newcomer) this.busy = undefined;
    session.attach(newcomer.link, isNew);
    for (const link of newcomer.dead) link.close('replaced');
    if (newcomer.aged !== undefined) session.retire(newcomer.aged);
    // A direct path has opened: nobody need help any more.
    for (const link of session.links) if (link.rank > newcomer.link.rank) session.retire(link);
    // The peer may know better why a new link was needed: whatever does not answer now makes way.
    const others = session.links.filter(link => link !== newcomer.link);
    const { limits, timers } = this.options;
    if (others.length > 0)
      probe(others, limits.session.probeMs, timers, dead => dead.forEach(l => l.close('replaced')));
    const most = limits.session.links + SPARE_LINKS;
    for (const link of session.links.slice(most)) link.close('surplus', 'too many links');
    this.next();
  }

  private start(newcomer: Newcomer): void {
    const session = newcomer.promised ?? this.makeSession();
    newcomer.promised = undefined;
    this.secrets = new SessionSecrets(this.options.primitives.hash.SHA256, newcomer.link.established);
    this.current = session;
    session.takePool(newcomer.pool);
    if (this.goawayCode !== undefined) session.goaway(this.goawayCode);
    this.attach(newcomer, session, true);
  }

  private makeSession(): Session {
    const { options } = this;
    const { peer, timers, limits, budget } = options;
    const events: SessionEvents = {
      onStream: (stream, request, session) => options.onStream(stream, request, session),
      onNews: (kind, body, session) => options.onNews(kind, body, session),
      onUp: session => options.onUp(session),
      onHeld: session => options.onHeld(session),
      onDown: (code, session) => this.ended(code, session),
      onTrouble: (link, trouble, session) => options.onTrouble?.(link, trouble, session),
      onAlarm: sentence => options.onAlarm(sentence),
    };
    return new Session({ peer, isSmaller: this.isDecider, timers, limits, budget, events });
  }

  private ended(code: Code, session: Session): void {
    // One that was promised and has not begun: nobody has heard of it.
    if (this.current !== session) return;
    this.current = undefined;
    this.secrets?.wipe();
    this.secrets = undefined;
    this.options.onDown(code, session);
  }

  /**
   * A link of a node that knows nothing of the session: a restart if the session's links are dead, else a double. Only a host
   * that is there counts, so every link is asked, the newcomer too: what was said on it may be older than the end of whoever
   * said it.
   */
  private meetStranger(newcomer: Newcomer, session: Session, restart: () => void): void {
    newcomer.phase = 'probing';
    newcomer.timer?.cancel();
    const { timers, limits } = this.options;
    const { link } = newcomer;
    const asked = new Set<Link>();
    const ask = (): void => {
      const links = this.proven(session).filter(other => !asked.has(other));
      for (const other of links) asked.add(other);
      newcomer.timer = probe([link, ...links], limits.link.pingDeadlineMs, timers, done, true);
    };
    const silent = new Set<Link>();
    const done = (dead: readonly Link[]): void => {
      if (link.isClosed) return;
      if (dead.includes(link)) return link.close('attach-failed', 'silent');
      for (const other of dead) silent.add(other);
      const proven = this.proven(session);
      if (proven.some(other => asked.has(other) && !silent.has(other))) return this.refuseDouble(newcomer);
      // Attached meanwhile: by a host that is there, or by an ATTACH that comes late.
      if (proven.some(other => !asked.has(other))) return ask();
      // The session's links may have ended because its owner has just given up the keys that this one was made with.
      if (this.options.stillCounts?.(link) === false)
        return link.close('key-compromised', 'made with a key that was given up as compromised');
      session.close('peer-restarted', 'the peer has restarted');
      restart();
    };
    ask();
  }

  /** Links on which the peer has shown that it knows the session: those that carry it, and those that wait for CONFIRM. */
  private proven(session: Session): readonly Link[] {
    return [...session.links, ...this.newcomers.filter(n => n.phase === 'attached').map(n => n.link)];
  }

  private refuseDouble(newcomer: Newcomer): void {
    const who = shortId(this.options.peer);
    this.options.onAlarm(`two hosts run as ${who}: a second one without the session's secret was turned away`);
    newcomer.link.close('duplicate-identity', 'another host runs with this identity');
  }

  private refuseProof(newcomer: Newcomer): void {
    const who = shortId(this.options.peer);
    this.options.onAlarm(`a link of ${who} gave a wrong proof of the session's secret and was turned away`);
    newcomer.link.close('attach-failed', 'the proof of the session secret is wrong');
  }

  // ── the side that decides ────────────────────────────────────────────────────────────────────────────────────────

  private next(): void {
    if (!this.isDecider || this.busy !== undefined) return;
    this.busy = this.newcomers[0];
    if (this.busy !== undefined) this.decide(this.busy);
  }

  private decide(newcomer: Newcomer): void {
    const session = this.current;
    const { limits, timers } = this.options;
    if (session === undefined) return this.ask(newcomer, 'new');
    // Any link will do when there is none; one through another node only then.
    const alike = session.standing.filter(link => link.rank <= newcomer.link.rank);
    const wanted = newcomer.link.rank === 0 ? limits.session.links : 1;
    if (alike.length < wanted) return this.ask(newcomer, 'attach');
    const now = timers.monotonic();
    newcomer.aged = alike.find(link => link.isOutdated || now - link.openedAt >= limits.session.replaceAfterMs);
    if (newcomer.aged !== undefined) return this.ask(newcomer, 'attach');
    newcomer.phase = 'probing';
    newcomer.timer = probe(alike, limits.session.probeMs, timers, dead => {
      if (newcomer.link.isClosed) return;
      newcomer.dead = dead;
      if (session.isOver) this.decide(newcomer);
      else this.ask(newcomer, alike.length - dead.length < wanted ? 'attach' : 'check');
    });
  }

  /** Others wait behind the newcomer that is being decided on: a link that has died must not keep them. */
  private hurry(busy: Newcomer): void {
    if (busy.hurry !== undefined) return;
    const { timers, limits } = this.options;
    let isHeard = false;
    busy.link.ping(ms => (isHeard = ms !== undefined));
    busy.hurry = timers.after(limits.session.probeMs, () => {
      busy.hurry = undefined;
      if (!isHeard) busy.link.close('attach-failed', 'silent while others wait');
    });
  }

  /** check: the links are enough, but whether the peer knows the session must be seen all the same. */
  private ask(newcomer: Newcomer, phase: 'new' | 'attach' | 'check'): void {
    const { link } = newcomer;
    newcomer.phase = phase;
    newcomer.timer?.cancel();
    if (phase === 'new') this.askNew(newcomer);
    else link.send(FRAME.ATTACH, encodeAttach(this.secrets!.attach(link.established)));
    newcomer.timer = this.options.timers.after(this.options.limits.session.attachMs, () => {
      link.close('attach-failed', 'no answer to the attach');
    });
  }

  /** The pool goes with it: who opens a stream behind its answer need not wait a round trip before it may send. */
  private askNew(newcomer: Newcomer): void {
    const { link } = newcomer;
    newcomer.promised ??= this.makeSession();
    link.send(FRAME.NEW, EMPTY);
    link.send(FRAME.POOL, encodePool(newcomer.promised.firstPool()));
  }

  private takeAnswer(from: Newcomer, type: number, body: Uint8Array): boolean {
    const hasAttached = from.phase === 'attach' || from.phase === 'check';
    if (type === FRAME.NEW_OK && from.phase === 'new') {
      requireEmpty('NEW_OK', body);
      this.start(from);
    } else if (type === FRAME.ATTACHED && hasAttached) {
      this.takeAttached(from, decodeAttached(body));
    } else if (type === FRAME.UNKNOWN && hasAttached) {
      requireEmpty('UNKNOWN', body);
      this.takeUnknown(from);
    } else {
      return false;
    }
    return true;
  }

  private takeAttached(from: Newcomer, proof: Uint8Array): void {
    const { current, secrets } = this;
    const { link } = from;
    // The session may have ended while the question was on its way.
    if (current === undefined || secrets === undefined) return this.decide(from);
    if (!secrets.isAnswer(link.established, proof)) return this.refuseProof(from);
    if (from.phase === 'check') return link.close('surplus', 'the session has links enough');
    secrets.advance(link.established);
    link.send(FRAME.CONFIRM, EMPTY);
    this.attach(from, current, false);
  }

  private takeUnknown(from: Newcomer): void {
    const session = this.current;
    if (session === undefined) return this.ask(from, 'new');
    this.meetStranger(from, session, () => this.ask(from, 'new'));
  }

  // ── the side that answers ────────────────────────────────────────────────────────────────────────────────────────

  private takeQuestion(from: Newcomer, type: number, body: Uint8Array): boolean {
    if (type === FRAME.NEW && from.phase !== 'probing') {
      requireEmpty('NEW', body);
      this.takeNew(from);
    } else if (type === FRAME.ATTACH && from.phase === 'waiting') {
      this.takeAttach(from, body);
    } else if (type === FRAME.CONFIRM && from.phase === 'attached') {
      requireEmpty('CONFIRM', body);
      this.takeConfirm(from);
    } else if (type === FRAME.POOL && from.phase === 'probing') {
      from.pool = Math.max(from.pool, decodePool(body));
    } else {
      return false;
    }
    return true;
  }

  private takeNew(from: Newcomer): void {
    const session = this.current;
    if (session !== undefined) return this.meetStranger(from, session, () => this.takeNew(from));
    from.link.send(FRAME.NEW_OK, EMPTY);
    this.start(from);
  }

  private takeAttach(from: Newcomer, body: Uint8Array): void {
    const attach = decodeAttach(body);
    const { link } = from;
    if (this.secrets === undefined || !equal(this.secrets.id, attach.sessionId)) {
      from.phase = 'unknown';
      return link.send(FRAME.UNKNOWN, EMPTY);
    }
    const accepted = this.secrets.accept(link.established, attach);
    if (accepted === undefined) {
      if (this.secrets.isLate(link.established, attach)) return link.close('attach-failed', 'the attach comes late');
      return this.refuseProof(from);
    }
    from.phase = 'attached';
    from.candidate = accepted.candidate;
    link.send(FRAME.ATTACHED, accepted.proof);
  }

  private takeConfirm(from: Newcomer): void {
    const session = this.current;
    if (session === undefined || from.candidate === undefined || !this.secrets!.confirm(from.candidate)) {
      return from.link.close('attach-failed', 'the attach was overtaken');
    }
    this.attach(from, session, false);
  }
}
