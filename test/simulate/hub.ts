/** What all parts of a life share: time, dice, limits, the trace, the two peers, the wires, and the first failure. */
import type { Random } from '../../protocol/clock.js';
import type { Code } from '../../protocol/codes.js';
import type { Limits } from '../../protocol/limits.js';
import type { Link, LinkEnd } from '../../protocol/link/index.js';
import type { OpenRequest, Session, Stream, StreamHandler } from '../../protocol/session/index.js';
import { Dice, VirtualTimers } from '../protocol/session/virtual.js';
import { Failure, type Pair, type View } from './model.js';
import { Peer, type Conn } from './peer.js';
import { Trace } from './trace.js';
import type { Side, Wire } from './wire.js';

/** What the peers hear. */
export interface Hooks {
  onStream(peer: Peer, stream: Stream, request: OpenRequest, session: Session): StreamHandler | Code;
  onUp(peer: Peer, session: Session): void;
  onHeld(peer: Peer, session: Session): void;
  onDown(peer: Peer, code: Code, session: Session): void;
  onAlarm(peer: Peer, sentence: string): void;
  onSealed(conn: Conn, plaintext: Uint8Array): void;
  onOpened(conn: Conn, plaintext: Uint8Array): void;
  onLinkClosed(conn: Conn, code: Code, sentence: string, by: LinkEnd): void;
  onTrouble(peer: Peer, link: Link, trouble: string, session: Session): void;
}

export class Hub {
  readonly timers = new VirtualTimers();
  readonly trace: Trace;
  readonly random: Random;
  readonly peers: readonly [Peer, Peer];
  readonly wires: Wire[] = [];
  readonly pairs: Pair[] = [];
  /** Views of sessions by the wire on which they began. */
  readonly views = new Map<number, View[]>();
  /** The adversary has promised to leave the links alone until this time. */
  truceUntil = 0;
  failure: string | undefined;

  constructor(
    readonly seed: string,
    readonly limits: Limits,
    /** Set before anything happens. */
    readonly hooks: Hooks,
    keepsTrace: boolean,
  ) {
    this.trace = new Trace(keepsTrace, () => this.timers.monotonic());
    const dice = this.dice('random');
    this.random = n => dice.bytes(n);
    const ids = [dice.bytes(32), dice.bytes(32)] as const;
    ids[0][0] = 1;
    ids[1][0] = 2;
    this.peers = [new Peer(this, 0, ids[0], ids[1]), new Peer(this, 1, ids[1], ids[0])];
  }

  /** Dice of one part: what it throws changes nothing for the others. */
  dice(part: string): Dice {
    return new Dice(`${this.seed} ${part}`);
  }

  get now(): number {
    return this.timers.monotonic();
  }

  /** An invariant is broken. The first one counts: what follows may be its consequence. */
  fail(what: string): never {
    if (this.failure === undefined) {
      this.failure = what;
      this.trace.note(`FAILED: ${what}`);
    }
    throw new Failure(what);
  }

  peerOf(side: Side): Peer {
    return this.peers[side];
  }

  otherPeer(peer: Peer): Peer {
    return this.peers[peer.side === 0 ? 1 : 0];
  }
}
