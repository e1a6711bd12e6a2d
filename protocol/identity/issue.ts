/**
 * What an admin signs, and how a network begins. Each function looks at what the store knows, refuses what every other
 * node would refuse or regret, and returns the item; the caller adds it to its store, which keeps and spreads it.
 */
import { equal } from '../bytes.js';
import type { Random } from '../clock.js';
import type { Primitives } from '../crypto/primitives.js';
import { WarrenError } from '../errors.js';
import { decodeClaim, signClaim } from './claim.js';
import type { Claim, ClaimFormat, Signer } from './claim.js';
import { CLOCK_TOLERANCE_MS, DAY_MS, GRANT, MAX_GENERATION, MAX_GRANT_LIFE_MS } from './grant.js';
import type { Grant, GrantContent } from './grant.js';
import { checkNodeName, checkTags, sameName } from './names.js';
import { NETWORK_SECRET, NETWORK_SECRET_LENGTH, secretHash } from './network-secret.js';
import { nodeIdText, shortId, type NodeId } from './node-id.js';
import { REGISTRY_RECORD } from './registry-record.js';
import type { RegistryContent } from './registry-record.js';
import { NAME_REST_MS, REVOCATION } from './revocation.js';
import { ROLE } from './role.js';
import type { Role, RoleAction } from './role.js';
import { SETTLEMENT } from './settlement.js';
import { CLAIM_KINDS, FORMATS } from './shelves.js';
import type { ClaimKind } from './shelves.js';
import { createInception } from './statement.js';
import type { NewKeys } from './statement.js';
import type { TrustItem } from './trust-item.js';
import type { TrustStore } from './trust-store.js';

/** What a grant lives when nothing else is said. */
export const GRANT_LIFE_MS = 30 * DAY_MS;

/** The tools for signing: who signs, with what, and when. */
export interface Pen {
  readonly primitives: Primitives;
  readonly signer: Signer;
  /** ms since the epoch */
  readonly now: number;
}

function write<T>(
  pen: Pen,
  kind: ClaimKind,
  format: ClaimFormat<T>,
  header: { network: NodeId; time: number },
  content: T,
): TrustItem {
  return { kind, bytes: signClaim(pen.primitives.ed25519, format, pen.signer, header, content) };
}

export interface FoundOptions {
  readonly now: number;
  readonly name: string;
  readonly tags?: readonly string[];
  readonly grantLife?: number;
  /** Keys of a node that exists already, at the newest statement of its log; a new node if absent. */
  readonly keys?: NewKeys;
  /** Statements of that node, oldest first; needed with `keys` unless they are those of statement 0. */
  readonly statements?: readonly Uint8Array[];
}

export interface Founded {
  readonly keys: NewKeys;
  readonly networkId: NodeId;
  /** 32 bytes; epoch 0. */
  readonly networkSecret: Uint8Array;
  /** Statements, the founder's own grant, and the statement of the secret: for a new store. */
  readonly items: readonly TrustItem[];
}

/** Founds a network: its ID is the founder's node ID. @throws WarrenError `bad-value` for a name or tag */
export function foundNetwork(primitives: Primitives, options: FoundOptions): Founded {
  const { now, name, tags = [], grantLife = GRANT_LIFE_MS } = options;
  checkNodeName(name);
  checkTags(tags);
  const keys = options.keys ?? createInception(primitives, { now });
  const node = keys.nodeId;
  const pen: Pen = { primitives, signer: { node, seq: keys.seq, seed: keys.signing.privateKey }, now };
  const networkSecret = freshSecret(primitives.random);
  const header = { network: node, time: now };
  const grant: GrantContent = { node, name, tags, since: now, expires: now + grantLife, generation: 0 };
  const secret = { epoch: 0, secretHash: secretHash(primitives.hash.SHA256, networkSecret) };
  const statements = (options.statements ?? [keys.statement]).map((bytes): TrustItem => ({ kind: 'statement', bytes }));
  const items = [
    ...statements,
    write(pen, 'grant', GRANT, header, grant),
    write(pen, 'network-secret', NETWORK_SECRET, header, secret),
  ];
  return { keys, networkId: node, networkSecret, items };
}

export function freshSecret(random: Random): Uint8Array {
  return random(NETWORK_SECRET_LENGTH);
}

function needAdmin(store: TrustStore, signer: NodeId): void {
  if (store.isAdmin(signer)) return;
  throw new WarrenError('not-admin', 'this node is not an admin of the network', { hint: 'Ask an admin to do it.' });
}

export interface GrantOptions {
  readonly node: NodeId;
  readonly name: string;
  readonly tags?: readonly string[];
  /** ms, at most 90 days; 30 days by default. */
  readonly life?: number;
}

/**
 * Admits a node, or admits it anew after a revocation or under another name.
 * @throws WarrenError `not-admin`, `bad-value`, or `in-use` with wire `name-taken` for a name that another node bears,
 *   or bore until its revocation or expiry less than 30 days ago
 */
