import { MAX_ADMINS } from '../../../protocol/identity/admin-tree.js';
import { issueGrant, issueRevocation, issueRole } from '../../../protocol/identity/index.js';
import type { TrustItem } from '../../../protocol/identity/index.js';
import { assert, full, suite } from '../../helpers/suite.js';
import { below, START, World, random } from './helpers.js';
import type { Actor } from './helpers.js';

const test = suite('admin tree');

const promote = (by: Actor, node: Actor, generation = 0, time = by.world.now): TrustItem =>
  by.sign('role', { node: node.id, action: 'promote', generation }, { time });
const demote = (by: Actor, node: Actor, generation = 0): TrustItem =>
  by.sign('role', { node: node.id, action: 'demote', generation });
const revoke = (by: Actor, node: Actor, generation = 0): TrustItem =>
  by.sign('revocation', { node: node.id, generation });

const admins = (w: World, ...actors: Actor[]): boolean[] => actors.map(a => w.store.isAdmin(a.id));

/** A chain founder → a → b → c. */
function chain(): { w: World; a: Actor; b: Actor; c: Actor } {
  const w = new World();
  const a = w.admin('a');
  const b = w.admin('b', a);
  const c = w.admin('c', b);
  return { w, a, b, c };
}

test('admins are made by admins, down from the founder', () => {
  const { w, a, b, c } = chain();
  assert.equal(admins(w, w.founder, a, b, c), [true, true, true, true]);
  assert.equal([w.founder, a, b, c].map(x => w.store.depthOf(x.id)), [0, 1, 2, 3]); // prettier-ignore
  assert.equal(w.store.admins().map(x => x.path.size), [1, 2, 3, 4]); // prettier-ignore
});

test('a demotion takes the subtree along', () => {
  const { w, a, b, c } = chain();
  const member = w.member('m', c);
  w.must(demote(a, b));
  assert.equal(admins(w, a, b, c), [true, false, false]);
  assert.is(w.store.judge(member.id).verdict, 'refused');
});

test('a grandparent and the founder may demote too', () => {
  for (const who of ['founder', 'a'] as const) {
    const { w, a, b, c } = chain();
    w.must(demote(who === 'founder' ? w.founder : a, c));
    assert.equal(admins(w, a, b, c), [true, true, false]);
  }
});

test('nobody demotes or revokes an ancestor, a sibling, or the founder; the attempt is shouted', () => {
  const { w, a, b, c } = chain();
  const sibling = w.admin('sibling');
  for (const [by, whom] of [
    [c, a],
    [c, b],
    [b, a],
    [sibling, a],
    [sibling, b],
    [sibling, c],
  ] as const) {
    // prettier-ignore
    assert.match(w.add(demote(by, whom)).alarm!, /without standing above/);
    assert.match(w.add(revoke(by, whom, 9)).alarm!, /without standing above/);
  }
  assert.is(w.add(demote(sibling, w.founder)).status, 'refused');
  assert.is(w.add(revoke(sibling, w.founder)).status, 'refused');
  assert.equal(admins(w, w.founder, a, b, c, sibling), [true, true, true, true, true]);
  assert.is(w.store.judge(b.id).verdict, 'admitted');
});

test('mutual demotion: neither falls', () => {
  const w = new World();
  const [x, y] = [w.admin('x'), w.admin('y')];
  w.store.addAll([demote(x, y), demote(y, x)]);
  assert.equal(admins(w, x, y), [true, true]);
});

test('who promotes an admin of another branch does not get to stand above it', () => {
  const w = new World();
  const [x, y] = [w.admin('x'), w.admin('y')];
  w.must(promote(y, x), promote(x, y));
  w.store.addAll([demote(y, x), demote(x, y)]);
  assert.equal(admins(w, x, y), [true, true], 'both hang on the founder');
  const z = w.admin('z', x);
  w.must(promote(y, z, 0, START - 9));
  w.store.add(demote(y, z));
  assert.ok(w.store.isAdmin(z.id), 'x still holds it');
  w.must(demote(x, z));
  assert.not(w.store.isAdmin(z.id));
});

test('a loop holds nobody up', () => {
  const { w, a, b, c } = chain();
  w.must(promote(c, a, 1), promote(b, a, 1), promote(c, b, 1));
  assert.equal(admins(w, a, b, c), [true, true, true]);
  w.must(demote(w.founder, a, 0));
  assert.equal(admins(w, a, b, c), [false, false, false]);
});

