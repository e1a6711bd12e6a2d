/**
 * Where the passphrase of a home comes from: the start request (which a parent read from a file or descriptor), systemd's
 * credentials, a person whom the parent asks. Never argv, never the environment: both are public, or inherited.
 */
import { join } from 'node:path';
import type { StartRequest } from '../../protocol/admin/programs.js';
import { WarrenError } from '../../protocol/errors.js';
import { codeOf } from '../home/atomic.js';
import { passphraseBytes, MAX_PASSPHRASE_BYTES } from '../home/sealed.js';
import { readSealedFile } from '../home/secret-file.js';
import type { NextKeyPlace } from '../keys/identity.js';
import { askParent, type Channel } from './start-request.js';

/** The credential's name in the unit: LoadCredential=warren-passphrase:/path */
export const CREDENTIAL = 'warren-passphrase';

/**
 * The question of unlockHome, answered from what this process was started with.
 * @param channel undefined without a parent
 */
export function passphraseSource(
  start: Pick<StartRequest, 'home' | 'passphrase' | 'asks'>,
  channel: Channel | undefined,
  env: NodeJS.ProcessEnv,
): (isProtected: boolean) => Promise<Uint8Array | undefined> {
  return async isProtected => {
    const given = start.passphrase ?? credential(env);
    if (given !== undefined) return passphraseBytes(given);
    if (channel === undefined || start.asks === undefined) return undefined;
    if (!isProtected && start.asks === 'open') return undefined;
    const purpose = isProtected ? 'open' : 'choose';
    return passphraseBytes(await askParent(channel, { kind: 'passphrase', purpose, of: `the home ${start.home}` }));
  };
}

/** `--next-key FILE` of `warren up`. */
export function nextKeyPlace(
  start: Pick<StartRequest, 'nextKey' | 'nextPassphrase' | 'asks'>,
  channel: Channel | undefined,
): NextKeyPlace | undefined {
  const { nextKey: file, nextPassphrase } = start;
  if (file === undefined) return undefined;
  return {
    file,
    passphrase: async isNew => {
      if (nextPassphrase !== undefined) return passphraseBytes(nextPassphrase);
      if (channel !== undefined && start.asks !== undefined)
        return passphraseBytes(
          await askParent(channel, { kind: 'passphrase', purpose: isNew ? 'choose' : 'open', of: file }),
        );
      throw new WarrenError('passphrase', `no passphrase was given for the next-key file ${file}`, {
        hint: 'give it with --next-passphrase-file FILE, or run the command on a terminal, which asks for it',
      });
    },
  };
}

/**
 * What systemd lays down for this service alone, in a folder that it guards itself.
 * @throws WarrenError `passphrase` when it is there and cannot be used
 */
function credential(env: NodeJS.ProcessEnv): string | undefined {
  const folder = env.CREDENTIALS_DIRECTORY ?? '';
  if (folder === '') return undefined;
  try {
    return withoutLineEnd(readSealedFile(join(folder, CREDENTIAL), MAX_PASSPHRASE_BYTES + 2));
  } catch (error) {
    throw new WarrenError('passphrase', `the credential ${CREDENTIAL} cannot be used`, {
      hint: `it must be text of at most ${MAX_PASSPHRASE_BYTES} bytes: LoadCredential=${CREDENTIAL}:/path`,
      cause: error instanceof WarrenError ? error : codeOf(error),
    });
  }
}

/** Editors and `echo` end a file with a line end, which is no part of the passphrase. */
function withoutLineEnd(text: string | undefined): string | undefined {
  return text?.replace(/\r?\n$/, '');
}
