/**
 * A transport carries one link's bytes both ways, in order: over TCP (tcp.ts), WebSocket (websocket.ts) or a stream
 * to a relay (../relay/transport.ts). It knows nothing of records; message borders mean nothing. listener.ts and dial.ts,
 * or the relay room, make one and hand it over as a `NewLink`.
 */
import type { Established } from '../../protocol/handshake/types.js';

export type TransportKind = 'tcp' | 'websocket' | 'relay';

export interface Transport {
  readonly kind: TransportKind;
  /** HOST:PORT of the other end of the connection; behind a web server that is the web server; `relay:NODEID` */
  readonly remote: string;
  readonly local: string | undefined;

  /**
   * Takes all chunks in order and sends them in one go. The arrays belong to the transport from here on: the caller
   * does not change them any more. After the close nothing happens.
   */
  write(chunks: readonly Uint8Array[]): void;
  /** Bytes written here that the kernel, or the stream's link, has not taken yet. */
  readonly buffered: number;

  /**
   * Who gets the bytes, in memory that is lent to it until it returns; the last caller wins. With `undefined`, and before the first call, the transport holds what
   * has arrived and reads no more than that.
   */
  onData(callback: ((chunk: Uint8Array) => void) | undefined): void;
  /** To be called within `onData`: so many bytes complete what has come in part, and what follows begins anew. */
  expects?(bytes: number): void;
  /** Called when `buffered` has come back to zero, or far down, after a write that was not taken at once. */
  onDrain(callback: () => void): void;
  /** Called once, with the reason in a few words; at the end of this turn if that has happened already. */
  onClose(callback: (why: string) => void): void;

  /** Sends what is buffered, then closes; CLOSE_FLUSH_MS is the most it takes. Nothing more is received. */
  close(): void;
  /** Closes at once; what is buffered is lost. */
  abort(): void;
  /** Stops reading until `resume`; what has arrived already is held back too. */
  pause(): void;
  resume(): void;
}

/** A transport on which the handshake is done. The receiver calls `transport.onData` and feeds `rest` first. */
export interface NewLink {
  readonly transport: Transport;
  readonly established: Established;
  /** bytes that came behind the handshake */
  readonly rest: Uint8Array;
  readonly direction: 'dialed' | 'accepted';
  /** dialed: the address that worked, as it was given; accepted: HOST:PORT of the other end; relayed: `relay:NODEID` */
  readonly address: string;
}

/** How long a closed transport may take to get rid of its last bytes. */
export const CLOSE_FLUSH_MS = 3_000;
