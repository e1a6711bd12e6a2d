/**
 * The view of the network that follows from what is kept: who is an admin, whose word stands, who is a member, who
 * bears a name. It is worked out when asked after something changed, never piece by piece, so that it depends on what
 * is kept and on nothing else.
 */
import { equal } from '../bytes.js';
import type { Clock } from '../clock.js';
import type { Code } from '../codes.js';
import { growTree, isAbove, lapseOf, settleLog, stands } from './admin-tree.js';
import type { Admin, AdminTree, TreeInput } from './admin-tree.js';
import type { Claim } from './claim.js';
import { Doubts, type Standing } from './doubt.js';
import { grantTime, type Grant } from './grant.js';
import type { KeyLog } from './key-log.js';
import type { LogBook } from './log-book.js';
import { foldName, sameName } from './names.js';
import { openSecrets, type OpenSecret } from './network-secret.js';
import { nodeIdText, shortId, type NodeId, type NodeIdText } from './node-id.js';
import type { RegistryRecord } from './registry-record.js';
import type { Role } from './role.js';
import type { Entry, Shelf } from './shelf.js';
import { CLAIM_KINDS, FORMATS, NETWORK_SUBJECT } from './shelves.js';
import type { ClaimKind, Shelves } from './shelves.js';
import type { Verifier } from './signed.js';
import { keyState, type KeyState } from './standing.js';
import { compareHashes, type Fork, type Statement } from './statement.js';

export type Judgement =
  | { readonly verdict: 'admitted'; readonly grant: Grant }
  /** `limited`: may catch up and be renewed, nothing else. */
  | { readonly verdict: 'limited' | 'refused'; readonly code: Code; readonly sentence: string };

export interface Member {
  readonly node: NodeId;
  readonly grant: Grant;
  /** Absent when an older grant holds that name. */
  readonly name?: string;
  readonly admin: boolean;
}

/** A claim that is kept, live or not. */
export interface Kept<K extends ClaimKind> {
  readonly claim: Shelves[K] extends Shelf<infer T> ? T : never;
  readonly signer: NodeIdText;
  readonly live: boolean;
}

export interface TrustParts {
  readonly founder: NodeId;
  readonly clock: Clock;
  readonly verifier: Verifier;
  readonly shelves: Shelves;
  readonly logs: LogBook;
}

export class TrustView {
  private tree: AdminTree = { admins: new Map() };
  private revoked: ReadonlyMap<NodeIdText, number> = new Map();
  /** Folded name → nodes that may bear it; some that do not are in it too. */
  private names: Map<string, Set<NodeIdText>> | undefined;
  private isStale = true;
  /** What changed since are promotions alone: who was an admin most likely is one still. */
  private onlyPromotions = false;
  private readonly doubts: Doubts;
  /** ms since the epoch at which something that is live now lapses by itself. */
  private lapses = Infinity;
  /** Grows with every change of what is kept or what is live. */
  version = 0;

  constructor(protected readonly parts: TrustParts) {
    this.doubts = new Doubts(parts.clock);
  }

  // What changed

  /** A key log changed; the view depends on it if its node has signed anything. */
  protected stale(node: NodeIdText, isFork = false): void {
    this.version++;
    const speaks = this.tree.admins.has(node) || node === nodeIdText(this.parts.founder);
    const hasRecord = this.parts.shelves.registry.about(node).length > 0;
    const isRoutine = this.parts.logs.get(node)?.head.reason === 'routine';
    // That of a member concerns nothing but its own record.
    if (isRoutine && !isFork && !speaks && !this.isStale) this.mark('registry', node);
    else if (isFork || speaks || hasRecord) this.renewLater(false);
    // Nobody signs anew what a fork takes before it is settled.
    if (isFork) this.doubts.begin(new Map());
  }

