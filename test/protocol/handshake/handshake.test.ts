import { concat, equal, utf8 } from '../../../protocol/bytes.js';
import type { Primitives } from '../../../protocol/crypto/primitives.js';
import { CLOCK_WARN_MS, Initiator, Responder, dropError } from '../../../protocol/handshake/handshake.js';
import { encodePreface, encodeVersionReply, recognize } from '../../../protocol/handshake/preface.js';
import { ReplayGuard } from '../../../protocol/handshake/replay.js';
import {
  CLOCK_WINDOW_MS,
  MESSAGE_1_BYTES,
  MESSAGE_2_MAX,
  MESSAGE_3_MAX,
  PREFACE_BYTES,
} from '../../../protocol/handshake/wire.js';
import { createRotation, decodeStatement } from '../../../protocol/identity/statement.js';
import { pick, seededRandom } from '../../helpers/random.js';
import { assert, full, suite } from '../../helpers/suite.js';
import { VirtualTime } from '../../helpers/virtual-time.js';
import { SUITE_NAMES, expectKind, flip, keysOf, makeNode, pushAll, real, respond, shake, withRandom } from './nodes.js';

const test = suite('handshake');
const random = seededRandom('handshake test');

for (const suiteName of SUITE_NAMES) {
  test(`both sides end with the same keys and know each other, ${suiteName}`, () => {
    const clock = new VirtualTime();
    const [a, b] = [makeNode('a', clock), makeNode('b', clock)];
    b.ctx.digestNow = new Uint8Array(32).fill(2);
    const { dialed, accepted, ...wire } = shake(a, b, { suite: suiteName });
    assert.is(wire.preface.length, PREFACE_BYTES);
    assert.is(wire.message1.length, MESSAGE_1_BYTES);
    assert.is((wire.message2.length - 2 - 1200) % 512, 0);
    assert.is((wire.message3.length - 2 - 64) % 512, 0);
    assert.equal(dialed.sendKey, accepted.receiveKey);
    assert.equal(dialed.receiveKey, accepted.sendKey);
    assert.equal(dialed.exporter, accepted.exporter);
    assert.equal(dialed.handshakeHash, accepted.handshakeHash);
    assert.ok(!equal(dialed.sendKey, dialed.receiveKey));
    assert.equal([dialed.suite, accepted.suite], [suiteName, suiteName]);
    assert.equal([dialed.initiator, accepted.initiator], [true, false]);
    assert.equal(dialed.peer.nodeId, b.keys.nodeId);
    assert.equal(accepted.peer.nodeId, a.keys.nodeId);
    assert.ok(equal(dialed.peer.statement, b.keys.statement));
    assert.equal(dialed.peer.digest, accepted.localDigest);
    assert.equal(accepted.peer.digest, dialed.localDigest);
    assert.is(dialed.peer.clockMs, clock.now());
    assert.is(dialed.peer.seq, 0);
    assert.is(dialed.peer.catchUp, false);
    assert.equal(dialed.psk, { kind: 'network' });
  });

  test(`any chunk split gives the same, byte by byte too, ${suiteName}`, () => {
    for (const piece of [1, 2, 3, 7, 511, 1255]) shake(makeNode('a'), makeNode('b'), { suite: suiteName, piece });
  });
}

test('every handshake has its own hash and keys', () => {
  const [a, b] = [makeNode('a'), makeNode('b')];
  const one = shake(a, b);
  const two = shake(a, b);
  assert.ok(!equal(one.dialed.handshakeHash, two.dialed.handshakeHash));
  assert.ok(!equal(one.dialed.exporter, two.dialed.exporter));
  assert.ok(!equal(one.message1.subarray(0, 32), two.message1.subarray(0, 32)));
});

