import { suite, assert } from '../../helpers/suite.js';
import { allowed, parseRule, parseWho } from '../../../daemon/services/policy.js';
import { nodeIdText } from '../../../protocol/identity/node-id.js';
import { WarrenError } from '../../../protocol/errors.js';

const test = suite('policy');

const alice = { nodeId: new Uint8Array(32).fill(7), name: 'Alice', tags: ['Core', 'gateway'] };
const aliceId = nodeIdText(alice.nodeId);
const bobId = nodeIdText(new Uint8Array(32).fill(8));

const TABLE: readonly [allow: string[], deny: string[], ok: boolean][] = [
  [[], [], true],
  [['alice'], [], true],
  [['ALICE'], [], true],
  [['bob'], [], false],
  [['bob', 'alice'], [], true],
  [['tag:core'], [], true],
  [['tag:CORE'], [], true],
  [['tag:edge'], [], false],
  [['core'], [], false],
  [['tag:alice'], [], false],
  [[aliceId], [], true],
  [[aliceId.toUpperCase()], [], true],
  [[bobId], [], false],
  [[], ['alice'], false],
  [[], ['bob'], true],
  [[], ['tag:gateway'], false],
  [[], [aliceId], false],
  [['alice'], ['alice'], false],
  [['alice'], ['tag:core'], false],
  [['tag:core'], [aliceId], false],
  [['alice'], ['bob'], true],
  [['bob'], ['carol'], false],
];

test('deny beats allow, any allow denies the rest, case does not matter', () => {
  for (const [allow, deny, ok] of TABLE)
    assert.is(allowed(parseRule({ allow, deny }), alice).ok, ok, `allow ${allow.join()} deny ${deny.join()}`);
});

test('one sentence says who and why', () => {
  const denied = allowed(parseRule({ deny: ['tag:Core'] }), alice);
  assert.equal(denied, { ok: false, why: 'Alice is denied by tag:Core.' });
  const missed = allowed(parseRule({ allow: ['bob', 'tag:x'] }), alice);
  assert.equal(missed, { ok: false, why: 'Alice matches none of the allowed bob, tag:x.' });
});

test('a node named like an ID is not that node', () => {
  const impostor = { nodeId: new Uint8Array(32).fill(9), name: bobId, tags: [] };
  assert.is(allowed(parseRule({ allow: [bobId] }), impostor).ok, false);
});

test('a node without a right to its name matches no rule by name', () => {
  const nameless = { ...alice, name: '' };
  assert.is(allowed(parseRule({ allow: ['alice'] }), nameless).ok, false);
  assert.is(allowed(parseRule({ allow: ['tag:core'] }), nameless).ok, true);
  assert.match((allowed(parseRule({ allow: ['bob'] }), nameless) as { why: string }).why, aliceId);
});

test('what is no WHO is refused with a hint', () => {
  for (const bad of ['', 'tag:', '-x', 'a b', 'tag:a b', 'x'.repeat(64), 'é', 'tag:tag:x'])
    try {
      parseWho(bad);
      assert.unreachable(bad);
    } catch (error) {
      assert.instance(error, WarrenError);
      assert.is((error as WarrenError).code, 'bad-value', bad);
      assert.ok((error as WarrenError).hint);
    }
});

test('a rule has a limit', () => {
  assert.throws(() => parseRule({ allow: Array<string>(257).fill('x') }), /at most 256/);
});

test.run();
