/** docs/threat-model.md names tests that exist, and leaves no claim without one or without the word "argued". */
import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { packageRoot } from '../helpers/root.js';
import { assert, suite } from '../helpers/suite.js';

const test = suite('docs/threat-model.md');

const ROOT = packageRoot();
const DOC = readFileSync(join(ROOT, 'docs/threat-model.md'), 'utf8');

test('every test that is named exists', () => {
  const named = [...DOC.matchAll(/`(test\/[^`]+)`/g)].map(match => match[1]!);
  assert.ok(named.length > 30);
  for (const path of named) {
    assert.match(path, /\.test\.ts$/);
    assert.ok(existsSync(join(ROOT, path)), `${path} is not there`);
  }
});

test('every row of a table and every kind of attacker names a test or says that it is argued', () => {
  const hasProof = (text: string): boolean => /`test\/|\*argued\*/i.test(text);
  const rows = DOC.split('\n').filter(line => line.startsWith('| ') && !/^\| He (tries|has) \|/.test(line));
  assert.ok(rows.length > 15);
  for (const row of rows) assert.ok(hasProof(row.split('|')[3]!), row);
  const attackers = DOC.slice(DOC.indexOf('## Attackers')).split('\n### ').slice(1);
  assert.ok(attackers.length > 7);
  for (const one of attackers) assert.ok(hasProof(one), one.split('\n')[0]);
});

test.run();
