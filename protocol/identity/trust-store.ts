/**
 * Everything that a node knows about its network, verified: key logs, forks, roles, grants, revocations, network
 * secrets, settlements, registry records.
 *
 * 1. An item comes in (`add`), is taken apart, and is judged by its signer's key log and role.
 * 2. What cannot be judged yet waits (pending.ts); what is wrong is refused; the rest goes to its shelf or log.
 * 3. What changes who is an admin or whose word stands makes the view stale; the next question renews it: the tree is
 *    grown from the founder down, and every claim is marked as live or not.
 *
 * What is kept depends on the items alone and not on the order they came in, forks excepted, where the first seen is
 * followed and the proof is kept. So any two nodes that exchange what the other lacks (catch-up.ts) come to agree.
 */
import { equal } from '../bytes.js';
import type { Clock } from '../clock.js';
import type { Primitives } from '../crypto/primitives.js';
import { WarrenError } from '../errors.js';
import { decodeClaim } from './claim.js';
import type { Claim } from './claim.js';
import { CatchUp } from './catch-up.js';
import type { MissingLimits } from './catch-up.js';
import { CLOCK_TOLERANCE_MS, type Grant } from './grant.js';
import { KeyLog } from './key-log.js';
import type { AppendResult } from './key-log.js';
import { LogBook } from './log-book.js';
import { nodeIdText, parseNodeId, shortId, type NodeId, type NodeIdText } from './node-id.js';
import { Pending } from './pending.js';
import type { Waiting } from './pending.js';
import type { Shelf } from './shelf.js';
import { FORMATS, makeShelves } from './shelves.js';
import type { ClaimKind } from './shelves.js';
import { Verifier } from './signed.js';
import { standingOf } from './standing.js';
import { decodeFork, decodeStatement } from './statement.js';
import type { Fork, Statement } from './statement.js';
import { MAX_ITEM_BYTES, type TrustItem } from './trust-item.js';
import { TrustView } from './trust-view.js';

/** Times around a batch is gone through because something in it rests on something later. */
const MAX_ROUNDS = 32;

export interface AddResult {
  /** `pending`: what it rests on is not known; it is held and tried again. */
  readonly status: 'added' | 'known' | 'refused' | 'pending';
  readonly why?: string;
  /** One sentence to be shouted: a fork, a foreign network, a name taken twice. */
  readonly alarm?: string;
  /** The node that the item is about. */
  readonly node?: NodeId;
}

export interface TrustStoreOptions {
  readonly primitives: Primitives;
  readonly clock: Clock;
  /** The founder's node ID. */
  readonly networkId: NodeId;
  /**
   * Told each item that was taken in, once the store has it, for keeping and passing on. Must not throw.
   * @param isKept false: it is not among `items()`, being of a key log that nobody vouches for
   * @param about the node that it is about; undefined: the network as a whole
   */
  readonly onChange?: (item: TrustItem, isKept: boolean, about: NodeId | undefined) => void;
  /** Told the alarms of items that had waited; those of items just added are in the results. Must not throw. */
  readonly onAlarm?: (sentence: string, node: NodeId | undefined) => void;
}

/** What taking an item led to. `item` is what was taken in, when that is not the item that came. */
interface Taken extends AddResult {
  readonly item?: TrustItem;
  /** With `pending`: something new about this node may help. */
  readonly waitsFor?: NodeId;
}

export class TrustStore extends TrustView {
  readonly networkId: NodeId;
  private readonly verifier: Verifier;
  private readonly pending: Pending;
  private readonly catchUp: CatchUp;
  /** Nodes about which something was learned, and whether roles changed, since what waits was tried again. */
  private learned = new Set<NodeIdText>();
  private rolesChanged = false;

  constructor(private readonly options: TrustStoreOptions) {
    const verifier = new Verifier(options.primitives);
    super({ founder: options.networkId, clock: options.clock, verifier, shelves: makeShelves(), logs: new LogBook() });
    this.networkId = options.networkId;
    this.verifier = verifier;
    this.pending = new Pending(options.primitives.hash.SHA256);
    this.catchUp = new CatchUp(options.primitives, this);
  }

