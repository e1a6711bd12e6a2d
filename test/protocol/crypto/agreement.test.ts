/** Each primitive's two implementations agree on random inputs of many sizes. */
import { EMPTY, concat } from '../../../protocol/bytes.js';
import { CHACHA_CROSSOVER_BYTES, aeads } from '../../../protocol/crypto/aead.js';
import { loadPrimitives } from '../../../protocol/crypto/load.js';
import { nobleX25519 } from '../../../protocol/crypto/noble.js';
import { asBytes, asKeyObject, hashesOfNode, nodeAead } from '../../../protocol/crypto/node.js';
import type { Aead, AeadName, HashName } from '../../../protocol/crypto/primitives.js';
import { sodiumChaChaPoly, sodiumX25519 } from '../../../protocol/crypto/sodium.js';
import { WarrenError } from '../../../protocol/errors.js';
import { pick, seededRandom } from '../../helpers/random.js';
import { secondAeads, secondPrimitives } from '../../helpers/second.js';
import { assert, full, suite } from '../../helpers/suite.js';

const test = suite('two implementations of each primitive');
const random = seededRandom('agreement');
const first = await loadPrimitives(random);
const second = secondPrimitives(random);

const isCryptoError = (error: unknown): boolean => error instanceof WarrenError && error.code === 'crypto';

/** Everything that leaves protocol/crypto is a plain Uint8Array: a Buffer's slice would be a view. */
function isPlain(bytes: Uint8Array): boolean {
  return Object.getPrototypeOf(bytes) === Uint8Array.prototype;
}

test('X25519: node:crypto, @noble/curves, libsodium', () => {
  for (let i = 0; i < full(30, 1000); i++) {
    const [a, b] = [random(32), random(32)];
    const pairs = [first.x25519, nobleX25519, sodiumX25519].map(x25519 => x25519.fromPrivate(a));
    assert.equal(pairs[1], pairs[0]);
    assert.equal(pairs[2], pairs[0]);
    // An arbitrary string is as good a public key as any: on the curve or on its twist, high bit set or not.
    const shared = [first.x25519, nobleX25519, sodiumX25519].map(x25519 => x25519.dh(a, b));
    assert.equal(shared[1], shared[0]);
    assert.equal(shared[2], shared[0]);
    assert.ok(isPlain(shared[0]!) && isPlain(pairs[0]!.publicKey));
    // The pair is its own: what becomes of the bytes that it was made of does not matter to it.
    a.fill(0);
    for (const x25519 of [first.x25519, nobleX25519, sodiumX25519])
      assert.equal(x25519.dh(pairs[0]!.privateKey, b), shared[0]);
  }
});

test('X25519 refuses what gives an all-zero result, and keys of other lengths', () => {
  const zero = new Uint8Array(32);
  const one = Uint8Array.from({ length: 32 }, (_, i) => (i === 0 ? 1 : 0));
  for (const x25519 of [first.x25519, nobleX25519, sodiumX25519]) {
    for (const point of [zero, one]) assert.throws(() => x25519.dh(random(32), point), isCryptoError);
    assert.throws(() => x25519.dh(random(31), random(32)), isCryptoError);
    assert.throws(() => x25519.dh(random(32), random(33)), isCryptoError);
    assert.throws(() => x25519.fromPrivate(random(0)), isCryptoError);
  }
});

test('X25519 key pairs do not share memory with what they were made from', () => {
  for (const x25519 of [first.x25519, nobleX25519, sodiumX25519]) {
    const secret = random(32);
    const pair = x25519.fromPrivate(secret);
    const { publicKey } = x25519.fromPrivate(pair.privateKey);
    secret.fill(0);
    assert.equal(x25519.fromPrivate(pair.privateKey).publicKey, publicKey);
  }
});

const AROUND_THE_CROSSOVER = Object.values(CHACHA_CROSSOVER_BYTES).flatMap(size =>
  [-17, -16, -15, -1, 0, 1, 15, 16, 17].map(d => size + d),
);
const SIZES = [0, 1, 15, 16, 17, 31, 32, 63, 64, 65, 255, 1024, ...AROUND_THE_CROSSOVER, 4096, 16384, 65519];

const IMPLEMENTATIONS: Readonly<Record<AeadName, readonly Aead[]>> = {
  ChaChaPoly: [aeads.ChaChaPoly, nodeAead('ChaChaPoly'), sodiumChaChaPoly, secondAeads.ChaChaPoly],
  AESGCM: [aeads.AESGCM, secondAeads.AESGCM],
};

