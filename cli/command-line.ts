/** The command line as commander's tree: what every command has in common, the help, and faults in our words. */
import { Command, Option, type Argument } from 'commander';
import { Context, usage } from './context.js';
import { COMMANDS, KEYS, PEER, type Spec } from './commands.js';
import { homeOf } from './home.js';
import { wantsColour } from './output/colour.js';
import type { World } from './world.js';

/** A command line that cannot be understood, and the words of the command that it is about. */
export class UsageFault extends Error {
  constructor(
    message: string,
    /** commander's code */
    readonly kind: string,
    readonly command: readonly string[],
  ) {
    super(message);
  }
}

const HOME_FLAG = '--home <DIR>';
const HOME_TEXT = 'the home to work on (default: WARREN_HOME, else a folder of your own)';

const EXIT_CODES = `
Exit codes: 0 done · 1 failed, or a value refused · 2 usage · 3 no daemon running
            4 refused by policy or role · 130 interrupted`;

/** The whole command line as commander's tree. */
export function buildCommandLine(world: World): Command {
  const program = new Command('warren')
    .description('An encrypted overlay for services: links come and go, streams stay.')
    .version(world.version, '-V, --version', 'print the version')
    .helpOption('-h, --help', 'show help')
    .helpCommand(false)
    .enablePositionalOptions()
    .configureOutput({
      writeOut: text => world.stdout.write(text),
      writeErr: text => world.stderr.write(text),
      outputError: () => undefined,
      getOutHasColors: () => wantsColour(world.env, world.stdout),
      getErrHasColors: () => wantsColour(world.env, world.stderr),
      getOutHelpWidth: () => world.stdout.columns ?? 100,
      getErrHelpWidth: () => world.stderr.columns ?? 100,
    })
    .configureHelp({
      styleTitle: text => `\u001b[1m${text}\u001b[22m`,
      subcommandTerm: command => [command.name(), ...command.registeredArguments.map(argumentTerm)].join(' '),
    })
    .addHelpText('after', `${EXIT_CODES}\n\n\`warren help COMMAND\` tells more, with examples.`);
  basics(program);

  for (const spec of COMMANDS) add(program, world, spec);
  group(program, world, 'peer', 'Network:', 'what this daemon does with one other node', PEER);
  group(program, world, 'keys', 'Network:', "this node's identity", KEYS);
  addHelp(program);
  addComplete(program, world);
  return program;
}

function argumentTerm(argument: Argument): string {
  const name = argument.name() + (argument.variadic ? '...' : '');
  return argument.required ? name : `[${name}]`;
}

/** What every command has: `--home`, and faults that know which command they are about. */
function basics(command: Command): void {
  command.addOption(new Option(HOME_FLAG, HOME_TEXT));
  command.exitOverride(error => {
    if (error.exitCode === 0) throw error;
    throw new UsageFault(error.message.replace('. Expected', ': expected'), error.code, wordsOf(command));
  });
}

function wordsOf(command: Command): string[] {
  return command.parent === null ? [] : [...wordsOf(command.parent), command.name()];
}

function group(
  program: Command,
  world: World,
  word: string,
  heading: string,
  summary: string,
  members: readonly Spec[],
): void {
  const command = program.command(word).description(summary).helpCommand(false).helpGroup(heading);
  basics(command);
  for (const spec of members) add(command, world, spec);
}

function add(parent: Command, world: World, spec: Spec): void {
  const command = parent.command(spec.line).description(spec.summary);
  if (spec.group !== undefined) command.helpGroup(spec.group);
  spec.options?.(command);
  if (spec.json === true) command.option('--json', 'one JSON document on standard output');
  basics(command);
  if (spec.details !== undefined) command.addHelpText('after', `\n${spec.details}`);
  if (spec.examples !== undefined)
    command.addHelpText('after', `\nExamples:\n${spec.examples.map(line => `  $ ${line}`).join('\n')}`);
  command.action(async () => {
    const options = command.opts<Record<string, unknown>>();
    const flag = homeFlag(command);
    const context = new Context(world, {
      home: homeOf(world, flag),
      homeFlag: flag !== undefined,
      json: options.json === true,
    });
    await spec.run(context, command.processedArgs as (string | undefined)[], options, command);
  });
}

/** `--home` may stand before or after any of the command's words; the one nearest to the end counts. */
function homeFlag(command: Command): string | undefined {
  for (let at: Command | null = command; at !== null; at = at.parent) {
    const home = at.opts<{ home?: string }>().home;
    if (home !== undefined) return home;
  }
  return undefined;
}

function addHelp(program: Command): void {
  const help = program
    .command('help [COMMAND...]')
    .description('show help, of a command if one is named')
    .helpGroup('More:');
  basics(help);
  help.action((words: readonly string[]) => {
    let command = program;
    for (const word of words) {
      const next = command.commands.find(c => c.name() === word);
      if (next === undefined) throw usage(`unknown command '${words.join(' ')}'`, 'see: warren help');
      command = next;
    }
    command.outputHelp();
  });
}

/** What the completion scripts ask: the words after `warren` up to the cursor, the last one unfinished. */
function addComplete(program: Command, world: World): void {
  const command = program
    .command('complete [WORD...]', { hidden: true })
    .description('candidates for the completion scripts');
  basics(command);
  command.action(async (words: readonly string[]) =>
    (await import('./commands/complete.js')).complete(world, program, words),
  );
}
