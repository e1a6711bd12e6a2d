/** Paths through other members, as the keeper of a peer's links sees them; daemon/relay makes them. */
import type { NodeId, NodeIdText } from '../../protocol/identity/node-id.js';
import type { NewLink } from '../transport/transport.js';
import type { PeerLink } from './bring-up.js';

export interface RelayPaths {
  /** Members that this node has a direct link to and that relay to `peer` as far as is known, the best first. */
  viaFor(peer: NodeIdText): readonly NodeIdText[];
  /** A link to `target` through `via`, the handshake with `target` done. @throws WarrenError `unreachable` … */
  dial(via: NodeIdText, target: NodeId, signal: AbortSignal): Promise<NewLink>;
}

export function isRelayed({ transport }: PeerLink): boolean {
  return transport.kind === 'relay';
}
