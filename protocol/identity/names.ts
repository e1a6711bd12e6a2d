/**
 * What names, tags, addresses and descriptions may look like. Names of nodes and services: 1–63 of letters, digits,
 * `.`, `_`, `-`, beginning with a letter or digit; case kept, compared without case.
 */
import { WarrenError } from '../errors.js';
import { parseNodeId } from './node-id.js';

export const MAX_NAME = 63;
export const MAX_TAG = 63;
export const MAX_TAGS = 16;
export const MAX_ADDRESS = 255;
export const MAX_DESCRIPTION = 255;
export const MAX_VERSION = 63;

const NAME = /^[A-Za-z0-9][A-Za-z0-9._-]{0,62}$/;

/** The form under which names are compared. */
export function foldName(name: string): string {
  return name.toLowerCase();
}

export function sameName(a: string, b: string): boolean {
  return foldName(a) === foldName(b);
}

/** The rule that all names share. */
export function isName(name: string): boolean {
  return NAME.test(name);
}

/** Also refuses what reads as a full node ID: a rule that names an ID must never match by name. */
export function isNodeName(name: string): boolean {
  return isName(name) && parseNodeId(name) === undefined;
}

export function isServiceName(name: string): boolean {
  return isName(name);
}

/** Tags follow the rule of names; `tag:` is how rules refer to one and is not part of it. */
export function isTag(tag: string): boolean {
  return isName(tag);
}

/** Printable ASCII without blanks; what it means is for the transports to say. */
export function isAddress(address: string): boolean {
  return /^[\x21-\x7e]{1,255}$/.test(address);
}

export function isVersionText(version: string): boolean {
  return /^[\x21-\x7e]{1,63}$/.test(version);
}

/** Free text for people: no control characters, and none that turns the direction of what follows. */
export function isDescription(text: string): boolean {
  return (
    text.length > 0 &&
    text.length <= MAX_DESCRIPTION &&
    !/[\p{Cc}\p{Zl}\p{Zp}\p{Surrogate}\u202a-\u202e\u2066-\u2069]/u.test(text)
  );
}

const RULE = 'Use 1–63 letters, digits, ".", "_" or "-", beginning with a letter or digit.';

/** @throws WarrenError `bad-value` */
export function checkNodeName(name: string): void {
  if (!isNodeName(name)) throw new WarrenError('bad-value', `${quoted(name)} cannot be a node's name`, { hint: RULE });
}

/** @throws WarrenError `bad-value` */
export function checkServiceName(name: string): void {
  if (!isServiceName(name))
    throw new WarrenError('bad-value', `${quoted(name)} cannot be a service's name`, { hint: RULE });
}

/** At most 16, each a tag, none twice. @throws WarrenError `bad-value` */
export function checkTags(tags: readonly string[]): void {
  for (const tag of tags)
    if (!isTag(tag)) throw new WarrenError('bad-value', `${quoted(tag)} cannot be a tag`, { hint: RULE });
  if (tags.length > MAX_TAGS) throw new WarrenError('bad-value', `more than ${MAX_TAGS} tags`);
  if (new Set(tags.map(foldName)).size !== tags.length) throw new WarrenError('bad-value', 'a tag is given twice');
}

function quoted(text: string): string {
  return JSON.stringify(text.length > MAX_NAME + 1 ? `${text.slice(0, MAX_NAME)}…` : text);
}
