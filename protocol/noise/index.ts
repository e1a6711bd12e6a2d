/** The public door of the Noise engine. */
export { CipherState, RESERVED_NONCE } from './cipher-state.js';
export { HandshakeState } from './handshake-state.js';
export type { HandshakeOptions, HandshakeResult, Role } from './handshake-state.js';
export { parseName } from './name.js';
export type { NoiseName } from './name.js';
export { PATTERN_NAMES } from './patterns.js';
export type { HandshakePattern, PatternName, Token } from './patterns.js';
export { requirements } from './requirements.js';
export type { Requirements } from './requirements.js';
export { MAX_MESSAGE_LENGTH, messageOverheads } from './sizes.js';
export { hkdf } from './symmetric-state.js';
export { readTransport, writeTransport } from './transport.js';
