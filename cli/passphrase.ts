/**
 * Passphrases: from a file or a descriptor, or typed on a terminal, where nothing of them is shown. Never from an argument or
 * the environment, which others can read.
 */
import { closeSync, constants, fstatSync, openSync, readSync } from 'node:fs';
import { relative, resolve, isAbsolute } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { isatty } from 'node:tty';
import type { PassphraseQuestion } from '../protocol/admin/programs.js';
import { WarrenError } from '../protocol/errors.js';
import { interrupted } from './context.js';
import type { World } from './world.js';

/** As the daemon has it; and a line end. */
const MAX_FILE_BYTES = 1024 + 2;
const OTHERS = 0o077;
const RETRY_MS = 20;

/**
 * Reads a passphrase file: FILE, /dev/fd/N, or `-` for standard input. One line end at its end is left out.
 * @returns undefined when it is a terminal: then a person is to be asked
 * @throws WarrenError `passphrase`; a file that others can read is refused, unless it is a pipe or one of systemd's credentials
 */
export async function readPassphraseFile(world: World, argument: string): Promise<string | undefined> {
  const path = argument === '-' ? 'standard input' : resolve(world.cwd, argument);
  const fd = open(argument, path);
  try {
    if (isatty(fd)) return undefined;
    checkMode(world, fd, path);
    return textOf(await readSome(fd, path), path);
  } finally {
    if (descriptorOf(argument) === undefined) closeSync(fd);
  }
}

/** An open descriptor is used as it is: opening /dev/fd/N anew does not work for every kind. */
function descriptorOf(argument: string): number | undefined {
  if (argument === '-') return 0;
  const match = /^\/(?:dev|proc\/self)\/fd\/(\d{1,6})$/.exec(argument);
  return match === null ? undefined : Number(match[1]);
}

function open(argument: string, path: string): number {
  const fd = descriptorOf(argument);
  try {
    if (fd === undefined) return openSync(path, constants.O_RDONLY);
    fstatSync(fd);
    return fd;
  } catch (error) {
    throw unreadable(path, error);
  }
}

function unreadable(path: string, error: unknown): WarrenError {
  const code = (error as NodeJS.ErrnoException).code ?? String(error);
  const words: Readonly<Record<string, string>> = {
    ENOENT: 'it does not exist',
    EISDIR: 'it is a folder',
    EACCES: 'permission denied',
    EBADF: 'that descriptor is not open',
  };
  return new WarrenError('passphrase', `the passphrase cannot be read from ${path}: ${words[code] ?? code}`, {
    hint: 'name a file, /dev/fd/N for an open descriptor, or - for standard input',
  });
}

function checkMode(world: World, fd: number, path: string): void {
  const stats = fstatSync(fd);
  if (stats.isDirectory()) throw unreadable(path, { code: 'EISDIR' });
  if (world.platform === 'win32' || !stats.isFile() || (stats.mode & OTHERS) === 0) return;
  if (isCredential(world, path)) return;
  const mode = (stats.mode & 0o777).toString(8).padStart(4, '0');
  throw new WarrenError('passphrase', `others can read the passphrase file ${path} (mode ${mode})`, {
    hint: `choose a new passphrase if others may have seen it, and run: chmod 600 ${path}`,
  });
}

/** systemd guards that folder itself, whatever the modes in it are. */
function isCredential({ env }: World, path: string): boolean {
  const folder = env.CREDENTIALS_DIRECTORY ?? '';
  if (folder === '') return false;
  const within = relative(folder, path);
  return within !== '' && !within.startsWith('..') && !isAbsolute(within);
}

async function readSome(fd: number, path: string): Promise<Buffer> {
  const buffer = Buffer.alloc(MAX_FILE_BYTES + 1);
  let length = 0;
  for (;;) {
    const got = await readOnce(fd, path, buffer.subarray(length));
    if (got === 0) return buffer.subarray(0, length);
    length += got;
    if (length > MAX_FILE_BYTES)
      throw new WarrenError('passphrase', `${path} is longer than any passphrase (${MAX_FILE_BYTES - 2} bytes)`, {
        hint: 'is it the right file?',
      });
  }
}

