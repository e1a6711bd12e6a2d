/** The next key in a file of its own, for rotations: sealed with all that is needed to come back on a fresh host. */
import { existsSync, unlinkSync } from 'node:fs';
import { equal, wipe } from '../../protocol/bytes.js';
import type { Primitives } from '../../protocol/crypto/primitives.js';
import { WarrenError } from '../../protocol/errors.js';
import type { FileOps } from '../home/atomic.js';
import {
  followingFile,
  newNextKeySeal,
  readNextKey,
  refuseTaken,
  takeFollowing,
  writeFollowing,
} from '../home/next-key.js';
import { passphraseBytes, type ScryptCost, type Seal } from '../home/sealed.js';
import type { Surroundings } from './recovery.js';
import type { NextKeyVault } from './rotations.js';

export interface FileVaultOptions {
  readonly primitives: Primitives;
  /** what the file holds besides the key and the log */
  readonly surroundings: () => Surroundings;
  /** Is this the key that the newest statement commits to? @param seed 32 bytes */
  readonly isCommitted: (seed: Uint8Array) => boolean;
  /** for tests; default: what a passphrase of a person needs */
  readonly cost?: ScryptCost;
  /** for tests of what fails */
  readonly ops?: FileOps;
}

export class FileVault implements NextKeyVault {
  /** the seal of the file that was opened: what replaces it is sealed alike */
  private opened: { readonly file: string; readonly seal: Seal } | undefined;

  constructor(private readonly options: FileVaultOptions) {}

  async open(file: string, passphrase: string): Promise<Uint8Array | undefined> {
    this.forget();
    const bytes = passphraseBytes(passphrase);
    try {
      const { key, seal } = await readNextKey(this.options.primitives, file, bytes);
      this.opened = { file, seal };
      if (equal(key.nodeId, this.options.surroundings().nodeId)) return key.seed;
      this.forget();
      throw new WarrenError('bad-value', `${file} holds the next key of another node.`, {
        hint: 'Take the file of this node: warren keys show tells its name.',
      });
    } catch (error) {
      if (error instanceof WarrenError && error.code === 'not-found') return undefined;
      throw error;
    } finally {
      wipe(bytes);
    }
  }

  async prepare(file: string, passphrase: string, seed: Uint8Array, statements: readonly Uint8Array[]): Promise<void> {
    const seal = await this.sealFor(file, passphrase);
    try {
      writeFollowing(
        this.options.primitives,
        file,
        { ...this.options.surroundings(), seed, statements },
        seal,
        this.options.ops,
      );
    } finally {
      seal.destroy();
    }
  }

  private async sealFor(file: string, passphrase: string): Promise<Seal> {
    const { opened } = this;
    this.opened = undefined;
    if (opened?.file === file) return opened.seal;
    const bytes = passphraseBytes(passphrase);
    try {
      await this.clearLeftover(file, bytes);
      refuseTaken(file);
      return await newNextKeySeal(this.options.primitives, bytes, this.options.cost);
    } finally {
      wipe(bytes);
    }
  }

  /** What an attempt that was cut short has left beside the file: a key of this node to which nothing commits. */
  private async clearLeftover(file: string, passphrase: Uint8Array): Promise<void> {
    const left = followingFile(file);
    if (existsSync(file) || !existsSync(left)) return;
    const { key, seal } = await readNextKey(this.options.primitives, left, passphrase);
    seal.destroy();
    const isOurs = equal(key.nodeId, this.options.surroundings().nodeId);
    const isNeeded = this.options.isCommitted(key.seed);
    wipe(key.seed);
    if (isOurs && !isNeeded) unlinkSync(left);
  }

  replace(file: string): void {
    takeFollowing(file, this.options.ops);
  }

  /** After a rotation that came to nothing. */
  private forget(): void {
    this.opened?.seal.destroy();
    this.opened = undefined;
  }
}
