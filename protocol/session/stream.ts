/**
 * One service connection: bytes both ways, half-close, reset. The upper half is for its user; below is what the session
 * calls: frames coming in, frames going out, links lost and found. Everything it tells the peer is derived from its
 * state, so it can be told again on another link.
 */
import type { Code } from '../codes.js';
import { WarrenError, malformed } from '../errors.js';
import type { NodeId } from '../identity/node-id.js';
import type { Limits } from '../limits.js';
import type { RecordDraft } from '../link/draft.js';
import { FRAME, encodeFin, encodeOpen, encodeOpened, encodeReset, encodeWindow } from '../link/frame.js';
import { StreamCredit, type PeerBudget } from './credit.js';
import { ReceiveBuffer } from './receive-buffer.js';
import type { Flow } from './scheduler.js';
import { SendBuffer, compacted, sendBound } from './send-buffer.js';
import type { OpenRequest, StreamHandler } from './types.js';

/** opening: not accepted yet · open: both directions, or one · closed: nothing more will happen */
export type StreamState = 'opening' | 'open' | 'closed';

/** A control frame of whose arrival the stream must know. */
export type Tracked = 'open' | 'opened' | 'last-window' | 'reset';

/** What a stream needs of its session. */
export interface StreamOwner {
  readonly peer: NodeId;
  readonly limits: Limits;
  readonly budget: PeerBudget;
  now(): number;
  rttMs(): number | null;
  /** Takes early-data credit for an OPEN. */
  claim(): number;
  /** The stream has control frames to send. */
  hasControl(stream: Stream): void;
  /** The stream may have data, or FIN, to send. */
  hasData(stream: Stream): void;
  /** Progress is to be told, but there is no hurry. */
  lags(stream: Stream): void;
  /** The stream waits for budget. */
  starves(stream: Stream): void;
  /** Payload has been put into a record. @param again bytes that had been sent before */
  sent(fresh: number, again: number): void;
  /** `stream.drain()` is to be called when this is over. */
  drains(stream: Stream): void;
  /** Both directions have ended. */
  closed(stream: Stream): void;
  /** Nothing is left to tell. */
  forget(stream: Stream): void;
}

const enum Need {
  None = 0,
  Open = 1,
  Opened = 2,
  Window = 4,
  Reset = 8,
}

const NO_METADATA: ReadonlyMap<string, string> = new Map();

export class Stream implements Flow {
  readonly service: string;
  readonly peer: NodeId;
  readonly isBulk: boolean;
  /** payload bytes, each counted once */
  bytesSent = 0;
  bytesReceived = 0;

  private handler: StreamHandler | undefined;
  private readonly sending = new SendBuffer();
  private readonly receiving = new ReceiveBuffer();
  private readonly credit: StreamCredit;

  // how far the opening got
  private isOpen = false;
  private wasOpenSent = false;
  private isOpenKnown = false;
  private isOpenedKnown = false;
  private claim = 0;

  // sending
  private sendLimit = 0;
  private peerReceived = 0;
  private hasEnded = false;
  private isFinSent = false;
  private wasFinSent = false;
  private isFinReceived = false;
  private isPaused = false;
  /** Sent on a link that is gone; waits for the peer to say what it has. */
  isStale = false;

  // receiving
  private isFinDelivered = false;
  private isLastWindowKnown = false;

  // the end
  private resetWith: { readonly code: Code; readonly dialed: boolean } | undefined;
  private isClosed = false;

  private need = Need.None;
  private isWindowForced = false;

  /** @param isOpener true when this side opens it */
  constructor(
    private readonly owner: StreamOwner,
    readonly id: number,
    readonly request: OpenRequest,
    readonly isOpener: boolean,
  ) {
    this.service = request.service;
    this.peer = owner.peer;
    this.isBulk = request.class === 'bulk';
    this.credit = new StreamCredit(owner.budget, owner.limits.receive, owner.now());
    if (isOpener) this.needs(Need.Open);
  }

  // ── for the user ─────────────────────────────────────────────────────────────────────────────────────────────────

  /** Bytes received out of order. */
  get bytesAhead(): number {
    return this.receiving.ahead;
  }

  get state(): StreamState {
    return this.isClosed ? 'closed' : this.isOpen ? 'open' : 'opening';
  }

  /** Bytes kept for sending, or for sending again. */
  get buffered(): number {
    return this.sending.retained;
  }

