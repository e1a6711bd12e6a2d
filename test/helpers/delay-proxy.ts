/** A long, wide path: TCP proxies in a process of their own that hold back what goes through, each way. */
import { fork } from 'node:child_process';
import { once } from 'node:events';
import { join } from 'node:path';
import { packageRoot, type Lab } from './hosts.js';

const CHILD = join(packageRoot(), 'dist', 'test', 'helpers', 'delay-proxy-child.js');

export interface PathOptions {
  /** ms, each way */
  readonly delayMs: number;
  /** of all connections together, each way */
  readonly bytesPerMs: number;
}

/** @param targets ports on 127.0.0.1. @returns the proxy's port for each of them, on 127.0.0.1 too */
export async function startDelayProxy(lab: Lab, path: PathOptions, targets: readonly number[]): Promise<number[]> {
  const args = [path.delayMs, path.bytesPerMs, ...targets].map(String);
  const child = fork(CHILD, args, { stdio: ['ignore', 'pipe', 'inherit', 'ipc'] });
  lab.keep(child);
  const [line] = (await once(child.stdout!, 'data')) as [Buffer];
  return line.toString().trim().split(' ').map(Number);
}
