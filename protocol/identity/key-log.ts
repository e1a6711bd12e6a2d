/**
 * The key log of one node as this host knows it: statements 0 to n, each judged when it comes in, the first seen of a
 * seq kept. A second valid statement for a seq is a fork: kept as proof, and the log stands still until an admin above
 * the node has settled which branch stands (settlement.ts; the trust store hands the verdict in with `settle`).
 */
import { equal } from '../bytes.js';
import { WarrenError } from '../errors.js';
import { nodeIdText, type NodeId, type NodeIdText } from './node-id.js';
import type { Verifier } from './signed.js';
import {
  MAX_STATEMENTS,
  checkInception,
  checkSuccessor,
  compareHashes,
  decodeStatement,
  makeFork,
} from './statement.js';
import type { Fork, Statement } from './statement.js';

/** Forks kept per node; a node that forks more often is beyond help. */
export const MAX_FORKS = 16;

export type AppendResult =
  | { readonly status: 'added'; readonly statement: Statement }
  | { readonly status: 'known' }
  /** `fork` is new evidence: to be kept, spread and shown. */
  | { readonly status: 'fork'; readonly fork: Fork; readonly why: string }
  /** `gap`: statements between the head and this one are missing; it may be tried again after them. */
  | { readonly status: 'refused'; readonly why: string; readonly gap?: boolean };

export class KeyLog {
  private readonly statements: Statement[];
  private readonly forks = new Map<number, Fork>();
  private settled: ReadonlyMap<number, Uint8Array> = new Map();
  /** seqs of `compromised` statements, ascending. */
  private compromised: number[] = [];

  /** The node's ID as the key of maps. */
  readonly key: NodeIdText;

  private constructor(
    private readonly verifier: Verifier,
    inception: Statement,
  ) {
    this.statements = [inception];
    this.key = nodeIdText(inception.node);
  }

  /**
   * Begins the log of a node with its statement 0.
   * @throws WarrenError `malformed` or `crypto`
   */
  static start(verifier: Verifier, inception: Uint8Array | Statement): KeyLog {
    const statement = inception instanceof Uint8Array ? decodeStatement(verifier.primitives, inception) : inception;
    const why = checkInception(verifier, statement);
    if (why !== undefined) throw new WarrenError('crypto', `statement 0: ${why}`, { wire: 'protocol' });
    return new KeyLog(verifier, statement);
  }

  get node(): NodeId {
    return this.statements[0]!.node;
  }

  /** The newest statement: the keys that count now. */
  get head(): Statement {
    return this.statements[this.statements.length - 1]!;
  }

  get length(): number {
    return this.statements.length;
  }

  at(seq: number): Statement | undefined {
    return this.statements[seq];
  }

  /** Statements from `fromSeq` to the head, at most `max`, as they travel. */
  suffix(fromSeq: number, max = MAX_STATEMENTS): Uint8Array[] {
    return this.statements.slice(fromSeq, fromSeq + max).map(s => s.bytes);
  }

  /**
   * Takes in the next statement. Never throws; nothing moves unless the result says so.
   * @param input the envelope, or what decodeStatement made of it
   */
  append(input: Uint8Array | Statement): AppendResult {
    const statement = input instanceof Uint8Array ? this.tryDecode(input) : input;
    if (typeof statement === 'string') return { status: 'refused', why: statement };
    if (!equal(statement.node, this.node)) return { status: 'refused', why: 'a statement of another node' };
    if (statement.seq > this.length) return { status: 'refused', why: 'statements before it are missing', gap: true };
    return statement.seq === this.length
      ? this.extend(statement)
      : this.compareWith(this.at(statement.seq)!, statement);
  }

  private tryDecode(bytes: Uint8Array): Statement | string {
    try {
      return decodeStatement(this.verifier.primitives, bytes);
    } catch (error) {
      return error instanceof WarrenError ? error.message : 'not a statement';
    }
  }

  private extend(statement: Statement): AppendResult {
    const { forkedAt } = this;
    if (forkedAt !== undefined) return this.refuseOrWiden(statement, forkedAt);
    const standing = this.settled.get(statement.seq);
    if (standing && !equal(standing, statement.hash)) return { status: 'refused', why: 'not the branch that stands' };
    const why = checkSuccessor(this.verifier, this.head, statement);
    if (why !== undefined) return { status: 'refused', why };
    this.push(statement);
    return { status: 'added', statement };
  }

  private push(statement: Statement): void {
    this.statements.push(statement);
    if (statement.reason === 'compromised') this.compromised.push(statement.seq);
  }

  /** Beyond an open fork nothing is added; a further branch at the fork itself is evidence. */
  private refuseOrWiden(statement: Statement, forkedAt: number): AppendResult {
    const why = `the log is forked at seq ${forkedAt}`;
    if (statement.seq !== forkedAt) return { status: 'refused', why };
    return this.evidence(this.forks.get(forkedAt)!.branches[0], statement, why);
  }

