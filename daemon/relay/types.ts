/** What the relay room is given by the others. */
import type { NodeIdText } from '../../protocol/identity/node-id.js';
import type { OpenRequest, Stream, StreamHandler } from '../../protocol/session/index.js';

/** The name under which streams of class relay are opened; services never see them. */
export const RELAY_SERVICE = 'relay';

/** Metadata key: the node ID of the origin, as the relay tells it to the target. */
export const METADATA_FROM = 'from';

/** What this room does with a stream. After a reset in either direction every call does nothing. */
export type RelayStream = Pick<Stream, 'write' | 'end' | 'reset' | 'consumed' | 'accept' | 'unsent'>;

/** A session with a node that a link of its own carries, not a relayed one. */
export interface DirectSession {
  /** The handler hears nothing before this has returned. @throws WarrenError `unreachable` or `limit`, nothing sent */
  open(request: OpenRequest, handler: StreamHandler): RelayStream;
}

/** A connected node that says it relays. */
export interface Candidate {
  readonly id: NodeIdText;
  /** ms; null before the first measurement */
  readonly rttMs: number | null;
}

/** The peers as this room sees them. */
export interface RelayPeers {
  readonly self: NodeIdText;
  /** undefined: no such member, no session, or none that may carry relayed streams */
  direct(node: NodeIdText): DirectSession | undefined;
  /** Nodes with a direct session that takes new streams, and whose registry record says that they relay. */
  candidates(): readonly Candidate[];
  /** For people. */
  nameOf(node: NodeIdText): string;
}
