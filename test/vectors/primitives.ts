/** Runs the primitives' vectors: Wycheproof X25519 and ChaCha20-Poly1305, NIST ACVP ML-KEM-768. */
import { concat, equal, fromHex } from '../../protocol/bytes.js';
import { MLKEM } from '../../protocol/crypto/lengths.js';
import type { Aead, MlKem768, X25519 } from '../../protocol/crypto/primitives.js';
import { WarrenError } from '../../protocol/errors.js';
import { runCases } from './outcome.js';
import type { Outcome } from './outcome.js';

interface WycheproofFile<T> {
  readonly testGroups: readonly { readonly tests: readonly T[] }[];
}

interface XdhCase {
  readonly tcId: number;
  readonly comment: string;
  readonly flags: readonly string[];
  readonly public: string;
  readonly private: string;
  readonly shared: string;
}

/** Cases with an all-zero result are to be refused (RFC 7748 §6.1), all others must give the shared secret. */
export function runX25519(file: WycheproofFile<XdhCase>, x25519: X25519): Outcome {
  return runCases(allCases(file), labelOf, test => {
    const dh = (): Uint8Array => x25519.dh(fromHex(test.private), fromHex(test.public));
    if (test.flags.includes('ZeroSharedSecret')) refused(dh);
    else same('the shared secret', dh(), test.shared);
  });
}

interface AeadCase {
  readonly tcId: number;
  readonly comment: string;
  readonly key: string;
  readonly iv: string;
  readonly aad: string;
  readonly msg: string;
  readonly ct: string;
  readonly tag: string;
  readonly result: string;
}

export function runAead(file: WycheproofFile<AeadCase>, aead: Aead): Outcome {
  return runCases(allCases(file), labelOf, test => {
    const key = aead.key(fromHex(test.key));
    const [nonce, ad, plaintext] = [fromHex(test.iv), fromHex(test.aad), fromHex(test.msg)];
    const ciphertext = concat(fromHex(test.ct), fromHex(test.tag));
    if (test.result !== 'valid') {
      refused(() => key.open(nonce, ad, ciphertext));
      return;
    }
    same('the ciphertext', key.seal(nonce, ad, plaintext), test.ct + test.tag);
    same('the plaintext', key.open(nonce, ad, ciphertext), test.msg);
  });
}

interface KemCase {
  readonly tcId: number;
  readonly ek: string;
  readonly dk: string;
  readonly c: string;
  readonly k: string;
  readonly m: string;
  readonly testPassed: boolean;
}

interface KemFile {
  readonly testGroups: readonly { readonly function: string; readonly tests: readonly KemCase[] }[];
}

export function runMlKem768(file: KemFile, kem: MlKem768): Outcome {
  const cases = file.testGroups.flatMap(group => group.tests.map(test => ({ ...test, function: group.function })));
  const label = (test: KemCase & { function: string }): string => `${test.function} ${test.tcId}`;
  return runCases(cases, label, test => checkKem(test.function, test, kem));
}

function checkKem(name: string, test: KemCase, kem: MlKem768): void {
  if (name === 'encapsulation') {
    const { ciphertext, secret } = kem.encapsulate(fromHex(test.ek), fromHex(test.m));
    same('the ciphertext', ciphertext, test.c);
    same('the secret', secret, test.k);
  } else if (name === 'decapsulation') {
    same('the secret', kem.decapsulate(fromHex(test.dk), fromHex(test.c)), test.k);
  } else if (name === 'decapsulationKeyCheck') {
    passes(test.testPassed, () => kem.decapsulate(fromHex(test.dk), new Uint8Array(MLKEM.ciphertext)));
  } else if (name === 'encapsulationKeyCheck') {
    passes(test.testPassed, () => kem.encapsulate(fromHex(test.ek), new Uint8Array(MLKEM.message)));
  } else throw new Error('an unknown function');
}

function allCases<T>(file: WycheproofFile<T>): readonly T[] {
  return file.testGroups.flatMap(group => group.tests);
}

function labelOf(test: { readonly tcId: number; readonly comment: string }): string {
  return `case ${test.tcId} (${test.comment})`;
}

function same(what: string, actual: Uint8Array, expected: string): void {
  if (!equal(actual, fromHex(expected))) throw new Error(`${what} differs`);
}

function passes(should: boolean, step: () => unknown): void {
  if (should) step();
  else refused(step);
}

function refused(step: () => unknown): void {
  try {
    step();
  } catch (error) {
    if (error instanceof WarrenError && error.code === 'crypto') return;
    throw error;
  }
  throw new Error('accepted, but it is to be refused');
}