  setHandler(handler: StreamHandler): void {
    this.handler = handler;
  }

  /**
   * Takes the bytes, by reference, until the peer has them: the caller does not change them any more. On a stream that
   * is closed nothing happens.
   * @returns false: pause until `drain`
   * @throws WarrenError `internal` after `end`
   */
  write(chunk: Uint8Array): boolean {
    if (this.isClosed) return true;
    if (this.hasEnded) throw new WarrenError('internal', 'a write behind the end of a stream');
    this.accept();
    if (chunk.length > 0) {
      this.sending.write(chunk);
      this.owner.budget.retain(chunk.length);
      this.owner.hasData(this);
    }
    if (this.sending.retained > this.bound() || this.sending.unsent > this.owner.limits.retain.unsent)
      this.isPaused = true;
    return !this.isPaused;
  }

  /** No more bytes from this side; the other direction goes on. */
  end(): void {
    if (this.isClosed || this.hasEnded) return;
    this.accept();
    this.hasEnded = true;
    this.owner.hasData(this);
  }

  /**
   * Ends both directions at once; of the handler only `closed` is called. On a stream that is closed it only gives back
   * what was not consumed: the way out for a user whose own connection is gone.
   */
  reset(code: Code, dialed = false): void {
    if (this.isClosed) return this.drop();
    this.resetWith = { code, dialed };
    this.drop();
    if (this.isOpener && !this.wasOpenSent) {
      this.need = Need.None;
      this.owner.forget(this);
    } else {
      this.need &= Need.Open;
      this.needs(Need.Reset);
    }
    this.close();
  }

  /** Gives credit back for n bytes that `data` has handed over. @throws WarrenError `internal` for more than that */
  consumed(n: number): void {
    if (this.credit.isCancelled) return;
    if (n > this.receiving.received - this.credit.consumed) {
      throw new WarrenError('internal', 'more bytes consumed than were handed over');
    }
    this.credit.consume(n, this.owner.now(), this.owner.rttMs());
    this.noteProgress();
  }

  /** Responder: the target is reached; the first `write` or `end` says the same. */
  accept(): void {
    if (this.isOpener || this.isOpen || this.isClosed) return;
    this.isOpen = true;
    this.needs(Need.Opened);
  }

  /** Opener, as long as the other side has not accepted: all that was written, for trying elsewhere. */
  unaccepted(): Uint8Array[] {
    return this.isOpen ? [] : this.sending.all();
  }

  // ── frames coming in ─────────────────────────────────────────────────────────────────────────────────────────────

  /** Responder: an OPEN with this claim and limit has made the stream. */
  takeOpen(claim: number, limit: number): void {
    this.credit.adopt(claim);
    this.sendLimit = limit;
  }

  takeOpened(limit: number): void {
    if (!this.isOpener) throw malformed('OPENED', 'for a stream of the other side');
    if (this.isClosed) return;
    this.isOpenKnown = true;
    this.raiseLimit(limit);
    if (this.isOpen) return;
    this.isOpen = true;
    this.release();
    this.handler?.opened?.();
    this.checkDrain();
  }

  takeData(offset: number, bytes: Uint8Array): number {
    if (this.resetWith !== undefined) return 0;
    const fresh = this.receiving.push(offset, bytes, this.credit.limit, chunk => this.deliver(chunk));
    if (this.resetWith !== undefined) return fresh;
    if (!this.checkFin()) this.noteProgress();
    return fresh;
  }

  takeFin(size: number): void {
    if (this.resetWith !== undefined) return;
    this.receiving.finish(size, this.isFinDelivered ? size : this.credit.limit);
    this.checkFin();
  }

  /** @throws WarrenError with wire `protocol` when the peer claims to have what was never sent */
  takeWindow(received: number, limit: number): void {
    if (this.resetWith !== undefined) return;
    const { highest, end } = this.sending;
    if (received > (this.wasFinSent ? end + 1 : highest)) throw malformed('WINDOW', 'received more than was sent');
    this.isOpenKnown = true;
    if (received > this.peerReceived) this.peerReceived = received;
    if (this.wasFinSent && received > end) this.isFinReceived = true;
    this.release();
    this.raiseLimit(limit);
    this.checkDrain();
    this.checkClosed();
  }

  takeReset(code: Code, dialed: boolean): void {
    if (!this.isClosed) this.fail(code, dialed);
    this.owner.forget(this);
  }

