/** The import rules hold, and the check that says so really fires. */
import { spawnSync } from 'node:child_process';
import { cpSync, mkdirSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { suite, assert } from '../helpers/suite.js';

const ROOT = packageRoot();
const test = suite('import directions');

/** The folder of package.json, from the source tree as well as from dist/. */
function packageRoot(): string {
  const here = dirname(fileURLToPath(import.meta.url));
  return here.includes(`${join('dist', 'test')}`) ? join(here, '..', '..', '..') : join(here, '..', '..');
}

function cruise(folder: string): { status: number | null; output: string } {
  const bin = join(ROOT, 'node_modules', 'dependency-cruiser', 'bin', 'dependency-cruise.mjs');
  const args = [bin, '--config', '.dependency-cruiser.cjs', '--output-type', 'err', 'protocol', 'daemon', 'cli'];
  const result = spawnSync(process.execPath, args, { cwd: folder, encoding: 'utf8' });
  return { status: result.status, output: result.stdout + result.stderr };
}

/** A small tree with one bad import, judged by the project's own rules. */
function judge(file: string, source: string): { status: number | null; output: string } {
  const folder = mkdtempSync(join(tmpdir(), 'warren-imports-'));
  try {
    for (const name of ['.dependency-cruiser.cjs', 'tsconfig.json', 'package.json'])
      cpSync(join(ROOT, name), join(folder, name));
    symlinkSync(join(ROOT, 'node_modules'), join(folder, 'node_modules'));
    for (const room of ['protocol/session', 'protocol/admin', 'daemon', 'cli'])
      mkdirSync(join(folder, room), { recursive: true });
    for (const path of [
      'protocol/session/session.ts',
      'protocol/admin/contract.ts',
      'protocol/errors.ts',
      'daemon/app.ts',
      'cli/main.ts',
    ])
      writeFileSync(join(folder, path), 'export const x = 1;\n');
    writeFileSync(join(folder, file), source);
    return cruise(folder);
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

test(
  'the project keeps its own rules',
  () => {
    const { status, output } = cruise(ROOT);
    assert.is(status, 0, output);
    const modules = /\((\d+) modules/.exec(output);
    assert.ok(Number(modules?.[1]) > 60, `the check saw too few modules: ${output}`);
  },
  { deadline: 120_000 },
);

const BAD: readonly [rule: string, file: string, source: string][] = [
  [
    'protocol-imports-nothing-of-ours',
    'protocol/bad.ts',
    "import { x } from '../daemon/app.js';\nexport const y = x;\n",
  ],
  ['protocol-has-no-io', 'protocol/bad.ts', "import net from 'node:net';\nexport const y = net;\n"],
  ['protocol-has-no-io', 'protocol/bad.ts', "import ws from 'ws';\nexport const y = ws;\n"],
  [
    'primitives-stand-behind-their-interface',
    'protocol/session/bad.ts',
    "import { createHash } from 'node:crypto';\nexport const y = createHash;\n",
  ],
  ['daemon-does-not-import-cli-or-test', 'daemon/bad.ts', "import { x } from '../cli/main.js';\nexport const y = x;\n"],
  ['cli-imports-the-admin-contract-only', 'cli/bad.ts', "import { x } from '../daemon/app.js';\nexport const y = x;\n"],
  [
    'cli-imports-the-admin-contract-only',
    'cli/bad.ts',
    "import { x } from '../protocol/session/session.js';\nexport const y = x;\n",
  ],
  ['no-dev-packages-in-the-product', 'daemon/bad.ts', "import fc from 'fast-check';\nexport const y = fc;\n"],
  ['no-circular', 'daemon/bad.ts', "import { z } from './worse.js';\nexport const y = () => z;\n"],
];

for (const [rule, file, source] of BAD) {
  test(
    `${rule} fires on ${file}: ${source.split('\n')[0]}`,
    () => {
      const extra = rule === 'no-circular' ? judgeCircle(file, source) : judge(file, source);
      assert.is.not(extra.status, 0);
      assert.match(extra.output, rule);
    },
    { deadline: 60_000 },
  );
}

function judgeCircle(file: string, source: string): { status: number | null; output: string } {
  return judge(
    file,
    `${source.replace('./worse.js', './app.js').replace('{ z }', '{ x as z }')}`.concat(
      "export { w } from './bad.js';\nexport const w = 1;\n",
    ),
  );
}

test(
  'a clean tree passes',
  () => {
    const { status, output } = judge(
      'cli/good.ts',
      "import { x } from '../protocol/admin/contract.js';\nexport const y = x;\n",
    );
    assert.is(status, 0, output);
  },
  { deadline: 60_000 },
);

test.run();
