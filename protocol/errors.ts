/**
 * One error carries three things: a sentence for the operator, a stable machine code, and what the wire is told.
 */
import type { Code } from './codes.js';

/** Stable machine codes; also the `code` of admin API errors and of `--json` failures. */
export type ErrorCode =
  | 'usage' // a command line that cannot be understood
  | 'bad-value' // a refused value: TOKEN, NAME, TARGET, LISTEN, a config entry
  | 'config' // the config file cannot be used
  | 'home' // the home directory cannot be used
  | 'running' // a daemon already runs on this home
  | 'not-running' // no daemon runs on this home
  | 'in-use' // a port, socket or name is taken
  | 'not-found'
  | 'exists'
  | 'not-admin' // this node may not do that: exit code 4
  | 'denied' // refused by policy: exit code 4
  | 'passphrase' // missing, or not the one that opens what it should open
  | 'token' // an invite that cannot be used
  | 'member' // this home belongs to a network already
  | 'unreachable' // the other side does not answer
  | 'timeout'
  | 'malformed' // bytes that do not decode
  | 'crypto' // a tag, signature or key that does not verify
  | 'protocol' // the peer broke a rule
  | 'limit' // a named limit was reached
  | 'version' // the peer speaks another version
  | 'disk'
  | 'internal';

export interface WarrenErrorOptions {
  /** What the operator can do about it, one sentence. */
  readonly hint?: string;
  /** What the peer is told, if anything (see codes.ts). */
  readonly wire?: Code;
  readonly cause?: unknown;
}

export class WarrenError extends Error {
  readonly code: ErrorCode;
  readonly hint: string | undefined;
  readonly wire: Code | undefined;

  /**
   * @param code stable machine code
   * @param sentence what happened, one sentence, no secret in it
   */
  constructor(code: ErrorCode, sentence: string, options: WarrenErrorOptions = {}) {
    super(sentence, options.cause === undefined ? undefined : { cause: options.cause });
    this.name = 'WarrenError';
    this.code = code;
    this.hint = options.hint;
    this.wire = options.wire;
  }
}

/** Bytes from outside that do not decode. `what` names the structure, `why` the broken rule. */
export function malformed(what: string, why: string): WarrenError {
  return new WarrenError('malformed', `${what}: ${why}`, { wire: 'protocol' });
}
