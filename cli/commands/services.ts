/** `warren expose`, `warren unexpose`, `warren services`. */
import {
  PATHS,
  type Done,
  type ExposedInfo,
  type ExposeReply,
  type ExposeRequest,
  type ServiceInfo,
  type ServicesReply,
} from '../../protocol/admin/contract.js';
import { fill } from '../client.js';
import type { Context, Options } from '../context.js';
import { table, type Column } from '../output/table.js';
import { clean } from '../output/text.js';
import { absoluteUnix, segment } from '../values.js';
import { countCell } from './tunnels.js';

export async function expose(context: Context, name: string, target: string, options: Options): Promise<void> {
  const request: ExposeRequest = {
    target: absoluteUnix(target, context.world.cwd),
    version: options.version as string | undefined,
    description: options.description as string | undefined,
    tags: options.tag as readonly string[] | undefined,
    allow: options.allow as readonly string[] | undefined,
    deny: options.deny as readonly string[] | undefined,
  };
  const path = fill(PATHS.service, { name: segment(name, 'service name') });
  const reply = await context.client.put<ExposeReply>(path, request);
  if (context.json) context.document(reply);
  context.talk(clean(`${reply.service.name} is exposed: ${reply.service.target}, for ${audience(reply.service)}`));
}

export async function unexpose(context: Context, name: string): Promise<void> {
  const reply = await context.client.delete<Done>(fill(PATHS.service, { name: segment(name, 'service name') }));
  context.talk(clean([`${name} is not exposed any more`, reply.note].filter(Boolean).join('; ')));
}

export async function services(context: Context): Promise<void> {
  const reply = await context.client.get<ServicesReply>(PATHS.services);
  if (context.json) return context.document(reply);
  if (reply.services.length === 0)
    return context.talk('nobody exposes a service; expose one: warren expose NAME TARGET');
  const columns = ['NAME', 'AT', 'MAPPED TO', 'VERSION', 'TAGS', 'DESCRIPTION'].map(title => ({ title }));
  const rows = reply.services.map(service => [
    service.name,
    places(service),
    service.tunnels.join(', '),
    distinct(service, at => at.version),
    [...new Set(sources(service).flatMap(at => at.tags))].join(', '),
    distinct(service, at => at.description),
  ]);
  for (const line of table(columns, rows, { title: context.colour.dim, width: context.width })) context.print(line);
}

/** Who exposes it: "here", the nodes by name, those out of reach in brackets. */
function places(service: ServiceInfo): string {
  const there = service.instances.map(at => (at.reachable ? at.node : `(${at.node})`));
  return [...(service.local === null ? [] : ['here']), ...there].join(', ');
}

interface Source {
  readonly version: string | null;
  readonly description: string | null;
  readonly tags: readonly string[];
}

function sources(service: ServiceInfo): readonly Source[] {
  return [...(service.local === null ? [] : [service.local]), ...service.instances];
}

function distinct(service: ServiceInfo, of: (at: Source) => string | null): string {
  return [...new Set(sources(service).map(of))].filter(text => text !== null && text !== '').join(' | ');
}

/** In words, whom the service is for. */
function audience(service: ExposedInfo): string {
  const allowed = service.allow.length === 0 ? 'every member' : service.allow.join(', ');
  return service.deny.length === 0 ? allowed : `${allowed}, but not ${service.deny.join(', ')}`;
}

const EXPOSED_COLUMNS: readonly Column[] = [
  { title: 'NAME' },
  { title: 'TARGET' },
  { title: 'OPEN', align: 'right' },
  { title: 'TOTAL', align: 'right' },
  { title: 'DENIED', align: 'right' },
  { title: 'FAILED', align: 'right' },
  { title: 'FOR' },
];

/** The services of this host, as `warren status` shows them. */
export function exposedTable(context: Context, list: readonly ExposedInfo[], indent = 0): string[] {
  const rows = list.map(s => [
    s.name,
    s.target,
    String(s.openStreams),
    String(s.totalStreams),
    countCell(context, s.deniedStreams),
    countCell(context, s.failedStreams),
    audience(s),
  ]);
  return table(EXPOSED_COLUMNS, rows, { title: context.colour.dim, width: context.width, indent });
}
