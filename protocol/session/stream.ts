/**
 * One service connection: bytes both ways, half-close, reset. The upper half is for its user; below is what the session
 * calls: frames coming in, frames going out, links lost and found. Everything it tells the peer is derived from its
 * state, so it can be told again on another link.
 */
import { EMPTY } from '../bytes.js';
import type { Code } from '../codes.js';
import { WarrenError, malformed } from '../errors.js';
import type { NodeId } from '../identity/node-id.js';
import type { RecordDraft } from '../link/draft.js';
import { relayLimits } from '../limits.js';
import { FRAME, encodeOpened, encodeReset, openFrame, type StreamClass } from '../link/frame.js';
import type { Lane } from './lane.js';
import { ReceivingHalf } from './receiving-half.js';
import type { Flow } from './scheduler.js';
import { compacted } from './send-buffer.js';
import { SendingHalf } from './sending-half.js';
import type { StreamOwner, Tracked } from './stream-owner.js';
import type { OpenRequest, StreamHandler } from './types.js';

/** opening: not accepted yet · open: both directions, or one · closed: nothing more will happen */
export type StreamState = 'opening' | 'open' | 'closed';

type Track = (what: Tracked) => void;

const enum Need {
  None = 0,
  Open = 1,
  Opened = 2,
  Window = 4,
  Reset = 8,
}

export class Stream implements Flow {
  readonly service: string;
  readonly class: StreamClass;
  readonly peer: NodeId;
  /** This side opens it. */
  readonly isOpener: boolean;
  readonly isBulk: boolean;
  /** It carries a link of two other nodes: it is never resumed, and its windows are small. */
  readonly isRelay: boolean;
  /** The lane that carries its data; the session decides. */
  lane: Lane | undefined;

  private handler: StreamHandler | undefined;
  private readonly sending: SendingHalf;
  private readonly receiving: ReceivingHalf;

  // How far the opening got. "Known": the peer is known to have the frame.
  private isOpen = false;
  private wasOpenSent = false;
  private isOpenKnown = false;
  private isOpenedKnown = false;
  private claim = 0;

  // the end
  private resetWith: { readonly code: Code; readonly dialed: boolean } | undefined;
  private isClosed = false;
  private isLastWindowKnown = false;

  private need = Need.None;

  /**
   * @param request kept no longer than this call
   * @param asked what `encodeRequest` has made of it when this side opens the stream; it is kept until the peer has it
   */
  constructor(
    private readonly owner: StreamOwner,
    readonly id: number,
    request: OpenRequest,
    private asked?: Uint8Array,
  ) {
    const { budget, limits } = owner;
    this.isOpener = asked !== undefined;
    this.service = request.service;
    this.class = request.class;
    this.peer = owner.peer;
    this.isRelay = request.class === 'relay';
    this.isBulk = request.class === 'bulk';
    const { retain, receive } = this.isRelay ? relayLimits(limits) : limits;
    this.sending = new SendingHalf(budget, retain);
    this.receiving = new ReceivingHalf(budget, receive, owner.now());
    if (!this.isOpener) return;
    this.need = Need.Open;
    owner.hasOpen(this);
  }

  // ── for the user ─────────────────────────────────────────────────────────────────────────────────────────────────

  get state(): StreamState {
    return this.isClosed ? 'closed' : this.isOpen ? 'open' : 'opening';
  }

  /** Payload bytes sent, each counted once. */
  get bytesSent(): number {
    return this.sending.sent;
  }

  /** Payload bytes handed over. */
  get bytesReceived(): number {
    return this.receiving.received;
  }

  /** Bytes kept for sending, or for sending again. */
  get buffered(): number {
    return this.sending.buffer.retained;
  }

  /** Bytes written that have not been sent. */
  get unsent(): number {
    return this.sending.buffer.unsent;
  }

  /** Bytes received out of order. */
  get bytesAhead(): number {
    return this.receiving.buffer.ahead;
  }

  setHandler(handler: StreamHandler): void {
    this.handler = handler;
  }

  /**
   * Takes the bytes, by reference, until the peer has them: the caller does not change them any more. Fewer than 1 KiB
   * are copied, and the caller's again after the return. On a stream that is closed nothing happens.
   * @returns false: pause until `drain`
   * @throws WarrenError `internal` after `end`
   */
  write(chunk: Uint8Array): boolean {
    if (this.isClosed) return true;
    if (this.sending.hasEnded) throw new WarrenError('internal', 'a write behind the end of a stream');
    this.accept();
    if (chunk.length > 0) {
      this.sending.write(chunk);
      this.owner.hasWritten(this);
    }
    return this.sending.goesOn();
  }

  /** No more bytes from this side; the other direction goes on. */
  end(): void {
    if (this.isClosed || this.sending.hasEnded) return;
    this.accept();
    this.sending.hasEnded = true;
    if (this.receiving.isDone && this.hasFin) this.owner.trails(this);
    else this.owner.hasData(this);
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
    if (this.receiving.credit.isCancelled) return;
    this.receiving.consumed(n, this.owner.now(), this.owner.rttMs());
    this.noteProgress();
  }