for (const name of ['ChaChaPoly', 'AESGCM'] as const) {
  test(`${name}: seal and open at every size`, () => {
    for (const size of [...SIZES, ...Array.from({ length: full(20, 500) }, () => pick(random, 9000))]) {
      const [key, nonce, ad, plaintext] = [random(32), random(12), random(pick(random, 3) * 20), random(size)];
      const keys = IMPLEMENTATIONS[name].map(aead => aead.key(key));
      const sealed = keys.map(k => k.seal(nonce, ad, plaintext));
      for (const [i, k] of keys.entries()) {
        assert.equal(sealed[i], sealed[0], `seal of ${size} bytes`);
        assert.equal(k.open(nonce, ad, sealed[0]!), plaintext, `open of ${size} bytes`);
        assert.ok(isPlain(sealed[i]!) && isPlain(k.open(nonce, ad, sealed[0]!)));
      }
    }
  });
}

const LENGTHS: Readonly<Record<HashName, number>> = { SHA256: 32, SHA512: 64, BLAKE2s: 32, BLAKE2b: 64 };

for (const name of Object.keys(LENGTHS) as HashName[]) {
  test(`${name} and HMAC over it`, () => {
    const [one, two] = [first.hash[name], second.hash[name]];
    const forms = [asBytes, asKeyObject].map(form => hashesOfNode(form)[name]);
    assert.is(one.length, LENGTHS[name]);
    assert.is(one.blockLength, 2 * one.length);
    assert.equal([two.name, two.length, two.blockLength], [one.name, one.length, one.blockLength]);
    for (let i = 0; i < 300; i++) {
      const [key, data] = [random(pick(random, 200)), random(i)];
      const cut = pick(random, i + 1);
      const parts = [data.subarray(0, cut), data.subarray(cut)];
      assert.equal(one.hash(...parts), two.hash(data));
      for (const hash of [one, ...forms]) assert.equal(hash.hmac(key, ...parts), two.hmac(key, data));
      assert.ok(isPlain(one.hash(data)) && isPlain(one.hmac(key, data)));
    }
    assert.equal(one.hash(), two.hash(concat()));
    for (const hash of [one, ...forms]) assert.equal(hash.hmac(EMPTY, EMPTY), two.hmac(EMPTY, EMPTY));
  });
}

test('ML-KEM-768: keys, ciphertexts and secrets are the same from the same randomness', () => {
  for (let i = 0; i < full(10, 300); i++) {
    const [seed, message] = [random(64), random(32)];
    const pair = first.mlkem768.generate(seed);
    assert.equal(second.mlkem768.generate(seed), pair);
    const sent = first.mlkem768.encapsulate(pair.publicKey, message);
    assert.equal(second.mlkem768.encapsulate(pair.publicKey, message), sent);
    assert.equal(first.mlkem768.decapsulate(pair.privateKey, sent.ciphertext), sent.secret);
    assert.equal(second.mlkem768.decapsulate(pair.privateKey, sent.ciphertext), sent.secret);
    // implicit rejection gives both the same unrelated secret
    sent.ciphertext[pick(random, sent.ciphertext.length)]! ^= 1;
    const rejected = first.mlkem768.decapsulate(pair.privateKey, sent.ciphertext);
    assert.equal(second.mlkem768.decapsulate(pair.privateKey, sent.ciphertext), rejected);
    assert.is.not(Buffer.compare(rejected, sent.secret), 0);
  }
});

test('Ed25519: keys and signatures', () => {
  for (let i = 0; i < full(10, 300); i++) {
    const [seed, message] = [random(32), random(pick(random, 500))];
    const pair = first.ed25519.fromSeed(seed);
    assert.equal(second.ed25519.fromSeed(seed), pair);
    const signature = first.ed25519.sign(seed, message);
    assert.equal(second.ed25519.sign(seed, message), signature);
    assert.ok(isPlain(signature));
  }
});

test('primitives bring their own randomness by default', async () => {
  const { random: fresh } = await loadPrimitives();
  assert.is(fresh(48).length, 48);
  assert.is.not(Buffer.compare(fresh(32), fresh(32)), 0);
  assert.ok(isPlain(fresh(1)));
});

test.run();