test('`wanted` is what the next step needs and never more than a message', () => {
  const [a, b] = [makeNode('a'), makeNode('b')];
  const initiator = new Initiator(a.ctx, { suite: 'AESGCM', psk: keysOf() });
  const first = initiator.first();
  const responder = respond(b, initiator.preface, [keysOf()]);
  assert.is(responder.wanted, MESSAGE_1_BYTES);
  assert.is(responder.push(first.subarray(0, 10)).kind, 'more');
  assert.is(responder.wanted, MESSAGE_1_BYTES - 10);
  const second = expectKind(responder.push(first.subarray(10)), 'send').bytes;
  assert.is(initiator.wanted, 2);
  initiator.push(second.subarray(0, 2));
  assert.is(initiator.wanted, second.length - 2);
  const third = expectKind(initiator.push(second.subarray(2)), 'established').send!;
  assert.is(initiator.wanted, 0);
  assert.is(responder.wanted, 2);
  responder.push(third.subarray(0, 2));
  assert.is(responder.wanted, third.length - 2);
});

test('what comes behind message 3 is handed on', () => {
  const [a, b] = [makeNode('a'), makeNode('b')];
  const initiator = new Initiator(a.ctx, { suite: 'AESGCM', psk: keysOf() });
  const responder = respond(b, initiator.preface, [keysOf()]);
  const second = expectKind(responder.push(concat(initiator.first())), 'send').bytes;
  const third = expectKind(initiator.push(second), 'established');
  assert.is(third.rest.length, 0);
  const last = expectKind(responder.push(concat(third.send!, utf8('records'))), 'established');
  assert.equal(last.rest, utf8('records'));
  assert.is(responder.wanted, 0);
  assert.throws(() => responder.push(new Uint8Array(1)), /over/);
});

// ── what is changed on the way ─────────────────────────────────────────────────────────────────────────────────────

/** Machines with the same randomness again and again: as if one handshake could be tried many times. */
function twins() {
  const clock = new VirtualTime();
  const [a, b] = [makeNode('a', clock), makeNode('b', clock)];
  const dial = (): Initiator => {
    const ctx = { ...a.ctx, primitives: withRandom('dial') };
    return new Initiator(ctx, { suite: 'ChaChaPoly', psk: keysOf() });
  };
  const accept = (preface: Uint8Array): Responder => {
    const ctx = { ...b.ctx, primitives: withRandom('accept') };
    const replay = new ReplayGuard(clock);
    const recognized = recognize(ctx, preface, [keysOf()], replay);
    if (recognized?.kind !== 'known') throw new Error('not recognized');
    return new Responder(ctx, recognized, preface, replay);
  };
  const initiator = dial();
  const message1 = initiator.first();
  const responder = accept(initiator.preface);
  const message2 = expectKind(responder.push(message1), 'send').bytes;
  const message3 = expectKind(initiator.push(message2), 'established').send!;
  const afterFirst = (): Initiator => {
    const again = dial();
    again.first();
    return again;
  };
  const afterSecond = (): Responder => {
    const again = accept(initiator.preface);
    again.push(message1);
    return again;
  };
  return { preface: initiator.preface, message1, message2, message3, afterFirst, afterSecond, accept };
}

function bits(length: number, step: number): number[] {
  const every = full(step, 1);
  const from = pick(random, every);
  return Array.from({ length: Math.floor((length * 8 - from) / every) }, (_, i) => from + i * every);
}

test(
  'any single-bit flip of any message fails and leaves no session',
  () => {
    const { preface, message1, message2, message3, afterFirst, afterSecond, accept } = twins();
    assert.is(pushAll(afterFirst(), message2).kind, 'established');
    assert.is(pushAll(afterSecond(), message3).kind, 'established');
    for (const bit of bits(message1.length, 7)) {
      const responder = accept(preface);
      assert.is(responder.push(flip(message1, bit)).kind, 'drop', `message 1, bit ${bit}`);
      assert.throws(() => responder.push(message1), /over/);
    }
    // A flip in the length may make a machine wait for more; then nothing is established either.
    for (const bit of [...bits(message2.length, 61), ...Array.from({ length: 16 }, (_, i) => i)]) {
      const result = afterFirst().push(flip(message2, bit));
      assert.ok(
        result.kind === 'drop' || (result.kind === 'more' && bit < 16),
        `message 2, bit ${bit}: ${result.kind}`,
      );
    }
    for (const bit of [...bits(message3.length, 31), ...Array.from({ length: 16 }, (_, i) => i)]) {
      const result = afterSecond().push(flip(message3, bit));
      assert.ok(
        result.kind === 'drop' || (result.kind === 'more' && bit < 16),
        `message 3, bit ${bit}: ${result.kind}`,
      );
    }
  },
  { deadline: full(20_000, 300_000) },
);

