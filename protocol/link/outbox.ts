/**
 * The sending side of a link: control frames and what the handler fills in, put into records and sealed, as many as the
 * transport, the cap on bulk and the link's speed allow.
 */
import type { Timers } from '../clock.js';
import type { Limits } from '../limits.js';
import { RecordDraft } from './draft.js';
import type { AckClock, Feedback } from './feedback.js';
import { FRAME, encodeLinkAck } from './frame.js';
import type { RecordSealer } from './record.js';

/** Adds frames to a record while it has room. */
export type Fill = (draft: RecordDraft) => void;

interface QueuedFrame {
  readonly type: number;
  readonly body: Uint8Array;
}

/** The link's own frames ask for no LINKACK, else two idle links would acknowledge each other for ever. */
export function isAcknowledged(type: number): boolean {
  return type !== FRAME.PING && type !== FRAME.PONG && type !== FRAME.LINKACK && type !== FRAME.CLOSE;
}

/** What the outbox looks at while it writes. */
export interface OutboxPath {
  readonly timers: Timers;
  readonly limits: Limits['link'];
  readonly sealer: RecordSealer;
  readonly feedback: Feedback;
  readonly ackClock: AckClock;
  /** bytes that the transport holds */
  buffered(): number;
  /** records received so far */
  received(): number;
}

/** Smaller records wait for what else the turn brings, bytes. */
const LARGE_RECORD = 64 * 1024;

export class Outbox {
  /** Data was left behind for lack of room: a LINKACK, or a drained transport, is a reason to go on. */
  isBlocked = false;
  private readonly draft = new RecordDraft();
  private control: QueuedFrame[] = [];
  private isClosed = false;

  constructor(private readonly path: OutboxPath) {}

  /** Queues a control frame. */
  push(type: number, body: Uint8Array): void {
    this.control.push({ type, body });
  }

  /** There is enough for a large record, which would not grow until the end of the turn, and room for it. */
  isWorthARecord(bytes: number): boolean {
    return bytes >= LARGE_RECORD && bytes >= this.path.feedback.recordSize() && !this.isBlocked;
  }

  /**
   * Seals all that may go now.
   * @param fill comes behind the control frames; left out: control frames only
   * @returns the records in pieces
   */
  records(fill: Fill | undefined): Uint8Array[] {
    const { draft, path } = this;
    const chunks: Uint8Array[] = [];
    const now = path.timers.monotonic();
    const target = path.feedback.recordSize();
    let written = 0;
    this.isBlocked = false;
    for (;;) {
      draft.begin(path.sealer.records, target);
      this.measureRoom(written, now);
      let wantsAck = this.takeControl();
      const before = draft.size;
      if (!draft.overflowed) fill?.(draft);
      if (draft.size > before) wantsAck = true;
      if (draft.isBlocked) this.isBlocked = true;
      if (this.isClosed) return [];
      this.addLinkAck(now);
      if (draft.size > 0) written += this.seal(chunks, wantsAck, now);
      if (draft.size === 0 || !draft.isFull) break;
    }
    if (!this.isBlocked) path.feedback.ranDry(now);
    return chunks;
  }

  private measureRoom(written: number, now: number): void {
    const { limits, feedback } = this.path;
    const buffered = this.path.buffered() + written;
    const uncapped = feedback.bulkCap(now) - feedback.inFlight;
    this.draft.dataRoom = Math.max(0, limits.fullWater - buffered);
    this.draft.bulkRoom = Math.max(0, Math.min(limits.highWater - buffered, uncapped));
    this.draft.isBlocked = false;
  }

  /** @returns whether one of the frames is to be acknowledged */
  private takeControl(): boolean {
    let taken = 0;
    let wantsAck = false;
    for (const { type, body } of this.control) {
      if (!this.draft.frame(type, body)) break;
      wantsAck ||= isAcknowledged(type);
      taken++;
      if (this.draft.isFull) break;
    }
    if (taken > 0) this.control.splice(0, taken);
    // What is left needs another record, however small this one is.
    if (this.control.length > 0) this.draft.overflowed = true;
    return wantsAck;
  }

  /** Rides along with whatever leaves, or goes alone when it is due. */
  private addLinkAck(now: number): void {
    const { draft } = this;
    const { ackClock, feedback } = this.path;
    if (!ackClock.isPending || (draft.size === 0 && now < ackClock.dueAt(feedback.rttMs))) return;
    const delay = Math.max(0, Math.round((now - ackClock.lastRecordAt) * 1000));
    const { overflowed } = draft;
    if (draft.frame(FRAME.LINKACK, encodeLinkAck({ records: this.path.received(), delay }))) ackClock.sent(now);
    draft.overflowed = overflowed;
  }

  private seal(chunks: Uint8Array[], wantsAck: boolean, now: number): number {
    const number = this.path.sealer.records;
    let bytes = 0;
    for (const piece of this.path.sealer.seal(this.draft.finish())) {
      chunks.push(piece);
      bytes += piece.length;
    }
    if (wantsAck) this.path.feedback.sent(number, bytes, now);
    return bytes;
  }

  /** Gives memory back while the link is idle. */
  trim(): void {
    this.draft.trim();
    this.path.sealer.trim();
  }

  /** The link has ended. */
  close(): void {
    this.control = [];
    this.isClosed = true;
  }
}
