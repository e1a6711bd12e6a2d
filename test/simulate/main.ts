/**
 * `npm run simulate -- [--seeds N] [--from S] [--seed S] [--mutant NAME] [--trace] [--mutants]`: random lives of two
 * sessions in virtual time under a seeded adversary, every invariant checked after every event. --seed leads one life,
 * the same each time; --trace prints what happened in it; --mutant puts a mistake into the code and looks for it;
 * --mutants lists those.
 * Exit 0 when all lives were good (with --mutant: when one was not), 1 when not, 2 for a command line that cannot be
 * understood.
 */
import { parseArgs } from 'node:util';
import { simulateWith, type Outcome } from './life.js';
import { MUTANTS, mutantNamed } from './mutants.js';
import { runLives, type Summary } from './runner.js';

const DEFAULT_SEEDS = 1_000;
const LARGEST_SEED = 2 ** 31;
const SHOWN_FAILURES = 20;
const TELL_EVERY_MS = 10_000;

class Usage extends Error {}

interface Command {
  readonly from: number;
  readonly seeds: number;
  readonly mutant: string | undefined;
  readonly trace: boolean;
  readonly lists: boolean;
}

function numberOf(name: string, text: string, least: number): number {
  const n = Number(text);
  if (!/^\d+$/.test(text) || n < least || n > LARGEST_SEED) throw new Usage(`--${name} takes a number from ${least}`);
  return n;
}

function parse(args: readonly string[]): Command {
  const text = { type: 'string' } as const;
  const flag = { type: 'boolean', default: false } as const;
  const { values } = parseArgs({
    args: [...args],
    options: { seeds: text, from: text, seed: text, mutant: text, trace: flag, mutants: flag },
  });
  if (values.mutant !== undefined && mutantNamed(values.mutant) === undefined) {
    throw new Usage(`no mutant "${values.mutant}"; --mutants lists them`);
  }
  const { mutant, trace, mutants: lists } = values;
  if (values.seed !== undefined) return { from: numberOf('seed', values.seed, 0), seeds: 1, mutant, trace, lists };
  if (trace) throw new Usage('--trace is for one life: --seed S');
  const seeds = values.seeds === undefined ? DEFAULT_SEEDS : numberOf('seeds', values.seeds, 1);
  return { from: numberOf('from', values.from ?? '0', 0), seeds, mutant, trace, lists };
}

function replay(seed: number, mutant: string | undefined): string {
  return `npm run simulate -- --seed ${seed}${mutant === undefined ? '' : ` --mutant '${mutant}'`} --trace`;
}

/** One life, in this process. */
function one({ from, mutant, trace }: Command): boolean {
  const outcome = simulateWith(from, mutant === undefined ? undefined : mutantNamed(mutant), trace);
  for (const line of outcome.trace) console.log(line);
  const { streams, links, bytes, ms, hash } = outcome;
  console.log(`seed ${from}: ${outcome.failure === undefined ? 'good' : `FAILED: ${outcome.failure}`}`);
  console.log(`${streams} streams, ${links} links, ${bytes} bytes, ${Math.round(ms)} ms of virtual time, hash ${hash}`);
  return outcome.failure !== undefined;
}

/** Many lives. @returns whether any failed */
async function many({ from, seeds, mutant }: Command): Promise<boolean> {
  const failed: Outcome[] = [];
  let done = 0;
  const teller = setInterval(() => console.error(`${done} of ${seeds} lives`), TELL_EVERY_MS);
  const onOutcome = (outcome: Outcome): boolean => {
    done++;
    if (outcome.failure === undefined) return false;
    failed.push(outcome);
    if (failed.length > SHOWN_FAILURES) return false;
    console.log(`seed ${outcome.seed} FAILED: ${outcome.failure}\n  ${replay(outcome.seed, mutant)}`);
    return mutant !== undefined;
  };
  try {
    const summary = await runLives({ from, count: seeds, onOutcome, ...(mutant === undefined ? {} : { mutant }) });
    console.log(`${failed.length} of ${sentence(summary)}`);
  } finally {
    clearInterval(teller);
  }
  return failed.length > 0;
}

function sentence({ lives, streams, links, bytes, events, seconds }: Summary): string {
  const mebibytes = Math.round(bytes / 2 ** 20);
  const rate = Math.round(lives / seconds);
  return `${lives} lives failed: ${streams} streams, ${links} links, ${mebibytes} MiB, ${events} events in ${seconds.toFixed(1)} s (${rate} seeds/s)`;
}

async function main(): Promise<void> {
  try {
    const command = parse(process.argv.slice(2));
    if (command.lists) {
      for (const { name } of MUTANTS) console.log(name);
      return;
    }
    const hasFailed = command.seeds === 1 ? one(command) : await many(command);
    process.exitCode = hasFailed === (command.mutant !== undefined) ? 0 : 1;
  } catch (error) {
    if (!(error instanceof Usage) && !(error instanceof TypeError)) throw error;
    console.error(error.message);
    process.exitCode = 2;
  }
}

await main();
