/**
 * `npm run vectors` runs all vector files of this folder on both implementations of each primitive;
 * `npm run vectors -- FILE` runs one file in the cacophony/snow format on warren's own choice of primitives.
 * The last line is `N passed, N failed`. Exit 0 when nothing failed, 1 when something did or FILE cannot be read, 2 for
 * a command line that cannot be understood.
 */
import { existsSync, readFileSync } from 'node:fs';
import { resolve } from 'node:path';
import { loadPrimitives } from '../../protocol/crypto/load.js';
import { noiseRuns, primitiveRuns } from './all.js';
import type { Run } from './all.js';
import { isJson, runNoiseVectors } from './noise.js';

const SHOWN_FAILURES = 20;

class Refusal extends Error {
  constructor(
    sentence: string,
    readonly exitCode: 1 | 2,
  ) {
    super(sentence);
  }
}

/** npm runs scripts in the package's folder and says in INIT_CWD where the user stands. */
function pathOf(file: string): string {
  const fromUser = resolve(process.env['INIT_CWD'] ?? '.', file);
  return existsSync(fromUser) ? fromUser : resolve(file);
}

function readVectors(file: string): readonly unknown[] {
  let json: unknown;
  try {
    json = JSON.parse(readFileSync(pathOf(file), 'utf8'));
  } catch (error) {
    const why = error instanceof SyntaxError ? 'is not JSON' : 'cannot be read';
    throw new Refusal(`${file} ${why}.`, 1);
  }
  const vectors = isJson(json) ? json['vectors'] : json;
  if (!Array.isArray(vectors)) throw new Refusal(`${file} is not a file of Noise vectors.`, 1);
  return vectors;
}

async function plan(args: readonly string[]): Promise<Run[]> {
  const [file, ...more] = args;
  if (more.length > 0 || file?.startsWith('-')) throw new Refusal('Usage: npm run vectors [-- FILE]', 2);
  if (file === undefined) return [...(await noiseRuns()), ...primitiveRuns()];
  const vectors = readVectors(file);
  const primitives = await loadPrimitives();
  return [{ title: file, run: () => runNoiseVectors(vectors, primitives) }];
}

function execute(runs: readonly Run[]): number {
  let passed = 0;
  let failed = 0;
  for (const { title, run } of runs) {
    const outcome = run();
    passed += outcome.passed;
    failed += outcome.failures.length;
    console.log(`${title}: ${outcome.passed} of ${outcome.passed + outcome.failures.length}`);
    for (const line of outcome.failures.slice(0, SHOWN_FAILURES)) console.log(`  ${line}`);
    const hidden = outcome.failures.length - SHOWN_FAILURES;
    if (hidden > 0) console.log(`  and ${hidden} more`);
  }
  console.log(`${passed} passed, ${failed} failed`);
  return failed === 0 ? 0 : 1;
}

try {
  process.exitCode = execute(await plan(process.argv.slice(2)));
} catch (error) {
  if (!(error instanceof Refusal)) throw error;
  console.error(error.message);
  process.exitCode = error.exitCode;
}
