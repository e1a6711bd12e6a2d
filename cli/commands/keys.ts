/** `warren keys show` and `warren keys log`. */
import { PATHS, type KeyLogReply, type KeysReply } from '../../protocol/admin/contract.js';
import type { Context } from '../context.js';
import { formatUntil } from '../output/format.js';
import { table } from '../output/table.js';
import { clean } from '../output/text.js';

export async function show(context: Context): Promise<void> {
  const reply = await context.client.get<KeysReply>(PATHS.keys);
  if (context.json) return context.document(reply);
  const { colour, world } = context;
  const rows: [string, string][] = [
    ['name', reply.node.name],
    ['node ID', reply.node.id],
    ['fingerprint', reply.node.fingerprint],
    ['network', reply.network.id],
    ['key log', `statement ${reply.seq}, since ${reply.since}`],
    [
      'grant',
      reply.grantExpires === null
        ? 'does not expire'
        : `expires in ${formatUntil(reply.grantExpires, world.now())} (${reply.grantExpires})`,
    ],
    ['next key', reply.nextKey],
  ];
  for (const [name, value] of rows) context.print(`${colour.dim(name.padEnd(11))}  ${clean(value)}`);
}

export async function log(context: Context): Promise<void> {
  const reply = await context.client.get<KeyLogReply>(PATHS.keyLog);
  if (context.json) return context.document(reply);
  const lines = table(
    [
      { title: 'SEQ', align: 'right' },
      { title: 'TIME' },
      { title: 'REASON' },
      { title: 'SIGNING KEY' },
      { title: 'HASH' },
    ],
    reply.statements.map(s => [String(s.seq), s.time, s.reason, s.signingKey, s.hash]),
    { title: context.colour.dim, width: context.width },
  );
  for (const line of lines) context.print(line);
}
