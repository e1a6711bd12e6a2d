/** Two nodes in memory: wires that split, merge, delay and break, links on them, a session slot at each end. */
import { EMPTY } from '../../../protocol/bytes.js';
import type { Code } from '../../../protocol/codes.js';
import { loadPrimitives } from '../../../protocol/crypto/load.js';
import type { AeadName, Primitives } from '../../../protocol/crypto/primitives.js';
import type { Established } from '../../../protocol/handshake/types.js';
import type { NodeId } from '../../../protocol/identity/node-id.js';
import { DEFAULT_LIMITS, type Limits } from '../../../protocol/limits.js';
import { Link, type LinkEnd, type LinkPort } from '../../../protocol/link/index.js';
import { ProcessBudget, SessionSlot } from '../../../protocol/session/index.js';
import type { OpenRequest, Session, Stream, StreamHandler } from '../../../protocol/session/index.js';
import { Dice, VirtualTimers } from './virtual.js';

export const primitives: Primitives = await loadPrimitives();

/** Both ends' view of a finished handshake, made of dice. */
export function establishedPair(
  dice: Dice,
  ids: readonly [NodeId, NodeId],
  suite: AeadName = 'AESGCM',
): [Established, Established] {
  const [one, two, exporter, handshakeHash] = [dice.bytes(32), dice.bytes(32), dice.bytes(32), dice.bytes(32)];
  const make = (initiator: boolean, peer: NodeId): Established => ({
    initiator,
    version: 1,
    suite,
    psk: { kind: 'network' },
    handshakeHash: handshakeHash.slice(),
    sendKey: (initiator ? one : two).slice(),
    receiveKey: (initiator ? two : one).slice(),
    exporter: exporter.slice(),
    peer: {
      nodeId: peer,
      network: peer,
      statement: EMPTY,
      seq: 0,
      statementHash: EMPTY,
      clockMs: 0,
      features: 0,
      digest: EMPTY,
      highestVersion: 1,
      catchUp: false,
    },
    localStatic: EMPTY,
    localDigest: EMPTY,
    localCatchUp: false,
  });
  return [make(true, ids[1]), make(false, ids[0])];
}

export interface WireOptions {
  /** ms one way, from and to */
  readonly delay?: readonly [number, number];
  /** bytes of a delivered chunk, from and to; left out: as written */
  readonly chunk?: readonly [number, number];
  /** bytes per ms; left out: no bound */
  readonly rate?: number;
  /** After so many bytes in one direction the wire breaks, in the middle of whatever it is. */
  readonly breaksAfter?: number;
  /** How it breaks: both ends hear of it, or neither does. */
  readonly breaksSilently?: boolean;
  /** of the link on it; 0 if left out */
  readonly rank?: number;
}

/** One direction of a wire: bytes come out in order, in other chunks, later. */
class Direction {
  sink: ((chunk: Uint8Array) => void) | undefined;
  onDrained: (() => void) | undefined;
  onBreak: (() => void) | undefined;
  isSilent = false;
  buffered = 0;
  delivered = 0;
  private queue: Uint8Array[] = [];
  private sentAt = 0;
  private arrivesAt = 0;
  private isBroken = false;

  constructor(
    private readonly timers: VirtualTimers,
    private readonly dice: Dice,
    private readonly options: WireOptions,
  ) {}

  write(chunks: readonly Uint8Array[]): void {
    if (this.isBroken) return;
    for (const chunk of chunks) {
      this.queue.push(chunk);
      this.buffered += chunk.length;
    }
    this.schedule();
  }

  private schedule(): void {
    const [low, high] = this.options.delay ?? [0, 0];
    const { rate } = this.options;
    const now = this.timers.monotonic();
    const pieces = this.cut();
    this.queue = [];
    for (const piece of pieces) {
      this.sentAt = Math.max(now, this.sentAt) + (rate === undefined ? 0 : piece.length / rate);
      const at = Math.max(this.arrivesAt, this.sentAt + low + this.dice.next() * (high - low));
      this.arrivesAt = at;
      if (this.sentAt <= now) this.buffered -= piece.length;
      else this.timers.after(this.sentAt - now, () => this.transmitted(piece.length));
      this.timers.after(at - now, () => this.deliver(piece));
    }
  }

  private cut(): Uint8Array[] {
    const { chunk } = this.options;
    if (chunk === undefined) return this.queue;
    const out: Uint8Array[] = [];
    const whole = Buffer.concat(this.queue);
    for (let at = 0; at < whole.length;) {
      const n = this.dice.between(chunk[0], chunk[1]);
      out.push(new Uint8Array(whole.subarray(at, at + n)));
      at += n;
    }
    return out;
  }

  /** Off the sender's hands, whether it arrives or not. */
  private transmitted(bytes: number): void {
    this.buffered -= bytes;
    if (this.buffered === 0 && !this.isBroken) this.onDrained?.();
  }

  private deliver(piece: Uint8Array): void {
    if (this.isBroken) return;
    if (!this.isSilent) {
      const left = (this.options.breaksAfter ?? Number.POSITIVE_INFINITY) - this.delivered;
      const part = piece.length > left ? piece.subarray(0, left) : piece;
      this.delivered += part.length;
      if (part.length > 0) this.sink?.(part);
      if (part.length < piece.length) this.onBreak?.();
    }
  }

  break(): void {
    this.isBroken = true;
    this.queue = [];
  }
}

