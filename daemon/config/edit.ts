/**
 * Changes of the config file by the program: what the operator wrote, comments and order included, stays as it is.
 *
 * Every edit starts from what is on the disk now. A file that does not parse is never written to. The change is made on
 * the YAML document; then the same change is tried on the text alone, touching one entry's lines, and taken if it
 * means the same; else the document is printed anew, which keeps comments but not every blank.
 */
import * as fs from 'node:fs';
import { isDeepStrictEqual } from 'node:util';
import { isAlias, isMap, isNode, isScalar, type Document, type YAMLMap } from 'yaml';
import { WarrenError } from '../../protocol/errors.js';
import { writeFileAtomic, type FileOps } from '../home/atomic.js';
import { loadConfig, parseConfig, readConfigText } from './load.js';
import { findPair, indentOf, spliceEdit } from './splice.js';
import type { Config, Edit, Plain } from './types.js';

export type { Edit } from './types.js';

/** What `warren expose` keeps; empty lists and undefined values are not written. */
export interface ServiceEdit {
  readonly target: string;
  readonly version?: string | undefined;
  readonly description?: string | undefined;
  readonly tags?: readonly string[];
  readonly allow?: readonly string[];
  readonly deny?: readonly string[];
}

export interface NodeEdit {
  readonly name?: string;
  readonly listen?: readonly string[];
  readonly advertise?: readonly string[];
  readonly mdns?: boolean;
  readonly relay?: boolean;
  readonly links?: number;
  readonly proxy?: string;
}

/** Adds or replaces a service; an entry of the same name in other case is the same. */
export function setService(name: string, service: ServiceEdit): Edit {
  return { section: 'services', key: name, value: withoutEmpty(service) };
}

export function removeService(name: string): Edit {
  return { section: 'services', key: name, value: undefined };
}

/** @param listen PORT | HOST:PORT | unix:PATH, at least one */
export function setTunnel(service: string, listen: readonly string[]): Edit {
  const [first, ...rest] = listen.map(portAsNumber);
  return {
    section: 'tunnels',
    key: service,
    value: { listen: first === undefined || rest.length > 0 ? [first ?? 0, ...rest] : first },
  };
}

export function removeTunnel(service: string): Edit {
  return { section: 'tunnels', key: service, value: undefined };
}

/** One edit per key that is given. */
export function setNode(node: NodeEdit): readonly Edit[] {
  return Object.entries(node).flatMap(([key, value]: [string, Plain | undefined]) =>
    value === undefined ? [] : [{ section: 'node' as const, key, value }],
  );
}

/** A bare port needs no quotes. */
function portAsNumber(text: string): string | number {
  return /^(0|[1-9]\d{0,4})$/.test(text) ? Number(text) : text;
}

const SERVICE_KEYS = ['target', 'version', 'description', 'tags', 'allow', 'deny'] as const;

/** In the order of the documentation. */
function withoutEmpty(service: ServiceEdit): Plain {
  const out: Record<string, Plain> = {};
  for (const key of SERVICE_KEYS) {
    const value = service[key];
    if (value !== undefined && value.length > 0)
      out[key] = typeof value === 'string' && key === 'target' ? portAsNumber(value) : value;
  }
  return out;
}

/** What a config begins with when the program makes it. */
export const NEW_CONFIG = `# The configuration of this node. The warren command writes here too, and keeps comments.
# Every key is described in docs/operations.md. After an edit: warren reload
`;

export class ConfigFile {
  constructor(
    readonly path: string,
    private readonly ops?: FileOps,
  ) {}

  /** The config on the disk now; the defaults when there is no file. @throws WarrenError `config` */
  load(): Config {
    return loadConfig(this.path);
  }

  /**
   * Applies edits to what is on the disk now, and writes it once.
   * @throws WarrenError `config` when the file does not parse, `bad-value` when an edit would make it invalid, `disk`;
   *   the file is unchanged then
   */
  edit(edits: readonly Edit[]): void {
    if (edits.length === 0) return;
    const { before, after } = this.edited(edits);
    if (after === before) return;
    writeFileAtomic(this.path, after, {
      mode: modeOf(this.path),
      ...(this.ops === undefined ? {} : { ops: this.ops }),
    });
  }

  /** The config as it would be after `edits`; nothing is written. @throws as `edit` */
  preview(edits: readonly Edit[]): Config {
    return parseConfig(this.edited(edits).after, this.path).config;
  }

