import { equal } from '../../../protocol/bytes.js';
import { MAX_SKIPPED_FRAMES, type AdmissionOptions, type Minted } from '../../../protocol/handshake/admission.js';
import {
  decodeItem,
  encodeAdmit,
  encodeDone,
  encodeItem,
  encodeSecret,
} from '../../../protocol/handshake/admission-frames.js';
import {
  Listener,
  MAX_CATCH_UP_BYTES,
  MAX_CATCH_UP_ITEMS,
  MAX_REFUSED_ITEMS,
  ROUND_ITEMS,
} from '../../../protocol/handshake/catch-up.js';
import type { Established } from '../../../protocol/handshake/types.js';
import {
  InviteBook,
  TrustStore,
  issueGrant,
  issueNetworkSecret,
  issueRevocation,
  renewGrant,
  signAgain,
  type NodeId,
  type InviteEntry,
} from '../../../protocol/identity/index.js';
import { MAX_AHEAD } from '../../../protocol/identity/telling-order.js';
import { WarrenError } from '../../../protocol/errors.js';
import { encodeEnvelope, signBody } from '../../../protocol/identity/signed.js';
import { STATEMENT_LABEL, decodeStatement, encodeStatementBody } from '../../../protocol/identity/statement.js';
import { DAY_MS } from '../../../protocol/identity/grant.js';
import { FRAME } from '../../../protocol/link/frame.js';
import { assert, full, suite } from '../../helpers/suite.js';
import {
  End,
  admit,
  connect,
  copy,
  equalStores,
  founder,
  meet,
  newcomer,
  pen,
  promote,
  pskOf,
  publish,
  rotate,
  run,
  statementsOf,
  type Meeting,
  type TestMember,
} from './members.js';
import { keysOf, makeNode, real, shake } from './nodes.js';

const test = suite('admission');

/** A founder and members that all know the same. */
function network(...names: string[]): TestMember[] {
  const first = founder('founder');
  const others = names.map(name => newcomer(name, first));
  for (const [i, node] of others.entries()) admit(first, node, { name: names[i]! });
  for (const node of others) copy(first, node);
  return [first, ...others];
}

function outcomes({ dialer, acceptor }: Meeting): string[] {
  return [dialer.outcome, acceptor.outcome];
}

/** What a step answers the peer that breaks a rule. */
function wireOf(step: () => void): string {
  try {
    step();
  } catch (error) {
    return error instanceof WarrenError ? (error.wire ?? 'no code') : String(error);
  }
  return 'accepted';
}

function endsOf(
  a: TestMember,
  b: TestMember,
  dialed: Established,
  accepted: Established,
  more: Partial<AdmissionOptions> = {},
): Meeting {
  return { dialer: new End(a, dialed), acceptor: new End(b, accepted, more) };
}

// ── the short way ──────────────────────────────────────────────────────────────────────────────────────────────────

test('equal digests: one ADMIT each way, and the initiator may go on right behind message 3', () => {
  const [a, b] = network('b') as [TestMember, TestMember];
  const { dialer, acceptor } = connect(a, b);
  // The initiator has just made message 3 and heard nothing since.
  dialer.admission.start();
  assert.is(dialer.outcome, 'admitted');
  assert.equal(
    dialer.sent.map(f => f.type),
    [FRAME.ADMIT],
  );
  dialer.sent.push({ type: FRAME.NEW, body: new Uint8Array(0) });
  // The responder starts with message 3; both frames may lie behind it in the same bytes.
  acceptor.admission.start();
  assert.is(acceptor.outcome, 'admitted');
  run({ dialer, acceptor });
  assert.equal(acceptor.session, [FRAME.ADMIT, FRAME.NEW], 'the session has the link, and passes over an ADMIT');
  assert.is(FRAME.ADMIT % 2, 1);
  assert.equal(dialer.result, { peer: b.keys.nodeId, standing: 'admitted' });
});

test('the short way accepts nothing of the long one', () => {
  const [a, b] = network('b') as [TestMember, TestMember];
  a.ctx.clock.advance(31 * DAY_MS + DAY_MS); // so that the link stays with admission
  const { acceptor } = connect(a, b);
  acceptor.admission.start();
  for (const [type, body] of [
    [FRAME.HAVE, Uint8Array.of(1, 0)],
    [FRAME.DONE, encodeDone(false)],
    [FRAME.NEXT, new Uint8Array(0)],
    [FRAME.DATA, new Uint8Array(3)],
  ] as const) {
    assert.is(
      wireOf(() => acceptor.admission.frame(type, body)),
      'protocol',
      `${type}`,
    );
  }
});

test('equal digests do not admit who is no member', () => {
  const [a, b] = network('b') as [TestMember, TestMember];
  const revocation = issueRevocation(a.store, pen(a), b.keys.nodeId);
  for (const node of [a, b]) node.store.add(revocation);
  assert.ok(equalStores(a, b));
  const { dialer, acceptor } = meet(a, b);
  assert.is(dialer.outcome, 'refused: revoked');
  assert.equal(dialer.log, []);
  assert.is(acceptor.outcome, 'open', 'the revoked node waits for the CLOSE that comes');
});

