/** The traps of the handshake: what is hashed when, who speaks when, what a failure leaves behind. */
import { EMPTY, concat, toHex, utf8 } from '../../../protocol/bytes.js';
import { HandshakeState, MAX_MESSAGE_LENGTH, messageOverheads, parseName } from '../../../protocol/noise/index.js';
import { assert, full, suite } from '../../helpers/suite.js';
import { converse, ends, fails, keyPair, optionsFor, primitives, random, recording } from './pair.js';
import type { Ends } from './pair.js';

const test = suite('noise handshake');
const XX = 'Noise_XX_25519_ChaChaPoly_SHA256';
const IK = 'Noise_IK_25519_AESGCM_BLAKE2s';
const KK = 'Noise_KK_25519_ChaChaPoly_SHA256';
const XXPSK0 = 'Noise_XXpsk0_25519_AESGCM_SHA256';
const HYBRID = 'Noise_XXhfs+psk0_25519+MLKEM768_ChaChaPoly_SHA256';
const HYBRID_AES = 'Noise_XXhfs+psk0_25519+MLKEM768_AESGCM_SHA256';
const PROTOCOLS = [XX, IK, KK, XXPSK0, HYBRID, HYBRID_AES];

// ── what is hashed ─────────────────────────────────────────────────────────────────────────────────────────────────────

/** What MixHash was called with, in order (without the hashing of a long name). */
function mixed(protocol: string, role: 'initiator' | 'responder'): { data: Uint8Array[]; pair: Ends } {
  const record = recording();
  const options = optionsFor(protocol);
  const both = { prologue: utf8('the prologue') };
  const pair = {
    initiator: new HandshakeState({ ...options.initiator, ...both, ...(role === 'initiator' && record) }),
    responder: new HandshakeState({ ...options.responder, ...both, ...(role === 'responder' && record) }),
  };
  return { data: record.hashes.filter(parts => parts.length === 2).map(([, data]) => data!), pair };
}

test('prologue first, then pre-message keys: the initiator’s before the responder’s, for both roles (§5.3)', () => {
  for (const role of ['initiator', 'responder'] as const) {
    const { data, pair } = mixed(KK, role);
    const { remoteStatic: responderKey } = pair.initiator;
    const { remoteStatic: initiatorKey } = pair.responder;
    assert.equal(data, [utf8('the prologue'), initiatorKey, responderKey]);
  }
});

test('an empty prologue is mixed too (§5.3)', () => {
  const record = recording();
  ends(XX, { initiator: { primitives: record.primitives } });
  assert.equal(record.hashes.at(-1)![1], EMPTY);
});

test('another prologue, protocol name or suite on the other side fails (§6)', () => {
  fails('crypto', () => converse(ends(XX, { responder: { prologue: utf8('x') } })));
  fails('crypto', () => converse(ends(XX, { responder: { protocol: 'Noise_XX_25519_AESGCM_SHA256' } })));
  fails('crypto', () => converse(ends(XX, { responder: { protocol: 'Noise_XX1_25519_ChaChaPoly_SHA256' } })));
});

test('every payload is encrypted once there is a key, also an empty one; before that it is in clear (§3)', () => {
  const [first, second, third] = converse(ends(XX), EMPTY);
  assert.equal([first!.length, second!.length, third!.length], [32, 32 + 48 + 16, 48 + 16]);
  const clear = ends(XX).initiator.writeMessage(utf8('in clear'));
  assert.equal(clear.subarray(32), utf8('in clear'));
  const sealed = ends(XXPSK0).initiator.writeMessage(utf8('not in clear'));
  assert.is(toHex(sealed).indexOf(toHex(utf8('not in clear'))), -1);
  assert.is(sealed.length, 32 + 12 + 16);
});

test('es is DH(e, rs) for the initiator and DH(s, re) for the responder, se the reverse (§5.3)', () => {
  const [e, re, s, rs] = [keyPair(), keyPair(), keyPair(), keyPair()];
  const [one, two] = [recording(), recording()];
  const options = optionsFor('Noise_XX_25519_AESGCM_SHA256');
  converse({
    initiator: new HandshakeState({ ...options.initiator, ...one, e, s }),
    responder: new HandshakeState({ ...options.responder, ...two, e: re, s: rs }),
  });
  const [ee, es, se] = one.dhs;
  assert.equal(ee, { privateKey: e.privateKey, publicKey: re.publicKey });
  assert.equal(es, { privateKey: e.privateKey, publicKey: rs.publicKey });
  assert.equal(se, { privateKey: s.privateKey, publicKey: re.publicKey });
  assert.equal(two.dhs, [
    { privateKey: re.privateKey, publicKey: e.publicKey },
    { privateKey: rs.privateKey, publicKey: e.publicKey },
    { privateKey: re.privateKey, publicKey: s.publicKey },
  ]);
});

