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

/** A small tree with the given files besides a few good ones, judged by the project's own rules. */
function judge(files: Readonly<Record<string, string>>): { status: number | null; output: string } {
  const folder = mkdtempSync(join(tmpdir(), 'warren-imports-'));
  try {
    for (const name of ['.dependency-cruiser.cjs', 'tsconfig.json', 'package.json'])
      cpSync(join(ROOT, name), join(folder, name));
    symlinkSync(join(ROOT, 'node_modules'), join(folder, 'node_modules'));
    const good = [
      'protocol/session/session.ts',
      'protocol/admin/contract.ts',
      'protocol/errors.ts',
      'daemon/app.ts',
      'cli/main.ts',
    ];
    const all = { ...Object.fromEntries(good.map(path => [path, 'export const x = 1;\n'])), ...files };
    for (const [path, source] of Object.entries(all)) {
      mkdirSync(dirname(join(folder, path)), { recursive: true });
      writeFileSync(join(folder, path), source);
    }
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
    assert.ok(Number(modules?.[1]) > 200, `the check saw too few modules: ${output}`);
  },
  { deadline: 120_000 },
);

/** Each file breaks one rule. */
const BAD: Readonly<Record<string, readonly [rule: string, source: string]>> = {
  'protocol/to-daemon.ts': ['protocol-imports-nothing-of-ours', "export { x } from '../daemon/app.js';\n"],
  'protocol/to-net.ts': ['protocol-has-no-io', "import net from 'node:net';\nexport const y = net;\n"],
  'protocol/to-ws.ts': ['protocol-has-no-io', "import ws from 'ws';\nexport const y = ws;\n"],
  'protocol/session/to-crypto.ts': [
    'primitives-stand-behind-their-interface',
    "import { createHash } from 'node:crypto';\nexport const y = createHash;\n",
  ],
  'daemon/to-cli.ts': ['daemon-does-not-import-cli-or-test', "export { x } from '../cli/main.js';\n"],
  'cli/to-daemon.ts': ['cli-imports-the-admin-contract-only', "export { x } from '../daemon/app.js';\n"],
  'cli/to-session.ts': ['cli-imports-the-admin-contract-only', "export { x } from '../protocol/session/session.js';\n"],
  'daemon/to-dev.ts': ['no-dev-packages-in-the-product', "import fc from 'fast-check';\nexport const y = fc;\n"],
  'daemon/round.ts': ['no-circular', "import { b } from './trip.js';\nexport const a = () => b;\n"],
  'daemon/trip.ts': ['no-circular', "import { a } from './round.js';\nexport const b = () => a;\n"],
};

test(
  'every rule fires',
  () => {
    const { status, output } = judge(
      Object.fromEntries(Object.entries(BAD).map(([file, [, source]]) => [file, source])),
    );
    assert.is.not(status, 0);
    for (const [file, [rule]] of Object.entries(BAD)) {
      const told = output
        .split('\n')
        .some(line => line.includes(rule) && (line.includes(file) || rule === 'no-circular'));
      assert.ok(told, `${rule} for ${file}, in: ${output}`);
    }
  },
  { deadline: 60_000 },
);

test(
  'a clean tree passes',
  () => {
    const { status, output } = judge({ 'cli/good.ts': "export { x } from '../protocol/admin/contract.js';\n" });
    assert.is(status, 0, output);
  },
  { deadline: 60_000 },
);

test.run();