  /** A claim was put on its shelf. */
  protected staleClaim(kind: ClaimKind, claim: Claim, node: NodeId | undefined): void {
    this.version++;
    const promotes = kind === 'role' && (claim as Role).action === 'promote';
    if (kind === 'role' || kind === 'revocation' || kind === 'settlement') this.renewLater(promotes);
    if (this.isStale) return;
    const subject = node ? nodeIdText(node) : NETWORK_SUBJECT;
    this.mark(kind, subject);
    if (kind !== 'grant') return;
    this.mark('registry', subject);
    this.parts.logs.adopt(subject);
    for (const { claim } of this.parts.shelves.grant.about(subject)) this.indexName(claim.name, subject);
  }

  private renewLater(onlyPromotions: boolean): void {
    if (!this.isStale) this.doubts.begin(this.standings());
    this.onlyPromotions = onlyPromotions && (this.onlyPromotions || !this.isStale);
    this.isStale = true;
  }

  /**
   * Whether an admin's word may be taken in; what does not count in the end is not live all the same. So a long run of
   * promotions does not grow the tree for each.
   */
  protected maySpeak(node: NodeId): boolean {
    const wasAdmin = this.onlyPromotions && this.tree.admins.has(nodeIdText(node));
    return wasAdmin || this.isAdmin(node);
  }

  protected fresh(): void {
    if (this.doubts.lapse()) this.version++;
    if (!this.isStale && this.parts.clock.now() < this.lapses) return;
    this.isStale = false;
    this.onlyPromotions = false;
    this.version++;
    this.names = undefined;
    const input = this.treeInput();
    this.tree = growTree(input);
    for (const node of [...this.parts.logs.forked()])
      if (!this.tree.admins.has(node)) settleLog(input, this.tree, node);
    this.revoked = this.workOutRevoked();
    this.lapses = Infinity;
    for (const kind of CLAIM_KINDS) for (const subject of this.shelf(kind).subjects()) this.mark(kind, subject);
    this.parts.logs.sort(node => this.isVouchedFor(node));
    this.doubts.renew((node, before) => this.isDoubtful(node, before));
  }

  private standings(): Map<NodeIdText, Standing> {
    const now = this.parts.clock.now();
    const standings = new Map<NodeIdText, Standing>();
    for (const subject of this.parts.shelves.grant.subjects() as Iterable<NodeIdText>) {
      const grant = newest(this.liveGrants(subject).filter(g => grantTime(g, now) === 'valid'));
      if (grant) standings.set(subject, { grant, record: this.liveRecord(subject) });
    }
    return standings;
  }

  private isDoubtful(node: NodeIdText, { grant, record }: Standing): boolean {
    const isLost = this.liveGrants(node).length === 0 || (record !== undefined && !this.liveRecord(node));
    return isLost && grant.generation > (this.revoked.get(node) ?? -1);
  }

  private liveRecord(node: NodeIdText): RegistryRecord | undefined {
    return this.parts.shelves.registry.about(node).find(e => e.live)?.claim;
  }

  private treeInput(): TreeInput {
    const { founder, shelves, logs, clock } = this.parts;
    const genuine = (entry: Entry<Claim>, kind: ClaimKind): boolean => this.genuine(entry, kind);
    return { founder, shelves, log: node => logs.get(node), genuine, now: clock.now() };
  }

  /** A log that went over to another branch has other keys: then the signature is looked at again. */
  private genuine(entry: Entry<Claim>, kind: ClaimKind): boolean {
    const { claim } = entry;
    const key = this.parts.logs.get(entry.signer)?.at(claim.signerSeq)?.signingKey;
    if (!key) return false;
    if (equal(key, entry.key)) return true;
    const { body, signature } = claim.envelope;
    if (!this.parts.verifier.verify(key, FORMATS[kind].label, body, signature)) return false;
    entry.key = key;
    return true;
  }

  private shelf(kind: ClaimKind): Shelf<Claim> {
    return this.parts.shelves[kind] as unknown as Shelf<Claim>;
  }

  private workOutRevoked(): Map<NodeIdText, number> {
    const shelf = this.parts.shelves.revocation;
    const input = this.treeInput();
    const revoked = new Map<NodeIdText, number>();
    for (const node of shelf.subjects()) {
      const fromAbove = shelf.about(node).filter(e => isAbove(this.tree, e.signer, node));
      const counting = shelf.best(fromAbove, e => stands(input, e, 'revocation'));
      for (const { claim } of counting) revoked.set(node, Math.max(revoked.get(node) ?? -1, claim.generation));
    }
    return revoked;
  }

