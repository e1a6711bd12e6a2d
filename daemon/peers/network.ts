/**
 * Who this node is and what it knows of its network: keys, trust store, network secrets, invites; all of it on disk.
 *
 * - A new home founds a network of its own; `adopt` moves it to another one, which a join by invite has brought.
 * - What changes is written before it is told to anyone: a burst of items in one turn is one write at its end, what this
 *   node signs is written at once. What others say again, grants and records, waits a moment for more of it.
 */
import { equal, toHex } from '../../protocol/bytes.js';
import type { Random, Timers } from '../../protocol/clock.js';
import type { Primitives } from '../../protocol/crypto/primitives.js';
import { WarrenError } from '../../protocol/errors.js';
import type { HandshakeContext, LocalIdentity, PskKeys } from '../../protocol/handshake/types.js';
import type { Grant } from '../../protocol/identity/grant.js';
import { InviteBook } from '../../protocol/identity/invite-book.js';
import { decodeNetworkSecret, secretHash } from '../../protocol/identity/network-secret.js';
import { nodeIdText, shortId, type NodeId } from '../../protocol/identity/node-id.js';
import type { TrustItem } from '../../protocol/identity/trust-item.js';
import { TrustStore, type AddResult } from '../../protocol/identity/trust-store.js';
import { outrunWords } from '../keys/fork-words.js';
import type { Keyring } from '../keys/keyring.js';
import type { KeptItem, NetworkState, SecretRecord, StateFiles } from '../home/statefile.js';
import { errorFields, type Log } from '../observe/log.js';
import { limitRepeats } from '../observe/repeats.js';
import { Authority } from './authority.js';
import { Batched } from './batched.js';
import type { AdmissionNeeds } from './bring-up.js';
import { ClockWitnesses } from './clock-witness.js';
import { PskRing, type HeldSecret } from './psk-ring.js';
import { RecentItems } from './recent.js';

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
  readonly keyring: Keyring;
  /** the name that this node asks for when it founds or joins */
  readonly wantedName: () => string;
  /** what this node sends on a link is rekeyed after so many bytes; default: what the protocol sets */
  readonly rekeyBytes?: number;
  /** an item was taken in; `from`: the peer that told it; `about`: the node that it is about */
  readonly onItem: (item: TrustItem, from: NodeId | undefined, about: NodeId | undefined) => void;
  readonly onAlarm: (sentence: string, node?: string) => void;
  /** an alarm that stands until an admin settles it: the trust store tells whether it still does, see fork-words.ts */
  readonly onForked: (sentence: string, node?: string) => void;
  /** a network secret was learned; `from`: the peer that told it */
  readonly onSecret: (secret: SecretRecord, from: NodeId | undefined) => void;
  /** this home belongs to another network now */
  readonly onReplaced: () => void;
}

/** Of so many failed dials one is repeated with an older secret of the network. */
const OLDER_SECRET_EVERY = 3;
/** Registry records are written this long after they came: their node tells them again, and may do so often, ms. */
const RECORDS_SAVE_MS = 1_000;
/** Grants of other admins likewise: an admin with thousands of members may sign them all at once, ms. */
const GRANTS_SAVE_MS = 250;

export class Network {
  readonly nodeId: NodeId;
  private store: TrustStore;
  private secrets: SecretRecord[] = [];
  /** What this node signs. */
  readonly authority: Authority;
  /** Hosts that were turned away for their clock. */
  readonly clocks: ClockWitnesses;
  private readonly ring: PskRing;
  private readonly saving: Batched;
  private readonly recent: RecentItems;
  /** hashes of what this home has signed itself, in hexadecimal */
  private readonly signedHere = new Set<string>();
  /** for lines that whoever holds the network's secret can cause */
  private readonly repeats: Log;
  /** the peer whose items are being taken in */
  private source: NodeId | undefined;

  constructor(private readonly options: NetworkOptions) {
    this.nodeId = options.keyring.nodeId;
    this.ring = new PskRing(options.primitives);
    this.clocks = new ClockWitnesses(options.timers);
    this.repeats = limitRepeats(options.log, options.timers);
    this.recent = new RecentItems(options.timers);
    this.saving = new Batched(options.timers, () => this.trySave());
    this.authority = this.makeAuthority();
    const state = options.files.loadNetwork();
    const store = this.newStore(state?.networkId ?? this.nodeId);
    // Not the node's own yet, so that what it kept is not told anew.
    if (state !== undefined) this.load(store, state);
    if (state === undefined) this.found(store);
    this.store = store;
    if (state === undefined) this.keepNow();
  }

  // What is known.

  get trust(): TrustStore {
    return this.store;
  }

  get primitives(): Primitives {
    return this.options.primitives;
  }

  get networkId(): NodeId {
    return this.store.networkId;
  }

  get name(): string {
    return this.lastGrant?.name ?? this.options.wantedName();
  }

