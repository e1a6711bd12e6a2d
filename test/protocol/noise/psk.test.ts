/** The psk modifier, and fallback, the only place where an ephemeral key is known before the first message. */
import { EMPTY, concat, toHex, utf8 } from '../../../protocol/bytes.js';
import type { Hash, Primitives } from '../../../protocol/crypto/primitives.js';
import { HandshakeState } from '../../../protocol/noise/index.js';
import { assert, suite } from '../../helpers/suite.js';
import { converse, ends, fails, keyPair, optionsFor, primitives, random, recording } from './pair.js';

const test = suite('noise psk and fallback');
const XX = 'Noise_XX_25519_ChaChaPoly_SHA256';
const XXPSK0 = 'Noise_XXpsk0_25519_AESGCM_SHA256';

test('in a psk pattern e is mixed into the key too, so equal PSKs never give equal keys (§9.2)', () => {
  const options = optionsFor(XXPSK0);
  const keys = [1, 2].map(() => {
    const record = recording();
    new HandshakeState({ ...options.initiator, primitives: record.primitives }).writeMessage(EMPTY);
    return record.seals[0]!.split(' ')[0];
  });
  assert.is.not(keys[0], keys[1]);
});

test('a pre-message e is mixed into the key too (§9.2): XXfallback+psk1 with a wrong first e fails at the payload', () => {
  const run = (re: Uint8Array, e: ReturnType<typeof keyPair>): void => {
    const shared = { primitives, protocol: 'Noise_XXfallback+psk1_25519_AESGCM_SHA256', prologue: EMPTY };
    const [psk, s] = [random(32), keyPair()];
    const bob = new HandshakeState({ ...shared, role: 'initiator', re, s, psks: [psk] });
    const alice = new HandshakeState({ ...shared, role: 'responder', e, s: keyPair(), psks: [psk] });
    converse({ initiator: bob, responder: alice }, utf8('x'));
    assert.equal(bob.handshakeHash, alice.handshakeHash);
  };
  const e = keyPair();
  run(e.publicKey, e);
  fails('crypto', () => run(keyPair().publicKey, e));
});

/** Primitives whose SHA-256 writes down what HMAC is asked to mix: the inputs of HKDF are among it. */
function mixing(): { primitives: Primitives; inputs: Uint8Array[] } {
  const inputs: Uint8Array[] = [];
  const { SHA256 } = primitives.hash;
  const hmac: Hash['hmac'] = (key, ...parts) => {
    inputs.push(concat(...parts));
    return SHA256.hmac(key, ...parts);
  };
  return { primitives: { ...primitives, hash: { ...primitives.hash, SHA256: { ...SHA256, hmac } } }, inputs };
}

test('a pre-message e is mixed before anything else', () => {
  const record = mixing();
  const { publicKey } = keyPair();
  const protocol = 'Noise_XXfallback+psk0_25519_AESGCM_SHA256';
  const keys = { re: publicKey, s: keyPair(), psks: [random(32)] };
  new HandshakeState({ primitives: record.primitives, protocol, prologue: EMPTY, role: 'initiator', ...keys });
  assert.equal(record.inputs[0], publicKey);
});

test('the first PSK belongs to the first psk token, the second to the second', () => {
  const record = mixing();
  const psks = [random(32), random(32)];
  const options = optionsFor('Noise_NNpsk0+psk1_25519_AESGCM_SHA256').initiator;
  const first = new HandshakeState({ ...options, primitives: record.primitives, psks }).writeMessage(EMPTY);
  // HKDF begins with HMAC(ck, input), then one HMAC for each output: 3 for a psk, 2 for e.
  assert.equal([record.inputs[0], record.inputs[4], record.inputs[7]], [psks[0], first.subarray(0, 32), psks[1]]);
});

