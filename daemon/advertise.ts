/** Which addresses a node tells others: those of the config, or what its listeners give. */
import { networkInterfaces, type NetworkInterfaceInfo } from 'node:os';
import { MAX_ADDRESSES } from '../protocol/identity/registry-record.js';
import { formatHostPort, isUnspecified, parseListen } from './transport/address.js';

type Interfaces = NodeJS.Dict<NetworkInterfaceInfo[]>;

/**
 * @param configured `node.advertise`; if there is any, nothing else is told. A node that does not listen tells none
 * @param bound HOST:PORT with real ports, as the listeners are bound
 * @returns at most 16 addresses, in the order in which others should try them
 */
export function addressesToTell(
  configured: readonly string[],
  bound: readonly string[],
  interfaces: Interfaces = networkInterfaces(),
): string[] {
  if (bound.length === 0) return [];
  const told = configured.length > 0 ? configured : bound.flatMap(listen => reachable(listen, interfaces));
  return [...new Set(told)].slice(0, MAX_ADDRESSES);
}

/** A listener on every interface is reached at each interface's address; on loopback only when there is no other. */
function reachable(listen: string, interfaces: Interfaces): string[] {
  const { host, port } = parseListen(listen);
  if (!isUnspecified(host)) return [listen];
  const all = Object.values(interfaces).flatMap(list => list ?? []);
  const fits = all.filter(({ family }) => family === 'IPv4' || host.includes(':'));
  const usable = fits.filter(({ internal, address }) => !internal && !address.toLowerCase().startsWith('fe80:'));
  const chosen = usable.length > 0 ? usable : fits.filter(({ internal }) => internal);
  return chosen.map(({ address }) => formatHostPort(address, port));
}
