import { equal } from '../../../protocol/bytes.js';
import { loadPrimitives } from '../../../protocol/crypto/load.js';
import { SessionSecrets, type LinkBinding } from '../../../protocol/session/secrets.js';
import { assert, suite } from '../../helpers/suite.js';
import { Dice } from './virtual.js';

const test = suite('session secrets');
const { hash } = await loadPrimitives();
const dice = new Dice('secrets');

function link(): LinkBinding {
  return { handshakeHash: dice.bytes(32), exporter: dice.bytes(32) };
}

function pair(): { decider: SessionSecrets; other: SessionSecrets } {
  const first = link();
  return { decider: new SessionSecrets(hash.SHA256, first), other: new SessionSecrets(hash.SHA256, first) };
}

/** ATTACH and ATTACHED pass; the deciding side has moved on, CONFIRM has not come yet. */
function attached(decider: SessionSecrets, other: SessionSecrets): () => boolean {
  const l = link();
  const accepted = other.accept(l, decider.attach(l))!;
  assert.ok(decider.isAnswer(l, accepted.proof));
  decider.advance(l);
  return () => other.confirm(accepted.candidate);
}

test('both sides agree on the id, and go on together for many links', () => {
  const { decider, other } = pair();
  assert.ok(equal(decider.id, other.id));
  assert.is(decider.id.length, 16);
  for (let i = 1; i <= 20; i++) {
    assert.ok(attached(decider, other)());
    assert.equal([decider.epoch, other.epoch], [i, i]);
  }
});

test('ATTACHED lost: the next attach is under the old secret', () => {
  const { decider, other } = pair();
  for (let i = 0; i < 20; i++) {
    const lost = link();
    assert.ok(other.accept(lost, decider.attach(lost)));
  }
  assert.equal([decider.epoch, other.epoch], [0, 0]);
  assert.ok(attached(decider, other)());
});

test('CONFIRM lost: the next attach is under the new secret and commits it', () => {
  const { decider, other } = pair();
  attached(decider, other);
  assert.equal([decider.epoch, other.epoch], [1, 0]);
  assert.ok(attached(decider, other)());
  assert.equal([decider.epoch, other.epoch], [2, 2]);
});

test('CONFIRM that comes behind a later attach, on a link that the session went over, is taken', () => {
  const { decider, other } = pair();
  const late = attached(decider, other);
  const later = attached(decider, other);
  assert.ok(late());
  assert.ok(later());
  assert.ok(late(), 'also when the session has gone further since');
  assert.equal([decider.epoch, other.epoch], [2, 2]);
});

test('CONFIRM of an attach that the session went past is refused', () => {
  const { decider, other } = pair();
  const l = link();
  const dropped = other.accept(l, decider.attach(l))!;
  assert.ok(attached(decider, other)());
  assert.is(other.confirm(dropped.candidate), false);
});

test('an ATTACH that was right a moment ago is late, not forged, and opens nothing', () => {
  const { decider, other } = pair();
  const l = link();
  const attach = decider.attach(l);
  assert.ok(attached(decider, other)());
  assert.is(other.accept(l, attach), undefined);
  assert.ok(other.isLate(l, attach));
  assert.not(other.isLate(link(), attach), 'the proof is of another link');
  assert.not(other.isLate(l, { ...attach, proof: dice.bytes(32) }));
  for (let i = 0; i < 7; i++) assert.ok(attached(decider, other)());
  assert.ok(other.isLate(l, attach));
  assert.ok(attached(decider, other)());
  assert.not(other.isLate(l, attach), 'only so much of the past is kept');
});

test('a proof is of one link, one role, one epoch and one session', () => {
  const { decider, other } = pair();
  const [l, m] = [link(), link()];
  const attach = decider.attach(l);
  assert.is(other.accept(m, attach), undefined);
  assert.is(other.accept(l, { ...attach, epoch: 1 }), undefined);
  assert.is(pair().other.accept(l, attach), undefined);
  const { proof } = other.accept(l, attach)!;
  assert.is(decider.isAnswer(m, proof), false);
  assert.is(decider.isAnswer(l, attach.proof), false, 'its own proof sent back');
  assert.ok(decider.isAnswer(l, proof));
});

test('who has the old secret only cannot attach once the session has moved on', () => {
  const { decider, other } = pair();
  const kept = (decider as unknown as { readonly secret: Uint8Array }).secret.slice();
  const old = Object.create(SessionSecrets.prototype) as SessionSecrets;
  Object.assign(old, decider, { secret: kept });
  assert.ok(attached(decider, other)());
  const l = link();
  assert.is(other.accept(l, old.attach(l)), undefined);
});

test.run();
