/** Whether a link may go on, by the keys that both of its ends proved when it was made. */
import { equal } from '../../protocol/bytes.js';
import type { Established } from '../../protocol/handshake/types.js';
import type { NodeId } from '../../protocol/identity/node-id.js';
import type { KeyState } from '../../protocol/identity/standing.js';
import type { TrustStore } from '../../protocol/identity/trust-store.js';

/** keep · replace: made with a key that was rotated away from · close: with one that its owner gave up as compromised */
export type LinkKeys = 'keep' | 'replace' | 'close';

/** @param self this node, whose own key log is in the store */
export function judgeLinkKeys(trust: TrustStore, self: NodeId, link: Established): LinkKeys {
  const states = [trust.keyState(link.peer.nodeId, link.peer.seq), ownState(trust, self, link.localStatic)];
  if (states.includes('compromised')) return 'close';
  return states.includes('superseded') ? 'replace' : 'keep';
}

function ownState(trust: TrustStore, self: NodeId, noiseKey: Uint8Array): KeyState {
  const log = trust.keyLog(self);
  if (log === undefined || equal(log.head.noiseKey, noiseKey)) return 'current';
  for (let seq = log.length - 2; seq >= 0; seq--)
    if (equal(log.at(seq)!.noiseKey, noiseKey)) return trust.keyState(self, seq);
  return 'current';
}
