/**
 * Catch-up: what two nodes tell each other so that afterwards both know the same.
 *
 * Summary: version u8 = 1 ‖ count varint ‖ per key log {node 32 ‖ seq varint ‖ marks} ‖ count varint ‖ tags. A mark is the
 * first 8 bytes of the statement hashes at seq, seq-1, seq-2, seq-4, … down to 0 or above: by them the other side finds
 * where two logs part. A tag is the first 8 bytes of the hash of a claim or fork proof. The digest is a SHA-256 over all
 * of it in full, sorted; when digests are equal nobody lacks anything.
 */
import { Reader, Writer, equal, toHex } from '../bytes.js';
import type { Primitives } from '../crypto/primitives.js';
import { malformed } from '../errors.js';
import type { Claim } from './claim.js';
import type { KeyLog } from './key-log.js';
import { NODE_ID_LENGTH, labelledHash, nodeIdText, type NodeIdText } from './node-id.js';
import type { ClaimKind } from './shelves.js';
import { SortedHashes } from './sorted-hashes.js';
import { HASH_LENGTH, MAX_STATEMENTS, forkHash } from './statement.js';
import type { Fork } from './statement.js';
import { inTellingOrder } from './telling-order.js';
import type { TrustItem } from './trust-item.js';

/** What only admins say, besides grants. */
const WORDS: readonly ClaimKind[] = ['settlement', 'role', 'revocation', 'network-secret'];

const SUMMARY_VERSION = 1;
const TAG_LENGTH = 8;
export const MAX_SUMMARY_BYTES = 4 * 1024 * 1024;
export const MAX_SUMMARY_LOGS = 16_384;
export const MAX_SUMMARY_TAGS = 65_536;

export interface MissingLimits {
  /** default 4096 */
  readonly items?: number;
  /** default 2 MiB */
  readonly bytes?: number;
}
export const MISSING_ITEMS = 4096;
export const MISSING_BYTES = 2 * 1024 * 1024;

/** What catch-up needs to see of the store. */
export interface CatchUpView {
  readonly version: number;
  /** Of admins, from the founder down. */
  adminLogs(): readonly KeyLog[];
  /** Of the other nodes with a live grant; with `everything`, all that are kept. */
  otherLogs(everything: boolean): readonly KeyLog[];
  claims(kind: ClaimKind): readonly { readonly claim: Claim; readonly signer: NodeIdText; readonly live: boolean }[];
  /** Hashes of those that are live. */
  liveHashes(kind: ClaimKind): readonly Uint8Array[];
}

/** A part of the order in which a node that knows nothing can take everything in. */
interface Piece {
  readonly item: TrustItem;
  /** Absent for statements, which go by their log. */
  readonly hash?: Uint8Array;
  readonly log?: KeyLog;
  readonly seq?: number;
}

interface PeerLog {
  readonly seq: number;
  readonly marks: ReadonlyMap<number, Uint8Array>;
}

export class CatchUp {
  private shared: Shared | undefined;
  private readonly sorted = new SortedHashes();

  constructor(
    private readonly primitives: Primitives,
    private readonly view: CatchUpView,
  ) {}

  /** For keeping: what is not live too, and the branch that was followed into an open fork. */
  all(): TrustItem[] {
    return [...this.pieces(true)].map(p => p.item);
  }

  digest(): Uint8Array {
    const shared = this.sharedNow();
    shared.digest ??= this.digestOf([...shared.logs.map(log => log.undisputedHead.hash), ...shared.hashes]);
    return shared.digest;
  }

  private digestOf(parts: readonly Uint8Array[]): Uint8Array {
    const all = new Writer(parts.length * HASH_LENGTH);
    for (const part of this.sorted.of(parts)) all.bytes(part);
    return labelledHash(this.primitives.hash.SHA256, 'warren trust digest v1', all.finish());
  }

  summary(): Uint8Array {
    const shared = this.sharedNow();
    shared.summary ??= summaryOf(shared);
    return shared.summary;
  }

  /** Worked out once for each state of the view: every link that comes up asks. */
  private sharedNow(): Shared {
    const admins = this.view.adminLogs();
    const { version } = this.view;
    if (this.shared?.version !== version) {
      const logs = [...admins, ...this.view.otherLogs(false)];
      this.shared = { version, logs, hashes: this.sharedHashes(logs) };
    }
    return this.shared;
  }

  private sharedHashes(logs: readonly KeyLog[]): readonly Uint8Array[] {
    const forks = logs.flatMap(log => sharedForks(log).map(fork => forkHash(this.primitives, fork)));
    const kinds: readonly ClaimKind[] = [...WORDS, 'grant', 'registry'];
    return forks.concat(...kinds.map(kind => this.view.liveHashes(kind)));
  }

  missingFrom(summary: Uint8Array, limits: MissingLimits = {}): TrustItem[] {
    const peer = readSummary(summary);
    const missing: TrustItem[] = [];
    let room = limits.bytes ?? MISSING_BYTES;
    const lacking = [...this.pieces(false)].filter(piece => this.lacks(peer, piece));
    const voids = ({ log, seq }: Piece): boolean => log?.at(seq!)?.reason === 'compromised';
    for (const piece of inTellingOrder(lacking, ({ item }) => item, voids)) {
      room -= piece.item.bytes.length;
      if (room < 0 || missing.length >= (limits.items ?? MISSING_ITEMS)) break;
      missing.push(piece.item);
    }
    return missing;
  }

