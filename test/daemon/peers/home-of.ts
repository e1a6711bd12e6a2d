/** A daemon's rooms without its process: a home, a network and its peers, and a listener on loopback when asked for. */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { loadPrimitives } from '../../../protocol/crypto/load.js';
import { ReplayGuard } from '../../../protocol/handshake/replay.js';
import { createInception } from '../../../protocol/identity/statement.js';
import { ConfigFile } from '../../../daemon/config/edit.js';
import { startEdits } from '../../../daemon/config/start.js';
import { nodeFileOps } from '../../../daemon/home/atomic.js';
import { openHome } from '../../../daemon/home/home.js';
import { saveKeys } from '../../../daemon/home/keyfile.js';
import { StateFiles } from '../../../daemon/home/statefile.js';
import { Keyring } from '../../../daemon/keys/keyring.js';
import { assemble, type Parts } from '../../../daemon/parts.js';
import { listen, type Listener } from '../../../daemon/transport/listener.js';
import { NodeTimers } from '../../../daemon/transport/timers.js';
import { memoryLog, type Line } from '../transport/loopback.js';

export interface TestHome extends Parts {
  readonly lines: Line[];
  /** from now on every write fails, or works again */
  diskIsFull: boolean;
  /** files that were replaced */
  written: number;
  listen(): Promise<Listener>;
  close(): Promise<void>;
}

export async function homeOf(name: string): Promise<TestHome> {
  const root = mkdtempSync(join(tmpdir(), 'warren-p-'));
  const paths = openHome(root);
  const primitives = await loadPrimitives();
  const timers = new NodeTimers();
  const lines: Line[] = [];
  const made = createInception(primitives, { now: timers.now() });
  const configFile = new ConfigFile(paths.config);
  const start = { kind: 'start', home: root, foreground: true, name, mdns: false } as const;
  const ops = {
    ...nodeFileOps,
    write: (fd: number, bytes: Uint8Array, offset: number): number => {
      if (home.diskIsFull) throw Object.assign(new Error('full'), { code: 'ENOSPC' });
      return nodeFileOps.write(fd, bytes, offset);
    },
    rename: (from: string, to: string): void => {
      home.written++;
      nodeFileOps.rename(from, to);
    },
  };
  const listeners: Listener[] = [];
  const state = { diskIsFull: false, written: 0 };
  const home: TestHome = Object.assign(state as TestHome, { lines });
  const parts = assemble({
    paths,
    log: memoryLog(lines),
    primitives,
    timers,
    configFile,
    config: configFile.preview(startEdits(configFile.load(), start, name)),
    files: new StateFiles(paths, ops),
    keyring: new Keyring({
      primitives,
      timers,
      keys: {
        nodeId: made.nodeId,
        signingSeed: made.signing.privateKey,
        noisePrivate: made.noise.privateKey,
        nextSeed: made.next,
        statements: [made.statement],
      },
      save: keys => saveKeys(paths.nodeKeys, keys, ops),
    }),
  });
  return Object.assign(home, parts, {
    listen: async () => {
      const listener = await listen({
        addresses: ['127.0.0.1:0'],
        context: parts.network.context(),
        psks: () => parts.network.psks(),
        replay: new ReplayGuard(timers),
        timers,
        log: parts.log,
        onLink: link => parts.peers.accept(link),
      });
      listeners.push(listener);
      return listener;
    },
    close: async () => {
      for (const listener of listeners) await listener.close();
      parts.peers.stop('going-away');
      home.diskIsFull = false;
      rmSync(root, { recursive: true, force: true });
    },
  });
}
