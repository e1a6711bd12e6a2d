/**
 * Role statements: `promote` makes a node an admin under the signer, `demote` takes that back with all that hangs
 * below it. Roles do not expire. Own fields: {5: node, 6: action, 7: generation}. A demotion ends every promotion of the
 * node with its generation or a lower one, so that promoting again later is possible with a higher one.
 */
import { equal } from '../bytes.js';
import type { Primitives } from '../crypto/primitives.js';
import { malformed } from '../errors.js';
import { decodeClaim } from './claim.js';
import type { Claim, ClaimFormat } from './claim.js';
import { MAX_GENERATION } from './grant.js';
import { NODE_ID_LENGTH, type NodeId } from './node-id.js';

export const ROLE_ACTIONS = ['promote', 'demote'] as const;
export type RoleAction = (typeof ROLE_ACTIONS)[number];

export interface RoleContent {
  readonly node: NodeId;
  readonly action: RoleAction;
  readonly generation: number;
}

export type Role = Claim & RoleContent;

export const ROLE: ClaimFormat<RoleContent> = {
  what: 'role statement',
  label: 'warren role v1',
  version: 1,
  maxBody: 512,
  write: r => [
    [5, r.node],
    [6, ROLE_ACTIONS.indexOf(r.action)],
    [7, r.generation],
  ],
  read: (fields, header) => {
    const node = fields.bytes(5, 'node', NODE_ID_LENGTH);
    const action = ROLE_ACTIONS[fields.uint(6, 'action', ROLE_ACTIONS.length - 1)]!;
    const generation = fields.uint(7, 'generation', MAX_GENERATION);
    if (equal(node, header.signer)) throw malformed('role statement', 'about the signer itself');
    if (equal(node, header.network)) throw malformed('role statement', 'about the founder');
    return { node, action, generation };
  },
};

/** @throws WarrenError `malformed` or `version` */
export function decodeRole(primitives: Primitives, bytes: Uint8Array): Role {
  return decodeClaim(primitives, ROLE, bytes);
}