  /** Judges one item and takes it in if it is right. Never throws on bad bytes. */
  add(item: TrustItem): AddResult {
    return this.addAll([item])[0]!;
  }

  /**
   * The same for a batch, in which the order does not matter. A new statement costs about two milliseconds: who takes
   * in thousands does it in slices.
   * @returns one result per item, in the order of the items
   */
  addAll(items: readonly TrustItem[]): AddResult[] {
    return this.takeAll(items, false);
  }

  /**
   * As addAll, for what this node kept itself. Signatures are judged again; what does not count now is kept too, and
   * no time is held against a clock that may not be set yet.
   */
  restore(items: readonly TrustItem[]): AddResult[] {
    return this.takeAll(items, true);
  }

  private takeAll(items: readonly TrustItem[], own: boolean): AddResult[] {
    const results = new Map<TrustItem, AddResult>();
    const waiting: Waiting[] = [];
    for (const item of this.inSeqOrder(items)) {
      const { waitsFor, ...result } = this.takeOne(item, own);
      results.set(item, result);
      if (waitsFor) waiting.push({ item, waitsFor: nodeIdText(waitsFor) });
    }
    const left = new Set(this.stillWaiting([...waiting, ...this.pending.all()], own, results));
    for (const w of waiting) if (left.has(w)) this.pending.put(w);
    return items.map(item => results.get(item)!);
  }

  /** Tries again what something new may help, until nothing does. @returns what is left waiting */
  private stillWaiting(waiting: readonly Waiting[], own: boolean, results: Map<TrustItem, AddResult>): Waiting[] {
    let left = [...waiting];
    for (let round = 0; round < MAX_ROUNDS; round++) {
      const ready = this.nowReady(left);
      if (ready.size === 0) break;
      for (const w of ready) {
        const { waitsFor, ...result } = this.takeOne(w.item, own && results.has(w.item));
        if (results.has(w.item)) results.set(w.item, result);
        else if (result.alarm !== undefined) this.options.onAlarm?.(result.alarm, result.node);
        if (waitsFor) continue;
        this.pending.drop(w);
        left = left.filter(l => l !== w);
      }
    }
    return left;
  }

  /** Those for which something was learned since they were asked for last. */
  private nowReady(waiting: readonly Waiting[]): Set<Waiting> {
    const { learned, rolesChanged } = this;
    this.learned = new Set();
    this.rolesChanged = false;
    if (learned.size === 0 && !rolesChanged) return new Set();
    const speaks = (node: NodeId): boolean => this.isAdmin(node) || this.hasLiveGrant(node);
    const helped = (w: Waiting): boolean =>
      learned.has(w.waitsFor) || (rolesChanged && speaks(parseNodeId(w.waitsFor)!));
    return new Set(waiting.filter(helped));
  }

  /** Statements that come in disorder change places among themselves; each item object once. */
  private inSeqOrder(items: readonly TrustItem[]): TrustItem[] {
    const order = [...new Set(items)];
    const statements = order.filter(item => item.kind === 'statement');
    if (statements.length < 2) return order;
    const seqs = new Map(statements.map(item => [item, this.seqOf(item)]));
    const sorted = [...statements].sort((a, b) => seqs.get(a)! - seqs.get(b)!);
    return order.map(item => (item.kind === 'statement' ? sorted.shift()! : item));
  }

  private seqOf(item: TrustItem): number {
    try {
      return decodeStatement(this.options.primitives, item.bytes).seq;
    } catch {
      return Infinity;
    }
  }

  private takeOne(item: TrustItem, own: boolean): Taken {
    const { item: instead, ...result } = this.tryTake(item, own);
    if (result.status === 'added' || instead) {
      const { kind } = instead ?? item;
      const isOfLog = kind === 'statement' || kind === 'fork';
      const isKept = !isOfLog || this.parts.logs.isMember(nodeIdText(result.node!));
      this.options.onChange?.(instead ?? item, isKept, result.node);
      if (result.node) this.learned.add(nodeIdText(result.node));
      if (kind === 'role' || kind === 'revocation' || kind === 'settlement' || kind === 'fork')
        this.rolesChanged = true;
    }
    return result;
  }

