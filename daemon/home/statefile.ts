/**
 * What a daemon remembers of its network and of itself.
 *
 *   keys/network.json    network ID, network secrets, invites with their one-time secrets       (secret, may be sealed)
 *   state/trust-ID.json  key logs, roles, grants, revocations, registry snapshots of network ID
 *   state/memory.json    ports got for `:0`, the registry version, peers removed here
 *
 * A home changes its network in one step: the new trust file is written first, then network.json, which names it.
 */
import * as fs from 'node:fs';
import { join } from 'node:path';
import * as v from 'valibot';
import { toHex } from '../../protocol/bytes.js';
import { WarrenError } from '../../protocol/errors.js';
import { ITEM_KINDS, type TrustItem } from '../../protocol/identity/trust-item.js';
import type { FileOps } from './atomic.js';
import { openDocument, saveDocument, type DocumentKind, type Storable } from './document.js';
import { bytesField, count, label } from './fields.js';
import type { HomePaths } from './paths.js';
import type { Seal } from './sealed.js';
import { readSecretFile } from './secret-file.js';

/** More than all that a trust store keeps, in base64url: what was written can be read again. */
export const MAX_STATE_FILE = 128 * 1024 * 1024;
export const MAX_ITEMS = 200_000;
/** Longer than any kind of item may be. */
const MAX_ITEM = 64 * 1024;
const MAX_SECRETS = 64;
const MAX_INVITE_BOOK = 1024 * 1024;
const MAX_PORTS = 4096;
const MAX_REMOVED = 4096;

/** A trust item as it lies in the home. */
export type KeptItem = TrustItem & {
  /** signed by this home itself, not by somebody else with its key */
  readonly here?: boolean;
};

export interface SecretRecord {
  readonly epoch: number;
  /** 32 bytes */
  readonly secret: Uint8Array;
}

export interface NetworkState {
  /** 32 bytes */
  readonly networkId: Uint8Array;
  readonly secrets: readonly SecretRecord[];
  /** what InviteBook.exportState gave; it holds one-time secrets */
  readonly invites: Uint8Array;
}

export interface Memory {
  /** real port by what asked for it, e.g. `listen 127.0.0.1:0` or `tunnel risk 127.0.0.1:0` */
  readonly ports: Readonly<Record<string, number>>;
  /** the last version of the own registry record that may have been published */
  readonly registryVersion: number;
  /** node IDs in text form that `peer remove` named */
  readonly removed: readonly string[];
}

export const EMPTY_MEMORY: Memory = { ports: {}, registryVersion: 0, removed: [] };

export const networkKind = {
  format: 'warren-network',
  version: 1,
  schema: v.strictObject({
    network: bytesField(32, 32),
    secrets: v.pipe(v.array(v.strictObject({ epoch: count, secret: bytesField(32, 32) })), v.maxLength(MAX_SECRETS)),
    invites: bytesField(0, MAX_INVITE_BOOK),
  }),
};

/** Signed items, those of kinds that are not known here included. */
export const itemsField = v.pipe(
  v.array(v.strictObject({ kind: label, bytes: bytesField(0, MAX_ITEM), here: v.optional(v.literal(true)) })),
  v.maxLength(MAX_ITEMS),
);

const trustKind = {
  format: 'warren-trust',
  version: 1,
  schema: v.strictObject({ network: bytesField(32, 32), items: itemsField }),
};

export const memoryKind = {
  format: 'warren-memory',
  version: 1,
  schema: v.strictObject({
    ports: v.pipe(
      v.record(label, v.pipe(v.number(), v.integer(), v.minValue(1), v.maxValue(65_535))),
      v.check(ports => Object.keys(ports).length <= MAX_PORTS),
    ),
    registryVersion: count,
    removed: v.pipe(v.array(label), v.maxLength(MAX_REMOVED)),
  }),
};

export function networkOf(body: v.InferOutput<(typeof networkKind)['schema']>): NetworkState {
  return { networkId: body.network, secrets: body.secrets, invites: body.invites };
}

export function networkBody({ networkId, secrets, invites }: NetworkState) {
  return { network: networkId, secrets: secrets.map(({ epoch, secret }) => ({ epoch, secret })), invites };
}