  /** Says of each claim of a kind about `subject` whether it is live. */
  private mark(kind: ClaimKind, subject: string): void {
    const shelf = this.shelf(kind);
    const input = this.treeInput();
    const about = shelf.about(subject);
    const live = new Set(shelf.best(about, e => this.counts(kind, e, input)));
    for (const entry of about) entry.live = live.has(entry);
    if (kind !== 'role') return;
    for (const entry of live) this.lapses = Math.min(this.lapses, lapseOf(input, entry as Entry<Role>));
  }

  private counts(kind: ClaimKind, entry: Entry<Claim>, input: TreeInput): boolean {
    const { signer } = entry;
    const mayspeak = kind === 'registry' ? this.liveGrants(signer).length > 0 : this.tree.admins.has(signer);
    if (!mayspeak || !stands(input, entry, kind)) return false;
    if (kind === 'role') return input.now < lapseOf(input, entry as Entry<Role>);
    return kind !== 'grant' || (entry.claim as Grant).generation > (this.revoked.get(entry.subject) ?? -1);
  }

  private liveGrants(node: NodeIdText): Grant[] {
    const entries = this.parts.shelves.grant.about(node);
    return entries.filter(e => e.live).map(e => e.claim);
  }

  /** Somebody signed something about the node that is kept: its log is kept for good. */
  protected isVouchedFor(node: NodeIdText): boolean {
    if (node === nodeIdText(this.parts.founder) || this.tree.admins.has(node)) return true;
    return this.parts.shelves.grant.about(node).length > 0 || this.parts.shelves.role.about(node).length > 0;
  }

  // Keys

  /** The newest statement known of a node. */
  head(node: NodeId): { readonly seq: number; readonly hash: Uint8Array; readonly statement: Statement } | undefined {
    const statement = this.keyLog(node)?.head;
    return statement && { seq: statement.seq, hash: statement.hash, statement };
  }

  keyLog(node: NodeId): KeyLog | undefined {
    this.fresh();
    return this.parts.logs.get(nodeIdText(node));
  }

  /** How the key that a node proved under its statement `seq` stands now. */
  keyState(node: NodeId, seq: number): KeyState {
    const log = this.keyLog(node);
    return log ? keyState(log, seq) : 'unknown';
  }

  /** Proven forks that nobody has settled. */
  openForks(): Fork[] {
    this.fresh();
    const forks = [...this.parts.logs.forked()].map(node => {
      const log = this.parts.logs.get(node)!;
      return log.forkProofs.find(f => f.seq === log.forkedAt);
    });
    return forks.filter(f => f !== undefined);
  }

  // Roles

  isAdmin(node: NodeId): boolean {
    this.fresh();
    return this.tree.admins.has(nodeIdText(node));
  }

  /** From the founder down. */
  admins(): Admin[] {
    this.fresh();
    return [...this.tree.admins.values()];
  }

  /** `signer` is an admin that may demote or revoke `subject`, or settle its forks. */
  isAbove(signer: NodeId, subject: NodeId): boolean {
    this.fresh();
    return isAbove(this.tree, nodeIdText(signer), nodeIdText(subject));
  }

  /** 0 for the founder, Infinity for who is no admin. */
  depthOf(node: NodeId): number {
    return this.tree.admins.get(nodeIdText(node))?.depth ?? Infinity;
  }

  // Grants

  /** The newest valid grant known. */
  grantOf(node: NodeId): Grant | undefined {
    this.fresh();
    const now = this.parts.clock.now();
    return newest(this.liveGrants(nodeIdText(node)).filter(g => grantTime(g, now) === 'valid'));
  }

  /** Unlike grantOf, also one that has expired; never one that is void or revoked. */
  lastGrantOf(node: NodeId): Grant | undefined {
    this.fresh();
    return newest(this.liveGrants(nodeIdText(node)));
  }