test('a changed preface is no preface, and another prologue fails', () => {
  const { preface, message1 } = twins();
  const b = makeNode('b');
  // Another preface of the same PSK in front of the same message 1: the prologue differs.
  const other = encodePreface(real, keysOf(), 1, 'ChaChaPoly');
  assert.is(respond(b, other, [keysOf()]).push(message1).kind, 'drop');
  // The suite is part of it: the same bytes under the other suite fail.
  const aes = encodePreface(real, keysOf(), 1, 'AESGCM');
  assert.is(respond(b, aes, [keysOf()]).push(message1).kind, 'drop');
  assert.is(respond(b, preface, [keysOf()]).push(message1).kind, 'send');
});

test('truncated messages wait, extended ones fail', () => {
  const { message1, message2, message3, preface, afterFirst, afterSecond, accept } = twins();
  assert.is(accept(preface).push(message1.subarray(0, -1)).kind, 'more');
  assert.is(accept(preface).push(concat(message1, new Uint8Array(1))).kind, 'drop');
  assert.is(afterFirst().push(message2.subarray(0, -1)).kind, 'more');
  assert.is(afterSecond().push(message3.subarray(0, -1)).kind, 'more');
  // Behind message 2 the responder has nothing to say before message 3.
  const extended = afterFirst().push(concat(message2, new Uint8Array(1)));
  assert.is(extended.kind, 'established', 'the session stands; the record layer judges what follows');
});

test('lengths that no payload gives are refused before anything is read', () => {
  const { afterFirst, afterSecond } = twins();
  const head = (n: number): Uint8Array => Uint8Array.of(n >> 8, n & 0xff);
  for (const n of [0, 1, 1200, 1200 + 511, 1200 + 513, MESSAGE_2_MAX + 1, MESSAGE_2_MAX + 512, 0xffff]) {
    assert.is(afterFirst().push(head(n)).kind, 'drop', `${n}`);
  }
  for (const n of [0, 64, 64 + 511, MESSAGE_3_MAX + 512, 0xffff])
    assert.is(afterSecond().push(head(n)).kind, 'drop', `${n}`);
  assert.is(afterFirst().push(head(MESSAGE_2_MAX)).kind, 'more');
  assert.is(afterSecond().push(head(MESSAGE_3_MAX)).kind, 'more');
});

// ── strangers ──────────────────────────────────────────────────────────────────────────────────────────────────────

function spied(): { primitives: Primitives; calls: string[] } {
  const calls: string[] = [];
  const x25519 = {
    fromPrivate: (k: Uint8Array) => (calls.push('keypair'), real.x25519.fromPrivate(k)),
    dh: (a: Uint8Array, b: Uint8Array) => (calls.push('dh'), real.x25519.dh(a, b)),
  };
  const mlkem768: Primitives['mlkem768'] = {
    generate: s => (calls.push('kem'), real.mlkem768.generate(s)),
    encapsulate: (k, m) => (calls.push('kem'), real.mlkem768.encapsulate(k, m)),
    decapsulate: (k, c) => (calls.push('kem'), real.mlkem768.decapsulate(k, c)),
  };
  return { calls, primitives: { ...real, x25519, mlkem768 } };
}

test('a wrong PSK is a stranger; a stolen hint without its PSK costs no DH', () => {
  const [a, b] = [makeNode('a'), makeNode('b')];
  const wrong = keysOf(new Uint8Array(32).fill(1));
  const stranger = new Initiator(a.ctx, { suite: 'ChaChaPoly', psk: wrong });
  const spy = spied();
  b.ctx.primitives = spy.primitives;
  assert.is(recognize(b.ctx, stranger.preface, [keysOf()], b.replay), undefined);
  // A recorded preface that was never delivered, with a message 1 of the thief's own.
  const member = new Initiator(a.ctx, { suite: 'ChaChaPoly', psk: keysOf() });
  const responder = respond(b, member.preface, [keysOf()]);
  const result = expectKind(responder.push(stranger.first()), 'drop');
  assert.is('send' in result || 'bytes' in result, false);
  assert.equal(spy.calls, []);
});

