/**
 * `warren up`: starts the daemon's program as a process. In the foreground it stays with it, hands signals on and
 * starts it again when it restarts; with `--detach` it leaves when the daemon is ready.
 */
import { closeSync, openSync } from 'node:fs';
import { resolve } from 'node:path';
import type { Command } from 'commander';
import { MAX_LINKS, type Status } from '../../protocol/admin/contract.js';
import type { StartRequest } from '../../protocol/admin/programs.js';
import { Ended, interrupted, usage, type Context, type Options } from '../context.js';
import {
  DaemonProcess,
  describe,
  exitCodeOfEnding,
  JOIN_TIMEOUT_MS,
  START_TIMEOUT_MS,
  type Ready,
} from '../daemon-process.js';
import { EXIT } from '../exit.js';
import { formatError } from '../output/error.js';
import { shortId } from '../output/format.js';
import { clean } from '../output/text.js';
import { adminSocket } from '../home.js';
import { nobodyToAsk, readPassphraseFile } from '../passphrase.js';
import { readToken } from '../token.js';
import { absoluteUnix, parseCount, withoutCredentials } from '../values.js';
import { joined } from './join.js';

export async function up(context: Context, options: Options, command: Command): Promise<void> {
  const detach = options.detach === true;
  const request = await startRequest(context, options, command, !detach);
  if (detach) await startDetached(context, request);
  else await stayInForeground(context, request);
}

async function startRequest(
  context: Context,
  options: Options,
  command: Command,
  foreground: boolean,
): Promise<StartRequest> {
  const { world, home } = context;
  adminSocket(world, home);
  const given = <T>(name: string): T | undefined =>
    command.getOptionValueSource(name) === 'cli' ? (options[name] as T) : undefined;
  const listen = given<readonly string[] | false>('listen');
  const join = given<string>('join');
  const links = given<string>('links');
  const proxy = given<string>('proxy');
  const nextKey = given<string>('nextKey');
  const secrets = await passphrases(context, given('passphraseFile'), given('nextPassphraseFile'), join);
  return {
    kind: 'start',
    home,
    foreground,
    name: given<string>('name'),
    ...(listen === false ? { noListen: true } : { listen: listen?.map(address => absoluteUnix(address, world.cwd)) }),
    advertise: given<readonly string[]>('advertise'),
    mdns: given<boolean>('mdns'),
    links: links === undefined ? undefined : parseCount(links, 'number of links', 1, MAX_LINKS),
    proxy: proxy === undefined ? undefined : withoutCredentials(proxy),
    join: join === undefined ? undefined : await readToken(world, join),
    nextKey: nextKey === undefined ? undefined : resolve(world.cwd, nextKey),
    ...secrets,
  };
}

/** What is read here is read once; a terminal is asked by the daemon's question, once it knows what for. */
async function passphrases(
  { world }: Context,
  home: string | undefined,
  nextKey: string | undefined,
  join: string | undefined,
): Promise<Pick<StartRequest, 'passphrase' | 'nextPassphrase' | 'asks'>> {
  if ([home, nextKey, join].filter(argument => argument === '-').length > 1 && !world.interactive)
    throw usage('standard input can be read once only', 'take a file for the other one');
  const passphrase = home === undefined ? undefined : await readPassphraseFile(world, home);
  const nextPassphrase = nextKey === undefined ? undefined : await readPassphraseFile(world, nextKey);
  // A new home must not lie open because nobody could be asked.
  for (const [argument, text] of [[home, passphrase] as const, [nextKey, nextPassphrase] as const])
    if (argument !== undefined && text === undefined && !world.interactive) throw nobodyToAsk(argument);
  const asks = home !== undefined && passphrase === undefined ? 'choose' : 'open';
  return { passphrase, nextPassphrase, ...(world.interactive && { asks }) };
}

