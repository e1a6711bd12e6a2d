/** What travels between nodes and lies in the home: one signed structure with its kind. */
import { Reader, Writer } from '../bytes.js';
import { malformed } from '../errors.js';
import { MAX_GRANT_BYTES } from './grant.js';
import { MAX_RECORD_BYTES } from './registry-record.js';
import { MAX_FORK_BYTES, MAX_STATEMENT_BYTES } from './statement.js';

/** The number of a kind on the wire; numbers never change meaning. */
export const ITEM_KINDS = {
  statement: 1,
  fork: 2,
  role: 3,
  grant: 4,
  revocation: 5,
  'network-secret': 6,
  registry: 7,
  settlement: 8,
} as const;

/**
 * NEWS of this kind carries a network secret, as SECRET does in a catch-up: epoch and 32 bytes. It is no signed item: a
 * statement of kind network-secret must speak of it.
 */
export const NEWS_SECRET = 32;

export type ItemKind = keyof typeof ITEM_KINDS;

export interface TrustItem {
  readonly kind: ItemKind;
  readonly bytes: Uint8Array;
}

/** Longest encoding of each kind. */
export const MAX_ITEM_BYTES: Readonly<Record<ItemKind, number>> = {
  statement: MAX_STATEMENT_BYTES,
  fork: MAX_FORK_BYTES,
  role: 1024,
  grant: MAX_GRANT_BYTES,
  revocation: 1024,
  'network-secret': 1024,
  registry: MAX_RECORD_BYTES,
  settlement: 1024,
};

const BY_NUMBER = new Map<number, ItemKind>(Object.entries(ITEM_KINDS).map(([k, n]) => [n, k as ItemKind]));

/** @returns undefined for a kind that is not known here: the item is passed over */
export function kindOf(n: number): ItemKind | undefined {
  return BY_NUMBER.get(n);
}

/** kind u8 ‖ length varint ‖ bytes, one after the other. */
export function encodeItems(items: readonly TrustItem[]): Uint8Array {
  const writer = new Writer();
  for (const item of items) writer.u8(ITEM_KINDS[item.kind]).vector(item.bytes);
  return writer.finish();
}

/**
 * Items of a kind that is not known here are passed over: a newer node may send them.
 * @param maxItems how many there may be, those passed over included
 * @throws WarrenError `malformed`
 */
export function decodeItems(bytes: Uint8Array, maxItems: number): TrustItem[] {
  const reader = new Reader(bytes, 'trust items');
  const items: TrustItem[] = [];
  for (let n = 0; reader.left > 0; n++) {
    if (n >= maxItems) throw malformed('trust items', `more than ${maxItems}`);
    const kind = kindOf(reader.u8());
    const content = reader.vector(kind ? MAX_ITEM_BYTES[kind] : MAX_RECORD_BYTES);
    if (kind) items.push({ kind, bytes: new Uint8Array(content) });
  }
  return items;
}
