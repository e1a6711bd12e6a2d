/**
 * Early-data credit: what an opener may send before it hears OPENED. The receiver grants a running total (POOL), each
 * OPEN takes its claim out of it. Claimed credit belongs to the stream from then on.
 */
import { WarrenError } from '../errors.js';
import { MAX_CLAIM, type Limits } from '../limits.js';
import type { PeerBudget } from './credit.js';

/** One open claims at most this share of what is left, so that a burst of opens gets something each. */
const CLAIM_SHARE = 1 / 16;
const LEAST_CLAIM = 4 * 1024;
/** A peer's pool is at most this share of what is free of its budget. */
const POOL_SHARE = 1 / 64;
/** ... and this share of what the pools of all peers may still take: together half of the process's budget. */
const POOL_SHARE_OF_PROCESS = 1 / 128;
const POOLS_OF_PROCESS = 1 / 2;
/** The total is raised when less than this share of the pool is left. */
const RAISE_BELOW = 3 / 4;

/** The side that grants. */
export class PoolGrant {
  /** running total granted */
  limit = 0;
  private claimed = 0;
  private toldLimit = -1;

  constructor(
    private readonly budget: PeerBudget,
    private readonly limits: Limits['receive'],
  ) {}

  /** An OPEN has come; its claim passes to the stream. @throws WarrenError with wire `flow-control` beyond the grant */
  take(claim: number): void {
    if (claim > this.limit - this.claimed) {
      throw new WarrenError('protocol', 'an open claims more than it was granted', { wire: 'flow-control' });
    }
    this.claimed += claim;
  }

  private get shareOfPools(): number {
    return (this.budget.freeOfProcess - POOLS_OF_PROCESS * this.limits.process) * POOL_SHARE_OF_PROCESS;
  }

  private get left(): number {
    return this.limit - this.claimed;
  }

  /** Raises the total if it is time and the budget allows. @returns true when POOL has something new to tell */
  raise(): boolean {
    const wanted = Math.max(
      0,
      Math.floor(Math.min(this.limits.pool, this.budget.free * POOL_SHARE, this.shareOfPools)),
    );
    if (this.left < wanted * RAISE_BELOW) this.limit += this.budget.grant(wanted - this.left);
    return this.limit !== this.toldLimit;
  }

  told(): void {
    this.toldLimit = this.limit;
  }

  /** The link that told it is gone: tell it again. */
  forgetTold(): void {
    this.toldLimit = -1;
  }

  /** The session is over. */
  cancel(): void {
    this.budget.giveBack(this.left);
    this.limit = this.claimed;
  }
}

/** The side that claims. */
export class PoolUse {
  private limit = 0;
  private claimed = 0;

  /** POOL has come; the larger total counts. */
  raise(limit: number): void {
    this.limit = Math.max(this.limit, limit);
  }

  /** Takes a claim for one open: 0 when nothing is left. */
  claim(): number {
    const left = this.limit - this.claimed;
    const n = Math.min(left, MAX_CLAIM, Math.max(LEAST_CLAIM, Math.floor(left * CLAIM_SHARE)));
    this.claimed += n;
    return n;
  }
}
