/** One authenticated, encrypted transport connection: records in and out, pings, acknowledgements, the end. */
import type { Timers } from '../clock.js';
import type { Code } from '../codes.js';
import type { Primitives } from '../crypto/primitives.js';
import type { Established } from '../handshake/types.js';
import type { Limits } from '../limits.js';
import type { RecordDraft } from './draft.js';

/** The transport as a link sees it. */
export interface LinkPort {
  /** The arrays belong to the port from here on. */
  write(chunks: readonly Uint8Array[]): void;
  /** bytes not yet handed to the kernel */
  readonly buffered: number;
  /** Closes after flushing. */
  close(): void;
  abort(): void;
}

/** Who ended a link: this side, the peer by CLOSE, or the connection under it (lost, or its records do not verify). */
export type LinkEnd = 'local' | 'peer' | 'transport';

/** Who gets the frames of a link that are not the link's own. */
export interface LinkHandler {
  /**
   * @param body a view of memory that belongs to this record alone
   * @throws WarrenError to close the link with `error.wire` (`protocol` if there is none)
   */
  frame(type: number, body: Uint8Array): void;
  /** Adds frames to the record that is being put together, while it has room. */
  fill?(draft: RecordDraft): void;
  /** The peer has received records 0 … records-1 of this link. */
  acked?(records: number): void;
  linkClosed?(code: Code, sentence: string, by: LinkEnd): void;
}

export interface LinkOptions {
  readonly established: Established;
  readonly port: LinkPort;
  readonly timers: Timers;
  readonly primitives: Primitives;
  readonly limits: Limits;
  /** a number by which logs and status tell links apart */
  readonly id?: number;
  /** Called once, after the handler's linkClosed. */
  onClosed(code: Code, sentence: string, by: LinkEnd): void;
}

export class Link {
  readonly id: number;
  readonly established: Established;
  bytesSent = 0;
  bytesReceived = 0;

  constructor(options: LinkOptions) {
    this.id = options.id ?? 0;
    this.established = options.established;
    throw new Error('to come');
  }
  /** smoothed round trip, ms; null before the first measurement */
  get rttMs(): number | null {
    return null;
  }
  get rekeys(): number {
    return 0;
  }
  get isClosed(): boolean {
    return false;
  }
  setHandler(_handler: LinkHandler): void {}
  /** Bytes from the transport, in order; `chunk` may be reused after the return. */
  receive(_chunk: Uint8Array): void {}
  /** The port has room again. */
  drained(): void {}
  /** The transport is gone. */
  transportClosed(_why: string): void {}
  /** Queues a control frame; it leaves at the end of this turn. `body` is kept until then. */
  send(_type: number, _body: Uint8Array): void {}
  /** Sends at once what is queued. */
  flush(): void {}
  /** Asks for a flush at the end of this turn. */
  wake(): void {}
  /** Sends CLOSE and what is queued, then closes the transport. */
  close(_code: Code, _sentence?: string): void {}
  /** @returns ms. @throws WarrenError `timeout` or `unreachable` */
  measureRtt(): Promise<number> {
    return Promise.reject(new Error('to come'));
  }
}
