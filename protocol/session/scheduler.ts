/**
 * Whose data goes next on one link. Streams with little to say go first, up to a quantum each; whoever has more to say
 * than that, and every bulk stream, takes turns by bytes (deficit round robin). Only the latter are bound by the link's
 * cap on bulk. A flood of small talk yields after SPARSE_BURST bytes, so that nobody starves.
 */
import type { RecordDraft } from '../link/draft.js';

/** What a stream may send ahead of the others before it counts as heavy, bytes. */
const SPARSE_QUANTUM = 16 * 1024;
/** What sparse streams may send together before a heavy one gets its turn, bytes. */
const SPARSE_BURST = 256 * 1024;
/** A turn of a heavy stream, bytes; a whole record if those are larger, so that a record is of one stream. */
const HEAVY_QUANTUM = 16 * 1024;
/** A DATA frame of this size ends its record: the receiver can then hand the record's memory on without a copy. */
const OWN_RECORD = 32 * 1024;
/** DATA frames smaller than this are not worth it when there is more to send: the record ends instead. */
const LEAST_PAYLOAD = 512;

/** A stream as the scheduler sees it. */
export interface Flow {
  readonly isBulk: boolean;
  /** Bytes that may be sent now; 0 with `hasFin` is work too. */
  readonly sendable: number;
  readonly hasFin: boolean;
  /** Writes one DATA frame of at most `max` bytes, and FIN if that was all. @returns bytes of payload */
  writeData(draft: RecordDraft, max: number): number;
}

class Turn<F extends Flow> {
  isHeavy: boolean;
  deficit = 0;
  isQueued = false;
  /** The last record that took something of the flow along; -1: none did. */
  lastRecord = -1;

  constructor(readonly flow: F) {
    this.isHeavy = flow.isBulk;
  }
}

export class Scheduler<F extends Flow = Flow> {
  private readonly turns = new Map<F, Turn<F>>();
  private sparse: Turn<F>[] = [];
  private heavy: Turn<F>[] = [];
  /** Bytes that sparse streams have sent since a heavy one did, while one was waiting. */
  private sparseBytes = 0;

  /** @param takesAway asked when a flow turns heavy: true if it goes on elsewhere */
  constructor(private readonly takesAway: (flow: F) => boolean = () => false) {}

  /** The flow has something to send; any number of calls is the same as one. */
  activate(flow: F): void {
    const turn = this.turnOf(flow);
    if (turn.isQueued) return;
    if (turn.isHeavy) return this.queueHeavy(turn);
    turn.isQueued = true;
    turn.deficit = SPARSE_QUANTUM;
    this.sparse.push(turn);
  }

  /** The flow has something to send, and it is known to be much. */
  activateHeavy(flow: F): void {
    const turn = this.turnOf(flow);
    if (!turn.isQueued) this.queueHeavy(turn);
  }

  private turnOf(flow: F): Turn<F> {
    let turn = this.turns.get(flow);
    if (turn === undefined) this.turns.set(flow, (turn = new Turn(flow)));
    return turn;
  }

  private queueHeavy(turn: Turn<F>): void {
    turn.isQueued = true;
    turn.isHeavy = true;
    turn.deficit = 0;
    this.heavy.push(turn);
  }

  /** The flow waits for its turn. */
  has(flow: F): boolean {
    return this.turns.get(flow)?.isQueued === true;
  }

  /** The flow waits, and has more to say than goes first. */
  hasHeavy(flow: F): boolean {
    const turn = this.turns.get(flow);
    return turn !== undefined && turn.isQueued && turn.isHeavy;
  }

  /** Flows that take turns by bytes. */
  get heavyCount(): number {
    return this.heavy.length;
  }

  /** The last record that took something of the flow along; -1: none did. */
  lastRecordOf(flow: F): number {
    return this.turns.get(flow)?.lastRecord ?? -1;
  }

