/** SymmetricState and HKDF: the beginnings of h and ck, and what is mixed how. */
import { hkdf as nobleHkdf } from '@noble/hashes/hkdf.js';
import { blake2b, blake2s } from '@noble/hashes/blake2.js';
import { sha256, sha512 } from '@noble/hashes/sha2.js';
import { EMPTY, concat, utf8 } from '../../../protocol/bytes.js';
import type { HashName } from '../../../protocol/crypto/primitives.js';
import { hkdf } from '../../../protocol/noise/index.js';
import { SymmetricState } from '../../../protocol/noise/symmetric-state.js';
import { assert, suite } from '../../helpers/suite.js';
import { finished, primitives, random } from './pair.js';

const test = suite('noise symmetric state');
const NOBLE = { SHA256: sha256, SHA512: sha512, BLAKE2s: blake2s, BLAKE2b: blake2b };
const HASHES = Object.keys(NOBLE) as HashName[];

function symmetric(hash: HashName, name = 'name'): SymmetricState {
  return new SymmetricState(primitives.hash[hash], primitives.aead.ChaChaPoly, name);
}

for (const hash of HASHES) {
  const { length } = primitives.hash[hash];

  test(`${hash}: a name of at most ${length} bytes is padded, a longer one hashed (§5.2)`, () => {
    for (const n of [1, length - 1, length]) {
      const name = 'N'.repeat(n);
      assert.equal(symmetric(hash, name).handshakeHash, concat(utf8(name), new Uint8Array(length - n)));
    }
    const name = 'N'.repeat(length + 1);
    assert.equal(symmetric(hash, name).handshakeHash, NOBLE[hash](utf8(name)));
  });

  test(`${hash}: HKDF is RFC 5869 over HMAC, for BLAKE2 as well, with 2 or 3 outputs (§4.3)`, () => {
    for (const count of [2, 3] as const) {
      const [ck, input] = [random(length), random(count === 2 ? 32 : 0)];
      const expected = nobleHkdf(NOBLE[hash], input, ck, undefined, count * length);
      assert.equal(concat(...hkdf(primitives.hash[hash], ck, input, count)), expected);
    }
  });

  test(`${hash}: Split takes HKDF(ck, ""), cut to 32 bytes; the exporter is its third output`, () => {
    const state = symmetric(hash);
    const [secret, ck] = [random(32), symmetric(hash).handshakeHash];
    state.mixKey(secret);
    const afterMix = nobleHkdf(NOBLE[hash], secret, ck, undefined, length);
    const outputs = nobleHkdf(NOBLE[hash], EMPTY, afterMix, undefined, 3 * length);
    const keys = state.split();
    assert.equal(keys.initiatorToResponder, outputs.slice(0, 32));
    assert.equal(keys.responderToInitiator, outputs.slice(length, length + 32));
    assert.equal(keys.exporter, outputs.slice(2 * length, 2 * length + 32));
  });

  test(`${hash}: a PSK goes into ck, h and k: three outputs (§9.1)`, () => {
    const state = symmetric(hash);
    const [psk, start] = [random(32), symmetric(hash).handshakeHash];
    state.mixKeyAndHash(psk);
    const outputs = nobleHkdf(NOBLE[hash], psk, start, undefined, 3 * length);
    const h = NOBLE[hash](concat(start, outputs.slice(length, 2 * length)));
    assert.equal(state.handshakeHash, h);
    const sealed = primitives.aead.ChaChaPoly.key(outputs.slice(2 * length, 2 * length + 32));
    assert.equal(state.encryptAndHash(utf8('x')), sealed.seal(new Uint8Array(12), h, utf8('x')));
    assert.equal(
      state.split().initiatorToResponder,
      nobleHkdf(NOBLE[hash], EMPTY, outputs.slice(0, length), undefined, 32),
    );
  });
}

test('MixKey resets n to 0, also after messages (§5.2)', () => {
  const [a, b] = [symmetric('SHA256'), symmetric('SHA256')];
  for (const state of [a, b]) state.mixKey(utf8('one'));
  for (let i = 0; i < 3; i++) b.decryptAndHash(a.encryptAndHash(utf8('x')));
  for (const state of [a, b]) state.mixKey(utf8('two'));
  const ck = nobleHkdf(sha256, utf8('one'), symmetric('SHA256').handshakeHash, undefined, 32);
  const key = nobleHkdf(sha256, utf8('two'), ck, undefined, 64).slice(32);
  const expected = primitives.aead.ChaChaPoly.key(key).seal(new Uint8Array(12), a.handshakeHash, utf8('y'));
  assert.equal(a.encryptAndHash(utf8('y')), expected);
});

test('a failed DecryptAndHash leaves h as it was', () => {
  const state = symmetric('SHA256');
  state.mixKey(utf8('key'));
  const before = state.handshakeHash;
  assert.throws(() => state.decryptAndHash(random(40)));
  assert.equal(state.handshakeHash, before);
});

test('h is a copy, and not a secret: neither key of Split can be seen in it', () => {
  const state = symmetric('SHA256');
  state.handshakeHash.fill(0);
  assert.is.not(Buffer.compare(state.handshakeHash, new Uint8Array(32)), 0);
});

test('with 64-byte hashes all keys have 32 bytes', () => {
  for (const hash of HASHES) {
    const { initiator } = finished(`Noise_XX_25519_AESGCM_${hash}`);
    for (const key of [initiator.sendKey, initiator.receiveKey, initiator.exporter]) assert.is(key.length, 32);
  }
});

test.run();