export function issueGrant(store: TrustStore, pen: Pen, options: GrantOptions): TrustItem {
  const { node, name, tags = [], life = GRANT_LIFE_MS } = options;
  needAdmin(store, pen.signer.node);
  checkNodeName(name);
  checkTags(tags);
  if (life <= 0 || life > MAX_GRANT_LIFE_MS) throw new WarrenError('bad-value', 'a grant lives at most 90 days');
  checkNameIsFree(store, pen.now, node, name);
  const last = store.lastGrantOf(node);
  const time = Math.max(pen.now, newestOf(store, 'grant', pen.signer.node, node) + 1);
  const since = last && sameName(last.name, name) ? Math.min(last.since, time) : time;
  const generation = Math.max(last?.generation ?? 0, store.revokedGeneration(node) + 1);
  if (generation > MAX_GENERATION) throw new WarrenError('limit', 'this node was revoked too often');
  const content: GrantContent = { node, name, tags, since, expires: time + life, generation };
  return write(pen, 'grant', GRANT, { network: store.networkId, time }, content);
}

/** The same name and tags for a further life. @throws WarrenError `not-admin`, or `not-found` without a live grant */
export function renewGrant(store: TrustStore, pen: Pen, node: NodeId, life = GRANT_LIFE_MS): TrustItem {
  const last = store.lastGrantOf(node);
  if (!last) throw new WarrenError('not-found', `${shortId(node)} has no grant that could be renewed`);
  return issueGrant(store, pen, { node, name: last.name, tags: last.tags, life });
}

/** Of what this signer said about the node, the newest time; so that what is signed now replaces it. */
function newestOf(store: TrustStore, kind: 'grant' | 'role' | 'revocation', signer: NodeId, node: NodeId): number {
  const times = store.claims(kind).filter(({ claim }) => equal(claim.signer, signer) && equal(claim.node, node));
  return Math.max(-1, ...times.map(({ claim }) => claim.time));
}

function checkNameIsFree(store: TrustStore, now: number, node: NodeId, name: string): void {
  const others = store.claims('grant').filter(({ claim, live }) => live && !equal(claim.node, node));
  const borne = others.find(({ claim }) => sameName(claim.name, name) && isHeld(store, claim, now));
  const revoked = store.claims('revocation').find(({ claim, live }) => {
    const rests = live && now < claim.time + NAME_REST_MS && !equal(claim.node, node);
    return rests && claim.name !== undefined && sameName(claim.name, name);
  });
  const hint = 'Choose another name.';
  const options = { hint, wire: 'name-taken' } as const;
  if (borne) throw new WarrenError('in-use', `the name ${name} belongs to ${shortId(borne.claim.node)}`, options);
  if (revoked) throw new WarrenError('in-use', `the name ${name} belonged to a node that was revoked lately`, options);
}

function isHeld(store: TrustStore, grant: Grant, now: number): boolean {
  const last = store.lastGrantOf(grant.node);
  return last !== undefined && equal(last.hash, grant.hash) && now < last.expires + NAME_REST_MS + CLOCK_TOLERANCE_MS;
}

/** @throws WarrenError `not-admin`, also when the node is an admin that this one does not stand above */
function needAbove(store: TrustStore, signer: NodeId, node: NodeId, verb: string): void {
  needAdmin(store, signer);
  if (equal(node, store.networkId)) {
    throw new WarrenError('not-admin', `the founder cannot be ${verb}`, {
      hint: 'It can only be recovered with its next key.',
    });
  }
  if (equal(node, signer)) throw new WarrenError('bad-value', `a node cannot be ${verb} by itself`);
  if (store.isAbove(signer, node)) return;
  throw new WarrenError('not-admin', `${store.displayName(node)} is an admin that does not stand below this node`, {
    hint: `Only an admin above it can have it ${verb}.`,
  });
}

/** Ends every grant and every role that the node has. @throws WarrenError `not-admin` or `bad-value` */
export function issueRevocation(store: TrustStore, pen: Pen, node: NodeId): TrustItem {
  needAbove(store, pen.signer.node, node, 'revoked');
  const grants = store.claims('grant').filter(({ claim }) => equal(claim.node, node));
  const generation = Math.max(0, ...grants.map(({ claim }) => claim.generation), roleGeneration(store, node));
  const name = store.lastGrantOf(node)?.name;
  const time = Math.max(pen.now, newestOf(store, 'revocation', pen.signer.node, node) + 1);
  const content = { node, generation, ...(name !== undefined && { name }) };
  return write(pen, 'revocation', REVOCATION, { network: store.networkId, time }, content);
}

function roleGeneration(store: TrustStore, node: NodeId): number {
  const roles = store.claims('role').filter(({ claim }) => equal(claim.node, node));
  return Math.max(-1, ...roles.map(({ claim }) => claim.generation));
}

/** Makes a member an admin below the signer, or ends that. @throws WarrenError `not-admin`, `bad-value`, `exists` */
export function issueRole(store: TrustStore, pen: Pen, node: NodeId, action: RoleAction): TrustItem {
  if (action === 'demote') needAbove(store, pen.signer.node, node, 'demoted');
  else needPromotable(store, pen.signer.node, node);
  const known = roleGeneration(store, node);
  const demoted = store.claims('role').some(({ claim }) => equal(claim.node, node) && claim.action === 'demote');
  const next = Math.max(known + (demoted ? 1 : 0), store.revokedGeneration(node) + 1, 0);
  const generation = action === 'demote' ? Math.max(known, 0) : next;
  const time = Math.max(pen.now, newestOf(store, 'role', pen.signer.node, node) + 1);
  return write(pen, 'role', ROLE, { network: store.networkId, time }, { node, action, generation });
}

