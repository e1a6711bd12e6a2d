/** Where an invite comes from: the command line, standard input (`-`) or a file (`@FILE`). */
import { createReadStream } from 'node:fs';
import { resolve } from 'node:path';
import { WarrenError } from '../protocol/errors.js';
import type { World } from './world.js';

/** Longer than any token; a larger input is not read. */
const MAX_TOKEN_BYTES = 16 * 1024;

/**
 * @param argument TOKEN, `-` or `@FILE`
 * @returns the token without surrounding white space, not empty; the daemon judges the rest
 */
export async function readToken(world: World, argument: string): Promise<string> {
  const token = (await source(world, argument)).trim();
  if (token === '')
    throw new WarrenError('token', 'there is no token there', {
      hint: 'make one with `warren invite` on a host that is in the network',
    });
  return token;
}

async function source(world: World, argument: string): Promise<string> {
  if (argument === '-') return fromStdin(world);
  if (!argument.startsWith('@')) return argument;
  const path = resolve(world.cwd, argument.slice(1));
  try {
    return await readSome(createReadStream(path), false);
  } catch (error) {
    if (error instanceof WarrenError) throw error;
    const { code } = error as NodeJS.ErrnoException;
    const why =
      code === 'ENOENT' ? 'it does not exist' : code === 'EISDIR' ? 'it is a folder' : (code ?? String(error));
    throw new WarrenError('bad-value', `the token file ${path} cannot be read: ${why}`, {
      hint: 'write TOKEN itself, @FILE for a file, or - for standard input',
    });
  }
}

async function fromStdin(world: World): Promise<string> {
  const stdin = world.stdin();
  const terminal = stdin.isTTY === true;
  if (terminal) world.stderr.write('token: ');
  const text = await readSome(stdin, terminal);
  stdin.destroy();
  return text;
}

/** Reads to the end of the input; from a terminal, to the end of the line. */
async function readSome(input: NodeJS.ReadableStream, oneLine: boolean): Promise<string> {
  const chunks: Buffer[] = [];
  let bytes = 0;
  for await (const chunk of input as AsyncIterable<Buffer | string>) {
    const buffer = Buffer.from(chunk);
    chunks.push(buffer);
    bytes += buffer.length;
    if (bytes > MAX_TOKEN_BYTES)
      throw new WarrenError('token', 'this is longer than any token', {
        hint: 'a token is one line that begins with "warren1"',
      });
    if (oneLine && buffer.includes(0x0a)) break;
  }
  return Buffer.concat(chunks).toString('utf8');
}
