/**
 * From the text of the config file to a checked Config. YAML 1.2, core schema; aliases and sizes are bounded. Every
 * refusal is one WarrenError `config` whose sentence begins with FILE:LINE:COLUMN.
 */
import * as fs from 'node:fs';
import { isAlias, isMap, isSeq, LineCounter, parseDocument, visit, type Document } from 'yaml';
import { fromUtf8 } from '../../protocol/bytes.js';
import { WarrenError } from '../../protocol/errors.js';
import { codeOf } from '../home/atomic.js';
import { checkConfig, ConfigProblem, type Path } from './schema.js';
import type { Config } from './types.js';

/** A longer file is no config; bytes. */
export const MAX_CONFIG_BYTES = 256 * 1024;
/** How many nodes aliases may stand for, so that a small file cannot become a large one. */
const MAX_ALIAS_COUNT = 100;
/** Values inside each other; the parser descends by calling itself, and its stack is finite. */
const MAX_NESTING = 100;

export interface Parsed {
  readonly config: Config;
  readonly document: Document;
}

/** @returns the text of the file; undefined when there is none. @throws WarrenError `config` */
export function readConfigText(file: string): string | undefined {
  let bytes: Buffer;
  try {
    const { size } = fs.statSync(file);
    if (size > MAX_CONFIG_BYTES)
      throw refuse(`${file} has ${size} bytes, at most ${MAX_CONFIG_BYTES} are read`, 'make it smaller');
    bytes = fs.readFileSync(file);
  } catch (error) {
    if (error instanceof WarrenError) throw error;
    if (codeOf(error) === 'ENOENT') return undefined;
    throw refuse(`${file} cannot be read (${codeOf(error)})`, 'it must be a file of the user that runs the daemon');
  }
  try {
    return fromUtf8(bytes);
  } catch {
    throw refuse(`${file} is not UTF-8 text`, 'save it as UTF-8');
  }
}

/** The config of a file; of one that is missing, the defaults. @throws WarrenError `config` */
export function loadConfig(file: string): Config {
  return parseConfig(readConfigText(file) ?? '', file).config;
}

/**
 * @param file how the file is called in errors
 * @throws WarrenError `config`
 */
export function parseConfig(text: string, file: string): Parsed {
  if (Buffer.byteLength(text) > MAX_CONFIG_BYTES)
    throw refuse(`${file} has more than ${MAX_CONFIG_BYTES} bytes`, 'make it smaller');
  refuseDeep(text, file);
  const lines = new LineCounter();
  const document = parseYaml(text, file, lines);
  const at = (offset: number): string => {
    const { line, col } = lines.linePos(offset);
    return `${file}:${line}:${col}`;
  };
  const [error] = [...document.errors, ...document.warnings];
  if (error !== undefined)
    throw refuse(`${at(error.pos[0])}: ${yamlSentence(error.code, error.message)}`, yamlHint(error.code));
  const anchor = strangeAnchor(document);
  if (anchor !== undefined)
    throw refuse(
      `${at(anchor)}: the name of an anchor (&name) has other characters than letters, digits, ".", "_" and "-"`,
      'rename it, or write the value out where it is used',
    );
  try {
    return { config: checkConfig(toPlain(document, file)), document };
  } catch (error) {
    if (!(error instanceof ConfigProblem)) throw error;
    throw refuse(`${at(offsetOf(document, error.path, error.atKey))}: ${error.sentence}`, error.hint);
  }
}

function refuse(sentence: string, hint: string): WarrenError {
  return new WarrenError('config', sentence, { hint });
}

function parseYaml(text: string, file: string, lineCounter: LineCounter): Document {
  try {
    return parseDocument(text, {
      schema: 'core',
      version: '1.2',
      lineCounter,
      prettyErrors: false,
      uniqueKeys: true,
      strict: true,
    });
  } catch {
    throw refuse(`${file} cannot be parsed as YAML`, 'look for brackets and quotes that are not closed');
  }
}

/**
 * Judged before parsing, roughly and generously: brackets that are open, and indicators (`- `, `? `, `: `) in a row of
 * one line. Nesting by indentation needs no check, since the size of the file bounds it.
 */
function refuseDeep(text: string, file: string): void {
  let open = 0;
  let row = 0;
  let line = 1;
  for (const [mark] of text.matchAll(/[[\]{},\n]|[-?:](?=\s)/g)) {
    if (mark === '\n') line++;
    if (mark === '[' || mark === '{') open++;
    else if (mark === ']' || mark === '}') open = Math.max(0, open - 1);
    row = mark === '\n' || mark === ',' ? 0 : row + 1;
    if (Math.max(open, row) > MAX_NESTING) {
      throw refuse(`${file}:${line}:1: too many values inside each other`, 'a config needs no more than four levels');
    }
  }
}

/** @returns where an anchor stands that could be read but not written back */
function strangeAnchor(document: Document): number | undefined {
  let found: number | undefined;
  visit(document, {
    Node: (_, node) => {
      const anchor = 'anchor' in node ? node.anchor : undefined;
      if (anchor === undefined || /^[\w.-]+$/.test(anchor)) return undefined;
      found = node.range?.[0] ?? 0;
      return visit.BREAK;
    },
  });
  return found;
}

function toPlain(document: Document, file: string): unknown {
  try {
    return document.toJS({ mapAsMap: true, maxAliasCount: MAX_ALIAS_COUNT });
  } catch {
    throw refuse(
      `${file}: an alias (*name) has no anchor before it, or there are too many`,
      'write the values out instead',
    );
  }
}

const SENTENCES: Readonly<Record<string, string>> = {
  DUPLICATE_KEY: 'a key stands here for the second time',
  MULTIPLE_DOCS: 'a second document begins here',
  TAB_AS_INDENT: 'a tab is used as indentation',
  TAG_RESOLVE_FAILED: 'a tag (!name) stands here, and tags are not used',
};

const HINTS: Readonly<Record<string, string>> = {
  DUPLICATE_KEY: 'remove one of the two',
  MULTIPLE_DOCS: 'remove the line ---',
  TAB_AS_INDENT: 'indent with blanks',
  TAG_RESOLVE_FAILED: 'remove it; write text in quotes',
};

function yamlSentence(code: string, message: string): string {
  if (/ end with a [\]}]/.test(message)) return 'a bracket that was opened is not closed before this place';
  const first = SENTENCES[code] ?? message.split('\n')[0]!;
  return first.charAt(0).toLowerCase() + first.slice(1);
}

function yamlHint(code: string): string {
  return HINTS[code] ?? 'check indentation, brackets and quotes; text with : or # in it goes in quotes';
}

/** Where the value at `path` begins, or its key; the nearest one around it when it is not in the file itself. */
function offsetOf(document: Document, path: Path, atKey: boolean): number {
  let node: unknown = document.contents;
  let offset = startOf(node) ?? 0;
  for (const [depth, part] of path.entries()) {
    if (isAlias(node)) node = node.resolve(document);
    const last = depth === path.length - 1;
    let next: unknown;
    if (isMap(node)) {
      const pair = node.items.find(item => String(item.key) === String(part));
      if (pair === undefined) return offset;
      next = pair.value;
      offset = startOf(pair.key) ?? offset;
      if (!(last && atKey)) offset = startOf(next) ?? offset;
    } else if (isSeq(node) && typeof part === 'number') {
      next = node.items[part];
      offset = startOf(next) ?? offset;
    } else return offset;
    node = next;
  }
  return offset;
}

function startOf(node: unknown): number | undefined {
  return (node as { readonly range?: readonly number[] | null } | null | undefined)?.range?.[0];
}
