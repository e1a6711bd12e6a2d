/**
 * What this node signs: how its network began, invites and the grants that they lead to, renewals, and, while it is an
 * admin, revocations, roles, network secrets and settlements. Each looks at what the trust store knows first; what is
 * signed is kept and told by `keep`.
 */
import type { Random, Timers } from '../../protocol/clock.js';
import type { Code } from '../../protocol/codes.js';
import type { Primitives } from '../../protocol/crypto/primitives.js';
import { WarrenError } from '../../protocol/errors.js';
import type { Claim } from '../../protocol/identity/claim.js';
import { wantsRenewal } from '../../protocol/identity/grant.js';
import { InviteBook, MAX_INVITES } from '../../protocol/identity/invite-book.js';
import { MAX_INVITE_ADDRESSES, encodeInvite } from '../../protocol/identity/invite.js';
import {
  foundNetwork,
  freshSecret,
  isPromotion,
  issueGrant,
  issueNetworkSecret,
  issueRecord,
  issueRevocation,
  issueRole,
  issueSettlement,
  renewGrant,
  rotationTime,
  signAgain,
  takeOverGrants,
  type Founded,
  type Pen,
} from '../../protocol/identity/issue.js';
import { nodeIdText, type NodeId } from '../../protocol/identity/node-id.js';
import type { RegistryContent } from '../../protocol/identity/registry-record.js';
import type { RoleAction } from '../../protocol/identity/role.js';
import type { ClaimKind } from '../../protocol/identity/shelves.js';
import type { TrustItem } from '../../protocol/identity/trust-item.js';
import type { TrustStore } from '../../protocol/identity/trust-store.js';
import type { Keyring, RotationReason } from '../keys/keyring.js';
import { errorFields, type Log } from '../observe/log.js';

/** Who asks to be admitted by invite; proven by the handshake. */
export interface JoinRequest {
  readonly nodeId: NodeId;
  readonly name: string;
  readonly statement: Uint8Array;
}

export type Minted = { readonly grant: Uint8Array } | { readonly refuse: Code };

export interface InviteWish {
  /** ms until it expires */
  readonly ttlMs: number;
  readonly tags: readonly string[];
  /** where this node can be reached, at least one */
  readonly addresses: readonly string[];
  /** the one node that may use it */
  readonly forNode?: NodeId;
}

export interface AuthorityOptions {
  readonly primitives: Primitives;
  readonly timers: Timers;
  readonly random: Random;
  readonly log: Log;
  /** for lines that whoever holds the network's secret can cause */
  readonly repeats: Log;
  readonly keyring: Keyring;
  readonly trust: () => TrustStore;
  /** takes items in, keeps them and tells them; `from`: whose they are, left out: signed here */
  readonly keep: (items: readonly TrustItem[], from?: NodeId) => void;
  /** writes invites down. @throws WarrenError `disk` */
  readonly saveInvites: () => void;
  /** a version for the next registry record, on the disk already */
  readonly recordVersion: () => number;
  /** true for what this home has signed itself, not somebody else with its key */
  readonly isSignedHere: (item: Uint8Array) => boolean;
  readonly onAlarm: (sentence: string) => void;
}

export class Authority {
  /** Invites that are open, or were lately. */
  readonly invites = new InviteBook();
  /** invites of which it is known that they have leaked */
  private readonly leaked = new Set<string>();

  constructor(private readonly options: AuthorityOptions) {}

  private get trust(): TrustStore {
    return this.options.trust();
  }

  private get self(): NodeId {
    return this.options.keyring.nodeId;
  }

  private get pen(): Pen {
    const { keyring, primitives, timers } = this.options;
    return { primitives, signer: keyring.signer, now: timers.now() };
  }

  private get isAdmin(): boolean {
    return this.trust.isAdmin(this.self);
  }

  /** A home of its own is a network of one until somebody joins it. */
  found(name: string): Founded {
    const { primitives, timers, keyring } = this.options;
    const { statements } = keyring;
    return foundNetwork(primitives, { now: timers.now(), name, keys: keyring.newKeys(), statements });
  }

  // Members.

