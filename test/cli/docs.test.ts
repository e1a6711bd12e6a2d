/** docs/cli.md names every command, every flag and every key of the replies, and no command that is not there. */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import type { Command } from 'commander';
import { assert, suite } from '../helpers/suite.js';
import { buildCommandLine } from '../../cli/command-line.js';
import { packageRoot } from '../helpers/hosts.js';
import { fakeWorld } from './run-cli.js';
import { replies } from './samples.js';

const test = suite('cli: docs');
const text = readFileSync(join(packageRoot(), 'docs', 'cli.md'), 'utf8');
const sections = new Map(
  text
    .split(/^### /m)
    .slice(1)
    .map(section => [section.slice(0, section.indexOf('\n')), section] as const),
);

function leaves(command: Command, words: readonly string[]): [string, Command][] {
  const path = [...words, command.name()];
  if (command.commands.length === 0) return [[path.join(' '), command]];
  return command.commands.flatMap(sub => leaves(sub, path));
}

const program = buildCommandLine(fakeWorld([]));
const commands = leaves(program, []).filter(([, command]) =>
  program
    .createHelp()
    .visibleCommands(command.parent ?? program)
    .includes(command),
);

function sectionOf(path: string): string | undefined {
  return [...sections].find(([heading]) => heading.includes(`\`${path}\``) || heading.includes(`\`${path} `))?.[1];
}

for (const [path, command] of commands)
  test(`${path}: a section with its options`, () => {
    const section = sectionOf(path);
    assert.ok(section !== undefined, `docs/cli.md has no section on ${path}`);
    for (const option of command.options) {
      if (option.long === '--home') continue;
      if (option.long === '--json' && /`--json`/.test(section)) continue;
      assert.match(section, option.long ?? '', `${path} ${option.long}`);
    }
  });

test('no section on a command that is not there', () => {
  const known = new Set(commands.map(([path]) => path));
  for (const heading of sections.keys()) {
    const words = /^`(warren(?: [a-z-]+)+)/.exec(heading)?.[1] ?? '';
    assert.ok(known.has(words), heading);
  }
});

test('the keys of every reply', () => {
  const keys = (value: unknown): string[] => {
    if (Array.isArray(value)) return value.flatMap(keys);
    if (typeof value !== 'object' || value === null) return [];
    return Object.entries(value).flatMap(([key, inner]) => [key, ...keys(inner)]);
  };
  for (const key of new Set(Object.values(replies).flatMap(keys)))
    if (key !== 'done') assert.match(text, new RegExp(`[\`"]${key}[\`"\\[]`), key);
});

test.run();
