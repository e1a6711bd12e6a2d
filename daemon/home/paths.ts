/** What lies where in a home. Everything a daemon keeps is below one directory. */
import { homedir } from 'node:os';
import { join } from 'node:path';
import { adminSocketPath, resolveHome } from '../../protocol/admin/home.js';

export interface HomePaths {
  readonly root: string;
  /** the one configuration file */
  readonly config: string;
  /** folder of secrets: 0700, files 0600 */
  readonly keys: string;
  /** this node's private keys and its key log */
  readonly nodeKeys: string;
  /** network secrets and open invites */
  readonly networkKeys: string;
  /** a restore that is not finished */
  readonly restore: string;
  /** folder of what the daemon remembers */
  readonly state: string;
  /** ports got for `:0`, the registry version, removed peers */
  readonly memory: string;
  readonly socket: string;
  readonly pid: string;
  readonly log: string;
}

/** @param root absolute path of the home */
export function homePaths(root: string, platform: string = process.platform): HomePaths {
  const keys = join(root, 'keys');
  const state = join(root, 'state');
  return {
    root,
    config: join(root, 'config.yaml'),
    keys,
    nodeKeys: join(keys, 'node.json'),
    networkKeys: join(keys, 'network.json'),
    restore: join(keys, 'restore.json'),
    state,
    memory: join(state, 'memory.json'),
    socket: adminSocketPath(root, platform),
    pid: join(root, 'warren.pid'),
    log: join(root, 'warren.log'),
  };
}

/** The home of this process: --home, WARREN_HOME, or the platform's place. */
export function homeOf(home: string | undefined, env: NodeJS.ProcessEnv = process.env): string {
  return resolveHome({
    ...(home === undefined ? {} : { home }),
    env,
    homedir: homedir(),
    cwd: process.cwd(),
    platform: process.platform,
  });
}
