/** One service connection: bytes both ways, half-close, reset. */
import type { Code } from '../codes.js';
import type { NodeId } from '../identity/node-id.js';
import type { StreamHandler } from './types.js';

/** opening: not accepted yet · open: both directions or one · closed: nothing more will happen */
export type StreamState = 'opening' | 'open' | 'closed';

export class Stream {
  readonly id!: number;
  readonly service!: string;
  readonly peer!: NodeId;
  /** true when this side opened it */
  readonly isOpener!: boolean;
  /** payload bytes, each counted once */
  readonly bytesSent: number = 0;
  readonly bytesReceived: number = 0;
  get state(): StreamState {
    return 'closed';
  }
  setHandler(_handler: StreamHandler): void {}
  /** Takes the bytes, by reference, until the peer has them. @returns false: pause until `drain` */
  write(_chunk: Uint8Array): boolean {
    return true;
  }
  /** No more bytes from this side. */
  end(): void {}
  /** Ends both directions at once; the handler hears `closed` only. */
  reset(_code: Code, _dialed?: boolean): void {}
  /** Gives credit back for n bytes that were handed over by `data`. */
  consumed(_n: number): void {}
  /** Responder: the target is reached. Sends OPENED. */
  accept(): void {}
}
