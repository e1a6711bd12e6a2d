/** A suite that does everything that suites can do wrong; run by suite.test.ts as a process of its own. */
import { assert, full, seed, suite } from '../helpers/suite.js';

const test = suite('fixture');
test('holds', () => assert.is(1 + 1, 2));
test('does not hold', () => assert.is(1, 2));
test('hangs', () => new Promise(resolve => setTimeout(resolve, 60_000).unref()), { deadline: 100 });
test('lacks a program', () => assert.unreachable(), { needs: ['no-such-program'] });
test('knows its size and seed', () => {
  assert.is(full('small', 'big'), process.env.WARREN_FULL === '1' ? 'big' : 'small');
  assert.is(seed(), process.env.WARREN_SEED);
});
// What hangs must not keep the process.
setTimeout(() => process.exit(), 5_000).unref();
setInterval(() => undefined, 1_000);
test.after(() => void setTimeout(() => process.exit(), 300));
test.run();