  private edited(edits: readonly Edit[]): { readonly before: string | undefined; readonly after: string } {
    const before = readConfigText(this.path);
    return { before, after: editText(before ?? NEW_CONFIG, edits, this.path) };
  }
}

/** An operator who opened the config to a group has a reason; a new one is private. */
function modeOf(path: string): number {
  return (fs.statSync(path, { throwIfNoEntry: false })?.mode ?? 0o600) & 0o777;
}

/**
 * @param file how the file is called in errors
 * @returns the text after all edits. @throws WarrenError as ConfigFile.edit
 */
export function editText(text: string, edits: readonly Edit[], file: string): string {
  const windows = text.includes('\r\n');
  let current = windows ? text.replaceAll('\r\n', '\n') : text;
  for (const edit of edits) current = editOnce(current, edit, file);
  return windows ? current.replaceAll('\n', '\r\n') : current;
}

function editOnce(text: string, edit: Edit, file: string): string {
  const { document } = parseConfig(text, file);
  const spliced = spliceEdit(text, document, edit);
  if (spliced === text) return text;
  changeDocument(document, edit, file);
  const wanted = plainOf(document);
  if (spliced !== undefined && isDeepStrictEqual(plainOfText(spliced), wanted)) return checked(spliced, file);
  return checked(document.toString({ lineWidth: 0, indent: indentOf(text), flowCollectionPadding: true }), file);
}

/** An edit that makes the file invalid is the fault of the value, not of the file. */
function checked(text: string, file: string): string {
  try {
    parseConfig(text, file);
  } catch (error) {
    if (!(error instanceof WarrenError)) throw error;
    const sentence = error.message.replace(/^.*?:\d+:\d+: /s, '');
    throw new WarrenError('bad-value', sentence, {
      ...(error.hint === undefined ? {} : { hint: error.hint }),
      cause: error,
    });
  }
  return text;
}

function plainOf(document: Document): unknown {
  return document.toJS({ mapAsMap: true });
}

function plainOfText(text: string): unknown {
  try {
    return plainOf(parseConfig(text, '').document);
  } catch {
    return undefined;
  }
}

function changeDocument(document: Document, edit: Edit, file: string): void {
  const section = sectionOf(document, edit, file);
  if (section === undefined) return;
  const pair = findPair(section, edit);
  if (edit.value === undefined) {
    if (pair !== undefined) section.delete(pair.key);
    return;
  }
  if (pair === undefined) {
    if (section.items.length === 0) section.flow = false;
    section.set(document.createNode(edit.key), document.createNode(edit.value, { flow: true }));
    return;
  }
  if (isMap(pair.value) && isRecord(edit.value)) changeFields(document, pair.value, edit.value);
  else pair.value = document.createNode(edit.value, { flow: true });
}

/** Only what differs is touched, so that comments inside the entry stay. */
function changeFields(document: Document, map: YAMLMap, value: Readonly<Record<string, Plain>>): void {
  for (const key of map.items.map(item => String(item.key))) if (!Object.hasOwn(value, key)) map.delete(key);
  for (const [key, field] of Object.entries(value)) {
    const old: unknown = map.get(key, true);
    if (isScalar(old) && typeof field !== 'object') old.value = field;
    else if (!isDeepStrictEqual(isNode(old) ? old.toJSON() : undefined, field))
      map.set(key, document.createNode(field, { flow: true }));
  }
}

function isRecord(value: Plain): value is Readonly<Record<string, Plain>> {
  return typeof value === 'object' && !Array.isArray(value);
}

/** @returns the section's map, made when it is missing; undefined when there is nothing to remove from */
function sectionOf(document: Document, edit: Edit, file: string): YAMLMap | undefined {
  document.contents ??= document.createNode({}) as unknown as typeof document.contents;
  if (isScalar(document.contents) && document.contents.value === null) {
    document.contents = document.createNode({}) as unknown as typeof document.contents;
  }
  const found: unknown = document.get(edit.section, true);
  if (isMap(found)) return found;
  if (isAlias(found)) {
    throw new WarrenError('config', `${file}: ${edit.section} is an alias, so it is not changed by the program`, {
      hint: 'write the values out, or edit the file by hand and run warren reload',
    });
  }
  if (edit.value === undefined) return undefined;
  const made = document.createNode({}) as unknown as YAMLMap;
  document.set(edit.section, made);
  return made;
}