test('the same preface or the same message 1 again gets nothing, in the same process', () => {
  const [a, b] = [makeNode('a'), makeNode('b')];
  const { preface, message1 } = shake(a, b);
  assert.is(recognize(b.ctx, preface, [keysOf()], b.replay), undefined);
  // As if the nonce had been forgotten: e is still known.
  const spy = spied();
  b.ctx.primitives = spy.primitives;
  const recognized = recognize(b.ctx, preface, [keysOf()], new ReplayGuard(b.ctx.clock));
  if (recognized?.kind !== 'known') throw new Error('not recognized');
  const result = expectKind(new Responder(b.ctx, recognized, preface, b.replay).push(message1), 'drop');
  assert.match(result.why, 'seen before');
  assert.equal(spy.calls, []);
});

test('message 1 is accepted within an hour of the own clock, either way', () => {
  for (const [skew, kind] of [
    [CLOCK_WINDOW_MS, 'send'],
    [-CLOCK_WINDOW_MS, 'send'],
    [CLOCK_WINDOW_MS + 1, 'drop'],
    [-CLOCK_WINDOW_MS - 1, 'drop'],
  ] as const) {
    const epoch = 1_800_000_000_000;
    const a = makeNode('a', new VirtualTime(epoch + skew));
    const b = makeNode('b', new VirtualTime(epoch));
    const initiator = new Initiator(a.ctx, { suite: 'AESGCM', psk: keysOf() });
    const spy = spied();
    b.ctx.primitives = spy.primitives;
    const result = respond(b, initiator.preface, [keysOf()]).push(initiator.first());
    assert.is(result.kind, kind, `${skew}`);
    if (result.kind !== 'drop') continue;
    assert.is(result.code, 'clock-skew');
    assert.equal(spy.calls, []);
  }
});

test('a clock that is off within the window is worth a line in the log', () => {
  const a = makeNode('a', new VirtualTime(1_800_000_000_000 + CLOCK_WARN_MS + 60_000));
  const b = makeNode('b', new VirtualTime(1_800_000_000_000));
  shake(a, b);
  assert.match(a.ctx.events[0]!.sentence, '6 minutes behind that of this host');
  assert.match(b.ctx.events[0]!.sentence, '6 minutes ahead of that of this host');
});

// ── wrong ends ─────────────────────────────────────────────────────────────────────────────────────────────────────

test('a node that reaches itself closes', () => {
  const a = makeNode('a');
  const initiator = new Initiator(a.ctx, { suite: 'AESGCM', psk: keysOf() });
  const second = expectKind(respond(a, initiator.preface, [keysOf()]).push(initiator.first()), 'send').bytes;
  assert.is(expectKind(initiator.push(second), 'drop').code, 'self');
});

test('a responder that meets its own identity closes', () => {
  const [a, b] = [makeNode('a'), makeNode('b')];
  const initiator = new Initiator(a.ctx, { suite: 'AESGCM', psk: keysOf() });
  const responder = respond(b, initiator.preface, [keysOf()]);
  const second = expectKind(responder.push(initiator.first()), 'send').bytes;
  const third = expectKind(initiator.push(second), 'established').send!;
  b.ctx.own = a.ctx.own;
  const again = respond(b, encodePreface(real, keysOf(), 1, 'AESGCM'), [keysOf()]);
  assert.is(again.push(new Uint8Array(MESSAGE_1_BYTES)).kind, 'drop');
  // The responder that answered as b judges what a says by the identity it began with.
  assert.is(responder.push(third).kind, 'established');
  // Two processes with one identity: the copied home is told so.
  const copy = makeNode('copy');
  copy.ctx.own = { ...a.ctx.own };
  const dial = new Initiator(copy.ctx, { suite: 'AESGCM', psk: keysOf() });
  const answer = expectKind(respond(a, dial.preface, [keysOf()]).push(dial.first()), 'send').bytes;
  assert.is(expectKind(dial.push(answer), 'drop').code, 'self');
});