  /** Responder: the target is reached; the first `write` or `end` says the same. */
  accept(): void {
    if (this.isOpener || this.isOpen || this.isClosed) return;
    this.isOpen = true;
    this.needs(Need.Opened);
  }

  /** Opener, up to and within `reset`: all that was written, for trying elsewhere; nothing once it was accepted. */
  unaccepted(): Uint8Array[] {
    return this.isOpen ? [] : this.sending.buffer.all();
  }

  // ── frames coming in ─────────────────────────────────────────────────────────────────────────────────────────────

  /** Responder: an OPEN with this claim and limit has made the stream. */
  takeOpen(claim: number, limit: number): void {
    this.receiving.credit.adopt(claim);
    this.sending.raise(limit);
  }

  takeOpened(limit: number): void {
    if (!this.isOpener) throw malformed('OPENED', 'for a stream of the other side');
    if (this.isClosed) return;
    this.openIsKnown();
    this.raiseLimit(limit);
    if (this.isOpen) return;
    this.isOpen = true;
    this.sending.release();
    this.handler?.opened?.();
    this.drain();
  }

  /** @returns bytes that were new */
  takeData(offset: number, bytes: Uint8Array): number {
    if (this.resetWith !== undefined) return 0;
    const fresh = this.receiving.takeData(offset, bytes, chunk => this.deliver(chunk));
    if (!this.hasGone && !this.checkFin()) this.noteProgress();
    return fresh;
  }

  takeFin(size: number): void {
    if (this.resetWith !== undefined) return;
    this.receiving.takeFin(size);
    this.checkFin();
  }

  /** @throws WarrenError with wire `protocol` when the peer claims to have what was never sent */
  takeWindow(received: number, limit: number): void {
    if (this.resetWith !== undefined) return;
    this.sending.acknowledge(received);
    this.openIsKnown();
    // Until the other side has accepted, all bytes are kept: they may be wanted elsewhere.
    if (this.isOpen) this.sending.release();
    this.raiseLimit(limit);
    this.drain();
    this.checkClosed();
  }

  takeReset(code: Code, dialed: boolean): void {
    this.fail(code, dialed);
    this.owner.forget(this);
  }

  /** The peer's RESET, or the end of the session. */
  fail(code: Code, dialed: boolean): void {
    this.receiving.drop();
    if (this.isClosed) return;
    this.resetWith = { code, dialed };
    this.need = Need.None;
    this.isClosed = true;
    // The handler may still ask for `unaccepted` bytes.
    this.handler?.reset(code, dialed);
    this.sending.drop();
    this.owner.closed(this);
    this.handler?.closed?.();
  }

