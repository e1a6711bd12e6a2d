/** Throw-away folders for tests of the home. */
import { mkdtempSync, rmSync, statSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

/** A fresh folder of mode 0700 with a short path (socket paths are limited), removed after `body`. */
export async function withFolder<T>(body: (folder: string) => T | Promise<T>): Promise<T> {
  const folder = mkdtempSync(join(tmpdir(), 'w-'));
  try {
    return await body(folder);
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

/** Permission bits as text, e.g. '600'. */
export function modeOf(path: string): string {
  return (statSync(path).mode & 0o777).toString(8);
}
