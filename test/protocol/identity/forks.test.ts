import { toHex } from '../../../protocol/bytes.js';
import { decodeStatement, issueGrant, issueRecord, issueSettlement } from '../../../protocol/identity/index.js';
import type { NewKeys, TrustItem } from '../../../protocol/identity/index.js';
import { assert, suite } from '../../helpers/suite.js';
import { Actor, START, World, flipBit, primitives, random, thrown } from './helpers.js';

const test = suite('forks');

const statement = (keys: NewKeys): TrustItem => ({ kind: 'statement', bytes: keys.statement });
const hashOf = (keys: NewKeys): Uint8Array => decodeStatement(primitives, keys.statement).hash;

/** A world in which a copy of `victim` has rotated too; the store saw the owner's first. */
function forked(admin = false): { w: World; victim: Actor; thief: NewKeys; before: NewKeys } {
  const w = new World();
  const victim = admin ? w.admin('victim') : w.member('victim');
  w.now += 1000;
  const before = victim.keys;
  const thief = victim.rotated('compromised');
  w.must(victim.rotate());
  return { w, victim, thief, before };
}

test('the first seen stays, the second is refused and shouted, the proof is kept and told', () => {
  const { w, victim, thief } = forked();
  const result = w.add(statement(thief));
  assert.is(result.status, 'refused');
  assert.match(result.alarm!, /victim is forked at seq 1/);
  assert.equal(result.node, victim.id);
  assert.is(w.changes.at(-1)!.kind, 'fork');
  assert.is(w.store.openForks().length, 1);
  assert.equal(w.store.head(victim.id)!.hash, victim.head.hash);
  assert.is(w.store.judge(victim.id).verdict, 'admitted', 'the branch seen first goes on');
  assert.is(w.add(statement(thief)).status, 'known');
});

test('who hears of the fork before either branch follows neither', () => {
  const { w, victim, thief } = forked();
  w.add(statement(thief));
  const late = w.newStore();
  late.addAll(w.store.missingFrom(late.summary()));
  assert.is(late.head(victim.id)!.seq, 0);
  const judgement = late.judge(victim.id);
  assert.is(judgement.verdict === 'refused' && judgement.code, 'forked');
  assert.equal(late.digest(), w.store.digest());
  assert.is(late.add(statement(thief)).status, 'known');
  assert.is(late.head(victim.id)!.seq, 0);
});

test('hosts that saw different branches keep theirs and come to agree on the proof', () => {
  const { w, victim, thief } = forked();
  const other = w.newStore();
  other.addAll(w.store.items().filter(i => toHex(i.bytes) !== toHex(victim.head.bytes)));
  other.add(statement(thief));
  assert.not.equal(other.digest(), w.store.digest());
  w.store.addAll(other.missingFrom(w.store.summary()));
  other.addAll(w.store.missingFrom(other.summary()));
  assert.equal(other.digest(), w.store.digest());
  assert.is(w.store.missingFrom(other.summary()).length + other.missingFrom(w.store.summary()).length, 0);
  assert.equal(w.store.head(victim.id)!.hash, victim.head.hash);
  assert.equal(other.head(victim.id)!.hash, hashOf(thief));
});

test('a fork deep in a long log is found by two hosts whose heads differ', () => {
  const w = new World();
  const victim = w.member('victim');
  for (let i = 0; i < 20; i++) w.must(victim.rotate());
  const other = w.newStore();
  other.addAll(w.store.items());
  const thief = victim.rotated('compromised');
  for (let i = 0; i < 5; i++) w.must(victim.rotate());
  other.add(statement(thief));
  other.addAll(w.store.missingFrom(other.summary()));
  assert.is(other.openForks()[0]!.seq, 21);
  w.store.addAll(other.missingFrom(w.store.summary()));
  assert.equal(other.digest(), w.store.digest());
});

test('what an admin signed on either branch after the fork counts for nothing, what it signed before does', () => {
  const { w, victim, thief, before } = forked(true);
  const [x, y, z] = [w.actor(), w.actor(), w.actor()];
  w.must(...x.log, ...y.log, ...z.log);
  w.must(victim.sign('grant', x.grantContent('x', { since: START }), { keys: before, time: START + 5 }));
  w.must(victim.sign('grant', y.grantContent('y')));
  assert.equal([x, y].map(a => w.store.judge(a.id).verdict), ['admitted', 'admitted']); // prettier-ignore
  w.must(issueRecord(w.networkId, victim.pen(), { version: 1, services: [], addresses: [] }));
  w.add(statement(thief));
  assert.is(w.store.judge(y.id).verdict, 'refused');
  assert.match(w.add(victim.sign('grant', z.grantContent('z'), { keys: thief })).why!, /after the fork/);
  assert.is(w.store.record(victim.id), undefined);
  // One branch says compromised: then what was signed before is in doubt too.
  assert.is(w.store.judge(x.id).verdict, 'refused');
});

