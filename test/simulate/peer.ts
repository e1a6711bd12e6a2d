/**
 * One node: a process that may be restarted, its session slot, and its ends of links. What it hears goes to the hub's
 * hooks; it judges nothing.
 */
import { EMPTY } from '../../protocol/bytes.js';
import type { Timer, Timers } from '../../protocol/clock.js';
import type { Code } from '../../protocol/codes.js';
import type { Established } from '../../protocol/handshake/types.js';
import type { NodeId } from '../../protocol/identity/node-id.js';
import { FRAME } from '../../protocol/link/frame.js';
import { Link, type LinkEnd, type LinkHandler } from '../../protocol/link/index.js';
import { ProcessBudget, SessionSlot } from '../../protocol/session/index.js';
import type { OpenRequest, Session, Stream, StreamHandler } from '../../protocol/session/index.js';
import { primitives } from '../protocol/session/world.js';
import { quickPrimitives } from './aead.js';
import type { Hub } from './hub.js';
import type { View } from './model.js';
import type { Side, Wire, WireEnd } from './wire.js';

/** Timers of one process: with it they end. */
export class MortalTimers implements Timers {
  isDead = false;
  private readonly pending = new Set<Timer>();

  constructor(private readonly inner: Timers) {}

  /** Timers that wait. */
  get waiting(): number {
    return this.pending.size;
  }

  /** The process ends: nothing of it happens any more. */
  die(): void {
    this.isDead = true;
    for (const timer of this.pending) timer.cancel();
    this.pending.clear();
  }

  now(): number {
    return this.inner.now();
  }

  monotonic(): number {
    return this.inner.monotonic();
  }

  after(ms: number, callback: () => void): Timer {
    const timer = this.inner.after(ms, () => {
      this.pending.delete(timer);
      callback();
    });
    this.pending.add(timer);
    return {
      cancel: () => {
        this.pending.delete(timer);
        timer.cancel();
      },
    };
  }

  soon(callback: () => void): void {
    this.inner.soon(() => {
      if (!this.isDead) callback();
    });
  }
}

/**
 * How an end takes a link over: at once, behind its ADMIT · when both ADMITs are there, after this delay, ms · never ·
 * it turns the peer away
 */
export type Admission =
  | { readonly way: 'short' }
  | { readonly way: 'long'; readonly delayMs: number }
  | { readonly way: 'never' }
  | { readonly way: 'refused'; readonly delayMs: number };

/** One end of a wire, with its link. */
export class Conn {
  link!: Link;
  /** The session that it carries, or has carried. */
  view: View | undefined;
  /** The other end is no honest peer. */
  isRogue = false;
  isAdmitted = false;
  /** The pool that was told behind NEW. */
  poolHeard = 0;
  /** How often links had been attached to the session before this one came. */
  readonly attachesBefore: number;
  /** Records that have been opened and not audited. */
  readonly opened: Uint8Array[] = [];

  constructor(
    readonly peer: Peer,
    readonly wire: Wire,
  ) {
    this.attachesBefore = peer.view?.attaches ?? 0;
  }

  get id(): number {
    return 2 * this.wire.id + this.peer.side;
  }
}

export class Peer {
  timers!: MortalTimers;
  budget!: ProcessBudget;
  slot!: SessionSlot;
  /** What it has of the session that it takes part in, or took part in last. */
  view: View | undefined;
  conns: Conn[] = [];
  /** It takes no new streams. */
  isDraining = false;
  /** It has ended its session and all its links. */
  hasClosed = false;
  /** It has said, in this life of its process or an earlier one, that it takes no new streams. */
  hasDrained = false;
  /** What other peers use of the process's budget. */
  hogged = 0;
  alarms = 0;
  /** The link whose records it is reading right now. */
  reading: Conn | undefined;

  constructor(
    private readonly hub: Hub,
    readonly side: Side,
    readonly id: NodeId,
    readonly peerId: NodeId,
  ) {
    this.start();
  }

