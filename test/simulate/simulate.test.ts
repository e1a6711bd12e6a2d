/** The simulator finds nothing in the code, finds every mistake that is put in, and tells the same seed the same way. */
import { createHash } from 'node:crypto';
import { assert, full, seed, suite } from '../helpers/suite.js';
import { simulate, simulateWith, type Outcome } from './life.js';
import { MUTANTS } from './mutants.js';
import { runLives } from './runner.js';

const test = suite('simulator');

/** Within so many seeds every mutant is found. */
const SEEDS_PER_MUTANT = 1_000;
/** In every run this many mutants are tried, others each time; in full runs all of them. */
const MUTANTS_TRIED = full(8, MUTANTS.length);
const LIVES = full(300, 20_000);

/** Where the seeds of this run begin: a part of the run's own seed for each use. */
function firstSeed(use: string): number {
  return createHash('sha256').update(`${seed()} simulate ${use}`).digest().readUInt32BE(0) >>> 2;
}

test(`${LIVES} lives: every byte once and in order, all invariants, nothing left behind`, async () => {
  const from = firstSeed('lives');
  const failed: Outcome[] = [];
  const onOutcome = (outcome: Outcome): boolean => {
    if (outcome.failure !== undefined) failed.push(outcome);
    return failed.length >= 5;
  };
  const { lives, seconds } = await runLives({ from, count: LIVES, onOutcome });
  const told = failed.map(f => `${f.failure}\n    npm run simulate -- --seed ${f.seed} --trace`);
  assert.is(failed.length, 0, `${failed.length} of ${lives} lives failed:\n  ${told.join('\n  ')}`);
  assert.is(lives, LIVES);
  console.log(`note: ${lives} lives from seed ${from} in ${seconds.toFixed(1)} s`);
}, { deadline: full(120_000, 3_000_000) }); // prettier-ignore

test('a seed always leads the same life, in every process', async () => {
  const from = firstSeed('same');
  const hashes = new Map<number, string>();
  const onOutcome = ({ seed: number, hash }: Outcome): boolean => {
    hashes.set(number, hash);
    return false;
  };
  await runLives({ from, count: 8, onOutcome });
  for (const [number, hash] of hashes) {
    const again = simulate(number, true);
    assert.is(again.hash, hash);
    assert.equal(simulate(number, true).trace, again.trace);
  }
  assert.is(hashes.size, 8);
  assert.is(new Set(hashes.values()).size, 8);
}, { deadline: 120_000 }); // prettier-ignore

const start = firstSeed('which mutants') % MUTANTS.length;
const tried = [...MUTANTS, ...MUTANTS].slice(start, start + MUTANTS_TRIED);

for (const mutant of tried) {
  test(`finds the mutant "${mutant.name}"`, () => {
    const from = firstSeed(mutant.name);
    for (let i = 0; i < SEEDS_PER_MUTANT; i++) {
      const { failure } = simulateWith(from + i, mutant);
      if (failure === undefined) continue;
      assert.not.match(failure, /thrown|internal/, `"${mutant.name}" breaks down instead of going wrong: ${failure}`);
      return console.log(`note: ${mutant.name}: found with seed ${i + 1} of ${SEEDS_PER_MUTANT}: ${failure.slice(0, 80)}`);
    }
    assert.unreachable(`"${mutant.name}" was not found in ${SEEDS_PER_MUTANT} seeds from ${from}`);
  }, { deadline: 300_000 }); // prettier-ignore
}

test.run();
