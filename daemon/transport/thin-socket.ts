/**
 * A connection without the streams of node: what splices and links need of a socket, right on the handle that libuv gives.
 * A `net.Socket` costs more for each connection and each read than all the rest of the way. The only place beside
 * reading.ts that looks into node; where the insides look different there are no thin sockets, and `net.Socket` does it.
 */
import { EventEmitter } from 'node:events';
import { isIPv4, isIPv6, type Server, type Socket } from 'node:net';
import { getSystemErrorName } from 'node:util';
import { COPIED_BELOW } from '../../protocol/session/send-buffer.js';
import { FIRST_MEMORY, copied, lentBytes, linkMemory, localReads } from './reading.js';

/** What the users of a connection call: `net.Socket` has all of it, and so has a thin socket. */
export interface LocalSocket {
  readonly connecting?: boolean;
  readonly destroyed: boolean;
  /** bytes written that the operating system does not have yet */
  readonly writableLength: number;
  readonly writableEnded: boolean;
  /** the FIN is with the operating system */
  readonly writableFinished: boolean;
  /**
   * A chunk of fewer than COPIED_BELOW bytes, which a stream copies anyway, is the listener's only until it returns; a
   * longer one is the listener's own.
   */
  on(event: 'data', listener: (chunk: Uint8Array) => void): unknown;
  on(event: 'error', listener: (error: Error) => void): unknown;
  on(event: 'end' | 'close', listener: () => void): unknown;
  once(event: 'connect' | 'finish' | 'close', listener: () => void): unknown;
  pause(): unknown;
  resume(): unknown;
  cork(): void;
  uncork(): void;
  write(chunk: Uint8Array, taken: (error?: Error | null) => void): unknown;
  end(): unknown;
  destroy(error?: Error): unknown;
}

// ── what node keeps to itself ──────────────────────────────────────────────────────────────────────────────────────

interface Request {
  handle?: Handle;
  oncomplete: (status: number) => void;
  /** memory that must stay until the request is done */
  keeps?: readonly Uint8Array[];
}

/** In the order in which node sets it. */
interface PeerName {
  address: string;
  family: string;
  port: number;
}

interface Handle {
  onread: () => Uint8Array | undefined;
  useUserBuffer(memory: Uint8Array): void;
  readStart(): number;
  readStop(): number;
  writeBuffer(request: Request, chunk: Uint8Array): number;
  writev(request: Request, chunks: readonly Uint8Array[], allBytes: true): number;
  shutdown(request: Request): number;
  close(closed: () => void): void;
  // of TCP only
  reset?(closed: () => void): number;
  setNoDelay?(on: boolean): number;
  getpeername?(out: PeerName): number;
  connect?(request: Request, address: string, port: number): number;
  connect6?(request: Request, address: string, port: number): number;
}

interface Inside {
  readonly newWrite: new () => Request;
  /** A write that libuv has finished at once leaves nothing in its request: the next one takes it again. */
  spareWrite?: Request | undefined;
  readonly newShutdown: new () => Request;
  readonly newConnect: new () => Request;
  readonly newTcp: () => Handle;
  /** where `getpeername` writes to: into what has these properties already it does so faster */
  readonly peer: PeerName;
  /** what the last call on a handle has done */
  readonly state: ArrayLike<number>;
  readonly readAt: number;
  readonly asyncAt: number;
}

/** libuv's UV_EOF and UV_ENOTCONN: shutdown of a connection that the other end has reset. */
const EOF = -4095;
const NOT_CONNECTED = -107;

type Constructor<T> = new (kind?: number) => T;
type Binding = Readonly<Record<string, unknown>>;