function needPromotable(store: TrustStore, signer: NodeId, node: NodeId): void {
  needAdmin(store, signer);
  if (store.isAdmin(node)) throw new WarrenError('exists', `${store.displayName(node)} is an admin already`);
  if (!store.grantOf(node)) throw new WarrenError('not-found', `${shortId(node)} is not a member`);
}

/** A new network secret; the secret itself is handed to admitted nodes over their links. */
export function issueNetworkSecret(store: TrustStore, pen: Pen, secret: Uint8Array): TrustItem {
  needAdmin(store, pen.signer.node);
  const epochs = store.claims('network-secret').filter(c => c.live).map(c => c.claim.epoch); // prettier-ignore
  const content = { epoch: Math.max(-1, ...epochs) + 1, secretHash: secretHash(pen.primitives.hash.SHA256, secret) };
  return write(pen, 'network-secret', NETWORK_SECRET, { network: store.networkId, time: pen.now }, content);
}

/**
 * Says which branch of a forked log stands; of three branches a proof shows two, so it may be another one.
 * @throws WarrenError `not-admin`, `bad-value`, or `not-found` without a fork
 */
export function issueSettlement(store: TrustStore, pen: Pen, node: NodeId, standing: Uint8Array): TrustItem {
  needAbove(store, pen.signer.node, node, 'settled');
  const fork = store.openForks().find(f => equal(f.node, node));
  if (!fork) throw new WarrenError('not-found', `the key log of ${store.displayName(node)} has no open fork`);
  const content = { node, seq: fork.seq, standing };
  return write(pen, 'settlement', SETTLEMENT, { network: store.networkId, time: pen.now }, content);
}

/** This node's own snapshot; the version number has been persisted before. */
export function issueRecord(network: NodeId, pen: Pen, content: RegistryContent): TrustItem {
  return write(pen, 'registry', REGISTRY_RECORD, { network, time: pen.now }, content);
}

/**
 * When a rotation happens, for its statement: not before anything that the node has signed, else that would seem to be
 * signed with a key that was replaced before.
 */
export function rotationTime(store: TrustStore, node: NodeId, now: number): number {
  const own = CLAIM_KINDS.flatMap(kind => store.claims(kind)).filter(({ claim }) => equal(claim.signer, node));
  return Math.max(now, ...own.map(({ claim }) => claim.time));
}

/**
 * Signs again with the key that is current now what this node signed with earlier ones, in one bundle that is told
 * together with the statement: after a routine rotation its promotions, so that they do not lapse; after a compromise
 * whatever the owner affirms.
 * @param affirm which old claims to sign again; of several about the same only the newest is asked for
 */
export function signAgain(
  store: TrustStore,
  pen: Pen,
  affirm: (kind: ClaimKind, claim: Claim) => boolean,
): TrustItem[] {
  const items: TrustItem[] = [];
  for (const kind of CLAIM_KINDS) {
    if (kind === 'registry') continue;
    for (const slot of store.slots(kind)) {
      const { claim } = slot[0]!;
      const old = equal(claim.signer, pen.signer.node) && claim.signerSeq < pen.signer.seq;
      if (old && affirm(kind, claim)) items.push(...resign(pen, kind, claim, store.networkId));
    }
  }
  return items;
}

/** What a routine rotation needs signed again. */
export function isPromotion(kind: ClaimKind, claim: Claim): boolean {
  return kind === 'role' && (claim as Role).action === 'promote';
}

/**
 * Before an admin is demoted or revoked: signs the grants that it and the admins below it gave, so that those members
 * stay. They are told together with the demotion.
 * @param affirm which of them
 */
export function takeOverGrants(
  store: TrustStore,
  pen: Pen,
  admin: NodeId,
  affirm: (grant: Grant) => boolean,
): TrustItem[] {
  const falling = new Set(store.admins().filter(a => a.path.has(nodeIdText(admin))).map(a => nodeIdText(a.node))); // prettier-ignore
  const grants = store.claims('grant').filter(({ claim, live }) => live && falling.has(nodeIdText(claim.signer)));
  const kept = grants.filter(({ claim }) => !equal(claim.node, admin) && affirm(claim));
  return kept.flatMap(({ claim }) => resign(pen, 'grant', claim, store.networkId));
}

/** A grant keeps its end; one that is over is not signed again. */
function resign(pen: Pen, kind: ClaimKind, claim: Claim, network: NodeId): TrustItem[] {
  const format = FORMATS[kind];
  const content = decodeClaim(pen.primitives, format, claim.bytes);
  const time = Math.max(pen.now, claim.time + 1);
  if (kind === 'grant' && (claim as Grant).expires <= time) return [];
  return [write(pen, kind, format, { network, time }, content)];
}