test('message 1 reflected as message 2 closes without a DH', () => {
  const a = makeNode('a');
  const initiator = new Initiator(a.ctx, { suite: 'AESGCM', psk: keysOf() });
  const first = initiator.first();
  const spy = spied();
  a.ctx.primitives = spy.primitives;
  const length = 1200 + 512;
  const reflected = concat(Uint8Array.of(length >> 8, length & 0xff), first, new Uint8Array(length - first.length));
  assert.is(expectKind(initiator.push(reflected), 'drop').code, 'self');
  assert.equal(spy.calls, []);
  // Everything just echoed: the preface looks like the beginning of a version reply and is none.
  const echoed = new Initiator(a.ctx, { suite: 'AESGCM', psk: keysOf() });
  const opening = concat(echoed.preface, echoed.first());
  assert.is(expectKind(echoed.push(opening), 'drop').code, 'protocol');
});

test('a node of another network is refused by name', () => {
  const [a, b] = [makeNode('a'), makeNode('b', new VirtualTime(), new Uint8Array(32).fill(9))];
  const initiator = new Initiator(a.ctx, { suite: 'AESGCM', psk: keysOf() });
  const second = expectKind(respond(b, initiator.preface, [keysOf()]).push(initiator.first()), 'send').bytes;
  assert.is(expectKind(initiator.push(second), 'drop').code, 'wrong-network');
});

test('another node than the expected one is refused', () => {
  const [a, b, c] = [makeNode('a'), makeNode('b'), makeNode('c')];
  shake(a, b, { expect: b.keys.nodeId });
  const initiator = new Initiator(a.ctx, { suite: 'AESGCM', psk: keysOf(), expect: c.keys.nodeId });
  const second = expectKind(respond(b, initiator.preface, [keysOf()]).push(initiator.first()), 'send').bytes;
  const drop = expectKind(initiator.push(second), 'drop');
  assert.is(drop.code, 'wrong-node');
  assert.is(dropError(drop).code, 'unreachable');
});

test('a statement that is not of the Noise key in use is refused, on both sides', () => {
  const [a, b, c] = [makeNode('a'), makeNode('b'), makeNode('c')];
  const impostor = { ...b.ctx.own, noise: c.keys.noise };
  b.ctx.own = impostor;
  const initiator = new Initiator(a.ctx, { suite: 'AESGCM', psk: keysOf() });
  const second = expectKind(respond(b, initiator.preface, [keysOf()]).push(initiator.first()), 'send').bytes;
  assert.match(expectKind(initiator.push(second), 'drop').why, 'statement');
  const back = new Initiator(b.ctx, { suite: 'AESGCM', psk: keysOf() });
  const responder = respond(a, back.preface, [keysOf()]);
  const answer = expectKind(responder.push(back.first()), 'send').bytes;
  const third = expectKind(back.push(answer), 'established').send!;
  assert.match(expectKind(responder.push(third), 'drop').why, 'statement');
});

test('a later statement names its node itself', () => {
  const [a, b] = [makeNode('a'), makeNode('b')];
  const head = decodeStatement(real, b.keys.statement);
  const rotated = createRotation(real, {
    head,
    reason: 'routine',
    next: b.keys.next,
    old: b.keys.signing.privateKey,
    now: 0,
  });
  b.ctx.own = { ...b.ctx.own, noise: rotated.noise, statement: rotated.statement };
  const { dialed } = shake(a, b, { expect: b.keys.nodeId });
  assert.equal(dialed.peer.nodeId, b.keys.nodeId);
  assert.is(dialed.peer.seq, 1);
});

// ── versions ───────────────────────────────────────────────────────────────────────────────────────────────────────

