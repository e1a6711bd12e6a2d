/** `warren keys show`, `log`, `rotate`, `detach-next`, `revoke` and `settle`. */
import { existsSync } from 'node:fs';
import { resolve } from 'node:path';
import {
  PATHS,
  type DetachRequest,
  type Done,
  type KeyLogReply,
  type KeysReply,
  type RotateReply,
  type RotateRequest,
  type SettleRequest,
} from '../../protocol/admin/contract.js';
import { WarrenError } from '../../protocol/errors.js';
import { fill } from '../client.js';
import type { Context, Options } from '../context.js';
import { passphraseFor } from '../passphrase.js';
import { oneOf, segment } from '../values.js';
import { formatSince, formatUntil } from '../output/format.js';
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
    ['in words', reply.node.words],
    ['network', reply.network.id],
    ['key log', `statement ${reply.seq} (${reply.hash.slice(0, 16)}), since ${reply.since}`],
    ['age', formatSince(reply.since, world.now())],
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

const REASONS = ['routine', 'compromised'] as const;
const AFFIRM = ['signed-here', 'all', 'none'] as const;

export async function rotate(context: Context, options: Options): Promise<void> {
  const request: RotateRequest = {
    ...(options.reason === undefined ? {} : { reason: oneOf('--reason', String(options.reason), REASONS) }),
    ...(options.affirm === undefined ? {} : { affirm: oneOf('--affirm', String(options.affirm), AFFIRM) }),
    ...(options.networkSecret === true ? { networkSecret: true } : {}),
  };
  const file = options.nextKey === undefined ? undefined : resolve(context.world.cwd, String(options.nextKey));
  const sealed = file === undefined ? {} : { nextFile: file, passphrase: await passphraseOf(context, file, options) };
  const reply = await context.client.post<RotateReply>(PATHS.keysRotate, { ...request, ...sealed });
  if (context.json) context.document(reply);
  tellRotation(context, reply);
}

export async function detachNext(context: Context, argument: string, options: Options): Promise<void> {
  const file = resolve(context.world.cwd, argument);
  if (existsSync(file))
    throw new WarrenError('exists', `${file} exists already`, { hint: 'name another file; it is never written over' });
  const request: DetachRequest = { file, passphrase: await passphraseOf(context, file, options) };
  const reply = await context.client.post<RotateReply>(PATHS.keysDetach, request);
  if (context.json) context.document(reply);
  tellRotation(context, reply);
  context.talk(`the next key lies in ${file} alone: keep it on another medium, and its passphrase elsewhere`);
}

/** Of the file of the next key: that of an existing one, or a new one for a new file. */
async function passphraseOf(context: Context, file: string, options: Options): Promise<string> {
  // Nobody should type a passphrase to learn that no daemon runs.
  await context.client.get<KeysReply>(PATHS.keys);
  const question = { purpose: existsSync(file) ? 'open' : 'choose', of: file } as const;
  return passphraseFor(context.world, options.passphraseFile as string | undefined, question);
}

/** What there is to say of a rotation, on standard error. */
export function tellRotation(context: Context, reply: RotateReply): void {
  if (reply.reason !== null)
    context.talk(
      reply.reason === 'routine'
        ? `new keys, statement ${reply.seq}; links are replaced within a minute, nothing is interrupted`
        : `new keys, statement ${reply.seq}; everything proven with earlier keys is refused from now on`,
    );
  if (reply.networkSecretEpoch !== null)
    context.talk(`the network has a new secret, epoch ${reply.networkSecretEpoch}; members get it as they connect`);
  if (reply.notAffirmed.length > 0)
    context.talk(
      `no member any more, since this home did not sign it itself: ${clean(reply.notAffirmed.join(', '))}; ` +
        'if they are yours: warren keys rotate --reason compromised --affirm all',
    );
}

export async function revoke(context: Context, node: string): Promise<void> {
  const reply = await context.client.put<Done>(fill(PATHS.revocation, { node: segment(node, 'node') }), {});
  context.talk(clean(reply.note ?? `${node} is revoked`));
}

export async function settle(context: Context, node: string, standing: string): Promise<void> {
  if (!/^[0-9a-f]{8,64}$/i.test(standing))
    throw new WarrenError('bad-value', `"${clean(standing)}" is no hash, nor its first 8 characters at least`, {
      hint: 'warren doctor tells the command with the hash of the branch that is to stand',
    });
  const request: SettleRequest = { standing };
  const reply = await context.client.put<Done>(fill(PATHS.settlement, { node: segment(node, 'node') }), request);
  context.talk(clean(reply.note ?? `the fork of ${node} is settled`));
}
