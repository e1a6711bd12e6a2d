/**
 * What this room is given by the others: the nodes that expose services, streams to them, and who is at the other end.
 * Narrow on purpose: a service needs neither links nor sessions.
 */
import type { NodeId } from '../../protocol/identity/node-id.js';
import type { OpenRequest, Stream, StreamHandler } from '../../protocol/session/index.js';

export type { OpenRequest, StreamHandler } from '../../protocol/session/index.js';

/** Who asks for a service, as its grant says; proven by the handshake. */
export interface Caller {
  readonly nodeId: NodeId;
  /** empty when the node has no right to its name: no rule by name matches it then */
  readonly name: string;
  readonly tags: readonly string[];
}

/** One node that exposes a service. */
export interface Instance {
  readonly node: NodeId;
  readonly name: string;
  /** a session that can take a stream now */
  readonly reachable: boolean;
  /** streams open to it now, by which instances are balanced */
  readonly openStreams: number;
  /** this daemon itself */
  readonly local: boolean;
}

/** Metadata key: the address from which the local client came, for the exposing side's log. */
export const METADATA_SOURCE = 'source';

/** What a stream's user does with it. After a reset in either direction every call does nothing. */
export type ServiceStream = Pick<Stream, 'write' | 'end' | 'reset' | 'consumed' | 'accept'>;

export interface Mesh {
  readonly self: Caller;
  /** Every node that exposes the service, this one included; names compare without case. */
  instances(service: string): readonly Instance[];
  /** The handler hears nothing before this has returned. @throws WarrenError `unreachable` or `limit`, nothing sent */
  open(node: NodeId, request: OpenRequest, handler: StreamHandler): ServiceStream;
  /** What is known now of a member, this node included; undefined: no member any more. */
  caller(node: NodeId): Caller | undefined;
}
