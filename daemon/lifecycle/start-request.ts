/**
 * What this process is to do: from the IPC channel of `warren up`, since argv is public and a token is a secret; or,
 * under a supervisor, from `--home DIR` alone.
 */
import { isAbsolute } from 'node:path';
import * as v from 'valibot';
import type {
  PassphraseAnswer,
  PassphraseQuestion,
  RestoreRequest,
  StartRequest,
} from '../../protocol/admin/programs.js';
import { WarrenError } from '../../protocol/errors.js';
import { homeOf } from '../home/paths.js';

/** How long the parent may take to say what it wants. */
const REQUEST_TIMEOUT_MS = 10_000;
const MAX_TEXT = 16 * 1024;

const text = v.pipe(v.string(), v.maxLength(MAX_TEXT));
const absolute = v.pipe(text, v.check(isAbsolute));
const home = v.pipe(
  text,
  v.check(path => homeOf(path) === path),
);

const startSchema: v.GenericSchema<unknown, StartRequest> = v.object({
  kind: v.literal('start'),
  home,
  foreground: v.boolean(),
  name: v.optional(text),
  listen: v.optional(v.array(text)),
  noListen: v.optional(v.boolean()),
  advertise: v.optional(v.array(text)),
  mdns: v.optional(v.boolean()),
  links: v.optional(v.number()),
  proxy: v.optional(text),
  join: v.optional(text),
  passphrase: v.optional(text),
  asks: v.optional(v.picklist(['open', 'choose'])),
  handedOver: v.optional(text),
  nextKey: v.optional(absolute),
  nextPassphrase: v.optional(text),
});

const restoreSchema: v.GenericSchema<unknown, RestoreRequest> = v.object({
  kind: v.literal('restore'),
  home,
  file: absolute,
  passphrase: v.optional(text),
  asks: v.optional(v.literal('open')),
});

const answerSchema: v.GenericSchema<unknown, PassphraseAnswer> = v.object({
  kind: v.literal('passphrase'),
  passphrase: text,
});

/** The part of `process` by which a parent speaks. */
export interface Channel {
  once(event: 'message', listener: (message: unknown) => void): unknown;
  once(event: 'disconnect', listener: () => void): unknown;
  send?(message: object): unknown;
}

/** @throws WarrenError `usage` when the parent says nothing or nonsense */
export function fromParent(channel: Channel, timeoutMs: number = REQUEST_TIMEOUT_MS): Promise<StartRequest> {
  return requestOf(channel, startSchema, timeoutMs);
}

/** The same for the program that restores a home. */
export function restoreFromParent(channel: Channel, timeoutMs: number = REQUEST_TIMEOUT_MS): Promise<RestoreRequest> {
  return requestOf(channel, restoreSchema, timeoutMs);
}

function requestOf<T>(channel: Channel, schema: v.GenericSchema<unknown, T>, timeoutMs: number): Promise<T> {
  return new Promise((resolve, reject) => {
    const refuse = (sentence: string): void =>
      reject(new WarrenError('usage', sentence, { hint: 'start it with: warren up' }));
    const late = setTimeout(() => refuse('the parent did not say what to start'), timeoutMs);
    channel.once('disconnect', () => refuse('the parent went away before it said what to start'));
    channel.once('message', message => {
      clearTimeout(late);
      const result = v.safeParse(schema, message);
      if (result.success) resolve(result.output);
      else refuse('the parent sent no start request');
    });
  });
}

/**
 * Has the parent ask a person, who may take as long as it takes.
 * @throws WarrenError `passphrase` when the parent goes away or answers nonsense
 */
export function askParent(channel: Channel, question: PassphraseQuestion): Promise<string> {
  return new Promise((resolve, reject) => {
    const refuse = (): void =>
      reject(new WarrenError('passphrase', `no passphrase was given for ${question.of}`, { hint: 'try again' }));
    channel.once('disconnect', refuse);
    channel.once('message', message => {
      const result = v.safeParse(answerSchema, message);
      if (result.success) resolve(result.output.passphrase);
      else refuse();
    });
    channel.send?.(question);
  });
}

/** @param args what follows the program's name: nothing, or `--home DIR`. @throws WarrenError `usage` */
export function fromArguments(args: readonly string[], env: NodeJS.ProcessEnv): StartRequest {
  const [flag, dir, ...rest] = args;
  const given = flag === '--home' && dir !== undefined && rest.length === 0;
  if (!given && args.length > 0) {
    throw new WarrenError('usage', 'the daemon takes --home DIR and nothing else', {
      hint: 'start it with: warren up',
    });
  }
  return { kind: 'start', home: homeOf(given ? dir : undefined, env), foreground: true };
}
