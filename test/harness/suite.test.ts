/** The harness itself: failures, deadlines and skips are told by name, and the runner counts them. */
import { existsSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { run } from '../helpers/hosts.js';
import { assert, suite } from '../helpers/suite.js';

const test = suite('harness');

function fixture(): string[] {
  const compiled = fileURLToPath(new URL('./fixture.js', import.meta.url));
  return existsSync(compiled)
    ? [compiled]
    : ['--import', 'tsx', fileURLToPath(new URL('./fixture.ts', import.meta.url))];
}

test('a failure, a deadline and a skip are told by name', async () => {
  const env = { WARREN_SEED: 'abc', WARREN_FULL: '0', NO_COLOR: '1' };
  const { stdout } = await run(process.execPath, fixture(), { env });
  assert.match(stdout, 'failed with WARREN_SEED=abc (fixture: does not hold)');
  assert.match(stdout, '"fixture: hangs" is not done after 100 ms');
  assert.match(stdout, 'skipped: needs no-such-program (fixture: lacks a program)');
  assert.match(stdout, /Total: +4\n/);
  assert.match(stdout, /Passed: +2\n/);
  assert.match(stdout, /Skipped: +1\n/);
});

test.run();