test('a fork between two routine rotations leaves standing what was signed before', () => {
  const w = new World();
  const victim = w.admin('victim');
  const x = w.member('x', victim);
  w.now += 1000;
  const thief = victim.rotated('routine');
  w.must(victim.rotate());
  w.add(statement(thief));
  assert.is(w.store.judge(x.id).verdict, 'admitted');
  assert.ok(w.store.isAdmin(victim.id), 'its role was given by the founder');
});

test('an admin above settles which branch stands, and the network heals', () => {
  for (const stands of ['owner', 'thief'] as const) {
    const { w, victim, thief } = forked(true);
    const y = w.actor();
    w.must(...y.log, victim.sign('grant', y.grantContent('y')));
    w.add(statement(thief));
    const late = w.newStore();
    late.addAll(w.store.missingFrom(late.summary()));
    const standing = stands === 'owner' ? victim.head.hash : hashOf(thief);
    const settlement = issueSettlement(w.store, w.founder.pen(), victim.id, standing);
    w.must(settlement);
    assert.is(w.store.openForks().length, 0);
    assert.equal(w.store.head(victim.id)!.hash, standing);
    assert.is(w.store.judge(y.id).verdict, 'admitted', 'both branches begin with the same key');
    assert.is(late.add(settlement).status, 'added');
    assert.equal(late.head(victim.id)!.hash, standing, 'who followed neither follows now');
    late.addAll(w.store.missingFrom(late.summary()));
    assert.equal(late.digest(), w.store.digest());
    if (stands === 'owner') w.must(victim.rotate('compromised'));
    assert.is(w.store.judge(victim.id).verdict, 'admitted');
    const restored = w.newStore();
    restored.restore(w.store.items());
    assert.equal(restored.digest(), w.store.digest());
    assert.equal(restored.head(victim.id)!.hash, w.store.head(victim.id)!.hash);
  }
});

test('an open fork and the branch that was followed survive a restart', () => {
  const { w, victim, thief } = forked();
  w.add(statement(thief));
  const restored = w.newStore();
  restored.restore(w.store.items());
  assert.is(restored.openForks().length, 1);
  assert.equal(restored.head(victim.id)!.hash, victim.head.hash);
  assert.equal(restored.digest(), w.store.digest());
});

test('nobody but an admin above settles; nobody settles a founder', () => {
  const { w, victim, thief } = forked(true);
  const [below, sibling] = [w.admin('below', victim), w.admin('sibling')];
  w.add(statement(thief));
  const content = { node: victim.id, seq: 1, standing: hashOf(thief) };
  for (const by of [below, sibling]) w.store.add(by.sign('settlement', content));
  assert.is(w.store.openForks().length, 1);
  assert.match(
    thrown(() => issueSettlement(w.store, sibling.pen(), victim.id, hashOf(thief))),
    /does not stand below/,
  );
  assert.match(
    thrown(() => issueSettlement(w.store, sibling.pen(), w.founder.id, random(32))),
    /founder/,
  );
  assert.match(
    thrown(() => issueSettlement(w.store, w.founder.pen(), sibling.id, random(32))),
    /no open fork/,
  );
  // A plain member is settled by any admin.
  const plain = forked();
  const any = plain.w.admin('any');
  plain.w.add(statement(plain.thief));
  plain.w.must(issueSettlement(plain.w.store, any.pen(), plain.victim.id, plain.victim.head.hash));
  assert.is(plain.w.store.openForks().length, 0);
});

test('a thief makes many branches: the one of the owner can be settled though the proof shows two others', () => {
  const w = new World();
  const victim = w.member('victim');
  w.now += 1000;
  const thieves = Array.from({ length: 8 }, () => victim.rotated('compromised'));
  const other = w.newStore();
  other.addAll(w.store.items());
  w.must(victim.rotate());
  for (const thief of thieves) w.add(statement(thief));
  other.addAll([...thieves.map(statement), { kind: 'statement', bytes: victim.head.bytes }]);
  const own = victim.head.hash;
  const shown = w.store.openForks()[0]!.branches.map(({ hash }) => toHex(hash));
  const item = issueSettlement(w.store, w.founder.pen(), victim.id, own);
  for (const store of [w.store, other]) {
    store.add(item);
    store.add({ kind: 'statement', bytes: victim.head.bytes });
    assert.is(store.openForks().length, 0);
    assert.equal(store.head(victim.id)!.hash, own, `not settled, the proof shows ${String(shown)}`);
  }
});

test('a settlement of what never forked moves no log', () => {
  const w = new World();
  const b = w.member('b');
  w.must(b.rotate(), b.rotate());
  w.must(w.founder.sign('settlement', { node: b.id, seq: 1, standing: random(32) }));
  assert.is(w.store.head(b.id)!.seq, 2);
  assert.is(w.store.judge(b.id).verdict, 'admitted');
});

