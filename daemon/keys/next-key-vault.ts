/** The next key in a file of its own, for rotations: sealed with all that is needed to come back on a fresh host. */
import { wipe } from '../../protocol/bytes.js';
import type { Primitives } from '../../protocol/crypto/primitives.js';
import { WarrenError } from '../../protocol/errors.js';
import {
  newNextKeySeal,
  readNextKey,
  refuseTaken,
  takeFollowing,
  writeFollowing,
  type NextKey,
} from '../home/next-key.js';
import { passphraseBytes, type ScryptCost, type Seal } from '../home/sealed.js';
import type { NextKeyVault } from './rotations.js';

export interface FileVaultOptions {
  readonly primitives: Primitives;
  /** what the file holds besides the key and the log */
  readonly surroundings: () => Omit<NextKey, 'seed' | 'statements'>;
  /** for tests; default: what a passphrase of a person needs */
  readonly cost?: ScryptCost;
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
      if (Buffer.compare(key.nodeId, this.options.surroundings().nodeId) === 0) return key.seed;
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
      writeFollowing(this.options.primitives, file, { ...this.options.surroundings(), seed, statements }, seal);
    } finally {
      seal.destroy();
    }
  }

  private async sealFor(file: string, passphrase: string): Promise<Seal> {
    const { opened } = this;
    this.opened = undefined;
    if (opened?.file === file) return opened.seal;
    refuseTaken(file);
    const bytes = passphraseBytes(passphrase);
    try {
      return await newNextKeySeal(this.options.primitives, bytes, this.options.cost);
    } finally {
      wipe(bytes);
    }
  }

  replace(file: string): void {
    takeFollowing(file);
  }

  /** After a rotation that came to nothing. */
  private forget(): void {
    this.opened?.seal.destroy();
    this.opened = undefined;
  }
}
