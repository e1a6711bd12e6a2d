/** Which home a command works on, and where its admin socket lies: the rules are those that the daemon has. */
import { adminSocketPath, checkSocketPath, resolveHome } from '../protocol/admin/home.js';
import type { World } from './world.js';

/**
 * The home: `--home`, else WARREN_HOME, else the platform's folder for a program's data.
 * @param flag value of `--home`, undefined when not given
 * @returns absolute path; the folder may not exist yet
 */
export function homeOf({ env, homedir, cwd, platform }: World, flag: string | undefined): string {
  return resolveHome({ ...(flag === undefined ? {} : { home: flag }), env, homedir, cwd, platform });
}

/** The path of the home's admin socket; refused when no socket can have it. */
export function adminSocket({ platform }: World, home: string): string {
  const path = adminSocketPath(home, platform);
  checkSocketPath(path, platform);
  return path;
}
