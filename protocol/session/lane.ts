/** An attached link, seen from the session: its scheduler, what waits for its LINKACK, and the frames that come in. */
import type { Code } from '../codes.js';
import type { RecordDraft } from '../link/draft.js';
import type { Link, LinkEnd, LinkHandler } from '../link/link.js';
import { Scheduler } from './scheduler.js';
import type { Tracked } from './stream-owner.js';
import type { Stream } from './stream.js';

/** What a lane needs of its session. */
export interface LaneOwner {
  frame(lane: Lane, type: number, body: Uint8Array): void;
  fill(lane: Lane, draft: RecordDraft): void;
  laneLost(lane: Lane, code: Code, sentence: string, by: LinkEnd): void;
  laneAcked(lane: Lane): void;
  /** The link looks at its clocks. @returns true: the lane is watched closely, whether anything is owed or not */
  laneTicked(lane: Lane): boolean;
  /** @returns undefined when it is forgotten */
  stream(id: number): Stream | undefined;
  /** So many frames may wait for their LINKACK: more than the streams of any honest peer bring about. */
  readonly mostTracked: number;
  /** The stream has much to say. @returns true if another lane carries it on */
  turnedHeavy(lane: Lane, stream: Stream): boolean;
}

/** By its id, which is never used again: a stream that is over is not kept for a peer that acknowledges nothing. */
interface Waiting {
  readonly record: number;
  readonly id: number;
  readonly what: Tracked;
}

export class Lane implements LinkHandler {
  readonly scheduler: Scheduler<Stream>;
  /** The peer has told its state on this link: what was lost may be sent again. */
  hasPeerState = false;
  /** Streams whose state is to be told before RESUMED; -1: RESUMED was sent, or another lane tells it. */
  toResync = -1;
  /** Another link has taken over; this one closes when all is acknowledged. */
  isRetiring = false;
  /** The peer owes answers on this link while it gives them on another one. */
  isInTrouble = false;
  /** The peer leads on another one: perhaps it has seen what this side has not yet. */
  isDoubted = false;
  /** Since when it has been far slower than another one, ms; undefined: it is not. */
  slowSince: number | undefined;
  isLost = false;
  private ackedRecords = 0;
  private waiting: Waiting[] = [];
  private head = 0;

  constructor(
    readonly link: Link,
    private readonly owner: LaneOwner,
  ) {
    this.scheduler = new Scheduler(stream => owner.turnedHeavy(this, stream));
  }

  /** Streams may be given to it. */
  get isSound(): boolean {
    return !this.isLost && !this.isRetiring && !this.isInTrouble;
  }

  /** Something that the stream has sent here may not have arrived. */
  holds(stream: Stream): boolean {
    return this.scheduler.lastRecordOf(stream) >= this.ackedRecords;
  }

  /** Tells `stream` when the peer has received this record. */
  track(record: number, stream: Stream, what: Tracked): void {
    this.waiting.push({ record, id: stream.id, what });
  }

  frame(type: number, body: Uint8Array): void {
    this.owner.frame(this, type, body);
  }

  fill(draft: RecordDraft): void {
    this.owner.fill(this, draft);
  }

  acked(records: number): void {
    this.ackedRecords = Math.max(this.ackedRecords, records);
    while (this.head < this.waiting.length && this.waiting[this.head]!.record < records) {
      const { id, what } = this.waiting[this.head++]!;
      this.owner.stream(id)?.acked(what);
    }
    if (this.head * 2 >= this.waiting.length) {
      this.waiting.splice(0, this.head);
      this.head = 0;
    }
    this.owner.laneAcked(this);
  }

  tick(): boolean {
    if (this.waiting.length - this.head <= this.owner.mostTracked) return this.owner.laneTicked(this);
    this.link.close('limit', 'too many frames not acknowledged');
    return false;
  }

  linkClosed(code: Code, sentence: string, by: LinkEnd): void {
    this.isLost = true;
    this.owner.laneLost(this, code, sentence, by);
  }
}
