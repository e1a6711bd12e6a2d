/** Transport over a TCP (or TLS) socket that is already connected. */
import type { Socket } from 'node:net';
import type { Timers } from '../../protocol/clock.js';
import { borrow } from './reading.js';
import { CLOSED_BY_PEER, CLOSED_HERE, reasonOf } from './reasons.js';
import { SocketTransport } from './socket-transport.js';
import { CLOSE_FLUSH_MS } from './transport.js';

export class TcpTransport extends SocketTransport {
  readonly kind = 'tcp';

  /**
   * @param socket connected; nobody else reads or writes it from here on
   * @param head bytes already read from it
   */
  constructor(
    private readonly socket: Socket,
    timers: Timers,
    head?: Uint8Array,
  ) {
    super(socket, timers, on => void (on ? socket.resume() : socket.pause()));
    socket.pause();
    if (head !== undefined && head.length > 0) this.inbox.push(head);
    borrow(socket, chunk => this.inbox.push(chunk));
    socket.on('end', () => this.finish(CLOSED_BY_PEER));
    socket.on('error', error => this.inbox.end(reasonOf(error)));
    socket.on('close', () => this.gone(CLOSED_BY_PEER));
  }

  write(chunks: readonly Uint8Array[]): void {
    if (this.inbox.isEnded || chunks.length === 0) return;
    const last = chunks.length - 1;
    if (last > 0) this.socket.cork();
    for (let i = 0; i < last; i++) this.socket.write(chunks[i]!);
    this.socket.write(chunks[last]!, this.taken);
    if (last > 0) this.socket.uncork();
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
