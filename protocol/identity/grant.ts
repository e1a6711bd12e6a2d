/**
 * A grant: a member's admission, signed by an admin. Own fields: {5: node, 6: name, 7: tags (absent if none),
 * 8: since, 9: expires, 10: generation}. `time` of the header is when it was issued.
 */
import type { Primitives } from '../crypto/primitives.js';
import { malformed } from '../errors.js';
import { decodeClaim } from './claim.js';
import type { Claim, ClaimFormat } from './claim.js';
import { MAX_NAME, MAX_TAG, MAX_TAGS, foldName, isNodeName, isTag } from './names.js';
import { NODE_ID_LENGTH, type NodeId } from './node-id.js';
import { ENVELOPE_OVERHEAD } from './signed.js';

export const HOUR_MS = 3_600_000;
export const DAY_MS = 24 * HOUR_MS;
/** No grant lives longer: what a stolen old key backdates dies within this time. */
export const MAX_GRANT_LIFE_MS = 90 * DAY_MS;
/** How far two hosts' clocks may be apart. */
export const CLOCK_TOLERANCE_MS = DAY_MS;
/** Generations count revocations of one node; nobody needs more, and a thief cannot use numbers up. */
export const MAX_GENERATION = 0xffff_ffff;
const MAX_GRANT_BODY = 2048;
/** A whole envelope. */
export const MAX_GRANT_BYTES = MAX_GRANT_BODY + ENVELOPE_OVERHEAD;

export interface GrantContent {
  readonly node: NodeId;
  readonly name: string;
  readonly tags: readonly string[];
  /** When the node was first granted this name, ms; renewals keep it. Of two nodes the older keeps the name. */
  readonly since: number;
  /** ms since the epoch; at most 90 days after `time`. */
  readonly expires: number;
  /** From 0; must be above that of every revocation of the node. */
  readonly generation: number;
}

export type Grant = Claim & GrantContent;

export const GRANT: ClaimFormat<GrantContent> = {
  what: 'grant',
  label: 'warren grant v1',
  version: 1,
  maxBody: MAX_GRANT_BODY,
  write: g => [
    [5, g.node],
    [6, g.name],
    [7, g.tags.length > 0 ? g.tags : undefined],
    [8, g.since],
    [9, g.expires],
    [10, g.generation],
  ],
  read: (fields, header) => {
    const node = fields.bytes(5, 'node', NODE_ID_LENGTH);
    const name = fields.text(6, 'name', MAX_NAME, isNodeName);
    const tags = fields.texts(7, 'tags', { count: MAX_TAGS, length: MAX_TAG }, isTag, foldName);
    const since = fields.uint(8, 'since', header.time);
    const expires = fields.uint(9, 'expires');
    const generation = fields.uint(10, 'generation', MAX_GENERATION);
    if (expires <= header.time) throw malformed('grant', 'it expires before it begins');
    if (expires - header.time > MAX_GRANT_LIFE_MS) throw malformed('grant', 'it lives longer than 90 days');
    return { node, name, tags, since, expires, generation };
  },
};

/** @throws WarrenError `malformed` or `version` */
export function decodeGrant(primitives: Primitives, bytes: Uint8Array): Grant {
  return decodeClaim(primitives, GRANT, bytes);
}

export type GrantTime = 'valid' | 'expired' | 'not-yet';

/** Judges the times alone, with the tolerance for clocks that differ. */
export function grantTime(grant: Pick<Grant, 'time' | 'expires'>, now: number): GrantTime {
  if (grant.time > now + CLOCK_TOLERANCE_MS) return 'not-yet';
  return now < grant.expires + CLOCK_TOLERANCE_MS ? 'valid' : 'expired';
}

/** Half of its life is over: an admin that meets the node renews it. */
export function wantsRenewal(grant: Pick<Grant, 'time' | 'expires'>, now: number): boolean {
  return now >= grant.time + (grant.expires - grant.time) / 2;
}
