/**
 * A rotation of this node's keys, whole. The order keeps every moment safe to crash in:
 *
 *   1. the following key, when it is to lie in a file: sealed beside that file, on the disk
 *   2. keys/node.json with the new statement and keys; from here on the new keys are in use
 *   3. what lies beside the file takes its place
 *   4. the statement is told, and behind it what is to count on under the new key
 */
import { wipe } from '../../protocol/bytes.js';
import { WarrenError } from '../../protocol/errors.js';
import type { NodeId } from '../../protocol/identity/node-id.js';
import type { Claim } from '../../protocol/identity/claim.js';
import type { ClaimKind } from '../../protocol/identity/shelves.js';
import type { NewKeys } from '../../protocol/identity/statement.js';
import type { TrustStore } from '../../protocol/identity/trust-store.js';
import { errorFields, type Log } from '../observe/log.js';
import type { Authority } from '../peers/authority.js';
import { forkWords, ownFork } from './fork-words.js';
import type { Keyring, RotationReason } from './keyring.js';

/** The next key in a file of its own, sealed by a passphrase. */
export interface NextKeyVault {
  /** @returns the seed in it, 32 bytes; undefined when there is no such file. @throws WarrenError */
  open(file: string, passphrase: string): Promise<Uint8Array | undefined>;
  /**
   * Seals the following key beside `file`; on the disk when it resolves.
   * @param statements the key log up to the statement that commits to `seed`
   */
  prepare(file: string, passphrase: string, seed: Uint8Array, statements: readonly Uint8Array[]): Promise<void>;
  /** What was prepared takes the place of `file`. */
  replace(file: string): void;
}

/** Which of the things signed with earlier keys count on after a compromise. */
export type Affirm = 'signed-here' | 'all' | 'none';

export interface RotationRequest {
  readonly reason: RotationReason;
  /** absolute path of the file for the next key; if it exists, it holds the key that is committed to now */
  readonly nextFile?: string;
  /** of that file */
  readonly passphrase?: string;
  /** default: signed-here */
  readonly affirm?: Affirm;
}

export interface Rotated {
  readonly seq: number;
  /** members whose admission this node had signed and does not stand by any more */
  readonly notAffirmed: readonly NodeId[];
}

export interface RotationsOptions {
  readonly keyring: Keyring;
  readonly authority: Authority;
  readonly trust: () => TrustStore;
  readonly vault: NextKeyVault;
  readonly log: Log;
  /** new keys are in use and told: links made with others are to be replaced, or closed */
  readonly onRotated: (reason: RotationReason) => void;
}

export class Rotations {
  private isBusy = false;

  constructor(private readonly options: RotationsOptions) {}

  /** @throws WarrenError `in-use`, `bad-value`, `disk`, `limit`, `denied` when the own log is forked; nothing has changed then */
  async rotate(request: RotationRequest): Promise<Rotated> {
    if (this.isBusy)
      throw new WarrenError('in-use', 'A rotation is under way already.', { hint: 'Wait until it is done.' });
    this.isBusy = true;
    try {
      return await this.run(request);
    } finally {
      this.isBusy = false;
    }
  }

  private async run(request: RotationRequest): Promise<Rotated> {
    const { keyring, authority, trust } = this.options;
    const { reason, nextFile } = request;
    this.refuseForked();
    const next = await this.openNext(request);
    const made = keyring.make({ reason, time: authority.rotationTime(), ...(next !== undefined && { next }) });
    if (nextFile !== undefined) await this.prepare(request, nextFile, made);
    keyring.commit(made, nextFile, nextFile === undefined ? undefined : trust().networkId);
    wipe(made.signing.privateKey, made.noise.privateKey, made.next);
    if (nextFile !== undefined) this.replace(nextFile);
    return this.tell(request, made);
  }

  /** Nobody takes a statement behind an open fork: this home would go where nobody follows. */
  private refuseForked(): void {
    const { keyring, trust } = this.options;
    const fork = ownFork(trust(), keyring);
    if (fork === undefined) return;
    const { sentence, hint } = forkWords(trust(), keyring, fork);
    throw new WarrenError('denied', `${sentence[0]!.toUpperCase()}${sentence.slice(1)}.`, { hint });
  }

  /** @returns the committed key if it lies in the file */
  private async openNext({ nextFile, passphrase }: RotationRequest): Promise<Uint8Array | undefined> {
    if (nextFile === undefined) return undefined;
    const opened = await this.options.vault.open(nextFile, needPassphrase(passphrase));
    if (opened !== undefined || this.options.keyring.isNextHere) return opened;
    throw new WarrenError('not-found', `There is no file ${nextFile}, and the next key is not in this home either.`, {
      hint: 'Give the file that holds it: warren keys show tells its name.',
    });
  }

  private async prepare({ passphrase }: RotationRequest, nextFile: string, made: NewKeys): Promise<void> {
    const { keyring, vault } = this.options;
    await vault.prepare(nextFile, needPassphrase(passphrase), made.next, [...keyring.statements, made.statement]);
  }

  /** The rotation is done; what is left here is done again at the next start. */
  private replace(nextFile: string): void {
    try {
      this.options.vault.replace(nextFile);
    } catch (error) {
      const sentence = 'the following key lies beside the file of the next key, in its .following';
      this.options.log.error('next-key-not-replaced', { file: nextFile, ...errorFields(error) }, sentence);
    }
  }

  private tell({ reason, affirm = 'signed-here' }: RotationRequest, { statement, seq }: NewKeys): Rotated {
    const { authority, log, onRotated } = this.options;
    const notAffirmed = authority.rotated(statement, reason, this.judgeOf(affirm));
    log.warn('keys-rotated', { seq, reason }, 'this node has new keys');
    onRotated(reason);
    return { seq, notAffirmed };
  }

  private judgeOf(affirm: Affirm): (kind: ClaimKind, claim: Claim) => boolean {
    if (affirm === 'signed-here') return this.options.authority.signedHere;
    return () => affirm === 'all';
  }
}

function needPassphrase(passphrase: string | undefined): string {
  if (passphrase !== undefined && passphrase.length > 0) return passphrase;
  throw new WarrenError('bad-value', 'The file of the next key is sealed by a passphrase, and none was given.', {
    hint: 'Run it on a terminal, or give --passphrase-file FILE.',
  });
}
