/** Which keys a handshake must be given, for each role. */
import { KEY_LENGTH } from '../crypto/lengths.js';
import { WarrenError } from '../errors.js';
import type { HandshakeOptions, Role } from './handshake-state.js';
import type { NoiseName } from './name.js';

/** What the pattern asks for before the first message. */
export interface Requirements {
  readonly s: boolean;
  readonly rs: boolean;
  /** Only fallback patterns: the ephemeral keys that were exchanged before. */
  readonly e: boolean;
  readonly re: boolean;
  readonly psks: number;
}

export function requirements(name: NoiseName, role: Role): Requirements {
  const { initiatorPre, responderPre, messages } = name.pattern;
  const [own, peer] = role === 'initiator' ? [initiatorPre, responderPre] : [responderPre, initiatorPre];
  const sent = messages.filter((_, i) => (i % 2 === 0) === (role === 'initiator')).flat();
  return {
    s: own.includes('s') || sent.includes('s'),
    rs: peer.includes('s'),
    e: own.includes('e'),
    re: peer.includes('e'),
    psks: messages.flat().filter(token => token === 'psk').length,
  };
}

/** @throws WarrenError `internal` when a key is missing, has a wrong length, or is given but would be ignored */
export function requireKeys(name: NoiseName, options: HandshakeOptions): void {
  const needed = requirements(name, options.role);
  const refuse = (what: string): never => {
    throw new WarrenError('internal', `${name.text} as ${options.role}: ${what}`);
  };
  const { s, rs, e, re, psks = [] } = options;
  if (needed.s && s === undefined) refuse('no static key pair');
  if (needed.e && e === undefined) refuse('no ephemeral key pair');
  // A key that would be ignored is refused too: its giver believes that the peer is bound to it.
  if (needed.rs !== (rs !== undefined)) refuse(needed.rs ? 'no remote static key' : 'a remote static key too many');
  if (needed.re !== (re !== undefined))
    refuse(needed.re ? 'no remote ephemeral key' : 'a remote ephemeral key too many');
  if (psks.length !== needed.psks) refuse(`${psks.length} PSKs instead of ${needed.psks}`);
  const keys = [s?.publicKey, s?.privateKey, rs, e?.publicKey, e?.privateKey, re, ...psks];
  if (keys.some(key => key !== undefined && key.length !== KEY_LENGTH))
    refuse(`a key that has not ${KEY_LENGTH} bytes`);
}
