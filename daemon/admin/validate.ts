/**
 * What requests may hold: bodies, path parameters, queries. The server is behind a 0600 socket, but a bad request still
 * gets a sentence and a hint, and never reaches the daemon. Whether a target or a token makes sense is judged by the
 * rooms that use them; here are types, sizes and known keys.
 */
import * as v from 'valibot';
import type {
  BackupRequest,
  ConnectRequest,
  DetachRequest,
  ExposeRequest,
  InviteRequest,
  JoinRequest,
  PingRequest,
  RoleRequest,
  RotateRequest,
  SettleRequest,
  ShutdownRequest,
} from '../../protocol/admin/contract.js';
import { WarrenError } from '../../protocol/errors.js';
import { checkServiceName } from '../../protocol/identity/names.js';
import { didYouMean } from '../config/suggest.js';
import { RING_LINES } from '../observe/ring.js';

const MAX_TEXT = 1024;
/** An invite has at most 4,096 bytes; base32 and blanks make it longer. */
const MAX_TOKEN = 16 * 1024;
const MAX_ENTRIES = 256;
const MAX_NODE = 128;
const MAX_PATH = 4096;
const INVITE_MIN_SECONDS = 60;
const INVITE_MAX_SECONDS = 7 * 86_400;

const text = v.pipe(v.string('must be text'), v.maxLength(MAX_TEXT, `has more than ${MAX_TEXT} characters`));
const texts = v.pipe(
  v.array(text, 'must be a list of texts'),
  v.maxLength(MAX_ENTRIES, `has more than ${MAX_ENTRIES} entries`),
);
const flag = v.boolean('must be true or false');

function whole(min: number, max: number) {
  const message = `must be a whole number from ${min} to ${max}`;
  return v.pipe(v.number(message), v.integer(message), v.minValue(min, message), v.maxValue(max, message));
}

/** A body's keys and what each holds. */
export type BodySchema<T> = v.GenericSchema<unknown, T> & { readonly entries: v.ObjectEntries };

export const emptyBody: BodySchema<object> = v.object({});

export const pingBody: BodySchema<PingRequest> = v.object({ count: v.optional(whole(1, 100)) });

export const inviteBody: BodySchema<InviteRequest> = v.object({
  ttlSeconds: v.optional(whole(INVITE_MIN_SECONDS, INVITE_MAX_SECONDS)),
  tags: v.optional(texts),
  forNode: v.optional(text),
});

export const joinBody: BodySchema<JoinRequest> = v.object({
  token: v.pipe(v.string('must be text'), v.maxLength(MAX_TOKEN, 'is too long for an invite')),
});

export const exposeBody: BodySchema<ExposeRequest> = v.object({
  target: text,
  version: v.optional(text),
  description: v.optional(text),
  tags: v.optional(texts),
  allow: v.optional(texts),
  deny: v.optional(texts),
});

export const connectBody: BodySchema<ConnectRequest> = v.object({ service: text, listen: v.optional(text) });

const file = v.pipe(v.string('must be text'), v.maxLength(MAX_PATH, 'is too long for a path'));

export const rotateBody: BodySchema<RotateRequest> = v.object({
  reason: v.optional(v.picklist(['routine', 'compromised'], 'must be routine or compromised')),
  nextFile: v.optional(file),
  passphrase: v.optional(text),
  affirm: v.optional(v.picklist(['signed-here', 'all', 'none'], 'must be signed-here, all or none')),
  networkSecret: v.optional(flag),
});

export const detachBody: BodySchema<DetachRequest> = v.object({ file, passphrase: v.optional(text) });

export const roleBody: BodySchema<RoleRequest> = v.object({
  action: v.picklist(['promote', 'demote'], 'must be promote or demote'),
});

export const settleBody: BodySchema<SettleRequest> = v.object({
  standing: v.pipe(
    v.string('must be text'),
    v.regex(/^[0-9a-f]{8,64}$/i, 'must be a hash, or its first 8 characters at least, in hexadecimal'),
  ),
});

export const backupBody: BodySchema<BackupRequest> = v.object({ passphrase: text });

export const shutdownBody: BodySchema<ShutdownRequest> = v.object({
  drainSeconds: v.optional(whole(0, 3600)),
  restart: v.optional(flag),
});

/**
 * @param value the body as JSON.parse gave it
 * @throws WarrenError `bad-value` naming the field
 */
export function checkBody<T>(schema: BodySchema<T>, value: unknown): T {
  if (typeof value !== 'object' || value === null || Array.isArray(value)) {
    throw bad('the request body is not a JSON object', 'send { } with the fields of docs/cli.md');
  }
  const known = Object.keys(schema.entries);
  for (const key of Object.keys(value)) {
    if (known.includes(key)) continue;
    const hint =
      didYouMean(key, known) ?? (known.length === 0 ? 'no fields are known here' : `known here: ${known.join(', ')}`);
    throw bad(`unknown field ${JSON.stringify(key.slice(0, 64))} in the request`, hint);
  }
  const result = v.safeParse(schema, value, { abortEarly: true, abortPipeEarly: true });
  if (result.success) return result.output;
  const [issue] = result.issues;
  const place = v.getDotPath(issue) ?? 'the request';
  const missing = issue.kind === 'schema' && issue.type === 'object';
  throw bad(
    `${place} ${missing ? 'is missing' : issue.message}`,
    `mend the field ${place.split('.')[0]!} of the request`,
  );
}

/** A path parameter that names a service. @throws WarrenError `bad-value` */
export function checkService(name: string): string {
  checkServiceName(name);
  return name;
}

/** A path parameter that names a node, by name or by ID; who it is, the daemon knows. @throws WarrenError `bad-value` */
export function checkNode(node: string): string {
  if (node.length > 0 && node.length <= MAX_NODE && /^[\x21-\x7e]+$/.test(node)) return node;
  throw bad(`${JSON.stringify(node.slice(0, 64))} names no node`, 'write the name or the ID of a node: warren peers');
}

/** A path parameter that numbers a stream. @throws WarrenError `bad-value` */
export function checkId(text: string): number {
  if (/^\d{1,15}$/.test(text)) return Number(text);
  throw bad(`${JSON.stringify(text.slice(0, 64))} is no number of a stream`, 'take it from the header Warren-Stream');
}

export interface LogsQuery {
  readonly follow: boolean;
  readonly lines: number;
}

export const DEFAULT_LOG_LINES = 200;

/** @throws WarrenError `bad-value` */
export function checkLogsQuery(query: URLSearchParams): LogsQuery {
  for (const key of query.keys()) {
    if (key !== 'follow' && key !== 'lines')
      throw bad(`unknown query ${JSON.stringify(key.slice(0, 64))}`, 'known here: follow, lines');
  }
  const follow = query.get('follow') ?? '0';
  if (follow !== '0' && follow !== '1') throw bad('follow must be 0 or 1', 'leave it out for the lines so far');
  const given = query.get('lines') ?? String(DEFAULT_LOG_LINES);
  const lines = /^\d{1,6}$/.test(given) ? Number(given) : -1;
  if (lines < 0 || lines > RING_LINES)
    throw bad(`lines must be a whole number from 0 to ${RING_LINES}`, 'leave it out for the usual number');
  return { follow: follow === '1', lines };
}

function bad(sentence: string, hint: string): WarrenError {
  return new WarrenError('bad-value', sentence, { hint });
}
