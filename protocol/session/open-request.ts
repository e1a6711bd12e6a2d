/** What the opener of a stream wants, as it goes on the wire. */
import { WarrenError } from '../errors.js';
import { encodeAsked } from '../link/frame.js';
import type { OpenRequest } from './types.js';

const NO_METADATA: ReadonlyMap<string, string> = new Map();

/**
 * The part of an OPEN that says what is wanted.
 * @throws WarrenError `bad-value` when it does not fit
 */
export function encodeRequest({ service, instance = '', metadata = NO_METADATA }: OpenRequest): Uint8Array {
  if (service.length === 0) throw new WarrenError('bad-value', 'a stream needs a service name');
  return encodeAsked({ service, instance, metadata });
}
