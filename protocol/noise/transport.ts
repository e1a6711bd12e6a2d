/** Noise transport messages (revision 34, §3): no associated data, at most 65,535 bytes. warren's own record layer has other limits. */
import { EMPTY } from '../bytes.js';
import { TAG_LENGTH } from '../crypto/lengths.js';
import { WarrenError } from '../errors.js';
import type { CipherState } from './cipher-state.js';
import { MAX_MESSAGE_LENGTH } from './sizes.js';

/** @throws WarrenError `limit` for more than 65,519 bytes, or when the nonces are used up */
export function writeTransport(cipher: CipherState, payload: Uint8Array): Uint8Array {
  if (payload.length + TAG_LENGTH > MAX_MESSAGE_LENGTH) {
    throw new WarrenError('limit', `a Noise message would be longer than ${MAX_MESSAGE_LENGTH} bytes`);
  }
  return cipher.encryptWithAd(EMPTY, payload);
}

/** @throws WarrenError `malformed` for an impossible length, `crypto` for a wrong tag: the session must end */
export function readTransport(cipher: CipherState, message: Uint8Array): Uint8Array {
  if (message.length > MAX_MESSAGE_LENGTH || message.length < TAG_LENGTH) {
    throw new WarrenError('malformed', 'a Noise message of an impossible length', { wire: 'protocol' });
  }
  return cipher.decryptWithAd(EMPTY, message);
}
