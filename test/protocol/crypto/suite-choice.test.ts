/** The suite is chosen by what sealing costs; here the clock is moved by the ciphers themselves. */
import { loadPrimitives } from '../../../protocol/crypto/load.js';
import type { Aead, AeadName } from '../../../protocol/crypto/primitives.js';
import { chooseSuite } from '../../../protocol/crypto/suite-choice.js';
import { seededRandom } from '../../helpers/random.js';
import { assert, suite } from '../../helpers/suite.js';

const test = suite('suite choice');
const random = seededRandom('suite-choice');

/** µs that a record of that many bytes takes to seal; opening takes as long. */
type Price = (bytes: number) => number;

/** Ciphers that do nothing but move the clock. */
function priced(prices: Readonly<Record<AeadName, Price>>, hiccup: () => number = () => 0) {
  let now = 1000;
  let uses = 0;
  const aead = (name: AeadName): Aead => ({
    name,
    key: () => ({
      seal: (_nonce, _ad, plaintext) => pay(name, plaintext),
      open: (_nonce, _ad, ciphertext) => pay(name, ciphertext),
      destroy: () => undefined,
    }),
  });
  const pay = (name: AeadName, bytes: Uint8Array): Uint8Array => {
    uses++;
    now += (prices[name](bytes.length) + hiccup()) / 1000;
    return bytes;
  };
  const aeads = { AESGCM: aead('AESGCM'), ChaChaPoly: aead('ChaChaPoly') };
  return {
    choose: () => chooseSuite(aeads, random, { monotonic: () => now }),
    took: () => now - 1000,
    uses: () => uses,
  };
}

test('with AES instructions AES-256-GCM wins by its large records', () => {
  const { choose } = priced({ AESGCM: n => 4 + n / 2500, ChaChaPoly: n => 2 + n / 1000 });
  const choice = choose();
  assert.is(choice.suite, 'AESGCM');
  const { AESGCM, ChaChaPoly } = choice.microseconds;
  assert.ok(Math.abs(ChaChaPoly - 2 * (2 + 16.384)) < 0.01, String(ChaChaPoly));
  assert.ok(Math.abs(AESGCM - 2 * (4 + 6.5536)) < 0.01, String(AESGCM));
});

test('without them ChaCha20-Poly1305 does', () => {
  assert.is(priced({ AESGCM: n => 4 + n / 150, ChaChaPoly: n => 2 + n / 600 }).choose().suite, 'ChaChaPoly');
});

test('calls that cost less decide nothing, nor does a hair', () => {
  const even: Price = n => 4 + n / 2000;
  assert.is(priced({ AESGCM: even, ChaChaPoly: n => 1 + n / 2000 }).choose().suite, 'AESGCM');
  assert.is(priced({ AESGCM: even, ChaChaPoly: n => 0.97 * even(n) }).choose().suite, 'AESGCM');
});

test('a machine that is disturbed now and then gives the same choice', () => {
  const prices = { AESGCM: (n: number) => 4 + n / 2500, ChaChaPoly: (n: number) => 2 + n / 1000 };
  for (let i = 0; i < 50; i++) {
    const hiccup = (): number => (random(1)[0]! === 0 ? 500 : 0);
    assert.is(priced(prices, hiccup).choose().suite, 'AESGCM');
  }
});

test('it takes a few milliseconds, three rounds on the slowest machine, and an end with a clock that stands', () => {
  const quick = priced({ AESGCM: () => 100, ChaChaPoly: () => 100 });
  quick.choose();
  assert.ok(quick.took() >= 5 && quick.took() < 6, `${quick.took()} ms`);
  const slow = priced({ AESGCM: () => 10_000, ChaChaPoly: () => 10_000 });
  slow.choose();
  assert.is(slow.uses(), 3 * 2 * 2);
  assert.is(priced({ AESGCM: () => 0, ChaChaPoly: () => 0 }).choose().suite, 'AESGCM');
});

test('the real ciphers are measured without harm', async () => {
  const { aead, random: fresh } = await loadPrimitives();
  const { suite: chosen, microseconds } = chooseSuite(aead, fresh, { monotonic: () => performance.now() });
  assert.ok(chosen === 'AESGCM' || chosen === 'ChaChaPoly');
  for (const each of Object.values(microseconds)) assert.ok(each > 0);
});

test.run();
