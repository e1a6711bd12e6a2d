/**
 * A settlement says which branch of a forked key log stands: {5: node, 6: seq of the fork, 7: hash of the statement
 * that stands}. It counts when it comes from an admin above the node (of a plain member: any admin) and a fork at that
 * seq is proven. A founder has nobody above it and cannot be settled. The branches begin with one and the same signing
 * key, which two hosts then hold: the owner rotates with reason `compromised` as soon as its branch stands.
 */
import { equal } from '../bytes.js';
import type { Primitives } from '../crypto/primitives.js';
import { malformed } from '../errors.js';
import { decodeClaim } from './claim.js';
import type { Claim, ClaimFormat } from './claim.js';
import { NODE_ID_LENGTH, type NodeId } from './node-id.js';
import { HASH_LENGTH, MAX_STATEMENTS } from './statement.js';

export interface SettlementContent {
  readonly node: NodeId;
  readonly seq: number;
  readonly standing: Uint8Array;
}

export type Settlement = Claim & SettlementContent;

export const SETTLEMENT: ClaimFormat<SettlementContent> = {
  what: 'settlement',
  label: 'warren settlement v1',
  version: 1,
  maxBody: 512,
  write: s => [
    [5, s.node],
    [6, s.seq],
    [7, s.standing],
  ],
  read: (fields, header) => {
    const node = fields.bytes(5, 'node', NODE_ID_LENGTH);
    const seq = fields.uint(6, 'seq', MAX_STATEMENTS - 1);
    const standing = fields.bytes(7, 'standing statement', HASH_LENGTH);
    if (seq === 0) throw malformed('settlement', 'seq 0 cannot fork');
    if (equal(node, header.signer)) throw malformed('settlement', "of the signer's own log");
    if (equal(node, header.network)) throw malformed('settlement', "of the founder's log");
    return { node, seq, standing };
  },
};

/** @throws WarrenError `malformed` or `version` */
export function decodeSettlement(primitives: Primitives, bytes: Uint8Array): Settlement {
  return decodeClaim(primitives, SETTLEMENT, bytes);
}