test('a peer of another version: both name both versions, whichever is newer', () => {
  for (const [dialer, acceptor] of [
    [
      { oldest: 1, newest: 1 },
      { oldest: 2, newest: 3 },
    ],
    [
      { oldest: 4, newest: 4 },
      { oldest: 2, newest: 3 },
    ],
  ] as const) {
    const [a, b] = [makeNode('a'), makeNode('b')];
    a.ctx.versions = dialer;
    b.ctx.versions = acceptor;
    const initiator = new Initiator(a.ctx, { suite: 'AESGCM', psk: keysOf() });
    initiator.first();
    const found = recognize(b.ctx, initiator.preface, [keysOf()], b.replay);
    if (found?.kind !== 'version') throw new Error('a version reply was expected');
    assert.match(found.why, `version ${dialer.newest}`);
    assert.match(found.why, 'versions 2 to 3');
    const drop = expectKind(pushAll(initiator, found.reply, 1), 'drop');
    assert.equal(drop.versions, { own: dialer, peer: acceptor });
    const error = dropError(drop);
    assert.is(error.code, 'version');
    assert.match(error.message, `version ${dialer.newest}`);
    assert.match(error.message, 'versions 2 to 3');
    assert.ok(error.hint);
  }
});

test('a version reply that is forged, replayed or cut says nothing', () => {
  const [a, b] = [makeNode('a'), makeNode('b')];
  a.ctx.versions = { oldest: 9, newest: 9 };
  const dial = (): Initiator => {
    const initiator = new Initiator(a.ctx, { suite: 'AESGCM', psk: keysOf() });
    initiator.first();
    return initiator;
  };
  const first = dial();
  const found = recognize(b.ctx, first.preface, [keysOf()], b.replay);
  if (found?.kind !== 'version') throw new Error('a version reply was expected');
  assert.is(first.push(found.reply.subarray(0, -1)).kind, 'more');
  for (const reply of [found.reply, flip(found.reply, 40)]) {
    const drop = expectKind(dial().push(reply), 'drop');
    assert.is(drop.versions, undefined);
    assert.is(drop.code, 'protocol');
  }
});

test('a peer that lacks the suite says so with its versions', () => {
  const a = makeNode('a');
  const initiator = new Initiator(a.ctx, { suite: 'AESGCM', psk: keysOf() });
  initiator.first();
  // A range that has the own version in it: what is missing can only be the suite.
  const reply = encodeVersionReply(real, keysOf(), initiator.preface, { oldest: 1, newest: 2 });
  const drop = expectKind(initiator.push(reply), 'drop');
  assert.is(drop.code, 'version');
  assert.match(drop.why, 'lacks the suite AESGCM');
});

test('a lower version than both speak is refused, by whoever sees it first', () => {
  const both = { oldest: 1, newest: 2 };
  const [a, b] = [makeNode('a'), makeNode('b')];
  a.ctx.versions = both;
  b.ctx.versions = both;
  const initiator = new Initiator(a.ctx, { suite: 'AESGCM', psk: keysOf(), version: 1 });
  const responder = respond(b, initiator.preface, [keysOf()]);
  const second = expectKind(responder.push(initiator.first()), 'send').bytes;
  const drop = expectKind(initiator.push(second), 'drop');
  assert.is(drop.code, 'version');
  assert.match(drop.why, 'version 2');
  // One side alone speaks more: fine.
  b.ctx.versions = { oldest: 1, newest: 1 };
  shake(a, b, { version: 1 });
  a.ctx.versions = { oldest: 1, newest: 1 };
  b.ctx.versions = both;
  assert.is(shake(a, b).accepted.version, 1);
});

test('a responder sees the downgrade too', () => {
  const [a, b] = [makeNode('a'), makeNode('b')];
  b.ctx.versions = { oldest: 1, newest: 1 };
  a.ctx.versions = { oldest: 1, newest: 2 };
  const initiator = new Initiator(a.ctx, { suite: 'AESGCM', psk: keysOf(), version: 1 });
  const responder = respond(b, initiator.preface, [keysOf()]);
  const second = expectKind(responder.push(initiator.first()), 'send').bytes;
  const third = expectKind(initiator.push(second), 'established').send!;
  b.ctx.versions = { oldest: 1, newest: 2 };
  assert.is(expectKind(responder.push(third), 'drop').code, 'version');
});

