/**
 * docs/protocol.md lists every frame, code, item kind, label and constant of the code with its number, and none that is
 * not there.
 */
import { readFileSync, readdirSync } from 'node:fs';
import { dirname, join, relative } from 'node:path';
import { fileURLToPath, pathToFileURL } from 'node:url';
import { CODES } from '../../protocol/codes.js';
import { FEATURES } from '../../protocol/handshake/payload.js';
import { PROTOCOLS, SUITES } from '../../protocol/handshake/preface.js';
import { ROLE_ACTIONS } from '../../protocol/identity/role.js';
import { FORMATS } from '../../protocol/identity/shelves.js';
import { REASONS } from '../../protocol/identity/statement.js';
import { ITEM_KINDS, MAX_ITEM_BYTES } from '../../protocol/identity/trust-item.js';
import { DEFAULT_LIMITS, type Rate } from '../../protocol/limits.js';
import { FRAME, STREAM_CLASSES } from '../../protocol/link/frame.js';
import { packageRoot } from '../helpers/root.js';
import { assert, suite } from '../helpers/suite.js';

const inner = suite('docs/protocol.md: the tables');
const test = (name: string, body: () => void | Promise<void>): void => inner(name, body, { deadline: 10_000 });
const PROTOCOL = join(dirname(fileURLToPath(import.meta.url)), '..', '..', 'protocol');
const text = readFileSync(join(packageRoot(), 'docs', 'protocol.md'), 'utf8');