  private start(): void {
    const { hub } = this;
    this.timers = new MortalTimers(hub.timers);
    this.budget = new ProcessBudget(hub.limits);
    this.isDraining = false;
    this.hogged = 0;
    this.slot = new SessionSlot({
      local: this.id,
      peer: this.peerId,
      primitives: quickPrimitives(primitives, hub.random),
      timers: this.timers,
      limits: hub.limits,
      budget: this.budget,
      onStream: (stream: Stream, request: OpenRequest, session: Session): StreamHandler | Code =>
        hub.hooks.onStream(this, stream, request, session),
      onNews: () => hub.fail(`side ${this.side}: news that nobody has told`),
      onUp: session => hub.hooks.onUp(this, session),
      onHeld: session => hub.hooks.onHeld(this, session),
      onDown: (code, session) => hub.hooks.onDown(this, code, session),
      onTrouble: (link, trouble, session) => hub.hooks.onTrouble(this, link, trouble, session),
      onAlarm: sentence => hub.hooks.onAlarm(this, sentence),
    });
  }

  /** The process ends without a word of its own; another one begins. @param isLoud its kernel tells the other ends */
  restart(isLoud: boolean): void {
    this.timers.die();
    if (this.view !== undefined) this.view.hasVanished = true;
    for (const { wire } of this.conns) {
      if (isLoud) wire.reset();
      else wire.silence();
    }
    this.conns = [];
    this.start();
  }

  /** Puts a link on its end of a wire. */
  connect(wire: Wire, established: Established, admission: Admission, isRogue = false): Conn {
    const { hub, timers } = this;
    const conn = new Conn(this, wire);
    conn.isRogue = isRogue;
    conn.link = new Link({
      established,
      port: wire.port(this.side),
      timers,
      primitives: quickPrimitives(primitives, hub.random, {
        sealed: plaintext => hub.hooks.onSealed(conn, plaintext),
        opened: plaintext => void conn.opened.push(plaintext),
      }),
      limits: hub.limits,
      id: conn.id,
      rank: wire.options.rank,
      onClosed: (code: Code, sentence: string, by: LinkEnd) => {
        this.conns = this.conns.filter(c => c !== conn);
        hub.hooks.onLinkClosed(conn, code, sentence, by);
      },
    });
    this.conns.push(conn);
    wire.connect(this.side, new LinkWireEnd(conn, timers, hub));
    this.admit(conn, admission);
    return conn;
  }

  private admit(conn: Conn, admission: Admission): void {
    const { link } = conn;
    if (admission.way === 'short') {
      link.send(FRAME.ADMIT, EMPTY);
      this.takeOver(conn);
    } else {
      link.setHandler(new Gate(conn, this.timers, admission, () => this.takeOver(conn)));
    }
  }

  private takeOver(conn: Conn): void {
    conn.isAdmitted = true;
    this.hub.trace.note(`link ${conn.id} admitted`);
    this.slot.linkAdmitted(conn.link);
  }
}

/** What a wire knows of a link. */
class LinkWireEnd implements WireEnd {
  constructor(
    private readonly conn: Conn,
    private readonly timers: MortalTimers,
    private readonly hub: Hub,
  ) {}

  receive(bytes: Uint8Array): void {
    if (this.timers.isDead) return;
    this.hub.trace.number(bytes.length);
    this.conn.peer.reading = this.conn;
    this.conn.link.receive(bytes);
    this.conn.peer.reading = undefined;
    for (const plaintext of this.conn.opened.splice(0)) this.hub.hooks.onOpened(this.conn, plaintext);
  }

  drained(): void {
    if (!this.timers.isDead) this.conn.link.drained();
  }

  closed(why: string): void {
    if (!this.timers.isDead) this.conn.link.transportClosed(why);
  }
}

/** Stands for the catch-up: nothing but ADMIT passes. */
class Gate implements LinkHandler {
  private hasSent = false;
  private hasReceived = false;

  constructor(
    private readonly conn: Conn,
    timers: Timers,
    private readonly admission: Exclude<Admission, { way: 'short' }>,
    private readonly done: () => void,
  ) {
    if (admission.way !== 'never') timers.after(admission.delayMs, () => this.speak());
  }

  private speak(): void {
    const { link } = this.conn;
    if (link.isClosed) return;
    if (this.admission.way === 'refused') return link.close('not-admitted', 'no valid grant');
    this.hasSent = true;
    link.send(FRAME.ADMIT, EMPTY);
    this.goOn();
  }

  frame(type: number): void {
    if (type !== FRAME.ADMIT) return;
    this.hasReceived = true;
    this.goOn();
  }

  private goOn(): void {
    if (this.hasSent && this.hasReceived) this.done();
  }
}
