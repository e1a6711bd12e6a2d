/** The command line of the benchmark. */
import { parseArgs } from 'node:util';
import type { Sizes } from './workloads/workload.js';

export const USAGE = `npm run bench -- [--quick] [--only WORKLOAD,…] [--node PATH] [--out FILE] [--profile DIR]
                 [--rounds N] [--seconds N] [--without SYSTEM,…]
  --quick        all of it in about three minutes, good for a first look
  --only         these workloads; a part of a name picks all that have it
  --node         the Node under which warren runs; default: this one
  --out          where the report goes; default: docs/benchmarks.md, for a full run with all peers only
  --profile      writes CPU profiles of warren's daemons into this folder
  --rounds       interleaved rounds
  --seconds      length of one measurement
  --without      leaves systems out as if they were missing`;

const FULL: Sizes = { rounds: 5, seconds: 4, idle: 5_000, idleRounds: 3, neighbours: 10, watch: 20, handshakes: 300 };
const QUICK: Sizes = { rounds: 2, seconds: 1, idle: 500, idleRounds: 1, neighbours: 10, watch: 5, handshakes: 100 };
/** What is asked for explicitly may be tiny, to see that everything works. */
const TINY: Partial<Sizes> = { idle: 50, idleRounds: 1, neighbours: 1, watch: 1, handshakes: 10 };

export interface BenchOptions {
  readonly sizes: Sizes;
  readonly only: readonly string[];
  readonly without: readonly string[];
  readonly node: string;
  /** where the report was asked for */
  readonly out: string | undefined;
  readonly profile: string | undefined;
  /** nothing was cut short */
  readonly isWhole: boolean;
  readonly args: readonly string[];
}

const words = (text: string | undefined): string[] => (text ?? '').split(',').filter(word => word !== '');

function whole(text: string | undefined, name: string): number | undefined {
  if (text === undefined) return undefined;
  const value = Number(text);
  if (!Number.isInteger(value) || value < 1 || value > 1_000)
    throw new Error(`--${name} takes a number from 1 to 1000`);
  return value;
}

/** What was asked for cannot be done: nothing has been started, the usage is shown, exit code 2. */
export class UsageError extends Error {}

/** @throws Error for what is not understood */
export function readOptions(args: readonly string[]): BenchOptions {
  const text = { type: 'string' } as const;
  const { values } = parseArgs({
    args: [...args],
    options: {
      quick: { type: 'boolean' },
      only: text,
      node: text,
      out: text,
      profile: text,
      rounds: text,
      seconds: text,
      without: text,
    },
  });
  const rounds = whole(values.rounds, 'rounds');
  const seconds = whole(values.seconds, 'seconds');
  const sizes = {
    ...(values.quick === true ? QUICK : FULL),
    ...(rounds === 1 && seconds === 1 && TINY),
    ...(rounds !== undefined && { rounds }),
    ...(seconds !== undefined && { seconds }),
  };
  const isWhole =
    values.quick !== true &&
    values.only === undefined &&
    values.without === undefined &&
    values.profile === undefined &&
    sizes.rounds >= FULL.rounds &&
    sizes.seconds >= FULL.seconds;
  return {
    sizes,
    only: words(values.only),
    without: words(values.without),
    node: values.node ?? process.execPath,
    out: values.out,
    profile: values.profile,
    isWhole,
    args,
  };
}
