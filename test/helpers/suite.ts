/**
 * The test harness: uvu, with a deadline on every test that names it, skips that say why, and seeds.
 * A test file calls `suite(name)`, adds tests, ends with `.run()`, and runs alone under node.
 */
import { suite as uvuSuite } from 'uvu';
import * as assert from 'uvu/assert';
import { accessSync, constants } from 'node:fs';
import { randomBytes } from 'node:crypto';
import { delimiter, join } from 'node:path';

export { assert };

/** Full sizes are asked for by `npm run test:full`. */
export const isFull = process.env.WARREN_FULL === '1';

/** `npm run test:share` asks for a tenth of the full sizes, with fresh seeds. */
const isShare = process.env.WARREN_FULL === 'share';
const SHARE = 0.1;

/** The small size for `npm test`, the big one for `npm run test:full`; a share of a number in between. */
export function full<T>(small: T, big: T): T {
  if (isFull) return big;
  if (!isShare || typeof small !== 'number' || typeof big !== 'number') return small;
  return Math.max(small, Math.round(big * SHARE)) as T & number;
}

/** The seed of this run: WARREN_SEED, or a fresh one. Printed by the harness when a test fails. */
const SEED = process.env.WARREN_SEED ?? randomBytes(6).toString('hex');

export function seed(): string {
  return SEED;
}

/** True if `program` is on PATH (or in the sbin folders, where servers live). */
export function has(program: string): boolean {
  const folders = [...(process.env.PATH ?? '').split(delimiter), '/usr/sbin', '/sbin', '/usr/local/sbin'];
  return folders.some(folder => {
    try {
      accessSync(join(folder, program), constants.X_OK);
      return true;
    } catch {
      return false;
    }
  });
}

export interface TestOptions {
  /** ms until the test fails by name; default 60 s */
  readonly deadline?: number;
  /** programs that must be on PATH, or 'root'; else the test is skipped and says so */
  readonly needs?: readonly string[];
  /** left out of `npm test`: what it shows is dear, and shown there another way; `npm run test:full` runs it */
  readonly size?: 'full';
}

const DEFAULT_DEADLINE_MS = 60_000;

export interface Suite {
  (name: string, body: () => void | Promise<void>, options?: TestOptions): void;
  before(body: () => void | Promise<void>): void;
  after(body: () => void | Promise<void>): void;
  run(): void;
}

function missing(needs: readonly string[]): string | undefined {
  return needs.find(need => (need === 'root' ? process.getuid?.() !== 0 : !has(need)));
}

/** @param title the behaviour under test, in words */
export function suite(title: string): Suite {
  const inner = uvuSuite(title);
  const add = (name: string, body: () => void | Promise<void>, options: TestOptions = {}): void => {
    if (options.size === 'full' && !isFull) return;
    const lacks = missing(options.needs ?? []);
    if (lacks !== undefined) {
      console.log(`skipped: needs ${lacks} (${title}: ${name})`);
      inner.skip(name, () => undefined);
      return;
    }
    inner(name, async () => {
      const deadline = options.deadline ?? DEFAULT_DEADLINE_MS;
      let timer: NodeJS.Timeout | undefined;
      const late = new Promise<never>((_, reject) => {
        timer = setTimeout(() => reject(new Error(`"${title}: ${name}" is not done after ${deadline} ms`)), deadline);
      });
      try {
        await Promise.race([body(), late]);
      } catch (error) {
        console.log(`failed with WARREN_SEED=${SEED} (${title}: ${name})`);
        throw error;
      } finally {
        clearTimeout(timer);
      }
    });
  };
  return Object.assign(add, {
    before: (body: () => void | Promise<void>) => void inner.before(async () => body()),
    after: (body: () => void | Promise<void>) => void inner.after(async () => body()),
    run: () => inner.run(),
  });
}