/** Starts a daemon that outlives this process; returns when it is ready. No daemon is left when it fails. */
export async function startDetached(context: Context, request: StartRequest): Promise<void> {
  const daemon = new DaemonProcess(context.world, request, true);
  let stopped = false;
  const restore = (['SIGINT', 'SIGTERM', 'SIGHUP'] as const).map(signal =>
    context.world.onSignal(signal, () => {
      stopped = true;
      void daemon.end();
    }),
  );
  try {
    const ready = await daemon.ready(timeoutFor(request));
    daemon.release();
    tellReady(context, ready, false);
  } catch (error) {
    throw stopped ? interrupted() : failedToStart(context, error);
  } finally {
    for (const undo of restore) undo();
  }
}

async function stayInForeground(context: Context, first: StartRequest): Promise<void> {
  const { world } = context;
  let request = first;
  let daemon: DaemonProcess;
  let stopping: NodeJS.Signals | undefined;
  for (const signal of ['SIGINT', 'SIGTERM'] as const)
    world.onSignal(signal, () => {
      stopping = signal;
      daemon.signal(signal);
    });
  world.onSignal('SIGHUP', () => {
    if (terminalIsGone(context)) {
      stopping = 'SIGTERM';
      daemon.signal('SIGTERM');
    } else daemon.signal('SIGHUP');
  });

  for (;;) {
    daemon = new DaemonProcess(world, request, false);
    try {
      tellReady(context, await daemon.ready(timeoutFor(request)), true);
    } catch (error) {
      if (stopping === undefined) throw failedToStart(context, error);
    }
    const ending = await daemon.ended;
    if (stopping === 'SIGINT') throw interrupted();
    if (stopping !== undefined || !daemon.restarting) {
      const code = exitCodeOfEnding(ending);
      if (code !== 0) context.talk(`warren: the daemon ended (${describe(ending)})`);
      throw new Ended(code);
    }
    // The flags are in the config since the first start; what was edited there since then must count.
    const { handedOver } = daemon;
    request = {
      kind: 'start',
      home: context.home,
      foreground: true,
      ...(handedOver === undefined ? {} : { handedOver }),
      ...(world.interactive && { asks: 'open' as const }),
    };
    context.talk('restarting');
  }
}

function timeoutFor(request: StartRequest): number {
  return request.join === undefined ? START_TIMEOUT_MS : JOIN_TIMEOUT_MS;
}

/** A start that failed is exit code 1, whatever the reason. */
function failedToStart(context: Context, error: unknown): Ended {
  if (error instanceof Ended) return error;
  context.world.stderr.write(formatError(error, context.talkColour));
  return new Ended(EXIT.failed);
}

/** SIGHUP means reload, unless it says that the terminal was closed. */
function terminalIsGone({ world }: Context): boolean {
  if (world.platform === 'win32' || world.stderr.isTTY !== true) return false;
  try {
    closeSync(openSync('/dev/tty', 'r'));
    return false;
  } catch {
    return true;
  }
}

function tellReady(context: Context, { status, joined: reply }: Ready, foreground: boolean): void {
  if (reply !== undefined) context.talk(joined(reply));
  context.talk(card(context, status, foreground));
  for (const warning of status.warnings) context.warn(warning);
  if (context.json) context.document(status);
}

function card(context: Context, status: Status, foreground: boolean): string {
  const { talkColour: colour } = context;
  const field = (name: string, value: string): string => `  ${colour.dim(name.padEnd(9))}  ${value}`;
  const listens = status.listen.length === 0 ? 'nowhere (outbound only)' : status.listen.join(', ');
  return [
    `${colour.bold(clean(status.node.name))} is up  ${colour.dim(`(warren ${clean(status.version)}, pid ${status.pid})`)}`,
    field('node', clean(shortId(status.node.id))),
    field('listens', clean(listens)),
    ...(status.proxy === null ? [] : [field('dials', `through ${clean(status.proxy)}`)]),
    field('home', clean(status.home)),
    ...(status.node.admin
      ? [field('invite', `${context.command('invite')}  ${colour.dim('lets another host in')}`)]
      : []),
    foreground ? field('end', 'Ctrl-C') : field('end', context.command('down')),
  ].join('\n');
}
