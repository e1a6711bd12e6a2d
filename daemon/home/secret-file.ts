/** Reading files that only this user may read. */
import * as fs from 'node:fs';
import { fromUtf8 } from '../../protocol/bytes.js';
import { WarrenError } from '../../protocol/errors.js';
import { codeOf } from './atomic.js';
import { readable } from './home.js';

const OTHERS = 0o077;

/**
 * Reads a file that only this user may read. The mode is judged on the opened file, so it cannot be swapped between.
 * @param max bytes
 * @returns undefined when there is none
 * @throws WarrenError `home`
 */
export function readSecretFile(file: string, max: number, platform: string = process.platform): string | undefined {
  return readFile(file, max, platform !== 'win32');
}

/** The same for a file that a passphrase seals: others may read it. */
export function readSealedFile(file: string, max: number): string | undefined {
  return readFile(file, max, false);
}

function readFile(file: string, max: number, isPrivate: boolean): string | undefined {
  let fd: number;
  try {
    fd = fs.openSync(file, 'r');
  } catch (error) {
    if (codeOf(error) === 'ENOENT') return undefined;
    throw unusable(file, `it cannot be opened (${codeOf(error)})`, 'it must belong to the user that runs the daemon');
  }
  try {
    const stats = fs.fstatSync(fd);
    if (!stats.isFile()) throw unusable(file, 'it is not a file');
    if (isPrivate && (stats.mode & OTHERS) !== 0) throw readable(file, stats.mode);
    if (stats.size > max) throw unusable(file, `it has ${stats.size} bytes, at most ${max} are possible`);
    return textOf(file, fs.readFileSync(fd));
  } finally {
    fs.closeSync(fd);
  }
}

/** @throws WarrenError `home` when it is not UTF-8 */
export function textOf(file: string, bytes: Uint8Array): string {
  try {
    return fromUtf8(bytes);
  } catch {
    throw unusable(file, 'it is not UTF-8');
  }
}

/** The refusal of a file of the home. @param why begins small, with the file as "it" */
export function unusable(
  file: string,
  why: string,
  hint = 'restore it from a backup, or use another home: --home DIR',
): WarrenError {
  return new WarrenError('home', `${file} cannot be used: ${why}`, { hint });
}
