/**
 * The shape of the config file: which keys there are and what each may hold. Works on what the YAML parser gives (maps
 * as Map, so that no name is special) and names the place of the first problem; load.ts turns the place into a line.
 */
import * as v from 'valibot';
import { MAX_LINKS } from '../../protocol/admin/contract.js';
import type { WarrenError } from '../../protocol/errors.js';
import {
  checkNodeName,
  checkServiceName,
  checkTags,
  foldName,
  isDescription,
  isVersionText,
  MAX_TAGS,
} from '../../protocol/identity/names.js';
import { DEFAULT_LIMITS as LINK_LIMITS } from '../../protocol/limits.js';
import { LOG_LEVELS } from '../observe/log.js';
import { MAX_RULE_ENTRIES, MAX_SERVICES } from '../services/limits.js';
import { parseWho } from '../services/policy.js';
import { parseAddress, parseListen, parseTarget, parseTunnelListen } from '../transport/address.js';
import { checkProxySetting } from '../transport/proxy-choice.js';
import { DEFAULT_LIMITS, LIMIT_RULES, parseLimit, type LimitName, type Limits } from './limits.js';
import { didYouMean } from './suggest.js';
import type { Config, KeysConfig, NodeConfig, ServiceConfig, TunnelConfig } from './types.js';

export type Path = readonly (string | number)[];

/** A place in the file and what is wrong with it. */
export class ConfigProblem extends Error {
  /** @param atKey the key itself is wrong, not its value */
  constructor(
    readonly path: Path,
    readonly sentence: string,
    readonly hint: string,
    readonly atKey = false,
  ) {
    super(sentence);
  }
}

export const DEFAULT_LISTEN: readonly string[] = ['0.0.0.0:7667'];
/** Where a tunnel without `listen` listens: a free port, which is remembered. */
export const DEFAULT_TUNNEL_LISTEN: readonly string[] = ['127.0.0.1:0'];

const MAX_TUNNELS = 1024;
const DEFAULT_LINKS = LINK_LIMITS.session.links;

const SECTIONS = ['node', 'keys', 'services', 'tunnels', 'peers', 'limits'] as const;

/** @param value the parsed file, maps as Map. @throws ConfigProblem */
export function checkConfig(value: unknown): Config {
  const top = section(value, [], SECTIONS);
  return {
    node: checkNode(top.get('node')),
    keys: checkKeys(top.get('keys')),
    services: checkEntries(top.get('services'), 'services', MAX_SERVICES, checkService),
    tunnels: checkEntries(top.get('tunnels'), 'tunnels', MAX_TUNNELS, checkTunnel),
    peers: checkValue(listOf(addressText), top.get('peers') ?? [], ['peers']),
    limits: checkLimits(top.get('limits')),
  };
}

/** A rule of another room as a rule of a schema: its sentence and hint are taken over. */
function ruled(rule: (text: string) => unknown) {
  return v.rawCheck<string>(({ dataset, addIssue }) => {
    if (!dataset.typed) return;
    try {
      rule(dataset.value);
    } catch (error) {
      addIssue({ message: `${(error as WarrenError).message}\n${(error as WarrenError).hint ?? ''}` });
    }
  });
}

const text = v.string('must be text\nwrite it in quotes');
const hostPort = v.string('must be text\nwrite HOST:PORT');
const flag = v.boolean('must be true or false\nwrite true or false');
/** A bare port is a number in YAML. */
const portText = v.pipe(
  v.union([v.string(), v.number()], 'must be text\nwrite PORT, HOST:PORT or unix:PATH'),
  v.transform(String),
);

const linkWords = `must be a whole number from 1 to ${MAX_LINKS}\n${DEFAULT_LINKS} is the usual one`;
const linkCount = v.pipe(
  v.number(linkWords),
  v.integer(linkWords),
  v.minValue(1, linkWords),
  v.maxValue(MAX_LINKS, linkWords),
);

const nameText = v.pipe(text, ruled(checkNodeName));
const listenText = v.pipe(hostPort, ruled(parseListen));
const addressText = v.pipe(hostPort, ruled(parseAddress));
const targetText = v.pipe(portText, ruled(parseTarget));
const tunnelListenText = v.pipe(portText, ruled(parseTunnelListen));
const whoText = v.pipe(text, ruled(parseWho));
const tagText = v.pipe(
  text,
  ruled(tag => checkTags([tag])),
);

