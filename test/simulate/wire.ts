/**
 * A transport connection in memory, in the hands of the adversary: bytes arrive in order, in other pieces, later, or not
 * at all; the connection breaks at any byte, with or without a word; foreign bytes may come in.
 */
import type { Timer, Timers } from '../../protocol/clock.js';
import type { LinkPort } from '../../protocol/link/index.js';
import type { Dice } from '../protocol/session/virtual.js';

export type Side = 0 | 1;

/** What happens when so many bytes of one direction have arrived. */
export interface Mishap {
  readonly afterBytes: number;
  /**
   * reset: both ends hear that the connection is gone · silence: nothing arrives any more, nobody hears of it ·
   * deaf: the same, in this direction only · stall: this direction stands still for a while · inject: foreign bytes
   */
  readonly what: 'reset' | 'silence' | 'deaf' | 'stall' | 'inject';
  readonly stallMs?: number;
  readonly bytes?: Uint8Array;
}

export interface WireOptions {
  /** ms one way, least and most */
  readonly delay: readonly [number, number];
  /** bytes of a piece, least and most; the first `tinyBytes` arrive in pieces of 1 to 20 */
  readonly piece: readonly [number, number];
  readonly tinyBytes: number;
  /** bytes per ms, at first */
  readonly rate: number;
  /** 0: a connection of its own · 1: through another node */
  readonly rank: 0 | 1;
  /** bytes that the kernel takes */
  readonly kernel: number;
  /** one list for each direction */
  readonly mishaps: readonly [readonly Mishap[], readonly Mishap[]];
}

export const GOOD_WIRE: WireOptions = {
  delay: [1, 5],
  piece: [1_000, 70_000],
  tinyBytes: 0,
  rate: Number.POSITIVE_INFINITY,
  kernel: 1 << 18,
  rank: 0,
  mishaps: [[], []],
};

/** Who is at an end. */
export interface WireEnd {
  receive(bytes: Uint8Array): void;
  drained(): void;
  closed(why: string): void;
}

interface Item {
  readonly at: number;
  /** undefined: the writer has closed */
  readonly bytes: Uint8Array | undefined;
}

/** Bytes of each direction that are kept for feeding them in elsewhere. */
const RECORDED = 4_096;

/** A pipe that passes bytes within this, ms, is in time. */
const SOON_MS = 100;

/** One direction. */
class Pipe {
  reader: WireEnd | undefined;
  writer: WireEnd | undefined;
  isDeaf = false;
  isDead = false;
  /** ciphertext as it was written */
  readonly recorded: Uint8Array[] = [];
  private recordedBytes = 0;
  private readonly queue: Item[] = [];
  private head = 0;
  private queued = 0;
  private written = 0;
  private delivered = 0;
  private sentAt = 0;
  private lastAt = 0;
  private stalledUntil = 0;
  private timer: Timer | undefined;
  private mishaps: Mishap[];

  constructor(
    private readonly wire: Wire,
    private readonly timers: Timers,
    private readonly dice: Dice,
    private readonly options: WireOptions,
    mishaps: readonly Mishap[],
  ) {
    this.mishaps = [...mishaps];
  }

  get buffered(): number {
    return Math.max(0, this.queued - this.options.kernel);
  }

  write(chunks: readonly Uint8Array[]): void {
    if (this.isDead) return;
    const whole = chunks.length === 1 ? chunks[0]! : new Uint8Array(Buffer.concat(chunks));
    if (this.recordedBytes < RECORDED) {
      this.recorded.push(whole);
      this.recordedBytes += whole.length;
    }
    // Nobody takes them off the kernel's hands.
    if (this.isDeaf) {
      this.queued += whole.length;
      return;
    }
    const { delay, piece, tinyBytes } = this.options;
    const now = this.timers.monotonic();
    for (let at = 0; at < whole.length;) {
      const isTiny = this.written < tinyBytes;
      const n = Math.min(whole.length - at, isTiny ? this.dice.between(1, 20) : this.dice.between(piece[0], piece[1]));
      this.sentAt = Math.max(now, this.sentAt) + n / this.wire.rate;
      this.push(this.sentAt + delay[0] + this.dice.next() * (delay[1] - delay[0]), whole.subarray(at, at + n));
      this.written += n;
      this.queued += n;
      at += n;
    }
  }

  /** Behind all that was written. */
  finish(): void {
    if (!this.isDead) this.push(Math.max(this.timers.monotonic(), this.sentAt) + this.options.delay[0], undefined);
  }

  private push(at: number, bytes: Uint8Array | undefined): void {
    this.lastAt = Math.max(this.lastAt, at);
    this.queue.push({ at: this.lastAt, bytes });
    this.arm();
  }

