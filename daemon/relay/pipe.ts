/**
 * One relayed link where it is relayed: two streams, joined. Bytes, FIN and RESET pass through; nothing is looked at.
 *
 *   origin ── stream ──▶ this node ── stream ──▶ target
 *
 * Back-pressure is the windows' own: what came in on one stream gives its credit back when the other one has room and
 * the origin's pace allows, so this node holds no more than a window of each.
 */
import type { Timer, Timers } from '../../protocol/clock.js';
import type { Code } from '../../protocol/codes.js';
import type { StreamHandler } from '../../protocol/session/index.js';
import type { Pace } from './pace.js';
import type { RelayStream } from './types.js';

export interface PipeEnd {
  /** `no-error`: both directions came to their end */
  readonly code: Code;
  readonly bytesForth: number;
  readonly bytesBack: number;
}

export interface PipeOptions {
  readonly timers: Pick<Timers, 'after'>;
  /** what the origin may send */
  readonly originPace: Pace;
  /** what the target may send */
  readonly targetPace: Pace;
  /** called once, when both streams have ended */
  readonly done: (end: PipeEnd) => void;
}

export class Pipe {
  private readonly forth: Direction;
  private readonly back: Direction;
  private open = 2;
  private code: Code = 'no-error';
  private target: RelayStream | undefined;

  constructor(
    private readonly origin: RelayStream,
    private readonly options: PipeOptions,
  ) {
    this.forth = new Direction(origin, options.originPace, options.timers);
    this.back = new Direction(undefined, options.targetPace, options.timers);
  }

  /** Passed on so far, both directions. */
  get bytes(): number {
    return this.forth.bytes + this.back.bytes;
  }

  /** The stream to the target; before it nothing is heard of the origin. */
  attach(target: RelayStream): void {
    this.target = target;
    this.forth.to = target;
    this.back.from = target;
    this.back.to = this.origin;
  }

  /** Ends both streams at once. */
  cut(code: Code): void {
    this.failed(code, this.origin, false);
    this.failed(code, this.target, false);
  }

  /** For the stream that the origin opened. */
  readonly ofOrigin: StreamHandler = {
    data: chunk => this.forth.pass(chunk),
    fin: () => this.target?.end(),
    reset: (code, dialed) => this.failed(code, this.target, dialed),
    drain: () => this.back.drained(),
    closed: () => this.closed(),
  };

  /** For the stream that this node opens to the target. */
  readonly ofTarget: StreamHandler = {
    opened: () => this.origin.accept(),
    data: chunk => this.back.pass(chunk),
    fin: () => this.origin.end(),
    reset: (code, dialed) => this.failed(code, this.origin, dialed),
    drain: () => this.forth.drained(),
    closed: () => this.closed(),
  };

  private failed(code: Code, other: RelayStream | undefined, dialed: boolean): void {
    if (this.code === 'no-error') this.code = code;
    other?.reset(code, dialed);
  }

  private closed(): void {
    if (--this.open > 0) return;
    this.forth.stop();
    this.back.stop();
    this.options.done({ code: this.code, bytesForth: this.forth.bytes, bytesBack: this.back.bytes });
  }
}

/** What comes in on one stream goes out on the other; credit goes back when there is room, at the sender's pace. */
class Direction {
  to: RelayStream | undefined;
  bytes = 0;
  /** passed on, and its credit not given back */
  private held = 0;
  private blocked = false;
  private pause: Timer | undefined;

  constructor(
    public from: RelayStream | undefined,
    private readonly pace: Pace,
    private readonly timers: Pick<Timers, 'after'>,
  ) {}

  pass(chunk: Uint8Array): void {
    const { length } = chunk;
    this.bytes += length;
    this.held += length;
    this.pace.spend(length);
    if (this.to?.write(chunk) === false) this.blocked = true;
    this.giveBack();
  }

  drained(): void {
    this.blocked = false;
    this.giveBack();
  }

  stop(): void {
    this.pause?.cancel();
  }

  private giveBack(): void {
    if (this.held === 0 || this.blocked || this.pause !== undefined) return;
    const wait = this.pace.wait();
    if (wait > 0) {
      this.pause = this.timers.after(wait, () => {
        this.pause = undefined;
        this.giveBack();
      });
      return;
    }
    const { held } = this;
    this.held = 0;
    this.from?.consumed(held);
  }
}
