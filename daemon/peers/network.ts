/**
 * Who this node is and what it knows of its network: keys, trust store, network secrets, invites; all of it on disk.
 *
 * - A new home founds a network of its own; `adopt` moves it to another one, which a join by invite has brought.
 * - What changes is written before it is told to anyone: a burst of items in one turn is one write at its end, grants
 *   and invites are written at once.
 */
import { equal } from '../../protocol/bytes.js';
import type { Random, Timer, Timers } from '../../protocol/clock.js';
import type { Code } from '../../protocol/codes.js';
import type { Primitives } from '../../protocol/crypto/primitives.js';
import { WarrenError } from '../../protocol/errors.js';
import type { HandshakeContext, LocalIdentity, PskKeys } from '../../protocol/handshake/types.js';
import { wantsRenewal } from '../../protocol/identity/grant.js';
import { InviteBook, MAX_INVITES } from '../../protocol/identity/invite-book.js';
import { MAX_INVITE_ADDRESSES, encodeInvite } from '../../protocol/identity/invite.js';
import {
  foundNetwork,
  issueGrant,
  issueRecord,
  renewGrant,
  type Founded,
  type Pen,
} from '../../protocol/identity/issue.js';
import { nodeIdText, shortId, type NodeId } from '../../protocol/identity/node-id.js';
import type { RegistryContent } from '../../protocol/identity/registry-record.js';
import type { NewKeys } from '../../protocol/identity/statement.js';
import type { TrustItem } from '../../protocol/identity/trust-item.js';
import { TrustStore, type AddResult } from '../../protocol/identity/trust-store.js';
import type { NodeKeys } from '../home/keyfile.js';
import type { NetworkState, SecretRecord, StateFiles } from '../home/statefile.js';
import { errorFields, type Log } from '../observe/log.js';
import { limitRepeats } from '../observe/repeats.js';
import type { AdmissionNeeds } from './bring-up.js';
import { PskRing, type HeldSecret } from './psk-ring.js';
import { RecentItems } from './recent.js';

/** Who asks to be admitted by invite; proven by the handshake. */
export interface JoinRequest {
  readonly nodeId: NodeId;
  readonly name: string;
  readonly statement: Uint8Array;
}

export type Minted = { readonly grant: Uint8Array } | { readonly refuse: Code };

/** A network that this home may move to. */
export interface Candidate {
  readonly store: TrustStore;
  readonly secrets: readonly SecretRecord[];
  readonly context: HandshakeContext;
  readonly admission: AdmissionNeeds;
}

export interface NetworkOptions {
  readonly primitives: Primitives;
  readonly timers: Timers;
  readonly random: Random;
  readonly log: Log;
  readonly files: StateFiles;
  readonly keys: NodeKeys;
  /** the name that this node asks for when it founds or joins */
  readonly wantedName: () => string;
  /** what this node sends on a link is rekeyed after so many bytes; default: what the protocol sets */
  readonly rekeyBytes?: number;
  /** an item was taken in; `from`: the peer that told it */
  readonly onItem: (item: TrustItem, from: NodeId | undefined) => void;
  readonly onAlarm: (sentence: string, node?: string) => void;
  /** this home belongs to another network now */
  readonly onReplaced: () => void;
}

/** Registry records are written this long after they came: their node tells them again, and may do so often, ms. */
const RECORDS_SAVE_MS = 1_000;

export class Network {
  readonly nodeId: NodeId;
  private store: TrustStore;
  private secrets: SecretRecord[] = [];
  private invites = new InviteBook();
  private readonly ring: PskRing;
  private unsaved = false;
  private savePause: Timer | undefined;
  private readonly recent: RecentItems;
  /** invites of which it is known that they have leaked */
  private readonly leaked = new Set<string>();
  /** for lines that whoever holds the network's secret can cause */
  private readonly repeats: Log;
  /** the peer whose items are being taken in */
  private source: NodeId | undefined;

  constructor(private readonly options: NetworkOptions) {
    this.nodeId = options.keys.nodeId;
    this.ring = new PskRing(options.primitives);
    this.repeats = limitRepeats(options.log, options.timers);
    this.recent = new RecentItems(options.timers);
    const state = options.files.loadNetwork();
    const store = this.newStore(state?.networkId ?? this.nodeId);
    // Not the node's own yet, so that what it kept is not told anew.
    if (state !== undefined) this.load(store, state);
    const founded = state === undefined ? this.found(store) : undefined;
    this.store = store;
    if (founded !== undefined) this.keepNow();
  }

  // What is known.

  get trust(): TrustStore {
    return this.store;
  }

