/** Who is at the other end, and what it may: the verdict on an identified peer. */
import { equal } from '../bytes.js';
import type { Code } from '../codes.js';
import type { AdmissionTrust } from './catch-up.js';
import type { PeerPayload } from './types.js';

export type Verdict =
  | { readonly kind: 'admitted' }
  /** limited: catch-up and renewal, nothing else */
  | { readonly kind: 'limited' | 'refused'; readonly code: Code; readonly sentence: string };

export const ADMITTED: Verdict = { kind: 'admitted' };

function refused(code: Code, sentence: string): Verdict {
  return { kind: 'refused', code, sentence };
}

/**
 * Whether the statement that the peer showed, and by it the Noise key that it proved, is its node's newest.
 * A statement 0 is its node by its hash; a later one only claims its node until the key log bears it out.
 */
export function judgeIdentity(trust: AdmissionTrust, peer: PeerPayload): Verdict {
  const who = trust.displayName(peer.nodeId);
  const log = trust.keyLog(peer.nodeId);
  if (!log) return refused('not-admitted', `${who} has not shown its key log`);
  if (log.forkedAt !== undefined && peer.seq >= log.forkedAt) {
    return refused('forked', `the key log of ${who} is forked at seq ${log.forkedAt}: two hosts hold its keys`);
  }
  const shown = log.at(peer.seq);
  if (!shown) return refused('not-admitted', `${who} has not shown its key log up to seq ${peer.seq}`);
  if (!equal(shown.hash, peer.statementHash)) {
    return refused('not-admitted', `${who} showed a statement that is not in its key log`);
  }
  return judgeKey(trust, peer, who);
}

function judgeKey(trust: AdmissionTrust, peer: PeerPayload, who: string): Verdict {
  switch (trust.keyState(peer.nodeId, peer.seq)) {
    case 'current':
      return ADMITTED;
    case 'compromised':
      return refused('key-compromised', `${who} used a key that its owner has declared compromised`);
    case 'superseded':
      return refused('key-replaced', `${who} used a key that it has rotated away from`);
    case 'unknown':
      return refused('not-admitted', `${who} has not shown its key log`);
  }
}

/** Whether the node is a member now. */
export function judgeMember(trust: AdmissionTrust, peer: PeerPayload): Verdict {
  const judgement = trust.judge(peer.nodeId);
  if (judgement.verdict === 'admitted') return ADMITTED;
  return { kind: judgement.verdict, code: judgement.code, sentence: judgement.sentence };
}
