/** What a next-key file takes along besides the key and the log: the network as this node knows it now. */
import type { NextKey } from '../home/next-key.js';
import type { Network } from '../peers/network.js';
import type { Peers } from '../peers/peers.js';

export type Surroundings = Omit<NextKey, 'seed' | 'statements'>;

export function surroundings(
  network: Pick<Network, 'nodeId' | 'networkId' | 'name' | 'heldSecrets' | 'trust'>,
  peers: Pick<Peers, 'all' | 'addressesOf'>,
): Surroundings {
  return {
    nodeId: network.nodeId,
    networkId: network.networkId,
    name: network.name,
    secrets: network.heldSecrets(),
    addresses: [...new Set(peers.all().flatMap(peer => peers.addressesOf(peer)))],
    items: network.trust.items(),
  };
}