  /** The same, or what the member had until a moment ago when that is in doubt (doubt.ts): not for admission. */
  grantForNow(node: NodeId): Grant | undefined {
    const grant = this.grantOf(node) ?? this.doubts.of(nodeIdText(node))?.grant;
    return grant && grantTime(grant, this.parts.clock.now()) === 'valid' ? grant : undefined;
  }

  /** ms, monotonic, until which a member is in doubt; undefined when it is not. */
  doubtUntil(node: NodeId): number | undefined {
    return this.grantOf(node) ? undefined : this.doubts.of(nodeIdText(node))?.until;
  }

  /** The highest revoked generation, -1 when the node was never revoked. */
  revokedGeneration(node: NodeId): number {
    this.fresh();
    return this.revoked.get(nodeIdText(node)) ?? -1;
  }

  /** Whether a node may take part. What a peer showed is added to the store before it is judged. */
  judge(node: NodeId): Judgement {
    const log = this.keyLog(node);
    const isForked = log?.forkedAt !== undefined && log.head.seq < log.forkedAt;
    const grant = isForked ? undefined : this.grantOf(node);
    if (log && grant) return { verdict: 'admitted', grant };
    const who = this.displayName(node);
    const last = this.lastGrantOf(node);
    if (isForked) return refused('forked', `the key log of ${who} is forked and no admin has settled it`);
    if (last) return this.outOfTime(last, who);
    if (this.revokedGeneration(node) >= 0)
      return refused('revoked', `${who} was revoked; an admin can invite it again`);
    if (this.parts.shelves.grant.about(nodeIdText(node)).length === 0)
      return refused('not-admitted', `${who} has no grant in this network`);
    const why = 'was signed by an admin whose word no longer counts; another admin can renew it';
    return refused('not-admitted', `the grant of ${who} ${why}`);
  }

  private outOfTime(grant: Grant, who: string): Judgement {
    const state = grantTime(grant, this.parts.clock.now());
    const expired = `the grant of ${who} has expired; it is renewed when the node meets an admin`;
    const early = `the grant of ${who} begins in the future; the clock of this host or of the signing admin is wrong`;
    if (state === 'not-yet') return { verdict: 'limited', code: 'clock-skew', sentence: early };
    if (state === 'expired') return { verdict: 'limited', code: 'grant-expired', sentence: expired };
    return refused('not-admitted', `the keys of ${who} are not known`);
  }

  /** Those in doubt are among them. */
  members(): Member[] {
    this.fresh();
    const members: Member[] = [];
    for (const subject of this.parts.shelves.grant.subjects()) {
      const node = this.parts.shelves.grant.about(subject)[0]!.claim.node;
      const grant = this.grantForNow(node);
      if (!grant) continue;
      const name = this.nameOf(node);
      members.push({ node, grant, ...(name !== undefined && { name }), admin: this.isAdmin(node) });
    }
    return members;
  }

  // Names

  /** The node that bears a name, compared without case: of several the one that has had it longest. */
  nodeByName(name: string): NodeId | undefined {
    return this.bearers(name)[0]?.node;
  }

  /** Valid grants that say this name, the oldest bearer first. */
  protected bearers(name: string): Grant[] {
    this.fresh();
    const grants = [...(this.nameIndex().get(foldName(name)) ?? [])].map(subject => {
      const [entry] = this.parts.shelves.grant.about(subject);
      const grant = entry && this.grantForNow(entry.claim.node);
      return grant && sameName(grant.name, name) ? grant : undefined;
    });
    const byAge = (a: Grant, b: Grant): number =>
      a.since - b.since || compareHashes({ hash: a.node }, { hash: b.node });
    return grants.filter(g => g !== undefined).sort(byAge);
  }

  /** The name that a node bears by right: undefined when an older grant holds it, or the node has no valid grant. */
  nameOf(node: NodeId): string | undefined {
    const name = this.grantForNow(node)?.name;
    const bearer = name === undefined ? undefined : this.nodeByName(name);
    return bearer && equal(bearer, node) ? name : undefined;
  }

