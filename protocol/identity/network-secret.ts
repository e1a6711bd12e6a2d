/**
 * Which network secret is in force, said by an admin: {5: epoch, 6: hash}. The highest (epoch, hash) wins. The secret
 * itself travels only between admitted nodes and is never part of a signed structure.
 */
import { compare } from '../bytes.js';
import type { Hash, Primitives } from '../crypto/primitives.js';
import { decodeClaim } from './claim.js';
import type { Claim, ClaimFormat } from './claim.js';
import { DAY_MS } from './grant.js';
import { labelledHash } from './node-id.js';
import { HASH_LENGTH } from './statement.js';

export const NETWORK_SECRET_LENGTH = 32;
/** Secrets that are tried at all: the one in force and those before it. */
export const MAX_OPEN_SECRETS = 8;
/** How long a superseded secret opens a catch-up. */
export const OLD_SECRET_MS = 30 * DAY_MS;
export const MAX_EPOCH = 0xffff_ffff;

export interface NetworkSecretContent {
  readonly epoch: number;
  /** secretHash of the 32 bytes. */
  readonly secretHash: Uint8Array;
}

export type NetworkSecret = Claim & NetworkSecretContent;

export const NETWORK_SECRET: ClaimFormat<NetworkSecretContent> = {
  what: 'network secret statement',
  label: 'warren network secret v1',
  version: 1,
  maxBody: 512,
  write: s => [
    [5, s.epoch],
    [6, s.secretHash],
  ],
  read: fields => ({
    epoch: fields.uint(5, 'epoch', MAX_EPOCH),
    secretHash: fields.bytes(6, 'hash', HASH_LENGTH),
  }),
};

/** @throws WarrenError `malformed` or `version` */
export function decodeNetworkSecret(primitives: Primitives, bytes: Uint8Array): NetworkSecret {
  return decodeClaim(primitives, NETWORK_SECRET, bytes);
}

/** What a statement says instead of the secret. @param secret 32 bytes */
export function secretHash(hash: Hash, secret: Uint8Array): Uint8Array {
  return labelledHash(hash, 'warren network secret hash v1', secret);
}

/** Higher first. */
export function compareSecrets(a: NetworkSecretContent, b: NetworkSecretContent): number {
  return b.epoch - a.epoch || compare(b.secretHash, a.secretHash);
}

export interface OpenSecret {
  readonly epoch: number;
  readonly secretHash: Uint8Array;
  /** The one in force; any other opens a catch-up only. */
  readonly current: boolean;
  /** ms since the epoch after which it opens nothing; Infinity for the current one. */
  readonly until: number;
}

/** @param secrets in any order, several signers may say the same */
export function openSecrets(secrets: readonly NetworkSecret[], now: number): OpenSecret[] {
  const sorted = [...secrets].sort((a, b) => compareSecrets(a, b) || a.time - b.time);
  const distinct = sorted.filter((s, i) => i === 0 || compareSecrets(s, sorted[i - 1]!) !== 0);
  const open = distinct.slice(0, MAX_OPEN_SECRETS).map((s, i): OpenSecret => {
    const until = i === 0 ? Infinity : distinct[i - 1]!.time + OLD_SECRET_MS;
    return { epoch: s.epoch, secretHash: s.secretHash, current: i === 0, until };
  });
  return open.filter(s => now < s.until);
}
