/** `warren status`: at a glance who is connected and how, what is exposed, what is mapped. */
import { setTimeout as sleep } from 'node:timers/promises';
import { PATHS, type Status } from '../../protocol/admin/contract.js';
import { usage, type Context } from '../context.js';
import { formatError, sentence } from '../output/error.js';
import { formatSince, formatUntil, shortId } from '../output/format.js';
import { clean } from '../output/text.js';
import { peerTable } from './peers.js';
import { exposedTable } from './services.js';
import { tunnelTable } from './tunnels.js';

const WATCH_INTERVAL_MS = 1_000;
const CLEAR_TO_LINE_END = '\u001b[K';
const CLEAR_BELOW = '\u001b[J';
const TOP_LEFT = '\u001b[H';
const CLEAR_SCREEN = '\u001b[2J';

export async function status(context: Context, watch: boolean): Promise<void> {
  if (watch && context.json)
    throw usage('--watch and --json do not go together', 'ask for --json as often as you need it');
  const first = await context.client.get<Status>(PATHS.status);
  if (context.json) return context.document(first);
  const view = statusView(context, first);
  if (!watch) return context.print(view.join('\n'));
  await watchStatus(context, view);
}

/** Draws the view again and again, over itself on a terminal, until the process is interrupted. */
async function watchStatus(context: Context, first: readonly string[]): Promise<void> {
  const terminal = context.world.stdout.isTTY === true;
  if (terminal) context.world.stdout.write(CLEAR_SCREEN);
  let view = first;
  for (;;) {
    if (terminal) context.world.stdout.write(frame(view, context.world.stdout.rows));
    else context.print(`${view.join('\n')}\n`);
    await sleep(WATCH_INTERVAL_MS);
    try {
      view = statusView(context, await context.client.get<Status>(PATHS.status));
    } catch (error) {
      // A daemon that restarts is gone for a moment only.
      view = formatError(error, context.colour).trimEnd().split('\n');
    }
  }
}

/** No clearing of the whole screen between two frames: it would flicker. */
function frame(view: readonly string[], rows = Infinity): string {
  const shown = view.slice(0, Math.max(1, rows - 1));
  return TOP_LEFT + shown.map(line => `${line}${CLEAR_TO_LINE_END}\n`).join('') + CLEAR_BELOW;
}

function statusView(context: Context, reply: Status): string[] {
  const { colour } = context;
  const section = (title: string, lines: readonly string[], empty: string): string[] => [
    '',
    colour.bold(title),
    ...(lines.length === 0 ? [`  ${colour.dim(empty)}`] : lines),
  ];
  return [
    ...head(context, reply),
    ...section('Peers', peerTable(context, reply.peers, 2), 'none; let one in: warren invite'),
    ...section(
      'Exposed here',
      exposedTable(context, reply.services, 2),
      'nothing; expose a service: warren expose NAME TARGET',
    ),
    ...section('Mapped here', tunnelTable(context, reply.tunnels, 2), 'nothing; map a service: warren connect SERVICE'),
    ...warnings(context, reply),
  ];
}

function head(context: Context, reply: Status): string[] {
  const { colour, world } = context;
  const { node, network } = reply;
  const field = (name: string, value: string): string => `${colour.dim(name.padEnd(9))}  ${clean(value)}`;
  const standing = [
    ...(node.admin ? ['admin'] : []),
    ...node.tags.map(tag => `tag:${tag}`),
    ...(node.grantExpires === null ? [] : [`grant for ${formatUntil(node.grantExpires, world.now())} more`]),
  ];
  const listens = reply.listen.length === 0 ? 'nowhere (outbound only)' : reply.listen.join(', ');
  return [
    `${colour.bold(clean(node.name))}  ${reply.state === 'ready' ? colour.green('ready') : colour.yellow(reply.state)}`,
    field('node', [shortId(node.id), ...standing].join(', ')),
    field('network', `${shortId(network.id)}, ${network.members} ${network.members === 1 ? 'member' : 'members'}`),
    field('listens', `${listens}${reply.mdns ? ', mDNS' : ''}`),
    ...(reply.advertise.length === 0 || reply.advertise.join() === reply.listen.join()
      ? []
      : [field('tells', reply.advertise.join(', '))]),
    ...(reply.proxy === null ? [] : [field('dials', `through ${reply.proxy}`)]),
    ...(reply.relay.on ? [field('relays', `${count(reply.relay.links, 'link')} of other members now`)] : []),
    field(
      'daemon',
      `${reply.version}, pid ${reply.pid}, up ${formatSince(reply.since, world.now())}, home ${reply.home}`,
    ),
  ];
}

function count(n: number, what: string): string {
  return `${n} ${n === 1 ? what : `${what}s`}`;
}

function warnings({ colour }: Context, reply: Status): string[] {
  if (reply.warnings.length === 0) return [];
  return ['', ...reply.warnings.map(text => `${colour.yellow('!')} ${sentence(text)}`)];
}