  /** Who bore a name last, or a node ID, though no member bears it now: revoked, or with a grant that is over. */
  formerNode(name: string): NodeId | undefined {
    this.fresh();
    const { grant, revocation } = this.parts.shelves;
    const revoked = [...revocation.entries()].flatMap(({ claim }) =>
      claim.name !== undefined && sameName(claim.name, name) ? [claim] : [],
    );
    const granted = [...grant.entries()].flatMap(({ claim }) => (sameName(claim.name, name) ? [claim] : []));
    const [newestClaim] = [...revoked, ...granted].sort((a, b) => b.time - a.time);
    return newestClaim?.node;
  }

  private nameIndex(): Map<string, Set<NodeIdText>> {
    if (this.names) return this.names;
    this.names = new Map();
    for (const { claim, subject, live } of this.parts.shelves.grant.entries()) {
      if (live) this.indexName(claim.name, subject);
      else if (this.doubts.of(subject)?.grant === claim) this.indexName(claim.name, subject);
    }
    return this.names;
  }

  private indexName(name: string, subject: NodeIdText): void {
    const nodes = this.names?.get(foldName(name));
    if (nodes) nodes.add(subject);
    else this.names?.set(foldName(name), new Set([subject]));
  }

  /** For people: the name, with the short ID when that is not enough. */
  displayName(node: NodeId): string {
    return this.nameOf(node) ?? shortId(node);
  }

  // The rest

  /** Kept only for nodes with a valid grant; of a member in doubt what it was before. */
  record(node: NodeId): RegistryRecord | undefined {
    if (!this.grantForNow(node)) return undefined;
    return this.standingRecord(node) ?? this.doubts.of(nodeIdText(node))?.record;
  }

  /** The one that counts, whatever is in doubt: what a node compares with before it signs another one. */
  standingRecord(node: NodeId): RegistryRecord | undefined {
    this.fresh();
    return this.liveRecord(nodeIdText(node));
  }

  /** The secret in force first, then those that still open a catch-up. */
  secrets(): OpenSecret[] {
    this.fresh();
    const live = this.parts.shelves['network-secret'].about(NETWORK_SUBJECT).filter(e => e.live);
    return openSecrets(live.map(e => e.claim), this.parts.clock.now()); // prettier-ignore
  }

  /** Claims of a kind that are kept, live or not. */
  claims<K extends ClaimKind>(kind: K): Kept<K>[] {
    this.fresh();
    return [...this.shelf(kind).entries()] as unknown as Kept<K>[];
  }

  /** Hashes of the live ones. */
  liveHashes(kind: ClaimKind): Uint8Array[] {
    this.fresh();
    return this.shelf(kind).liveHashes();
  }

  /** The same, grouped by what replaces what; the newest of each group first. */
  slots(kind: ClaimKind): (readonly { readonly claim: Claim; readonly live: boolean }[])[] {
    this.fresh();
    return this.shelf(kind).slots();
  }

  // What others are told (catch-up.ts)

  /** Of admins, from the founder down. */
  adminLogs(): KeyLog[] {
    this.fresh();
    const logs = [...this.tree.admins.keys()].map(node => this.parts.logs.get(node));
    return logs.filter(log => log !== undefined);
  }

  /** Of the other nodes with a live grant; with `everything`, of all that are kept. */
  otherLogs(everything: boolean): KeyLog[] {
    this.fresh();
    const others = this.parts.logs.all().filter(log => !this.tree.admins.has(log.key));
    return everything ? others : others.filter(log => this.parts.shelves.grant.hasLive(log.key));
  }

  protected hasLiveGrant(node: NodeId): boolean {
    this.fresh();
    return this.liveGrants(nodeIdText(node)).length > 0;
  }
}

function refused(code: Code, sentence: string): Judgement {
  return { verdict: 'refused', code, sentence };
}

function newest(grants: readonly Grant[]): Grant | undefined {
  return [...grants].sort((a, b) => b.time - a.time || b.expires - a.expires || compareHashes(a, b))[0];
}
