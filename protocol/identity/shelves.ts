/** The six shelves of a trust store: what each kind is about, what replaces what, and how much is kept. */
import { toHex } from '../bytes.js';
import type { Claim, ClaimFormat } from './claim.js';
import { GRANT } from './grant.js';
import type { Grant } from './grant.js';
import { NETWORK_SECRET } from './network-secret.js';
import type { NetworkSecret } from './network-secret.js';
import { nodeIdText } from './node-id.js';
import { REGISTRY_RECORD } from './registry-record.js';
import type { RegistryRecord } from './registry-record.js';
import { REVOCATION } from './revocation.js';
import type { Revocation } from './revocation.js';
import { ROLE } from './role.js';
import type { Role } from './role.js';
import { SETTLEMENT } from './settlement.js';
import type { Settlement } from './settlement.js';
import { Shelf } from './shelf.js';
import type { ItemKind } from './trust-item.js';

const MIB = 1024 * 1024;
/** Most bytes kept per kind: room for thousands of nodes, and a rogue admin cannot fill the memory. */
export const MAX_SHELF_BYTES = {
  role: 2 * MIB,
  grant: 8 * MIB,
  revocation: 2 * MIB,
  'network-secret': MIB,
  settlement: MIB,
  registry: 16 * MIB,
} as const;

/** Claims about the network as a whole are kept under this subject. */
export const NETWORK_SUBJECT = 'network';

export interface Shelves {
  readonly role: Shelf<Role>;
  readonly grant: Shelf<Grant>;
  readonly revocation: Shelf<Revocation>;
  readonly 'network-secret': Shelf<NetworkSecret>;
  readonly settlement: Shelf<Settlement>;
  readonly registry: Shelf<RegistryRecord>;
}

export type ClaimKind = keyof Shelves & ItemKind;
export const CLAIM_KINDS: readonly ClaimKind[] = [
  'settlement',
  'role',
  'revocation',
  'network-secret',
  'grant',
  'registry',
];

export const FORMATS: { readonly [K in ClaimKind]: ClaimFormat<unknown> } = {
  role: ROLE as ClaimFormat<unknown>,
  grant: GRANT as ClaimFormat<unknown>,
  revocation: REVOCATION as ClaimFormat<unknown>,
  'network-secret': NETWORK_SECRET as ClaimFormat<unknown>,
  settlement: SETTLEMENT as ClaimFormat<unknown>,
  registry: REGISTRY_RECORD as ClaimFormat<unknown>,
};

const newer = (a: Claim, b: Claim): number => b.time - a.time;
const higher = (a: { readonly generation: number }, b: { readonly generation: number }): number =>
  b.generation - a.generation;
const aboutNode = (claim: { readonly node: Uint8Array }): string => nodeIdText(claim.node);
const bySigner = (claim: Claim): string => nodeIdText(claim.signer);

export function makeShelves(): Shelves {
  return {
    role: new Shelf<Role>({
      subject: aboutNode,
      slot: c => `${bySigner(c)} ${c.action} ${aboutNode(c)}`,
      prefer: (a, b) => higher(a, b) || newer(a, b),
      maxBytes: MAX_SHELF_BYTES.role,
    }),
    grant: new Shelf<Grant>({ subject: aboutNode, slot: bySigner, prefer: newer, maxBytes: MAX_SHELF_BYTES.grant }),
    revocation: new Shelf<Revocation>({
      subject: aboutNode,
      slot: bySigner,
      prefer: (a, b) => higher(a, b) || newer(a, b),
      maxBytes: MAX_SHELF_BYTES.revocation,
    }),
    'network-secret': new Shelf<NetworkSecret>({
      subject: () => NETWORK_SUBJECT,
      slot: c => `${bySigner(c)} ${c.epoch} ${toHex(c.secretHash)}`,
      prefer: newer,
      maxBytes: MAX_SHELF_BYTES['network-secret'],
    }),
    settlement: new Shelf<Settlement>({
      subject: aboutNode,
      slot: c => `${bySigner(c)} ${c.seq}`,
      prefer: newer,
      maxBytes: MAX_SHELF_BYTES.settlement,
    }),
    registry: new Shelf<RegistryRecord>({
      subject: bySigner,
      slot: bySigner,
      prefer: (a, b) => b.version - a.version,
      maxBytes: MAX_SHELF_BYTES.registry,
    }),
  };
}