// ── the long way ───────────────────────────────────────────────────────────────────────────────────────────────────

test('stores that differ are the same afterwards, whichever side lacks what', () => {
  const [a, b, c] = network('b', 'c') as [TestMember, TestMember, TestMember];
  const d = newcomer('d', a);
  admit(a, d, { name: 'd' });
  publish(a, 1);
  publish(b, 1);
  publish(c, 1);
  a.store.add({ kind: 'registry', bytes: c.store.record(c.keys.nodeId)!.bytes });
  assert.not.ok(equalStores(a, b));
  const meeting = meet(b, a);
  assert.equal(outcomes(meeting), ['admitted', 'admitted']);
  assert.ok(equalStores(a, b));
  assert.ok(b.store.record(c.keys.nodeId));
  assert.equal(meeting.dialer.log.slice(0, 1), ['HAVE']);
  assert.is(meeting.dialer.log.at(-1), 'ADMIT');
  // The next time there is nothing to say.
  assert.equal(meet(a, b).dialer.log, ['ADMIT']);
});

test('the grant that a peer shows counts before anybody else has told it', () => {
  const [a, b] = network('b') as [TestMember, TestMember];
  const c = newcomer('c', a);
  const grant = admit(a, c, { name: 'c' });
  c.ctx.own = { ...c.ctx.own, grant: grant.bytes };
  const meeting = meet(c, b);
  assert.equal(outcomes(meeting), ['admitted', 'admitted']);
  assert.ok(equalStores(b, c));
});

test('a grant of an admin of whom the other side has never heard', () => {
  const [a, b, c] = network('b', 'c') as [TestMember, TestMember, TestMember];
  // a promotes b; b admits d; c knows nothing of it.
  promote(a, b);
  copy(a, b);
  const d = newcomer('d', a);
  admit(b, d, { name: 'd' });
  assert.equal(outcomes(meet(d, c)), ['admitted', 'admitted']);
  assert.ok(equalStores(c, d));
  assert.ok(c.store.isAdmin(b.keys.nodeId));
});

test(
  'a node that rotated many times while the other was away catches up in one link',
  () => {
    const [a, b] = network('b') as [TestMember, TestMember];
    const times = full(70, 1000);
    for (let i = 0; i < times; i++) rotate(b);
    const meeting = meet(b, a);
    assert.equal(outcomes(meeting), ['admitted', 'admitted']);
    assert.is(a.store.head(b.keys.nodeId)!.seq, times);
    const rounds = meeting.acceptor.log.filter(f => f === 'DONE').length;
    assert.is(rounds, Math.ceil(times / ROUND_ITEMS));
    assert.ok(equalStores(a, b));
  },
  { deadline: 60_000 },
);

test('a node that both know only by halves: each learns the other half', () => {
  const [a, b] = network('b') as [TestMember, TestMember];
  for (let i = 0; i < 5; i++) rotate(a);
  for (let i = 0; i < 7; i++) rotate(b);
  assert.equal(outcomes(meet(a, b)), ['admitted', 'admitted']);
  assert.is(b.store.head(a.keys.nodeId)!.seq, 5);
  assert.is(a.store.head(b.keys.nodeId)!.seq, 7);
});

test('registry records are told to nobody before it is admitted', () => {
  const [a, b] = network('b') as [TestMember, TestMember];
  publish(a, 1);
  const stranger = newcomer('stranger', a);
  stranger.secrets = a.secrets;
  const meeting = meet(stranger, a);
  assert.equal(outcomes(meeting), ['open', 'refused: not-admitted']);
  assert.is(stranger.store.claims('registry').length, 0);
  assert.is(meeting.dialer.log.includes('SECRET'), false);
  assert.equal(outcomes(meet(b, a)), ['admitted', 'admitted']);
  assert.is(b.store.claims('registry').length, 1);
});

test(
  'many registry records come in rounds too',
  () => {
    const [a, b] = network('b') as [TestMember, TestMember];
    const count = 2 * ROUND_ITEMS + 1;
    for (let i = 0; i < count; i++) {
      const node = newcomer(`n${i}`, a);
      a.store.addAll(statementsOf(node));
      a.store.add(issueGrant(a.store, pen(a), { node: node.keys.nodeId, name: `n${i}` }));
      a.store.add(publish(node, 1));
    }
    const { dialer, acceptor } = meet(b, a);
    assert.equal(outcomes({ dialer, acceptor }), ['admitted', 'admitted']);
    assert.is(b.store.claims('registry').length, count);
    // Statements and grants: 5 rounds, so 4 questions; records: 3 rounds, so 2.
    assert.is(acceptor.log.filter(f => f === 'NEXT').length, 4 + 2);
    assert.is(dialer.log.filter(f => f === 'DONE').length, 5 + 2);
    assert.ok(equalStores(a, b));
  },
  { deadline: 60_000 },
);

