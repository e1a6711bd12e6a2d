/** Runs many lives in several processes: seeds are handed out in small portions, outcomes come back one by one. */
import { fork, type ChildProcess } from 'node:child_process';
import { availableParallelism } from 'node:os';
import { fileURLToPath } from 'node:url';
import type { Outcome } from './life.js';

/** What a worker is asked to do. */
export interface Portion {
  readonly seeds: readonly number[];
  readonly mutant: string | undefined;
}

/** What it answers for each seed, and when it is through with the portion. */
export type Answer = { readonly outcome: Outcome } | { readonly isDone: true };

export interface RunOptions {
  readonly from: number;
  readonly count: number;
  readonly mutant?: string;
  /** Called with each outcome, in no order. @returns true to stop */
  onOutcome(outcome: Outcome): boolean;
}

export interface Summary {
  readonly lives: number;
  readonly streams: number;
  readonly links: number;
  readonly bytes: number;
  readonly events: number;
  readonly seconds: number;
}

const PORTION = 20;
const WORKER = fileURLToPath(import.meta.url).replace(/runner\.(js|ts)$/, 'worker.$1');

/** Seeds `from` … `from + count - 1`. @throws Error when a process ends without having been asked to */
export async function runLives(options: RunOptions): Promise<Summary> {
  const started = performance.now();
  const sum = { lives: 0, streams: 0, links: 0, bytes: 0, events: 0 };
  const end = options.from + options.count;
  let next = options.from;
  const take = (): Portion | undefined => {
    if (next >= end) return undefined;
    const seeds = Array.from({ length: Math.min(PORTION, end - next) }, (_, i) => next + i);
    next += seeds.length;
    return { seeds, mutant: options.mutant };
  };
  const heard = (outcome: Outcome): void => {
    sum.lives++;
    sum.streams += outcome.streams;
    sum.links += outcome.links;
    sum.bytes += outcome.bytes;
    sum.events += outcome.events;
    if (options.onOutcome(outcome)) next = end;
  };
  const workers = Math.max(1, Math.min(availableParallelism(), Math.ceil(options.count / PORTION)));
  await Promise.all(Array.from({ length: workers }, () => runWorker(take, heard)));
  return { ...sum, seconds: (performance.now() - started) / 1000 };
}

function runWorker(take: () => Portion | undefined, heard: (outcome: Outcome) => void): Promise<void> {
  return new Promise((resolve, reject) => {
    const child: ChildProcess = fork(WORKER, [], { serialization: 'advanced' });
    const goOn = (): void => {
      const portion = take();
      if (portion === undefined) child.disconnect();
      else child.send(portion);
    };
    child.on('message', (answer: Answer) => {
      if ('outcome' in answer) heard(answer.outcome);
      else goOn();
    });
    child.on('error', reject);
    child.on('exit', code => {
      if (code === 0) resolve();
      else reject(new Error(`a simulating process has ended with ${code}`));
    });
    goOn();
  });
}
