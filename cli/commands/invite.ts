/** `warren invite`: the token alone for a program, a card with a QR code for a person. */
import { PATHS, type InviteReply, type InviteRequest } from '../../protocol/admin/contract.js';
import { WarrenError } from '../../protocol/errors.js';
import type { Context, Options } from '../context.js';
import { formatUntil } from '../output/format.js';
import { clean } from '../output/text.js';
import { parseDuration } from '../values.js';

const TTL_MIN_SECONDS = 60;
const TTL_MAX_SECONDS = 7 * 86_400;

export async function invite(context: Context, options: Options): Promise<void> {
  const request: InviteRequest = {
    ttlSeconds: timeToLive(String(options.ttl)),
    ...(options.tag === undefined ? {} : { tags: options.tag as readonly string[] }),
    ...(options.for === undefined ? {} : { forNode: String(options.for) }),
  };
  const reply = await context.client.post<InviteReply>(PATHS.invites, request);
  if (context.json) context.document(reply);
  else if (context.world.stdout.isTTY === true) context.print(await card(context, reply));
  else context.print(clean(reply.token));
}

function timeToLive(text: string): number {
  const seconds = parseDuration(text);
  if (seconds < TTL_MIN_SECONDS || seconds > TTL_MAX_SECONDS)
    throw new WarrenError('bad-value', `a --ttl of ${text} is not possible`, {
      hint: 'write 1m to 7d; 15m is the default',
    });
  return seconds;
}

async function card(context: Context, reply: InviteReply): Promise<string> {
  const { colour, world } = context;
  const lines = [
    ...(await qr(reply.token, context.width)),
    clean(reply.token),
    '',
    `${colour.dim('good for  ')} one node, ${formatUntil(reply.expires, world.now())}`,
    ...(reply.tags.length === 0 ? [] : [`${colour.dim('tags      ')} ${clean(reply.tags.join(', '))}`]),
    `${colour.dim('dials     ')} ${reply.addresses.length === 0 ? 'nobody: this node has no address to tell' : clean(reply.addresses.join(', '))}`,
    `${colour.dim('over there')} warren up --join -     ${colour.dim('(then paste the token)')}`,
  ];
  return lines.join('\n');
}

/** The token as a QR code, unless it does not fit the terminal or any QR code. */
async function qr(token: string, width: number | undefined): Promise<string[]> {
  const { renderUnicodeCompact } = await import('uqr');
  try {
    const lines = renderUnicodeCompact(token, { border: 2 }).split('\n');
    return (lines[0]?.length ?? 0) <= (width ?? 80) ? [...lines, ''] : [];
  } catch {
    return [];
  }
}