  get networkId(): NodeId {
    return this.store.networkId;
  }

  get name(): string {
    return this.store.lastGrantOf(this.nodeId)?.name ?? this.options.wantedName();
  }

  get tags(): readonly string[] {
    return this.store.lastGrantOf(this.nodeId)?.tags ?? [];
  }

  get isAdmin(): boolean {
    return this.store.isAdmin(this.nodeId);
  }

  /** The name that this node asks for when it joins. */
  get wantedName(): string {
    return this.options.wantedName();
  }

  isMember(node: NodeId): boolean {
    return this.store.judge(node).verdict !== 'refused';
  }

  /** For people: its name, or the short ID of a node that has none. */
  nameOf(node: NodeId): string {
    return this.store.nameOf(node) ?? shortId(node);
  }

  /** @param who a name or a full node ID. @throws WarrenError `not-found` */
  resolve(who: string): NodeId {
    const byName = this.store.nodeByName(who);
    if (byName !== undefined) return byName;
    const byId = this.store.members().find(m => nodeIdText(m.node) === who.toLowerCase());
    if (byId !== undefined) return byId.node;
    throw new WarrenError('not-found', `No member of this network is called ${JSON.stringify(who.slice(0, 80))}.`, {
      hint: 'See who there is with: warren peers',
    });
  }

  // What the handshake asks.

  context(): HandshakeContext {
    return this.contextFor(() => this.store);
  }

  private contextFor(store: () => TrustStore): HandshakeContext {
    const { primitives, timers, rekeyBytes } = this.options;
    return {
      primitives,
      clock: timers,
      ...(rekeyBytes !== undefined && { rekeyBytes }),
      identity: () => this.identity(store()),
      digest: () => store().digest(),
      log: ({ level, sentence }) => this.repeats[level]('handshake', {}, sentence),
    };
  }

  private identity(store: TrustStore): LocalIdentity {
    const { keys, primitives } = this.options;
    const grant = store.grantOf(this.nodeId)?.bytes;
    return {
      nodeId: this.nodeId,
      network: store.networkId,
      noise: primitives.x25519.fromPrivate(keys.noisePrivate),
      statement: keys.statements[keys.statements.length - 1]!,
      ...(grant === undefined ? {} : { grant }),
    };
  }

  /** Every secret that opens something here: the one in force first, then old ones, then invites, burnt ones included. */
  psks(): readonly PskKeys[] {
    return this.ring.all(this.openSecrets(), this.invites.list(this.options.timers.now()));
  }

  private openSecrets(): readonly HeldSecret[] {
    return this.ring.held(this.secrets, this.store.secrets());
  }

  /** The newest that is held: with it this node dials. @throws WarrenError `internal` when the home holds none */
  currentPsk(): PskKeys {
    const newest = this.psks().find(keys => keys.psk.kind !== 'invite');
    if (newest === undefined) throw new WarrenError('internal', 'This home holds no network secret.');
    return newest;
  }

  /** What admission asks of a member of this network. */
  admission(): AdmissionNeeds {
    return {
      trust: this.store,
      context: this.context(),
      secrets: () => this.openSecrets().map(({ epoch, secret }) => ({ epoch, secret })),
      onSecret: (epoch, secret) => this.learnSecret(epoch, secret),
      mint: (join, inviteId) => this.mint(join, inviteId),
      renew: peer => this.renew(peer),
      learn: (items, from) => this.learn(items, from),
    };
  }

  // What comes in.

  /** Takes items in; what is new is kept, and told by `onItem`. */
  learn(items: readonly TrustItem[], from: NodeId | undefined): readonly AddResult[] {
    const before = this.source;
    this.source = from;
    try {
      const results = this.store.addAll(items);
      for (const [i, result] of results.entries()) {
        const node = result.node === undefined ? undefined : this.nameOf(result.node);
        if (result.alarm !== undefined) this.options.onAlarm(result.alarm, node);
        if (result.status !== 'refused') continue;
        const fields = { kind: items[i]!.kind, node, from: from && this.nameOf(from), reason: result.why };
        this.repeats.warn('item-refused', fields, 'something that a peer told is not right');
      }
      return results;
    } finally {
      this.source = before;
    }
  }

  private learnSecret(epoch: number, secret: Uint8Array): void {
    if (this.secrets.some(s => equal(s.secret, secret))) return;
    this.secrets = [...this.secrets, { epoch, secret: secret.slice() }];
    this.saveNetwork();
  }

