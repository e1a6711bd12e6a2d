/** Transport over a TCP (or TLS) socket that is already connected. */
import type { Socket } from 'node:net';
import type { Timer, Timers } from '../../protocol/clock.js';
import { formatHostPort } from './address.js';
import { Inbox } from './inbox.js';
import { CLOSED_BY_PEER, CLOSED_HERE, reasonOf } from './reasons.js';
import { CLOSE_FLUSH_MS, type Transport } from './transport.js';

export class TcpTransport implements Transport {
  readonly kind = 'tcp';
  readonly remote: string;
  readonly local: string | undefined;

  private readonly inbox: Inbox;
  private drained: () => void = () => undefined;
  private waiting = false;
  private flushing: Timer | undefined;

  /**
   * @param socket connected; nobody else reads or writes it from here on
   * @param head bytes already read from it
   */
  constructor(
    private readonly socket: Socket,
    private readonly timers: Timers,
    head?: Uint8Array,
  ) {
    socket.setNoDelay(true);
    this.remote = endOf(socket.remoteAddress, socket.remotePort) ?? 'unknown';
    this.local = endOf(socket.localAddress, socket.localPort);
    this.inbox = new Inbox(timers, on => void (on ? socket.resume() : socket.pause()));
    socket.pause();
    if (head !== undefined && head.length > 0) this.inbox.push(head);
    socket.on('data', (chunk: Buffer) => this.inbox.push(chunk));
    socket.on('end', () => this.finish(CLOSED_BY_PEER));
    socket.on('error', error => this.inbox.end(reasonOf(error)));
    socket.on('close', () => {
      this.flushing?.cancel();
      this.inbox.end(CLOSED_BY_PEER);
    });
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

  onData(callback: ((chunk: Uint8Array) => void) | undefined): void {
    this.inbox.onData(callback);
  }

  onDrain(callback: () => void): void {
    this.drained = callback;
  }

  onClose(callback: (why: string) => void): void {
    this.inbox.onClose(callback);
  }

  pause(): void {
    this.inbox.pause();
  }

  resume(): void {
    this.inbox.resume();
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

  /** The kernel has taken a whole batch. */
  private readonly taken = (error?: Error | null): void => {
    if (error || !this.waiting || this.socket.writableLength > 0) return;
    this.waiting = false;
    if (!this.inbox.isEnded) this.drained();
  };
}

/** HOST:PORT; an IPv4 address stays one on a socket of both families. */
export function endOf(address: string | undefined, port: number | undefined): string | undefined {
  if (address === undefined || port === undefined) return undefined;
  return formatHostPort(address.replace(/^::ffff:(?=\d+\.)/i, ''), port);
}
