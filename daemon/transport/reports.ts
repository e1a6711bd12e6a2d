/** What is told of openings that led to no link, in the words of the log. */
import type { Log } from '../observe/log.js';
import type { DropReason } from './guard.js';

export const NO_PROOF = 'its preface proves no secret of this network';

export interface OpeningReports {
  /** Somebody without a proof was turned away. */
  stranger(remote: string, why: string): void;
  /** Somebody with a proof got no further. */
  failed(remote: string, why: string): void;
  /** Somebody with a proof speaks another version; `why` names both. */
  versionMismatch(remote: string, why: string): void;
}

/** @param log limits repeated lines: strangers can cause every one of these */
export function openingReports(log: Log): OpeningReports {
  return {
    stranger: (remote, reason) =>
      log.info('stranger', { remote, reason }, `A stranger at ${remote} was turned away: ${reason}.`),
    failed: (remote, reason) =>
      log.warn('handshake-failed', { remote, reason }, `The handshake with ${remote} failed: ${reason}.`),
    versionMismatch: (remote, reason) =>
      log.warn('version-mismatch', { remote, reason }, `No common version with ${remote}: ${reason}.`),
  };
}

/**
 * Why the guard took a place away.
 * @param heard the other end has said something
 * @returns undefined when there is nothing to say
 */
export function dropWords(why: DropReason, heard: boolean): string | undefined {
  switch (why) {
    case 'deadline':
      return heard ? 'its handshake took too long' : 'it said nothing until the deadline';
    case 'replaced':
      return 'a newer connection took its place';
    case 'no place':
      return 'too many handshakes are going on';
    case 'closing':
      return undefined;
  }
}