// ── who is refused ─────────────────────────────────────────────────────────────────────────────────────────────────

test('a revoked node hears it, from whoever knows', () => {
  const [a, b, c] = network('b', 'c') as [TestMember, TestMember, TestMember];
  a.store.add(issueRevocation(a.store, pen(a), b.keys.nodeId));
  copy(a, c);
  assert.is(meet(b, c).acceptor.refusal?.code, 'revoked');
});

test('a revoked node is told nothing of what came after it', () => {
  const [a, b] = network('b') as [TestMember, TestMember];
  a.store.add(issueRevocation(a.store, pen(a), b.keys.nodeId));
  const late = newcomer('late', a);
  admit(a, late, { name: 'late' });
  for (const meeting of [meet(b, a), meet(a, b)])
    assert.ok(outcomes(meeting).some(outcome => outcome === 'refused: revoked'));
  assert.is(b.store.nodeByName('late'), undefined);
});

test('a node that was revoked and granted anew by an admin of whom the other side has never heard is admitted', () => {
  const [a, b, c] = network('b', 'c') as [TestMember, TestMember, TestMember];
  a.store.add(issueRevocation(a.store, pen(a), b.keys.nodeId));
  copy(a, c);
  promote(a, c);
  copy(a, c);
  b.ctx.own = { ...b.ctx.own, grant: admit(c, b, { name: 'b2' }).bytes };
  const other = newcomer('other', a);
  admit(a, other, { name: 'other' });
  other.store = new TrustStore({
    primitives: other.ctx.primitives,
    clock: other.ctx.clock,
    networkId: a.store.networkId,
  });
  // all but the new admin's role
  other.store.addAll(a.store.items().filter(item => item.kind !== 'role'));
  assert.is(other.store.judge(b.keys.nodeId).verdict, 'refused');
  assert.equal(outcomes(meet(b, other)), ['admitted', 'admitted']);
});

test('a compromised key is closed out, also by who hears of it only now', () => {
  const [a, b, c] = network('b', 'c') as [TestMember, TestMember, TestMember];
  const stolen = { ...b, ctx: { ...b.ctx, own: { ...b.ctx.own } } };
  rotate(b, 'compromised');
  copy(b, c);
  stolen.ctx.identity = () => stolen.ctx.own;
  const thief: TestMember = {
    ...stolen,
    store: newcomer('thief', a).store,
    ctx: { ...stolen.ctx, digest: () => a.store.digest() },
  };
  copy(a, thief);
  const { acceptor } = meet(thief, c);
  assert.is(acceptor.refusal?.code, 'key-compromised');
  assert.equal(outcomes(meet(b, a)), ['admitted', 'admitted']);
});

test('a key that was rotated away from is refused', () => {
  const [a, b] = network('b') as [TestMember, TestMember];
  const before = b.ctx.own;
  rotate(b);
  copy(b, a);
  b.ctx.own = before;
  assert.is(meet(b, a).acceptor.refusal?.code, 'key-replaced');
});

test('two branches of one key log: forked', () => {
  const [a, b] = network('b') as [TestMember, TestMember];
  const twin: TestMember = { ...b, statements: [...b.statements], ctx: { ...b.ctx, own: b.ctx.own, events: [] } };
  twin.ctx.identity = () => twin.ctx.own;
  rotate(b);
  twin.store = newcomer('elsewhere', a).store;
  copy(a, twin);
  twin.ctx.digest = () => twin.store.digest();
  twin.ctx.clock.advance(1000);
  rotate(twin);
  assert.equal(outcomes(meet(b, a)), ['admitted', 'admitted']);
  const { acceptor } = meet(twin, a);
  assert.is(acceptor.refusal?.code, 'forked');
  assert.ok(
    a.ctx.events.some(e => e.sentence.includes('forked')),
    'shouted',
  );
});

test('who claims a later statement of a member must show the log up to it', () => {
  const [a, b] = network('b') as [TestMember, TestMember];
  rotate(b);
  // b keeps quiet about statement 1.
  b.store = newcomer('quiet', a).store;
  copy(a, b);
  const honest = connect(b, a);
  honest.dialer.admission.start();
  honest.acceptor.admission.start();
  run(honest);
  // The statement in the payload follows statement 0, so this one is borne out all the same.
  assert.is(honest.acceptor.outcome, 'admitted');
  const [c, d] = network('d') as [TestMember, TestMember];
  rotate(d);
  rotate(d);
  d.store = newcomer('quiet', c).store;
  copy(c, d);
  assert.is(meet(d, c).acceptor.refusal?.code, 'not-admitted');
});

