/** Runs one command line: parses it, runs its command, turns what went wrong into a sentence and an exit code. */
import { CommanderError } from 'commander';
import { WarrenError } from '../protocol/errors.js';
import { buildCommandLine, UsageFault } from './command-line.js';
import { Ended } from './context.js';
import { EXIT, exitCodeOf } from './exit.js';
import { colours } from './output/colour.js';
import { formatError } from './output/error.js';
import type { World } from './world.js';

/** Runs the command line to its end and ends the process with its exit code. */
export async function run(world: World): Promise<void> {
  world.onSignal('SIGINT', () => world.exit(EXIT.interrupted));
  const code = await exitCode(world);
  await flushed(world.stdout);
  await flushed(world.stderr);
  world.exit(code);
}

async function exitCode(world: World): Promise<number> {
  try {
    await buildCommandLine(world).parseAsync([...world.args], { from: 'user' });
    return EXIT.done;
  } catch (error) {
    if (error instanceof Ended) return error.exitCode;
    if (error instanceof CommanderError && error.exitCode === 0) return EXIT.done;
    // The help has been shown in place of a message.
    if (error instanceof UsageFault && error.kind === 'commander.help') return EXIT.usage;
    const shown = error instanceof UsageFault ? usageError(error) : error;
    world.stderr.write(formatError(shown, colours(world.env, world.stderr)));
    return shown instanceof WarrenError ? exitCodeOf(shown.code) : EXIT.failed;
  }
}

/** Commander's words for a line that it cannot read, in ours. */
function usageError(fault: UsageFault): WarrenError {
  const [, sentence = fault.message, , nearest] =
    /^(?:error: )?(.*?)\.?(?:\s*\(Did you mean (one of )?(.*?)\?\))?$/s.exec(fault.message) ?? [];
  const help = ['warren help', ...fault.command].join(' ');
  return new WarrenError('usage', sentence, {
    hint: nearest === undefined ? `see: ${help}` : `did you mean ${nearest}? see: ${help}`,
  });
}

/** A pipe takes what it can, the rest waits in this process, which must not end before. */
function flushed(stream: NodeJS.WritableStream): Promise<void> {
  return new Promise(resolve => stream.write('', () => resolve()));
}
