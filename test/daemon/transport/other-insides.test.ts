/**
 * Where node looks different inside: links and local connections over node's own sockets do all that they do over thin
 * ones. splice.test.ts tries both kinds by itself.
 */
import { existsSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath, pathToFileURL } from 'node:url';
import type { DoctorReply } from '../../../protocol/admin/contract.js';
import { run, type Run } from '../../helpers/hosts.js';
import { suite, assert, full } from '../../helpers/suite.js';

const test = suite('a node whose insides look different');

const ROOT = join(dirname(fileURLToPath(import.meta.url)), '../../..');
const DEADLINE_MS = full(60_000, 600_000);

/** Compiled, or the source when this test runs from source. */
function program(name: string): string {
  const base = join(ROOT, name);
  return existsSync(`${base}.js`) ? `${base}.js` : `${base}.ts`;
}

function runOther(name: string, ...args: readonly string[]): Promise<Run> {
  const first = `--import=${pathToFileURL(program('test/helpers/other-insides')).href}`;
  return run(process.execPath, [...process.execArgv, first, program(name), ...args], { deadline: DEADLINE_MS });
}

for (const name of [
  'test/daemon/transport/link.test',
  'test/daemon/services/exposed.test',
  'test/daemon/services/tunnels.test',
])
  test(
    `${name} passes there`,
    async () => {
      const { status, stdout, stderr } = await runOther(name);
      assert.is(status, 0, `${stdout}${stderr}`);
      assert.match(stdout, /Passed: +[1-9]/);
    },
    { deadline: DEADLINE_MS },
  );

test('doctor tells the one from the other', async () => {
  const said = ({ stdout }: Run): string =>
    (JSON.parse(stdout) as DoctorReply).checks.find(check => check.name === 'node')?.message ?? '';
  const args = ['/nowhere'];
  const usual = await run(process.execPath, [...process.execArgv, program('daemon/doctor-main'), ...args]);
  assert.match(said(usual), /connections go without node's streams$/);
  assert.match(said(await runOther('daemon/doctor-main', ...args)), /connections go through node's streams, /);
});

test.run();