  /** The peer's RESET, or the end of the session. */
  fail(code: Code, dialed: boolean): void {
    if (this.isClosed) return this.drop();
    this.resetWith = { code, dialed };
    this.drop();
    this.need = Need.None;
    this.isClosed = true;
    this.handler?.reset(code, dialed);
    this.owner.closed(this);
    this.handler?.closed?.();
  }

  /** Could the target have been dialed, as far as this side can know? */
  get mayHaveDialed(): boolean {
    return !this.isOpener || this.wasOpenSent;
  }

  // ── frames going out ─────────────────────────────────────────────────────────────────────────────────────────────

  /**
   * Adds what must be told besides data.
   * @param track called when the frame's arrival matters
   * @returns false when something did not fit
   */
  writeControl(draft: RecordDraft, track: (what: Tracked) => void): boolean {
    return (
      this.done(Need.Open, () => this.writeOpen(draft, track)) &&
      this.done(Need.Opened, () => this.writeOpened(draft, track)) &&
      this.done(Need.Window, () => this.writeWindow(draft, track)) &&
      this.done(Need.Reset, () => this.writeReset(draft, track))
    );
  }

  private done(what: Need, write: () => boolean): boolean {
    if ((this.need & what) === 0) return true;
    if (!write()) return false;
    this.need &= ~what;
    return true;
  }

  private writeOpen(draft: RecordDraft, track: (what: Tracked) => void): boolean {
    const { service, instance = '', metadata = NO_METADATA } = this.request;
    if (!this.wasOpenSent) {
      this.claim = this.owner.claim();
      this.sendLimit = this.claim;
    }
    this.extendCredit();
    const { limit } = this.credit;
    const body = encodeOpen({ stream: this.id, class: this.request.class, claim: this.claim, limit, service, instance, metadata }); // prettier-ignore
    this.wasOpenSent = true;
    if (!draft.frame(FRAME.OPEN, body)) return false;
    this.credit.told();
    track('open');
    return true;
  }

  private writeOpened(draft: RecordDraft, track: (what: Tracked) => void): boolean {
    this.extendCredit();
    if (!draft.frame(FRAME.OPENED, encodeOpened({ stream: this.id, limit: this.credit.limit }))) return false;
    this.credit.told();
    track('opened');
    return true;
  }

  private writeWindow(draft: RecordDraft, track: (what: Tracked) => void): boolean {
    this.extendCredit();
    const received = this.receiving.told;
    if (!this.isWindowForced && !this.credit.hasNews(received)) return true;
    if (!draft.frame(FRAME.WINDOW, encodeWindow({ stream: this.id, received, limit: this.credit.limit }))) return false;
    this.isWindowForced = false;
    this.credit.told(received);
    if (this.isFinDelivered) track('last-window');
    return true;
  }

  private writeReset(draft: RecordDraft, track: (what: Tracked) => void): boolean {
    const { code, dialed } = this.resetWith!;
    if (!draft.frame(FRAME.RESET, encodeReset({ stream: this.id, code, dialed }))) return false;
    track('reset');
    return true;
  }

  get sendable(): number {
    return this.maySend ? Math.max(0, Math.min(this.sending.unsent, this.sendLimit - this.sending.next)) : 0;
  }

  get hasFin(): boolean {
    return this.maySend && this.hasEnded && !this.isFinSent && this.sending.unsent === 0;
  }

  private get maySend(): boolean {
    return !this.isStale && this.resetWith === undefined && (this.need & (Need.Open | Need.Opened)) === 0;
  }

  writeData(draft: RecordDraft, max: number): number {
    const { sending } = this;
    if (max > 0) {
      const offset = sending.next;
      const before = sending.highest;
      draft.data(this.id, offset, sending.take(max), max);
      const fresh = sending.highest - before;
      this.bytesSent += fresh;
      this.owner.sent(fresh, max - fresh);
      if (this.canDrain) this.owner.drains(this);
    }
    if (this.hasFin && draft.frame(FRAME.FIN, encodeFin({ stream: this.id, size: sending.end }))) {
      this.isFinSent = true;
      this.wasFinSent = true;
    }
    return max;
  }

