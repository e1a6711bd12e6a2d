/** Puts the primitives together: the one place that says which implementation does what. */
import type { Random } from '../clock.js';
import { aeads } from './aead.js';
import { nodeEd25519, nodeHashes, nodeRandom, nodeX25519 } from './node.js';
import type { Primitives } from './primitives.js';
import { isValidPublicKey, sodiumMlKem768, sodiumReady, sodiumXChaChaPoly } from './sodium.js';

/**
 * @param random where all fresh bytes come from; node:crypto's by default
 * @returns primitives ready for use, once libsodium's WebAssembly is compiled
 */
export async function loadPrimitives(random: Random = nodeRandom): Promise<Primitives> {
  await sodiumReady();
  return {
    x25519: nodeX25519,
    aead: aeads,
    xchachaPoly: sodiumXChaChaPoly,
    hash: nodeHashes,
    mlkem768: sodiumMlKem768,
    ed25519: { ...nodeEd25519, isValidPublicKey },
    random,
  };
}
