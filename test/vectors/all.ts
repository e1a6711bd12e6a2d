/** The vector files of this folder, each run on both implementations of its primitives. */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { aeads } from '../../protocol/crypto/aead.js';
import { loadPrimitives } from '../../protocol/crypto/load.js';
import { nobleX25519 } from '../../protocol/crypto/noble.js';
import { nodeAead, nodeX25519 } from '../../protocol/crypto/node.js';
import { sodiumChaChaPoly, sodiumMlKem768, sodiumX25519 } from '../../protocol/crypto/sodium.js';
import { packageRoot } from '../helpers/root.js';
import { secondAeads, secondMlKem768, secondPrimitives } from '../helpers/second.js';
import { runNoiseVectors } from './noise.js';
import type { Outcome } from './outcome.js';
import { runAead, runMlKem768, runX25519 } from './primitives.js';

export interface Run {
  readonly title: string;
  run(): Outcome;
}

// Files of this folder have the shape that the runners say; a vector that has not counts as failed there.
function load<T>(name: string): T {
  return JSON.parse(readFileSync(join(packageRoot(), 'test', 'vectors', name), 'utf8')) as T;
}

function vectorsOf(name: string): readonly unknown[] {
  return load<{ vectors: readonly unknown[] }>(name).vectors;
}

/** Noise files on the primitives that warren uses, and on the second ones. */
export async function noiseRuns(): Promise<Run[]> {
  const sets = { 'first primitives': await loadPrimitives(), 'second primitives': secondPrimitives() };
  return ['noise-cacophony-25519.json', 'noise-xxhfs-psk0.json'].flatMap(file =>
    Object.entries(sets).map(([title, primitives]) => ({
      title: `${file}, ${title}`,
      run: () => runNoiseVectors(vectorsOf(file), primitives),
    })),
  );
}

/** Call after `loadPrimitives`. */
export function primitiveRuns(): Run[] {
  const x25519 = { 'node:crypto': nodeX25519, '@noble/curves': nobleX25519, libsodium: sodiumX25519 };
  const chacha = {
    composed: aeads.ChaChaPoly,
    'node:crypto': nodeAead('ChaChaPoly'),
    libsodium: sodiumChaChaPoly,
    '@noble/ciphers': secondAeads.ChaChaPoly,
  };
  const kem = { libsodium: sodiumMlKem768, '@noble/post-quantum': secondMlKem768 };
  return [
    ...runsOf('x25519_test.json', x25519, runX25519),
    ...runsOf('chacha20_poly1305_test.json', chacha, runAead),
    ...runsOf('mlkem768-acvp-encapdecap.json', kem, runMlKem768),
  ];
}

function runsOf<F, T>(file: string, implementations: Record<string, T>, run: (file: F, impl: T) => Outcome): Run[] {
  return Object.entries(implementations).map(([name, implementation]) => ({
    title: `${file}, ${name}`,
    run: () => run(load<F>(file), implementation),
  }));
}