test('a forged later statement in the name of a member is refused, whatever is known of it', () => {
  const [a, b] = network('b') as [TestMember, TestMember];
  const head = decodeStatement(real, b.keys.statement);
  const thief = newcomer('thief', a);
  const body = encodeStatementBody({
    node: b.keys.nodeId,
    seq: 1,
    previous: head.hash,
    signingKey: thief.keys.signing.publicKey,
    noiseKey: thief.keys.noise.publicKey,
    next: head.next,
    time: head.time + 1,
    reason: 'compromised',
  });
  const signature = signBody(real.ed25519, thief.keys.signing.privateKey, STATEMENT_LABEL, body);
  thief.ctx.own = { ...thief.ctx.own, statement: encodeEnvelope({ body, signature }) };
  thief.secrets = a.secrets;
  assert.equal(meet(thief, a).acceptor.refusal, {
    code: 'not-admitted',
    sentence: 'b has not shown its key log up to seq 1',
  });
  rotate(b);
  assert.equal(outcomes(meet(b, a)), ['admitted', 'admitted']);
  assert.match(meet(thief, a).acceptor.refusal!.sentence, 'not in its key log');
  assert.equal(outcomes(meet(b, a)), ['admitted', 'admitted']);
});

test('a statement 0 that is not rightly signed makes no node', () => {
  const [a] = network() as [TestMember];
  const x = newcomer('x', a);
  const { body } = decodeStatement(real, x.keys.statement).envelope;
  x.ctx.own = { ...x.ctx.own, statement: encodeEnvelope({ body, signature: new Uint8Array(64) }) };
  x.secrets = a.secrets;
  x.store = newcomer('y', a).store; // it does not tell the right one either
  assert.match(meet(x, a).acceptor.refusal!.sentence, 'has not shown its key log');
});

// ── limited ────────────────────────────────────────────────────────────────────────────────────────────────────────

test('an expired grant: catch-up only, on both sides, then closed', () => {
  const [a, b, c] = network('b', 'c') as [TestMember, TestMember, TestMember];
  a.ctx.clock.advance(20 * DAY_MS);
  a.store.add(renewGrant(a.store, pen(a), c.keys.nodeId));
  copy(a, c);
  a.ctx.clock.advance(12 * DAY_MS);
  publish(c, 1);
  const meeting = meet(b, c);
  assert.equal(outcomes(meeting), ['limited: grant-expired', 'limited: grant-expired']);
  assert.match(meeting.acceptor.result!.why!, 'expired');
  assert.is(b.store.claims('registry').length, 0, 'a limited peer gets no records');
  assert.ok(b.store.grantOf(c.keys.nodeId), 'but what it lacked of the rest');
});

test('an admin renews an expired grant on the way; the next link is admitted', () => {
  const [a, b] = network('b') as [TestMember, TestMember];
  a.ctx.clock.advance(20 * DAY_MS);
  a.store.add(renewGrant(a.store, pen(a), a.keys.nodeId));
  a.ctx.clock.advance(12 * DAY_MS);
  a.renew = peer => renewGrant(a.store, pen(a), peer).bytes;
  const first = meet(b, a);
  assert.is(first.acceptor.result?.standing, 'limited');
  assert.ok(b.store.grantOf(b.keys.nodeId));
  assert.equal(outcomes(meet(b, a)), ['admitted', 'admitted']);
});

test('a grant at half life is renewed on the long way, and an owner that does not want to is not pressed', () => {
  const [a, b] = network('b') as [TestMember, TestMember];
  const before = b.store.grantOf(b.keys.nodeId)!;
  a.ctx.clock.advance(16 * DAY_MS);
  let asked = 0;
  a.renew = peer => (++asked === 1 ? undefined : renewGrant(a.store, pen(a), peer).bytes);
  publish(a, 1);
  assert.equal(outcomes(meet(a, b)), ['admitted', 'admitted']);
  assert.equal(b.store.grantOf(b.keys.nodeId)!.bytes, before.bytes);
  publish(a, 2);
  assert.equal(outcomes(meet(b, a)), ['admitted', 'admitted']);
  assert.ok(b.store.grantOf(b.keys.nodeId)!.expires > before.expires);
  assert.is(asked, 2);
});

test('an old network secret opens a catch-up that hands over the new one, whoever dials', () => {
  for (const staleDials of [true, false]) {
    const [a, b] = network('b') as [TestMember, TestMember];
    const old = a.secrets[0]!;
    const fresh = new Uint8Array(32).fill(0x55);
    a.store.add(issueNetworkSecret(a.store, pen(a), fresh));
    a.secrets = [{ epoch: 1, secret: fresh }, old];
    const psks = [keysOf(fresh), keysOf(old.secret, { kind: 'old-network' })];
    const meeting = staleDials ? meet(b, a, { psks }) : meet(a, b, { psk: psks[1]!, psks: [pskOf(b)] });
    assert.equal(outcomes(meeting), ['limited: no-error', 'limited: no-error']);
    assert.equal(
      b.learnt.map(s => s.epoch),
      [1],
    );
    assert.equal(b.learnt[0]!.secret, fresh);
    assert.equal(a.learnt, []);
    assert.equal(outcomes(meet(b, a)), ['admitted', 'admitted']);
  }
});

