/** `warren keys backup`: the running daemon's node in one sealed document. */
import { wipe } from '../../protocol/bytes.js';
import { WarrenError } from '../../protocol/errors.js';
import { readConfigText } from '../config/load.js';
import { encodeBackup, type Backup } from '../home/backup.js';
import { loadKeys } from '../home/keyfile.js';
import { passphraseBytes, Seal } from '../home/sealed.js';
import type { Parts } from '../parts.js';

export type BackupParts = Pick<Parts, 'files' | 'network' | 'timers' | 'paths' | 'primitives'>;

/**
 * @param homeSeal of a protected home
 * @returns the text of the file
 * @throws WarrenError `passphrase` when it is empty or too long, `home` when the home's key files are gone
 */
export async function makeBackup(parts: BackupParts, passphrase: string, homeSeal?: Seal): Promise<string> {
  const secret = passphraseBytes(passphrase);
  const seal = await Seal.fresh(parts.primitives, secret).finally(() => wipe(secret));
  try {
    return encodeBackup(gather(parts, homeSeal), seal);
  } finally {
    seal.destroy();
  }
}

/** As the disk has it now, where nothing is ahead of what was told. */
function gather({ files, network, timers, paths }: BackupParts, homeSeal?: Seal): Backup {
  const keys = loadKeys(paths.nodeKeys, homeSeal);
  const state = files.loadNetwork();
  if (keys === undefined || state === undefined)
    throw new WarrenError('home', `the key files of ${paths.root} are gone`, {
      hint: 'end the daemon, and restore the home from a backup: warren keys restore FILE',
    });
  return {
    time: timers.now(),
    isProtected: homeSeal !== undefined,
    keys,
    network: state,
    items: network.trust.items(),
    memory: files.loadMemory(),
    config: readConfigText(paths.config) ?? '',
  };
}
