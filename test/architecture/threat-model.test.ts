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
  const rows = DOC.split('\n').filter(line => line.startsWith('| ') && !/^\| (He tries|He has|thief of) \|/.test(line));
  assert.ok(rows.length > 15);
  for (const row of rows) assert.ok(hasProof(row.split('|').at(-2)!), row);
  const attackers = DOC.slice(DOC.indexOf('## Attackers')).split('\n### ').slice(1);
  assert.ok(attackers.length > 7);
  for (const one of attackers) assert.ok(hasProof(one), one.split('\n')[0]);
});

test('each thief of keys: what he can do, until when, and how the owner recovers', () => {
  const table = DOC.slice(DOC.indexOf('| thief of |')).split('\n\n')[0]!;
  const thieves = table.split(/\n(?=\| \*\*)/).slice(1);
  const whose = ['running home', 'next-key file', 'backup', 'invite', 'network secret', 'admin', 'founder', 'relay'];
  for (const one of whose)
    assert.ok(
      thieves.some(rows => rows.split('|')[1]!.includes(one)),
      one,
    );
  for (const rows of thieves)
    for (const word of ['| can |', '| until', 'recovery |']) assert.ok(rows.includes(word), rows);
});

test.run();
