/**
 * A registry record: one node's snapshot of what it exposes and where it can be reached, signed by the node itself
 * (the signer is the node). Own fields: {5: version number, 6: services, 7: addresses, 8: relays}; lists are absent when
 * empty, `relays` is true or absent. A service is {0: name, 1: version, 2: description, 3: tags}.
 */
import type { Primitives } from '../crypto/primitives.js';
import { malformed } from '../errors.js';
import { cborMap, Fields } from './cbor.js';
import type { CborValue } from './cbor.js';
import { decodeClaim } from './claim.js';
import type { Claim, ClaimFormat } from './claim.js';
import {
  MAX_ADDRESS,
  MAX_DESCRIPTION,
  MAX_NAME,
  MAX_TAG,
  MAX_TAGS,
  MAX_VERSION,
  foldName,
  isAddress,
  isDescription,
  isServiceName,
  isTag,
  isVersionText,
} from './names.js';
import { ENVELOPE_OVERHEAD } from './signed.js';

export const MAX_RECORD_BYTES = 16 * 1024;
export const MAX_SERVICES = 64;
export const MAX_ADDRESSES = 16;

export interface ServiceEntry {
  readonly name: string;
  readonly version?: string;
  readonly description?: string;
  readonly tags: readonly string[];
}

export interface RegistryContent {
  /** Grows with each snapshot; persisted by the node before it publishes. */
  readonly version: number;
  readonly services: readonly ServiceEntry[];
  readonly addresses: readonly string[];
  /** The node carries links of other members; absent when it does not. */
  readonly relays?: true;
}

export type RegistryRecord = Claim & RegistryContent;

export const REGISTRY_RECORD: ClaimFormat<RegistryContent> = {
  what: 'registry record',
  label: 'warren registry record v1',
  version: 1,
  maxBody: MAX_RECORD_BYTES - ENVELOPE_OVERHEAD,
  write: r => [
    [5, r.version],
    [6, r.services.length > 0 ? r.services.map(writeService) : undefined],
    [7, r.addresses.length > 0 ? r.addresses : undefined],
    [8, r.relays],
  ],
  read: fields => {
    const version = fields.uint(5, 'version number');
    const listed = fields.has(6);
    const services = listed ? fields.list(6, 'services', MAX_SERVICES, readService) : [];
    if (listed && services.length === 0) throw malformed('registry record', 'services are empty instead of absent');
    if (new Set(services.map(s => foldName(s.name))).size !== services.length) {
      throw malformed('registry record', 'a service is listed twice');
    }
    const addresses = fields.texts(7, 'addresses', { count: MAX_ADDRESSES, length: MAX_ADDRESS }, isAddress);
    const relays = fields.flag(8, 'relays');
    return { version, services, addresses, ...(relays && { relays }) };
  },
};

function writeService(service: ServiceEntry): CborValue {
  return cborMap([
    [0, service.name],
    [1, service.version],
    [2, service.description],
    [3, service.tags.length > 0 ? service.tags : undefined],
  ]);
}

function readService(value: CborValue): ServiceEntry {
  const fields = Fields.of(value, 'service in a registry record');
  const name = fields.text(0, 'name', MAX_NAME, isServiceName);
  const version = fields.optionalText(1, 'version', MAX_VERSION, isVersionText);
  const description = fields.optionalText(2, 'description', MAX_DESCRIPTION, isDescription);
  const tags = fields.texts(3, 'tags', { count: MAX_TAGS, length: MAX_TAG }, isTag, foldName);
  fields.end();
  return { name, ...(version !== undefined && { version }), ...(description !== undefined && { description }), tags };
}

/** @throws WarrenError `malformed` or `version` */
export function decodeRegistryRecord(primitives: Primitives, bytes: Uint8Array): RegistryRecord {
  return decodeClaim(primitives, REGISTRY_RECORD, bytes);
}
