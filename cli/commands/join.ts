/** `warren join`: hands an invite to the running daemon. */
import { PATHS, type JoinReply, type JoinRequest } from '../../protocol/admin/contract.js';
import type { Context } from '../context.js';
import { JOIN_TIMEOUT_MS } from '../daemon-process.js';
import { clean } from '../output/text.js';
import { readToken } from '../token.js';

export async function join(context: Context, argument: string): Promise<void> {
  const request: JoinRequest = { token: await readToken(context.world, argument) };
  const reply = await context.client.post<JoinReply>(PATHS.join, request, { timeoutMs: JOIN_TIMEOUT_MS });
  if (context.json) context.document(reply);
  context.talk(joined(reply));
}

/** One line on who let this node in, or on why nothing was done. */
export function joined(reply: JoinReply): string {
  return reply.note === undefined
    ? `joined the network of ${clean(reply.inviter)} as ${clean(reply.name)}`
    : clean(reply.note);
}
