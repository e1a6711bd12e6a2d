/**
 * TCP as links see it, in virtual time: hosts with addresses, paths that go silent or refuse, connections whose bytes are
 * sent again after the kernel's growing pauses, SYNs that are lost and repeated after 1, 2 and 4 s.
 */
import type { Timer } from '../../../protocol/clock.js';
import { WarrenError } from '../../../protocol/errors.js';
import { Inbox } from '../../../daemon/transport/inbox.js';
import type { Transport, TransportKind } from '../../../daemon/transport/transport.js';
import type { VirtualTimers } from '../../protocol/session/virtual.js';

/** up: packets arrive · silent: they are lost · refusing: each is answered with a reset */
export type PathState = 'up' | 'silent' | 'refusing';

const SYN_AGAIN_MS = [1_000, 2_000, 4_000, 8_000];
const FIRST_RTO_MS = 200;
/** A connection that gets nothing through for so long is given up by the kernel. */
const GIVE_UP_MS = 15 * 60_000;

export class MemoryHost {
  readonly addresses = new Set<string>();
  accept: (transport: Transport) => void = transport => transport.abort();
  private ports = 40_000;

  constructor(
    readonly net: MemoryNet,
    readonly name: string,
    address: string,
  ) {
    this.addresses.add(address);
  }

  /** Connects as node:net does. @param to IP:PORT; every host listens on every port at each of its addresses */
  async connect(to: string, signal: AbortSignal | undefined, kind: TransportKind = 'tcp'): Promise<Transport> {
    const from = `${[...this.addresses].at(-1)}:${++this.ports}`;
    return this.net.connect(this, from, to, signal, kind);
  }

  has(end: string): boolean {
    return this.addresses.has(end.slice(0, end.lastIndexOf(':')));
  }
}

export class MemoryNet {
  readonly hosts: MemoryHost[] = [];
  /** ms one way */
  delayMs = 5;
  /** by kind: relayed connections take another way */
  readonly state: Record<TransportKind, PathState> = { tcp: 'up', websocket: 'up', relay: 'up' };
  readonly open = new Set<MemoryConnection>();
  /** which hosts reach each other; to all others a connection is refused, or goes silent */
  reaches: (a: MemoryHost, b: MemoryHost) => boolean = () => true;
  /** bytes of one write that arrive at once; the rest comes 1 ms later, and so on */
  pieceBytes = Infinity;
  /** connections that were asked for */
  dials = 0;

  constructor(readonly timers: VirtualTimers) {}

  host(name: string, address: string): MemoryHost {
    const host = new MemoryHost(this, name, address);
    this.hosts.push(host);
    return host;
  }

  connect(
    by: MemoryHost,
    from: string,
    to: string,
    signal: AbortSignal | undefined,
    kind: TransportKind,
  ): Promise<Transport> {
    this.dials++;
    return new Promise((resolve, reject) => {
      let again: Timer | undefined;
      let tries = 0;
      const end = (): void => {
        again?.cancel();
        signal?.removeEventListener('abort', aborted);
      };
      const fail = (sentence: string): void => {
        end();
        reject(new WarrenError('unreachable', sentence));
      };
      const aborted = (): void => fail('given up');
      const answered = (target: MemoryHost): void => {
        if (signal?.aborted) return;
        if (this.state[kind] !== 'up' || !by.has(from)) return;
        if (!this.reaches(by, target)) return fail('connection refused');
        end();
        const connection = new MemoryConnection(this, kind, [by, target], [from, to]);
        this.open.add(connection);
        target.accept(connection.ends[1]);
        resolve(connection.ends[0]);
      };
      const syn = (): void => {
        const wait = SYN_AGAIN_MS[tries++];
        if (wait !== undefined) again = this.timers.after(wait, syn);
        const target = this.hosts.find(host => host.has(to));
        if (!by.has(from) || target === undefined || this.state[kind] === 'silent') return;
        const state = this.state[kind];
        this.timers.after(2 * this.delayMs, () => (state === 'up' ? answered(target) : fail('connection refused')));
      };
      if (signal?.aborted) return fail('given up');
      signal?.addEventListener('abort', aborted);
      syn();
    });
  }

  /** Both ends of every connection (that `which` chooses) hear of it at once. */
  reset(which: (connection: MemoryConnection) => boolean = () => true): void {
    for (const connection of [...this.open]) if (which(connection)) connection.break(0, 1);
  }
}

export class MemoryConnection {
  readonly ends: readonly [MemoryTransport, MemoryTransport];
  /** only this one goes silent */
  isSilent = false;
  private gone = 0;

  constructor(
    readonly net: MemoryNet,
    readonly kind: TransportKind,
    readonly hosts: readonly [MemoryHost, MemoryHost],
    readonly names: readonly [string, string],
  ) {
    this.ends = [new MemoryTransport(this, 0), new MemoryTransport(this, 1)];
  }

