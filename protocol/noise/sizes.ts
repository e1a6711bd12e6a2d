/** How long handshake messages are, so that they can be read into buffers of exactly that size. */
import { KEY_LENGTH, MLKEM, TAG_LENGTH } from '../crypto/lengths.js';
import type { NoiseName } from './name.js';

/** §3: no Noise message is longer, keys and tags included. */
export const MAX_MESSAGE_LENGTH = 65535;

/**
 * @returns for each handshake message its length in bytes without payload: public keys, KEM data, and the tags of both
 * these and the payload
 */
export function messageOverheads(name: NoiseName): readonly number[] {
  let tag = 0;
  return name.pattern.messages.map(tokens => {
    let length = 0;
    for (const token of tokens) {
      if (token === 'e') length += KEY_LENGTH;
      else if (token === 's') length += KEY_LENGTH + tag;
      else if (token === 'e1') length += MLKEM.publicKey + tag;
      else if (token === 'ekem1') length += MLKEM.ciphertext + tag;
      // Every other token mixes a key, as does `e` itself beside a psk: from there on things are encrypted.
      if (token !== 's' && token !== 'e1' && (token !== 'e' || name.usesPsk)) tag = TAG_LENGTH;
    }
    return length + tag;
  });
}
