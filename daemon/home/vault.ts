/**
 * A home whose keys a passphrase protects: keys/node.json and keys/network.json are sealed with one key, which stays in memory
 * for later writes. A home is protected file by file; a crash between them leaves a home that opens with the same
 * passphrase, and is sealed whole by the next start.
 */
import type * as v from 'valibot';
import { wipe } from '../../protocol/bytes.js';
import type { FileOps } from './atomic.js';
import { backupSchema, MAX_BACKUP_FILE, RESTORE_FORMAT, RESTORE_VERSION } from './backup.js';
import {
  needsPassphrase,
  openEnvelope,
  readEnvelope,
  saveDocument,
  type DocumentKind,
  type Envelope,
  type Storable,
} from './document.js';
import { keysKind } from './keyfile.js';
import type { HomePaths } from './paths.js';
import { Seal, type ScryptCost, type SealTools } from './sealed.js';
import { readSecretFile } from './secret-file.js';
import { networkKind } from './statefile.js';

type SecretKind = DocumentKind<v.GenericSchema<unknown, Storable>>;

export interface UnlockOptions {
  readonly paths: HomePaths;
  readonly tools: SealTools;
  /** what the daemon before this one handed over (Seal.handOver) */
  readonly handedOver?: string | undefined;
  /**
   * Where the passphrase comes from; asked at most once, and wiped after use.
   * @param isProtected whether the home has one already
   * @returns undefined: there is none
   */
  readonly passphrase: (isProtected: boolean) => Promise<Uint8Array | undefined>;
  /** for a home that is protected from now on */
  readonly cost?: ScryptCost;
  readonly ops?: FileOps;
}

interface Secret {
  readonly envelope: Envelope;
  readonly kind: SecretKind;
}

/**
 * Opens a protected home, or protects one for which a passphrase is given. Nothing is written before every file has been
 * opened.
 * @returns what seals and opens the home's secrets; undefined: they lie open under their modes
 * @throws WarrenError `passphrase` when it is missing or wrong, `home`, `disk`
 */
export async function unlockHome(options: UnlockOptions): Promise<Seal | undefined> {
  const secrets = secretsOf(options.paths);
  const isProtected = secrets.some(({ envelope }) => envelope.seal !== undefined);
  const handed = options.handedOver === undefined ? undefined : Seal.take(options.tools, options.handedOver);
  if (handed !== undefined && secrets.every(({ envelope: { seal } }) => seal !== undefined && handed.isOf(seal)))
    return sealWhole(options, secrets, [handed]);
  const passphrase = await options.passphrase(isProtected);
  if (passphrase === undefined) {
    if (isProtected) throw needsPassphrase(secrets.find(({ envelope }) => envelope.seal !== undefined)!.envelope.file);
    return undefined;
  }
  try {
    const seals = await sealsFor(options, secrets, passphrase);
    return sealWhole(options, secrets, seals);
  } finally {
    wipe(passphrase);
  }
}

function secretsOf(paths: HomePaths): Secret[] {
  const kinds: readonly (readonly [string, SecretKind])[] = [
    [paths.restore, { format: RESTORE_FORMAT, version: RESTORE_VERSION, schema: backupSchema }],
    [paths.nodeKeys, keysKind],
    [paths.networkKeys, networkKind],
  ];
  return kinds.flatMap(([file, kind]) => {
    const text = readSecretFile(file, MAX_BACKUP_FILE);
    return text === undefined ? [] : [{ envelope: readEnvelope(file, text, [kind]), kind }];
  });
}

/** One for each salt in use, one as a rule. The first is the one that the home keeps. */
async function sealsFor(options: UnlockOptions, secrets: readonly Secret[], passphrase: Uint8Array): Promise<Seal[]> {
  const seals: Seal[] = [];
  for (const { envelope } of secrets) {
    const header = envelope.seal;
    if (header !== undefined && !seals.some(seal => seal.isOf(header)))
      seals.push(await Seal.of(options.tools, passphrase, header));
  }
  if (seals.length === 0) seals.push(await Seal.fresh(options.tools, passphrase, options.cost));
  return seals;
}

function sealWhole(options: UnlockOptions, secrets: readonly Secret[], seals: readonly Seal[]): Seal {
  const [keeping, ...others] = seals;
  const bodies = secrets.map(({ envelope, kind }) => {
    const { seal } = envelope;
    return openEnvelope(envelope, kind, seal === undefined ? undefined : seals.find(s => s.isOf(seal)));
  });
  for (const [i, { envelope, kind }] of secrets.entries()) {
    if (envelope.seal !== undefined && keeping!.isOf(envelope.seal)) continue;
    const { format, version } = kind;
    saveDocument(envelope.file, { format, version, body: bodies[i]!, seal: keeping, ops: options.ops });
  }
  for (const seal of others) seal.destroy();
  return keeping!;
}
