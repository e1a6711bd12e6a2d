/**
 * The reference: what each end of each stream has written, ended, reset, and seen, kept by the simulator alone. Whatever
 * the code under test does is judged by this, never by its own state.
 */
import type { Code } from '../../protocol/codes.js';
import type { StreamClass } from '../../protocol/link/frame.js';
import type { Session, Stream } from '../../protocol/session/index.js';
import type { Side } from './wire.js';

/** A broken invariant: the seed has failed. */
export class Failure extends Error {}

export interface ResetWord {
  readonly code: Code;
  readonly dialed: boolean;
}

/** Byte `offset` of the direction with this salt. */
export function byteAt(salt: number, offset: number): number {
  return (Math.imul(salt, 131) + Math.imul(offset, 7) + Math.imul(offset >> 8, 13) + (offset >> 16)) & 0xff;
}

export function bytesAt(salt: number, offset: number, length: number): Uint8Array {
  const out = new Uint8Array(length);
  for (let i = 0; i < length; i++) out[i] = byteAt(salt, offset + i);
  return out;
}

/** One end of a stream. */
export class End {
  stream: Stream | undefined;
  /** Of the session at its side; undefined at a responder that has not been offered the stream. */
  view: View | undefined;
  other!: End;

  // what its user has done
  written = 0;
  hasEnded = false;
  resetWith: ResetWord | undefined;
  hasAccepted = false;
  consumed = 0;
  isPaused = false;
  /** Its user takes nothing for now. */
  isStalled = false;

  // what its user has seen
  got = 0;
  gotFin = false;
  gotReset: ResetWord | undefined;
  wasOpened = false;
  isClosed = false;
  /** OPEN has been offered to the responder's user. */
  wasOffered = false;

  // what the wire has seen
  /** The largest limit that has come in: this end may send below it. */
  limitSeen = 0;
  /** The largest limit told. */
  limitTold = 0;
  receivedTold = 0;
  hasResetOut = false;

  constructor(
    readonly pair: Pair,
    readonly isOpener: boolean,
    /** Bytes that it means to write before it ends. */
    readonly plan: number,
  ) {}

  get name(): string {
    return `${this.pair.index}${this.isOpener ? 'o' : 'r'}`;
  }

  get salt(): number {
    return 2 * this.pair.index + (this.isOpener ? 0 : 1);
  }

  get unconsumed(): number {
    return this.got - this.consumed;
  }

  /** Its process has gone, or its session has ended. */
  get isOut(): boolean {
    return this.view?.isGone === true;
  }
}

/** A stream. */
export class Pair {
  readonly ends: readonly [End, End];
  /** Early-data credit that its OPEN took; undefined: not sent yet. */
  claim: number | undefined;
  /** Relay streams: a link has been lost that may have carried it, or a relayed one has come. */
  mayHaveLostLink = false;

  constructor(
    readonly index: number,
    readonly openedBy: Side,
    readonly streamClass: StreamClass,
    plans: readonly [number, number],
  ) {
    this.ends = [new End(this, true, plans[0]), new End(this, false, plans[1])];
    this.ends[0].other = this.ends[1];
    this.ends[1].other = this.ends[0];
  }

  end(side: Side): End {
    return this.ends[side === this.openedBy ? 0 : 1];
  }
}

/** One side's view of one session. */
export class View {
  /** The other side's; undefined while that has not begun. */
  counterpart: View | undefined;
  /** How it ended, and when. */
  down: Code | undefined;
  /** The process has been restarted. */
  hasVanished = false;
  /** Its streams by id; both sides share one map. */
  readonly byId: Map<number, Pair>;
  /** ids of links that carry it */
  readonly attached = new Set<number>();
  /** Links that have been attached to it in all. */
  attaches = 0;
  /** When the last of them was lost; undefined while there is one. */
  lostAt: number | undefined;
  /** Resets that its streams were told in this step, to be explained by the end of the session. */
  readonly unexplained: [End, ResetWord][] = [];
  /** Early-data credit: granted by the peer, and claimed. */
  poolSeen = 0;
  claimed = 0;
  lastOwnId = -1;

  constructor(
    readonly side: Side,
    readonly session: Session,
    /** the wire on which the session began: both sides' views of one session have the same */
    readonly wire: number,
    counterpart: View | undefined,
  ) {
    this.byId = counterpart?.byId ?? new Map<number, Pair>();
    this.counterpart = counterpart;
    if (counterpart !== undefined) counterpart.counterpart = this;
  }

  get isGone(): boolean {
    return this.down !== undefined || this.hasVanished;
  }

  ends(): End[] {
    return [...this.byId.values()].map(pair => pair.end(this.side));
  }
}
