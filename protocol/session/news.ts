/** Items that wait to be told to a peer, in order, within a bound. */
import { WarrenError } from '../errors.js';
import type { RecordDraft } from '../link/draft.js';
import { FRAME, encodeNews } from '../link/frame.js';

export class NewsQueue {
  private queue: Uint8Array[] = [];
  private bytes = 0;

  /** @param max bytes that may wait */
  constructor(private readonly max: number) {}

  /** @throws WarrenError `limit` when the item, or what waits, is too large */
  push(kind: number, body: Uint8Array): void {
    const frame = encodeNews(kind, body);
    if (this.bytes + frame.length > this.max) {
      throw new WarrenError('limit', `more than ${this.max} bytes of news wait for one peer`);
    }
    this.queue.push(frame);
    this.bytes += frame.length;
  }

  /** @returns false when there is more than fits into this record */
  fill(draft: RecordDraft): boolean {
    let taken = 0;
    for (const frame of this.queue) {
      if (draft.dataRoom <= 0) draft.isBlocked = true;
      if (draft.isFull || draft.dataRoom <= 0 || !draft.frame(FRAME.NEWS, frame)) break;
      draft.dataRoom -= frame.length;
      this.bytes -= frame.length;
      taken++;
    }
    this.queue.splice(0, taken);
    return !draft.isFull;
  }

  clear(): void {
    this.queue = [];
    this.bytes = 0;
  }
}
