/**
 * Errors as the user sees them, on stderr: one sentence what happened, one hint what to do. They begin small, since
 * `warren:` stands before them, and have no full stop, since a sentence often ends in a name or an address.
 */
import { WarrenError, type ErrorCode } from '../../protocol/errors.js';
import type { Colours } from './colour.js';
import { clean } from './text.js';

/** For an error that brings no hint of its own. */
const USUAL_HINTS: Readonly<Record<ErrorCode, string>> = {
  usage: 'see: warren help',
  'bad-value': 'see how to write it: warren help COMMAND',
  config: 'mend the config file; what runs has not changed',
  home: 'name another home: --home DIR, or set WARREN_HOME',
  running: 'see what it does: warren status; end it: warren down',
  'not-running': 'start it: warren up',
  'in-use': 'choose another, or free it first',
  'not-found': 'see what there is: warren status',
  exists: 'remove it first, or choose another name',
  'not-admin': 'run it on a host whose node is an admin of the network: warren peers',
  denied: 'the host that exposes it decides: ask there for an --allow',
  passphrase: 'give it with --passphrase-file FILE, or on a terminal',
  token: 'make a new one with `warren invite` on a host that is in the network',
  member: 'see which network this is: warren status',
  unreachable: 'see who is connected: warren peers; and what is wrong: warren doctor',
  timeout: 'try again; see what is wrong: warren doctor',
  malformed: 'see what is wrong: warren doctor',
  crypto: 'see what is wrong: warren doctor',
  protocol: 'see what was said: warren logs',
  limit: 'wait until less is open, or raise the limit in the config',
  version: 'bring both to the same release',
  disk: 'make room, then try again',
  internal: 'see what happened: warren logs',
};

/** @returns two lines, each closed by a newline */
export function formatError(error: unknown, colour: Colours): string {
  const known = error instanceof WarrenError;
  const text = known ? error.message : `unexpected: ${error instanceof Error ? error.message : String(error)}`;
  const hint = known ? (error.hint ?? USUAL_HINTS[error.code]) : USUAL_HINTS.internal;
  return `${colour.red('warren')}: ${sentence(text)}\n${colour.cyan('hint')}: ${sentence(hint ?? USUAL_HINTS.internal)}\n`;
}

/**
 * Words with which the daemon's sentences begin. Only these are made small: a sentence may as well begin with the name
 * of a node or a service, whose case is its own.
 */
const OPENING =
  /^(?:The|This|That|These|There|Another|An|No|Nobody|Only|One|It|Its|Both|Without|Exposed|Ended|Cannot|Port|Use|Write|See|Choose|Copy|Ask|Run|Take|Make|Check|Create|Expose|Listen|Wait|Let|Join|Give|Update|Try|A(?= (?:join|service|unix)\b))(?= )/;

/** A sentence of the daemon in the style of this program: cleaned, beginning small, without its full stop. */
export function sentence(text: string): string {
  return clean(text)
    .replace(OPENING, word => word.toLowerCase())
    .replace(/(?<![.])\.$/, '');
}
