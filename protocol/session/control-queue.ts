/** Streams that have control frames to send, in order, each once. */
import { EMPTY } from '../bytes.js';
import type { RecordDraft } from '../link/draft.js';
import { FRAME } from '../link/frame.js';
import type { Lane } from './lane.js';
import type { Stream } from './stream.js';

export class ControlQueue {
  private queue: Stream[] = [];
  private readonly queued = new Set<Stream>();

  /** @returns false when the stream is there already */
  add(stream: Stream): boolean {
    if (this.queued.has(stream)) return false;
    this.queued.add(stream);
    this.queue.push(stream);
    return true;
  }

  get length(): number {
    return this.queue.length;
  }

  clear(): void {
    this.queue = [];
    this.queued.clear();
  }

  /**
   * Adds the frames of all streams, and RESUMED behind the last of those that were there when the link was attached.
   * @param isLive whether a stream still counts
   * @returns false when something did not fit into this record
   */
  fill(lane: Lane, draft: RecordDraft, isLive: (stream: Stream) => boolean): boolean {
    let taken = 0;
    while (taken < this.queue.length && !draft.isFull) {
      const stream = this.queue[taken]!;
      if (isLive(stream) && !stream.writeControl(draft, what => lane.track(draft.record, stream, what))) break;
      this.queued.delete(stream);
      taken++;
      if (stream.sendable > 0 || stream.hasFin) stream.activate();
    }
    this.queue.splice(0, taken);
    if (this.queue.length > 0) draft.overflowed = true;
    return this.fillResumed(lane, draft, taken) && this.queue.length === 0;
  }

  private fillResumed(lane: Lane, draft: RecordDraft, taken: number): boolean {
    if (lane.toResync < 0) return true;
    lane.toResync = Math.max(0, lane.toResync - taken);
    if (lane.toResync > 0) return true;
    if (!draft.frame(FRAME.RESUMED, EMPTY)) return false;
    lane.toResync = -1;
    return true;
  }
}
