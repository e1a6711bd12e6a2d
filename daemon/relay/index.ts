/** Links through a third node: being the relay, being reached through one, dialing through one. */
export { PeersView } from './peers-view.js';
export { Relay } from './relay.js';
export type { Candidate, DirectSession, RelayPeers } from './types.js';