/** One entry may stand without brackets; an empty value is an empty list. */
function listOf<S extends v.GenericSchema<unknown, string>>(entry: S) {
  const list = v.pipe(
    v.array(entry, 'must be a list\nwrite [a, b]'),
    v.maxLength(MAX_RULE_ENTRIES, `has more than ${MAX_RULE_ENTRIES} entries\nleave some out`),
  );
  return v.pipe(
    v.unknown(),
    v.transform(value => (value === null ? [] : Array.isArray(value) ? value : [value])),
    list,
  );
}

const tagList = v.pipe(
  listOf(tagText),
  v.rawCheck(({ dataset, addIssue }) => {
    if (!dataset.typed) return;
    const tags = dataset.value.map(foldName);
    if (tags.length > MAX_TAGS) addIssue({ message: `has more than ${MAX_TAGS} tags\nleave some out` });
    if (new Set(tags).size < tags.length) addIssue({ message: 'has a tag twice (case does not count)\nleave one out' });
  }),
);

const nodeFields = {
  name: v.optional(nameText),
  listen: v.optional(listOf(listenText)),
  advertise: v.optional(listOf(addressText)),
  mdns: v.optional(flag),
  links: v.optional(linkCount),
  proxy: v.optional(v.pipe(text, ruled(checkProxySetting))),
  relay: v.optional(flag),
  suite: v.optional(
    v.picklist(['ChaChaPoly', 'AESGCM'], 'must be ChaChaPoly or AESGCM\nleave it out to let the daemon choose'),
  ),
  logLevel: v.optional(v.picklist(LOG_LEVELS, `must be one of ${LOG_LEVELS.join(', ')}\nthe usual one is info`)),
};

const serviceFields = {
  target: v.optional(targetText),
  version: v.optional(
    v.pipe(text, v.check(isVersionText, 'must be 1 to 63 printable characters without blanks\nwrite it like 2.1.0')),
  ),
  description: v.optional(
    v.pipe(
      text,
      v.check(
        isDescription,
        'must be one line of at most 255 characters\nleave out line breaks and control characters, or shorten it',
      ),
    ),
  ),
  tags: v.optional(tagList),
  allow: v.optional(listOf(whoText)),
  deny: v.optional(listOf(whoText)),
};

const tunnelFields = { listen: v.optional(listOf(tunnelListenText)) };

function checkNode(value: unknown): NodeConfig {
  const fields = checkFields(v.object(nodeFields), value, ['node']);
  return {
    name: fields.name,
    listen: fields.listen ?? DEFAULT_LISTEN,
    advertise: fields.advertise ?? [],
    mdns: fields.mdns ?? true,
    links: fields.links ?? DEFAULT_LINKS,
    proxy: fields.proxy,
    relay: fields.relay ?? false,
    suite: fields.suite,
    logLevel: fields.logLevel ?? 'info',
  };
}

const DAY_MS = 86_400_000;
const HOUR_MS = 3_600_000;
const ROTATE_MIN_MS = HOUR_MS;
const ROTATE_MAX_MS = 3_650 * DAY_MS;
const ROTATE_WORDS = 'must be a time from 1h to 3650d\nwrite it like 30d; leave it out to rotate by hand only';

const keysFields = {
  rotate: v.optional(
    v.pipe(
      v.string(ROTATE_WORDS),
      v.regex(/^[1-9]\d{0,4}[hd]$/, ROTATE_WORDS),
      v.transform(text => Number.parseInt(text, 10) * (text.endsWith('d') ? DAY_MS : HOUR_MS)),
      v.minValue(ROTATE_MIN_MS, ROTATE_WORDS),
      v.maxValue(ROTATE_MAX_MS, ROTATE_WORDS),
    ),
  ),
};

function checkKeys(value: unknown): KeysConfig {
  return { rotateMs: checkFields(v.object(keysFields), value, ['keys']).rotate };
}

function checkService(value: unknown, path: Path): ServiceConfig {
  const fields = checkFields(v.object(serviceFields), value, path);
  const { target } = fields;
  if (target === undefined)
    throw new ConfigProblem(path, `${dotted(path)} has no target`, 'write target: PORT, HOST:PORT or unix:PATH');
  return {
    target,
    version: fields.version,
    description: fields.description,
    tags: fields.tags ?? [],
    allow: fields.allow ?? [],
    deny: fields.deny ?? [],
  };
}

function checkTunnel(value: unknown, path: Path): TunnelConfig {
  const { listen } = checkFields(v.object(tunnelFields), value, path);
  if (listen === undefined || listen.length === 0) return { listen: DEFAULT_TUNNEL_LISTEN };
  const twice = listen.findIndex((entry, i) => listen.indexOf(entry) !== i);
  if (twice >= 0)
    throw new ConfigProblem(
      [...path, 'listen', twice],
      `${dotted(path)}.listen names ${listen[twice]!} twice`,
      'leave one out',
    );
  return { listen };
}