test('a demoted node is promoted again with a higher generation only', () => {
  const { w, a, b } = chain();
  w.must(demote(a, b));
  w.must(promote(a, b, 0, START + 5));
  assert.not(w.store.isAdmin(b.id));
  w.must(issueRole(w.store, a.pen(), b.id, 'promote'));
  assert.ok(w.store.isAdmin(b.id));
  assert.is(w.store.claims('role').filter(r => r.claim.generation === 1).length, 1);
});

test('a demotion that comes before the promotion holds', () => {
  const w = new World();
  const m = w.member('m');
  w.must(demote(w.founder, m));
  w.must(promote(w.founder, m));
  assert.not(w.store.isAdmin(m.id));
});

test('a revoked admin is no admin, and being admitted again does not make it one', () => {
  const { w, a, b, c } = chain();
  w.must(issueRevocation(w.store, a.pen(), b.id));
  assert.equal(admins(w, a, b, c), [true, false, false]);
  assert.is(w.store.judge(b.id).verdict, 'refused');
  w.must(issueGrant(w.store, w.founder.pen(), { node: b.id, name: 'b' }));
  assert.equal(admins(w, a, b, c), [true, false, false]);
  w.must(issueRole(w.store, w.founder.pen(), b.id, 'promote'));
  assert.equal(admins(w, a, b, c), [true, true, true]);
});

test('any admin may revoke a plain member', () => {
  const { w, a, c } = chain();
  const member = w.member('m', a);
  w.must(issueRevocation(w.store, c.pen(), member.id));
  assert.is(w.store.judge(member.id).verdict, 'refused');
});

test('the word of a demoted admin is void, also its demotions', () => {
  const { w, a, b, c } = chain();
  w.must(demote(b, c));
  w.must(demote(w.founder, a));
  assert.equal(admins(w, a, b, c), [false, false, false]);
  w.must(promote(w.founder, c, 0));
  assert.ok(w.store.isAdmin(c.id), 'what b said of it no longer counts');
});

test('nobody promotes itself', () => {
  const w = new World();
  const m = w.member('m');
  assert.is(w.add(promote(m, m)).status, 'refused');
});

test('a promotion by an admin whose key was compromised falls', () => {
  const { w, a, b, c } = chain();
  w.now += 10;
  w.must(a.rotate('compromised'));
  assert.equal(admins(w, a, b, c), [true, false, false]);
});

test('of more admins than fit, those nearest to the founder are admins', () => {
  const w = new World();
  const deep = w.admin('deep');
  const ids = Array.from({ length: MAX_ADMINS + 5 }, () => random(32));
  w.must(...ids.map(node => deep.sign('role', { node, action: 'promote', generation: 0 })));
  assert.is(w.store.admins().length, MAX_ADMINS);
  const near = w.admin('near');
  assert.ok(w.store.isAdmin(near.id));
  assert.is(w.store.admins().length, MAX_ADMINS);
}); // prettier-ignore

test('any set of role statements, in any order, gives one tree; ancestors stay safe', () => {
  for (let round = 0; round < full(6, 300); round++) {
    const w = new World();
    const nodes = Array.from({ length: 6 }, (_, i) => w.member(`n${i}`));
    const all = [w.founder, ...nodes];
    const items: TrustItem[] = [];
    for (let i = 0; i < 25; i++) {
      const [by, whom] = [all[below(random, all.length)]!, nodes[below(random, nodes.length)]!];
      if (by === whom) continue;
      const kind = below(random, 5);
      const generation = below(random, 3);
      items.push(kind < 3 ? promote(by, whom, generation, START + i) : kind === 3 ? demote(by, whom, generation) : revoke(by, whom, generation));
    }
    const digests = new Set<string>();
    const trees = new Set<string>();
    for (let order = 0; order < 3; order++) {
      const copy = w.newStore();
      copy.addAll(w.store.items());
      const shuffled = [...items].sort(() => random(1)[0]! - 128);
      if (order === 2) for (const item of shuffled) copy.add(item);
      else copy.addAll(shuffled);
      trees.add(copy.admins().map(a => Buffer.from(a.node).toString('hex')).join()); // prettier-ignore
      digests.add(Buffer.from(copy.digest()).toString('hex'));
      for (const admin of copy.admins()) assert.ok(admin.path.size === admin.depth + 1);
    }
    assert.is(trees.size, 1, `round ${round}`);
    assert.is(digests.size, 1, `round ${round}`);
  }
}, { deadline: 120_000 }); // prettier-ignore

test.run();
