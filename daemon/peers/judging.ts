/**
 * Whoever an item that came in may concern is judged anew: dialed when it has become a member, parted from when it is none
 * any more. A new member concerns nobody else, and there may be thousands of them.
 */
import type { Timers } from '../../protocol/clock.js';
import { nodeIdText, type NodeId, type NodeIdText } from '../../protocol/identity/node-id.js';
import type { TrustItem } from '../../protocol/identity/trust-item.js';
import type { TrustStore } from '../../protocol/identity/trust-store.js';
import { Batched } from './batched.js';

/** Grants and records come by the thousand: they are gone through together, so long after the first of them at most, ms. */
const JUDGE_WITHIN_MS = 50;

/** Who is to be judged; undefined: everybody. */
export type Concerned = ReadonlyMap<NodeIdText, NodeId> | undefined;

export class Judging {
  private readonly batched: Batched;
  private readonly nodes = new Map<NodeIdText, NodeId>();
  private isForAll = false;

  /** @param work judges them */
  constructor(
    timers: Timers,
    private readonly trust: () => Pick<TrustStore, 'head' | 'record'>,
    work: (concerned: Concerned) => void,
  ) {
    this.batched = new Batched(timers, () => {
      const concerned = this.isForAll ? undefined : new Map(this.nodes);
      this.isForAll = false;
      this.nodes.clear();
      work(concerned);
    });
  }

  /** Everybody, at the end of this turn. */
  soon(): void {
    this.isForAll = true;
    this.batched.soon();
  }

  /** @param about the node that the item is about */
  taken({ kind }: TrustItem, about: NodeId | undefined): void {
    if (about !== undefined && this.concernsOne(kind, about)) this.nodes.set(nodeIdText(about), about);
    else this.isForAll = true;
    if (kind === 'grant' || kind === 'registry') this.batched.within(JUDGE_WITHIN_MS);
    else this.batched.soon();
  }

  /** A grant, a record, the beginning of a key log: what others are, and may do, does not hang on them. */
  private concernsOne(kind: TrustItem['kind'], about: NodeId): boolean {
    if (kind === 'grant') return true;
    // Through a node that relays others may be in reach now.
    if (kind === 'registry') return this.trust().record(about)?.relays !== true;
    return kind === 'statement' && this.trust().head(about)?.seq === 0;
  }
}
