/**
 * The test runner: every `*.test.js` below dist/test in a process of its own, a few at a time; totals summed over the
 * processes. `node dist/test/run.js [--full | --share] [WORD...]`: a WORD picks the files whose path contains it. --full
 * runs every test at full size, --share the seeded ones at a tenth of it.
 * The last line is `N passed, N failed, N skipped`; exit 1 when anything failed or nothing ran.
 */
import { spawn } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { readdirSync } from 'node:fs';
import { dirname, join, relative } from 'node:path';
import { fileURLToPath } from 'node:url';

const HERE = dirname(fileURLToPath(import.meta.url));
const FILE_DEADLINE_MS = 5 * 60_000;
const FILE_DEADLINE_FULL_MS = 60 * 60_000;
/** Tests with real daemons wait more than they compute. */
const PARALLEL = 4;
/** At full size they compute all the time. */
const PARALLEL_FULL = 2;
/** ... and what moves data between real daemons is judged against a peer beside it: it has the machine to itself. */
const ALONE_AT_FULL = 'e2e/';
/** What --share runs: the tests whose worth grows with the number of seeds tried. */
const SEEDED = ['fuzz/', 'session/property', 'simulate/'];

interface Totals {
  passed: number;
  failed: number;
  skipped: number;
}

interface Outcome extends Totals {
  readonly file: string;
  readonly output: string;
  readonly ms: number;
}

function testFiles(folder: string): string[] {
  return readdirSync(folder, { withFileTypes: true })
    .flatMap(entry => {
      const path = join(folder, entry.name);
      if (entry.isDirectory()) return testFiles(path);
      return entry.name.endsWith('.test.js') ? [path] : [];
    })
    .sort();
}

/** Reads uvu's closing lines; a file that prints none, or ran no test, counts as one failure. */
function readTotals(output: string, status: number | null): Totals {
  const number = (word: string): number | undefined => {
    const match = new RegExp(`^  ${word}:\\s+(\\d+)`, 'm').exec(output);
    return match?.[1] === undefined ? undefined : Number(match[1]);
  };
  const total = number('Total');
  const passed = number('Passed') ?? 0;
  const skipped = number('Skipped') ?? 0;
  if (total === undefined || total + skipped === 0) return { passed, failed: 1, skipped };
  const failed = total - passed;
  return { passed, failed: failed === 0 && status !== 0 ? 1 : failed, skipped };
}

function runFile(file: string, env: NodeJS.ProcessEnv, deadline: number): Promise<Outcome> {
  return new Promise(resolve => {
    const started = Date.now();
    const child = spawn(process.execPath, ['--enable-source-maps', '--expose-gc', file], {
      env,
      stdio: ['ignore', 'pipe', 'pipe'],
    });
    let output = '';
    const collect = (chunk: Buffer): void => {
      output += chunk.toString();
    };
    child.stdout.on('data', collect);
    child.stderr.on('data', collect);
    const timer = setTimeout(() => {
      output += `\n${relative(HERE, file)} is not done after ${deadline / 1000} s: killed\n`;
      child.kill('SIGKILL');
    }, deadline);
    child.on('close', status => {
      clearTimeout(timer);

      const plain = output.replace(/\u001b\[[0-9;]*m/g, '');
      resolve({ file: relative(HERE, file), output: plain, ms: Date.now() - started, ...readTotals(plain, status) });
    });
  });
}

function report(outcome: Outcome): void {
  const mark = outcome.failed > 0 ? 'FAIL' : 'ok  ';
  const skipped = outcome.skipped > 0 ? `, ${outcome.skipped} skipped` : '';
  console.log(`${mark} ${outcome.file} (${outcome.passed} passed${skipped}, ${(outcome.ms / 1000).toFixed(1)} s)`);
  if (outcome.failed > 0) console.log(outcome.output.trimEnd());
  // A note may stand behind the dots that uvu has drawn on the line so far.
  else for (const [told] of outcome.output.matchAll(/(?:skipped: needs |note: ).*/g)) console.log(`     ${told}`);
}

function sizeOf(full: boolean, share: boolean): NodeJS.ProcessEnv {
  if (full) return { WARREN_FULL: '1' };
  return share ? { WARREN_FULL: 'share' } : {};
}

async function main(): Promise<void> {
  const share = process.argv.includes('--share');
  const full = process.argv.includes('--full');
  const words = [...process.argv.slice(2).filter(a => !a.startsWith('--')), ...(share ? SEEDED : [])];
  const seed = process.env.WARREN_SEED ?? randomBytes(6).toString('hex');
  const env = { ...process.env, WARREN_SEED: seed, NO_COLOR: '1', ...sizeOf(full, share) };
  const files = testFiles(HERE).filter(f => words.length === 0 || words.some(w => relative(HERE, f).includes(w)));
  console.log(
    `${files.length} files, ${full ? 'full size' : share ? 'a share of full size' : 'small size'}, WARREN_SEED=${seed}`,
  );

  const sum: Totals = { passed: 0, failed: 0, skipped: 0 };
  const failedFiles: string[] = [];
  const worker = async (queue: string[]): Promise<void> => {
    for (let file = queue.shift(); file !== undefined; file = queue.shift()) {
      const outcome = await runFile(file, env, full || share ? FILE_DEADLINE_FULL_MS : FILE_DEADLINE_MS);
      report(outcome);
      sum.passed += outcome.passed;
      sum.failed += outcome.failed;
      sum.skipped += outcome.skipped;
      if (outcome.failed > 0) failedFiles.push(outcome.file);
    }
  };
  const isAlone = (file: string): boolean => full && relative(HERE, file).startsWith(ALONE_AT_FULL);
  const together = files.filter(file => !isAlone(file));
  await Promise.all(Array.from({ length: full || share ? PARALLEL_FULL : PARALLEL }, () => worker(together)));
  await worker(files.filter(isAlone));
  if (failedFiles.length > 0) console.log(`\nfailed: ${failedFiles.join(', ')}`);
  console.log(`\n${sum.passed} passed, ${sum.failed} failed, ${sum.skipped} skipped`);
  process.exitCode = sum.failed > 0 || sum.passed === 0 ? 1 : 0;
}

await main();