// ── kinds of PSK ───────────────────────────────────────────────────────────────────────────────────────────────────

test('an invite brings a name, and only an invite', () => {
  const [a, b] = [makeNode('a'), makeNode('b')];
  const invite = keysOf(new Uint8Array(32).fill(4), { kind: 'invite', id: 'i1' });
  const { accepted, dialed } = shake(a, b, {
    psk: invite,
    psks: [keysOf(), invite],
    expect: b.keys.nodeId,
    join: { name: 'host-a' },
  });
  assert.equal(accepted.psk, { kind: 'invite', id: 'i1' });
  assert.equal(accepted.peer.join, { name: 'host-a' });
  assert.equal(dialed.localJoin, { name: 'host-a' });
  assert.is(accepted.peer.catchUp && dialed.peer.catchUp, true);
  for (const options of [
    { psk: invite, join: { name: 'x' } },
    { psk: invite, expect: b.keys.nodeId },
    { psk: keysOf(), join: { name: 'x' }, expect: b.keys.nodeId },
  ]) {
    assert.throws(() => new Initiator(a.ctx, { suite: 'AESGCM', ...options }), /belong together/);
  }
});

test('a member that wants to join, or an invite without a name, is dropped', () => {
  const [a, b] = [makeNode('a'), makeNode('b')];
  const secret = new Uint8Array(32).fill(4);
  const asInvite = keysOf(secret, { kind: 'invite', id: 'i1' });
  const asNetwork = keysOf(secret);
  const meet = (dialerKeys: typeof asInvite, acceptorKeys: typeof asInvite) => {
    const join = dialerKeys === asInvite ? { expect: b.keys.nodeId, join: { name: 'host-a' } } : {};
    const initiator = new Initiator(a.ctx, { suite: 'AESGCM', psk: dialerKeys, ...join });
    const responder = respond(b, initiator.preface, [acceptorKeys]);
    const second = expectKind(responder.push(initiator.first()), 'send').bytes;
    return responder.push(expectKind(initiator.push(second), 'established').send!).kind;
  };
  assert.is(meet(asInvite, asNetwork), 'drop');
  assert.is(meet(asNetwork, asInvite), 'drop');
});

test('an old secret asks for the catch-up', () => {
  const { accepted, dialed } = shake(makeNode('a'), makeNode('b'), {
    psks: [keysOf(undefined, { kind: 'old-network' })],
  });
  assert.is(accepted.psk.kind, 'old-network');
  assert.is(accepted.localCatchUp, true);
  assert.is(dialed.peer.catchUp, true);
  assert.is(accepted.peer.catchUp, false);
});

// ── misuse ─────────────────────────────────────────────────────────────────────────────────────────────────────────

test('out of order calls throw and given up is given up', () => {
  const [a, b] = [makeNode('a'), makeNode('b')];
  const initiator = new Initiator(a.ctx, { suite: 'AESGCM', psk: keysOf() });
  const first = initiator.first();
  assert.throws(() => initiator.first(), /before/);
  const responder = respond(b, initiator.preface, [keysOf()]);
  responder.destroy();
  assert.throws(() => responder.push(first), /over/);
  const early = new Initiator(a.ctx, { suite: 'AESGCM', psk: keysOf() });
  assert.is(early.push(new Uint8Array(2)).kind, 'drop');
});

test('a fault inside drops the link instead of the process', () => {
  const [a, b] = [makeNode('a'), makeNode('b')];
  b.ctx.digest = () => {
    throw new TypeError('broken');
  };
  const initiator = new Initiator(a.ctx, { suite: 'AESGCM', psk: keysOf() });
  const drop = expectKind(respond(b, initiator.preface, [keysOf()]).push(initiator.first()), 'drop');
  assert.is(drop.code, 'internal');
  assert.is(dropError(drop).code, 'internal');
  assert.is(dropError({ kind: 'drop', why: 'x' }).code, 'crypto');
  assert.is(dropError({ kind: 'drop', why: 'x', code: 'protocol' }).code, 'protocol');
});

test.run();
