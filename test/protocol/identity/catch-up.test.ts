import { MAX_SUMMARY_BYTES } from '../../../protocol/identity/catch-up.js';
import { Writer } from '../../../protocol/bytes.js';
import {
  issueNetworkSecret,
  issueRecord,
  issueRevocation,
  issueRole,
  issueSettlement,
} from '../../../protocol/identity/index.js';
import type { TrustItem, TrustStore } from '../../../protocol/identity/index.js';
import { assert, full, suite } from '../../helpers/suite.js';
import { World, below, random, thrown } from './helpers.js';
import type { Actor } from './helpers.js';

const test = suite('catch-up');

/** Both tell each other what the other lacks, until nobody has anything to say. */
function meet(a: TrustStore, b: TrustStore, limits?: { items?: number; bytes?: number }): number {
  for (let rounds = 0; rounds < 200; rounds++) {
    const [toA, toB] = [b.missingFrom(a.summary(), limits), a.missingFrom(b.summary(), limits)];
    if (toA.length + toB.length === 0) return rounds;
    a.addAll(toA);
    b.addAll(toB);
  }
  throw new Error('they never end');
}

test('a new node gets everything, a known one nothing', () => {
  const w = new World();
  const second = w.admin('second');
  w.member('b', second);
  const fresh = w.newStore();
  assert.is(meet(w.store, fresh), 1);
  assert.equal(fresh.digest(), w.store.digest());
  assert.equal(fresh.items().length, w.store.items().length);
});

test('only what is missing is told: 1,000 rotations, six of them new', () => {
  const w = new World();
  const b = w.member('b');
  const fresh = w.newStore();
  for (let i = 0; i < full(40, 1000); i++) w.must(b.rotate());
  meet(w.store, fresh);
  for (let i = 0; i < 6; i++) w.must(b.rotate());
  const missing = w.store.missingFrom(fresh.summary());
  assert.equal(missing.map(i => i.kind), Array(6).fill('statement')); // prettier-ignore
  assert.equal(fresh.missingFrom(w.store.summary()), [], 'who is behind does not tell what the other has');
  fresh.addAll(missing);
  assert.equal(fresh.digest(), w.store.digest());
}, { deadline: 120_000 }); // prettier-ignore

test('limits cut it into pieces that each can be taken in', () => {
  const w = new World();
  const second = w.admin('second');
  for (let i = 0; i < 10; i++) w.must(w.member(`m${i}`, second).rotate());
  for (const limits of [{ items: 3 }, { bytes: 1200 }]) {
    const fresh = w.newStore();
    const first = w.store.missingFrom(fresh.summary(), limits);
    assert.ok(first.length <= 5 && first.length > 0);
    for (const r of fresh.addAll(first)) assert.is(r.status, 'added');
    assert.ok(meet(w.store, fresh, limits) > 2);
    assert.equal(fresh.digest(), w.store.digest());
    assert.is(fresh.pendingCount, 0);
  }
});

test('more members than strangers fit are told in one go', () => {
  const w = new World();
  for (let i = 0; i < 80; i++) w.member(`m${i}`);
  const fresh = w.newStore();
  assert.is(meet(w.store, fresh), 1);
  assert.is(fresh.members().length, 81);
  for (const m of fresh.members()) assert.is(fresh.judge(m.node).verdict, 'admitted');
});

test('the digest is the same exactly when nobody lacks anything', () => {
  const w = new World();
  const peers = [w.newStore(), w.newStore(), w.newStore()];
  const second = w.admin('second');
  const actors: Actor[] = [w.founder, second];
  for (const p of peers) meet(w.store, p);
  for (let i = 0; i < full(60, 1500); i++) {
    const at = peers[below(random, peers.length)]!;
    const item = step(w, at, actors);
    if (item) at.addAll(item);
    const [x, y] = [peers[below(random, 3)]!, peers[below(random, 3)]!];
    const silent = x.missingFrom(y.summary()).length + y.missingFrom(x.summary()).length === 0;
    assert.is(Buffer.from(x.digest()).equals(y.digest()), silent, `step ${i}`);
    if (below(random, 3) === 0) {
      meet(x, y);
      assert.equal(x.digest(), y.digest());
    }
  }
  for (let i = 0; i < 3; i++) for (const p of peers) meet(peers[0]!, p);
  for (const p of peers) assert.equal(p.digest(), peers[0]!.digest());
}, { deadline: 120_000 }); // prettier-ignore