  get tags(): readonly string[] {
    return this.lastGrant?.tags ?? [];
  }

  private get lastGrant(): Grant | undefined {
    return this.store.grantForNow(this.nodeId) ?? this.store.lastGrantOf(this.nodeId);
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
      onClockSkew: aheadMs => this.clocks.note(aheadMs),
    };
  }

  private identity(store: TrustStore): LocalIdentity {
    const grant = store.grantOf(this.nodeId)?.bytes;
    return {
      ...this.options.keyring.identity(),
      network: store.networkId,
      ...(grant === undefined ? {} : { grant }),
    };
  }

  /** Every secret that opens something here: the one in force first, then old ones, then invites, burnt ones included. */
  psks(): readonly PskKeys[] {
    return this.ring.all(this.openSecrets(), this.authority.invites.list(this.options.timers.now()));
  }

  private openSecrets(): readonly HeldSecret[] {
    return this.ring.held(this.secrets, this.store.secrets());
  }

  /** The secret in force, when it is held here. */
  currentSecret(): SecretRecord | undefined {
    return this.openSecrets().find(({ current }) => current);
  }

  /** The newest that is held: with it this node dials. @throws WarrenError `internal` when the home holds none */
  currentPsk(): PskKeys {
    return this.pskFor(0);
  }

  /**
   * What to dial with. A node that has been away knows older secrets only and is silent towards newer ones, so now and
   * then one of those is tried: the link is good for the catch-up, and hands the new one over.
   * @param failures dials of that node that have failed in a row
   * @throws WarrenError `internal` when the home holds none
   */
  pskFor(failures: number): PskKeys {
    const held = this.psks().filter(keys => keys.psk.kind !== 'invite');
    const tries = Math.floor(failures / OLDER_SECRET_EVERY);
    const isOlder = failures % OLDER_SECRET_EVERY === OLDER_SECRET_EVERY - 1 && held.length > 1;
    const newest = isOlder ? held[1 + (tries % (held.length - 1))] : held[0];
    if (newest === undefined) throw new WarrenError('internal', 'This home holds no network secret.');
    return newest;
  }

  /** What admission asks of a member of this network. */
  admission(): AdmissionNeeds {
    return {
      trust: this.store,
      context: this.context(),
      secrets: () => this.openSecrets().map(({ epoch, secret }) => ({ epoch, secret })),
      onSecret: (epoch, secret) => void this.learnSecret({ epoch, secret }, undefined),
      mint: (join, inviteId) => this.authority.mint(join, inviteId),
      renew: peer => this.authority.renew(peer),
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
        if (result.alarm !== undefined) this.options.onForked(result.alarm, node);
        if (items[i]!.kind === 'statement' && result.status === 'added' && from !== undefined) this.noteOutrun(result);
        if (result.status !== 'refused') continue;
        const fields = { kind: items[i]!.kind, node, from: from && this.nameOf(from), reason: result.why };
        this.repeats.warn('item-refused', fields, 'something that a peer told is not right');
      }
      return results;
    } finally {
      this.source = before;
    }
  }

  /** Somebody else has made a statement in this node's name, with the key that this home holds too. */
  private noteOutrun({ node }: AddResult): void {
    if (node === undefined || !equal(node, this.nodeId)) return;
    const words = outrunWords(this.store, this.options.keyring);
    if (words !== undefined) this.options.onForked(words.sentence, this.name);
  }

  /**
   * A peer has told a network secret.
   * @returns false when no signed statement speaks of it
   */
  learnSecret({ epoch, secret }: SecretRecord, from: NodeId | undefined): boolean {
    if (this.secrets.some(s => equal(s.secret, secret))) return true;
    const hash = secretHash(this.options.primitives.hash.SHA256, secret);
    if (!this.store.secrets().some(s => s.epoch === epoch && equal(s.secretHash, hash))) return false;
    this.secrets = [...this.heldSecrets(), { epoch, secret: secret.slice() }];
    this.saveNetwork();
    this.options.onSecret({ epoch, secret }, from);
    return true;
  }

  /** Network secrets held here that open something; those that no statement speaks of any more are forgotten. */
  heldSecrets(): readonly SecretRecord[] {
    const open = this.openSecrets();
    return this.secrets.filter(({ secret }) => open.some(s => equal(s.secret, secret)));
  }

  private newStore(networkId: NodeId): TrustStore {
    const { primitives, timers } = this.options;
    const store: TrustStore = new TrustStore({
      primitives,
      clock: timers,
      networkId,
      onChange: (item, isKept, about) => {
        if (store !== this.store) return;
        if (isKept) this.keepSoon(item);
        this.recent.add(item, this.source, item.kind === 'registry' ? about : undefined);
        this.options.onItem(item, this.source, about);
      },
      onAlarm: (sentence, node) => this.options.onForked(sentence, node && this.nameOf(node)),
    });
    return store;
  }

  /** What was taken in lately and not from `peer`, see recent.ts. */
  recentFor(peer: NodeId): readonly TrustItem[] {
    return this.recent.for(peer);
  }

  // What this node signs.

  private makeAuthority(): Authority {
    const { primitives, timers, random, log, files, keyring } = this.options;
    return new Authority({
      primitives,
      timers,
      random,
      log,
      repeats: this.repeats,
      keyring,
      trust: () => this.store,
      keep: (items, from) => {
        if (from === undefined) for (const { bytes } of items) this.signedHere.add(this.hashOf(bytes));
        this.learn(items, from);
      },
      saveInvites: () => this.saveNetwork(),
      recordVersion: () => files.nextRegistryVersion(timers.now()),
      isSignedHere: item => this.signedHere.has(this.hashOf(item)),
      onAlarm: sentence => this.options.onAlarm(sentence),
    });
  }

  private hashOf(item: Uint8Array): string {
    return toHex(this.options.primitives.hash.SHA256.hash(item));
  }

  private found(store: TrustStore): void {
    const founded = this.authority.found(this.options.wantedName());
    store.restore(founded.items);
    for (const { bytes } of founded.items) this.signedHere.add(this.hashOf(bytes));
    this.secrets = [{ epoch: 0, secret: founded.networkSecret }];
  }

  /**
   * A new secret for the network: held here first, then said by a signed statement, then handed to whoever is connected.
   * @throws WarrenError `not-admin`, `disk`
   */
  renewSecret(): void {
    const { secret, item } = this.authority.newSecret();
    const { epoch } = decodeNetworkSecret(this.options.primitives, item.bytes);
    const before = this.secrets;
    this.secrets = [...before, { epoch, secret }];
    try {
      this.saveNetwork();
    } catch (error) {
      this.secrets = before;
      throw error;
    }
    this.learn([item], undefined);
    this.options.onSecret({ epoch, secret }, undefined);
    this.options.log.info('secret-renewed', { epoch }, 'the network has a new secret');
  }

  // Moving to another network.

  /** True once this home shares a network with another node, or has invited one: then `join` does not replace it. */
  isSettled(): boolean {
    return this.store.members().length > 1 || this.authority.invites.openCount(this.options.timers.now()) > 0;
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
    this.authority.invites.clear();
    this.signedHere.clear();
    this.recent.clear();
    this.options.onReplaced();
  }

  // On disk.

  private load(store: TrustStore, state: NetworkState): void {
    const items = this.options.files.loadTrust(state.networkId);
    for (const { here, bytes } of items) if (here === true) this.signedHere.add(this.hashOf(bytes));
    store.restore([...this.ownStatements(), ...items]);
    this.secrets = [...state.secrets];
    if (state.invites.length > 0) this.authority.invites.importState(state.invites);
  }

  private ownStatements(): TrustItem[] {
    return this.options.keyring.statements.map(bytes => ({ kind: 'statement', bytes }));
  }

  /** What decides whom to follow is written at the end of this turn; what is told again by others, with more of it. */
  private keepSoon({ kind, bytes }: TrustItem): void {
    if (kind === 'registry') this.saving.within(RECORDS_SAVE_MS);
    else if (kind === 'grant' && !this.signedHere.has(this.hashOf(bytes))) this.saving.within(GRANTS_SAVE_MS);
    else this.saving.soon();
  }

  private trySave(): void {
    try {
      this.saveTrust();
    } catch (error) {
      this.options.log.error('save-failed', errorFields(error), 'what this node has learned could not be written');
    }
  }

  private keepNow(): void {
    this.saveTrust();
    this.saveNetwork();
  }

  private saveTrust(): void {
    this.saving.done();
    this.options.files.saveTrust(this.networkId, this.marked(this.store.items()));
  }

  /** What was signed here is marked, and what is not kept any more forgotten. */
  private marked(items: readonly TrustItem[]): readonly KeptItem[] {
    const still = new Set<string>();
    const kept = items.map(item => {
      if (!isClaim(item)) return item;
      const hash = this.hashOf(item.bytes);
      if (!this.signedHere.has(hash)) return item;
      still.add(hash);
      return { ...item, here: true };
    });
    this.signedHere.clear();
    for (const hash of still) this.signedHere.add(hash);
    return kept;
  }

  private saveNetwork(): void {
    const invites = this.authority.invites.exportState();
    this.options.files.saveNetwork({ networkId: this.networkId, secrets: this.secrets, invites });
  }

  /** Writes what is not written yet. */
  close(): void {
    if (this.saving.isWaiting) this.saveTrust();
  }
}

/** Key logs and forks stand by themselves; who signed a claim matters. */
function isClaim({ kind }: TrustItem): boolean {
  return kind !== 'statement' && kind !== 'fork' && kind !== 'registry';
}