  private compareWith(seen: Statement, statement: Statement): AppendResult {
    if (equal(seen.hash, statement.hash)) return { status: 'known' };
    return this.evidence(seen, statement, `another statement with seq ${statement.seq} was seen first`);
  }

  private evidence(seen: Statement, statement: Statement, why: string): AppendResult {
    if (this.forks.get(statement.seq)?.branches.some(b => equal(b.hash, statement.hash))) return { status: 'known' };
    const previous = this.at(statement.seq - 1);
    const wrong = previous ? checkSuccessor(this.verifier, previous, statement) : 'another first statement';
    if (wrong !== undefined) return { status: 'refused', why: wrong };
    const fork = this.keep(makeFork(seen, statement));
    return fork ? { status: 'fork', fork, why } : { status: 'refused', why };
  }

  /**
   * Takes in a fork proof from elsewhere. Both statements must rightly follow what this log holds before them.
   * @returns as append; `refused` with `gap` when the log does not reach the fork yet
   */
  addFork(fork: Fork): AppendResult {
    if (!equal(fork.node, this.node)) return { status: 'refused', why: 'a fork of another node' };
    if (fork.seq > this.length) return { status: 'refused', why: 'statements before it are missing', gap: true };
    const held = this.forks.get(fork.seq);
    if (held && equal(held.bytes, fork.bytes)) return { status: 'known' };
    const previous = this.at(fork.seq - 1)!;
    for (const branch of fork.branches) {
      const why = checkSuccessor(this.verifier, previous, branch);
      if (why !== undefined) return { status: 'refused', why };
    }
    const kept = this.keep(fork);
    return kept ? { status: 'fork', fork: kept, why: 'two statements with one seq' } : { status: 'known' };
  }

  /** Of more than two branches the two with the smallest hashes are the proof, so that all hosts end with one. */
  private keep(fork: Fork): Fork | undefined {
    const held = this.forks.get(fork.seq);
    if (!held && this.forks.size >= MAX_FORKS) return undefined;
    const all = [...(held?.branches ?? []), ...fork.branches].sort(compareHashes);
    const distinct = all.filter((s, i) => i === 0 || !equal(s.hash, all[i - 1]!.hash));
    if (held && distinct[0] === held.branches[0] && distinct[1] === held.branches[1]) return undefined;
    const kept = makeFork(distinct[0]!, distinct[1]!);
    if (held && held.branches.every((b, i) => equal(b.hash, kept.branches[i]!.hash))) return undefined;
    this.forks.set(fork.seq, kept);
    return kept;
  }

  get hasForks(): boolean {
    return this.forks.size > 0;
  }

  /** The proofs held, settled or not, by seq. */
  get forkProofs(): readonly Fork[] {
    return [...this.forks.values()].sort((a, b) => a.seq - b.seq);
  }

  /** The lowest seq with more than one valid statement and no verdict; undefined in a healthy log. */
  get forkedAt(): number | undefined {
    let lowest: number | undefined;
    for (const seq of this.forks.keys()) if (!this.settled.has(seq) && seq < (lowest ?? Infinity)) lowest = seq;
    return lowest;
  }

  /** The newest statement that is beyond doubt. */
  get undisputedHead(): Statement {
    const forkedAt = this.forkedAt;
    return forkedAt === undefined ? this.head : this.statements[Math.min(forkedAt, this.length) - 1]!;
  }

  /**
   * Says which branch stands at each settled fork; replaces what was said before. A log that followed another branch
   * goes back to the fork and takes the one that stands, if a proof holds it.
   * @param verdicts seq → hash of the statement that stands
   */
  settle(verdicts: ReadonlyMap<number, Uint8Array>): void {
    this.settled = new Map([...verdicts].filter(([seq]) => this.forks.has(seq)));
    for (const [seq, hash] of [...this.settled].sort(([a], [b]) => a - b)) this.follow(seq, hash);
  }

  /** What `settle` said: seq → hash of the statement that stands. */
  get verdicts(): ReadonlyMap<number, Uint8Array> {
    return this.settled;
  }

  private follow(seq: number, hash: Uint8Array): void {
    const own = this.at(seq);
    if (own && equal(own.hash, hash)) return;
    if (seq > this.length) return;
    this.statements.length = seq;
    this.compromised = this.compromised.filter(s => s < seq);
    // What was seen beyond belongs to the branch that falls.
    for (const later of [...this.forks.keys()]) if (later > seq) this.forks.delete(later);
    const branch = this.forks.get(seq)!.branches.find(b => equal(b.hash, hash));
    if (branch && checkSuccessor(this.verifier, this.head, branch) === undefined) this.push(branch);
  }

  /** The newest seq at or below `last` whose statement says that earlier keys are compromised. */
  lastCompromised(last = this.length - 1): number | undefined {
    return this.compromised.findLast(seq => seq <= last);
  }
}