function lookInside(): Inside | undefined {
  const { binding } = process as unknown as { readonly binding?: (name: string) => Binding };
  // Asking is deprecated: where that is to end the process, nobody asks.
  if (typeof binding !== 'function' || process.throwDeprecation) return undefined;
  try {
    const stream = binding.call(process, 'stream_wrap');
    const tcp = binding.call(process, 'tcp_wrap');
    const { WriteWrap, ShutdownWrap, streamBaseState: state, kReadBytesOrError: readAt, kLastWriteWasAsync: asyncAt } = stream; // prettier-ignore
    const { TCP, TCPConnectWrap, constants } = tcp;
    const areFunctions = [WriteWrap, ShutdownWrap, TCP, TCPConnectWrap].every(made => typeof made === 'function');
    const kind = (constants as { readonly SOCKET?: unknown } | undefined)?.SOCKET;
    if (!areFunctions || !ArrayBuffer.isView(state) || ![readAt, asyncAt, kind].every(Number.isInteger))
      return undefined;
    const newTcp = (): Handle => new (TCP as Constructor<Handle>)(kind as number);
    const probe = newTcp();
    const isComplete = isHandle(probe) && typeof probe.connect === 'function' && typeof probe.reset === 'function';
    probe.close(() => undefined);
    if (!isComplete) return undefined;
    return {
      newWrite: WriteWrap as Constructor<Request>,
      newShutdown: ShutdownWrap as Constructor<Request>,
      newConnect: TCPConnectWrap as Constructor<Request>,
      newTcp,
      peer: { address: '', family: '', port: 0 },
      state: state as unknown as ArrayLike<number>,
      readAt: readAt as number,
      asyncAt: asyncAt as number,
    };
  } catch {
    return undefined;
  }
}

const METHODS = ['useUserBuffer', 'readStart', 'readStop', 'writeBuffer', 'writev', 'shutdown', 'close'] as const;

/** Prototypes of handles that have all of it: to look it up anew for each connection costs as much as to read from it. */
const prototypes = new WeakSet();

function isHandle(handle: unknown): handle is Handle {
  if (handle === null || typeof handle !== 'object') return false;
  const prototype: unknown = Object.getPrototypeOf(handle);
  if (prototype === null || typeof prototype !== 'object') return false;
  if (prototypes.has(prototype)) return true;
  const has = METHODS.every(name => typeof (prototype as Partial<Handle>)[name] === 'function');
  if (has) prototypes.add(prototype);
  return has;
}

/** This node's insides; undefined where they look different. */
const inside = lookInside();

/** False: `net.Socket` does it all, at a higher price. */
export const hasThinSockets = inside !== undefined;

// ── where they come from ───────────────────────────────────────────────────────────────────────────────────────────

/**
 * From now on the server's connections come as thin sockets, half-open, without delay, not read yet. Where that is not
 * possible nothing changes: they come as its `connection` event.
 * @param server listening, no connection having come in yet
 */
export function acceptThin(server: Server, accepted: (socket: ThinSocket) => void): void {
  const { _handle: listening } = server as unknown as { readonly _handle?: { onconnection?: unknown } | null };
  if (inside === undefined || typeof listening?.onconnection !== 'function') return;
  const ofNode = listening.onconnection as (status: number, handle: unknown) => void;
  const known = inside;
  listening.onconnection = function (this: unknown, status: number, handle: unknown): void {
    if (status !== 0 || !isHandle(handle)) return void ofNode.call(this, status, handle);
    handle.setNoDelay?.(true);
    accepted(new ThinSocket(known, handle));
  };
}

/**
 * Begins to connect; `connect`, `error` and `close` tell how it goes.
 * @param host undefined is returned when that is a name
 */
export function dialThin(host: string, port: number): ThinSocket | undefined {
  const family = isIPv4(host) ? 4 : isIPv6(host) ? 6 : undefined;
  if (inside === undefined || family === undefined) return undefined;
  const handle = inside.newTcp();
  handle.setNoDelay?.(true);
  const socket = new ThinSocket(inside, handle);
  socket.connect(family, host, port);
  return socket;
}

/**
 * Takes over the connection of a socket, paused: whoever still holds the socket can but destroy it, or hear that it has
 * closed.
 * @returns undefined where that is not possible, or when the socket is not at rest: it stays as it is
 */
export function thinned(socket: Socket): ThinSocket | undefined {
  const shell = socket as unknown as { _handle: unknown };
  const { _handle: handle } = shell;
  const isAtRest = socket.readable && socket.writable && socket.readableLength === 0 && socket.writableLength === 0;
  if (inside === undefined || !isHandle(handle) || socket.connecting || !isAtRest) return undefined;
  handle.readStop();
  const thin = new ThinSocket(inside, handle);
  shell._handle = null;
  socket.once('close', () => thin.destroy());
  thin.once('close', () => socket.destroy());
  return thin;
}

