/**
 * In what order a peer is told: a statement that voids what its node has signed goes behind what that node has signed anew.
 * A peer that cannot judge the new words yet keeps them, and then all of it counts in one step. It keeps only so much that
 * it cannot judge, so what is more than that stays behind the statement (doubt.ts has the moment between).
 */
import type { Primitives } from '../crypto/primitives.js';
import { MAX_PENDING } from './pending.js';
import { decodeStatement } from './statement.js';
import type { TrustItem } from './trust-item.js';

/** So many words of a node are told ahead of the statement that they rest on; half of what a peer holds of such. */
export const MAX_AHEAD = MAX_PENDING / 2;

/** A statement by which its node gives its earlier keys up as compromised. */
export function voidsMore(primitives: Primitives, { kind, bytes }: TrustItem): boolean {
  return kind === 'statement' && decodeStatement(primitives, bytes).reason === 'compromised';
}

/**
 * @param itemOf what of each is told
 * @param voids whether it is a statement by which its node gives its earlier keys up
 */
export function inTellingOrder<T>(
  told: readonly T[],
  itemOf: (one: T) => TrustItem,
  voids: (one: T) => boolean,
): readonly T[] {
  const at = told.findIndex(voids);
  if (at < 0) return told;
  const ahead = told.slice(at + 1).filter(one => !isOfLog(itemOf(one))).slice(0, MAX_AHEAD); // prettier-ignore
  const isAhead = new Set(ahead);
  return [...told.slice(0, at), ...ahead, ...told.slice(at).filter(one => !isAhead.has(one))];
}

function isOfLog({ kind }: TrustItem): boolean {
  return kind === 'statement' || kind === 'fork';
}
