/** Transport over a TCP (or TLS) socket that is already connected. */
import type { Socket } from 'node:net';
import type { Timers } from '../../protocol/clock.js';
import { borrow } from './reading.js';
import { CLOSED_BY_PEER, CLOSED_HERE, reasonOf } from './reasons.js';
import { SocketTransport } from './socket-transport.js';
import { thinned, type LocalSocket } from './thin-socket.js';
import { CLOSE_FLUSH_MS } from './transport.js';

export class TcpTransport extends SocketTransport {
  readonly kind = 'tcp';

  private readonly socket: LocalSocket;
  private expected = 0;

  /**
   * @param socket connected; nobody else reads or writes it from here on
   * @param head bytes already read from it
   */
  constructor(socket: Socket, timers: Timers, head?: Uint8Array) {
    super(socket, timers, on => void (on ? this.socket.resume() : this.socket.pause()));
    socket.pause();
    if (head !== undefined && head.length > 0) this.inbox.push(head);
    this.socket = this.takeOver(socket);
    this.socket.on('end', () => this.finish(CLOSED_BY_PEER));
    this.socket.on('error', error => this.inbox.end(reasonOf(error)));
    this.socket.on('close', () => this.gone(CLOSED_BY_PEER));
  }

  private takeOver(socket: Socket): LocalSocket {
    const thin = thinned(socket);
    if (thin === undefined) return this.readSocket(socket);
    thin.borrow(chunk => {
      this.expected = 0;
      this.inbox.push(chunk);
      return this.expected;
    });
    return thin;
  }

  private readSocket(socket: Socket): LocalSocket {
    const push = (chunk: Uint8Array): void => this.inbox.push(chunk);
    borrow(socket, push);
    socket.on('data', push);
    return socket;
  }

  expects(bytes: number): void {
    this.expected = bytes;
  }

  write(chunks: readonly Uint8Array[]): void {
    if (this.inbox.isEnded || chunks.length === 0) return;
    const isMore = chunks.length > 1;
    if (isMore) this.socket.cork();
    for (const chunk of chunks) this.socket.write(chunk, this.taken);
    if (isMore) this.socket.uncork();
    this.waiting = this.socket.writableLength > 0;
  }

  get buffered(): number {
    return this.socket.writableLength;
  }

  close(): void {
    this.finish(CLOSED_HERE);
  }

  abort(): void {
    this.inbox.discard();
    this.inbox.end(CLOSED_HERE);
    this.socket.destroy();
  }

  /** FIN behind what is buffered. Reading goes on into nowhere, so that no reset overtakes the last bytes. */
  private finish(why: string): void {
    if (why === CLOSED_HERE) this.inbox.discard();
    this.inbox.end(why);
    if (this.socket.destroyed || this.flushing !== undefined) return;
    this.socket.end();
    this.flushing = this.timers.after(CLOSE_FLUSH_MS, () => this.socket.destroy());
  }
}
