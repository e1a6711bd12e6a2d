/** What an AEAD key refuses, and sealing and opening in pieces. */
import { concat } from '../../../protocol/bytes.js';
import { CHACHA_CROSSOVER_BYTES, aeads } from '../../../protocol/crypto/aead.js';
import { asBytes, asKeyObject, nodeAead, secretForm } from '../../../protocol/crypto/node.js';
import { sodiumChaChaPoly, sodiumReady } from '../../../protocol/crypto/sodium.js';
import type { AeadName } from '../../../protocol/crypto/primitives.js';
import { WarrenError } from '../../../protocol/errors.js';
import { pick, seededRandom } from '../../helpers/random.js';
import { assert, suite } from '../../helpers/suite.js';

const test = suite('aead');
const random = seededRandom('aead');
const { seal, open } = CHACHA_CROSSOVER_BYTES;
const SIZES = [0, 1, 500, open, open + 1, seal, seal + 1, 20_000];
const isCryptoError = (error: unknown): boolean => error instanceof WarrenError && error.code === 'crypto';
test.before(sodiumReady);

const KINDS = {
  'ChaChaPoly composed': aeads.ChaChaPoly,
  'ChaChaPoly of node:crypto, keys of bytes': nodeAead('ChaChaPoly', asBytes),
  'ChaChaPoly of node:crypto, key objects': nodeAead('ChaChaPoly', asKeyObject),
  'ChaChaPoly of libsodium': sodiumChaChaPoly,
  AESGCM: aeads.AESGCM,
  'AESGCM, keys of bytes': nodeAead('AESGCM', asBytes),
  'AESGCM, key objects': nodeAead('AESGCM', asKeyObject),
};

test('keys are bytes, and key objects where a node takes long to see that bytes are none', () => {
  for (const version of ['20.19.0', '22.23.3']) assert.is(secretForm(version), asBytes);
  for (const version of ['24.0.0', '24.21.0', '26.10.0']) assert.is(secretForm(version), asKeyObject);
});

for (const [title, aead] of Object.entries(KINDS)) {
  test(`${title}: any flipped bit, wrong nonce, wrong data or missing byte is refused`, () => {
    for (const size of SIZES) {
      const [nonce, ad] = [random(12), random(20)];
      const key = aead.key(random(32));
      const sealed = key.seal(nonce, ad, random(size));
      for (const at of [0, pick(random, sealed.length), sealed.length - 16, sealed.length - 1]) {
        const forged = sealed.slice();
        forged[at]! ^= 1 << pick(random, 8);
        assert.throws(() => key.open(nonce, ad, forged), isCryptoError);
      }
      assert.throws(() => key.open(random(12), ad, sealed), isCryptoError);
      assert.throws(() => key.open(nonce, random(20), sealed), isCryptoError);
      assert.throws(() => key.open(nonce, ad, sealed.subarray(1)), isCryptoError);
      assert.throws(() => key.open(nonce, ad, sealed.subarray(0, -1)), isCryptoError);
      assert.throws(() => aead.key(random(32)).open(nonce, ad, sealed), isCryptoError);
    }
  });

  test(`${title}: what is shorter than a tag is refused`, () => {
    const key = aead.key(random(32));
    for (let n = 0; n < 16; n++) assert.throws(() => key.open(random(12), random(0), random(n)), isCryptoError);
  });

  test(`${title}: keys of 32 bytes and nonces of 12 only`, () => {
    for (const n of [0, 16, 31, 33]) assert.throws(() => aead.key(random(n)), isCryptoError);
    const key = aead.key(random(32));
    for (const n of [0, 8, 11, 13, 24]) {
      for (const size of SIZES) {
        assert.throws(() => key.seal(random(n), random(0), random(size)), isCryptoError);
        assert.throws(() => key.open(random(n), random(0), random(size + 16)), isCryptoError);
      }
    }
  });

  test(`${title}: a key is copied, and of no use after destroy`, () => {
    const bytes = random(32);
    const [nonce, ad, text] = [random(12), random(3), random(9)];
    const key = aead.key(bytes);
    const sealed = key.seal(nonce, ad, text);
    bytes.fill(0);
    assert.equal(key.seal(nonce, ad, text), sealed);
    key.destroy();
    const isInternal = (error: unknown): boolean => error instanceof WarrenError && error.code === 'internal';
    assert.throws(() => key.seal(nonce, ad, text), isInternal);
    assert.throws(() => key.open(nonce, ad, sealed), isInternal);
    assert.throws(() => key.seal(nonce, ad, new Uint8Array(9000)), isInternal);
  });
}

/** Cuts into up to 6 pieces at random places, empty ones included. */
function pieces(bytes: Uint8Array): Uint8Array[] {
  const cuts = Array.from({ length: pick(random, 6) }, () => pick(random, bytes.length + 1)).sort((a, b) => a - b);
  return [0, ...cuts].map((from, i) => bytes.subarray(from, cuts[i] ?? bytes.length));
}

for (const name of ['ChaChaPoly', 'AESGCM'] as AeadName[]) {
  test(`${name}: pieces are sealed to the bytes of the whole`, () => {
    for (const size of [...SIZES, ...SIZES, ...SIZES]) {
      const [nonce, ad, plaintext] = [random(12), random(7), random(size)];
      const key = aeads[name].key(random(32));
      const sealed = key.seal(nonce, ad, plaintext);
      assert.equal(concat(...key.sealParts(nonce, ad, pieces(plaintext))), sealed);
      assert.equal(concat(...key.sealParts(nonce, ad, [plaintext])), sealed);
      if (size === 0) assert.equal(concat(...key.sealParts(nonce, ad, [])), sealed);
    }
  });

  test(`${name}: a ciphertext is opened as its pieces arrive`, () => {
    for (const size of [...SIZES, ...SIZES, ...SIZES]) {
      const [nonce, ad, plaintext] = [random(12), random(7), random(size)];
      const key = aeads[name].key(random(32));
      const sealed = key.seal(nonce, ad, plaintext);
      const [body, tag] = [sealed.subarray(0, -16), sealed.subarray(-16)];
      const opening = key.opener(nonce, ad);
      assert.equal(concat(...pieces(body).map(piece => opening.update(piece))), plaintext);
      opening.final(tag);

      const forged = key.opener(nonce, ad);
      for (const piece of pieces(body)) forged.update(piece);
      const wrongTag = tag.slice();
      wrongTag[pick(random, 16)]! ^= 1;
      assert.throws(() => forged.final(wrongTag), isCryptoError);
      if (size === 0) continue;
      const truncated = key.opener(nonce, ad);
      truncated.update(body.subarray(1));
      assert.throws(() => truncated.final(tag), isCryptoError);
    }
  });

  test(`${name}: a tag of another length, or an empty one, is refused`, () => {
    const key = aeads[name].key(random(32));
    const [nonce, ad] = [random(12), random(0)];
    const sealed = key.seal(nonce, ad, random(40));
    for (const length of [0, 4, 12, 15]) {
      const opening = key.opener(nonce, ad);
      opening.update(sealed.subarray(0, -16));
      assert.throws(() => opening.final(sealed.subarray(40, 40 + length)), isCryptoError);
    }
    assert.throws(() => key.opener(random(11), ad), isCryptoError);
    key.destroy();
    assert.throws(() => key.opener(nonce, ad), 'destroyed');
    assert.throws(() => key.sealParts(nonce, ad, [random(1)]), 'destroyed');
  });
}

test.run();
