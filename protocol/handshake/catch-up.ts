/**
 * Both halves of a catch-up. The teller hands over what the peer lacks, round by round, and waits to be asked for the
 * next round, so neither side ever holds more than a round in its buffers. The listener takes it in within bounds.
 *
 * Registry records tell names and addresses: they are held back until the peer is admitted.
 */
import { WarrenError } from '../errors.js';
import { FRAME } from '../link/frame.js';
import type { NodeId } from '../identity/node-id.js';
import type { TrustItem } from '../identity/trust-item.js';
import type { AddResult, TrustStore } from '../identity/trust-store.js';
import { encodeDone, encodeItem } from './admission-frames.js';

/** Items of one round; a listener judges them at once, some 20 ms of signatures. */
export const ROUND_ITEMS = 64;
/** Items of one catch-up, each way: two full key logs per member of a large network. What is left waits for the next link. */
export const MAX_CATCH_UP_ITEMS = 65_536;
export const MAX_CATCH_UP_BYTES = 32 * 1024 * 1024;
/** Items that a peer may tell in vain: wrong signatures, other networks, no room. */
export const MAX_REFUSED_ITEMS = 1024;

/** What admission needs of the trust store. */
export type AdmissionTrust = Pick<
  TrustStore,
  | 'addAll'
  | 'judge'
  | 'keyLog'
  | 'keyState'
  | 'isAdmin'
  | 'summary'
  | 'missingFrom'
  | 'secrets'
  | 'lastGrantOf'
  | 'displayName'
>;

export type Send = (type: number, body: Uint8Array) => void;

/** Hands over what the peer lacks. */
export class Teller {
  private open: TrustItem[] = [];
  private records: TrustItem[] = [];
  private state: 'idle' | 'waiting' | 'done' = 'idle';
  private endsWithDone = true;

  constructor(
    private readonly trust: AdmissionTrust,
    private readonly own: NodeId,
    private readonly send: Send,
  ) {}

  /** What was begun is told to the end. */
  get isDone(): boolean {
    return this.state === 'done';
  }

  /** Tells all but registry records; ends with a DONE that offers no more. @throws WarrenError `malformed` */
  begin(summary: Uint8Array): void {
    const limits = { items: MAX_CATCH_UP_ITEMS, bytes: MAX_CATCH_UP_BYTES };
    const missing = this.trust.missingFrom(summary, limits);
    this.records = missing.filter(item => item.kind === 'registry');
    this.open = [...this.ownLog(), ...missing.filter(item => item.kind !== 'registry')];
    this.round();
  }

  /** Tells what waited for the verdict: the registry records. Only to a peer that is admitted; ADMIT follows instead of DONE. */
  beginRecords(): void {
    this.open = this.records.splice(0);
    this.endsWithDone = false;
    this.round();
  }

  /** The peer asks for the next round. @throws WarrenError `protocol` if none was offered */
  next(): void {
    if (this.state !== 'waiting')
      throw new WarrenError('protocol', 'NEXT without a round to come', { wire: 'protocol' });
    this.round();
  }

  tell(item: TrustItem): void {
    this.send(FRAME.ITEM, encodeItem(item));
  }

  /** A node without a grant is in nobody's summary: it shows its key log by itself. */
  private ownLog(): TrustItem[] {
    if (this.trust.isAdmin(this.own) || this.trust.lastGrantOf(this.own)) return [];
    const statements = this.trust.keyLog(this.own)?.suffix(0) ?? [];
    return statements.map(bytes => ({ kind: 'statement', bytes }));
  }

  private round(): void {
    for (const item of this.open.splice(0, ROUND_ITEMS)) this.tell(item);
    const more = this.open.length > 0;
    this.state = more ? 'waiting' : 'done';
    if (more || this.endsWithDone) this.send(FRAME.DONE, encodeDone(more));
  }
}

/** Takes in what the peer tells. */
export class Listener {
  private round: TrustItem[] = [];
  private items = 0;
  private bytes = 0;
  private refused = 0;
  private itemsBefore = 0;

  /** @param learn judges items and keeps what is right */
  constructor(private readonly learn: (items: readonly TrustItem[]) => readonly AddResult[]) {}

  /** @param item undefined: of an unknown kind, counted all the same. @throws WarrenError `limit` */
  hear(item: TrustItem | undefined): void {
    this.items++;
    this.bytes += item?.bytes.length ?? 0;
    if (this.items > MAX_CATCH_UP_ITEMS || this.bytes > MAX_CATCH_UP_BYTES) throw tooMuch('items in one catch-up');
    if (item) this.round.push(item);
    if (this.round.length >= ROUND_ITEMS) this.flush();
  }

  /** A round is over. @returns false if there was nothing in it: such rounds could go on for ever */
  endRound(): boolean {
    this.flush();
    const hadItems = this.items > this.itemsBefore;
    this.itemsBefore = this.items;
    return hadItems;
  }

  /** Judges what has come so far. @throws WarrenError `limit` */
  flush(): void {
    if (this.round.length === 0) return;
    const results = this.learn(this.round.splice(0));
    this.refused += results.filter(r => r.status === 'refused').length;
    if (this.refused > MAX_REFUSED_ITEMS) throw tooMuch('items that are not right');
  }
}

function tooMuch(what: string): WarrenError {
  return new WarrenError('limit', `the peer tells too many ${what}`, { wire: 'limit' });
}