  /** A new invite. @throws WarrenError `not-admin`, `limit`, `bad-value`, `disk` */
  invite(wish: InviteWish): { token: string; expires: number } {
    if (!this.isAdmin)
      throw new WarrenError('not-admin', 'Only an admin of the network can invite, and this node is none.', {
        hint: 'Run it on the host that founded the network, or have this node made an admin: warren peer promote NODE',
      });
    if (wish.addresses.length === 0)
      throw new WarrenError('bad-value', 'This node has no address at which another host could reach it.', {
        hint: "Let it listen (warren up --listen HOST:PORT), or invite from an admin's node that does.",
      });
    const { ttlMs, tags, addresses, forNode } = wish;
    const { primitives, timers, random } = this.options;
    const before = this.invites.exportState();
    const whom = forNode === undefined ? {} : { forNode };
    const { secret, expires } = this.invites.open(random, timers.now(), { ttl: ttlMs, tags, ...whom });
    this.orElse(before, () => this.options.saveInvites());
    const invite = {
      network: this.trust.networkId,
      inviter: this.self,
      addresses: addresses.slice(0, MAX_INVITE_ADDRESSES),
      secret,
      expires,
      tags,
      ...whom,
    };
    return { token: encodeInvite(primitives.hash.SHA256, invite), expires };
  }

  /** Runs `work`; the invites are as before when it fails. */
  private orElse(before: Uint8Array, work: () => void): void {
    try {
      work();
    } catch (error) {
      this.invites.importState(before);
      throw error;
    }
  }

  /**
   * Admits whoever proved the secret of an invite.
   * @param inviteId as the handshake names it
   * @returns the grant, or the code with which the joiner is sent away
   */
  mint(join: JoinRequest, inviteId: string): Minted {
    const before = this.invites.exportState();
    const use = this.invites.use(inviteId, join.nodeId, this.options.timers.now());
    if (use.status === 'refused') {
      if (use.alarm !== undefined) this.alarmOnce(inviteId, use.alarm);
      return { refuse: use.code };
    }
    if (use.again && use.entry.grant !== undefined) return { grant: use.entry.grant };
    try {
      return { grant: this.admit(join, inviteId, use.entry.tags) };
    } catch (error) {
      this.invites.importState(before);
      const code = error instanceof WarrenError ? error.wire : undefined;
      this.options.repeats.warn(
        'invite-failed',
        { node: join.name, ...errorFields(error) },
        'a node could not be admitted',
      );
      return { refuse: code ?? 'internal' };
    }
  }

  private admit(join: JoinRequest, inviteId: string, tags: readonly string[]): Uint8Array {
    // The grant speaks of a node whose key log must be known first.
    this.options.keep([{ kind: 'statement', bytes: join.statement }], join.nodeId);
    const item = issueGrant(this.trust, this.pen, { node: join.nodeId, name: join.name, tags });
    this.invites.remember(inviteId, item.bytes);
    // First on the disk, then told: a grant that others know of is bound to its invite whatever happens.
    this.options.saveInvites();
    this.options.keep([item]);
    this.options.log.info('invite-used', { node: join.name, id: nodeIdText(join.nodeId) }, 'a node has joined');
    return item.bytes;
  }

  /** The first one who comes with a leaked invite says it all; a hundred would push other alarms out of sight. */
  private alarmOnce(inviteId: string, alarm: string): void {
    if (this.leaked.has(inviteId)) return;
    if (this.leaked.size >= 2 * MAX_INVITES) this.leaked.clear();
    this.leaked.add(inviteId);
    this.options.onAlarm(alarm);
  }

  /** Renews the grants of members that are half over; only an admin can. */
  renewGrants(): void {
    if (this.isAdmin) for (const { node } of this.trust.members()) this.renew(node);
  }

  /** @returns the member's new grant, when its grant is due and this node may sign one */
  renew(node: NodeId): Uint8Array | undefined {
    const { trust } = this;
    const last = trust.lastGrantOf(node);
    if (!this.isAdmin || last === undefined || !wantsRenewal(last, this.options.timers.now())) return undefined;
    if (last.generation <= trust.revokedGeneration(node)) return undefined;
    const item = renewGrant(trust, this.pen, node);
    this.options.keep([item]);
    this.options.log.info('grant-renewed', { node: trust.displayName(node) }, 'a grant was renewed');
    return item.bytes;
  }

