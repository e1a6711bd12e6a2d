/**
 * Every command: its arguments, options, summary and examples. What it does lies in commands/ and is loaded when it
 * runs, so that `warren status` starts fast.
 */
import type { Command } from 'commander';
import { usage, type Context, type Options } from './context.js';

export interface Spec {
  /** heading in the list of commands */
  readonly group?: string;
  /** the word, then its arguments: `connect <SERVICE> [LISTEN]` */
  readonly line: string;
  readonly summary: string;
  /** more lines of help */
  readonly details?: string;
  readonly examples?: readonly string[];
  /** takes `--json` */
  readonly json?: boolean;
  /** adds the command's own options */
  options?(command: Command): void;
  /** runs it: values are the arguments in their order */
  run(context: Context, values: readonly (string | undefined)[], options: Options, command: Command): Promise<void>;
}

export const COMMANDS: readonly Spec[] = [
  {
    line: 'up',
    group: 'Daemon:',
    summary: 'start the daemon of this host; it founds a network unless told to join one',
    details: 'Flags are written to the config and hold from then on. Runs in the foreground; Ctrl-C ends it.',
    examples: [
      'warren up',
      'warren up --name host-a --listen 0.0.0.0:7667 --detach',
      'warren up --join - --detach < token',
    ],
    json: true,
    options: command => {
      exclusive(command, 'listen', 'no-listen');
      exclusive(command, 'advertise', 'no-listen');
      command
        .option('--name <NAME>', 'name of this node, unique in its network')
        .option('--listen <HOST:PORT>', 'listen for links there (repeatable)', collect)
        .option('--no-listen', 'do not listen: this node is reached by the links that it opens itself')
        .option(
          '--advertise <ADDR>',
          'tell other nodes this address instead: HOST:PORT, ws://…, wss://… (repeatable)',
          collect,
        )
        .option('--join <TOKEN>', 'join the network of this invite; - reads it from standard input, @FILE from a file')
        .option('--no-mdns', 'neither announce this node on the LAN nor look for others there')
        .option('--links <N>', 'links kept up with each other node, 1 to 8')
        .option(
          '--proxy <URL>',
          'dial through this HTTP proxy: http://HOST:PORT, https://HOST:PORT; none: through none',
        )
        .option(
          '--passphrase-file <FILE>',
          'the passphrase that protects the keys of this home; /dev/fd/N from a descriptor, - from standard input',
        )
        .option('--next-key <FILE>', "put a new node's next key there, sealed by a passphrase, and never into the home")
        .option('--next-passphrase-file <FILE>', 'the passphrase that seals the next-key file')
        .option('--detach', 'return as soon as it listens and, with --join, has joined');
    },
    run: async (context, _, options, command) => (await import('./commands/up.js')).up(context, options, command),
  },
  {
    line: 'down',
    group: 'Daemon:',
    summary: 'end the daemon; returns when it has ended',
    run: async context => (await import('./commands/down.js')).down(context),
  },
  {
    line: 'restart',
    group: 'Daemon:',
    summary: 'end the daemon and start it again',
    run: async context => (await import('./commands/down.js')).restart(context),
  },
  {
    line: 'status',
    group: 'Daemon:',
    summary: 'who is connected and how, what is exposed, what is mapped',
    examples: ['warren status --watch', "warren status --json | jq -r '.peers[].name'"],
    json: true,
    options: command => command.option('--watch', 'show it anew every second, until Ctrl-C'),
    run: async (context, _, options) => (await import('./commands/status.js')).status(context, options.watch === true),
  },
  {
    line: 'doctor',
    group: 'Daemon:',
    summary: 'check clock, ports, permissions and reachability, and say what to do',
    details: 'Works without a running daemon too, as far as it goes.',
    json: true,
    run: async context => (await import('./commands/doctor.js')).doctor(context),
  },
  {
    line: 'logs',
    group: 'Daemon:',
    summary: "show the daemon's log",
    examples: ['warren logs -n 20', 'warren logs -f'],
    json: true,
    options: command =>
      command
        .option('-f, --follow', 'go on with what comes, until Ctrl-C')
        .option('-n, --lines <N>', 'how many of the last lines', '100'),
    run: async (context, _, options) => (await import('./commands/logs.js')).logs(context, options),
  },
  {
    line: 'reload',
    group: 'Daemon:',
    summary: 'apply the edited config; a bad one changes nothing',
    json: true,
    run: async context => (await import('./commands/reload.js')).reload(context),
  },
  {
    line: 'invite',
    group: 'Network:',
    summary: 'make a token that lets one node join; its own line on standard output',
    examples: [
      'warren invite',
      'warren invite --ttl 1h --tag gateway',
      'warren invite | ssh host-b warren up --detach --join -',
    ],
    json: true,
    options: command =>
      command
        .option('--ttl <TIME>', 'how long it is good: 90s, 15m, 1h, 2d', '15m')
        .option('--tag <TAG>', 'a tag for the node that joins (repeatable)', collect)
        .option('--for <NODE>', 'only that node may use it; readmits one that was revoked'),
    run: async (context, _, options) => (await import('./commands/invite.js')).invite(context, options),
  },
  {
    line: 'join <TOKEN|-|@FILE>',
    group: 'Network:',
    summary: 'join the network of an invite; - reads the token from standard input, @FILE from a file',
    examples: ['warren join - < token', 'warren join @token.txt'],
    json: true,
    run: async (context, [token = '']) => (await import('./commands/join.js')).join(context, token),
  },
  {
    line: 'peers',
    group: 'Network:',
    summary: 'the other nodes of the network',
    json: true,
    run: async context => (await import('./commands/peers.js')).peers(context),
  },
  {
    line: 'ping <NODE>',
    group: 'Network:',
    summary: 'measure the round-trip time to a node, over its session',
    examples: ['warren ping host-b', 'warren ping host-b -c 10'],
    json: true,
    options: command => command.option('-c, --count <N>', 'how many times', '4'),
    run: async (context, [node = ''], options) =>
      (await import('./commands/peers.js')).ping(context, node, String(options.count)),
  },
  {
    line: 'expose <NAME> <TARGET>',
    group: 'Services:',
    summary: 'let the network call a local service; TARGET: PORT, HOST:PORT or unix:PATH',
    details: 'WHO is a node name, tag:T or a node ID. Deny beats allow; any --allow makes the rest denied.',
    examples: [
      'warren expose payments 8080',
      'warren expose db unix:/run/postgresql/.s.PGSQL.5432 --allow tag:backend --deny host-x',
    ],
    json: true,
    options: command =>
      command
        .option('--version <V>', 'version to tell')
        .option('--description <D>', 'what it is, one line')
        .option('--tag <TAG>', 'a tag to tell (repeatable)', collect)
        .option('--allow <WHO>', 'let these call it (repeatable; default: every member)', collect)
        .option('--deny <WHO>', 'never let these call it (repeatable)', collect),
    run: async (context, [name = '', target = ''], options) =>
      (await import('./commands/services.js')).expose(context, name, target, options),
  },
  {
    line: 'unexpose <NAME>',
    group: 'Services:',
    summary: 'stop exposing a service',
    run: async (context, [name = '']) => (await import('./commands/services.js')).unexpose(context, name),
  },
  {
    line: 'services',
    group: 'Services:',
    summary: 'the services of the network: who exposes them, where they are mapped',
    json: true,
    run: async context => (await import('./commands/services.js')).services(context),
  },
  {
    line: 'connect <SERVICE> [LISTEN]',
    group: 'Services:',
    summary: 'map a service to a local address; LISTEN: PORT, HOST:PORT or unix:PATH, else a free port',
    examples: ['warren connect payments', 'warren connect db 127.0.0.1:5432', 'warren connect db unix:/tmp/db.sock'],
    json: true,
    run: async (context, [service = '', listen]) =>
      (await import('./commands/tunnels.js')).connect(context, service, listen),
  },
  {
    line: 'disconnect <SERVICE>',
    group: 'Services:',
    summary: "close a service's tunnel",
    run: async (context, [service = '']) => (await import('./commands/tunnels.js')).disconnect(context, service),
  },
  {
    line: 'tunnels',
    group: 'Services:',
    summary: 'the services mapped to local addresses',
    json: true,
    run: async context => (await import('./commands/tunnels.js')).tunnels(context),
  },
  {
    line: 'nc <SERVICE>',
    group: 'Services:',
    summary: 'connect standard input and output to a service',
    examples: ["ssh -o ProxyCommand='warren nc ssh-host-b' user@host-b"],
    run: async (context, [service = '']) => (await import('./commands/nc.js')).nc(context, service),
  },
  {
    line: 'completion <SHELL>',
    group: 'More:',
    summary: 'print the completion script of a shell: bash, zsh or fish',
    examples: ['eval "$(warren completion bash)"', 'warren completion fish > ~/.config/fish/completions/warren.fish'],
    run: async (context, [shell = '']) => (await import('./commands/completion.js')).completion(context, shell),
  },
];