test('of two settlements that of the higher admin counts, though it is younger, whenever it comes', () => {
  for (const order of [0, 1]) {
    const w = new World();
    const middle = w.admin('middle');
    const victim = w.admin('victim', middle);
    w.now += 10;
    const thief = victim.rotated('compromised');
    w.must(victim.rotate());
    w.add(statement(thief));
    const settle = (by: Actor, standing: Uint8Array, time: number): TrustItem =>
      by.sign('settlement', { node: victim.id, seq: 1, standing }, { time });
    const both = [settle(middle, hashOf(thief), w.now - 5), settle(w.founder, victim.head.hash, w.now)];
    for (const item of order ? both.reverse() : both) w.must(item);
    assert.equal(w.store.head(victim.id)!.hash, victim.head.hash);
  }
});

test('of two settlements by admins of one height the older counts', () => {
  for (const order of [0, 1]) {
    const { w, victim, thief } = forked();
    const [x, y] = [w.admin('x'), w.admin('y')];
    w.add(statement(thief));
    const settle = (by: Actor, standing: Uint8Array, time: number): TrustItem =>
      by.sign('settlement', { node: victim.id, seq: 1, standing }, { time });
    const both = [settle(x, hashOf(thief), w.now), settle(y, victim.head.hash, w.now - 1)];
    for (const item of order ? both.reverse() : both) w.must(item);
    assert.equal(w.store.head(victim.id)!.hash, victim.head.hash);
  }
});

test('a settlement falls with the admin who made it', () => {
  const w = new World();
  const middle = w.admin('middle');
  const victim = w.member('victim');
  w.now += 10;
  const thief = victim.rotated('compromised');
  w.must(victim.rotate());
  w.add(statement(thief));
  w.must(issueSettlement(w.store, middle.pen(), victim.id, hashOf(thief)));
  assert.is(w.store.openForks().length, 0);
  w.must(w.founder.sign('role', { node: middle.id, action: 'demote', generation: 0 }));
  assert.is(w.store.openForks().length, 1);
});

test('after the log went over to another branch, what was signed on the fallen one does not count', () => {
  const w = new World();
  const victim = w.admin('victim');
  w.now += 10;
  // Both branches go on to seq 2, with different keys there.
  const copy = w.newStore();
  copy.addAll(w.store.items());
  const thief1 = victim.rotated('compromised');
  w.must(victim.rotate(), victim.rotate());
  const x = w.actor();
  w.must(...x.log, victim.sign('grant', x.grantContent('x', { since: START })));
  assert.is(w.store.judge(x.id).verdict, 'admitted');
  w.add(statement(thief1));
  w.must(issueSettlement(w.store, w.founder.pen(), victim.id, hashOf(thief1)));
  assert.is(w.store.judge(x.id).verdict, 'refused');
  assert.is(w.store.head(victim.id)!.seq, 1);
});

test('a signature of the fallen branch is none under the key that the standing one has at that seq', () => {
  const w = new World();
  const victim = w.admin('victim');
  w.now += 10;
  const first = victim.rotated('compromised');
  const standing = new Actor(w, victim.keys);
  standing.keys = first;
  standing.statements.push(decodeStatement(primitives, first.statement));
  w.must(victim.rotate(), victim.rotate());
  const x = w.actor();
  const grant = victim.sign('grant', x.grantContent('x', { since: START }));
  w.must(...x.log, grant);
  w.add(statement(first));
  w.must(issueSettlement(w.store, w.founder.pen(), victim.id, hashOf(first)));
  w.must(standing.rotate());
  assert.is(w.store.head(victim.id)!.seq, 2);
  assert.is(w.store.judge(x.id).verdict, 'refused');
  const late = w.newStore();
  late.addAll(w.store.missingFrom(late.summary()));
  assert.match(late.add(grant).why!, /signature/);
  assert.equal(late.digest(), w.store.digest());
});

test('no bit of a fork proof can be changed', () => {
  const { w, thief } = forked();
  const clean = w.newStore();
  clean.addAll(w.store.items());
  w.add(statement(thief));
  const { bytes } = w.changes.at(-1)!;
  const digest = clean.digest();
  for (let bit = 0; bit < bytes.length * 8; bit += 3) {
    const { status } = clean.add({ kind: 'fork', bytes: flipBit(bytes, bit) });
    if (status !== 'refused' && status !== 'pending') throw new Error(`bit ${bit}: ${status}`);
  }
  assert.equal(clean.digest(), digest);
  assert.is(clean.add({ kind: 'fork', bytes }).status, 'added');
});

test('a founder that is forked can sign nothing more', () => {
  const w = new World();
  w.now += 10;
  const thief = w.founder.rotated('compromised');
  w.must(w.founder.rotate());
  w.add(statement(thief));
  const x = w.actor();
  w.must(...x.log);
  const grant = issueGrant(w.store, w.founder.pen(), { node: x.id, name: 'x' });
  assert.match(w.add(grant).why!, /after the fork/);
});

test.run();