function checkLimits(value: unknown): Limits {
  const names = Object.keys(LIMIT_RULES);
  const given = section(value, ['limits'], names);
  const limits: Record<LimitName, number> = { ...DEFAULT_LIMITS };
  for (const [name, entry] of given) {
    const parsed = parseLimit(name as LimitName, entry);
    if (typeof parsed === 'string')
      throw new ConfigProblem(['limits', name], `limits.${name} must be ${parsed}`, 'leave it out for the default');
    limits[name as LimitName] = parsed;
  }
  return limits;
}

/** A section of entries by name: services, tunnels. Names follow the rule for services and are told apart without case. */
function checkEntries<T>(
  value: unknown,
  name: string,
  max: number,
  check: (value: unknown, path: Path) => T,
): ReadonlyMap<string, T> {
  const entries = new Map<string, T>();
  const folded = new Set<string>();
  for (const [key, entry] of mapAt(value, [name])) {
    const path = [name, key];
    checkEntryName(key, path);
    if (folded.has(foldName(key)))
      throw new ConfigProblem(path, `${name} has ${key} twice (case does not count)`, 'rename or remove one', true);
    if (entries.size >= max) throw new ConfigProblem(path, `${name} has more than ${max} entries`, 'remove some', true);
    folded.add(foldName(key));
    entries.set(key, check(entry, path));
  }
  return entries;
}

function checkEntryName(key: string, path: Path): void {
  try {
    checkServiceName(key);
  } catch (error) {
    throw new ConfigProblem(path, (error as WarrenError).message, (error as WarrenError).hint ?? '', true);
  }
}

/** Checks that a value is a map of known keys, then its fields. A key without a value is a key left out. */
function checkFields<E extends v.ObjectEntries>(
  schema: v.ObjectSchema<E, undefined>,
  value: unknown,
  path: Path,
): v.InferOutput<v.ObjectSchema<E, undefined>> {
  const map = section(value, path, Object.keys(schema.entries));
  return checkValue(schema, Object.fromEntries([...map].filter(([, entry]) => entry !== null)), path);
}

function checkValue<S extends v.GenericSchema>(schema: S, value: unknown, path: Path): v.InferOutput<S> {
  const result = v.safeParse(schema, value, { abortEarly: true, abortPipeEarly: true });
  if (result.success) return result.output;
  const [issue] = result.issues;
  const inner = (issue.path ?? []).map(item => item.key as string | number);
  const whole = [...path, ...inner];
  const [sentence = '', hint = ''] = issue.message.split('\n');
  // whole sentences and those that begin with a quoted value stand behind a colon; the others go on from the place
  throw new ConfigProblem(
    whole,
    /^["A-Z]/.test(sentence) ? `${dotted(whole)}: ${sentence}` : `${dotted(whole)} ${sentence}`,
    hint,
  );
}

/** services.pay.tags[1] */
export function dotted(path: Path): string {
  return path.reduce<string>((out, part) => {
    if (typeof part === 'number') return `${out}[${part}]`;
    return out === '' ? part : `${out}.${part}`;
  }, '');
}

function section(value: unknown, path: Path, known: readonly string[]): ReadonlyMap<string, unknown> {
  const map = mapAt(value, path);
  for (const key of map.keys()) {
    if (known.includes(key)) continue;
    const where = path.length === 0 ? '' : ` in ${dotted(path)}`;
    throw new ConfigProblem(
      [...path, key],
      `unknown key ${quote(key)}${where}`,
      didYouMean(key, known) ?? homeOfKey(key, known),
      true,
    );
  }
  return map;
}

/** A key that stands in the wrong place is told its right one. */
function homeOfKey(key: string, known: readonly string[]): string {
  if (Object.hasOwn(nodeFields, key) && !known.includes('mdns')) return `${key} belongs under node`;
  return `known here: ${known.join(', ')}`;
}

function mapAt(value: unknown, path: Path): ReadonlyMap<string, unknown> {
  const where = path.length === 0 ? 'the config' : dotted(path);
  if (value === undefined || value === null) return new Map();
  if (!(value instanceof Map))
    throw new ConfigProblem(path, `${where} must hold keys and values`, 'write one KEY: VALUE per line below it');
  const out = new Map<string, unknown>();
  for (const [key, entry] of value as ReadonlyMap<unknown, unknown>) {
    if (typeof key === 'object')
      throw new ConfigProblem(path, `a key in ${where} is no plain text`, 'write KEY: VALUE');
    out.set(String(key), entry);
  }
  return out;
}

function quote(key: string): string {
  return JSON.stringify(key.length > 64 ? `${key.slice(0, 64)}…` : key);
}
