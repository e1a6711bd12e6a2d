/**
 * keys/node.json: the node's private keys and its own key log, in one versioned JSON document of mode 0600. Byte
 * strings are base64url. `protection` says how the secrets are kept: `none` here; a passphrase gets its own kind.
 */
import * as v from 'valibot';
import type { FileOps } from './atomic.js';
import { bytesField, openDocument, readSecretFile, saveDocument } from './document.js';

const KEYS_FORMAT = 'warren-keys';
const KEYS_VERSION = 1;
/** A key log of 4,096 statements of 1 KiB, in base64url. */
const MAX_KEYS_FILE = 8 * 1024 * 1024;
const MAX_STATEMENT = 4096;
const MAX_STATEMENTS = 4096;
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
  /** this node's signed statements, from the inception on; at least one */
  readonly statements: readonly Uint8Array[];
}

const schema = v.strictObject({
  node: bytesField(32, 32),
  signing: bytesField(32, 32),
  noise: bytesField(32, 32),
  next: v.nullable(bytesField(32, 32)),
  nextFile: v.optional(v.pipe(v.string(), v.minLength(1), v.maxLength(MAX_PATH))),
  statements: v.pipe(v.array(bytesField(1, MAX_STATEMENT)), v.minLength(1), v.maxLength(MAX_STATEMENTS)),
});

/**
 * @returns undefined when there is no key file: a new node
 * @throws WarrenError `home` when others can read it, when it is damaged, protected, or of a newer version
 */
export function loadKeys(file: string): NodeKeys | undefined {
  const text = readSecretFile(file, MAX_KEYS_FILE);
  if (text === undefined) return undefined;
  const body = openDocument(file, text, { format: KEYS_FORMAT, version: KEYS_VERSION, schema });
  return {
    nodeId: body.node,
    signingSeed: body.signing,
    noisePrivate: body.noise,
    nextSeed: body.next ?? undefined,
    nextFile: body.nextFile,
    statements: body.statements,
  };
}

/** @throws WarrenError `disk`; the old file is then in place */
export function saveKeys(file: string, keys: NodeKeys, ops?: FileOps): void {
  const body = {
    node: keys.nodeId,
    signing: keys.signingSeed,
    noise: keys.noisePrivate,
    next: keys.nextSeed ?? null,
    ...(keys.nextFile === undefined ? {} : { nextFile: keys.nextFile }),
    statements: keys.statements,
  };
  saveDocument(file, { format: KEYS_FORMAT, version: KEYS_VERSION, body, ...(ops === undefined ? {} : { ops }) });
}