async function readOnce(fd: number, path: string, into: Buffer): Promise<number> {
  for (;;) {
    try {
      return readSync(fd, into);
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code === 'EOF') return 0;
      if ((error as NodeJS.ErrnoException).code !== 'EAGAIN') throw unreadable(path, error);
      await sleep(RETRY_MS);
    }
  }
}

function textOf(bytes: Buffer, path: string): string {
  let text: string;
  try {
    text = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true }).decode(bytes);
  } catch {
    throw new WarrenError('passphrase', `${path} is not UTF-8 text`, { hint: 'is it the right file?' });
  } finally {
    bytes.fill(0);
  }
  const passphrase = text.replace(/\r?\n$/, '');
  if (passphrase !== '') return passphrase;
  throw new WarrenError('passphrase', `there is no passphrase in ${path}`, { hint: 'write one into it' });
}

/** The refusal of a terminal at which no question can be put. */
export function nobodyToAsk(argument: string): WarrenError {
  return new WarrenError('passphrase', `${argument} is a terminal, and nobody can be asked there`, {
    hint: 'leave standard input and standard error on the terminal, or name a file',
  });
}

/** Asks the person at the terminal; a new passphrase twice. @throws WarrenError `passphrase`; Ended after Ctrl-C */
export async function askPassphrase(
  world: World,
  { purpose, of }: Pick<PassphraseQuestion, 'purpose' | 'of'>,
): Promise<string> {
  if (purpose === 'open') return typed(world, `passphrase of ${of}`);
  const first = await typed(world, `new passphrase for ${of}`);
  if (first === (await typed(world, 'the same again'))) return first;
  throw new WarrenError('passphrase', 'the two passphrases differ', { hint: 'try again; nothing has changed' });
}

/**
 * The passphrase of a file that is written or read: from `--passphrase-file`, else typed.
 * @param argument value of the option, undefined when not given
 */
export async function passphraseFor(
  world: World,
  argument: string | undefined,
  question: Pick<PassphraseQuestion, 'purpose' | 'of'>,
): Promise<string> {
  const read = argument === undefined ? undefined : await readPassphraseFile(world, argument);
  if (read !== undefined) return read;
  if (world.interactive) return askPassphrase(world, question);
  if (argument !== undefined) throw nobodyToAsk(argument);
  throw new WarrenError('passphrase', `no passphrase was given for ${question.of}`, {
    hint: 'give it with --passphrase-file FILE, or run the command on a terminal, which asks for it',
  });
}

const ENTER = /[\r\n]/;
const CTRL_C = '\u0003';
const CTRL_D = '\u0004';
const CTRL_U = '\u0015';
const BACKSPACES = ['\u0008', '\u007f'];
/** What arrow and function keys send. */
const ESCAPE_SEQUENCE = /\u001b(?:\[[0-9;]*[A-Za-z~]|O[A-Z]|.)?/g;

/** One line from the terminal, which does not show it. */
async function typed(world: World, question: string): Promise<string> {
  const stdin = world.stdin();
  if (!stdin.readable) throw nobodyToAsk('standard input');
  world.stderr.write(`${question}: `);
  return new Promise((resolve, reject) => {
    let line = '';
    const done = (rest: string): void => {
      stdin.off('data', take);
      stdin.off('end', ended);
      stdin.pause();
      stdin.setRawMode?.(false);
      world.stderr.write('\n');
      if (rest !== '') stdin.unshift(Buffer.from(rest));
    };
    const ended = (): void => {
      done('');
      reject(new WarrenError('passphrase', 'no passphrase was typed', { hint: 'try again' }));
    };
    const take = (chunk: Buffer | string): void => {
      const chars = [...chunk.toString().replace(ESCAPE_SEQUENCE, '')];
      for (const [i, char] of chars.entries()) {
        const rest = chars.slice(i + 1).join('');
        if (char === CTRL_C) {
          done('');
          return reject(interrupted());
        }
        if (char === CTRL_D && line === '') return ended();
        if (ENTER.test(char)) {
          done(char === '\r' ? rest.replace(/^\n/, '') : rest);
          return resolve(line);
        }
        if (char === CTRL_U) line = '';
        else if (BACKSPACES.includes(char)) line = [...line].slice(0, -1).join('');
        else if (char >= ' ') line += char;
      }
    };
    stdin.setRawMode?.(true);
    stdin.on('data', take);
    stdin.once('end', ended);
    stdin.resume();
  });
}
