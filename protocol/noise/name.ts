/** Protocol names (revision 34, §8): `Noise_XXhfs+psk0_25519+MLKEM768_ChaChaPoly_SHA256`. */
import type { AeadName, HashName } from '../crypto/primitives.js';
import { malformed } from '../errors.js';
import { isPatternName, modifiedPattern } from './patterns.js';
import type { HandshakePattern } from './patterns.js';

export interface NoiseName {
  /** The whole name, as it is hashed. */
  readonly text: string;
  readonly pattern: HandshakePattern;
  readonly cipher: AeadName;
  readonly hash: HashName;
  /** A psk token stands somewhere in the pattern (§9.2 changes the meaning of `e` then). */
  readonly usesPsk: boolean;
}

/** §8: a name has at most 255 bytes. */
const MAX_NAME_LENGTH = 255;
const CIPHERS: readonly AeadName[] = ['ChaChaPoly', 'AESGCM'];
const HASHES: readonly HashName[] = ['SHA256', 'SHA512', 'BLAKE2s', 'BLAKE2b'];

/** @throws WarrenError `malformed` for a name that this engine cannot run, saying which part */
export function parseName(text: string): NoiseName {
  if (text.length > MAX_NAME_LENGTH) throw malformed('Noise name', `longer than ${MAX_NAME_LENGTH} bytes`);
  const parts = text.split('_');
  if (parts.length !== 5 || parts[0] !== 'Noise')
    throw malformed('Noise name', 'not five parts, the first one "Noise"');
  const [, handshake, dh, cipherName, hashName] = parts;
  const { base, modifiers } = parseHandshake(handshake!);
  const wantedDh = modifiers.includes('hfs') ? '25519+MLKEM768' : '25519';
  if (dh !== wantedDh) throw malformed('Noise name', `its key agreement must be ${wantedDh}`);
  const cipher = CIPHERS.find(name => name === cipherName);
  const hash = HASHES.find(name => name === hashName);
  if (cipher === undefined) throw malformed('Noise name', 'an unknown cipher');
  if (hash === undefined) throw malformed('Noise name', 'an unknown hash');
  if (!isPatternName(base)) throw malformed('Noise name', 'an unknown pattern');
  const pattern = modifiedPattern(base, modifiers);
  return { text, pattern, cipher, hash, usesPsk: pattern.messages.some(tokens => tokens.includes('psk')) };
}

/** `XXhfs+psk0` is a pattern in capitals and digits, then modifiers joined by `+`. */
function parseHandshake(text: string): { base: string; modifiers: readonly string[] } {
  const match = /^([A-Z][A-Z0-9]*)([a-z].*)?$/.exec(text);
  if (match === null) throw malformed('Noise name', 'an unknown pattern');
  const modifiers = match[2]?.split('+') ?? [];
  requireOrder(modifiers[0] === 'fallback' ? modifiers.slice(1) : modifiers);
  return { base: match[1]!, modifiers };
}

/** §8.1: modifiers whose order does not matter are sorted; only fallback's does matter, it comes first. */
function requireOrder(modifiers: readonly string[]): void {
  for (let i = 1; i < modifiers.length; i++) {
    if (modifiers[i - 1]! >= modifiers[i]!)
      throw malformed('Noise name', 'its modifiers are not in alphabetical order');
  }
  if (modifiers.includes('fallback')) throw malformed('Noise name', 'fallback must be the first modifier');
}