/** `warren peer …` */
export const PEER: readonly Spec[] = [
  {
    line: 'remove <NODE>',
    summary: 'have nothing more to do with a node; this daemon only',
    run: async (context, [node = '']) => (await import('./commands/peers.js')).remove(context, node),
  },
  {
    line: 'promote <NODE>',
    summary: 'make a member an admin: it may invite, revoke and promote too',
    run: async (context, [node = '']) => (await import('./commands/peers.js')).setRole(context, node, 'promote'),
  },
  {
    line: 'demote <NODE>',
    summary: 'end that, for an admin below this one; members that it admitted stay',
    run: async (context, [node = '']) => (await import('./commands/peers.js')).setRole(context, node, 'demote'),
  },
];

/** `warren keys …` */
export const KEYS: readonly Spec[] = [
  {
    line: 'show',
    summary: "this node's ID, network and keys",
    json: true,
    run: async context => (await import('./commands/keys.js')).show(context),
  },
  {
    line: 'log',
    summary: "this node's key log: every statement about its keys",
    json: true,
    run: async context => (await import('./commands/keys.js')).log(context),
  },
  {
    line: 'rotate',
    summary: 'new keys for this node; its ID stays, open streams go on',
    details:
      '--reason compromised refuses everything proven with earlier keys at once. Asks nothing. With --network-secret alone the network gets a new secret and the keys stay.',
    examples: ['warren keys rotate', 'warren keys rotate --reason compromised', 'warren keys rotate --network-secret'],
    json: true,
    options: command =>
      command
        .option('--reason <WHY>', 'routine (default) or compromised')
        .option(
          '--affirm <WHICH>',
          'compromised, on an admin: what it had signed counts on: signed-here (default), all or none',
        )
        .option(
          '--next-key <FILE>',
          'the file of the next key: it holds the one to use now, or is made; the following one goes there',
        )
        .option('--passphrase-file <FILE>', 'passphrase of that file: FILE, /dev/fd/N, or - for standard input')
        .option('--network-secret', 'a new secret of the network, for an admin'),
    run: async (context, _, options) => (await import('./commands/keys.js')).rotate(context, options),
  },
  {
    line: 'detach-next <FILE>',
    summary: 'rotate, and keep the following key in a file outside of this home from now on',
    examples: ['warren keys detach-next /media/stick/host-a.next'],
    json: true,
    options: command =>
      command.option('--passphrase-file <FILE>', 'passphrase for it: FILE, /dev/fd/N, or - for standard input'),
    run: async (context, [file = ''], options) =>
      (await import('./commands/keys.js')).detachNext(context, file, options),
  },
  {
    line: 'revoke <NODE>',
    summary: 'end the membership of a node, in the whole network',
    examples: ['warren keys revoke host-x', 'warren invite --for host-x'],
    run: async (context, [node = '']) => (await import('./commands/keys.js')).revoke(context, node),
  },
  {
    line: 'settle <NODE> <HASH>',
    summary: 'say which branch of a forked key log stands; the owner reads the hash from warren keys log',
    run: async (context, [node = '', hash = '']) => (await import('./commands/keys.js')).settle(context, node, hash),
  },
  {
    line: 'backup <FILE>',
    summary: 'write everything that makes this node itself into one file, sealed by a passphrase',
    examples: ['warren keys backup /media/usb/host-a.backup'],
    options: passphraseFile,
    run: async (context, [file = ''], options) =>
      (await import('./commands/key-files.js')).backup(context, file, options),
  },
  {
    line: 'restore <FILE>',
    summary: 'make an empty home that node again, from a backup or from its next-key file',
    details: 'From a next-key file the node comes back with new keys, and what its lost host held counts for nothing.',
    examples: ['warren keys restore /media/usb/host-a.backup', 'warren --home ~/new keys restore /media/usb/next.key'],
    options: passphraseFile,
    run: async (context, [file = ''], options) =>
      (await import('./commands/key-files.js')).restore(context, file, options),
  },
];

function passphraseFile(command: Command): void {
  command.option('--passphrase-file <FILE>', 'its passphrase; /dev/fd/N from a descriptor, - from standard input');
}

function collect(value: string, before: readonly string[] | undefined | boolean): readonly string[] {
  return Array.isArray(before) ? [...(before as readonly string[]), value] : [value];
}

/** Options of which one alone may be given. */
function exclusive(command: Command, ...names: string[]): void {
  const seen = new Set<string>();
  for (const name of names)
    command.on(`option:${name}`, () => {
      seen.add(name);
      if (seen.size > 1)
        throw usage(`${names.map(n => `--${n}`).join(' and ')} do not go together`, 'leave one of them out');
    });
}