test('a revoked node gets no new secret by the old one', () => {
  const [a, b] = network('b') as [TestMember, TestMember];
  const old = a.secrets[0]!;
  const fresh = new Uint8Array(32).fill(0x55);
  a.store.add(issueRevocation(a.store, pen(a), b.keys.nodeId));
  a.store.add(issueNetworkSecret(a.store, pen(a), fresh));
  a.secrets = [{ epoch: 1, secret: fresh }, old];
  const meeting = meet(b, a, { psks: [keysOf(fresh), keysOf(old.secret, { kind: 'old-network' })] });
  assert.is(meeting.acceptor.refusal?.code, 'revoked');
  assert.equal(b.learnt, []);
});

test('a secret that no admin has signed is not believed', () => {
  const [a, b] = network('b') as [TestMember, TestMember];
  publish(a, 1);
  const meeting = connect(a, b);
  meeting.dialer.admission.start();
  meeting.acceptor.admission.start();
  meeting.dialer.sent.unshift({ type: FRAME.SECRET, body: encodeSecret({ epoch: 9, secret: new Uint8Array(32) }) });
  run(meeting);
  assert.equal(b.learnt, []);
  assert.equal(outcomes(meeting), ['admitted', 'admitted']);
  assert.match(b.ctx.events[0]!.sentence, 'no admin');
});

// ── joining ────────────────────────────────────────────────────────────────────────────────────────────────────────

/** Lets `admin` mint by its book, as a daemon does. */
function openInvite(admin: TestMember, ttl = 900_000): { entry: InviteEntry; book: InviteBook; alarms: string[] } {
  const book = new InviteBook();
  const alarms: string[] = [];
  const entry = book.open(admin.ctx.primitives.random, admin.ctx.clock.now(), { ttl, tags: ['edge'] });
  admin.mint = ({ nodeId, name }, id): Minted => {
    const use = book.use(id, nodeId, admin.ctx.clock.now());
    if (use.status === 'refused') {
      if (use.alarm) alarms.push(use.alarm);
      return { refuse: use.code, sentence: use.sentence };
    }
    if (use.entry.grant) return { grant: use.entry.grant };
    try {
      const item = issueGrant(admin.store, pen(admin), { node: nodeId, name, tags: use.entry.tags });
      book.remember(id, item.bytes);
      return { grant: item.bytes };
    } catch (error) {
      book.release(id);
      if (error instanceof WarrenError && error.wire) return { refuse: error.wire };
      throw error;
    }
  };
  return { entry, book, alarms };
}

function join(node: TestMember, admin: TestMember, entry: InviteEntry, name: string): Meeting {
  const psk = keysOf(entry.secret, { kind: 'invite', id: entry.id });
  return meet(node, admin, { psk, psks: [pskOf(admin), psk], expect: admin.keys.nodeId, join: { name } });
}

test('a newcomer joins by invite: grant, secret, all that the network knows; then it is a member like others', () => {
  const [a, b] = network('b') as [TestMember, TestMember];
  publish(a, 1);
  const { entry } = openInvite(a);
  const c = newcomer('c', a);
  const meeting = join(c, a, entry, 'host-c');
  assert.equal(outcomes(meeting), ['admitted', 'admitted']);
  const grant = c.store.grantOf(c.keys.nodeId)!;
  assert.is(grant.name, 'host-c');
  assert.equal(grant.tags, ['edge']);
  assert.equal(
    c.learnt.map(s => s.secret),
    a.secrets.map(s => s.secret),
  );
  assert.ok(equalStores(a, c));
  assert.is(meeting.dialer.log.at(-1), 'ADMIT');
  assert.equal(outcomes(meet(c, b)), ['admitted', 'admitted']);
});

test('a joiner that had a network of its own tells nothing of it', () => {
  const [a] = network() as [TestMember];
  const own = founder('lonely', a.ctx.clock);
  const { entry } = openInvite(a);
  const c = newcomer('c', a);
  c.secrets = own.secrets;
  assert.equal(outcomes(join(c, a, entry, 'c')), ['admitted', 'admitted']);
  assert.equal(a.learnt, []);
});

test('a node whose key log is long joins too', () => {
  const [a] = network() as [TestMember];
  const { entry } = openInvite(a);
  const c = newcomer('c', a);
  for (let i = 0; i < 3; i++) rotate(c);
  assert.equal(outcomes(join(c, a, entry, 'c')), ['admitted', 'admitted']);
  assert.is(a.store.head(c.keys.nodeId)!.seq, 3);
});

test('the same node may come again and gets the same grant; a second node is refused and shouted', () => {
  const [a] = network() as [TestMember];
  const { entry, alarms } = openInvite(a);
  const c = newcomer('c', a);
  join(c, a, entry, 'c');
  const again = newcomer('c', a); // the same keys, all else forgotten
  assert.equal(again.keys.nodeId, c.keys.nodeId);
  assert.equal(outcomes(join(again, a, entry, 'c')), ['admitted', 'admitted']);
  assert.equal(again.store.grantOf(c.keys.nodeId)!.bytes, c.store.grantOf(c.keys.nodeId)!.bytes);
  const d = newcomer('d', a);
  assert.is(join(d, a, entry, 'd').acceptor.refusal?.code, 'invite-used');
  assert.is(alarms.length, 1);
  assert.is(d.learnt.length, 0);
  assert.is(d.store.claims('registry').length, 0);
});