  private arm(): void {
    const item = this.queue[this.head];
    if (item === undefined || this.timer !== undefined || this.isDead) return;
    const due = Math.max(item.at, this.stalledUntil);
    this.timer = this.timers.after(due - this.timers.monotonic(), () => {
      this.timer = undefined;
      if (this.timers.monotonic() < this.stalledUntil) return this.arm();
      this.deliver(this.next());
      this.arm();
    });
  }

  private next(): Uint8Array | undefined {
    const { bytes } = this.queue[this.head++]!;
    if (this.head > 64 && this.head * 2 > this.queue.length) {
      this.queue.splice(0, this.head);
      this.head = 0;
    }
    return bytes;
  }

  private deliver(bytes: Uint8Array | undefined): void {
    if (this.isDeaf) return;
    if (bytes === undefined) return this.wire.end('closed');
    const wasBuffered = this.buffered > 0;
    this.queued -= bytes.length;
    if (wasBuffered && this.buffered === 0) this.writer?.drained();
    this.hand(bytes);
  }

  /** Hands bytes over, up to the next mishap, lets that happen, and goes on behind it. */
  private hand(bytes: Uint8Array): void {
    let rest = bytes;
    while (!this.isDead && !this.isDeaf) {
      const mishap = this.mishaps[0];
      const room = mishap === undefined ? Number.POSITIVE_INFINITY : mishap.afterBytes - this.delivered;
      if (rest.length < room || this.wire.isSpared) return this.give(rest);
      this.give(rest.subarray(0, Math.max(0, room)));
      rest = rest.subarray(Math.max(0, room));
      this.mishaps.shift();
      this.happen(mishap!);
      if (rest.length === 0) return;
    }
  }

  private give(bytes: Uint8Array): void {
    if (bytes.length === 0) return;
    this.delivered += bytes.length;
    this.reader?.receive(bytes);
  }

  private happen(mishap: Mishap): void {
    if (mishap.what === 'reset') this.wire.reset();
    else if (mishap.what === 'silence') this.wire.silence();
    else if (mishap.what === 'deaf') this.isDeaf = true;
    else if (mishap.what === 'stall') this.stall(mishap.stallMs!);
    else this.reader?.receive(mishap.bytes!);
  }

  stall(ms: number): void {
    this.stalledUntil = Math.max(this.stalledUntil, this.timers.monotonic() + ms);
  }

  get isStalled(): boolean {
    return this.stalledUntil > this.timers.monotonic();
  }

  /** What was written while it was slow keeps whatever comes behind it for a while. */
  get isBehind(): boolean {
    return this.sentAt > this.timers.monotonic() + SOON_MS;
  }

  kill(): void {
    this.isDead = true;
    this.timer?.cancel();
    this.queue.length = 0;
    this.head = 0;
  }
}

export class Wire {
  readonly pipes: readonly [Pipe, Pipe];
  isOpen = true;
  /** Mishaps wait. */
  isSpared = false;
  /** bytes per ms */
  rate: number;

  constructor(
    readonly id: number,
    private readonly timers: Timers,
    private readonly dice: Dice,
    readonly options: WireOptions,
  ) {
    this.rate = options.rate;
    const [first, second] = options.mishaps;
    this.pipes = [new Pipe(this, timers, dice, options, first), new Pipe(this, timers, dice, options, second)];
  }

  /** @param side writes into pipe `side`, reads from the other one */
  port(side: Side): LinkPort {
    const pipe = this.pipes[side];
    return {
      write: chunks => pipe.write(chunks),
      get buffered() {
        return pipe.buffered;
      },
      close: () => pipe.finish(),
      abort: () => this.abort(),
    };
  }

  connect(side: Side, end: WireEnd): void {
    this.pipes[side].writer = end;
    this.pipes[side === 0 ? 1 : 0].reader = end;
  }

  get isSilent(): boolean {
    return this.pipes.some(pipe => pipe.isDeaf);
  }

  /** Bytes pass in both directions, soon. */
  get isSound(): boolean {
    return this.isOpen && !this.isSilent && !this.pipes.some(pipe => pipe.isStalled || pipe.isBehind);
  }

  /** Both ends hear, now or a little later, that it is gone; what was on its way is lost. */
  reset(): void {
    this.end('reset');
  }

  /** One end drops it: the other one hears of it if words still pass. */
  private abort(): void {
    if (this.isSilent) for (const pipe of this.pipes) pipe.isDeaf = true;
    else this.end('reset');
  }

  end(why: string): void {
    if (!this.isOpen) return;
    this.isOpen = false;
    for (const pipe of this.pipes) {
      pipe.kill();
      const { reader } = pipe;
      this.timers.after(this.dice.chance(0.5) ? 0 : this.dice.next() * 40, () => reader?.closed(why));
    }
  }

  silence(): void {
    for (const pipe of this.pipes) pipe.isDeaf = true;
  }
}