  private newStore(networkId: NodeId): TrustStore {
    const { primitives, timers } = this.options;
    const store: TrustStore = new TrustStore({
      primitives,
      clock: timers,
      networkId,
      onChange: item => {
        if (store !== this.store) return;
        if (item.kind === 'registry') this.keepWithin(RECORDS_SAVE_MS);
        else this.keepSoon();
        this.recent.add(item, this.source);
        this.options.onItem(item, this.source);
      },
      onAlarm: (sentence, node) => this.options.onAlarm(sentence, node && this.nameOf(node)),
    });
    return store;
  }

  /** What was taken in lately and not from `peer`, see recent.ts. */
  recentFor(peer: NodeId): readonly TrustItem[] {
    return this.recent.for(peer);
  }

  // What this node signs.

  private get pen(): Pen {
    const { keys, primitives, timers } = this.options;
    const signer = { node: this.nodeId, seq: keys.statements.length - 1, seed: keys.signingSeed };
    return { primitives, signer, now: timers.now() };
  }

  /** A home of its own is a network of one until somebody joins it. */
  private found(store: TrustStore): Founded {
    const { primitives, timers, keys } = this.options;
    const founded = foundNetwork(primitives, {
      now: timers.now(),
      name: this.options.wantedName(),
      keys: newKeysOf(primitives, keys),
      statements: keys.statements,
    });
    store.restore(founded.items);
    this.secrets = [{ epoch: 0, secret: founded.networkSecret }];
    return founded;
  }

  /**
   * A new invite.
   * @param ttlMs until it expires
   * @param addresses where this node can be reached, at least one
   * @throws WarrenError `not-admin`, `limit`, `bad-value`
   */
  invite(ttlMs: number, tags: readonly string[], addresses: readonly string[]): { token: string; expires: number } {
    if (!this.isAdmin)
      throw new WarrenError('not-admin', 'Only an admin of the network can invite, and this node is none.', {
        hint: 'Run it on the host that founded the network.',
      });
    if (addresses.length === 0)
      throw new WarrenError('bad-value', 'This node has no address at which another host could reach it.', {
        hint: "Let it listen (warren up --listen HOST:PORT), or invite from an admin's node that does.",
      });
    const { primitives, timers, random } = this.options;
    const before = this.invites.exportState();
    const { secret, expires } = this.invites.open(random, timers.now(), { ttl: ttlMs, tags });
    try {
      this.saveNetwork();
    } catch (error) {
      this.invites.importState(before);
      throw error;
    }
    const invite = {
      network: this.networkId,
      inviter: this.nodeId,
      addresses: addresses.slice(0, MAX_INVITE_ADDRESSES),
      secret,
      expires,
      tags,
    };
    return { token: encodeInvite(primitives.hash.SHA256, invite), expires };
  }

  /**
   * Admits whoever proved the secret of an invite.
   * @param inviteId as in `psks`
   * @returns the grant, or the code with which the joiner is sent away
   */
  private mint(join: JoinRequest, inviteId: string): Minted {
    const before = this.invites.exportState();
    const use = this.invites.use(inviteId, join.nodeId, this.options.timers.now());
    if (use.status === 'refused') {
      if (use.alarm !== undefined) this.alarmOnce(inviteId, use.alarm);
      return { refuse: use.code };
    }
    if (use.again && use.entry.grant !== undefined) return { grant: use.entry.grant };
    try {
      // The grant speaks of a node whose key log must be known first.
      this.learn([{ kind: 'statement', bytes: join.statement }], join.nodeId);
      const item = issueGrant(this.store, this.pen, { node: join.nodeId, name: join.name, tags: use.entry.tags });
      this.invites.remember(inviteId, item.bytes);
      // First on the disk, then told: a grant that others know of is bound to its invite whatever happens.
      this.saveNetwork();
      this.learn([item], undefined);
      this.options.log.info('invite-used', { node: join.name, id: nodeIdText(join.nodeId) }, 'a node has joined');
      return { grant: item.bytes };
    } catch (error) {
      this.invites.importState(before);
      const code = error instanceof WarrenError ? error.wire : undefined;
      this.repeats.warn('invite-failed', { node: join.name, ...errorFields(error) }, 'a node could not be admitted');
      return { refuse: code ?? 'internal' };
    }
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
    if (this.isAdmin) for (const { node } of this.store.members()) this.renew(node);
  }

  /** @returns the member's new grant, when its grant is due and this node may sign one */
  private renew(node: NodeId): Uint8Array | undefined {
    const last = this.store.lastGrantOf(node);
    if (!this.isAdmin || last === undefined || !wantsRenewal(last, this.options.timers.now())) return undefined;
    if (last.generation <= this.store.revokedGeneration(node)) return undefined;
    const item = renewGrant(this.store, this.pen, node);
    this.learn([item], undefined);
    this.options.log.info('grant-renewed', { node: this.nameOf(node) }, 'a grant was renewed');
    return item.bytes;
  }

