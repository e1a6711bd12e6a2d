/**
 * May this caller use this service? WHO is a node's name, `tag:T` or a node ID. Deny beats allow; any allow makes
 * everybody else denied; a service without rules is open to every member.
 */
import { WarrenError } from '../../protocol/errors.js';
import { nodeIdText, parseNodeId, type NodeIdText } from '../../protocol/identity/node-id.js';
import { MAX_RULE_ENTRIES } from './limits.js';
import type { Caller } from './mesh.js';

const NAME = /^[A-Za-z0-9][A-Za-z0-9._-]{0,62}$/;
const TAG_PREFIX = 'tag:';

/** A list of WHO made ready for comparing; `text` is as it was written. */
interface Who {
  readonly text: string;
  readonly kind: 'name' | 'tag' | 'id';
  /** lower case */
  readonly value: string;
}

export interface Rule {
  readonly allow: readonly Who[];
  readonly deny: readonly Who[];
}

export type Judgement = { readonly ok: true } | { readonly ok: false; readonly why: string };

/**
 * Text that reads as a node ID is one: a node that is named like another's ID gains nothing by it.
 * @throws WarrenError `bad-value`
 */
export function parseWho(text: string): Who {
  const id = parseNodeId(text);
  if (id !== undefined) return { text, kind: 'id', value: nodeIdText(id) };
  const isTag = text.startsWith(TAG_PREFIX);
  const value = isTag ? text.slice(TAG_PREFIX.length) : text;
  if (!NAME.test(value))
    throw new WarrenError('bad-value', `${JSON.stringify(text.slice(0, 80))} names neither a node nor a tag.`, {
      hint: "Write a node's name, tag:T or a node ID.",
    });
  return { text, kind: isTag ? 'tag' : 'name', value: value.toLowerCase() };
}

/** @throws WarrenError `bad-value` or `limit`, naming the first entry that cannot stand */
export function parseRule(rule: { readonly allow?: readonly string[]; readonly deny?: readonly string[] }): Rule {
  const { allow = [], deny = [] } = rule;
  if (Math.max(allow.length, deny.length) > MAX_RULE_ENTRIES)
    throw new WarrenError(
      'limit',
      `A service has at most ${MAX_RULE_ENTRIES} allow and ${MAX_RULE_ENTRIES} deny entries.`,
      {
        hint: 'Give the nodes a tag and name that.',
      },
    );
  return { allow: allow.map(parseWho), deny: deny.map(parseWho) };
}

export function allowed(rule: Rule, caller: Caller): Judgement {
  if (rule.allow.length === 0 && rule.deny.length === 0) return OK;
  const matches = matcher(caller);
  const denied = rule.deny.find(matches);
  if (denied !== undefined) return { ok: false, why: `${callerLabel(caller)} is denied by ${denied.text}.` };
  if (rule.allow.length === 0 || rule.allow.some(matches)) return OK;
  return { ok: false, why: `${callerLabel(caller)} matches none of ${listed(rule.allow)}.` };
}

/** How a log line names a caller: by name, or by ID when it has no right to one. */
export function callerLabel(caller: Caller): string {
  return caller.name === '' ? nodeIdText(caller.nodeId) : caller.name;
}

const OK: Judgement = { ok: true };
/** WHO entries that a sentence names. */
const LISTED = 5;

function matcher(caller: Caller): (who: Who) => boolean {
  const name = caller.name.toLowerCase();
  let id: NodeIdText | undefined;
  return who => {
    if (who.kind === 'name') return who.value === name;
    if (who.kind === 'tag') return caller.tags.some(tag => tag.toLowerCase() === who.value);
    return who.value === (id ??= nodeIdText(caller.nodeId));
  };
}

function listed(entries: readonly Who[]): string {
  const shown = entries.slice(0, LISTED).map(who => who.text);
  const more = entries.length - shown.length;
  return `the allowed ${shown.join(', ')}${more > 0 ? ` and ${more} more` : ''}`;
}
