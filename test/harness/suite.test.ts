import { suite, assert } from '../helpers/suite.js';
const test = suite('harness');
test('adds', () => assert.is(1 + 1, 2));
test('lacks', () => assert.is(1, 2), { needs: ['no-such-program'] });
test.run();
