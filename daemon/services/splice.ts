/**
 * A local connection and a stream, joined: bytes both ways with backpressure, half-close each way, reset ⇄ RST.
 *
 *   out: socket 'data' → stream.write; false pauses the socket until drain · 'end' → stream.end
 *   in:  data → socket.write; credit goes back when the operating system has the bytes · fin → socket.end
 *
 * One `done` ends it, whatever the cause.
 */
import type { Code } from '../../protocol/codes.js';
import { COPIED_BELOW } from '../../protocol/session/send-buffer.js';
import type { LocalSocket } from '../transport/thin-socket.js';
import { GATHER_BELOW, Gather } from './gather.js';
import { EARLY_KEEP_BYTES } from './limits.js';
import type { ServiceStream, StreamHandler } from './mesh.js';
import { cutSocket, wasReset } from './sockets.js';

/**
 * closed: both directions came to their end · peer: reset by the other side · socket: the local connection broke ·
 * cut: ended by this daemon
 */
export type Ending = 'closed' | 'peer' | 'socket' | 'cut';

export interface SpliceResult {
  readonly ending: Ending;
  /** `no-error` when closed */
  readonly code: Code;
  /** the stream had been answered */
  readonly opened: boolean;
  /** what broke the local connection */
  readonly error: Error | undefined;
  /** from the socket into the stream */
  readonly bytesSent: number;
  /** from the stream to the socket */
  readonly bytesReceived: number;
}

/** Whose the two are. */
export interface SpliceOwner {
  /** half-open allowed; paused or not read yet */
  readonly socket: LocalSocket;
  /** What the other side is told when the local connection breaks. */
  broken(error: Error | undefined): { readonly code: Code; readonly dialed: boolean };
  /**
   * Asked when the stream is refused before it was opened: true when another one will be attached. What the socket
   * sent so far is kept until then. Left out: the stream counts as opened.
   */
  refused?(code: Code, dialed: boolean): boolean;
  /** The stream has been answered: `refused` is asked no more. */
  opened?(): void;
  done(result: SpliceResult): void;
}

/** A socket knows its splice, so that all of them share their listeners: thousands may be idle. */
const SPLICE = Symbol('splice');
type Joined = LocalSocket & { [SPLICE]?: Splice };

export class Splice implements StreamHandler {
  bytesSent = 0;
  bytesReceived = 0;

  private readonly socket: LocalSocket;
  private stream: ServiceStream | undefined;
  private finished = false;
  private isOpened: boolean;
  /** what the socket sent before the stream was opened, for the next instance */
  private early: Uint8Array[] | undefined;
  private earlyBytes = 0;
  private started = false;
  private blocked = false;
  private localEnded = false;
  private peerEnded = false;
  /** both directions have come to their end, and the socket is closed for that */
  private isLetGo = false;
  private corked = false;
  /** the socket held something already when it was corked */
  private wasWaiting = false;
  private readonly gathered = new Gather();
  /** incoming bytes that the operating system has */
  private passedOn = 0;
  private error: Error | undefined;

  constructor(private readonly owner: SpliceOwner) {
    this.socket = owner.socket;
    this.isOpened = owner.refused === undefined;
    (this.socket as Joined)[SPLICE] = this;
    this.socket.on('error', onError);
    this.socket.on('close', onClose);
  }

  get done(): boolean {
    return this.finished;
  }

  /** Joins the stream, the first or the next one; the socket is read from now on. */
  attach(stream: ServiceStream): void {
    if (this.finished) {
      stream.reset('cancelled', false);
      return;
    }
    this.stream = stream;
    this.blocked = false;
    for (const chunk of this.early ?? []) if (!stream.write(chunk)) this.blocked = true;
    if (this.localEnded) stream.end();
    if (!this.started) this.start();
    this.flow();
  }

  /** Ends both sides at once; the other side is told `code`. */
  cut(code: Code, dialed = true): void {
    if (this.finished) return;
    this.stream?.reset(code, dialed);
    cutSocket(this.socket);
    this.finish('cut', code);
  }

  // The socket's side.

  private start(): void {
    this.started = true;
    this.socket.on('data', onData);
    this.socket.on('end', onEnd);
  }

  /** The socket has read something. */
  socketData(chunk: Uint8Array): void {
    if (this.finished || this.stream === undefined) return;
    this.bytesSent += chunk.length;
    if (!this.isOpened) {
      (this.early ??= []).push(chunk.length < COPIED_BELOW ? new Uint8Array(chunk) : chunk);
      this.earlyBytes += chunk.length;
    }
    if (!this.stream.write(chunk)) this.blocked = true;
    if (this.mustWait) this.socket.pause();
  }

