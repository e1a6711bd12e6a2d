/** Starts the Python peers of this folder and answers what they ask of a KEM. */
import { spawn, spawnSync } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { fromHex, toHex } from '../../protocol/bytes.js';
import { packageRoot } from '../helpers/root.js';
import { secondMlKem768 } from '../helpers/second.js';

/** Debian installs its modules for this interpreter, whatever else is on PATH. */
const PYTHON = '/usr/bin/python3';

/** What the interop tests need; named so that a skipped test says what to install. */
export const NEEDS: readonly string[] =
  spawnSync(PYTHON, ['-c', 'import dissononce']).status === 0 ? [] : ['python3-dissononce'];

interface KemQuestion {
  readonly operation: 'generate' | 'encapsulate' | 'decapsulate';
  readonly seed?: string | null;
  readonly publicKey?: string;
  readonly message?: string | null;
  readonly privateKey?: string;
  readonly ciphertext?: string;
}

/** @noble/post-quantum, not the implementation that warren itself uses. */
function answer(question: KemQuestion): Record<string, string> {
  const bytes = (value: string | null | undefined, length = 0): Uint8Array =>
    typeof value === 'string' ? fromHex(value) : new Uint8Array(randomBytes(length));
  const hex = (fields: Record<string, Uint8Array>): Record<string, string> =>
    Object.fromEntries(Object.entries(fields).map(([key, value]) => [key, toHex(value)]));
  switch (question.operation) {
    case 'generate':
      return hex({ ...secondMlKem768.generate(bytes(question.seed, 64)) });
    case 'encapsulate':
      return hex(secondMlKem768.encapsulate(bytes(question.publicKey), bytes(question.message, 32)));
    case 'decapsulate':
      return hex({ secret: secondMlKem768.decapsulate(bytes(question.privateKey), bytes(question.ciphertext)) });
  }
}

/**
 * @param script file of this folder
 * @param input its first line on stdin
 * @returns what it prints as `done`
 */
export function python<T>(script: string, input: string): Promise<T> {
  return new Promise((resolve, reject) => {
    const file = join(packageRoot(), 'test', 'interop', script);
    const child = spawn(PYTHON, ['-B', file], { stdio: ['pipe', 'pipe', 'pipe'] });
    let result: { done: T } | undefined;
    let errors = '';
    child.stderr.on('data', (chunk: Buffer) => (errors += chunk.toString()));
    createInterface({ input: child.stdout }).on('line', line => {
      const said = JSON.parse(line) as { done: T } | KemQuestion;
      if ('done' in said) result = said;
      else child.stdin.write(`${JSON.stringify(answer(said))}\n`);
    });
    child.on('error', reject);
    child.on('close', () => {
      if (result === undefined) reject(new Error(`${script} failed: ${errors}`));
      else resolve(result.done);
    });
    child.stdin.on('error', () => undefined);
    child.stdin.write(`${input}\n`);
  });
}
