/** `warren connect`, `warren disconnect`, `warren tunnels`: services of the network at local addresses. */
import {
  PATHS,
  type ConnectReply,
  type ConnectRequest,
  type Done,
  type TunnelInfo,
  type TunnelsReply,
} from '../../protocol/admin/contract.js';
import { fill } from '../client.js';
import type { Context } from '../context.js';
import { formatBytes } from '../output/format.js';
import { table, type Cell, type Column } from '../output/table.js';
import { clean } from '../output/text.js';
import { absoluteUnix, segment } from '../values.js';

export async function connect(context: Context, service: string, listen: string | undefined): Promise<void> {
  const request: ConnectRequest = {
    service: segment(service, 'service name'),
    ...(listen === undefined ? {} : { listen: absoluteUnix(listen, context.world.cwd) }),
  };
  const reply = await context.client.post<ConnectReply>(PATHS.tunnels, request);
  if (context.json) context.document(reply);
  else context.print(clean(reply.listen));
  if (reply.warning !== undefined) context.warn(reply.warning);
}

export async function disconnect(context: Context, service: string): Promise<void> {
  const path = fill(PATHS.tunnel, { service: segment(service, 'service name') });
  const reply = await context.client.delete<Done>(path);
  context.talk(clean([`${service} is not mapped any more`, reply.note].filter(Boolean).join('; ')));
}

export async function tunnels(context: Context): Promise<void> {
  const reply = await context.client.get<TunnelsReply>(PATHS.tunnels);
  if (context.json) return context.document(reply);
  if (reply.tunnels.length === 0) return context.talk('no service is mapped here; map one: warren connect SERVICE');
  for (const line of tunnelTable(context, reply.tunnels)) context.print(line);
}

const COLUMNS: readonly Column[] = [
  { title: 'SERVICE' },
  { title: 'LISTEN' },
  { title: 'STATE' },
  { title: 'INSTANCES', align: 'right' },
  { title: 'OPEN', align: 'right' },
  { title: 'TOTAL', align: 'right' },
  { title: 'DENIED', align: 'right' },
  { title: 'FAILED', align: 'right' },
  { title: 'SENT', align: 'right' },
  { title: 'RECEIVED', align: 'right' },
  { title: 'PROBLEM' },
];

/** Also part of `warren status`. */
export function tunnelTable(context: Context, list: readonly TunnelInfo[], indent = 0): string[] {
  const rows = list.map(t => [
    t.service,
    t.listen,
    stateCell(context, t),
    String(t.instances),
    String(t.openStreams),
    String(t.totalStreams),
    countCell(context, t.denied),
    countCell(context, t.failed),
    formatBytes(t.bytesSent),
    formatBytes(t.bytesReceived),
    t.problem ?? '',
  ]);
  return table(COLUMNS, rows, { title: context.colour.dim, width: context.width, indent });
}

function stateCell({ colour }: Context, tunnel: TunnelInfo): Cell {
  const paint = { listening: colour.green, unreachable: colour.red, waiting: colour.yellow, failed: colour.red }[
    tunnel.state
  ];
  return { text: tunnel.state, paint };
}

/** A count that is better zero. */
export function countCell({ colour }: Context, count: number): Cell {
  return count === 0 ? '0' : { text: String(count), paint: colour.yellow };
}
