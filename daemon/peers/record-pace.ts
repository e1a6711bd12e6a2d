/**
 * How often the registry records of one node are passed on. Each of them is valid and newer than the one before, so nothing
 * else stops a member that makes records without end from having all others hand them around. What comes too soon is held,
 * the newest of each node, and told later: nobody misses the last word.
 */
import type { Timer, Timers } from '../../protocol/clock.js';
import { nodeIdText, type NodeId, type NodeIdText } from '../../protocol/identity/node-id.js';
import type { TrustItem } from '../../protocol/identity/trust-item.js';
import { RateLimit, type Rate } from '../../protocol/limits.js';

/** Records of one node that are passed on: far more than one host changes its services or addresses. */
export const RECORD_RATE: Rate = { perSecond: 2, burst: 20 };

interface Held {
  readonly item: TrustItem;
  readonly from: NodeId | undefined;
}

export class RecordPace {
  /** one for each node whose records count, so no more than there are members */
  private readonly rates = new Map<NodeIdText, RateLimit>();
  /** the newest of each node that waits */
  private readonly held = new Map<NodeIdText, Held>();
  private timer: Timer | undefined;

  /** @param tell passes one on */
  constructor(
    private readonly timers: Pick<Timers, 'monotonic' | 'after'>,
    private readonly tell: (item: TrustItem, from: NodeId | undefined) => void,
  ) {}

  /**
   * Passes a record on, now or later.
   * @param of its node
   * @param from the peer that told it
   */
  pass(of: NodeId, item: TrustItem, from: NodeId | undefined): void {
    const node = nodeIdText(of);
    if (!this.held.has(node) && this.mayTell(node)) return this.tell(item, from);
    this.held.set(node, { item, from });
    this.timer ??= this.timers.after(1000 / RECORD_RATE.perSecond, () => this.tellHeld());
  }

  /** Nobody is to hear what waits. */
  clear(): void {
    this.timer?.cancel();
    this.timer = undefined;
    this.held.clear();
    this.rates.clear();
  }

  private tellHeld(): void {
    this.timer = undefined;
    for (const [node, { item, from }] of this.held) {
      if (!this.mayTell(node)) continue;
      this.held.delete(node);
      this.tell(item, from);
    }
    if (this.held.size > 0) this.timer = this.timers.after(1000 / RECORD_RATE.perSecond, () => this.tellHeld());
  }

  private mayTell(node: NodeIdText): boolean {
    const now = this.timers.monotonic();
    let rate = this.rates.get(node);
    if (rate === undefined) this.rates.set(node, (rate = new RateLimit(RECORD_RATE, now)));
    return rate.take(now);
  }
}
