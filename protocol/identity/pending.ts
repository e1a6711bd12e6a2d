/**
 * Items that cannot be judged yet because what they rest on has not come: held for a while, within narrow bounds, the
 * oldest going first, and tried again when something new was learned.
 */
import { toHex } from '../bytes.js';
import type { Hash } from '../crypto/primitives.js';
import { labelledHash, type NodeIdText } from './node-id.js';
import type { TrustItem } from './trust-item.js';

export const MAX_PENDING = 512;
export const MAX_PENDING_BYTES = 1024 * 1024;

export interface Waiting {
  readonly item: TrustItem;
  /** Something new about this node may help. */
  readonly waitsFor: NodeIdText;
}

export class Pending {
  private readonly items = new Map<string, Waiting>();
  private bytes = 0;

  constructor(private readonly hash: Hash) {}

  put(waiting: Waiting): void {
    const key = this.key(waiting.item);
    if (this.items.has(key)) return;
    this.items.set(key, waiting);
    this.bytes += waiting.item.bytes.length;
    for (const [oldest, { item }] of this.items) {
      if (this.items.size <= MAX_PENDING && this.bytes <= MAX_PENDING_BYTES) return;
      this.items.delete(oldest);
      this.bytes -= item.bytes.length;
    }
  }

  drop({ item }: Waiting): void {
    if (this.items.delete(this.key(item))) this.bytes -= item.bytes.length;
  }

  all(): Waiting[] {
    return [...this.items.values()];
  }

  get size(): number {
    return this.items.size;
  }

  private key(item: TrustItem): string {
    return toHex(labelledHash(this.hash, item.kind, item.bytes).subarray(0, 16));
  }
}