  private tryTake(item: TrustItem, own: boolean): Taken {
    if (item.bytes.length > MAX_ITEM_BYTES[item.kind])
      return { status: 'refused', why: `a ${item.kind} that is too long` };
    try {
      if (item.kind === 'statement') return this.takeStatement(item.bytes, own);
      if (item.kind === 'fork') return this.takeFork(item.bytes);
      return this.takeClaim(item.kind, item.bytes, own);
    } catch (error) {
      if (error instanceof WarrenError && error.code !== 'internal') return { status: 'refused', why: error.message };
      throw error;
    }
  }

  private takeStatement(bytes: Uint8Array, own: boolean): Taken {
    const statement = decodeStatement(this.options.primitives, bytes);
    const { node } = statement;
    const key = nodeIdText(node);
    const log = this.parts.logs.get(key);
    if (!log) return this.takeFirst(statement, own);
    // A settlement may have come in since: then another branch stands.
    if (log.forkProofs.length > 0 && !own) this.fresh();
    const isNew = statement.seq >= log.length && this.parts.logs.isMember(key);
    if (isNew && this.parts.logs.isFull) return { status: 'refused', why: 'too many statements are kept', node };
    return this.afterAppend(log, log.append(statement));
  }

  private takeFirst(statement: Statement, own: boolean): Taken {
    const { node } = statement;
    if (statement.seq !== 0) return { status: 'pending', why: 'the key log is not known', node, waitsFor: node };
    const key = nodeIdText(node);
    this.parts.logs.add(key, KeyLog.start(this.verifier, statement), own || this.isVouchedFor(key));
    this.stale(key);
    return { status: 'added', node };
  }

  private afterAppend(log: KeyLog, result: AppendResult): Taken {
    const { node } = log;
    if (result.status === 'known') return { status: 'known', node };
    if (result.status === 'fork') return this.afterFork(result.fork, result.why);
    if (result.status === 'refused' && !result.gap) return { status: 'refused', why: result.why, node };
    if (result.status === 'refused') return { status: 'pending', why: result.why, node, waitsFor: node };
    const key = nodeIdText(node);
    this.parts.logs.bound(key);
    this.stale(key);
    return { status: 'added', node };
  }

  /** The statement itself is refused; the proof of the fork is what was learned. */
  private afterFork(fork: Fork, why: string): Taken {
    const { node } = fork;
    this.stale(nodeIdText(node), true);
    const alarm = `the key log of ${this.displayName(node)} is forked at seq ${fork.seq}: two hosts hold its keys`;
    return { status: 'refused', why, alarm, node, item: { kind: 'fork', bytes: fork.bytes } };
  }

  private takeFork(bytes: Uint8Array): Taken {
    const fork = decodeFork(this.options.primitives, bytes);
    const { node } = fork;
    const log = this.parts.logs.get(nodeIdText(node));
    if (!log) return { status: 'pending', why: 'the key log is not known', node, waitsFor: node };
    const result = this.afterAppend(log, log.addFork(fork));
    return result.item ? { status: 'added', alarm: result.alarm, node, item: result.item } : result;
  }

  private takeClaim(kind: ClaimKind, bytes: Uint8Array, own: boolean): Taken {
    const claim = decodeClaim(this.options.primitives, FORMATS[kind], bytes) as Claim & { readonly node?: NodeId };
    const node = subjectOf(kind, claim);
    const refused = (why: string, alarm?: string): Taken => ({ status: 'refused', why, ...(alarm && { alarm }), node });
    if (!equal(claim.network, this.networkId))
      return refused('of another network', `a ${kind} of another network came in`);
    const shelf = this.parts.shelves[kind] as unknown as Shelf<Claim>;
    if (shelf.has(claim)) return { status: 'known', node };
    const log = this.parts.logs.get(nodeIdText(claim.signer));
    const statement = log?.at(claim.signerSeq);
    if (!log || !statement)
      return { status: 'pending', why: "the signer's keys are not known", node, waitsFor: claim.signer };
    const wrong = own ? undefined : this.weigh(kind, claim, log);
    if (wrong) return { ...wrong, node };
    const { body, signature } = claim.envelope;
    const genuine = this.verifier.verify(statement.signingKey, FORMATS[kind].label, body, signature);
    return genuine ? this.shelve(kind, shelf, claim, statement.signingKey, own) : refused('its signature is wrong');
  }

