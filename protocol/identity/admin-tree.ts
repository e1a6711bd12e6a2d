/**
 * Who is an admin: a tree of promotions rooted in the founder, worked out from the top so that no loop can hold itself
 * up. A promotion counts when its signer is an admin already reached, the signer's word stands, and no ancestor on the
 * way has demoted or revoked the node with its generation or a higher one. Of several promotions the one nearest to the
 * founder counts, then the oldest. An admin that falls takes along what hangs below it and nowhere else.
 */
import { compare, equal } from '../bytes.js';
import type { Claim } from './claim.js';
import { CLOCK_TOLERANCE_MS, MAX_GRANT_LIFE_MS } from './grant.js';
import type { KeyLog } from './key-log.js';
import { nodeIdText, type NodeId, type NodeIdText } from './node-id.js';
import type { Revocation } from './revocation.js';
import type { Role } from './role.js';
import type { Settlement } from './settlement.js';
import type { Entry } from './shelf.js';
import type { ClaimKind, Shelves } from './shelves.js';
import { standingOf } from './standing.js';

/** Admins that one network can have; those nearest to the founder are kept. */
export const MAX_ADMINS = 256;

/**
 * A promotion does not expire while the key that signed it is current. After a routine rotation it counts for so long,
 * during which the admin signs it again: else whoever steals an old key could backdate a promotion for ever.
 */
export const ROLE_OVERLAP_MS = MAX_GRANT_LIFE_MS;

export interface Admin {
  readonly node: NodeId;
  /** Its ID as the key of maps. */
  readonly key: NodeIdText;
  /** 0 for the founder. */
  readonly depth: number;
  /** The admins above it, founder first, itself last. */
  readonly path: ReadonlySet<NodeIdText>;
}

export interface AdminTree {
  /** From the founder down, level by level. */
  readonly admins: ReadonlyMap<NodeIdText, Admin>;
}

export interface TreeInput {
  readonly founder: NodeId;
  readonly shelves: Shelves;
  log(node: NodeIdText): KeyLog | undefined;
  /** The signature is good under the key that the signer's log holds now. */
  genuine(entry: Entry<Claim>, kind: ClaimKind): boolean;
  readonly now: number;
}

export function growTree(input: TreeInput): AdminTree {
  const builder = new Builder(input);
  builder.grow();
  return builder;
}

class Builder implements AdminTree {
  readonly admins = new Map<NodeIdText, Admin>();
  private readonly promotions: ReadonlyMap<NodeIdText, Entry<Role>[]>;

  constructor(private readonly input: TreeInput) {
    const bySigner = new Map<NodeIdText, Entry<Role>[]>();
    for (const entry of input.shelves.role.entries()) {
      if (entry.claim.action !== 'promote') continue;
      const own = bySigner.get(entry.signer);
      if (own) own.push(entry);
      else bySigner.set(entry.signer, [entry]);
    }
    this.promotions = bySigner;
  }

  grow(): void {
    const founder = nodeIdText(this.input.founder);
    let level: Admin[] = [{ node: this.input.founder, key: founder, depth: 0, path: new Set([founder]) }];
    while (level.length > 0) {
      for (const admin of level) this.place(admin);
      level = this.below(level);
    }
  }

  private place(admin: Admin): void {
    if (this.admins.size >= MAX_ADMINS) return;
    this.admins.set(admin.key, admin);
    // The log must follow the branch that stands before any word of this admin is weighed.
    settleLog(this.input, this, admin.key);
  }

  private below(level: readonly Admin[]): Admin[] {
    const chosen = new Map<NodeIdText, { readonly role: Role; readonly above: Admin }>();
    for (const above of level) {
      for (const { claim: role, subject: key } of this.countingPromotions(above)) {
        const rival = chosen.get(key);
        if (!rival || olderFirst(role, rival.role) < 0) chosen.set(key, { role, above });
      }
    }
    const next = [...chosen].sort(([, a], [, b]) => olderFirst(a.role, b.role));
    return next.map(([key, { role, above }]) => ({
      node: role.node,
      key,
      depth: above.depth + 1,
      path: new Set([...above.path, key]),
    }));
  }

