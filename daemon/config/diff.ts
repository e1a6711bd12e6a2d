/** What differs between two configs, as a list of changes: pure. */
import { isDeepStrictEqual } from 'node:util';
import { foldName } from '../../protocol/identity/names.js';
import { showProxySetting } from '../transport/proxy-choice.js';
import type { Limits } from './limits.js';
import type { Config, KeysConfig, NodeConfig, ServiceConfig, TunnelConfig } from './types.js';

interface Told {
  /** one sentence for the operator */
  readonly sentence: string;
  /** takes effect only after a restart */
  readonly restart: boolean;
}

interface EntryChange<Area extends string, T> extends Told {
  readonly area: Area;
  readonly name: string;
  /** undefined: it is new */
  readonly before: T | undefined;
  /** undefined: it is gone */
  readonly after: T | undefined;
}

interface KeyChange<Area extends string, T> extends Told {
  readonly area: Area;
  readonly key: keyof T & string;
  readonly before: T[keyof T];
  readonly after: T[keyof T];
}

export type Change =
  | EntryChange<'service', ServiceConfig>
  | EntryChange<'tunnel', TunnelConfig>
  | KeyChange<'node', NodeConfig>
  | KeyChange<'limits', Limits>
  | KeyChange<'keys', KeysConfig>
  | (Told & { readonly area: 'peers'; readonly before: readonly string[]; readonly after: readonly string[] });

/** Keys of `node` that a running daemon takes over; the others need a restart, and so do all limits. */
const LIVE_NODE_KEYS: ReadonlySet<keyof NodeConfig> = new Set(['advertise', 'proxy', 'relay', 'suite', 'logLevel']);

/** @returns removals first, so that a port or a name is free before it is taken; then changes, then what is new */
export function diffConfig(before: Config, after: Config): readonly Change[] {
  const changes = [
    ...nodeChanges(before.node, after.node),
    ...keyChanges(before.keys, after.keys),
    ...limitChanges(before.limits, after.limits),
    ...peerChanges(before.peers, after.peers),
    ...entryChanges('service', before.services, after.services),
    ...entryChanges('tunnel', before.tunnels, after.tunnels),
  ];
  return changes.sort((a, b) => rank(a) - rank(b));
}

/**
 * The config that a daemon runs with after it has applied the live changes: keys that need a restart stay as they were,
 * so that the next reload tells of them again.
 */
export function runningConfig(before: Config, after: Config): Config {
  const node: NodeConfig = {
    ...before.node,
    advertise: after.node.advertise,
    proxy: after.node.proxy,
    relay: after.node.relay,
    suite: after.node.suite,
    logLevel: after.node.logLevel,
  };
  return { ...after, node, limits: before.limits };
}

function rank(change: Change): number {
  if (!('name' in change)) return 0;
  if (change.after === undefined) return 1;
  return change.before === undefined ? 3 : 2;
}

function nodeChanges(before: NodeConfig, after: NodeConfig): Change[] {
  return keysOf(before, after).map(key => {
    const restart = !LIVE_NODE_KEYS.has(key);
    return {
      area: 'node',
      key,
      before: before[key],
      after: after[key],
      restart,
      sentence: `node.${key} is now ${key === 'proxy' ? toldProxy(before.proxy, after.proxy) : told(after[key])}`,
    };
  });
}

/** Looked at again whenever it matters. */
function keyChanges(before: KeysConfig, after: KeysConfig): Change[] {
  return keysOf(before, after).map(key => ({
    area: 'keys',
    key,
    before: before[key],
    after: after[key],
    sentence: after[key] === undefined ? 'keys.rotate removed: keys are rotated by hand' : 'keys.rotate changed',
    restart: false,
  }));
}

function limitChanges(before: Limits, after: Limits): Change[] {
  return keysOf(before, after).map(key => {
    const sentence = `limits.${key} is now ${after[key]}`;
    return { area: 'limits', key, before: before[key], after: after[key], restart: true, sentence };
  });
}

function peerChanges(before: readonly string[], after: readonly string[]): Change[] {
  if (isDeepStrictEqual(before, after)) return [];
  return [{ area: 'peers', before, after, restart: false, sentence: `peers is now ${told(after)}` }];
}

/** Entries are matched without regard to case; a change of case alone is a removal and a new entry. */
function entryChanges<Area extends 'service' | 'tunnel', T>(
  area: Area,
  before: ReadonlyMap<string, T>,
  after: ReadonlyMap<string, T>,
): EntryChange<Area, T>[] {
  const changes: EntryChange<Area, T>[] = [];
  const change = (name: string, old: T | undefined, fresh: T | undefined, verb: string): void => {
    changes.push({ area, name, before: old, after: fresh, restart: false, sentence: `${area} ${name} ${verb}` });
  };
  for (const [name, old] of before) {
    const fresh = after.get(name);
    if (fresh === undefined) change(name, old, undefined, 'is removed');
    else if (!isDeepStrictEqual(old, fresh)) change(name, old, fresh, 'is changed');
  }
  for (const [name, fresh] of after) {
    if (before.has(name)) continue;
    const renamed = [...before.keys()].some(other => foldName(other) === foldName(name));
    change(name, undefined, fresh, renamed ? 'is written in other case' : 'is new');
  }
  return changes;
}

function keysOf<T extends object>(before: T, after: T): (keyof T & string)[] {
  const keys = new Set([...Object.keys(before), ...Object.keys(after)]) as Set<keyof T & string>;
  return [...keys].filter(key => !isDeepStrictEqual(before[key], after[key]));
}

/** Credentials are not told; that they have changed is. */
function toldProxy(before: string | undefined, after: string | undefined): string {
  if (after === undefined) return 'left to the environment';
  const shown = showProxySetting(after);
  const isSame = before !== undefined && showProxySetting(before) === shown;
  return isSame ? `${shown} with other credentials` : shown;
}

function told(value: unknown): string {
  if (value === undefined) return 'left to the daemon';
  if (Array.isArray(value)) return value.length === 0 ? 'empty' : value.join(', ');
  return String(value);
}