  /** A tracked frame has arrived at the peer. */
  acked(what: Tracked): void {
    if (what === 'open') this.isOpenKnown = true;
    else if (what === 'opened') this.isOpenedKnown = true;
    else if (what === 'last-window') this.isLastWindowKnown = true;
    else this.owner.forget(this);
    this.checkForget();
  }

  // ── links lost and found ─────────────────────────────────────────────────────────────────────────────────────────

  /** Another link takes over: whatever the peer may not know is told again. @param lost what was sent may be gone */
  resync(lost: boolean): void {
    this.need = Need.None;
    const isOpenLost = this.isOpener && !this.isOpenKnown;
    if (isOpenLost) this.needs(Need.Open);
    if (this.resetWith !== undefined) return this.needs(Need.Reset);
    if (!this.isOpener && this.isOpen && !this.isOpenedKnown) this.needs(Need.Opened);
    if (lost) this.isStale = true;
    if (isOpenLost) return;
    this.isWindowForced = true;
    this.needs(Need.Window);
  }

  /** Sends again from what the peer is known to have. */
  resume(): void {
    this.isStale = false;
    if (this.isClosed) return;
    this.sending.rewind();
    this.isFinSent = this.isFinReceived;
    this.owner.hasData(this);
  }

  /** The time for telling progress at leisure has come, or budget is free. */
  tell(): void {
    if (this.resetWith !== undefined) return;
    this.extendCredit();
    if (this.credit.hasNews(this.receiving.told)) this.needs(Need.Window);
  }

  // ── inside ───────────────────────────────────────────────────────────────────────────────────────────────────────

  private needs(what: Need): void {
    this.need |= what;
    this.owner.hasControl(this);
  }

  private deliver(chunk: Uint8Array): void {
    if (this.resetWith !== undefined) return;
    this.bytesReceived += chunk.length;
    this.handler?.data(compacted(chunk));
  }

  private extendCredit(): void {
    this.credit.extend();
    if (this.credit.isStarving) this.owner.starves(this);
  }

  private noteProgress(): void {
    const { told } = this.receiving;
    if (this.credit.isWorthTelling(told)) this.needs(Need.Window);
    else this.owner.lags(this);
  }

  /** @returns true if this was the moment of the end */
  private checkFin(): boolean {
    if (this.isFinDelivered || this.resetWith !== undefined || !this.receiving.isComplete) return false;
    this.isFinDelivered = true;
    this.credit.finish(this.receiving.received);
    this.isWindowForced = true;
    this.needs(Need.Window);
    this.handler?.fin();
    this.checkClosed();
    return true;
  }

  private raiseLimit(limit: number): void {
    if (limit > this.sendLimit) this.sendLimit = limit;
    if (this.sendable > 0 || this.hasFin) this.owner.hasData(this);
  }

  /** Until the other side has accepted, all bytes are kept: they may be wanted elsewhere. */
  private release(): void {
    const to = Math.min(this.peerReceived, this.sending.end);
    if (!this.isOpen || to <= this.sending.base) return;
    this.owner.budget.release(to - this.sending.base);
    this.sending.release(to);
  }

  private bound(): number {
    const window = this.sendLimit - this.sending.base;
    return sendBound(window, this.owner.budget.freeToRetain, this.owner.limits.retain);
  }

  private checkDrain(): void {
    if (this.canDrain) this.drain();
  }

  private get canDrain(): boolean {
    const { retained, unsent } = this.sending;
    return this.isPaused && retained <= this.bound() / 2 && unsent <= this.owner.limits.retain.unsent / 2;
  }

  /** There is room again; found out while sending, this is told at the end of the turn. */
  drain(): void {
    if (!this.canDrain) return;
    this.isPaused = false;
    if (!this.isClosed && !this.hasEnded) this.handler?.drain?.();
  }

  /** Lets go of everything in both directions. */
  private drop(): void {
    this.owner.budget.release(this.sending.retained);
    this.sending.clear();
    this.receiving.clear();
    this.credit.cancel();
  }

  private checkClosed(): void {
    if (this.isClosed || !this.isFinDelivered || !this.isFinReceived) return;
    this.owner.budget.release(this.sending.retained);
    this.sending.clear();
    this.close();
    this.checkForget();
  }

  private close(): void {
    this.isClosed = true;
    this.owner.closed(this);
    this.handler?.closed?.();
  }

  private checkForget(): void {
    if (this.isFinDelivered && this.isFinReceived && this.isLastWindowKnown) this.owner.forget(this);
  }
}
