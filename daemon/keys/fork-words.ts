/** A forked key log in words: what happened, and who has to do what. */
import { equal, toHex } from '../../protocol/bytes.js';
import type { Fork } from '../../protocol/identity/statement.js';
import type { TrustStore } from '../../protocol/identity/trust-store.js';
import type { Keyring } from './keyring.js';

export interface ForkWords {
  readonly sentence: string;
  readonly hint: string;
}

/** Characters of a hash that tell two branches apart and that `settle` takes. */
const HASH_SHOWN = 16;

/** This node as its own home knows it: another host may have made statements in its name. */
export type OwnKeys = Pick<Keyring, 'nodeId' | 'seq' | 'statementAt'>;

export function forkWords(trust: TrustStore, own: OwnKeys, fork: Fork): ForkWords {
  return equal(fork.node, own.nodeId) ? ofItself(trust, own, fork) : ofAnother(trust, fork);
}

/** The fork of this node's own log that no admin has settled. */
export function ownFork(trust: TrustStore, own: OwnKeys): Fork | undefined {
  return trust.openForks().find(fork => equal(fork.node, own.nodeId));
}

const REFOUND =
  'this node founded the network, so nobody stands above it to settle that: found a new network (warren up on an empty home, with --next-key FILE) and invite every member anew';

function ofItself(trust: TrustStore, own: OwnKeys, fork: Fork): ForkWords {
  const sentence =
    `the key log of this node is forked at seq ${fork.seq}: another host holds its keys and has rotated them too; ` +
    'other nodes make no new link with either until that is settled';
  if (equal(own.nodeId, trust.networkId)) return { sentence, hint: REFOUND };
  const statement = own.statementAt(fork.seq);
  if (statement === undefined)
    return {
      sentence,
      hint: 'neither branch is of this home, which is older than both: restore its newest backup (warren keys restore FILE), or have an admin revoke this node and invite it anew',
    };
  const isProven = fork.branches.some(({ hash }) => equal(hash, statement.hash));
  const hash = isProven ? short(statement.hash) : toHex(statement.hash);
  return {
    sentence,
    hint: `have an admin run: warren keys settle ${trust.displayName(own.nodeId)} ${hash}; then run here: warren keys rotate --reason compromised`,
  };
}

function ofAnother(trust: TrustStore, fork: Fork): ForkWords {
  const who = trust.displayName(fork.node);
  const branches = fork.branches.map(({ hash }) => short(hash)).join(' and ');
  const sentence = `the key log of ${who} is forked at seq ${fork.seq}: two hosts hold its keys (branches ${branches})`;
  if (equal(fork.node, trust.networkId))
    return {
      sentence,
      hint: `${who} founded the network, so nobody stands above it to settle that: its owner has to found a new network and invite every member anew`,
    };
  return {
    sentence,
    hint: `ask its owner which branch is right (warren doctor over there), then, on an admin above it: warren keys settle ${who} HASH`,
  };
}

/**
 * Another host has made statements in this node's name that peers took for its own: the keys of this home are out of date.
 * @returns undefined when the newest statement that is known is of this home
 */
export function outrunWords(trust: TrustStore, own: OwnKeys): ForkWords | undefined {
  const head = trust.head(own.nodeId);
  if (head === undefined || head.seq <= own.seq) return undefined;
  return {
    sentence: `another host has rotated the keys of this node (to seq ${head.seq}, this home is at ${own.seq}): other nodes refuse this one`,
    hint: equal(own.nodeId, trust.networkId)
      ? `if this home is an old copy, restore its newest backup (warren keys restore FILE); else the keys are stolen, and ${REFOUND}`
      : 'if this home is an old copy, restore its newest backup (warren keys restore FILE); else the keys are stolen: run warren keys rotate, then warren doctor, which says what an admin has to do',
  };
}

function short(hash: Uint8Array): string {
  return toHex(hash).slice(0, HASH_SHOWN);
}
