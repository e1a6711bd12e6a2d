/** A process that leads lives for runner.ts. */
import { simulateWith } from './life.js';
import { mutantNamed } from './mutants.js';
import type { Answer, Portion } from './runner.js';

const tell = (answer: Answer): void => void process.send!(answer);

process.on('message', (portion: Portion) => {
  const mutant = portion.mutant === undefined ? undefined : mutantNamed(portion.mutant);
  for (const seed of portion.seeds) tell({ outcome: simulateWith(seed, mutant) });
  tell({ isDone: true });
});
