/** ML-KEM-768: the checks of FIPS 203 §7.2 and §7.3. */
import { MLKEM } from '../../../protocol/crypto/lengths.js';
import type { MlKem768 } from '../../../protocol/crypto/primitives.js';
import { sodiumMlKem768, sodiumReady } from '../../../protocol/crypto/sodium.js';
import { WarrenError } from '../../../protocol/errors.js';
import { seededRandom } from '../../helpers/random.js';
import { secondMlKem768 } from '../../helpers/second.js';
import { assert, full, suite } from '../../helpers/suite.js';

const test = suite('ml-kem-768');
const random = seededRandom('mlkem');
const isCryptoError = (error: unknown): boolean => error instanceof WarrenError && error.code === 'crypto';
await sodiumReady();

const Q = 3329;
const COEFFICIENTS = 768;

/** Writes one 12-bit coefficient into an encapsulation key. */
function setCoefficient(key: Uint8Array, index: number, value: number): void {
  const at = Math.floor(index / 2) * 3;
  if (index % 2 === 0) {
    key[at] = value & 0xff;
    key[at + 1] = (key[at + 1]! & 0xf0) | (value >> 8);
  } else {
    key[at + 1] = (key[at + 1]! & 0x0f) | ((value & 0x0f) << 4);
    key[at + 2] = value >> 4;
  }
}

function checksModulus(kem: MlKem768, step: number): void {
  const { publicKey } = kem.generate(random(64));
  const message = random(32);
  for (let i = 0; i < COEFFICIENTS; i += step) {
    const key = publicKey.slice();
    for (const value of [Q, Q + 1, 4095]) {
      setCoefficient(key, i, value);
      assert.throws(() => kem.encapsulate(key, message), isCryptoError, `coefficient ${i} = ${value}`);
    }
    if (i % 64 === 0) {
      setCoefficient(key, i, Q - 1);
      kem.encapsulate(key, message);
    }
  }
}

test('§7.2: a coefficient of q or more, at each of the 768 places, is refused before encapsulation', () => {
  checksModulus(sodiumMlKem768, 1);
  checksModulus(secondMlKem768, full(97, 1));
});

test('§7.3: a decapsulation key whose H(ek) does not match is refused', () => {
  for (const kem of [sodiumMlKem768, secondMlKem768]) {
    const { publicKey, privateKey } = kem.generate(random(64));
    const { ciphertext } = kem.encapsulate(publicKey, random(32));
    for (const at of [1152, 1152 + 1183, 2336, 2367]) {
      const key = privateKey.slice();
      key[at]! ^= 0x10;
      assert.throws(() => kem.decapsulate(key, ciphertext), isCryptoError);
    }
    kem.decapsulate(privateKey, ciphertext);
  }
});

test('every input has exactly one length', () => {
  for (const kem of [sodiumMlKem768, secondMlKem768]) {
    const { publicKey, privateKey } = kem.generate(random(64));
    assert.is(publicKey.length, MLKEM.publicKey);
    assert.is(privateKey.length, MLKEM.privateKey);
    const { ciphertext, secret } = kem.encapsulate(publicKey, random(32));
    assert.is(ciphertext.length, MLKEM.ciphertext);
    assert.is(secret.length, MLKEM.secret);
    for (const d of [-1, 1]) {
      assert.throws(() => kem.generate(random(64 + d)), isCryptoError);
      assert.throws(() => kem.encapsulate(publicKey, random(32 + d)), isCryptoError);
      assert.throws(() => kem.encapsulate(random(MLKEM.publicKey + d), random(32)), isCryptoError);
      assert.throws(() => kem.decapsulate(privateKey, random(MLKEM.ciphertext + d)), isCryptoError);
      assert.throws(() => kem.decapsulate(random(MLKEM.privateKey + d), ciphertext), isCryptoError);
    }
  }
});

test.run();
