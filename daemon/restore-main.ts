/**
 * `warren keys restore` as a program: told by its parent what to restore where, it asks for the passphrase once everything else
 * is right, and tells how it went. It runs no daemon.
 */
import type { RestoreReply } from '../protocol/admin/programs.js';
import { WarrenError } from '../protocol/errors.js';
import { loadPrimitives } from '../protocol/crypto/load.js';
import { nodeIdText } from '../protocol/identity/node-id.js';
import { passphraseBytes } from './home/sealed.js';
import { restoreHome, type Restored } from './keys/restore.js';
import { askParent, restoreFromParent } from './lifecycle/start-request.js';
import { NodeTimers } from './transport/timers.js';

async function main(): Promise<void> {
  process.umask(0o077);
  try {
    if (process.send === undefined)
      throw new WarrenError('usage', 'this program is started by `warren keys restore`', { hint: 'run that' });
    const { home, file, passphrase, asks } = await restoreFromParent(process);
    const restored = await restoreHome(home, file, {
      primitives: await loadPrimitives(),
      clock: new NodeTimers(),
      passphrase: async () => {
        if (passphrase !== undefined) return passphraseBytes(passphrase);
        if (asks === undefined) throw noPassphrase(file);
        return passphraseBytes(await askParent(process, { kind: 'passphrase', purpose: 'open', of: file }));
      },
    });
    await tell(told(restored));
    process.exit(0);
  } catch (error) {
    const { code, message, hint } = known(error);
    await tell({ kind: 'failed', code, message, ...(hint === undefined ? {} : { hint }) });
    process.exit(1);
  }
}

function noPassphrase(file: string): WarrenError {
  return new WarrenError('passphrase', `${file} is protected by a passphrase, and none was given`, {
    hint: 'give it with --passphrase-file FILE, or run the command on a terminal, which asks for it',
  });
}

function told({ source, nodeId, seq, time, isProtected, keptConfig }: Restored): RestoreReply {
  const backupTime = time === undefined ? null : new Date(time).toISOString();
  return { kind: 'restored', source, node: nodeIdText(nodeId), seq, backupTime, protected: isProtected, keptConfig };
}

function known(error: unknown): WarrenError {
  if (error instanceof WarrenError) return error;
  const why = error instanceof Error ? error.message : String(error);
  return new WarrenError('internal', `the home could not be restored: ${why}`);
}

function tell(reply: RestoreReply): Promise<void> {
  return new Promise(resolve => {
    if (process.send === undefined || !process.connected) resolve();
    else process.send(reply, () => resolve());
  });
}

void main();
