/**
 * What was taken in lately: it may have come after a new link's two sides had compared what they know, and before there
 * was a session to tell it by. Bounded in time and in bytes, since any member can make items come.
 */
import { equal } from '../../protocol/bytes.js';
import type { Clock } from '../../protocol/clock.js';
import { nodeIdText, type NodeId } from '../../protocol/identity/node-id.js';
import type { TrustItem } from '../../protocol/identity/trust-item.js';

/** Items that a peer may have missed while its link was being made: those of so long ago, ms. */
export const RECENT_MS = 60_000;
/** Bytes of such items that are kept at most; the oldest go first. */
export const MAX_RECENT_BYTES = 4 * 1024 * 1024;

interface Recent {
  readonly item: TrustItem;
  readonly from: NodeId | undefined;
  /** ms, monotonic */
  readonly at: number;
}

export class RecentItems {
  /** in the order of their coming, by what replaces them */
  private readonly items = new Map<string | symbol, Recent>();
  private bytes = 0;

  constructor(private readonly clock: Pick<Clock, 'monotonic'>) {}

  /**
   * @param from the peer that told it
   * @param recordOf the node whose registry record it is: the one before is worth nothing any more
   */
  add(item: TrustItem, from: NodeId | undefined, recordOf?: NodeId): void {
    const key = recordOf === undefined ? Symbol() : nodeIdText(recordOf);
    this.forget(key);
    this.items.set(key, { item, from, at: this.clock.monotonic() });
    this.bytes += item.bytes.length;
    this.forgetOld();
  }

  /** Those that did not come from `peer` itself. */
  for(peer: NodeId): readonly TrustItem[] {
    this.forgetOld();
    return [...this.items.values()]
      .filter(({ from }) => from === undefined || !equal(from, peer))
      .map(({ item }) => item);
  }

  clear(): void {
    this.items.clear();
    this.bytes = 0;
  }

  private forgetOld(): void {
    const since = this.clock.monotonic() - RECENT_MS;
    for (const [key, { at }] of this.items) {
      if (at >= since && this.bytes <= MAX_RECENT_BYTES) break;
      this.forget(key);
    }
  }

  private forget(key: string | symbol): void {
    this.bytes -= this.items.get(key)?.item.bytes.length ?? 0;
    this.items.delete(key);
  }
}
