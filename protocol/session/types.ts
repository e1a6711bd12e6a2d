/** What sessions and streams say to their owner, and what the owner says to them. */
import type { Code } from '../codes.js';
import type { StreamClass } from '../link/frame.js';
import type { Link } from '../link/link.js';
import type { Trouble } from './lanes.js';
import type { Session } from './session.js';
import type { Stream } from './stream.js';

/**
 * What a stream tells its user. Calls come one at a time, from within the link's `receive` or at the end of a turn; the
 * handler may call any method of stream and session. After `closed` nothing more is called.
 */
export interface StreamHandler {
  /** The other side has accepted the stream (only told to the opener). */
  opened?(): void;
  /**
   * Bytes in order. The handler owns the chunk and calls `stream.consumed(n)` as it gets rid of the bytes. A chunk below
   * COPIED_BELOW may be part of SLAB_BYTES of memory: who lets many of them wait copies them, or puts them together.
   */
  data(chunk: Uint8Array): void;
  /** All bytes of the other side have been given; the own direction stays open. */
  fin(): void;
  /** The stream is gone, both directions. `dialed`: the exposing side had reached, or tried to reach, its target. */
  reset(code: Code, dialed: boolean): void;
  /** After `write` has returned false: there is room again. */
  drain?(): void;
  /** Both directions have ended, by FIN or reset from either side. */
  closed?(): void;
}

export interface OpenRequest {
  /** 1 … 63 bytes */
  readonly service: string;
  readonly class: StreamClass;
  /** the wanted instance; left out: any */
  readonly instance?: string;
  /** at most 4 KiB in all */
  readonly metadata?: ReadonlyMap<string, string>;
}

/** What a session tells its owner. */
export interface SessionEvents {
  /** The peer opens a stream: answer with its handler, or with the code to refuse it with. */
  onStream(stream: Stream, request: OpenRequest, session: Session): StreamHandler | Code;
  /** An item from the peer that is not about streams; `body` is a view, to be copied if kept. */
  onNews(kind: number, body: Uint8Array, session: Session): void;
  /** A link carries the session (again): news must be told (again). */
  onUp(session: Session): void;
  /** No link carries the session; its streams are kept for the grace time. */
  onHeld(session: Session): void;
  /** The session is over; its streams have been reset. */
  onDown(code: Code, session: Session): void;
  /** The link does not answer, or is far slower than another one: its streams have moved, and one more is wanted. */
  onTrouble?(link: Link, trouble: Trouble, session: Session): void;
  /** Something that the operator must know. */
  onAlarm(sentence: string): void;
}

export interface SessionStats {
  readonly streams: number;
  readonly links: number;
  readonly opened: number;
  readonly accepted: number;
  readonly bytesSent: number;
  readonly bytesReceived: number;
  /** bytes sent a second time after a link was lost */
  readonly bytesResent: number;
  /** credit granted to the peer and not consumed, early-data pool included */
  readonly granted: number;
  /** bytes kept for sending again */
  readonly retained: number;
  /** bytes received out of order that wait for those in front of them */
  readonly heldOutOfOrder: number;
  /** times that a link has taken the session on after it had none */
  readonly resumptions: number;
}
