/**
 * What the transports over a socket have in common: the receiving end (inbox.ts), and telling when the kernel has taken
 * a whole batch.
 */
import type { Socket } from 'node:net';
import type { Timer, Timers } from '../../protocol/clock.js';
import { formatHostPort } from './address.js';
import { Inbox } from './inbox.js';
import type { Transport, TransportKind } from './transport.js';

export abstract class SocketTransport implements Transport {
  abstract readonly kind: TransportKind;
  abstract readonly buffered: number;
  readonly remote: string;
  readonly local: string | undefined;

  protected readonly inbox: Inbox;
  /** the last batch was not taken at once */
  protected waiting = false;
  protected flushing: Timer | undefined;
  private drained: () => void = () => undefined;

  /**
   * @param socket for its addresses
   * @param flow starts and stops the reading
   */
  protected constructor(
    socket: Socket,
    protected readonly timers: Timers,
    flow: (on: boolean) => void,
  ) {
    socket.setNoDelay(true);
    this.remote = endOf(socket.remoteAddress, socket.remotePort) ?? 'unknown';
    this.local = endOf(socket.localAddress, socket.localPort);
    this.inbox = new Inbox(timers, flow);
  }

  abstract write(chunks: readonly Uint8Array[]): void;
  abstract close(): void;
  abstract abort(): void;

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

  /** The connection below is gone. */
  protected gone(why: string): void {
    this.flushing?.cancel();
    this.inbox.end(why);
  }

  /** For the last write of a batch: the kernel has taken it all. */
  protected readonly taken = (error?: Error | null): void => {
    if (error || !this.waiting || this.buffered > 0) return;
    this.waiting = false;
    if (!this.inbox.isEnded) this.drained();
  };
}

/** HOST:PORT; an IPv4 address stays one on a socket of both families. */
export function endOf(address: string | undefined, port: number | undefined): string | undefined {
  if (address === undefined || port === undefined) return undefined;
  return formatHostPort(address.replace(/^::ffff:(?=\d+\.)/i, ''), port);
}