/**
 * @param lent the caller's only until the return
 * @returns what of the next read would come in handy, bytes; 0: all there is
 */
type Borrower = (lent: Uint8Array) => number;

// ── the socket ─────────────────────────────────────────────────────────────────────────────────────────────────────

function failure(call: string, status: number, where = ''): NodeJS.ErrnoException {
  const code = getSystemErrorName(status);
  return Object.assign(new Error(`${call} ${code}${where}`), { errno: status, code, syscall: call });
}

const goOn = (socket: ThinSocket): void => socket.goOn();

export class ThinSocket extends EventEmitter implements LocalSocket {
  connecting = false;
  destroyed = false;
  /** The descriptor is gone. */
  closed = false;
  writableLength = 0;
  writableEnded = false;
  writableFinished = false;

  private isReading = false;
  private isYielding = false;
  /** where the next read goes */
  private offered: Uint8Array = FIRST_MEMORY;
  private hasReadAll = false;
  private corks = 0;
  /** written, not yet with libuv */
  private waiting: Uint8Array[] = [];
  private waitingBytes = 0;
  /** the write that libuv could not finish at once */
  private writing: Request | undefined;
  private isShuttingDown = false;
  private taken: ((error?: Error | null) => void) | undefined;
  private borrower: Borrower | undefined;

  constructor(
    private readonly node: Inside,
    private readonly handle: Handle,
  ) {
    super();
    handle.onread = () => this.onRead();
    handle.useUserBuffer(this.offered);
  }

  // Connecting.

  connect(family: 4 | 6, host: string, port: number): void {
    this.connecting = true;
    const request = new this.node.newConnect();
    const failed = (status: number): void => void this.destroy(failure('connect', status, ` ${host}:${port}`));
    request.oncomplete = status => {
      if (this.destroyed) return;
      this.connecting = false;
      if (status !== 0) return failed(status);
      this.emit('connect');
      this.flush();
    };
    const status =
      family === 4 ? this.handle.connect!(request, host, port) : this.handle.connect6!(request, host, port);
    if (status !== 0) failed(status);
  }

  /** Asked of the operating system each time: undefined when the connection is no more, and for a unix socket. */
  get peer(): { readonly host: string; readonly port: number } | undefined {
    if (!this.hasPeer) return undefined;
    return { host: this.node.peer.address, port: this.node.peer.port };
  }

  /** Asked in the same way. */
  get hasPeer(): boolean {
    return !this.destroyed && this.handle.getpeername?.(this.node.peer) === 0;
  }

  get isTcp(): boolean {
    return this.handle.reset !== undefined;
  }

  // Reading.

  /** Before the connection is there, too: libuv then asks the operating system for both with one call. */
  resume(): void {
    if (this.isReading || this.hasReadAll || this.destroyed) return;
    this.isReading = true;
    if (!this.isYielding) this.readOn();
  }

  private readOn(): void {
    const status = this.handle.readStart();
    if (status !== 0) this.destroy(failure('read', status));
  }

  /**
   * libuv would read on from whoever brings much, 32 times, before it looks at anybody else: others go first, and what
   * was read goes on its way.
   */
  private yield(): void {
    if (this.isYielding || !this.isReading || this.destroyed) return;
    this.isYielding = true;
    this.handle.readStop();
    setImmediate(goOn, this);
  }

  /** The others have had their turn. */
  goOn(): void {
    this.isYielding = false;
    if (this.isReading && !this.destroyed) this.readOn();
  }

  pause(): void {
    if (!this.isReading || this.destroyed) return;
    this.isReading = false;
    this.handle.readStop();
  }

  /** From now on `take` gets what is read; there is no `data` any more. */
  borrow(take: Borrower): void {
    this.borrower = take;
  }