/** The cells of the table rows below a heading, up to the next heading; code marks are taken off. */
function rows(heading: string): string[][] {
  const start = text.split('\n').findIndex(line => line.replace(/^#+ /, '') === heading && line.startsWith('#'));
  if (start < 0) throw new Error(`no heading "${heading}"`);
  const lines = text.split('\n').slice(start + 1);
  const end = lines.findIndex(line => line.startsWith('#'));
  const table = lines.slice(0, end < 0 ? undefined : end).filter(line => line.startsWith('|'));
  const cells = table.map(line => line.split('|').slice(1, -1).map(cell => cell.trim().replaceAll('`', ''))); // prettier-ignore
  return cells.filter(row => !/^-+$/.test(row[0]!)).slice(1);
}

/** First column → second column. */
function pairs(heading: string): Map<string, string> {
  const found = new Map(rows(heading).map(row => [row[0]!, row[1]!]));
  assert.is(found.size, rows(heading).length, `${heading}: a row twice`);
  return found;
}

const UNITS: Readonly<Record<string, number>> = {
  '': 1, 'KiB': 1024, 'MiB': 1024 ** 2, 'ms': 1, 's': 1000, 'min': 60_000, 'h': 3_600_000, 'd': 86_400_000,
}; // prettier-ignore

/** "4 KiB", "30 d", "2^53-1", "65535": in bytes or ms. */
function numberIn(cell: string): number {
  const power = /^2\^(\d+)(?:-(\d+))?$/.exec(cell);
  if (power) return 2 ** Number(power[1]) - Number(power[2] ?? 0);
  const plain = /^(\d+(?:\.\d+)?) ?([A-Za-z]*)$/.exec(cell);
  return Number(plain?.[1]) * (UNITS[plain?.[2] ?? '?'] ?? Number.NaN);
}

const hex = (n: number, digits: number): string => `0x${n.toString(16).padStart(digits, '0')}`;
const sorted = (entries: Iterable<readonly [string, string]>): string[] => [...entries].map(e => e.join(' ')).sort();

test('frames', () => {
  assert.equal(sorted(pairs('Frames')), sorted(Object.entries(FRAME).map(([name, n]) => [hex(n, 2), name] as const)));
});

test('codes', () => {
  const inCode = Object.entries(CODES).map(([name, n]) => [hex(n, 4), name] as const);
  assert.equal(sorted(pairs('Codes')), sorted(inCode));
  for (const [, name, meaning] of rows('Codes')) assert.ok((meaning ?? '').length > 3, `${name}: no meaning`);
});

test('suites, features, reasons, actions', () => {
  assert.equal(
    sorted(pairs('Suites')),
    sorted(Object.entries(SUITES).map(([name, n]) => [String(n), PROTOCOLS[name as keyof typeof SUITES]] as const)),
  );
  assert.equal(sorted(pairs('Features')), sorted(Object.entries(FEATURES).map(([f, n]) => [String(n), f] as const)));
  assert.equal(sorted(pairs('Reasons')), sorted(REASONS.map((reason, i) => [String(i), reason] as const)));
  assert.equal(sorted(pairs('Actions')), sorted(ROLE_ACTIONS.map((action, i) => [String(i), action] as const)));
});

test('stream classes', () => {
  assert.equal(sorted(pairs('Stream classes')), sorted(STREAM_CLASSES.map((name, n) => [String(n), name] as const)));
});

test('item kinds with their longest encodings', () => {
  const found = rows('Items').map(([n, kind, max]) => [`${n} ${kind}`, String(numberIn(max!))] as const);
  const inCode = Object.entries(ITEM_KINDS).map(
    ([kind, n]) => [`${n} ${kind}`, String(MAX_ITEM_BYTES[kind as keyof typeof ITEM_KINDS])] as const,
  );
  assert.equal(sorted(found), sorted(inCode));
});

test('claims with their labels, versions and longest bodies', () => {
  const found = rows('Claims').map(([kind, ...rest]) => [kind!, rest.slice(0, 3).join(' ')] as const);
  const inCode = Object.entries(FORMATS).map(
    ([kind, { label, version, maxBody }]) => [kind, `${label} ${version} ${maxBody}`] as const,
  );
  assert.equal(sorted(found), sorted(inCode));
});

test('every label in the code is in the document', () => {
  for (const file of sources(PROTOCOL)) {
    const source = readFileSync(file, 'utf8');
    for (const [, label] of source.matchAll(/['"`](warren [a-z ]*[a-z](?: v\d)?)['"`$]/g)) {
      // These two only key a table in memory.
      if (label!.startsWith('warren verified')) continue;
      assert.ok(text.includes(`\`${label}\``), `${relative(PROTOCOL, file)}: ${label}`);
    }
  }
});

/** The modules of protocol/, as source or as built; the admin contract is another document's. */
function sources(folder: string): string[] {
  return readdirSync(folder, { withFileTypes: true }).flatMap(entry => {
    const path = join(folder, entry.name);
    if (entry.isDirectory()) return entry.name === 'admin' ? [] : sources(path);
    return /(?<!\.d)\.[jt]s$/.test(entry.name) ? [path] : [];
  });
}

test('every numeric constant that protocol/ exports, by room', async () => {
  const found = new Map<string, number>();
  for (const [, room] of text.matchAll(/^### `(protocol\/.*)`$/gm)) {
    for (const [name, value] of pairs(`\`${room}\``)) found.set(`${room}${name}`, numberIn(value));
  }
  const inCode = new Map<string, number>();
  for (const path of sources(PROTOCOL)) {
    const room = `protocol/${relative(PROTOCOL, join(path, '..'))}/`.replace('//', '/');
    const exported = (await import(pathToFileURL(path).href)) as Record<string, unknown>;
    for (const [name, value] of Object.entries(exported)) {
      if (typeof value !== 'number' || !/^[A-Z]/.test(name)) continue;
      assert.is(inCode.get(room + name) ?? value, value, `${room}${name} means two numbers`);
      inCode.set(room + name, value);
    }
  }
  for (const [name, value] of inCode) assert.is(found.get(name), value, `docs/protocol.md must list: ${name}`);
  for (const name of found.keys()) assert.ok(inCode.has(name), `docs/protocol.md lists what is not there: ${name}`);
});

test('every limit that a node chooses', () => {
  const found = pairs('Chosen limits');
  const names = new Set<string>();
  for (const [group, entries] of Object.entries(DEFAULT_LIMITS)) {
    for (const [key, value] of Object.entries(entries as Record<string, number | Rate>)) {
      const name = `${group}.${key}`;
      names.add(name);
      const cell = found.get(name) ?? '';
      if (typeof value === 'number') assert.is(numberIn(cell), value, name);
      else assert.is(cell, `${value.perSecond}/s, ${value.burst} at once`, name);
    }
  }
  assert.equal([...found.keys()].sort(), [...names].sort());
});

inner.run();
