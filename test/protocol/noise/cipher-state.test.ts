/** CipherState: nonces, limits, rekeying. */
import { EMPTY, utf8 } from '../../../protocol/bytes.js';
import type { AeadName } from '../../../protocol/crypto/primitives.js';
import { CipherState, RESERVED_NONCE } from '../../../protocol/noise/index.js';
import { secondAeads } from '../../helpers/second.js';
import { assert, suite } from '../../helpers/suite.js';
import { fails, primitives, random } from './pair.js';

const test = suite('noise cipher state');
const CIPHERS: AeadName[] = ['ChaChaPoly', 'AESGCM'];
const PLAINTEXT = utf8('plaintext');

function state(name: AeadName, key = random(32)): { cipher: CipherState; key: Uint8Array } {
  return { cipher: new CipherState(primitives.aead[name], key), key };
}

/** The nonce written out once more: 4 zero bytes, n in 8 bytes. */
function nonce(name: AeadName, n: bigint): Uint8Array {
  const bytes = Buffer.alloc(12);
  if (name === 'ChaChaPoly') bytes.writeBigUInt64LE(n, 4);
  else bytes.writeBigUInt64BE(n, 4);
  return new Uint8Array(bytes);
}

const EDGES = [0n, 1n, 255n, 256n, 65535n, 65536n, (1n << 31n) - 1n, (1n << 32n) - 1n, 1n << 32n, (1n << 32n) + 1n];
const HIGH_EDGES = [(1n << 53n) - 1n, 1n << 53n, (1n << 53n) + 1n, (1n << 63n) - 1n, 1n << 63n, RESERVED_NONCE - 2n];

for (const name of CIPHERS) {
  test(`${name}: n is 64 bits wide, ${name === 'AESGCM' ? 'big' : 'little'}-endian (§12.3, §12.4)`, () => {
    const { cipher, key } = state(name);
    for (const n of [...EDGES, ...HIGH_EDGES]) {
      cipher.setNonce(n);
      for (const at of [n, n + 1n]) {
        assert.is(cipher.nonce, at);
        const expected = secondAeads[name].key(key).seal(nonce(name, at), utf8('ad'), PLAINTEXT);
        assert.equal(cipher.encryptWithAd(utf8('ad'), PLAINTEXT), expected, `n = ${at}`);
      }
    }
  });

  test(`${name}: n counts over 255, 2^32 and 2^53 without a repeat, both ways`, () => {
    for (const start of [254n, (1n << 32n) - 2n, (1n << 53n) - 2n]) {
      const { cipher, key } = state(name);
      const peer = state(name, key).cipher;
      cipher.setNonce(start);
      peer.setNonce(start);
      const seen = new Set<string>();
      for (let i = 0; i < 5; i++) {
        const sealed = cipher.encryptWithAd(EMPTY, PLAINTEXT);
        seen.add(String(sealed));
        assert.equal(peer.decryptWithAd(EMPTY, sealed), PLAINTEXT);
      }
      assert.is(seen.size, 5);
      assert.is(cipher.nonce, start + 5n);
    }
  });

  test(`${name}: 2^64 - 1 is reserved: the last message has n = 2^64 - 2, then every call is an error (§5.1)`, () => {
    const { cipher, key } = state(name);
    const peer = state(name, key).cipher;
    cipher.setNonce(RESERVED_NONCE - 1n);
    peer.setNonce(RESERVED_NONCE - 1n);
    const last = cipher.encryptWithAd(EMPTY, PLAINTEXT);
    assert.equal(peer.decryptWithAd(EMPTY, last), PLAINTEXT);
    for (let i = 0; i < 3; i++) {
      fails('limit', () => cipher.encryptWithAd(EMPTY, PLAINTEXT));
      fails('limit', () => peer.decryptWithAd(EMPTY, last));
      assert.is(cipher.nonce, RESERVED_NONCE);
    }
  });

  test(`${name}: a failed decryption does not move n (§5.1)`, () => {
    const { cipher, key } = state(name);
    const peer = state(name, key).cipher;
    const sealed = cipher.encryptWithAd(EMPTY, PLAINTEXT);
    const forged = sealed.slice();
    forged[3]! ^= 1;
    for (const bad of [forged, sealed.subarray(1), EMPTY, random(9000)]) {
      fails('crypto', () => peer.decryptWithAd(EMPTY, bad));
      fails('crypto', () => peer.decryptWithAd(utf8('other'), sealed));
      assert.is(peer.nonce, 0n);
    }
    assert.equal(peer.decryptWithAd(EMPTY, sealed), PLAINTEXT);
    assert.is(peer.nonce, 1n);
  });

  test(`${name}: Rekey is ENCRYPT(k, 2^64 - 1, "", zeros), cut to 32 bytes; n goes on (§4.2, §11.3)`, () => {
    const { cipher, key } = state(name);
    const peer = state(name, key).cipher;
    for (let i = 0; i < 3; i++) peer.decryptWithAd(EMPTY, cipher.encryptWithAd(EMPTY, PLAINTEXT));
    cipher.rekey();
    peer.rekey();
    assert.is(cipher.nonce, 3n);
    const old = secondAeads[name].key(key);
    const next = old.seal(nonce(name, RESERVED_NONCE), EMPTY, new Uint8Array(32)).subarray(0, 32);
    const sealed = cipher.encryptWithAd(EMPTY, PLAINTEXT);
    assert.equal(sealed, secondAeads[name].key(next).seal(nonce(name, 3n), EMPTY, PLAINTEXT));
    assert.equal(peer.decryptWithAd(EMPTY, sealed), PLAINTEXT);
  });

  test(`${name}: a side that did not rekey understands nothing`, () => {
    const { cipher, key } = state(name);
    const peer = state(name, key).cipher;
    cipher.rekey();
    fails('crypto', () => peer.decryptWithAd(EMPTY, cipher.encryptWithAd(EMPTY, PLAINTEXT)));
  });
}

