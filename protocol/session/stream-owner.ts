/** The session as a stream sees it. */
import type { NodeId } from '../identity/node-id.js';
import type { Limits } from '../limits.js';
import type { PeerBudget } from './credit.js';
import type { Stream } from './stream.js';

/** A control frame of whose arrival the stream must know. */
export type Tracked = 'open' | 'opened' | 'last-window' | 'reset';

/** What a stream needs of its session. */
export interface StreamOwner {
  readonly peer: NodeId;
  readonly limits: Limits;
  readonly budget: PeerBudget;
  now(): number;
  rttMs(): number | null;
  /** Takes early-data credit for an OPEN. */
  claim(): number;
  /** The stream has control frames to send. */
  hasControl(stream: Stream): void;
  /** The stream is to be opened: its OPEN may wait for the first bytes, as long as it takes to look for them once. */
  hasOpen(stream: Stream): void;
  /** The stream may have data, or FIN, to send. */
  hasData(stream: Stream): void;
  /** ... its user has just written: what is worth a record of its own may leave at once. */
  hasWritten(stream: Stream): void;
  /** Progress is to be told, but there is no hurry. */
  lags(stream: Stream): void;
  /** Progress is to be told with the next record that leaves anyway. */
  rides(stream: Stream): void;
  /** Nobody waits for what is left to tell: the end to a peer that has ended, the WINDOW that confirms an end. */
  trails(stream: Stream): void;
  /** The stream waits for budget. */
  starves(stream: Stream): void;
  /** Payload has been put into a record. @param again bytes that had been sent before */
  sent(fresh: number, again: number): void;
  /** `stream.drain()` is to be called when this is over. */
  drains(stream: Stream): void;
  /** The peer has what opens the stream: it may go on any link. */
  settled(stream: Stream): void;
  /** Both directions have ended. */
  closed(stream: Stream): void;
  /** Nothing is left to tell. */
  forget(stream: Stream): void;
}