  private lacks(peer: Summary, piece: Piece): boolean {
    if (piece.hash) return !peer.tags.has(toHex(piece.hash.subarray(0, TAG_LENGTH)));
    const log = piece.log!;
    const theirs = peer.logs.get(log.key);
    if (!theirs) return true;
    // A peer that is ahead finds out by itself, from our summary, whether the logs part.
    if (theirs.seq > log.undisputedHead.seq) return false;
    return piece.seq! > common(log, theirs);
  }

  /** Admins from the top, each with its log and its word; then grants; then the other members; then records. */
  private *pieces(everything: boolean): IterableIterator<Piece> {
    const admins = this.view.adminLogs();
    const others = this.view.otherLogs(everything);
    const words = WORDS.map(kind => this.claimsOf(kind, everything));
    for (const log of admins) {
      yield* this.logPieces(log, everything);
      for (const bySigner of words) yield* bySigner.get(log.key) ?? [];
    }
    for (const own of this.claimsOf('grant', everything).values()) yield* own;
    for (const log of others) yield* this.logPieces(log, everything);
    for (const own of this.claimsOf('registry', everything).values()) yield* own;
    if (everything) yield* this.wordsOfFormerAdmins(words, admins);
  }

  private *wordsOfFormerAdmins(
    words: readonly ReadonlyMap<NodeIdText, Piece[]>[],
    admins: readonly KeyLog[],
  ): IterableIterator<Piece> {
    const told = new Set(admins.map(log => log.key));
    for (const bySigner of words) for (const [signer, own] of bySigner) if (!told.has(signer)) yield* own;
  }

  private claimsOf(kind: ClaimKind, everything: boolean): Map<NodeIdText, Piece[]> {
    const bySigner = new Map<NodeIdText, Piece[]>();
    for (const { claim, signer, live } of this.view.claims(kind)) {
      if (!live && !everything) continue;
      const list = bySigner.get(signer) ?? [];
      list.push({ item: { kind, bytes: claim.bytes }, hash: claim.hash });
      bySigner.set(signer, list);
    }
    return bySigner;
  }

  private *logPieces(log: KeyLog, everything: boolean): IterableIterator<Piece> {
    const { seq: last } = everything ? log.head : log.undisputedHead;
    for (let seq = 0; seq <= last; seq++) {
      yield { item: { kind: 'statement', bytes: log.at(seq)!.bytes }, log, seq };
    }
    for (const fork of everything ? log.forkProofs : sharedForks(log)) {
      yield { item: { kind: 'fork', bytes: fork.bytes }, hash: forkHash(this.primitives, fork) };
    }
  }
}

/** Beyond an open fork only those who follow the same branch could judge another one. */
function sharedForks(log: KeyLog): readonly Fork[] {
  if (!log.hasForks) return [];
  const { forkProofs, forkedAt = Infinity } = log;
  return forkProofs.filter(fork => fork.seq <= forkedAt);
}

function summaryOf({ logs, hashes }: Shared): Uint8Array {
  const writer = new Writer(4096).u8(SUMMARY_VERSION);
  const told = logs.slice(0, MAX_SUMMARY_LOGS);
  writer.varint(told.length);
  for (const log of told) {
    const { seq } = log.undisputedHead;
    writer.bytes(log.node).varint(seq);
    for (const mark of markedSeqs(seq)) writer.bytes(log.at(mark)!.hash.subarray(0, TAG_LENGTH));
  }
  const tags = hashes.slice(0, MAX_SUMMARY_TAGS);
  writer.varint(tags.length);
  for (const tag of tags) writer.bytes(tag.subarray(0, TAG_LENGTH));
  return writer.finish();
}

/** What is told to others, in one state of the view. */
interface Shared {
  readonly version: number;
  readonly logs: readonly KeyLog[];
  /** of fork proofs and claims */
  readonly hashes: readonly Uint8Array[];
  digest?: Uint8Array;
  summary?: Uint8Array;
}

/** seq, seq-1, seq-2, seq-4, … */
function markedSeqs(seq: number): number[] {
  const marks = [seq];
  for (let back = 1; back <= seq; back *= 2) marks.push(seq - back);
  return marks;
}

/** The highest seq at which the peer's log is known to be ours; -1 if none. */
function common(log: KeyLog, theirs: PeerLog): number {
  for (const [seq, mark] of theirs.marks) {
    const own = log.at(seq);
    if (own && equal(own.hash.subarray(0, TAG_LENGTH), mark)) return seq;
  }
  return -1;
}

interface Summary {
  readonly logs: ReadonlyMap<NodeIdText, PeerLog>;
  readonly tags: ReadonlySet<string>;
}

function readSummary(bytes: Uint8Array): Summary {
  if (bytes.length > MAX_SUMMARY_BYTES) throw malformed('summary', 'too long');
  const reader = new Reader(bytes, 'summary');
  if (reader.u8() !== SUMMARY_VERSION) throw malformed('summary', 'of an unknown version');
  const logs = new Map<NodeIdText, PeerLog>();
  for (let n = counted(reader, MAX_SUMMARY_LOGS); n > 0; n--) {
    const node = nodeIdText(reader.take(NODE_ID_LENGTH));
    const seq = reader.varint();
    if (seq >= MAX_STATEMENTS) throw malformed('summary', 'a seq beyond the end of a log');
    logs.set(node, { seq, marks: new Map(markedSeqs(seq).map(s => [s, reader.take(TAG_LENGTH)])) });
  }
  const tags = new Set<string>();
  for (let n = counted(reader, MAX_SUMMARY_TAGS); n > 0; n--) tags.add(toHex(reader.take(TAG_LENGTH)));
  reader.end();
  return { logs, tags };
}

function counted(reader: Reader, max: number): number {
  const n = reader.varint();
  if (n > max) throw malformed('summary', `${n} entries, at most ${max} are allowed`);
  return n;
}