  // What an admin decides.

  /**
   * Ends the node's membership; members that it had admitted as an admin stay.
   * @throws WarrenError `not-admin`, `bad-value` for this node itself
   */
  revoke(node: NodeId): void {
    const { trust, pen } = this;
    const who = trust.displayName(node);
    const kept = trust.isAbove(this.self, node) ? takeOverGrants(trust, pen, node, () => true) : [];
    this.options.keep([...kept, issueRevocation(trust, pen, node)]);
    this.options.log.warn('revoked', { node: who, id: nodeIdText(node) }, 'a node was revoked');
  }

  /** @throws WarrenError `not-admin`, `bad-value`, `exists`, `not-found` */
  setRole(node: NodeId, action: RoleAction): void {
    const { trust, pen } = this;
    if (action === 'demote' && !trust.isAdmin(node))
      throw new WarrenError('not-found', `${trust.displayName(node)} is no admin`, { hint: 'See: warren peers' });
    const isAbove = action === 'demote' && trust.isAbove(this.self, node);
    const kept = isAbove ? takeOverGrants(trust, pen, node, () => true) : [];
    this.options.keep([...kept, issueRole(trust, pen, node, action)]);
    this.options.log.info('role-changed', { node: trust.displayName(node), action }, 'the role of a node was changed');
  }

  /**
   * Says which branch of a forked key log stands.
   * @param standing hash of its statement at the fork, 32 bytes
   * @throws WarrenError `not-admin`, `bad-value`, `not-found`
   */
  settle(node: NodeId, standing: Uint8Array): void {
    const { trust } = this;
    this.options.keep([issueSettlement(trust, this.pen, node, standing)]);
    this.options.log.warn('fork-settled', { node: trust.displayName(node) }, 'a fork of a key log was settled');
  }

  /** A new network secret and the statement of it; the caller holds the secret before the statement is told. */
  newSecret(): { readonly secret: Uint8Array; readonly item: TrustItem } {
    const secret = freshSecret(this.options.random);
    return { secret, item: issueNetworkSecret(this.trust, this.pen, secret) };
  }

  // This node itself.

  /** A registry record of this node, unless it says what is published already. */
  publish(content: Omit<RegistryContent, 'version'>): void {
    const { trust, self } = this;
    const known = trust.standingRecord(self);
    if (known !== undefined && sameContent(known, content)) return;
    if (trust.grantOf(self) === undefined) return;
    const version = this.options.recordVersion();
    this.options.keep([issueRecord(trust.networkId, this.pen, { ...content, version })]);
  }

  /** When a rotation happens, for its statement, ms since the epoch. */
  rotationTime(): number {
    return rotationTime(this.trust, this.self, this.options.timers.now());
  }

  /**
   * Tells a statement that the keyring has taken into use, and behind it, in one go, what is to count on under the new
   * key: promotions after a routine rotation, whatever is affirmed after a compromise.
   * @param affirm compromised: which of the things signed with earlier keys the owner stands by
   * @returns members whose admission by this node was not affirmed
   */
  rotated(statement: Uint8Array, reason: RotationReason, affirm: (kind: ClaimKind, claim: Claim) => boolean): NodeId[] {
    const before = this.trust.members().filter(({ node }) => this.trust.grantOf(node) !== undefined);
    const isAffirmed = reason === 'routine' ? isPromotion : affirm;
    const items = signAgain(this.trust, this.pen, isAffirmed);
    this.options.keep([{ kind: 'statement', bytes: statement }, ...items]);
    return before.map(member => member.node).filter(node => this.trust.grantOf(node) === undefined);
  }

  /** What this home has signed itself: the owner stands by that. A thief with its keys signs elsewhere. */
  readonly signedHere = (_kind: ClaimKind, claim: Claim): boolean => this.options.isSignedHere(claim.bytes);
}

function sameContent(a: Omit<RegistryContent, 'version'>, b: Omit<RegistryContent, 'version'>): boolean {
  return JSON.stringify([a.services, a.addresses, a.relays]) === JSON.stringify([b.services, b.addresses, b.relays]);
}