test('InitializeKey sets n to 0 (§5.1)', () => {
  const { cipher } = state('AESGCM');
  cipher.setNonce(1n << 40n);
  cipher.initializeKey(random(32));
  assert.is(cipher.nonce, 0n);
});

test('without a key bytes pass unchanged and n stays', () => {
  const cipher = new CipherState(primitives.aead.AESGCM);
  assert.not(cipher.hasKey);
  assert.equal(cipher.encryptWithAd(utf8('ad'), PLAINTEXT), PLAINTEXT);
  assert.equal(cipher.decryptWithAd(utf8('ad'), PLAINTEXT), PLAINTEXT);
  assert.is(cipher.nonce, 0n);
  fails('internal', () => cipher.rekey());
});

test('the key is copied', () => {
  const { cipher, key } = state('ChaChaPoly');
  const peer = state('ChaChaPoly', key.slice()).cipher;
  key.fill(0);
  assert.equal(peer.decryptWithAd(EMPTY, cipher.encryptWithAd(EMPTY, PLAINTEXT)), PLAINTEXT);
});

test('after destroy nothing works, least of all as if there were no key', () => {
  const { cipher } = state('ChaChaPoly');
  cipher.destroy();
  fails('internal', () => cipher.encryptWithAd(EMPTY, PLAINTEXT));
  fails('internal', () => cipher.decryptWithAd(EMPTY, PLAINTEXT));
  fails('internal', () => cipher.rekey());
  fails('internal', () => cipher.initializeKey(random(32)));
  assert.not(cipher.hasKey);
});

test('nonces outside 64 bits are refused', () => {
  const { cipher } = state('ChaChaPoly');
  fails('internal', () => cipher.setNonce(-1n));
  fails('internal', () => cipher.setNonce(1n << 64n));
});

test.run();
