import * as names from '../../../protocol/identity/names.js';
import { nodeIdText } from '../../../protocol/identity/node-id.js';
import { assert, suite } from '../../helpers/suite.js';
import { random, thrown } from './helpers.js';

const test = suite('names');

test('names of nodes, services and tags', () => {
  const good = ['a', '0', 'host-a', 'Host.A_1', 'x'.repeat(63)];
  const bad = ['', '-a', '.a', '_a', 'a b', 'a/b', 'ä', 'a\n', 'tag:a', 'x'.repeat(64), 'a\u0000'];
  for (const is of [names.isNodeName, names.isServiceName, names.isTag, names.isName]) {
    for (const name of good) assert.ok(is(name), name);
    for (const name of bad) assert.not(is(name), JSON.stringify(name));
  }
});

test('what reads as a node ID is no name of a node', () => {
  const text = nodeIdText(random(32));
  assert.not(names.isNodeName(text));
  assert.not(names.isNodeName(text.toUpperCase()));
  assert.ok(names.isNodeName(text.slice(0, 51)));
  assert.ok(names.isServiceName(text));
});

test('case is kept and does not tell names apart', () => {
  assert.ok(names.sameName('Host-A', 'hOST-a'));
  assert.not(names.sameName('host-a', 'host-b'));
});

test('addresses, versions and descriptions', () => {
  for (const good of ['127.0.0.1:7667', '[::1]:1', 'wss://x.example/path?a=b', 'x'.repeat(255)])
    assert.ok(names.isAddress(good));
  for (const bad of ['', 'a b', 'ä:1', 'x'.repeat(256), 'a\n']) assert.not(names.isAddress(bad));
  assert.ok(names.isVersionText('2.1.0-rc.1+5'));
  for (const bad of ['', '2 1', 'x'.repeat(64)]) assert.not(names.isVersionText(bad));
  for (const good of ['Payment processing', 'Zahlungen für alle ✓ 👩‍💻']) assert.ok(names.isDescription(good), good);
  for (const bad of [
    '',
    'x'.repeat(256),
    'a\u001b[31m',
    'a\nb',
    'a\u009bb',
    'a\u202eb',
    'a\u2028b',
    '\ud800',
    'a\u2066b',
  ]) {
    assert.not(names.isDescription(bad), JSON.stringify(bad));
  }
});

test('a refused value says what it was and what the rule is', () => {
  assert.match(
    thrown(() => names.checkNodeName('a b')),
    /"a b" cannot be a node's name/,
  );
  assert.match(
    thrown(() => names.checkServiceName('x'.repeat(100))),
    /x…" cannot be a service's name/,
  );
  assert.match(
    thrown(() => names.checkTags(['ok', 'tag:x'])),
    /"tag:x" cannot be a tag/,
  );
  assert.match(
    thrown(() => names.checkTags(['a', 'A'])),
    /twice/,
  );
  assert.match(
    thrown(() => names.checkTags(Array.from({ length: 17 }, (_, i) => `t${i}`))),
    /more than 16/,
  );
  names.checkNodeName('host-a');
  names.checkServiceName('payments');
  names.checkTags(['a', 'b']);
});

test.run();