  /** The socket has read all there was. */
  socketEnd(): void {
    if (this.finished) return;
    if (wasReset(this.socket)) {
      this.socketError(Object.assign(new Error('read ECONNRESET'), { code: 'ECONNRESET' }));
      return;
    }
    this.localEnded = true;
    this.stream?.end();
  }

  socketError(error: Error): void {
    this.error ??= error;
    this.broke();
  }

  socketClosed(): void {
    if (this.finished) return;
    const isDone = this.isLetGo || this.socket.writableFinished;
    if (this.localEnded && this.peerEnded && isDone) this.finish('closed', 'no-error');
    else this.broke();
  }

  private broke(): void {
    if (this.finished) return;
    const { code, dialed } = this.owner.broken(this.error);
    this.stream?.reset(code, dialed);
    this.socket.destroy();
    this.finish('socket', code);
  }

  private get mustWait(): boolean {
    return this.blocked || (!this.isOpened && this.earlyBytes >= EARLY_KEEP_BYTES);
  }

  private flow(): void {
    if (this.started && !this.finished && !this.mustWait) this.socket.resume();
  }

  // The stream's side.

  opened(): void {
    if (this.isOpened) return;
    this.isOpened = true;
    this.early = undefined;
    this.owner.opened?.();
    this.flow();
  }

  drain(): void {
    this.blocked = false;
    this.flow();
  }

  data(chunk: Uint8Array): void {
    if (this.finished) return;
    if (!this.isOpened) this.opened();
    this.bytesReceived += chunk.length;
    if (!this.corked) {
      // What comes within one event goes to the operating system in one call.
      this.corked = true;
      this.wasWaiting = this.socket.writableLength > 0;
      this.socket.cork();
      process.nextTick(uncork, this);
    }
    // While the socket holds something, its `onWritten` is still to come.
    if (chunk.length < GATHER_BELOW && this.socket.writableLength > 0) {
      if (this.gathered.add(chunk)) return;
      this.pass();
      this.gathered.add(chunk);
      return;
    }
    this.pass();
    this.socket.write(chunk, this.onWritten);
  }

  /** What was gathered goes to the socket. */
  private pass(): void {
    if (this.gathered.length > 0) this.socket.write(this.gathered.take(), this.onWritten);
  }

  /** The event is over. */
  uncork(): void {
    this.corked = false;
    if (this.finished) return;
    if (!this.wasWaiting) this.pass();
    this.socket.uncork();
  }

  /** One function for all writes: the socket itself knows how much it still holds. */
  private readonly onWritten = (error?: Error | null): void => {
    if (this.finished || error) return;
    const passedOn = this.bytesReceived - this.socket.writableLength - this.gathered.length;
    const n = passedOn - this.passedOn;
    this.passedOn = passedOn;
    if (n > 0) this.stream?.consumed(n);
    // The credit may have brought more, or the end.
    if (this.finished) return;
    if (this.socket.writableLength === 0) this.pass();
    if (this.peerEnded) this.endSocket();
  };

  fin(): void {
    if (this.finished) return;
    if (!this.isOpened) this.opened();
    this.peerEnded = true;
    this.endSocket();
  }

  /** The FIN follows only when nothing waits before it: until then the socket can still be reset. */
  private endSocket(): void {
    if (this.socket.writableLength > 0 || this.gathered.length > 0 || this.socket.writableEnded) return;
    if (!this.localEnded) return void this.socket.end();
    // All has been read and all is with the operating system: closing tells the FIN, in one call instead of two.
    this.isLetGo = true;
    this.socket.destroy();
  }

  reset(code: Code, dialed: boolean): void {
    if (this.finished) return;
    this.stream = undefined;
    if (!this.isOpened && this.owner.refused?.(code, dialed) === true) return;
    if (this.finished) return;
    cutSocket(this.socket);
    this.finish('peer', code);
  }

  private finish(ending: Ending, code: Code): void {
    this.finished = true;
    this.early = undefined;
    const { isOpened: opened, error, bytesSent, bytesReceived } = this;
    this.owner.done({ ending, code, opened, error, bytesSent, bytesReceived });
  }
}

function onData(this: Joined, chunk: Uint8Array): void {
  this[SPLICE]?.socketData(chunk);
}

function onEnd(this: Joined): void {
  this[SPLICE]?.socketEnd();
}

function onError(this: Joined, error: Error): void {
  this[SPLICE]?.socketError(error);
}

function onClose(this: Joined): void {
  this[SPLICE]?.socketClosed();
}

function uncork(splice: Splice): void {
  splice.uncork();
}