export function itemsBody(items: readonly KeptItem[]) {
  return items.map(({ kind, bytes, here }) => ({ kind, bytes, ...(here === true && { here }) }));
}

export function memoryBody({ ports, registryVersion, removed }: Memory) {
  return { ports, registryVersion, removed };
}

/** A kind that only a newer program knows is passed over; peers hand it over again. */
export function isKnown<T extends { readonly kind: string }>(item: T): item is T & Pick<TrustItem, 'kind'> {
  return Object.hasOwn(ITEM_KINDS, item.kind);
}

/** The state files of one home. Every save is atomic; a failed one throws `disk` and leaves the old file. */
export class StateFiles {
  /** what the file holds: the holder of the home's lock is its only writer, and every dial asks */
  private memory: Memory | undefined;

  constructor(
    private readonly paths: HomePaths,
    private readonly ops?: FileOps,
    /** of network.json, in a home that is protected by a passphrase; the other files hold no secret */
    private readonly seal?: Seal,
  ) {}

  /** @returns undefined in a new home. @throws WarrenError `home` on a damaged or readable file */
  loadNetwork(): NetworkState | undefined {
    const body = this.load(this.paths.networkKeys, networkKind, this.seal);
    return body && networkOf(body);
  }

  /** Changes secrets or invites of the network, or, after `saveTrust` of another network, moves the home to it. */
  saveNetwork(state: NetworkState): void {
    this.save(this.paths.networkKeys, networkKind, networkBody(state), this.seal);
    this.removeOtherTrust(state.networkId);
  }

  /** @returns the signed items of that network, none when nothing was kept. @throws WarrenError `home` */
  loadTrust(networkId: Uint8Array): readonly KeptItem[] {
    const file = this.trustFile(networkId);
    const body = this.load(file, trustKind);
    if (body === undefined) return [];
    if (toHex(body.network) === toHex(networkId)) return body.items.filter(isKnown);
    throw new WarrenError('home', `${file} cannot be used: it belongs to another network`, {
      hint: 'restore it from a backup, or remove it: peers hand its content over again',
    });
  }

  saveTrust(networkId: Uint8Array, items: readonly KeptItem[]): void {
    const body = { network: networkId, items: itemsBody(items) };
    this.save(this.trustFile(networkId), trustKind, body);
  }

  loadMemory(): Memory {
    this.memory ??= this.load(this.paths.memory, memoryKind) ?? EMPTY_MEMORY;
    return this.memory;
  }

  saveMemory(memory: Memory): void {
    this.save(this.paths.memory, memoryKind, memoryBody(memory));
    this.memory = memory;
  }

  /**
   * The version for the next registry record, on the disk before it is returned: a version that was published is never
   * given to another content, whenever the daemon dies. Never below the wall clock, so that a home restored from an
   * old backup does not fall behind what peers have seen.
   * @param now ms since the epoch
   */
  nextRegistryVersion(now: number): number {
    const memory = this.loadMemory();
    const registryVersion = Math.max(memory.registryVersion + 1, Math.floor(now));
    this.saveMemory({ ...memory, registryVersion });
    return registryVersion;
  }

  private load<S extends v.GenericSchema>(
    file: string,
    kind: DocumentKind<S>,
    seal?: Seal,
  ): v.InferOutput<S> | undefined {
    const text = readSecretFile(file, MAX_STATE_FILE);
    return text === undefined ? undefined : openDocument(file, text, kind, seal);
  }

  private save(
    file: string,
    { format, version }: { format: string; version: number },
    body: Storable,
    seal?: Seal,
  ): void {
    saveDocument(file, { format, version, body, seal, ops: this.ops });
  }

  private trustFile(networkId: Uint8Array): string {
    return join(this.paths.state, `trust-${toHex(networkId.subarray(0, 8))}.json`);
  }

  /** What a former network left; a failure leaves a file that nobody reads. */
  private removeOtherTrust(networkId: Uint8Array): void {
    const mine = this.trustFile(networkId);
    for (const name of fs.readdirSync(this.paths.state)) {
      const file = join(this.paths.state, name);
      if (/^trust-[0-9a-f]{16}\.json$/.test(name) && file !== mine) fs.rmSync(file, { force: true });
    }
  }
}