  /** The flow waits no more; it may come again. */
  withdraw(flow: F): void {
    const turn = this.turns.get(flow);
    if (turn === undefined || !turn.isQueued) return;
    unlist(turn.isHeavy ? this.heavy : this.sparse, turn);
    turn.isQueued = false;
    turn.isHeavy = flow.isBulk;
  }

  /** All that wait, in order; they wait no more. */
  withdrawAll(): F[] {
    const waiting = [...this.sparse, ...this.heavy];
    this.sparse = [];
    this.heavy = [];
    for (const turn of waiting) {
      turn.isQueued = false;
      turn.isHeavy = turn.flow.isBulk;
    }
    return waiting.map(turn => turn.flow);
  }

  /** The flow will never send again. */
  remove(flow: F): void {
    const turn = this.turns.get(flow);
    if (turn === undefined) return;
    this.turns.delete(flow);
    if (turn.isQueued) unlist(turn.isHeavy ? this.heavy : this.sparse, turn);
  }

  get isIdle(): boolean {
    return this.sparse.length === 0 && this.heavy.length === 0;
  }

  /** Adds sparse data, as far as its precedence goes. */
  fillSparse(draft: RecordDraft): void {
    while (!draft.isFull && this.sparse.length > 0 && !this.mustYield) {
      const turn = this.sparse[0]!;
      const sent = this.serve(turn, draft, Math.min(turn.deficit, draft.dataRoom));
      if (sent === undefined) return;
      if (this.heavy.length > 0) this.sparseBytes += sent;
      if (!hasWork(turn.flow)) this.retire(this.sparse, turn);
      else if (turn.deficit <= 0) this.becomeHeavy(turn);
    }
  }

  /** Adds data of all streams in turn. */
  fillHeavy(draft: RecordDraft): void {
    while (!draft.isFull && this.heavy.length > 0) {
      const turn = this.heavy[0]!;
      if (turn.deficit <= 0) turn.deficit += Math.max(HEAVY_QUANTUM, draft.target);
      const sent = this.serve(turn, draft, Math.min(turn.deficit, draft.bulkRoom));
      if (sent === undefined) return;
      if (sent > 0) this.sparseBytes = 0;
      if (!hasWork(turn.flow)) this.retire(this.heavy, turn);
      else if (turn.deficit <= 0) this.heavy.push(this.heavy.shift()!);
      if (sent >= OWN_RECORD && this.heavy[0] !== turn) draft.overflowed = true;
    }
  }

  private get mustYield(): boolean {
    return this.sparseBytes >= SPARSE_BURST && this.heavy.length > 0;
  }

  /** @returns bytes sent, or undefined when link or record have no room */
  private serve(turn: Turn<F>, draft: RecordDraft, allowed: number): number | undefined {
    const { flow } = turn;
    const wanted = flow.sendable;
    if (wanted > 0 && allowed <= 0) {
      draft.isBlocked = true;
      return undefined;
    }
    const max = Math.min(wanted, allowed, draft.payloadRoom);
    if (max < wanted && max < LEAST_PAYLOAD && draft.payloadRoom < LEAST_PAYLOAD) {
      draft.overflowed = true;
      return undefined;
    }
    let sent = 0;
    if (wanted > 0 || flow.hasFin) {
      turn.lastRecord = draft.record;
      sent = flow.writeData(draft, max);
    }
    turn.deficit -= sent;
    draft.dataRoom -= sent;
    draft.bulkRoom -= sent;
    return draft.overflowed ? undefined : sent;
  }

  private retire(list: Turn<F>[], turn: Turn<F>): void {
    list.shift();
    turn.isQueued = false;
    turn.isHeavy = turn.flow.isBulk;
  }

  private becomeHeavy(turn: Turn<F>): void {
    this.sparse.shift();
    turn.isQueued = false;
    if (!this.takesAway(turn.flow)) this.queueHeavy(turn);
  }
}

function hasWork(flow: Flow): boolean {
  return flow.sendable > 0 || flow.hasFin;
}

function unlist<T>(list: T[], turn: T): void {
  const index = list.indexOf(turn);
  if (index >= 0) list.splice(index, 1);
}
