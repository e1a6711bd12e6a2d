/** A key log has an end: said in time, and in one sentence when it has come. */
import { loadPrimitives } from '../../../protocol/crypto/load.js';
import { WarrenError } from '../../../protocol/errors.js';
import {
  MAX_STATEMENTS,
  createInception,
  createRotation,
  decodeStatement,
} from '../../../protocol/identity/statement.js';
import { LONG_LOG, logLengthCheck } from '../../../daemon/check.js';
import type { NodeKeys } from '../../../daemon/home/keyfile.js';
import { Keyring } from '../../../daemon/keys/keyring.js';
import { VirtualTimers } from '../../protocol/session/virtual.js';
import { assert, suite } from '../../helpers/suite.js';

const test = suite('a long key log');
const primitives = await loadPrimitives();

/** A keyring whose newest statement has this seq; nobody looks at those before it. */
function keyringAt(seq: number): { keyring: Keyring; saved: NodeKeys[] } {
  const first = createInception(primitives, { now: 1 });
  const head = { ...decodeStatement(primitives, first.statement), seq: seq - 1 };
  const old = first.signing.privateKey;
  const made = createRotation(primitives, { head, reason: 'routine', next: first.next, old, now: 2 });
  const saved: NodeKeys[] = [];
  const keyring = new Keyring({
    primitives,
    timers: new VirtualTimers(),
    keys: {
      nodeId: made.nodeId,
      signingSeed: made.signing.privateKey,
      noisePrivate: made.noise.privateKey,
      nextSeed: made.next,
      statements: [...Array.from({ length: seq }, () => first.statement), made.statement],
    },
    save: keys => saved.push(keys),
  });
  return { keyring, saved };
}

test('takes its last rotation, and refuses the next one in one sentence with what to do; nothing changes then', () => {
  const { keyring, saved } = keyringAt(MAX_STATEMENTS - 2);
  keyring.commit(keyring.make({ reason: 'routine', time: 3 }));
  assert.is(keyring.seq, MAX_STATEMENTS - 1);
  for (const reason of ['routine', 'compromised'] as const) {
    try {
      keyring.make({ reason, time: 4 });
      assert.unreachable('the log has an end');
    } catch (error) {
      assert.instance(error, WarrenError);
      const { code, message, hint } = error as WarrenError;
      assert.is(code, 'limit');
      assert.is(message, 'The key log of this node is full: it ends at 4096 statements.');
      assert.is(hint, 'Make this host a new node: an empty home, and an invite of the network.');
    }
  }
  assert.is(saved.length, 1);
  assert.is(keyring.seq, MAX_STATEMENTS - 1);
});

test('doctor warns from 3,500 statements on and says what is left', () => {
  assert.equal(logLengthCheck(LONG_LOG - 2), []);
  const [warning] = logLengthCheck(LONG_LOG - 1);
  assert.is(warning?.state, 'warning');
  assert.is(warning?.message, `the key log of this node has room for ${4096 - 3500} more rotations`);
  assert.is(logLengthCheck(MAX_STATEMENTS - 2)[0]?.message, 'the key log of this node has room for 1 more rotation');
  const full = logLengthCheck(MAX_STATEMENTS - 1)[0]!;
  assert.is(full.state, 'problem');
  assert.match(full.message, /is full: its keys cannot be rotated any more$/);
  assert.match(full.hint!, /warren up --join TOKEN/);
});

test.run();