test('two encryptions without a DH between them use n = 0 and n = 1: e1 and s of IKhfs (§5.2)', () => {
  const record = recording();
  const protocol = 'Noise_IKhfs_25519+MLKEM768_ChaChaPoly_SHA256';
  ends(protocol, { initiator: { primitives: record.primitives } }).initiator.writeMessage(EMPTY);
  const [e1, s, payload] = record.seals.map(seal => seal.split(' '));
  assert.equal([e1![1], s![1], payload![1]], ['00'.repeat(12), '0000000001'.padEnd(24, '0'), '00'.repeat(12)]);
  assert.is(e1![0], s![0]);
  assert.is.not(s![0], payload![0]);
});

// ── keys ───────────────────────────────────────────────────────────────────────────────────────────────────────────────

test('keys that a pattern needs must be there, with 32 bytes', () => {
  fails('internal', () => ends(XX, { initiator: { s: undefined } }));
  fails('internal', () => ends(IK, { initiator: { rs: undefined } }));
  fails('internal', () => ends(IK, { initiator: { rs: random(31) } }));
  const bad = { publicKey: random(32), privateKey: random(33) };
  fails('internal', () => ends(XX, { initiator: { s: bad } }));
});

test('a remote static key that the pattern would ignore is refused', () => {
  fails('internal', () => ends(XX, { initiator: { rs: random(32) } }));
  fails('internal', () => ends(IK, { responder: { rs: random(32) } }));
});

test('another static key than the expected one fails (IK)', () => {
  fails('crypto', () => converse(ends(IK, { initiator: { rs: keyPair().publicKey } })));
});

test('an all-zero DH result ends the handshake (RFC 7748 §6.1)', () => {
  const zero = new Uint8Array(32);
  const { responder } = ends(XX);
  responder.readMessage(zero);
  fails('crypto', () => responder.writeMessage(EMPTY));
  fails('internal', () => responder.writeMessage(EMPTY));
  const { initiator } = ends(XX);
  initiator.writeMessage(EMPTY);
  fails('crypto', () => initiator.readMessage(new Uint8Array(96)));
  fails('crypto', () => ends(IK, { initiator: { rs: zero } }).initiator.writeMessage(EMPTY));
});

test('e, h and the keys are new in every attempt, with the same static keys and PSK (§14)', () => {
  const options = optionsFor(HYBRID);
  const seen = new Set<string>();
  const rounds = full(10, 100);
  for (let i = 0; i < rounds; i++) {
    const pair = {
      initiator: new HandshakeState(options.initiator),
      responder: new HandshakeState(options.responder),
    };
    converse(pair);
    assert.equal(pair.initiator.handshakeHash, pair.responder.handshakeHash);
    for (const bytes of [pair.initiator.handshakeHash, pair.initiator.remoteEphemeral!]) seen.add(toHex(bytes));
    seen.add(toHex(pair.responder.remoteEphemeral!));
    const { sendKey, receiveKey, exporter } = pair.initiator.split();
    for (const bytes of [sendKey, receiveKey, exporter]) seen.add(toHex(bytes));
  }
  assert.is(seen.size, rounds * 6);
});

test('both sides learn the keys of the other', () => {
  for (const protocol of PROTOCOLS) {
    const { initiator: a, responder: b } = optionsFor(protocol);
    const pair = { initiator: new HandshakeState(a), responder: new HandshakeState(b) };
    converse(pair);
    assert.equal(pair.initiator.remoteStatic, b.s?.publicKey);
    assert.equal(pair.responder.remoteStatic, a.s?.publicKey);
  }
});

// ── order of calls ─────────────────────────────────────────────────────────────────────────────────────────────────────

