/** `warren peers`, `warren peer remove|promote|demote`, `warren ping`. */
import {
  PATHS,
  type Done,
  type LinkInfo,
  type PeerInfo,
  type PeersReply,
  type PingReply,
  type PingRequest,
  type RoleRequest,
} from '../../protocol/admin/contract.js';
import { WarrenError } from '../../protocol/errors.js';
import { fill } from '../client.js';
import type { Context } from '../context.js';
import { sentence } from '../output/error.js';
import { formatRtt, formatSince, shortId } from '../output/format.js';
import { table, type Cell, type Column } from '../output/table.js';
import { clean } from '../output/text.js';
import { parseCount, segment } from '../values.js';

/** A ping may take its deadline (5 s), and pings go out a second apart. */
const PING_TIMEOUT_EACH_MS = 6_000;
const PING_TIMEOUT_MORE_MS = 10_000;
const PINGS_MAX = 100;

export async function peers(context: Context): Promise<void> {
  const reply = await context.client.get<PeersReply>(PATHS.peers);
  if (context.json) return context.document(reply);
  if (reply.peers.length === 0) return context.talk('no other node is known; let one in: warren invite');
  for (const line of peerTable(context, reply.peers)) context.print(line);
}

export async function remove(context: Context, node: string): Promise<void> {
  const reply = await context.client.delete<Done>(fill(PATHS.peer, { node: segment(node, 'node') }));
  context.talk(clean(reply.note ?? `${node} is removed here`));
}

export async function setRole(context: Context, node: string, action: RoleRequest['action']): Promise<void> {
  const request: RoleRequest = { action };
  const reply = await context.client.put<Done>(fill(PATHS.role, { node: segment(node, 'node') }), request);
  context.talk(clean(reply.note ?? `${node}: ${action}d`));
}

export async function ping(context: Context, node: string, countText: string): Promise<void> {
  const count = parseCount(countText, 'count', 1, PINGS_MAX);
  const request: PingRequest = { count };
  const timeoutMs = count * PING_TIMEOUT_EACH_MS + PING_TIMEOUT_MORE_MS;
  const path = fill(PATHS.ping, { node: segment(node, 'node') });
  const reply = await context.client.post<PingReply>(path, request, { timeoutMs });
  const answers = reply.rttMs.filter(rtt => rtt !== null);
  if (answers.length === 0)
    throw new WarrenError('unreachable', `${reply.node} has not answered any of ${reply.rttMs.length} pings`, {
      hint: 'see how it is connected: warren peers',
    });
  if (context.json) return context.document(reply);
  for (const [i, rtt] of reply.rttMs.entries())
    context.print(
      `${clean(reply.node)} over ${reply.transport}: ${rtt === null ? `no answer to ping ${i + 1}` : formatRtt(rtt)}`,
    );
  const mean = answers.reduce((sum, rtt) => sum + rtt, 0) / answers.length;
  const summary = `${answers.length} of ${reply.rttMs.length} answered`;
  context.print(
    `${summary}, min/mean/max ${formatRtt(Math.min(...answers))} / ${formatRtt(mean)} / ${formatRtt(Math.max(...answers))}`,
  );
}

const COLUMNS: readonly Column[] = [
  { title: 'NAME' },
  { title: 'ID' },
  { title: 'STATE' },
  { title: 'LINKS', align: 'right' },
  { title: 'VIA' },
  { title: 'RTT', align: 'right' },
  { title: 'STREAMS', align: 'right' },
  { title: 'SINCE', align: 'right' },
  { title: 'NOTE' },
];

/** Also part of `warren status`. */
export function peerTable(context: Context, list: readonly PeerInfo[], indent = 0): string[] {
  const now = context.world.now();
  const rows = list.map(peer => {
    const link = peer.links.find(isDirect) ?? peer.links[0];
    return [
      peer.name,
      shortId(peer.id),
      stateCell(context, peer),
      String(peer.links.length),
      link === undefined ? '–' : via(link),
      formatRtt(bestRtt(peer.links)),
      String(peer.streams),
      link === undefined ? '–' : formatSince(link.since, now),
      notes(peer, now),
    ];
  });
  return table(COLUMNS, rows, { title: context.colour.dim, width: context.width, indent });
}

function isDirect(link: LinkInfo): boolean {
  return link.transport !== 'relay';
}

function via(link: LinkInfo): string {
  if (link.via !== null) return `${link.transport} through ${link.via}`;
  return `${link.transport} ${link.direction === 'dialed' ? 'to' : 'from'} ${link.address}`;
}

function bestRtt(links: readonly LinkInfo[]): number | null {
  const known = links.map(link => link.rttMs).filter(rtt => rtt !== null);
  return known.length === 0 ? null : Math.min(...known);
}

function stateCell({ colour }: Context, peer: PeerInfo): Cell {
  const paint = {
    // Through a relay alone is slower, and depends on a third host.
    connected: peer.links.some(isDirect) ? colour.green : colour.yellow,
    held: colour.yellow,
    connecting: colour.yellow,
    down: colour.red,
    denied: colour.red,
  }[peer.state];
  return { text: peer.state, paint };
}

function notes(peer: PeerInfo, now: number): string {
  return [
    ...(peer.admin ? ['admin'] : []),
    ...peer.tags.map(tag => `tag:${tag}`),
    ...(peer.state === 'held' ? ['streams wait for a link'] : []),
    ...(peer.links.length === 0 && peer.lastSeen !== null ? [`seen ${formatSince(peer.lastSeen, now)} ago`] : []),
    ...(peer.problem === null ? [] : [sentence(peer.problem)]),
  ].join(', ');
}