test('used or expired: told apart, and the network moves on', () => {
  const [a] = network() as [TestMember];
  const { entry } = openInvite(a, 60_000);
  a.ctx.clock.advance(61_000);
  assert.is(join(newcomer('c', a), a, entry, 'c').acceptor.refusal?.code, 'invite-expired');
  const used = openInvite(a, 60_000);
  join(newcomer('d', a), a, used.entry, 'd');
  a.ctx.clock.advance(61_000);
  assert.is(join(newcomer('e', a), a, used.entry, 'e').acceptor.refusal?.code, 'invite-used');
  a.ctx.clock.advance(2 * 3_600_000);
  assert.is(join(newcomer('e', a), a, used.entry, 'e').acceptor.refusal?.code, 'invite-unknown');
});

test('a name that is taken leaves the invite open', () => {
  const [a] = network('taken') as [TestMember];
  const { entry } = openInvite(a);
  const c = newcomer('c', a);
  assert.is(join(c, a, entry, 'taken').acceptor.refusal?.code, 'name-taken');
  assert.equal(outcomes(join(newcomer('d', a), a, entry, 'free')), ['admitted', 'admitted']);
});

test('a member whose grant is over comes back by invite', () => {
  const [a, b] = network('b') as [TestMember, TestMember];
  a.ctx.clock.advance(20 * DAY_MS);
  a.store.add(renewGrant(a.store, pen(a), a.keys.nodeId));
  a.ctx.clock.advance(12 * DAY_MS);
  const { entry } = openInvite(a);
  assert.equal(outcomes(join(b, a, entry, 'b')), ['admitted', 'admitted']);
  assert.ok(b.store.grantOf(b.keys.nodeId));
});

test('an inviter without a say, and one that does not do what it promised, are refused', () => {
  const [a, b] = network('b') as [TestMember, TestMember];
  const { entry } = openInvite(a);
  // b is a member and no admin, but hands out invites.
  b.mint = a.mint!;
  const c = newcomer('c', a);
  const byMember = join(c, b, entry, 'c');
  assert.is(byMember.dialer.refusal?.code, 'not-admitted');
  assert.match(byMember.dialer.refusal!.sentence, 'not an admin');
  // Nobody mints.
  const d = newcomer('d', a);
  a.mint = undefined;
  assert.is(join(d, a, entry, 'd').acceptor.refusal?.code, 'invite-unknown');
  // A grant for somebody else.
  a.mint = () => ({ grant: b.store.grantOf(b.keys.nodeId)!.bytes });
  assert.is(join(d, a, entry, 'd').acceptor.refusal?.code, 'not-admitted');
  a.mint = () => ({ refuse: 'limit' });
  assert.match(join(d, a, entry, 'd').acceptor.refusal!.sentence, 'limit');
});

test('an ADMIT without grant, without secret, or limited does not complete a join', () => {
  const [a] = network() as [TestMember];
  const { entry } = openInvite(a);
  /** A join in which the inviter keeps some frames to itself. */
  const silent = (keeps: (type: number, body: Uint8Array) => boolean): Meeting => {
    const meeting = joining(a, entry);
    const { acceptor, dialer } = meeting;
    const send = acceptor.sent.push.bind(acceptor.sent);
    acceptor.sent.push = (...frames) => send(...frames.filter(f => !keeps(f.type, f.body)));
    dialer.admission.start();
    acceptor.admission.start();
    return run(meeting);
  };
  const grants: Uint8Array[] = [];
  const isNewGrant = (type: number, body: Uint8Array): boolean => {
    const isGrant = type === FRAME.ITEM && decodeItem(body)!.kind === 'grant';
    if (isGrant) grants.push(body);
    return isGrant && grants.length === 2;
  };
  // The founder's own, then that of the joiner.
  assert.is(silent(isNewGrant).dialer.refusal?.code, 'not-admitted');
  assert.is(grants.length, 2);
  assert.is(silent(type => type === FRAME.SECRET).dialer.refusal?.code, 'protocol');
  const { dialer } = joining(a, entry);
  dialer.admission.start();
  dialer.admission.frame(FRAME.HAVE, dialer.sent[0]!.body);
  for (const item of a.store.items()) dialer.admission.frame(FRAME.ITEM, encodeItem(item));
  dialer.admission.frame(FRAME.DONE, encodeDone(false));
  dialer.admission.frame(FRAME.ADMIT, encodeAdmit({ standing: 'limited', code: 'clock-skew' }));
  assert.is(dialer.refusal?.code, 'clock-skew');
});

/** A newcomer after the handshake with its invite. */
function joining(a: TestMember, entry: InviteEntry): Meeting {
  const c = newcomer('c', a);
  const psk = keysOf(entry.secret, { kind: 'invite', id: entry.id });
  const { dialed, accepted } = shake(c, a, { psk, expect: a.keys.nodeId, join: { name: 'c' } });
  return endsOf(c, a, dialed, accepted);
}