  /** @returns where the next read goes */
  private onRead(): Uint8Array | undefined {
    const n = this.node.state[this.node.readAt]!;
    if (this.destroyed || n === 0) return undefined;
    if (n > 0) {
      const { offered } = this;
      this.offered = this.take(n);
      if (n === offered.length) this.yield();
      return this.offered;
    }
    this.isReading = false;
    if (n !== EOF) {
      this.destroy(failure('read', n));
      return undefined;
    }
    this.hasReadAll = true;
    this.emit('end');
    this.closeWhenDone();
    return undefined;
  }

  /** @returns where the next read goes */
  private take(n: number): Uint8Array {
    const lent = lentBytes(n);
    if (this.borrower !== undefined) return linkMemory(n, this.borrower(lent));
    this.emit('data', n < COPIED_BELOW ? lent : copied(lent));
    return localReads.memory(n, this.offered.length);
  }

  // Writing.

  cork(): void {
    this.corks++;
  }

  uncork(): void {
    if (this.corks > 0 && --this.corks === 0) this.flush();
  }

  /** @param taken called when the operating system has what was written; one and the same for all writes */
  write(chunk: Uint8Array, taken: (error?: Error | null) => void): void {
    if (this.destroyed || this.writableEnded) return;
    this.taken = taken;
    this.waiting.push(chunk);
    this.waitingBytes += chunk.length;
    this.writableLength += chunk.length;
    this.flush();
  }

  /** FIN behind what was written. */
  end(): void {
    if (this.destroyed || this.writableEnded) return;
    this.writableEnded = true;
    this.flush();
  }

  private flush(): void {
    if (this.connecting || this.destroyed || this.writing !== undefined || this.corks > 0) return;
    if (this.waitingBytes > 0) this.pass();
    if (this.writableEnded && this.writableLength === 0) this.shutDown();
  }

  private pass(): void {
    const chunks = this.waiting;
    const bytes = this.waitingBytes;
    this.waiting = [];
    this.waitingBytes = 0;
    const { handle, node } = this;
    const request = node.spareWrite ?? new node.newWrite();
    node.spareWrite = undefined;
    const status = chunks.length === 1 ? handle.writeBuffer(request, chunks[0]!) : handle.writev(request, chunks, true);
    if (status !== 0) return void this.destroy(failure('write', status));
    if (node.state[node.asyncAt] === 0) {
      node.spareWrite = request;
      return this.passed(bytes);
    }
    this.writing = request;
    request.keeps = chunks;
    request.oncomplete = done => {
      this.writing = undefined;
      if (this.destroyed) return;
      if (done !== 0) return void this.destroy(failure('write', done));
      this.passed(bytes);
      this.flush();
    };
  }

  private passed(bytes: number): void {
    this.writableLength -= bytes;
    this.taken?.();
  }

  private shutDown(): void {
    if (this.isShuttingDown || this.destroyed) return;
    this.isShuttingDown = true;
    const request = new this.node.newShutdown();
    const finished = (): void => {
      if (this.destroyed) return;
      this.writableFinished = true;
      this.emit('finish');
      this.closeWhenDone();
    };
    request.oncomplete = finished;
    const status = this.handle.shutdown(request);
    if (status === 0) return;
    if (status === 1 || status === NOT_CONNECTED) process.nextTick(finished);
    else this.destroy(failure('shutdown', status));
  }

  // The end.

  private closeWhenDone(): void {
    if (this.hasReadAll && this.writableFinished) this.destroy();
  }

  /** Closes at once; what was not passed on is dropped. `error`, if there is one, then `close` follow later. */
  destroy(error?: Error): void {
    if (this.destroyed) return;
    this.letGo();
    this.handle.close(this.hasClosed);
    if (error !== undefined) process.nextTick(() => this.emit('error', error));
  }

  /**
   * Closes at once, with RST.
   * @throws Error when the operating system refuses, or the socket is not TCP; nothing has happened then
   */
  resetAndDestroy(): void {
    if (this.destroyed) return;
    const status = this.handle.reset?.(this.hasClosed);
    if (status !== 0) throw failure('reset', status ?? NOT_CONNECTED);
    this.letGo();
  }

  private letGo(): void {
    this.destroyed = true;
    this.isReading = false;
    this.waiting = [];
    this.taken = undefined;
  }

  private readonly hasClosed = (): void => {
    this.closed = true;
    this.emit('close');
  };
}
