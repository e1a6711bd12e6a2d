/** The services of the whole network as the admin API shows them, folded from what each node tells. Plain data only. */
import type { ExposedInfo, InstanceInfo, ServiceInfo, TunnelInfo } from '../../protocol/admin/contract.js';
import { serviceKey } from './names.js';

/** A service as its node's registry record describes it. */
export interface AnnouncedService {
  readonly name: string;
  readonly version?: string | null;
  readonly description?: string | null;
  readonly tags?: readonly string[];
}

/** One remote node and what it announces. */
export interface AnnouncingNode {
  readonly name: string;
  /** text form */
  readonly nodeId: string;
  readonly reachable: boolean;
  readonly services: readonly AnnouncedService[];
}

export interface NetworkServices {
  /** remote nodes only */
  readonly nodes: readonly AnnouncingNode[];
  readonly exposed: readonly ExposedInfo[];
  readonly tunnels: readonly TunnelInfo[];
}

/** One entry per service that is exposed here or elsewhere, or that a tunnel waits for; by name, without regard to case. */
export function servicesView({ nodes, exposed, tunnels }: NetworkServices): ServiceInfo[] {
  const names = new Map<string, string>();
  const note = (name: string): void => {
    if (!names.has(serviceKey(name))) names.set(serviceKey(name), name);
  };
  for (const service of exposed) note(service.name);
  for (const node of nodes) for (const service of node.services) note(service.name);
  for (const tunnel of tunnels) note(tunnel.service);
  return [...names]
    .sort(([a], [b]) => (a < b ? -1 : 1))
    .map(([key, name]) => ({
      name,
      local: exposed.find(service => serviceKey(service.name) === key) ?? null,
      instances: instancesView(key, nodes),
      tunnels: tunnels.filter(tunnel => serviceKey(tunnel.service) === key).map(tunnel => tunnel.listen),
    }));
}

/** The remote instances of one service: reachable ones first, then by the node's name. */
export function instancesView(service: string, nodes: readonly AnnouncingNode[]): InstanceInfo[] {
  const key = serviceKey(service);
  return nodes
    .flatMap(node =>
      node.services
        .filter(announced => serviceKey(announced.name) === key)
        .slice(0, 1)
        .map(announced => ({
          node: node.name,
          nodeId: node.nodeId,
          version: announced.version ?? null,
          description: announced.description ?? null,
          tags: announced.tags ?? [],
          reachable: node.reachable,
        })),
    )
    .sort((a, b) => Number(b.reachable) - Number(a.reachable) || a.node.localeCompare(b.node));
}
