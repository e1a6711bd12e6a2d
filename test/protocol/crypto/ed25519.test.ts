/**
 * Ed25519 has one verdict for all peers (cofactorless, S < L, A and R canonical and not of small order). The crafted
 * cases here are those on which implementations in the wild disagree; the rule written out in test/helpers/second.ts
 * is the judge of the verdict, and each case also says what it is to be.
 */
import { ed25519 as curve } from '@noble/curves/ed25519.js';
import { concat, utf8 } from '../../../protocol/bytes.js';
import { loadPrimitives } from '../../../protocol/crypto/load.js';
import { seededRandom, pick } from '../../helpers/random.js';
import { challenge, fromLittleEndian, secondEd25519, toLittleEndian } from '../../helpers/second.js';
import { assert, full, suite } from '../../helpers/suite.js';

const test = suite('ed25519: one verdict');
const random = seededRandom('ed25519');
const { ed25519 } = await loadPrimitives();
const { Point } = curve;
type Point = typeof Point.BASE;
const L = Point.Fn.ORDER;
const P = Point.Fp.ORDER;

/** An element of order 8: L times a point outside the prime-order subgroup. */
function torsionPoint(): Point {
  for (let y = 2n; ; y++) {
    try {
      const candidate = Point.fromBytes(toLittleEndian(y), true);
      const torsion = candidate.multiplyUnsafe(L - 1n).add(candidate);
      if (!torsion.multiplyUnsafe(4n).is0()) return torsion;
    } catch {
      // not on the curve
    }
  }
}

const T8 = torsionPoint();
const TORSION = Array.from({ length: 8 }, (_, i) => T8.multiplyUnsafe(BigInt(i)));

/** Every encoding of a small-order point, canonical or not: y and y + p where that fits, both signs. */
const SMALL_ORDER_ENCODINGS = [...new Set(TORSION.map(point => point.toAffine().y))].flatMap(y =>
  [y, y + P].filter(n => n < 1n << 255n).flatMap(n => [n, n + (1n << 255n)].map(m => toLittleEndian(m))),
);

function verdict(a: Uint8Array, message: Uint8Array, signature: Uint8Array): boolean {
  const answer = ed25519.verify(a, message, signature);
  assert.is(answer, secondEd25519.verify(a, message, signature), 'the two implementations differ');
  return answer;
}

function isKey(a: Uint8Array): boolean {
  const answer = ed25519.isValidPublicKey(a);
  assert.is(answer, secondEd25519.isValidPublicKey(a), 'the two implementations differ');
  return answer;
}

function scalar(): bigint {
  return (fromLittleEndian(random(40)) % (L - 1n)) + 1n;
}

interface Signed {
  readonly a: Uint8Array;
  readonly message: Uint8Array;
  readonly signature: Uint8Array;
  /** k mod 8: which torsion survives multiplication by the challenge */
  readonly k: bigint;
}

/** A signature made by hand, so that A and R may carry torsion: A = aB + tA, R = rB + tR, S = r + ka. */
function craft(tA: Point, tR: Point): Signed {
  const [secret, nonce, message] = [scalar(), scalar(), random(32)];
  const a = Point.BASE.multiply(secret).add(tA).toBytes();
  const r = Point.BASE.multiply(nonce).add(tR).toBytes();
  const k = challenge(r, a, message);
  return { a, message, signature: concat(r, toLittleEndian((nonce + k * secret) % L)), k: k % 8n };
}

test('honest signatures are valid; any flipped bit makes them invalid', () => {
  for (let i = 0; i < full(8, 200); i++) {
    const pair = ed25519.fromSeed(random(32));
    const message = random(pick(random, 100) + 1);
    const signature = ed25519.sign(pair.privateKey, message);
    assert.ok(verdict(pair.publicKey, message, signature));
    for (const target of [pair.publicKey, message, signature]) {
      const at = pick(random, target.length);
      target[at]! ^= 1 << pick(random, 8);
      assert.not(verdict(pair.publicKey, message, signature));
    }
  }
});

test('S and S + L are not the same: S must be below L', () => {
  const pair = ed25519.fromSeed(random(32));
  const message = utf8('malleable');
  const signature = ed25519.sign(pair.privateKey, message);
  const s = fromLittleEndian(signature.subarray(32));
  for (let n = s + L; n < 1n << 256n; n += L) {
    assert.not(verdict(pair.publicKey, message, concat(signature.subarray(0, 32), toLittleEndian(n))));
  }
  for (const n of [L, L + 1n, (1n << 253n) - 1n, (1n << 256n) - 1n]) {
    assert.not(verdict(pair.publicKey, message, concat(signature.subarray(0, 32), toLittleEndian(n))));
  }
});

test('the eight points of small order have 14 encodings', () => {
  assert.is(new Set(TORSION.map(point => point.toHex())).size, 8);
  assert.is(new Set(SMALL_ORDER_ENCODINGS.map(String)).size, 14);
});