  private countingPromotions(above: Admin): Entry<Role>[] {
    if (!this.admins.has(above.key)) return [];
    const { role } = this.input.shelves;
    const counts = (e: Entry<Role>): boolean =>
      stands(this.input, e, 'role') && this.input.now < lapseOf(this.input, e);
    const valid = role.best(this.promotions.get(above.key) ?? [], counts);
    return valid.filter(e => !this.admins.has(e.subject) && !this.isEnded(e, above));
  }

  private isEnded({ claim: promotion, subject }: Entry<Role>, above: Admin): boolean {
    const fromAbove = <T extends Role | Revocation>(entries: readonly Entry<T>[]): Entry<T>[] =>
      entries.filter(e => above.path.has(e.signer));
    const ends = (e: Entry<Role | Revocation>): boolean => e.claim.generation >= promotion.generation;
    const { role, revocation } = this.input.shelves;
    const demotions = fromAbove(role.about(subject)).filter(e => e.claim.action === 'demote');
    return (
      role.best(demotions, e => stands(this.input, e, 'role')).some(ends) ||
      revocation.best(fromAbove(revocation.about(subject)), e => stands(this.input, e, 'revocation')).some(ends)
    );
  }
}

function olderFirst(a: Claim, b: Claim): number {
  return a.time - b.time || compare(a.hash, b.hash);
}

/** The signature is good and the signer's word still counts. */
export function stands(input: Pick<TreeInput, 'log' | 'genuine'>, entry: Entry<Claim>, kind: ClaimKind): boolean {
  const { signerSeq, time } = entry.claim;
  const log = input.log(entry.signer);
  if (!log) return false;
  const { state } = standingOf(log, signerSeq, time);
  return (state === 'current' || state === 'superseded') && input.genuine(entry, kind);
}

/** When a role statement lapses by itself, ms since the epoch: only a promotion under a superseded key does. */
export function lapseOf(input: Pick<TreeInput, 'log'>, { claim: role, signer }: Entry<Role>): number {
  if (role.action !== 'promote') return Infinity;
  const log = input.log(signer);
  const standing = log && standingOf(log, role.signerSeq, role.time);
  return standing?.state === 'superseded' ? standing.at + ROLE_OVERLAP_MS + CLOCK_TOLERANCE_MS : Infinity;
}

/** An admin may act on this node: an ancestor of an admin, any admin of a plain member, nobody on the founder. */
export function isAbove(tree: Pick<AdminTree, 'admins'>, signer: NodeIdText, subject: NodeIdText): boolean {
  if (signer === subject || !tree.admins.has(signer)) return false;
  return tree.admins.get(subject)?.path.has(signer) ?? true;
}

/**
 * Tells a forked log which branch stands. Of several settlements of one fork that of the highest admin counts, then
 * the oldest.
 */
export function settleLog(input: TreeInput, tree: Pick<AdminTree, 'admins'>, node: NodeIdText): void {
  const log = input.log(node);
  if (!log || log.forkProofs.length === 0) return;
  const depth = (s: Settlement): number => tree.admins.get(nodeIdText(s.signer))?.depth ?? Infinity;
  const { settlement } = input.shelves;
  const counting = settlement
    .best(settlement.about(node), e => isAbove(tree, e.signer, node) && stands(input, e, 'settlement'))
    .map(e => e.claim)
    .sort((a, b) => depth(a) - depth(b) || olderFirst(a, b));
  const verdicts = new Map<number, Uint8Array>();
  const forks = new Set(log.forkProofs.map(f => f.seq));
  for (const s of counting) if (forks.has(s.seq) && !verdicts.has(s.seq)) verdicts.set(s.seq, s.standing);
  if (!sameVerdicts(verdicts, log.verdicts)) log.settle(verdicts);
}

function sameVerdicts(a: ReadonlyMap<number, Uint8Array>, b: ReadonlyMap<number, Uint8Array>): boolean {
  return a.size === b.size && [...a].every(([seq, hash]) => equal(hash, b.get(seq) ?? new Uint8Array(0)));
}
