/** `warren keys backup` and `warren keys restore`. */
import { fork } from 'node:child_process';
import { closeSync, existsSync, fsyncSync, openSync, renameSync, rmSync, statSync, writeSync } from 'node:fs';
import { basename, dirname, join, parse, resolve } from 'node:path';
import { PATHS, type BackupReply, type BackupRequest, type KeysReply } from '../../protocol/admin/contract.js';
import type { PassphraseAnswer, RestoreReply, RestoreRequest } from '../../protocol/admin/programs.js';
import { WarrenError } from '../../protocol/errors.js';
import type { Context, Options } from '../context.js';
import { shortId } from '../output/format.js';
import { clean } from '../output/text.js';
import { askPassphrase, nobodyToAsk, passphraseFor, readPassphraseFile } from '../passphrase.js';
import type { World } from '../world.js';

export async function backup(context: Context, argument: string, options: Options): Promise<void> {
  const { world } = context;
  const file = resolve(world.cwd, argument);
  refuseTaken(file);
  // Nobody should type a passphrase twice to learn that no daemon runs.
  await context.client.get<KeysReply>(PATHS.keys);
  const passphrase = await passphraseFor(world, options.passphraseFile as string | undefined, {
    purpose: 'choose',
    of: file,
  });
  const request: BackupRequest = { passphrase };
  const reply = await context.client.post<BackupReply>(PATHS.backup, request);
  write(file, reply.document);
  context.talk(`the backup is in ${file}; make a new one after each rotation of the keys`);
}

/** A backup or a next-key file that somebody needs is never written over. */
function refuseTaken(file: string): void {
  if (existsSync(file))
    throw new WarrenError('exists', `${file} exists already`, { hint: 'name another file, or remove that one' });
  if (statSync(dirname(file), { throwIfNoEntry: false })?.isDirectory() !== true)
    throw new WarrenError('not-found', `there is no folder ${dirname(file)}`, {
      hint: 'make it, or name another file',
    });
}

/** Whole or not at all. */
function write(file: string, text: string): void {
  const temporary = join(dirname(file), `.${basename(file)}.${process.pid}.tmp`);
  try {
    const fd = openSync(temporary, 'wx', 0o600);
    try {
      const bytes = Buffer.from(text, 'utf8');
      for (let at = 0; at < bytes.length;) at += writeSync(fd, bytes, at);
      fsyncSync(fd);
    } finally {
      closeSync(fd);
    }
    refuseTaken(file);
    renameSync(temporary, file);
  } catch (error) {
    rmSync(temporary, { force: true });
    if (error instanceof WarrenError) throw error;
    throw new WarrenError('disk', `cannot write ${file}: ${(error as NodeJS.ErrnoException).code ?? String(error)}`, {
      hint: 'name a file in a folder that you may write to',
      cause: error,
    });
  }
}

export async function restore(context: Context, argument: string, options: Options): Promise<void> {
  const { world, home } = context;
  const from = options.passphraseFile as string | undefined;
  const passphrase = from === undefined ? undefined : await readPassphraseFile(world, from);
  if (from !== undefined && passphrase === undefined && !world.interactive) throw nobodyToAsk(from);
  const request: RestoreRequest = {
    kind: 'restore',
    home,
    file: resolve(world.cwd, argument),
    passphrase,
    ...(world.interactive && { asks: 'open' as const }),
  };
  const reply = await runRestore(world, request);
  context.talk(`restored ${clean(shortId(reply.node))} (statement ${reply.seq}) from ${origin(reply)}`);
  if (reply.protected) context.talk('the home opens with the passphrase of the backup');
  if (reply.keptConfig) context.talk('config.yaml was there, and stayed as it is');
  context.talk(`start it: ${context.command('up')}`);
}

type Restored = Extract<RestoreReply, { kind: 'restored' }>;

function origin({ source, backupTime }: Restored): string {
  if (source === 'next-key') return 'its next-key file, with new keys; what its lost host held counts for nothing';
  return `a backup${backupTime === null ? '' : ` of ${clean(backupTime)}`}`;
}

/** Runs the daemon's program for it, and answers its question. */
function runRestore(world: World, request: RestoreRequest): Promise<Restored> {
  const child = fork(world.restoreProgram, [], {
    cwd: parse(request.home).root,
    execPath: world.execPath,
    execArgv: [...world.execArgv],
    stdio: ['ignore', 'ignore', 2, 'ipc'],
  });
  return new Promise<Restored>((resolve, reject) => {
    child.on('message', message => {
      const reply = message as RestoreReply;
      if (reply.kind === 'restored') resolve(reply);
      else if (reply.kind === 'failed')
        reject(new WarrenError(reply.code, reply.message, reply.hint === undefined ? {} : { hint: reply.hint }));
      else
        askPassphrase(world, reply).then(passphrase => {
          const answer: PassphraseAnswer = { kind: 'passphrase', passphrase };
          child.send(answer, () => undefined);
        }, reject);
    });
    child.once('error', reject);
    child.once('exit', code =>
      reject(new WarrenError('internal', `the program that restores ended with exit code ${code ?? 1}`)),
    );
    child.send(request, () => undefined);
  }).finally(() => {
    if (child.connected) child.disconnect();
  });
}