/** Something that may happen at a host that knows `store`; undefined when it may not. */
function step(w: World, store: TrustStore, actors: Actor[]): TrustItem[] | undefined {
  w.now += 1 + below(random, 1000);
  const actor = actors[below(random, actors.length)]!;
  const other = actors[below(random, actors.length)]!;
  const admin = actors[below(random, 2)]!;
  try {
    switch (below(random, 9)) {
      case 0: {
        const joiner = w.actor();
        actors.push(joiner);
        return [...joiner.log, admin.sign('grant', joiner.grantContent(`n${actors.length}`))];
      }
      case 1:
        return [actor.rotate(below(random, 4) === 0 ? 'compromised' : 'routine')];
      case 2:
        return [issueRecord(w.networkId, actor.pen(), { version: w.now, services: [], addresses: [] })];
      case 3:
        return [issueRole(store, admin.pen(), other.id, 'promote')];
      case 4:
        return [issueRole(store, admin.pen(), other.id, 'demote')];
      case 5:
        return [issueNetworkSecret(store, admin.pen(), random(32))];
      case 6: {
        if (actor === w.founder || below(random, 3) > 0) return undefined;
        const rival: TrustItem = { kind: 'statement', bytes: actor.rotated('compromised').statement };
        return below(random, 2) === 0 ? [rival, actor.rotate()] : [rival];
      }
      case 7: {
        const fork = store.openForks()[0];
        if (!fork) return undefined;
        return [issueSettlement(store, admin.pen(), fork.node, fork.branches[below(random, 2)]!.hash)];
      }
      default:
        return [issueRevocation(store, admin.pen(), other.id)];
    }
  } catch (error) {
    if ((error as Error).name !== 'WarrenError') throw error;
    return undefined;
  }
}

test('a summary that is not one is refused', () => {
  const w = new World();
  w.must(w.member('b').rotate());
  const good = w.store.summary();
  for (let n = 0; n < good.length; n++) assert.throws(() => w.store.missingFrom(good.subarray(0, n)), /summary/);
  assert.throws(() => w.store.missingFrom(Uint8Array.of(...good, 0)), /too many/);
  assert.match(
    thrown(() => w.store.missingFrom(Uint8Array.of(2))),
    /unknown version/,
  );
  assert.match(
    thrown(() => w.store.missingFrom(new Uint8Array(MAX_SUMMARY_BYTES + 1))),
    /too long/,
  );
  const logs = new Writer().u8(1).varint(1_000_000).finish();
  assert.match(
    thrown(() => w.store.missingFrom(logs)),
    /at most/,
  );
  const tags = new Writer().u8(1).varint(0).varint(1_000_000).finish();
  assert.match(
    thrown(() => w.store.missingFrom(tags)),
    /at most/,
  );
  const seq = new Writer().u8(1).varint(1).bytes(random(32)).varint(4096).finish();
  assert.match(
    thrown(() => w.store.missingFrom(seq)),
    /beyond the end/,
  );
});

test('a summary that lies gets no more than what there is', () => {
  const w = new World();
  w.must(w.member('b').rotate());
  const shared = w.store.missingFrom(w.newStore().summary()).length;
  for (let i = 0; i < 200; i++) {
    const lie = new Writer().u8(1).varint(2);
    lie.bytes(w.networkId).varint(0).bytes(random(8));
    lie.bytes(random(32)).varint(1).bytes(random(16)).varint(1).bytes(random(8));
    assert.ok(w.store.missingFrom(lie.finish()).length <= shared);
  }
});

test.run();