  /** Everything but the signature. @returns undefined when the claim may come in */
  private weigh(kind: ClaimKind, claim: Claim & { readonly node?: NodeId }, log: KeyLog): Taken | undefined {
    const lacking = this.lacks(kind, claim.signer);
    if (lacking !== undefined) return { status: 'pending', why: lacking, waitsFor: claim.signer };
    const refused = (why: string): Taken => ({ status: 'refused', why });
    if (claim.time > this.parts.clock.now() + CLOCK_TOLERANCE_MS) return refused('its time lies in the future');
    const standing = standingOf(log, claim.signerSeq, claim.time);
    if (standing.state === 'void') return refused(standing.why);
    if (kind !== 'grant' || (claim as Grant).generation > this.revokedGeneration(claim.node!)) return undefined;
    return refused('the node was revoked after it');
  }

  /** What must come first, if anything. */
  private lacks(kind: ClaimKind, signer: NodeId): string | undefined {
    if (kind === 'registry') return this.hasLiveGrant(signer) ? undefined : 'the node has no grant';
    return this.maySpeak(signer) ? undefined : 'the signer is not an admin';
  }

  private shelve(
    kind: ClaimKind,
    shelf: Shelf<Claim>,
    claim: Claim & { readonly node?: NodeId },
    key: Uint8Array,
    own: boolean,
  ): Taken {
    const node = subjectOf(kind, claim);
    const put = shelf.put(claim, key, entry => (entry.live ? this.depthOf(entry.claim.signer) : Infinity));
    if (put === 'full') return { status: 'refused', why: 'no room', alarm: `no room for another ${kind}`, node };
    if (put !== 'added') return { status: 'known', why: 'a newer one is known', node };
    this.staleClaim(kind, claim, node);
    const alarm = own ? undefined : this.alarmOf(kind, claim);
    return { status: 'added', ...(alarm !== undefined && { alarm }), node };
  }

  private alarmOf(kind: ClaimKind, claim: Claim): string | undefined {
    if (kind === 'grant') return this.nameConflict(claim as Grant);
    if (kind !== 'role' && kind !== 'revocation') return undefined;
    const { node, action } = claim as Claim & { readonly node: NodeId; readonly action?: string };
    if (action === 'promote' || this.isAbove(claim.signer, node)) return undefined;
    const what = kind === 'role' ? 'demote' : 'revoke';
    return `${this.displayName(claim.signer)} tried to ${what} ${this.displayName(node)} without standing above it`;
  }

  private nameConflict(grant: Grant): string | undefined {
    const [first, second] = this.bearers(grant.name);
    if (!first || !second) return undefined;
    return `two nodes are named ${grant.name}: ${shortId(first.node)}, which keeps the name, and ${shortId(second.node)}`;
  }

  /** All that is kept, in an order in which it can be taken in again; for keeping. */
  items(): TrustItem[] {
    return this.catchUp.all();
  }

  /** Equal on two nodes exactly when neither lacks anything of the other. 32 bytes. */
  digest(): Uint8Array {
    return this.catchUp.digest();
  }

  /** What this node has, in short: hand it to a peer that answers with missingFrom. */
  summary(): Uint8Array {
    return this.catchUp.summary();
  }

  /**
   * What the peer with that summary lacks, the most needed first. When a limit cuts it off, the peer's next summary
   * leads to the rest.
   * @throws WarrenError `malformed`
   */
  missingFrom(summary: Uint8Array, limits?: MissingLimits): TrustItem[] {
    return this.catchUp.missingFrom(summary, limits);
  }

  /** Items that wait for what they rest on. */
  get pendingCount(): number {
    return this.pending.size;
  }
}

function subjectOf(kind: ClaimKind, claim: Claim & { readonly node?: NodeId }): NodeId | undefined {
  return kind === 'registry' ? claim.signer : claim.node;
}