  /** Publishes the own services and addresses, and whether this node relays, if they differ from what is published. */
  publish(content: Omit<RegistryContent, 'version'>): void {
    const known = this.store.record(this.nodeId);
    if (known !== undefined && sameContent(known, content)) return;
    if (this.store.grantOf(this.nodeId) === undefined) return;
    const version = this.options.files.nextRegistryVersion(this.options.timers.now());
    this.learn([issueRecord(this.networkId, this.pen, { ...content, version })], undefined);
  }

  // Moving to another network.

  /** True once this home shares a network with another node, or has invited one: then `join` does not replace it. */
  isSettled(): boolean {
    return this.store.members().length > 1 || this.invites.openCount(this.options.timers.now()) > 0;
  }

  /** What a join by invite fills: another trust store beside the own one. */
  candidate(networkId: NodeId): Candidate {
    const store = this.newStore(networkId);
    store.restore(this.ownStatements());
    const secrets: SecretRecord[] = [];
    const context = this.contextFor(() => store);
    return {
      store,
      secrets,
      context,
      admission: {
        trust: store,
        context,
        secrets: () => [],
        onSecret: (epoch, secret) => void secrets.push({ epoch, secret: secret.slice() }),
      },
    };
  }

  /**
   * Makes the candidate this home's network. On disk in one step: network.json names the trust file written before.
   * @throws WarrenError `disk`; the home is as before
   */
  adopt(candidate: Candidate): void {
    const { files } = this.options;
    files.saveTrust(candidate.store.networkId, candidate.store.items());
    files.saveNetwork({
      networkId: candidate.store.networkId,
      secrets: candidate.secrets,
      invites: new InviteBook().exportState(),
    });
    this.store = candidate.store;
    this.secrets = [...candidate.secrets];
    this.invites = new InviteBook();
    this.recent.clear();
    this.options.onReplaced();
  }

  // On disk.

  private load(store: TrustStore, state: NetworkState): void {
    const items = this.options.files.loadTrust(state.networkId);
    store.restore([...this.ownStatements(), ...items]);
    this.secrets = [...state.secrets];
    if (state.invites.length > 0) this.invites.importState(state.invites);
  }

  private ownStatements(): TrustItem[] {
    return this.options.keys.statements.map(bytes => ({ kind: 'statement', bytes }));
  }

  /** At the end of this turn, so that a catch-up of many items is one write. */
  private keepSoon(): void {
    if (this.unsaved) return;
    this.unsaved = true;
    this.options.timers.soon(() => {
      if (!this.unsaved) return;
      try {
        this.saveTrust();
      } catch (error) {
        this.options.log.error('save-failed', errorFields(error), 'what this node has learned could not be written');
      }
    });
  }

  /** Within `ms`: a node that changes its record all the time costs one write in that time, not one for each. */
  private keepWithin(ms: number): void {
    if (this.unsaved || this.savePause !== undefined) return;
    this.savePause = this.options.timers.after(ms, () => {
      this.savePause = undefined;
      this.keepSoon();
    });
  }

  private keepNow(): void {
    this.saveTrust();
    this.saveNetwork();
  }

  private saveTrust(): void {
    this.unsaved = false;
    this.savePause?.cancel();
    this.savePause = undefined;
    this.options.files.saveTrust(this.networkId, this.store.items());
  }

  private saveNetwork(): void {
    const invites = this.invites.exportState();
    this.options.files.saveNetwork({ networkId: this.networkId, secrets: this.secrets, invites });
  }

  /** Writes what is not written yet. */
  close(): void {
    if (this.unsaved || this.savePause !== undefined) this.saveTrust();
  }
}

function newKeysOf(primitives: Primitives, keys: NodeKeys): NewKeys {
  return {
    statement: keys.statements[keys.statements.length - 1]!,
    nodeId: keys.nodeId,
    seq: keys.statements.length - 1,
    signing: primitives.ed25519.fromSeed(keys.signingSeed),
    noise: primitives.x25519.fromPrivate(keys.noisePrivate),
    next: keys.nextSeed ?? new Uint8Array(0),
  };
}

function sameContent(a: Omit<RegistryContent, 'version'>, b: Omit<RegistryContent, 'version'>): boolean {
  return JSON.stringify([a.services, a.addresses, a.relays]) === JSON.stringify([b.services, b.addresses, b.relays]);
}
