/**
 * The key logs that a node keeps: those of nodes that an admin has ever vouched for, for good, so that what was seen
 * first is not forgotten; those of strangers within narrow bounds, the oldest going first.
 */
import type { KeyLog } from './key-log.js';
import type { NodeIdText } from './node-id.js';

export const MAX_STRANGERS = 64;
export const MAX_STRANGER_STATEMENTS = 4096;
/** Statements kept in all; about 1.5 KiB each in memory. */
export const MAX_KEPT_STATEMENTS = 32_768;

export class LogBook {
  private readonly members = new Map<NodeIdText, KeyLog>();
  private readonly strangers = new Map<NodeIdText, KeyLog>();

  get(node: NodeIdText): KeyLog | undefined {
    return this.members.get(node) ?? this.strangers.get(node);
  }

  isMember(node: NodeIdText): boolean {
    return this.members.has(node);
  }

  /** No further statement of a member is taken in. */
  get isFull(): boolean {
    let statements = 0;
    for (const log of this.members.values()) statements += log.length;
    return statements >= MAX_KEPT_STATEMENTS;
  }

  /** Those kept for good. */
  all(): KeyLog[] {
    return [...this.members.values()];
  }

  /** A log with forks, wherever it is. */
  *forked(): IterableIterator<NodeIdText> {
    for (const logs of [this.members, this.strangers]) {
      for (const [node, log] of logs) if (log.forkProofs.length > 0) yield node;
    }
  }

  /** Takes in a new log, as a stranger's unless `isMember` says otherwise. */
  add(node: NodeIdText, log: KeyLog, isMember: boolean): void {
    (isMember ? this.members : this.strangers).set(node, log);
    this.bound(node);
  }

  /** A stranger has become a member. */
  adopt(node: NodeIdText): void {
    const log = this.strangers.get(node);
    if (log) this.move(node, log, this.strangers, this.members);
  }

  /** Sorts anew who is a member. */
  sort(isMember: (node: NodeIdText) => boolean): void {
    for (const [node, log] of [...this.members])
      if (!isMember(node)) this.move(node, log, this.members, this.strangers);
    for (const [node, log] of [...this.strangers])
      if (isMember(node)) this.move(node, log, this.strangers, this.members);
    this.bound();
  }

  private move(node: NodeIdText, log: KeyLog, from: Map<NodeIdText, KeyLog>, to: Map<NodeIdText, KeyLog>): void {
    from.delete(node);
    to.set(node, log);
  }

  /** @param spare the one that has just grown: it goes last */
  bound(spare?: NodeIdText): void {
    let statements = 0;
    for (const log of this.strangers.values()) statements += log.length;
    for (const [node, log] of this.strangers) {
      if (this.strangers.size <= MAX_STRANGERS && statements <= MAX_STRANGER_STATEMENTS) return;
      if (node === spare) continue;
      this.strangers.delete(node);
      statements -= log.length;
    }
  }
}