  /** The session gives the stream up: the user is told now, the peer as soon as it can be. */
  breakOff(code: Code): void {
    if (this.isClosed) return;
    const dialed = this.mayHaveDialed;
    const isUnheardOf = this.isOpener && !this.wasOpenSent;
    const open = this.need & Need.Open;
    this.fail(code, dialed);
    if (isUnheardOf) return this.owner.forget(this);
    this.need = open;
    this.needs(Need.Reset);
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
  writeControl(draft: RecordDraft, track: Track): boolean {
    if (this.has(Need.Open) && !this.done(Need.Open, this.writeOpen(draft, track))) return false;
    if (this.has(Need.Opened) && !this.done(Need.Opened, this.writeOpened(draft, track))) return false;
    if (this.has(Need.Window) && !this.done(Need.Window, this.writeWindow(draft, track))) return false;
    return !this.has(Need.Reset) || this.done(Need.Reset, this.writeReset(draft, track));
  }

  private has(what: Need): boolean {
    return (this.need & what) !== 0;
  }

  private done(what: Need, isWritten: boolean): boolean {
    if (isWritten) this.need &= ~what;
    return isWritten;
  }

  private writeOpen(draft: RecordDraft, track: Track): boolean {
    if (!this.wasOpenSent) {
      this.claim = this.owner.claim();
      this.sending.raise(this.claim);
    }
    this.wasOpenSent = true;
    const { id: stream, claim } = this;
    const limit = this.extendCredit();
    const body = openFrame({ stream, class: this.class, claim, limit }, this.asked ?? EMPTY);
    if (!draft.frame(FRAME.OPEN, body)) return false;
    this.receiving.credit.told();
    track('open');
    return true;
  }

  private writeOpened(draft: RecordDraft, track: Track): boolean {
    const limit = this.extendCredit();
    if (!draft.frame(FRAME.OPENED, encodeOpened({ stream: this.id, limit }))) return false;
    this.receiving.credit.told();
    track('opened');
    return true;
  }

  private writeWindow(draft: RecordDraft, track: Track): boolean {
    this.extendCredit();
    if (!this.receiving.writeWindow(draft, this.id)) return false;
    if (this.receiving.isDone) track('last-window');
    return true;
  }

  private writeReset(draft: RecordDraft, track: Track): boolean {
    const { code, dialed } = this.resetWith!;
    if (!draft.frame(FRAME.RESET, encodeReset({ stream: this.id, code, dialed }))) return false;
    track('reset');
    return true;
  }

  get sendable(): number {
    return this.maySend ? this.sending.sendable : 0;
  }

  get hasFin(): boolean {
    return this.maySend && this.sending.hasFin;
  }

  /** OPEN and OPENED go before any data. */
  private get maySend(): boolean {
    return this.resetWith === undefined && (this.need & (Need.Open | Need.Opened)) === 0;
  }

  writeData(draft: RecordDraft, max: number): number {
    if (max > 0) {
      const again = this.sending.writeData(draft, this.id, max);
      this.owner.sent(max - again, again);
      if (this.sending.canDrain) this.owner.drains(this);
    }
    if (this.hasFin) this.sending.writeFin(draft, this.id);
    return max;
  }

  /** A tracked frame has arrived at the peer. */
  acked(what: Tracked): void {
    if (what === 'open') this.openIsKnown();
    else if (what === 'opened') this.openedIsKnown();
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
    if (lost) this.sending.isStale = true;
    if (isOpenLost) return;
    this.receiving.isWindowForced = true;
    this.needs(Need.Window);
  }

  /** The peer has all that makes the stream at its side: data may come on any link. */
  get isSettled(): boolean {
    return this.isOpener ? this.isOpenKnown : this.isOpenedKnown;
  }

  private openIsKnown(): void {
    if (this.isOpenKnown) return;
    this.isOpenKnown = true;
    if (!this.isOpener) return;
    if (!this.has(Need.Open)) this.asked = EMPTY;
    this.owner.settled(this);
  }

  private openedIsKnown(): void {
    if (this.isOpenedKnown) return;
    this.isOpenedKnown = true;
    this.owner.settled(this);
  }

  /** What was sent may be gone, and the peer has not told yet what it has. */
  get isStale(): boolean {
    return this.sending.isStale;
  }

  /** Sends again from what the peer is known to have. */
  resume(): void {
    this.sending.resume();
    if (!this.isClosed) this.owner.hasData(this);
  }

  /** There may be data to send, now that all before it is on its way. */
  activate(): void {
    this.owner.hasData(this);
  }

  /** The time for telling progress at leisure has come, or budget is free. */
  tell(): void {
    if (this.resetWith !== undefined) return;
    this.extendCredit();
    if (this.receiving.hasNews) this.needs(Need.Window);
  }

  /** What trails is told now. */
  trail(): void {
    if (this.resetWith !== undefined) return;
    if (this.receiving.isWindowForced) this.needs(Need.Window);
    if (this.hasFin) this.owner.hasData(this);
  }

  /** There may be room again. */
  drain(): void {
    if (this.sending.drain() && !this.isClosed) this.handler?.drain?.();
  }

  // ── inside ───────────────────────────────────────────────────────────────────────────────────────────────────────

  private needs(what: Need): void {
    this.need |= what;
    this.owner.hasControl(this);
  }

  /** A callback in between may have reset the stream. */
  private get hasGone(): boolean {
    return this.resetWith !== undefined;
  }

  private deliver(chunk: Uint8Array): void {
    if (!this.hasGone) this.handler?.data(compacted(chunk, this.owner.budget.slab));
  }

  /** @returns the limit that may be told */
  private extendCredit(): number {
    const { credit } = this.receiving;
    credit.extend();
    if (credit.isStarving) this.owner.starves(this);
    return credit.limit;
  }

  private noteProgress(): void {
    if (this.receiving.isWorthTelling) this.needs(Need.Window);
    else if (this.receiving.isWorthAdding) this.owner.rides(this);
    else this.owner.lags(this);
  }

  /** @returns true if this was the moment of the end */
  private checkFin(): boolean {
    if (this.hasGone || !this.receiving.finish()) return false;
    this.owner.trails(this);
    this.handler?.fin();
    this.checkClosed();
    return true;
  }

  private raiseLimit(limit: number): void {
    this.sending.raise(limit);
    if (this.sendable > 0 || this.hasFin) this.owner.hasData(this);
  }

  /** Lets go of everything in both directions. */
  private drop(): void {
    this.sending.drop();
    this.receiving.drop();
  }

  private checkClosed(): void {
    if (this.isClosed || !this.receiving.isDone || !this.sending.isDone) return;
    this.sending.drop();
    this.close();
    this.checkForget();
  }

  private close(): void {
    this.isClosed = true;
    this.owner.closed(this);
    this.handler?.closed?.();
  }

  private checkForget(): void {
    if (this.receiving.isDone && this.sending.isDone && this.isLastWindowKnown) this.owner.forget(this);
  }
}
