/** The moment between an admin's new keys and what it signs anew with them. */
import { DOUBT_MS } from '../../../protocol/identity/doubt.js';
import { issueGrant, issueRecord, issueRevocation, signAgain } from '../../../protocol/identity/index.js';
import type { TrustItem } from '../../../protocol/identity/index.js';
import { assert, suite } from '../../helpers/suite.js';
import { World, type Actor } from './helpers.js';

const test = suite('members in doubt');

interface Scene {
  readonly w: World;
  readonly admin: Actor;
  readonly member: Actor;
}

/** A member that an admin has admitted and that says what it exposes. */
function scene(): Scene {
  const w = new World();
  const admin = w.admin('admin');
  const member = w.member('member', admin);
  const content = { version: 1, services: [{ name: 'db', tags: [] }], addresses: [] };
  w.must(issueRecord(w.networkId, member.pen(), content));
  w.now += 1_000;
  return { w, admin, member };
}

function verdict({ w, member }: Scene): string {
  return w.store.judge(member.id).verdict;
}

const signedAnew = ({ w, admin }: Scene): TrustItem[] => signAgain(w.store, admin.pen(), () => true);

test('are what they were for a moment, to the policy; to admission and to others they are none', () => {
  const s = scene();
  const { w, admin, member } = s;
  w.must(admin.rotate('compromised'));
  assert.is(verdict(s), 'refused');
  assert.is(w.store.grantOf(member.id), undefined);
  assert.is(w.store.doubtUntil(member.id), w.now + DOUBT_MS);
  assert.is(w.store.grantForNow(member.id)?.name, 'member');
  assert.is(w.store.nameOf(member.id), 'member');
  assert.is(w.store.record(member.id)?.services[0]?.name, 'db');
  assert.ok(w.store.members().some(m => m.name === 'member'));
  const told = w.newStore();
  told.addAll(w.store.missingFrom(told.summary()));
  assert.is(told.grantForNow(member.id), undefined, 'nobody else is told of a grant that does not stand');
  w.now += DOUBT_MS - 1;
  assert.is(w.store.grantForNow(member.id)?.name, 'member');
  const { version } = w.store;
  w.now += 1;
  assert.is(w.store.grantForNow(member.id), undefined);
  assert.is(w.store.doubtUntil(member.id), undefined);
  assert.ok(w.store.version > version, 'who has worked something out of it does so anew');
  assert.is(w.store.nameOf(member.id), undefined);
  assert.is(w.store.record(member.id), undefined);
  assert.not(w.store.members().some(m => m.name === 'member'));
});

test('what is signed anew ends the doubt, whether it comes behind the statement, ahead of it or with it', () => {
  for (const order of ['behind', 'ahead', 'with'] as const) {
    const s = scene();
    const { w, admin, member } = s;
    const statement = admin.rotate('compromised');
    const items = signedAnew(s);
    assert.ok(items.length > 0);
    const apart = order === 'with' ? [[statement, ...items]] : [...items.map(item => [item]), [statement]];
    for (const batch of order === 'behind' ? apart.reverse() : apart) w.store.addAll(batch);
    assert.is(verdict(s), 'admitted', order);
    assert.is(w.store.doubtUntil(member.id), undefined);
    assert.is(w.store.record(member.id)?.services[0]?.name, 'db');
    w.now += DOUBT_MS;
    assert.is(w.store.grantForNow(member.id)?.name, 'member');
  }
});

test('a revoked one is never in doubt, whichever comes first', () => {
  for (const isRevokedFirst of [true, false]) {
    const { w, admin, member } = scene();
    const revocation = issueRevocation(w.store, w.founder.pen(), member.id);
    if (isRevokedFirst) w.must(revocation);
    w.must(admin.rotate('compromised'));
    if (!isRevokedFirst) w.must(revocation);
    assert.is(w.store.doubtUntil(member.id), undefined);
    assert.is(w.store.grantForNow(member.id), undefined);
    assert.is(w.store.record(member.id), undefined);
  }
});

test('neither a further statement nor a grant by a key that was given up makes the moment longer', () => {
  const { w, admin, member } = scene();
  const stolen = admin.keys;
  w.must(admin.rotate('compromised'));
  w.now += DOUBT_MS / 2;
  w.must(admin.rotate('compromised'));
  const backdated = admin.sign('grant', member.grantContent('member'), { keys: stolen, time: w.now - 60_000 });
  assert.is(w.add(backdated).status, 'refused');
  w.now += DOUBT_MS / 2;
  assert.is(w.store.grantForNow(member.id), undefined);
});

test('a backdated grant that comes behind the statement lets nobody in; one that came before is over with it', () => {
  const s = scene();
  const { w, admin } = s;
  const stolen = admin.keys;
  const [early, late] = [w.actor(), w.actor()];
  const backdated = (thief: Actor, name: string): TrustItem =>
    admin.sign('grant', thief.grantContent(name, { since: w.now - 500 }), { keys: stolen, time: w.now - 500 });
  w.must(...early.log, ...late.log, backdated(early, 'early'));
  w.must(admin.rotate('compromised'));
  assert.is(w.add(backdated(late, 'late')).status, 'refused');
  assert.is(w.store.grantForNow(late.id), undefined);
  assert.is(w.store.judge(early.id).verdict, 'refused', 'no new link');
  assert.is(w.store.grantForNow(early.id)?.name, 'early', 'what it had goes on');
  w.now += DOUBT_MS;
  assert.is(w.store.grantForNow(early.id), undefined);
});

test('nobody else comes by the name of one in doubt', () => {
  const { w, admin, member } = scene();
  const rival = w.actor();
  w.now += 1_000;
  w.must(...rival.log, w.founder.sign('grant', rival.grantContent('member')));
  assert.is(w.store.nameOf(rival.id), undefined);
  w.must(admin.rotate('compromised'));
  assert.is(w.store.nameOf(rival.id), undefined);
  assert.equal(w.store.nodeByName('member'), member.id);
});

test('a fork leaves nobody in doubt', () => {
  const { w, admin, member } = scene();
  const thief = admin.rotated('compromised');
  w.must(admin.rotate());
  w.add({ kind: 'statement', bytes: thief.statement });
  assert.is(w.store.openForks().length, 1);
  assert.is(w.store.grantForNow(member.id), undefined);
  assert.is(w.store.doubtUntil(member.id), undefined);
});

test('what a home has kept is in no doubt when it starts', () => {
  const { w, admin, member } = scene();
  w.must(admin.rotate('compromised'));
  const again = w.newStore();
  again.restore(w.store.items());
  assert.is(again.grantForNow(member.id), undefined);
});

test('a grant that was never good is not taken for what was: by an admin that lost its role in the same moment', () => {
  const { w, admin } = scene();
  const below = w.admin('below', admin);
  const guest = w.actor();
  const grant = issueGrant(w.store, below.pen(), { node: guest.id, name: 'guest' });
  w.must(...guest.log);
  w.store.addAll([admin.rotate('compromised'), grant]);
  assert.is(w.store.grantForNow(guest.id), undefined);
  assert.is(w.store.judge(guest.id).verdict, 'refused');
});

test.run();