/** A transport connection in memory. */
export class Wire {
  readonly directions: readonly [Direction, Direction];
  private readonly ends: ((why: string) => void)[] = [];
  isOpen = true;

  constructor(
    private readonly timers: VirtualTimers,
    dice: Dice,
    options: WireOptions = {},
  ) {
    this.directions = [new Direction(timers, dice, options), new Direction(timers, dice, options)];
    for (const d of this.directions) d.onBreak = () => (options.breaksSilently === true ? this.silence() : this.cut());
  }

  /** @param side 0 or 1 */
  port(side: 0 | 1): LinkPort {
    const out = this.directions[side];
    return {
      write: chunks => out.write(chunks),
      get buffered() {
        return out.buffered;
      },
      close: () => void this.timers.after(50, () => this.cut()),
      abort: () => this.cut(),
    };
  }

  connect(side: 0 | 1, link: Link): void {
    this.directions[1 - side]!.sink = chunk => link.receive(chunk);
    this.directions[side].onDrained = () => link.drained();
    this.ends.push(why => link.transportClosed(why));
  }

  /** Both ends hear of it. */
  cut(): void {
    if (!this.isOpen) return;
    this.isOpen = false;
    for (const d of this.directions) d.break();
    for (const end of this.ends) this.timers.soon(() => end('cut'));
  }

  get isSilent(): boolean {
    return this.directions[0].isSilent;
  }

  /** Nothing arrives any more, and nobody is told. */
  silence(): void {
    for (const d of this.directions) d.isSilent = true;
  }
}

export interface NodeOptions {
  readonly limits?: Limits;
  onStream?(stream: Stream, request: OpenRequest, session: Session): StreamHandler | Code;
}

/** One end. */
export class Node {
  slot: SessionSlot;
  readonly budget: ProcessBudget;
  readonly alarms: string[] = [];
  readonly events: string[] = [];
  readonly troubles: string[] = [];
  readonly news: [number, Uint8Array][] = [];
  readonly closed: [Code, string, LinkEnd][] = [];
  onStream: NonNullable<NodeOptions['onStream']>;
  onUp: ((session: Session) => void) | undefined;
  stillCounts: (link: Link) => boolean = () => true;

  constructor(
    private readonly world: World,
    readonly id: NodeId,
    readonly peer: NodeId,
    options: NodeOptions,
  ) {
    this.limits = options.limits ?? DEFAULT_LIMITS;
    this.budget = new ProcessBudget(this.limits);
    this.onStream = (stream, request, session) => options.onStream?.(stream, request, session) ?? 'no-service';
    this.slot = this.makeSlot();
  }

  readonly limits: Limits;

  get session(): Session {
    const { session } = this.slot;
    if (session === undefined) throw new Error('no session');
    return session;
  }

  /** As after a restart of the process: nothing is remembered. */
  restart(): void {
    this.slot = this.makeSlot();
  }

  private makeSlot(): SessionSlot {
    return new SessionSlot({
      local: this.id,
      peer: this.peer,
      primitives,
      timers: this.world.timers,
      limits: this.limits,
      budget: this.budget,
      stillCounts: link => this.stillCounts(link),
      onStream: (stream, request, session) => this.onStream(stream, request, session),
      onNews: (kind, body) => void this.news.push([kind, body.slice()]),
      onUp: session => {
        this.events.push('up');
        this.onUp?.(session);
      },
      onHeld: () => void this.events.push('held'),
      onDown: code => void this.events.push(`down ${code}`),
      onTrouble: (link, trouble) => void this.troubles.push(`${link.id} ${trouble}`),
      onAlarm: sentence => void this.alarms.push(sentence),
    });
  }
}

export interface Connection {
  readonly wire: Wire;
  readonly links: readonly [Link, Link];
}

export class World {
  readonly timers = new VirtualTimers();
  readonly dice: Dice;
  /** nodes[0] has the smaller ID. */
  readonly nodes: readonly [Node, Node];
  private linkId = 0;

  constructor(seed: string, options: readonly [NodeOptions, NodeOptions] = [{}, {}]) {
    this.dice = new Dice(seed);
    const ids = [this.dice.bytes(32), this.dice.bytes(32)] as const;
    ids[0][0] = 1;
    ids[1][0] = 2;
    this.nodes = [new Node(this, ids[0], ids[1], options[0]), new Node(this, ids[1], ids[0], options[1])];
  }

  /** A link, identified at both ends and given to nobody. */
  connect(options: WireOptions = {}): Connection {
    const wire = new Wire(this.timers, this.dice, options);
    const [a, b] = this.nodes;
    const established = establishedPair(this.dice, [a.id, b.id]);
    const make = (side: 0 | 1): Link => {
      const node = this.nodes[side];
      const link = new Link({
        established: established[side],
        port: wire.port(side),
        timers: this.timers,
        primitives,
        limits: node.limits,
        id: this.linkId++,
        rank: options.rank ?? 0,
        onClosed: (code, sentence, by) => void node.closed.push([code, sentence, by]),
      });
      wire.connect(side, link);
      return link;
    };
    return { wire, links: [make(0), make(1)] };
  }

  /** ... and admitted at both ends, the answering side first. */
  admit(options: WireOptions = {}): Connection {
    const connection = this.connect(options);
    this.nodes[1].slot.linkAdmitted(connection.links[1]);
    this.nodes[0].slot.linkAdmitted(connection.links[0]);
    return connection;
  }
}
