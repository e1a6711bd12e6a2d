/**
 * Edits of the config's text that touch one entry's lines and nothing else. Each may give up (undefined): the caller
 * compares the meaning anyway and has another way.
 */
import { isMap, isPair, isScalar, parse, type Document, type Pair, type YAMLMap } from 'yaml';
import { foldName } from '../../protocol/identity/names.js';
import type { Edit } from './types.js';

/** The entry that an edit means; names of services are compared without case. */
export function findPair(section: YAMLMap, edit: Pick<Edit, 'section' | 'key'>): Pair | undefined {
  const same =
    edit.section === 'node' ? (key: string) => key === edit.key : (key: string) => foldName(key) === foldName(edit.key);
  return section.items.find(item => same(String(item.key)));
}

/** Blanks per level: what the first indented key has, else two. */
export function indentOf(text: string): number {
  return /^( {1,8})[^\s#-]/m.exec(text)?.[1]?.length ?? 2;
}

/** @param document of `text`, not changed yet */
export function spliceEdit(text: string, document: Document, edit: Edit): string | undefined {
  const ended = text === '' || text.endsWith('\n') ? text : `${text}\n`;
  const top = document.contents;
  const sectionPair = isMap(top) ? top.items.find(item => String(item.key) === edit.section) : undefined;
  if (sectionPair === undefined) return edit.value === undefined ? text : appendSection(ended, top, edit);
  const section = sectionPair.value;
  if (isMap(section)) {
    if (section.items.length === 0) return edit.value === undefined ? text : openEmpty(ended, sectionPair, edit);
    if (section.flow === true) return undefined;
    const pair = findPair(section, edit);
    if (edit.value === undefined) return pair === undefined ? text : removeEntry(ended, sectionPair, section, pair);
    return pair === undefined ? addEntry(ended, section, edit) : replaceValue(ended, pair, edit);
  }
  if (edit.value === undefined) return text;
  return fillSection(ended, sectionPair, edit);
}

function appendSection(text: string, top: unknown, edit: Edit): string | undefined {
  if (isMap(top) && top.flow === true) return undefined;
  return `${text}${edit.section}:\n${entryLine(' '.repeat(indentOf(text)), edit)}`;
}

/** `services:` with nothing below it. */
function fillSection(text: string, pair: Pair, edit: Edit): string | undefined {
  if (!(isScalar(pair.value) && pair.value.value === null && pair.value.source === '') && pair.value !== null)
    return undefined;
  const start = startOf(pair.key);
  if (start === undefined) return undefined;
  const at = lineEnd(text, start);
  return text.slice(0, at) + entryLine(' '.repeat(indentOf(text)), edit) + text.slice(at);
}

/** `services: {}` becomes a block with the first entry. */
function openEmpty(text: string, sectionPair: Pair, edit: Edit): string | undefined {
  const range = rangeOf(sectionPair.value);
  const colon = colonOf(text, sectionPair);
  if (range === undefined || colon === undefined || text.slice(colon, range[0]).trim() !== '') return undefined;
  const at = lineEnd(text, range[1]);
  const line = entryLine(' '.repeat(indentOf(text)), edit);
  return text.slice(0, colon) + text.slice(range[1], at) + line + text.slice(at);
}

function addEntry(text: string, section: YAMLMap, edit: Edit): string | undefined {
  const first = section.items[0];
  const last = section.items.at(-1);
  const start = startOf(first?.key);
  const end = endOf(last);
  if (start === undefined || end === undefined) return undefined;
  const indent = text.slice(lineStart(text, start), start);
  if (indent.trim() !== '') return undefined;
  const at = text[end - 1] === '\n' ? end : lineEnd(text, end);
  return text.slice(0, at) + entryLine(indent, edit) + text.slice(at);
}

/** A value in one line without a comment inside is replaced where it stands. */
function replaceValue(text: string, pair: Pair, edit: Edit): string | undefined {
  const range = rangeOf(pair.value);
  if (range === undefined || edit.value === undefined) return undefined;
  const [from, to] = range;
  const old = text.slice(from, to);
  if (old === '' || old.includes('\n') || old.includes('#')) return undefined;
  return text.slice(0, from) + flowText(edit.value) + text.slice(to);
}

/** The entry's lines, and comments directly above that belong to it: not those above the first entry of a section. */
function removeEntry(text: string, sectionPair: Pair, section: YAMLMap, pair: Pair): string | undefined {
  const start = startOf(pair.key);
  const end = endOf(pair);
  if (start === undefined || end === undefined) return undefined;
  let from = lineStart(text, start);
  const indent = text.slice(from, start);
  if (indent.trim() !== '') return undefined;
  while (section.items[0] !== pair && from > 0) {
    const above = lineStart(text, from - 1);
    if (!text.startsWith(`${indent}#`, above)) break;
    from = above;
  }
  const to = text[end - 1] === '\n' ? end : lineEnd(text, end);
  if (section.items.length > 1) return text.slice(0, from) + text.slice(to);
  const colon = colonOf(text, sectionPair);
  return colon === undefined ? undefined : `${text.slice(0, colon)} {}${text.slice(colon, from)}${text.slice(to)}`;
}

/** Behind the colon of a plain key. */
function colonOf(text: string, pair: Pair): number | undefined {
  const end = rangeOf(pair.key)?.[1];
  return end !== undefined && text[end] === ':' ? end + 1 : undefined;
}

function entryLine(indent: string, edit: Edit): string {
  return `${indent}${scalarText(edit.key)}: ${flowText(edit.value)}\n`;
}

/** A value in YAML's flow style, in one line: `{ target: 127.0.0.1:80, tags: [a, b] }`. */
export function flowText(value: unknown): string {
  if (Array.isArray(value)) return `[${value.map(flowText).join(', ')}]`;
  if (typeof value === 'object' && value !== null) {
    const fields = Object.entries(value).map(([key, field]) => `${scalarText(key)}: ${flowText(field)}`);
    return fields.length === 0 ? '{}' : `{ ${fields.join(', ')} }`;
  }
  return typeof value === 'string' ? scalarText(value) : String(value);
}

/** Plain where it reads back as the same text inside a list, else in double quotes, which are JSON's. */
function scalarText(text: string): string {
  const simple = /^[A-Za-z0-9_/.][A-Za-z0-9 _/.:@+-]*$/.test(text);
  return simple && readsBack(text) ? text : JSON.stringify(text);
}

function readsBack(text: string): boolean {
  try {
    const [only, ...rest] = parse(`[${text}]`) as unknown[];
    return only === text && rest.length === 0;
  } catch {
    return false;
  }
}

function rangeOf(node: unknown): readonly [number, number, number] | undefined {
  return (node as { readonly range?: readonly [number, number, number] | null } | null | undefined)?.range ?? undefined;
}

function startOf(node: unknown): number | undefined {
  return rangeOf(node)?.[0];
}

/** Where the value of a pair ends, without what follows it on its line. */
function endOf(pair: unknown): number | undefined {
  if (!isPair(pair)) return undefined;
  return rangeOf(pair.value)?.[1] ?? rangeOf(pair.key)?.[1];
}

function lineStart(text: string, at: number): number {
  return text.lastIndexOf('\n', at - 1) + 1;
}

/** Behind the line feed of the line in which `at` lies. */
function lineEnd(text: string, at: number): number {
  const feed = text.indexOf('\n', at);
  return feed < 0 ? text.length : feed + 1;
}
