/**
 * Whether a node's word still counts, by the key it was given under. A key's word counts while the key is current, and
 * after a routine rotation what it signed before; a `compromised` statement voids what any earlier key signed; nothing
 * signed at or after an open fork counts.
 */
import type { KeyLog } from './key-log.js';
import { REASONS } from './statement.js';
import type { Reason } from './statement.js';

export type Standing =
  | { readonly state: 'current' }
  /** `at`: ms, when the next key took over. */
  | { readonly state: 'superseded'; readonly at: number }
  | { readonly state: 'void'; readonly why: string }
  /** The log here does not reach that far. */
  | { readonly state: 'unknown' };

const COMPROMISED: Reason = REASONS[2];

/**
 * @param seq of the key that signed
 * @param time ms, when the signer says that it signed
 */
export function standingOf(log: KeyLog, seq: number, time: number): Standing {
  const { forkedAt } = log;
  if (forkedAt !== undefined && seq >= forkedAt)
    return { state: 'void', why: `signed after the fork at seq ${forkedAt}` };
  if (seq > log.head.seq) return { state: 'unknown' };
  if (isCompromised(log, seq, forkedAt)) return { state: 'void', why: 'signed with a compromised key' };
  const at = supersededAt(log, seq, forkedAt);
  if (at === undefined) return { state: 'current' };
  return time <= at
    ? { state: 'superseded', at }
    : { state: 'void', why: 'signed with a key that was replaced before' };
}

function isCompromised(log: KeyLog, seq: number, forkedAt: number | undefined): boolean {
  const last = forkedAt === undefined ? log.head.seq : forkedAt - 1;
  if ((log.lastCompromised(last) ?? 0) > seq) return true;
  return forkedAt !== undefined && branches(log, forkedAt).some(b => b.reason === COMPROMISED);
}

function supersededAt(log: KeyLog, seq: number, forkedAt: number | undefined): number | undefined {
  if (forkedAt === seq + 1) return Math.min(...branches(log, forkedAt).map(b => b.time));
  return log.at(seq + 1)?.time;
}

function branches(log: KeyLog, seq: number) {
  return log.forkProofs.find(f => f.seq === seq)?.branches ?? [];
}

/** How the key that a peer proved in a handshake stands now: whether its links may go on. */
export type KeyState = 'current' | 'superseded' | 'compromised' | 'unknown';

/** @param seq of the statement that certified the peer's Noise static */
export function keyState(log: KeyLog, seq: number): KeyState {
  if (seq > log.head.seq) return 'unknown';
  if (isCompromised(log, seq, log.forkedAt)) return 'compromised';
  return seq === log.head.seq ? 'current' : 'superseded';
}
