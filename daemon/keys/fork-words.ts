/** A forked key log in words: what happened, and who has to do what. */
import { equal, toHex } from '../../protocol/bytes.js';
import type { NodeId } from '../../protocol/identity/node-id.js';
import type { Fork } from '../../protocol/identity/statement.js';
import type { TrustStore } from '../../protocol/identity/trust-store.js';

export interface ForkWords {
  readonly sentence: string;
  readonly hint: string;
}

/** Characters of a hash that tell two branches apart and that `settle` takes. */
const HASH_SHOWN = 16;

/** @param self this node */
export function forkWords(trust: TrustStore, self: NodeId, fork: Fork): ForkWords {
  return equal(fork.node, self) ? ofItself(trust, self, fork) : ofAnother(trust, fork);
}

function ofItself(trust: TrustStore, self: NodeId, fork: Fork): ForkWords {
  const own = trust.keyLog(self)?.at(fork.seq);
  const sentence =
    `the key log of this node is forked at seq ${fork.seq}: another host holds its keys and has rotated them too; ` +
    'other nodes refuse both until it is settled';
  if (equal(self, trust.networkId))
    return {
      sentence,
      hint: 'this node founded the network, so nobody stands above it to settle that: found a new network and invite its members; keep the next key in a file then (warren up --next-key FILE)',
    };
  const hash = own === undefined ? 'HASH' : toHex(own.hash).slice(0, HASH_SHOWN);
  return {
    sentence,
    hint: `have an admin run: warren keys settle ${trust.displayName(self)} ${hash}; then run here: warren keys rotate --reason compromised`,
  };
}

function ofAnother(trust: TrustStore, fork: Fork): ForkWords {
  const who = trust.displayName(fork.node);
  const branches = fork.branches.map(({ hash }) => toHex(hash).slice(0, HASH_SHOWN)).join(' and ');
  return {
    sentence: `the key log of ${who} is forked at seq ${fork.seq}: two hosts hold its keys (branches ${branches})`,
    hint: `ask its owner which branch is right (warren keys log over there), then, on an admin: warren keys settle ${who} HASH`,
  };
}
