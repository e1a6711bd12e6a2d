/**
 * keys/node.json: the node's private keys and its own key log, in one versioned JSON document of mode 0600. Byte
 * strings are base64url. `protection` says how the secrets are kept: `none`, or sealed by a passphrase (vault.ts).
 */
import * as v from 'valibot';
import type { FileOps } from './atomic.js';
import { openDocument, saveDocument } from './document.js';
import { bytesField } from './fields.js';
import type { Seal } from './sealed.js';
import { readSecretFile } from './secret-file.js';

const KEYS_FORMAT = 'warren-keys';
const KEYS_VERSION = 1;
/** A key log of 4,096 statements of 1 KiB, in base64url. */
export const MAX_KEYS_FILE = 8 * 1024 * 1024;
export const MAX_STATEMENT = 4096;
export const MAX_STATEMENTS = 4096;
const MAX_PATH = 4096;

export interface NodeKeys {
  /** 32 bytes */
  readonly nodeId: Uint8Array;
  /** Ed25519 seed of the current signing key, 32 bytes */
  readonly signingSeed: Uint8Array;
  /** X25519 Noise static, 32 bytes */
  readonly noisePrivate: Uint8Array;
  /** Ed25519 seed of the committed next key, 32 bytes; undefined when it lies elsewhere */
  readonly nextSeed: Uint8Array | undefined;
  /** where that is: the file that the operator named */
  readonly nextFile?: string | undefined;
  /** ID of the network that this file names, 32 bytes; undefined in homes of earlier versions */
  readonly nextNetwork?: Uint8Array | undefined;
  /** this node's signed statements, from the inception on; at least one */
  readonly statements: readonly Uint8Array[];
}

const schema = v.strictObject({
  node: bytesField(32, 32),
  signing: bytesField(32, 32),
  noise: bytesField(32, 32),
  next: v.nullable(bytesField(32, 32)),
  nextFile: v.optional(v.pipe(v.string(), v.minLength(1), v.maxLength(MAX_PATH))),
  nextNetwork: v.optional(bytesField(32, 32)),
  statements: v.pipe(v.array(bytesField(1, MAX_STATEMENT)), v.minLength(1), v.maxLength(MAX_STATEMENTS)),
});

export const keysKind = { format: KEYS_FORMAT, version: KEYS_VERSION, schema };

type KeysBody = v.InferOutput<typeof schema>;

export function keysOf(body: KeysBody): NodeKeys {
  return {
    nodeId: body.node,
    signingSeed: body.signing,
    noisePrivate: body.noise,
    nextSeed: body.next ?? undefined,
    ...(body.nextFile === undefined ? {} : { nextFile: body.nextFile }),
    ...(body.nextNetwork === undefined ? {} : { nextNetwork: body.nextNetwork }),
    statements: body.statements,
  };
}

export function keysBody(keys: NodeKeys) {
  return {
    node: keys.nodeId,
    signing: keys.signingSeed,
    noise: keys.noisePrivate,
    next: keys.nextSeed ?? null,
    ...(keys.nextFile === undefined ? {} : { nextFile: keys.nextFile }),
    ...(keys.nextNetwork === undefined ? {} : { nextNetwork: keys.nextNetwork }),
    statements: keys.statements,
  };
}

/**
 * @param seal of the home, when it is protected by a passphrase
 * @returns undefined when there is no key file: a new node
 * @throws WarrenError `home` when others can read it, when it is damaged or of a newer version; `passphrase`
 */
export function loadKeys(file: string, seal?: Seal): NodeKeys | undefined {
  const text = readSecretFile(file, MAX_KEYS_FILE);
  return text === undefined ? undefined : keysOf(openDocument(file, text, keysKind, seal));
}

/** @throws WarrenError `disk`; the old file is then in place */
export function saveKeys(file: string, keys: NodeKeys, ops?: FileOps, seal?: Seal): void {
  saveDocument(file, { format: KEYS_FORMAT, version: KEYS_VERSION, body: keysBody(keys), seal, ops });
}