test('out of turn: refused, and nothing changes', () => {
  const pair = ends(XX);
  fails('internal', () => pair.initiator.readMessage(random(32)));
  fails('internal', () => pair.responder.writeMessage(EMPTY));
  fails('internal', () => pair.initiator.handshakeHash);
  fails('internal', () => pair.initiator.split());
  const first = pair.initiator.writeMessage(EMPTY);
  fails('internal', () => pair.initiator.writeMessage(EMPTY));
  pair.responder.readMessage(first);
  fails('internal', () => pair.responder.readMessage(first));
  pair.initiator.readMessage(pair.responder.writeMessage(EMPTY));
  pair.responder.readMessage(pair.initiator.writeMessage(EMPTY));
  assert.equal(pair.initiator.handshakeHash, pair.responder.handshakeHash);
});

test('after the end: no further message, one split, the hash stays', () => {
  const pair = ends(XX);
  converse(pair);
  assert.ok(pair.initiator.finished && pair.responder.finished);
  fails('internal', () => pair.initiator.writeMessage(EMPTY));
  fails('internal', () => pair.initiator.readMessage(random(64)));
  const h = pair.initiator.handshakeHash;
  pair.initiator.split();
  fails('internal', () => pair.initiator.split());
  assert.ok(pair.initiator.finished);
  assert.equal(pair.initiator.handshakeHash, h);
});

test('Split: the initiator’s sending key is the responder’s receiving key, and the two directions differ (§5.2)', () => {
  const pair = ends(XX);
  converse(pair);
  const [a, b] = [pair.initiator.split(), pair.responder.split()];
  assert.equal(a.sendKey, b.receiveKey);
  assert.equal(a.receiveKey, b.sendKey);
  assert.is.not(toHex(a.sendKey), toHex(a.receiveKey));
});

test('one-way patterns: the responder has nothing to send with', () => {
  const options = optionsFor('Noise_X_25519_AESGCM_SHA256');
  const pair = { initiator: new HandshakeState(options.initiator), responder: new HandshakeState(options.responder) };
  converse(pair, utf8('payload'));
  const [a, b] = [pair.initiator.split(), pair.responder.split()];
  assert.equal(b.receive.decryptWithAd(EMPTY, a.send.encryptWithAd(EMPTY, utf8('x'))), utf8('x'));
  fails('internal', () => b.send.encryptWithAd(EMPTY, utf8('x')));
  fails('internal', () => a.receive.decryptWithAd(EMPTY, random(32)));
  assert.equal([b.sendKey, a.receiveKey], [EMPTY, EMPTY]);
});

// ── lengths ────────────────────────────────────────────────────────────────────────────────────────────────────────────

test('65,535 bytes are a message, one more is not, on both sides (§3)', () => {
  for (const protocol of PROTOCOLS) {
    const overheads = messageOverheads(parseName(protocol));
    overheads.forEach((overhead, i) => {
      const pair = ends(protocol);
      converse(pair, EMPTY, i);
      const [writer, reader] = i % 2 === 0 ? [pair.initiator, pair.responder] : [pair.responder, pair.initiator];
      assert.is(writer.nextOverhead, overhead);
      const payload = random(MAX_MESSAGE_LENGTH - overhead);
      fails('limit', () => writer.writeMessage(concat(payload, EMPTY, random(1))));
      // a payload too long changes nothing: the same state still writes
      const message = writer.writeMessage(payload);
      assert.is(message.length, MAX_MESSAGE_LENGTH);
      assert.equal(reader.readMessage(message), payload);
    });
  }
  fails('malformed', () => ends(XX).responder.readMessage(random(MAX_MESSAGE_LENGTH + 1)));
});

// ── memory ─────────────────────────────────────────────────────────────────────────────────────────────────────────────

test('destroy ends it; the caller’s keys are not touched', () => {
  const options = optionsFor(HYBRID);
  const before = [options.initiator.s!.privateKey, ...options.initiator.psks!].map(toHex);
  const state = new HandshakeState(options.initiator);
  state.destroy();
  fails('internal', () => state.writeMessage(EMPTY));
  const e = keyPair();
  const pair = ends(XX, { initiator: { e } });
  converse(pair);
  pair.initiator.destroy();
  fails('internal', () => pair.initiator.split());
  assert.equal([options.initiator.s!.privateKey, ...options.initiator.psks!].map(toHex), before);
  assert.equal(primitives.x25519.fromPrivate(e.privateKey), e);
});

test('payloads handed up are copies: changing the message afterwards changes nothing', () => {
  const pair = ends(XX);
  const message = pair.initiator.writeMessage(utf8('clear'));
  const payload = pair.responder.readMessage(message);
  message.fill(0);
  assert.equal(payload, utf8('clear'));
  converse({ initiator: pair.responder, responder: pair.initiator }, EMPTY, 1);
});

test.run();
