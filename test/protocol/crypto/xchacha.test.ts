/** XChaCha20-Poly1305: the published vector, the second implementation, and what is refused. */
import { fromHex, toHex, utf8 } from '../../../protocol/bytes.js';
import { sodiumReady, sodiumXChaChaPoly as xchacha } from '../../../protocol/crypto/sodium.js';
import { WarrenError } from '../../../protocol/errors.js';
import { pick, seededRandom } from '../../helpers/random.js';
import { secondPrimitives } from '../../helpers/second.js';
import { assert, suite } from '../../helpers/suite.js';

const test = suite('XChaCha20-Poly1305');
const random = seededRandom('xchacha');
const isCryptoError = (error: unknown): boolean => error instanceof WarrenError && error.code === 'crypto';
test.before(sodiumReady);

/** draft-irtf-cfrg-xchacha-03, A.3.1 */
test('the vector of the draft', () => {
  const plaintext = utf8(
    "Ladies and Gentlemen of the class of '99: If I could offer you only one tip for the future, sunscreen would be it.",
  );
  const ad = fromHex('50515253c0c1c2c3c4c5c6c7');
  const key = Uint8Array.from({ length: 32 }, (_, i) => 0x80 + i);
  const nonce = Uint8Array.from({ length: 24 }, (_, i) => 0x40 + i);
  const sealed =
    'bd6d179d3e83d43b9576579493c0e939572a1700252bfaccbed2902c21396cbb731c7f1b0b4aa6440bf3a82f4eda7e39ae64c6708c54c216' +
    'cb96b72e1213b4522f8c9ba40db5d945b11b69b982c1bb9e3f3fac2bc369488f76b2383565d3fff921f9664c97637da9768812f615c68b13' +
    'b52ec0875924c1c7987947deafd8780acf49';
  assert.is(toHex(xchacha.seal(key, nonce, ad, plaintext)), sealed);
  assert.equal(xchacha.open(key, nonce, ad, fromHex(sealed)), plaintext);
});

test('both implementations agree', () => {
  const second = secondPrimitives().xchachaPoly;
  for (const size of [0, 1, 63, 64, 65, 1000, 70_000]) {
    const [key, nonce, ad, plaintext] = [random(32), random(24), random(pick(random, 40)), random(size)];
    const sealed = xchacha.seal(key, nonce, ad, plaintext);
    assert.equal(sealed, second.seal(key, nonce, ad, plaintext));
    assert.equal(second.open(key, nonce, ad, sealed), plaintext);
  }
});

test('any flipped bit, wrong key, nonce or data, missing byte, or wrong length is refused', () => {
  const [key, nonce, ad] = [random(32), random(24), random(20)];
  const sealed = xchacha.seal(key, nonce, ad, random(100));
  for (const at of sealed.keys()) {
    const forged = sealed.slice();
    forged[at]! ^= 1 << pick(random, 8);
    assert.throws(() => xchacha.open(key, nonce, ad, forged), isCryptoError);
  }
  assert.throws(() => xchacha.open(random(32), nonce, ad, sealed), isCryptoError);
  assert.throws(() => xchacha.open(key, random(24), ad, sealed), isCryptoError);
  assert.throws(() => xchacha.open(key, nonce, random(20), sealed), isCryptoError);
  for (let n = 0; n < 17; n++) assert.throws(() => xchacha.open(key, nonce, ad, sealed.subarray(0, n)), isCryptoError);
  for (const n of [0, 12, 23, 25]) assert.throws(() => xchacha.seal(key, random(n), ad, sealed), isCryptoError);
  for (const n of [0, 31, 33]) assert.throws(() => xchacha.seal(random(n), nonce, ad, sealed), isCryptoError);
});

test.run();