// ── rules ──────────────────────────────────────────────────────────────────────────────────────────────────────────

/** An acceptor on the long way, and the test as its peer. */
function opened(): { end: Meeting['acceptor']; have: Uint8Array; a: TestMember; b: TestMember } {
  const [a, b] = network('b') as [TestMember, TestMember];
  publish(a, 1);
  const { acceptor, dialer } = connect(a, b);
  dialer.admission.start();
  acceptor.admission.start();
  return { end: acceptor, have: dialer.sent[0]!.body, a, b };
}

test('frames out of turn, doubled, or of the session close the link', () => {
  const done = encodeDone(false);
  const admitted = encodeAdmit({ standing: 'admitted', code: 'no-error' });
  const cases: [string, (e: ReturnType<typeof opened>) => void][] = [
    ['ADMIT first', ({ end }) => end.admission.frame(FRAME.ADMIT, admitted)],
    ['NEXT before HAVE', ({ end }) => end.admission.frame(FRAME.NEXT, new Uint8Array(0))],
    ['a second HAVE', ({ end, have }) => [0, 1].forEach(() => end.admission.frame(FRAME.HAVE, have))],
    ['an empty round', ({ end }) => end.admission.frame(FRAME.DONE, encodeDone(true))],
    ['a second DONE', ({ end }) => [0, 1].forEach(() => end.admission.frame(FRAME.DONE, done))],
    ['NEXT behind the last round', ({ end, have }) => {
      end.admission.frame(FRAME.HAVE, have);
      end.admission.frame(FRAME.NEXT, new Uint8Array(0));
    }],
    ['a session frame', ({ end }) => end.admission.frame(FRAME.OPEN, new Uint8Array(9))],
    ['an unknown even frame', ({ end }) => end.admission.frame(0x7ffe, new Uint8Array(0))],
    ['too many secrets', ({ end }) => {
      for (let i = 0; i < 9; i++) end.admission.frame(FRAME.SECRET, encodeSecret({ epoch: i, secret: new Uint8Array(32) }));
    }],
  ]; // prettier-ignore
  for (const [what, step] of cases)
    assert.is(
      wireOf(() => step(opened())),
      'protocol',
      what,
    );
});

test('nothing comes behind ADMIT but what a limited peer began in good faith', () => {
  const { end, have, a, b } = opened();
  b.ctx.clock.advance(32 * DAY_MS);
  const { admission } = end;
  admission.frame(FRAME.HAVE, have);
  admission.frame(FRAME.DONE, encodeDone(false));
  assert.is(end.outcome, 'open');
  admission.frame(FRAME.ADMIT, encodeAdmit({ standing: 'admitted', code: 'no-error' }));
  assert.is(end.outcome, 'limited: grant-expired');
  admission.frame(FRAME.NEW, new Uint8Array(0));
  admission.frame(FRAME.ITEM, new Uint8Array(0));
  assert.ok(a);
});

test('a peer that limits this node ends the link', () => {
  const { end, have } = opened();
  const { admission } = end;
  admission.frame(FRAME.HAVE, have);
  admission.frame(FRAME.DONE, encodeDone(false));
  admission.frame(FRAME.ADMIT, encodeAdmit({ standing: 'limited', code: 'clock-skew' }));
  assert.is(end.outcome, 'limited: clock-skew');
});

test('unknown odd frames are skipped, within a bound', () => {
  const { end } = opened();
  for (let i = 0; i < MAX_SKIPPED_FRAMES; i++) end.admission.frame(0x7fff, new Uint8Array(10));
  assert.is(
    wireOf(() => end.admission.frame(0x7fff, new Uint8Array(0))),
    'limit',
  );
});

test('items of an unknown kind are passed over', () => {
  const { end } = opened();
  end.admission.frame(FRAME.ITEM, Uint8Array.of(200, 1, 2, 3));
});

test('a flood of items that are not right is cut off', () => {
  const { end } = opened();
  const junk = encodeItem({ kind: 'statement', bytes: new Uint8Array(20) });
  let sent = 0;
  const flood = (): void => {
    for (; sent <= 2 * MAX_REFUSED_ITEMS; sent++) end.admission.frame(FRAME.ITEM, junk);
  };
  assert.is(wireOf(flood), 'limit');
  assert.ok(sent <= MAX_REFUSED_ITEMS + ROUND_ITEMS);
});

