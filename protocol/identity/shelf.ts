/**
 * A shelf keeps the claims of one kind, by the node that they are about. Who signs again about the same replaces what
 * it said before; the one before that is kept as a spare, for the day when the newer turns out to be void. Whatever
 * order claims come in, every host ends with the same ones: each choice is by content, none by arrival.
 */
import { compare, equal } from '../bytes.js';
import type { Claim } from './claim.js';
import { nodeIdText, type NodeIdText } from './node-id.js';

/** Versions kept of one claim: the newest and a spare signed with an earlier key. */
const PER_SLOT = 2;
/** Claims kept about one node. */
export const MAX_PER_SUBJECT = 32;

export interface Entry<T extends Claim> {
  readonly claim: T;
  readonly subject: string;
  readonly slot: string;
  readonly signer: NodeIdText;
  /** The signing key under which the signature was found good. */
  key: Uint8Array;
  /** Counts now, and is told to others. */
  live: boolean;
}

export interface ShelfRules<T extends Claim> {
  /** What the claim is about; claims are looked up by it. */
  subject(claim: T): string;
  /** What a later claim of the same signer replaces; the signer is part of it. */
  slot(claim: T): string;
  /** Negative when `a` is to be kept rather than `b`, both by one signer about the same with keys of one seq. */
  prefer(a: T, b: T): number;
  /** Most bytes kept in all. */
  readonly maxBytes: number;
}

export type Put = 'added' | 'known' | 'outdone' | 'full';

export class Shelf<T extends Claim> {
  private readonly bySubject = new Map<string, Entry<T>[]>();
  private bytes = 0;

  constructor(private readonly rules: ShelfRules<T>) {}

  /** All entries about `subject`; within one slot the better first. */
  about(subject: string): readonly Entry<T>[] {
    return this.bySubject.get(subject) ?? [];
  }

  subjects(): IterableIterator<string> {
    return this.bySubject.keys();
  }

  *entries(): IterableIterator<Entry<T>> {
    for (const list of this.bySubject.values()) yield* list;
  }

  hasLive(subject: string): boolean {
    return this.bySubject.get(subject)?.some(entry => entry.live) === true;
  }

  /** Hashes of all claims that are live. */
  liveHashes(): Uint8Array[] {
    const hashes: Uint8Array[] = [];
    for (const list of this.bySubject.values()) for (const { live, claim } of list) if (live) hashes.push(claim.hash);
    return hashes;
  }

  /** Entries by slot, the newest of each first. */
  slots(): (readonly Entry<T>[])[] {
    const slots = new Map<string, Entry<T>[]>();
    for (const entry of this.entries()) {
      const key = `${entry.subject} ${entry.slot}`;
      const list = slots.get(key);
      if (list) list.push(entry);
      else slots.set(key, [entry]);
    }
    return [...slots.values()];
  }

  has(claim: T): boolean {
    return this.about(this.rules.subject(claim)).some(e => equal(e.claim.hash, claim.hash));
  }

  /**
   * @param key under which the signature was verified
   * @param rank of an entry when room is short: the highest goes first
   */
  put(claim: T, key: Uint8Array, rank: (entry: Entry<T>) => number): Put {
    if (this.has(claim)) return 'known';
    const subject = this.rules.subject(claim);
    const slot = this.rules.slot(claim);
    const entry: Entry<T> = { claim, subject, slot, signer: nodeIdText(claim.signer), key, live: true };
    const list = [...this.about(subject), entry].sort((a, b) => this.order(a, b));
    const kept = this.withinSubject(list, rank);
    if (!kept.includes(entry)) return 'outdone';
    this.replace(subject, kept);
    if (this.bytes > this.rules.maxBytes) this.shrink(rank);
    return this.about(subject).includes(entry) ? 'added' : 'full';
  }

  /** Newer keys before older ones, then as the kind prefers; the hash decides what nothing else does. */
  private order(a: Entry<T>, b: Entry<T>): number {
    if (a.slot !== b.slot) return a.slot < b.slot ? -1 : 1;
    const bySeq = b.claim.signerSeq - a.claim.signerSeq;
    return bySeq || this.rules.prefer(a.claim, b.claim) || compare(a.claim.hash, b.claim.hash);
  }

  private withinSubject(list: readonly Entry<T>[], rank: (entry: Entry<T>) => number): Entry<T>[] {
    const kept: Entry<T>[] = [];
    for (const entry of list) {
      const same = kept.filter(e => e.slot === entry.slot);
      const outdone = same.length >= PER_SLOT || same.some(e => e.claim.signerSeq === entry.claim.signerSeq);
      if (!outdone) kept.push(entry);
    }
    if (kept.length <= MAX_PER_SUBJECT) return kept;
    const worst = kept.reduce((w, e) => (this.worse(e, w, rank) ? e : w));
    return kept.filter(e => e !== worst);
  }

  private shrink(rank: (entry: Entry<T>) => number): void {
    while (this.bytes > this.rules.maxBytes) {
      let worst: Entry<T> | undefined;
      for (const e of this.entries()) if (!worst || this.worse(e, worst, rank)) worst = e;
      if (!worst) return;
      this.remove(worst);
    }
  }

  private worse(a: Entry<T>, b: Entry<T>, rank: (entry: Entry<T>) => number): boolean {
    const byRank = rank(a) - rank(b);
    if (byRank !== 0) return byRank > 0;
    return a.claim.time !== b.claim.time ? a.claim.time < b.claim.time : compare(a.claim.hash, b.claim.hash) > 0;
  }

  remove(entry: Entry<T>): void {
    const subject = this.rules.subject(entry.claim);
    this.replace(subject, this.about(subject).filter(e => e !== entry)); // prettier-ignore
  }

  private replace(subject: string, list: Entry<T>[]): void {
    const size = (entries: readonly Entry<T>[]): number => entries.reduce((n, e) => n + e.claim.bytes.length, 0);
    this.bytes += size(list) - size(this.about(subject));
    if (list.length > 0) this.bySubject.set(subject, list);
    else this.bySubject.delete(subject);
  }

  /** Of each slot the best entry for which `valid` holds. */
  best(entries: Iterable<Entry<T>>, valid: (entry: Entry<T>) => boolean): Entry<T>[] {
    const chosen = new Map<string, Entry<T>>();
    for (const entry of entries) if (!chosen.has(entry.slot) && valid(entry)) chosen.set(entry.slot, entry);
    return [...chosen.values()];
  }
}
