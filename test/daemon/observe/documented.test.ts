import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { parseConfig } from '../../../daemon/config/load.js';
import { LIMIT_RULES } from '../../../daemon/config/limits.js';
import { packageRoot } from '../../helpers/root.js';
import { assert, suite } from '../../helpers/suite.js';

const test = suite('docs/operations.md');

const ROOT = packageRoot();
const DOC = readFileSync(join(ROOT, 'docs/operations.md'), 'utf8');

function sources(folder: string): string[] {
  return readdirSync(folder, { withFileTypes: true }).flatMap(entry => {
    const path = join(folder, entry.name);
    if (entry.isDirectory()) return sources(path);
    return entry.name.endsWith('.ts') ? [readFileSync(path, 'utf8')] : [];
  });
}

/** First cells of the rows of the table that begins with the given header, their code words. */
function firstCells(header: string): Set<string> {
  const rows = DOC.slice(DOC.indexOf(header)).split('\n\n')[0]!.split('\n').slice(2);
  return new Set(rows.flatMap(row => [...row.split('|')[1]!.matchAll(/`([^`]+)`/g)].map(match => match[1]!)));
}

test('every event that the daemon logs is in the table, and no other', () => {
  const call = /\b(?:log|logger|repeats|alarmLog)\??\.(?:debug|info|warn|error)\(\s*'([a-z0-9-]+)'/g;
  const logged = new Set(
    sources(join(ROOT, 'daemon')).flatMap(source => [...source.matchAll(call)].map(match => match[1]!)),
  );
  assert.ok(logged.size > 30, `only ${logged.size} events were found in the sources`);
  const documented = firstCells('| event | level |');
  const missing = [...logged].filter(event => !documented.has(event));
  assert.equal(missing, [], 'events that are logged and not documented');
  // these are written through a helper of their room
  const elsewhere = new Set(['handshake', 'target-failed', 'stream-no-service', 'stream-limit', 'stream-draining']);
  const unknown = [...documented].filter(event => !logged.has(event) && !elsewhere.has(event));
  assert.equal(unknown, [], 'events that are documented and not logged');
});

const UNITS: Readonly<Record<string, number>> = { MiB: 2 ** 20, GiB: 2 ** 30 };

test('every limit is in the table with its default', () => {
  for (const [name, rule] of Object.entries(LIMIT_RULES)) {
    const row = DOC.split('\n').find(line => line.startsWith(`| \`${name}\` |`));
    assert.ok(row, name);
    const shown = row!.split('|')[2]!.trim();
    const [digits = '', unit] = shown.split(' ');
    const value = Number(digits.replace(',', '')) * (unit === undefined ? 1 : (UNITS[unit] ?? Number.NaN));
    assert.is(value, rule.value, name);
  }
});

test('the example config is one, and every key of it is described', () => {
  const [, example] = /```yaml\n([^]*?)```/.exec(DOC)!;
  const { config } = parseConfig(example!, 'docs/operations.md');
  assert.equal([config.services.size, config.tunnels.size, config.peers.length], [1, 1, 1]);
  const keys = firstCells('| key | default | takes effect |');
  for (const key of Object.keys(config.node)) assert.ok(keys.has(`node.${key}`), key);
  for (const key of Object.keys(config.services.get('payments')!)) assert.ok(keys.has(`services.NAME.${key}`), key);
  for (const key of ['peers', 'tunnels.SERVICE', 'tunnels.SERVICE.listen']) assert.ok(keys.has(key), key);
});

test('the unit names the restart code and needs nothing that the daemon lacks', () => {
  const unit = readFileSync(join(ROOT, 'docs/examples/warren.service'), 'utf8');
  assert.match(unit, /^RestartForceExitStatus=75$/m);
  assert.match(unit, /^NotifyAccess=all$/m);
  assert.match(unit, /^ExecStart=\/usr\/bin\/node (--\S+ )*\S+\/daemon\/main\.js --home \S+$/m);
});

test.run();
