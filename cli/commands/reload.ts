/** `warren reload`: applies the edited config. */
import { PATHS, type ReloadReply } from '../../protocol/admin/contract.js';
import type { Context } from '../context.js';
import { clean } from '../output/text.js';

export async function reload(context: Context): Promise<void> {
  const reply = await context.client.post<ReloadReply>(PATHS.reload, {});
  if (context.json) context.document(reply);
  if (reply.changes.length === 0 && reply.restartNeeded.length === 0) context.talk('nothing differs from what runs');
  for (const change of reply.changes) context.talk(clean(change));
  for (const change of reply.restartNeeded) context.warn(`needs a restart: ${change}`);
  if (reply.restartNeeded.length > 0) context.talk(`hint: ${context.command('restart')}`);
}
