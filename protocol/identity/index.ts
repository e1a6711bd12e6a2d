/** The door of this room: what the rest of the program needs of identity and membership. */
export type { CborMap, CborValue } from './cbor.js';
export type { Claim, Signer } from './claim.js';
export {
  GRANT,
  MAX_GRANT_BYTES,
  MAX_GRANT_LIFE_MS,
  CLOCK_TOLERANCE_MS,
  decodeGrant,
  grantTime,
  wantsRenewal,
} from './grant.js';
export type { Grant } from './grant.js';
export { InviteBook } from './invite-book.js';
export type { InviteEntry, InviteState, InviteUse } from './invite-book.js';
export { decodeInvite, encodeInvite } from './invite.js';
export type { Invite } from './invite.js';
export * from './issue.js';
export { KeyLog } from './key-log.js';
export { compareSecrets, secretHash } from './network-secret.js';
export type { OpenSecret } from './network-secret.js';
export { fingerprint, nodeIdText, parseNodeId, shortId } from './node-id.js';
export type { NodeId, NodeIdText } from './node-id.js';
export type { RegistryContent, RegistryRecord, ServiceEntry } from './registry-record.js';
export { Verifier } from './signed.js';
export type { KeyState } from './standing.js';
export { createInception, createRotation, decodeStatement } from './statement.js';
export type { Fork, NewKeys, Statement } from './statement.js';
export { ITEM_KINDS, decodeItems, encodeItems, kindOf } from './trust-item.js';
export type { ItemKind, TrustItem } from './trust-item.js';
export { TrustStore } from './trust-store.js';
export type { AddResult, TrustStoreOptions } from './trust-store.js';
export type { Judgement, Member } from './trust-view.js';
