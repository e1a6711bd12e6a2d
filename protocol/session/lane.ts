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
}

interface Waiting {
  readonly record: number;
  readonly stream: Stream;
  readonly what: Tracked;
}

export class Lane implements LinkHandler {
  readonly scheduler = new Scheduler();
  /** The peer has told its state on this link: what was lost may be sent again. */
  hasPeerState = false;
  /** Streams whose state is to be told before RESUMED; -1: RESUMED was sent. */
  toResync = 0;
  /** Another link has taken over; this one closes when all is acknowledged. */
  isRetiring = false;
  private waiting: Waiting[] = [];
  private head = 0;

  constructor(
    readonly link: Link,
    private readonly owner: LaneOwner,
  ) {}

  /** Tells `stream` when the peer has received this record. */
  track(record: number, stream: Stream, what: Tracked): void {
    this.waiting.push({ record, stream, what });
  }

  frame(type: number, body: Uint8Array): void {
    this.owner.frame(this, type, body);
  }

  fill(draft: RecordDraft): void {
    this.owner.fill(this, draft);
  }

  acked(records: number): void {
    while (this.head < this.waiting.length && this.waiting[this.head]!.record < records) {
      const { stream, what } = this.waiting[this.head++]!;
      stream.acked(what);
    }
    if (this.head * 2 >= this.waiting.length) {
      this.waiting.splice(0, this.head);
      this.head = 0;
    }
    this.owner.laneAcked(this);
  }

  linkClosed(code: Code, sentence: string, by: LinkEnd): void {
    this.owner.laneLost(this, code, sentence, by);
  }
}