test('fallback goes on from the first message of XX', () => {
  const shared = { primitives, protocol: 'Noise_XXfallback_25519_ChaChaPoly_SHA256', prologue: utf8('p') };
  const [e, alice, bob] = [keyPair(), keyPair(), keyPair()];
  const first = new HandshakeState({ ...optionsFor(XX).initiator, e }).writeMessage(EMPTY);
  const pair = {
    initiator: new HandshakeState({ ...shared, role: 'initiator', re: first.subarray(0, 32), s: bob }),
    responder: new HandshakeState({ ...shared, role: 'responder', e, s: alice }),
  };
  converse(pair);
  assert.equal(pair.initiator.remoteStatic, alice.publicKey);
  assert.equal(pair.responder.remoteStatic, bob.publicKey);
  fails('internal', () => new HandshakeState({ ...shared, role: 'initiator', s: bob }));
  fails('internal', () => new HandshakeState({ ...shared, role: 'responder', s: alice }));
});

test('fallback gives the messages that python3-dissononce 0.34.3 gives', () => {
  const fixed = (n: number): ReturnType<typeof keyPair> => primitives.x25519.fromPrivate(new Uint8Array(32).fill(n));
  const shared = { primitives, protocol: 'Noise_XXfallback_25519_ChaChaPoly_SHA256', prologue: utf8('p') };
  const messages = converse({
    initiator: new HandshakeState({
      ...shared,
      role: 'initiator',
      s: fixed(4),
      e: fixed(3),
      re: fixed(1).publicKey,
    }),
    responder: new HandshakeState({ ...shared, role: 'responder', s: fixed(2), e: fixed(1) }),
  });
  assert.equal(messages.map(toHex), [
    '5dfedd3b6bd47f6fa28ee15d969d5bb0ea53774d488bdaf9df1c6e0124b3ef220a94477bc315a17e7b9066c3527e5aeb' +
      'd8f90343c4625efe8067dba83165120fa6c319c3fe6e585f6995a834e549a6a3db84744dff4e8234aaefe7250635ef41',
    'd5eca8e855bcd79ba9739aed1b4e6e52fdf80a55c5a82770464a67fddf8f09b199bf6135a8ef20b09984597db34dd722' +
      'e078bf29495c43edd4f242c754fe3e36',
  ]);
});

test('PSKs that differ fail; a PSK of zeros is a PSK like any other', () => {
  const zero = new Uint8Array(32);
  fails('crypto', () => converse(ends(XXPSK0, { responder: { psks: [random(32)] } })));
  fails('crypto', () => converse(ends(XXPSK0, { responder: { psks: [zero] } })));
  converse(ends(XXPSK0, { both: { psks: [zero] } }));
  // …and not the same as none
  const [withZero, without] = [ends(XXPSK0, { both: { psks: [zero] } }).initiator, ends(XX).responder];
  without.readMessage(withZero.writeMessage(EMPTY));
  const other = ends(XXPSK0, { both: { psks: [zero] } });
  fails('malformed', () => other.responder.readMessage(ends(XX).initiator.writeMessage(EMPTY)));
});

test('several PSKs are taken in token order', () => {
  const protocol = 'Noise_XXpsk0+psk3_25519_ChaChaPoly_BLAKE2b';
  const [a, b] = [random(32), random(32)];
  converse(ends(protocol, { both: { psks: [a, b] } }));
  fails('crypto', () => converse(ends(protocol, { initiator: { psks: [a, b] }, responder: { psks: [b, a] } })));
  fails('crypto', () => converse(ends(protocol, { initiator: { psks: [a, b] }, responder: { psks: [a, a] } })));
});

test('PSKs have exactly 32 bytes and are as many as psk tokens (§9, §14)', () => {
  for (const n of [0, 16, 31, 33, 64]) fails('internal', () => ends(XXPSK0, { initiator: { psks: [random(n)] } }));
  for (const psks of [[], [random(32), random(32)]]) fails('internal', () => ends(XXPSK0, { responder: { psks } }));
  fails('internal', () => ends(XX, { initiator: { psks: [random(32)] } }));
});

test.run();