test('a catch-up without end is cut off, by items and by bytes; no more than a round is held', () => {
  let held = 0;
  let most = 0;
  const listener = new Listener(items => {
    most = Math.max(most, items.length);
    held += items.length;
    return items.map(() => ({ status: 'known' }));
  });
  const small = { kind: 'statement', bytes: new Uint8Array(1) } as const;
  const hear = (n: number, item: typeof small | undefined): void => {
    for (let i = 0; i < n; i++) listener.hear(item);
  };
  hear(MAX_CATCH_UP_ITEMS - 10, small);
  assert.is(most, ROUND_ITEMS);
  assert.ok(MAX_CATCH_UP_ITEMS - 10 - held < ROUND_ITEMS);
  hear(10, undefined);
  assert.is(
    wireOf(() => hear(1, undefined)),
    'limit',
  );
  const heavy = new Listener(() => []);
  const large = { kind: 'statement', bytes: new Uint8Array(1024 * 1024) } as const;
  for (let n = 0; n < MAX_CATCH_UP_BYTES / large.bytes.length; n++) heavy.hear(large);
  assert.is(
    wireOf(() => heavy.hear(small)),
    'limit',
  );
});

test('starting twice is a fault', () => {
  const { end } = opened();
  assert.throws(() => end.admission.start(), /before/);
});

test('an owner that takes items in itself is told from whom', () => {
  const [a, b] = network('b') as [TestMember, TestMember];
  publish(a, 1);
  const { dialed, accepted } = shake(a, b, { psk: pskOf(a) });
  const from: Uint8Array[] = [];
  const meeting = endsOf(a, b, dialed, accepted, {
    learn: (items, node) => {
      from.push(node);
      return b.store.addAll(items);
    },
  });
  meeting.dialer.admission.start();
  meeting.acceptor.admission.start();
  run(meeting);
  assert.ok(from.length >= 2 && from.every(node => equal(node, a.keys.nodeId)));
  assert.ok(equalStores(a, b));
});

test('a node of the network before this one, with the same secret, is no member', () => {
  const [a] = network() as [TestMember];
  const other = makeNode('other', a.ctx.clock, a.store.networkId);
  const { accepted } = shake(other, a, { psk: pskOf(a) });
  const { acceptor } = endsOf(a, a, accepted, accepted);
  acceptor.admission.start();
  assert.is(acceptor.outcome, 'open');
});

/** An admin that has given its keys up and has signed all its grants anew, and a member that knows nothing of it yet. */
function affirmed(grants: number): { admin: TestMember; peer: TestMember; nodes: readonly NodeId[] } {
  const [first, admin, peer] = network('admin', 'peer') as [TestMember, TestMember, TestMember];
  promote(first, admin);
  copy(first, admin);
  const nodes = Array.from({ length: grants }, () => real.random(32));
  for (const [i, node] of nodes.entries())
    admin.store.add(issueGrant(admin.store, pen(admin), { node, name: `guest-${i}` }));
  copy(admin, first);
  copy(admin, peer);
  rotate(admin, 'compromised');
  admin.store.addAll(signAgain(admin.store, pen(admin), () => true));
  return { admin, peer, nodes };
}

/** Steps of the catch-up at which a member was none at the peer, by what counts and by what is taken for now. */
function outages(grants: number): { readonly inDoubt: number; readonly out: number; readonly outcomes: string[] } {
  const { admin, peer, nodes } = affirmed(grants);
  const meeting = connect(admin, peer);
  let [inDoubt, out] = [0, 0];
  const end = meeting.acceptor;
  const some = nodes.filter((_, i) => i % 40 === 0 || i === nodes.length - 1);
  const look = (): void => {
    if (some.some(node => peer.store.grantOf(node) === undefined)) inDoubt++;
    if (some.some(node => peer.store.grantForNow(node) === undefined)) out++;
  };
  const { frame } = end;
  end.frame = (type, body) => {
    frame.call(end, type, body);
    look();
  };
  meeting.dialer.admission.start();
  meeting.acceptor.admission.start();
  look();
  run(meeting);
  assert.ok(equalStores(admin, peer));
  return { inDoubt, out, outcomes: outcomes(meeting) };
}

test('an admin shows new keys after a compromise: what it has signed anew counts in the same step', () => {
  for (const grants of [1, 30, 200])
    assert.equal(outages(grants), { inDoubt: 0, out: 0, outcomes: ['admitted', 'admitted'] });
});

test('... when that is more than a peer keeps unjudged, members are in doubt for the rest of the catch-up, not out', () => {
  const { inDoubt, out, outcomes } = outages(MAX_AHEAD + 100);
  assert.ok(inDoubt > 0);
  assert.is(out, 0);
  assert.equal(outcomes, ['admitted', 'admitted']);
});

test('a statement that waits for the catch-up is taken in when the peer tells nothing of it', () => {
  const { admin, peer } = affirmed(1);
  const { acceptor } = connect(admin, peer);
  acceptor.admission.start();
  assert.is(peer.store.head(admin.keys.nodeId)?.seq, 0);
  acceptor.frame(FRAME.DONE, encodeDone(false));
  assert.is(peer.store.head(admin.keys.nodeId)?.seq, 1);
});

test('a statement with another reason is taken in at once', () => {
  const { admin, peer } = affirmed(1);
  rotate(peer);
  const known = connect(admin, peer);
  known.dialer.admission.start();
  assert.is(admin.store.head(peer.keys.nodeId)?.seq, 1);
});

test.run();