  get state(): PathState {
    const isHere = this.hosts[0].has(this.names[0]) && this.hosts[1].has(this.names[1]);
    const isReached = isHere && this.net.reaches(...this.hosts);
    return this.isSilent || !isReached ? 'silent' : this.net.state[this.kind];
  }

  /** These ends hear that the connection is gone; others when they send. */
  break(...sides: readonly number[]): void {
    for (const side of sides) this.ends[side]!.fail('connection reset by the other side');
  }

  ended(): void {
    if (++this.gone === 2) this.net.open.delete(this);
  }
}

export class MemoryTransport implements Transport {
  readonly kind: TransportKind;
  readonly remote: string;
  readonly local: string | undefined;
  readonly inbox: Inbox;
  isGone = false;
  buffered = 0;
  private isClosing = false;
  private queue: Uint8Array[] = [];
  private rto = FIRST_RTO_MS;
  private stuckSince: number | undefined;
  /** ms, monotonic: when the piece sent last arrives */
  private freeAt = 0;
  private again: Timer | undefined;

  constructor(
    private readonly connection: MemoryConnection,
    private readonly side: 0 | 1,
  ) {
    this.kind = connection.kind;
    this.local = connection.kind === 'relay' ? undefined : connection.names[side];
    this.remote = connection.names[side === 0 ? 1 : 0];
    this.inbox = new Inbox(connection.net.timers, () => undefined);
  }

  private get other(): MemoryTransport {
    return this.connection.ends[this.side === 0 ? 1 : 0];
  }

  write(chunks: readonly Uint8Array[]): void {
    if (this.isGone || this.isClosing) return;
    this.queue.push(...chunks.map(chunk => chunk.slice()));
    this.send();
  }

  /** All that waits, if the path takes it; else again after a pause that doubles. */
  private send(): void {
    if (this.isGone || this.again !== undefined) return;
    const { net, state } = this.connection;
    const { timers } = net;
    if (state === 'up') {
      const bytes = this.queue.splice(0);
      const isLast = this.isClosing;
      this.rto = FIRST_RTO_MS;
      this.stuckSince = undefined;
      this.deliver(bytes, isLast);
      if (isLast) this.fail('closed by this side');
    } else if (state === 'refusing') {
      timers.after(1, () => this.fail('connection reset by the other side'));
    } else {
      this.stuckSince ??= timers.monotonic();
      if (timers.monotonic() - this.stuckSince > GIVE_UP_MS) return this.fail('connection timed out');
      this.again = timers.after(this.rto, () => {
        this.again = undefined;
        this.rto *= 2;
        this.send();
      });
    }
  }

  /** In pieces as small as the net has them, one after the other. */
  private deliver(bytes: readonly Uint8Array[], isLast: boolean): void {
    const { timers, delayMs, pieceBytes } = this.connection.net;
    const pieces = bytes.flatMap(chunk =>
      Array.from({ length: Math.ceil(chunk.length / Math.min(pieceBytes, chunk.length)) }, (_, i) =>
        pieceBytes === Infinity ? chunk : chunk.subarray(i * pieceBytes, (i + 1) * pieceBytes),
      ),
    );
    if (pieceBytes === Infinity) {
      timers.after(delayMs, () => this.other.arrived(pieces, isLast));
      return;
    }
    for (const piece of pieces) {
      this.freeAt = Math.max(this.freeAt + 1, timers.monotonic() + delayMs);
      timers.after(this.freeAt - timers.monotonic(), () => this.other.arrived([piece], false));
    }
    if (isLast) timers.after(Math.max(this.freeAt - timers.monotonic(), delayMs), () => this.other.arrived([], true));
  }

  private arrived(bytes: readonly Uint8Array[], isLast: boolean): void {
    const { net, state } = this.connection;
    if (this.isGone) {
      // Nobody is here any more: the sender is told so.
      if (state === 'up') net.timers.after(net.delayMs, () => this.other.fail('connection reset by the other side'));
      return;
    }
    for (const chunk of bytes) this.inbox.push(chunk);
    if (isLast) this.fail('closed by the other side');
  }

  onData(callback: ((chunk: Uint8Array) => void) | undefined): void {
    this.inbox.onData(callback);
  }

  onDrain(): void {
    // `buffered` is always zero.
  }

  onClose(callback: (why: string) => void): void {
    this.inbox.onClose(callback);
  }

  close(): void {
    if (this.isGone || this.isClosing) return;
    this.inbox.discard();
    this.isClosing = true;
    this.send();
    this.connection.net.timers.after(3_000, () => this.abort());
  }

  abort(): void {
    if (this.isGone) return;
    const { net, state } = this.connection;
    this.inbox.discard();
    this.fail('closed by this side');
    if (state === 'up') net.timers.after(net.delayMs, () => this.other.fail('connection reset by the other side'));
  }

  fail(why: string): void {
    if (this.isGone) return;
    this.isGone = true;
    this.again?.cancel();
    this.queue = [];
    this.inbox.end(why);
    this.connection.ended();
  }

  pause(): void {
    this.inbox.pause();
  }

  resume(): void {
    this.inbox.resume();
  }
}
