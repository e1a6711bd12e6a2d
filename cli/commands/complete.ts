/**
 * Candidates for the completion scripts: commands and options from the command line's own tree, names of nodes and
 * services from the daemon. One per line: the word, a tab, what it is. Nothing to offer is no error.
 */
import type { Command, Option } from 'commander';
import { PATHS, type PeersReply, type ServicesReply, type TunnelsReply } from '../../protocol/admin/contract.js';
import { AdminClient } from '../client.js';
import { adminSocket, homeOf } from '../home.js';
import type { World } from '../world.js';
import { SHELLS } from './completion.js';

/** A person waits with a finger on the tab key. */
const ASK_TIMEOUT_MS = 500;
/** Names that a shell takes as one plain word; no others exist. */
const PLAIN = /^[A-Za-z0-9][A-Za-z0-9._-]*$/;

type Candidate = readonly [word: string, description: string];

interface Place {
  readonly command: Command;
  /** how many arguments of the command stand before the cursor */
  readonly argument: number;
  /** the option whose value is being written */
  readonly option: Option | undefined;
  readonly home: string | undefined;
}

export async function complete(world: World, program: Command, words: readonly string[]): Promise<void> {
  const current = words.at(-1) ?? '';
  const place = locate(program, words.slice(0, -1));
  const candidates = await candidatesAt(world, program, place, current).catch(() => []);
  const lines = candidates.filter(([word]) => word.startsWith(current)).map(([word, text]) => `${word}\t${text}\n`);
  world.stdout.write(lines.join(''));
}

/** Reads the finished words as the parser would. */
function locate(program: Command, words: readonly string[]): Place {
  let command = program;
  let argument = 0;
  let option: Option | undefined;
  let home: string | undefined;
  for (const word of words) {
    if (option !== undefined) {
      if (option.attributeName() === 'home') home = word;
      option = undefined;
    } else if (word.startsWith('-') && word !== '-') {
      const [flag, value] = word.split('=', 2);
      const found = command.options.find(o => o.long === flag || o.short === flag);
      if (found?.required === true && value === undefined) option = found;
      else if (found?.attributeName() === 'home') home = value;
    } else {
      const next = argument === 0 ? command.commands.find(c => c.name() === word) : undefined;
      if (next === undefined) argument += 1;
      else command = next;
    }
  }
  return { command, argument, option, home };
}

async function candidatesAt(
  world: World,
  program: Command,
  place: Place,
  current: string,
): Promise<readonly Candidate[]> {
  const { command, argument, option } = place;
  const ask = async <Reply>(path: string): Promise<Reply> => {
    // The shell hands the word over as it stands: a tilde is not replaced yet.
    const home = homeOf(world, place.home?.replace(/^~(?=\/|$)/, world.homedir));
    const client = new AdminClient({ socket: adminSocket(world, home), home, start: '' });
    return client.get<Reply>(path, { timeoutMs: ASK_TIMEOUT_MS });
  };
  if (option !== undefined) return optionValues(option, ask);
  if (current.startsWith('-')) return command.createHelp().visibleOptions(command).map(describeOption);
  if (command.commands.length > 0) return argument > 0 ? [] : subcommands(command);
  return argumentValues(program, command, argument, ask);
}

function describeOption(option: Option): Candidate {
  return [option.long ?? option.short ?? '', option.description];
}

function subcommands(command: Command): readonly Candidate[] {
  return command
    .createHelp()
    .visibleCommands(command)
    .map(c => [c.name(), c.description()]);
}

type Ask = <Reply>(path: string) => Promise<Reply>;

async function optionValues(option: Option, ask: Ask): Promise<readonly Candidate[]> {
  switch (option.attributeName()) {
    case 'allow':
    case 'deny':
      return nodes(ask);
    case 'links':
      return ['1', '2', '4', '8'].map(count => [count, '']);
    case 'ttl':
      return ['15m', '1h', '1d'].map(time => [time, '']);
    default:
      return [];
  }
}

async function argumentValues(
  program: Command,
  command: Command,
  argument: number,
  ask: Ask,
): Promise<readonly Candidate[]> {
  if (command.name() === 'help') return argument > 0 ? [] : subcommands(program);
  if (argument > 0) return [];
  switch (command.name()) {
    case 'ping':
    case 'remove':
      return nodes(ask);
    case 'connect':
    case 'nc':
      return services(await ask<ServicesReply>(PATHS.services), false);
    case 'unexpose':
      return services(await ask<ServicesReply>(PATHS.services), true);
    case 'disconnect':
      return plain((await ask<TunnelsReply>(PATHS.tunnels)).tunnels.map(t => [t.service, t.listen]));
    case 'completion':
      return SHELLS.map(shell => [shell, '']);
    default:
      return [];
  }
}

async function nodes(ask: Ask): Promise<readonly Candidate[]> {
  return plain((await ask<PeersReply>(PATHS.peers)).peers.map(peer => [peer.name, peer.state]));
}

function services(reply: ServicesReply, local: boolean): readonly Candidate[] {
  const list = local ? reply.services.filter(service => service.local !== null) : reply.services;
  return plain(list.map(s => [s.name, s.local === null ? s.instances.map(at => at.node).join(' ') : 'here']));
}

/** Only names that are plain words, told with plain words: they come from the network and end up in a shell. */
function plain(candidates: readonly Candidate[]): readonly Candidate[] {
  return candidates.filter(([word]) => PLAIN.test(word)).map(([word, text]) => [word, text.replace(/[^\w .:/-]/g, '')]);
}