test('a public key of small order is refused in every encoding, also where the equation holds', () => {
  for (const a of SMALL_ORDER_ENCODINGS) {
    assert.not(isKey(a));
    // With A of small order, S = r and R = rB satisfy the equation whenever k kills the torsion: for any message.
    for (let i = 0; i < full(8, 64); i++) {
      const [nonce, message] = [scalar(), random(16)];
      const signature = concat(Point.BASE.multiply(nonce).toBytes(), toLittleEndian(nonce));
      assert.not(verdict(a, message, signature));
    }
  }
});

test('an R of small order is refused in every encoding, also where the equation holds', () => {
  for (const r of SMALL_ORDER_ENCODINGS) {
    const [secret, message] = [scalar(), random(16)];
    const a = Point.BASE.multiply(secret).toBytes();
    const s = (challenge(r, a, message) * secret) % L;
    assert.not(verdict(a, message, concat(r, toLittleEndian(s))));
  }
});

test('S = 0 with A and R the identity is refused', () => {
  const identity = toLittleEndian(1n);
  assert.not(verdict(identity, utf8('anything'), concat(identity, new Uint8Array(32))));
});

test('y of p and above is refused, in A and in R', () => {
  const pair = ed25519.fromSeed(random(32));
  const signature = ed25519.sign(pair.privateKey, utf8('m'));
  for (let n = P; n < 1n << 255n; n++) {
    for (const sign of [0n, 1n << 255n]) {
      const encoding = toLittleEndian(n + sign);
      assert.not(isKey(encoding));
      assert.not(verdict(encoding, utf8('m'), signature));
      assert.not(verdict(pair.publicKey, utf8('m'), concat(encoding, signature.subarray(32))));
    }
  }
});

test('a non-canonical A or R is refused where lax verifiers find the equation to hold', () => {
  // y + p for the few y < 19: all points with such a y that are not of small order.
  for (let y = 2n; y < 19n; y++) {
    let point: Point;
    try {
      point = Point.fromBytes(toLittleEndian(y + P), true);
    } catch {
      continue;
    }
    assert.not(point.isSmallOrder());
    const encoding = toLittleEndian(y + P);
    assert.not(isKey(encoding));
    const [secret, message] = [scalar(), random(8)];
    const a = Point.BASE.multiply(secret).toBytes();
    const s = (challenge(encoding, a, message) * secret) % L;
    assert.not(verdict(a, message, concat(encoding, toLittleEndian(s))));
    assert.not(verdict(encoding, message, concat(a, toLittleEndian(s))));
  }
});

test('a mixed-order A is no key for a statement', () => {
  for (const torsion of TORSION.slice(1)) {
    const { a } = craft(torsion, Point.ZERO);
    assert.not(isKey(a));
  }
  const { a } = craft(Point.ZERO, Point.ZERO);
  assert.ok(isKey(a));
});

test('random bytes are a key, or none, for both implementations', () => {
  let keys = 0;
  // One in sixteen is one, so sixty have none now and then; of a thousand, hardly ever.
  for (let i = 0; i < full(60, 2000) || (keys === 0 && i < 1000); i++) {
    const bytes = random(32);
    bytes[31]! &= 0x7f;
    if (isKey(bytes)) keys++;
  }
  assert.ok(keys > 0, 'none of a thousand is one');
});

test('a mixed-order A verifies exactly when the challenge kills its torsion: cofactorless', () => {
  const seen = { valid: 0, invalid: 0 };
  for (let i = 0; i < full(40, 800); i++) {
    const tA = TORSION[1 + (i % 7)]!;
    const { a, message, signature, k } = craft(tA, Point.ZERO);
    const expected = tA.multiplyUnsafe(k).is0();
    assert.is(verdict(a, message, signature), expected);
    seen[expected ? 'valid' : 'invalid']++;
    // A cofactored verifier takes all of them: this is the very case on which the two kinds part.
    assert.ok(curve.verify(signature, message, a, { zip215: true }));
  }
  assert.ok(seen.valid > 0 && seen.invalid > 0);
});

test('a mixed-order R never verifies with an honest A', () => {
  for (const torsion of TORSION.slice(1)) {
    const { a, message, signature } = craft(Point.ZERO, torsion);
    assert.not(verdict(a, message, signature));
    assert.ok(curve.verify(signature, message, a, { zip215: true }));
  }
});

test('torsion in A and R that cancels gives one verdict', () => {
  for (let i = 0; i < full(24, 400); i++) {
    const [tA, tR] = [TORSION[pick(random, 8)]!, TORSION[pick(random, 8)]!];
    const { a, message, signature, k } = craft(tA, tR);
    // [S]B - [k]A = R  ⇔  -[k]tA = tR
    assert.is(verdict(a, message, signature), tA.multiplyUnsafe(k).add(tR).is0());
  }
});

test('wrong lengths and garbage are false, never an exception', () => {
  const pair = ed25519.fromSeed(random(32));
  const signature = ed25519.sign(pair.privateKey, utf8('m'));
  for (const n of [0, 31, 33, 64]) assert.not(verdict(random(n), utf8('m'), signature));
  for (const n of [0, 63, 65]) assert.not(verdict(pair.publicKey, utf8('m'), random(n)));
  for (const n of [0, 31, 33]) assert.not(isKey(random(n)));
  for (let i = 0; i < full(100, 2000); i++) assert.not(verdict(random(32), random(5), random(64)));
});

test.run();
