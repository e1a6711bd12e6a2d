/** Random lives of two sessions (scenario.ts), and proof that they find what they are for: seeded mutants of the code. */
import { assert, full, seed, suite } from '../../helpers/suite.js';
import { MUTANTS } from './mutants.js';
import { Scenario, type ScenarioOptions } from './scenario.js';

const test = suite('two sessions in memory');

function check(name: string, options: ScenarioOptions, from: number, to: number): void {
  for (let i = from; i < to; i++) {
    const own = `${seed()} ${name} ${i}`;
    try {
      new Scenario(own, options).run();
    } catch (error) {
      throw new Error(`scenario "${own}": ${error instanceof Error ? error.stack : String(error)}`);
    }
  }
}

test('every byte once, in order, fin behind the data, credit kept: one link', () => {
  check('one link', { breaks: false }, 0, full(40, 5_000));
}, { deadline: full(60_000, 1_800_000) }); // prettier-ignore

test('the same while links are cut, silenced and replaced', () => {
  check('breaks', { breaks: true }, 0, full(60, 5_000));
}, { deadline: full(60_000, 1_800_000) }); // prettier-ignore

const CASES_PER_MUTANT = 2_000;

for (const mutant of MUTANTS.slice(0, full(5, MUTANTS.length))) {
  test(`finds the mutant "${mutant.name}"`, () => {
    const remove = mutant.install();
    let found: string | undefined;
    try {
      for (let i = 0; i < CASES_PER_MUTANT && found === undefined; i++) {
        try {
          new Scenario(`${seed()} ${mutant.name} ${i}`, { breaks: i % 3 > 0 }).run();
        } catch (error) {
          found = `case ${i}: ${String(error)}`;
        }
      }
    } finally {
      remove();
    }
    assert.ok(found !== undefined, `"${mutant.name}" was not found in ${CASES_PER_MUTANT} cases`);
    if (process.env.WARREN_VERBOSE) console.log(`${mutant.name}: ${found}`);
  }, { deadline: 60_000 }); // prettier-ignore
}

test.run();
