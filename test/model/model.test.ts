/** The Promela model of attach and resume (docs/model), explored completely by spin; each of its mutants is found. */
import { copyFileSync, mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { packageRoot, run } from '../helpers/hosts.js';
import { assert, isFull, suite } from '../helpers/suite.js';

const test = suite('the model of attach and resume');

const MODEL = join(packageRoot(), 'docs', 'model', 'attach-resume.pml');
const README = readFileSync(join(packageRoot(), 'docs', 'model', 'README.md'), 'utf8');
const NEEDS = ['spin', 'gcc'];

/** Memory of one exploration, MiB: pan gives up beyond it. */
const MEMORY_MIB = isFull ? 8_000 : 1_500;
const DEADLINE_MS = isFull ? 40 * 60_000 : 200_000;
/** Deepest way that pan follows, steps. */
const DEPTH = 100_000;

interface Exploration {
  readonly errors: number;
  readonly states: number;
  /** Nothing was left out. */
  readonly isComplete: boolean;
  readonly output: string;
}

interface Wish {
  /** look for ways that never end, instead of broken assertions and dead ends */
  readonly loops?: boolean;
  /** compiling takes longer than the search */
  readonly isQuick?: boolean;
}

/** Generates, compiles and runs the verifier in a folder of its own. */
async function explore(
  defines: readonly string[],
  { loops = false, isQuick = false }: Wish = {},
): Promise<Exploration> {
  const cwd = mkdtempSync(join(tmpdir(), 'warren-model-'));
  try {
    copyFileSync(MODEL, join(cwd, 'model.pml'));
    const generated = await run('spin', [...defines.map(d => `-D${d}`), '-a', 'model.pml'], { cwd });
    assert.is(generated.status, 0, generated.stdout + generated.stderr);
    assert.is(/error/i.test(generated.stdout + generated.stderr), false, generated.stdout);
    const flags = [
      isQuick ? '-O0' : '-O2',
      '-w',
      loops ? '-DNP' : '-DSAFETY',
      '-DCOLLAPSE',
      '-DNOFAIR',
      `-DMEMLIM=${MEMORY_MIB}`,
    ];
    const compiled = await run('gcc', [...flags, '-o', 'pan', 'pan.c'], { cwd });
    assert.is(compiled.status, 0, compiled.stderr);
    const { stdout } = await run(join(cwd, 'pan'), [`-m${DEPTH}`, '-n', ...(loops ? ['-l'] : [])], {
      cwd,
      deadline: DEADLINE_MS,
    });
    return read(stdout);
  } finally {
    rmSync(cwd, { recursive: true, force: true });
  }
}

function read(output: string): Exploration {
  const errors = /errors: (\d+)/.exec(output)?.[1];
  const states = /([\d.e+]+) states, stored/.exec(output)?.[1];
  assert.ok(errors !== undefined && states !== undefined, `pan did not come to an end:\n${output}`);
  const isComplete = !/search was not completed|max search depth too small|out of memory|truncated/i.test(output);
  return { errors: Number(errors), states: Number(states), isComplete, output };
}

const SMALL = ['SIZE0=1', 'SIZE1=1'];

/** What a size is good for, and what is explored then. The last ones take minutes. */
const SIZES: readonly (readonly [string, readonly string[]])[] = [
  ['two losses, a link after the other', ['LOSSES=2', 'EXTRA=0', ...SMALL]],
  ['a loss, two bytes each', ['LOSSES=1', 'EXTRA=0']],
  ['a loss, both streams of one opener', ['LOSSES=1', 'EXTRA=0', 'SAME', ...SMALL]],
  ['two links, two bytes each', ['LOSSES=0', 'EXTRA=1']],
  ['two links, of which one is lost', ['LOSSES=1', 'EXTRA=1', ...SMALL]],
];
const LARGE_SIZES: typeof SIZES = [
  ['three losses', ['LOSSES=3', 'EXTRA=0', ...SMALL]],
  ['two links, one of them taken for bad', ['LOSSES=0', 'EXTRA=1', 'TROUBLE=1', ...SMALL]],
  ['two links of which one is lost, both streams of one opener', ['LOSSES=1', 'EXTRA=1', 'SAME', ...SMALL]],
];

for (const [name, defines] of isFull ? [...SIZES, ...LARGE_SIZES] : SIZES) {
  test(
    `${name}: nothing is lost, doubled or stuck`,
    async () => {
      const { errors, states, isComplete, output } = await explore(defines, {
        isQuick: defines.includes('SAME') && !isFull,
      });
      assert.is(errors, 0, output);
      assert.ok(isComplete, output);
      console.log(`note: ${name}: ${states} states`);
    },
    { needs: NEEDS, deadline: DEADLINE_MS },
  );
}

test(
  'no way through the model goes round: whatever happens, it comes to its end',
  async () => {
    const { errors, isComplete, output } = await explore(['LOSSES=1', 'EXTRA=0', ...SMALL], {
      loops: true,
      isQuick: true,
    });
    assert.is(errors, 0, output);
    assert.ok(isComplete, output);
    assert.match(output, /non-progress cycles\s+\+/);
  },
  { needs: NEEDS, deadline: DEADLINE_MS },
);

const MUTANTS: Readonly<Record<string, readonly string[]>> = {
  RESUME_FROM_OWN: ['LOSSES=1', 'EXTRA=0', ...SMALL],
  NO_REWIND: ['LOSSES=1', 'EXTRA=1', ...SMALL],
  FORGET_OPEN: ['LOSSES=1', 'EXTRA=0', ...SMALL],
  FORGET_SOON: ['LOSSES=1', 'EXTRA=0', ...SMALL],
  TAKE_TWICE: ['LOSSES=1', 'EXTRA=0', ...SMALL],
  DATA_FIRST: ['LOSSES=0', 'EXTRA=1', ...SMALL],
  COMMIT_EARLY: ['LOSSES=2', 'EXTRA=0', ...SMALL],
  CONFIRM_ONCE: ['LOSSES=1', 'EXTRA=1', ...SMALL],
  NO_PAST: ['LOSSES=2', 'EXTRA=0', ...SMALL],
};

for (const [mutant, defines] of Object.entries(MUTANTS)) {
  test(
    `the mutant ${mutant} is found`,
    async () => {
      const { errors, output } = await explore([...defines, mutant], { isQuick: true });
      assert.is(errors, 1, output);
      assert.match(output, /assertion violated/);
    },
    { needs: NEEDS, deadline: DEADLINE_MS },
  );
}

test('model, README and this test name the same mutants', () => {
  const model = readFileSync(MODEL, 'utf8');
  const inModel = [...new Set([...model.matchAll(/^#if(?:n?)def ([A-Z_]+)$/gm)].map(m => m[1]!))];
  const sizes = new Set(['LOSSES', 'EXTRA', 'TROUBLE', 'DEPTH', 'SAME']);
  assert.equal(inModel.filter(name => !sizes.has(name)).sort(), Object.keys(MUTANTS).sort());
  const inReadme = [...README.matchAll(/^\| `([A-Z_]+)`/gm)].map(m => m[1]!);
  assert.equal(inReadme.sort(), Object.keys(MUTANTS).sort());
});

test.run();
