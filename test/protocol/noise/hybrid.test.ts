/** The hfs modifier: what ML-KEM adds, what it refuses, and that it cannot be stripped. */
import { EMPTY, toHex, utf8 } from '../../../protocol/bytes.js';
import type { MlKem768, Primitives } from '../../../protocol/crypto/primitives.js';
import { HandshakeState } from '../../../protocol/noise/index.js';
import { secondMlKem768 } from '../../helpers/second.js';
import { assert, suite } from '../../helpers/suite.js';
import { converse, ends, fails, optionsFor, primitives, random } from './pair.js';

const test = suite('noise hybrid forward secrecy');
const SUITES = ['ChaChaPoly_SHA256', 'AESGCM_SHA256'];
const EK_AT = 32;

function withKem(kem: Partial<MlKem768>): Primitives {
  return { ...primitives, mlkem768: { ...primitives.mlkem768, ...kem } };
}

for (const name of SUITES) {
  const hybrid = `Noise_XXhfs+psk0_25519+MLKEM768_${name}`;
  const clear = `Noise_XXhfs_25519+MLKEM768_${name}`;

  test(`${name}: the other ML-KEM implementation is understood`, () => {
    const other = { ...primitives, mlkem768: secondMlKem768 };
    converse(ends(hybrid, { initiator: { primitives: other } }), utf8('x'));
    converse(ends(hybrid, { responder: { primitives: other } }), utf8('x'));
  });

  test(`${name}: the KEM secret goes into the keys: another secret, other keys, failure at the next tag`, () => {
    const wrong: Partial<MlKem768> = {
      encapsulate: (publicKey, message) => ({
        ...primitives.mlkem768.encapsulate(publicKey, message),
        secret: random(32),
      }),
    };
    fails('crypto', () => converse(ends(hybrid, { responder: { primitives: withKem(wrong) } }), EMPTY, 2));
  });

  test(`${name}: a changed KEM ciphertext gives no error of its own (implicit rejection) but a wrong tag`, () => {
    const wrong: Partial<MlKem768> = {
      encapsulate(publicKey, message) {
        const sent = primitives.mlkem768.encapsulate(publicKey, message);
        sent.ciphertext[500]! ^= 1;
        return sent;
      },
    };
    const pair = ends(hybrid, { responder: { primitives: withKem(wrong) } });
    converse(pair, EMPTY, 1);
    fails('crypto', () => pair.initiator.readMessage(pair.responder.writeMessage(EMPTY)));
    fails('internal', () => pair.initiator.writeMessage(EMPTY));
  });

  test(`${name}: a KEM key with a coefficient beyond the modulus is refused before encapsulation`, () => {
    const pair = ends(clear);
    const first = pair.initiator.writeMessage(EMPTY);
    first[EK_AT] = 0xff;
    first[EK_AT + 1]! |= 0x0f;
    pair.responder.readMessage(first);
    fails('crypto', () => pair.responder.writeMessage(EMPTY));
    fails('internal', () => pair.responder.writeMessage(EMPTY));
  });

  test(`${name}: hybrid and plain do not understand each other: nothing to strip`, () => {
    const plain = `Noise_XXpsk0_25519_${name}`;
    const psks = [random(32)];
    const [toPlain, toHybrid] = [ends(hybrid, { both: { psks } }), ends(plain, { both: { psks } })];
    // too short for one, a wrong tag for the other
    fails('malformed', () => toPlain.responder.readMessage(toHybrid.initiator.writeMessage(EMPTY)));
    const [a, b] = [ends(hybrid, { both: { psks } }), ends(plain, { both: { psks } })];
    fails('crypto', () => b.responder.readMessage(a.initiator.writeMessage(EMPTY)));
  });

  test(`${name}: cutting e1 out of message 1 in clear gives no session`, () => {
    const [hybridEnd, plainEnd] = [ends(clear), ends(`Noise_XX_25519_${name}`)];
    const first = hybridEnd.initiator.writeMessage(EMPTY);
    plainEnd.responder.readMessage(first.subarray(0, EK_AT));
    const second = plainEnd.responder.writeMessage(EMPTY);
    fails('malformed', () => hybridEnd.initiator.readMessage(second));
  });

  test(`${name}: fixed keys and fixed KEM randomness give fixed messages`, () => {
    const options = optionsFor(hybrid);
    const { x25519, mlkem768 } = primitives;
    const fixed = (label: number, length = 32): Uint8Array => new Uint8Array(length).fill(label);
    const run = (): string[] =>
      converse({
        initiator: new HandshakeState({
          ...options.initiator,
          e: x25519.fromPrivate(fixed(1)),
          e1: mlkem768.generate(fixed(2, 64)),
        }),
        responder: new HandshakeState({
          ...options.responder,
          e: x25519.fromPrivate(fixed(3)),
          kemMessage: fixed(4),
        }),
      }).map(toHex);
    assert.equal(run(), run());
  });

  test(`${name}: a fresh KEM key for every handshake`, () => {
    const seen = new Set<string>();
    const generate = (seed: Uint8Array): ReturnType<MlKem768['generate']> => {
      seen.add(toHex(seed));
      return primitives.mlkem768.generate(seed);
    };
    for (let i = 0; i < 5; i++) converse(ends(hybrid, { initiator: { primitives: withKem({ generate }) } }));
    assert.is(seen.size, 5);
  });
}

test('the KEM private key is wiped as soon as it has served', () => {
  let kept: Uint8Array | undefined;
  const generate = (seed: Uint8Array): ReturnType<MlKem768['generate']> => {
    const pair = primitives.mlkem768.generate(seed);
    kept = pair.privateKey;
    return pair;
  };
  const pair = ends(`Noise_XXhfs_25519+MLKEM768_${SUITES[0]!}`, { initiator: { primitives: withKem({ generate }) } });
  converse(pair, EMPTY, 1);
  assert.not(kept!.every(byte => byte === 0));
  pair.initiator.readMessage(pair.responder.writeMessage(EMPTY));
  assert.ok(kept!.every(byte => byte === 0));
});

test.run();
