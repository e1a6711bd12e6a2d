/**
 * A revocation ends every grant of a node up to a generation, and every promotion of it. Own fields: {5: node,
 * 6: generation, 7: name (absent if none was known)}. The name lets every admin keep it free for a while.
 */
import { equal } from '../bytes.js';
import type { Primitives } from '../crypto/primitives.js';
import { malformed } from '../errors.js';
import { decodeClaim } from './claim.js';
import type { Claim, ClaimFormat } from './claim.js';
import { DAY_MS, MAX_GENERATION } from './grant.js';
import { MAX_NAME, isNodeName } from './names.js';
import { NODE_ID_LENGTH, type NodeId } from './node-id.js';

/** For so long no other node gets the name of a revoked one. */
export const NAME_REST_MS = 30 * DAY_MS;

export interface RevocationContent {
  readonly node: NodeId;
  readonly generation: number;
  readonly name?: string;
}

export type Revocation = Claim & RevocationContent;

export const REVOCATION: ClaimFormat<RevocationContent> = {
  what: 'revocation',
  label: 'warren revocation v1',
  version: 1,
  maxBody: 512,
  write: r => [
    [5, r.node],
    [6, r.generation],
    [7, r.name],
  ],
  read: (fields, header) => {
    const node = fields.bytes(5, 'node', NODE_ID_LENGTH);
    const generation = fields.uint(6, 'generation', MAX_GENERATION);
    const name = fields.optionalText(7, 'name', MAX_NAME, isNodeName);
    if (equal(node, header.signer)) throw malformed('revocation', 'of the signer itself');
    if (equal(node, header.network)) throw malformed('revocation', 'of the founder');
    return { node, generation, ...(name !== undefined && { name }) };
  },
};

/** @throws WarrenError `malformed` or `version` */
export function decodeRevocation(primitives: Primitives, bytes: Uint8Array): Revocation {
  return decodeClaim(primitives, REVOCATION, bytes);
}
