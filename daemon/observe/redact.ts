/**
 * The last guard before a log line is written: fields whose name speaks of a secret, values that are not flat, and
 * texts that look like a token or a key are masked. Rooms do not log secrets; this catches the one that forgets.
 */
/** Flat values only: an object or a byte array in a log line is how secrets get out. */
export type LogValue = string | number | boolean | null | undefined | readonly string[] | readonly number[];
export type LogFields = Readonly<Record<string, LogValue>>;

export const MASKED = 'MASKED';

/** A longer text in a field is cut: what comes from the network may not fill the disk. */
export const MAX_FIELD_TEXT = 1024;
/** More entries of a list are dropped. */
export const MAX_FIELD_LIST = 64;

const SECRET_NAME = /secret|private|passphrase|password|token|psk|seed|credential|authorization|cookie/i;

/** Names that the line itself uses; a field cannot take their place. */
const RESERVED = new Set(['time', 'level', 'event', 'msg']);

/** Invite tokens, wherever they stand in a text. */
const TOKEN = /warren1[A-Za-z0-9_-]{8,}/gi;
/** PEM blocks and the user part of a URL. */
const PEM = /-----BEGIN[^-]{0,64}PRIVATE KEY-----[\s\S]*/g;
const URL_USER = /(\b[a-z][a-z0-9+.-]{1,15}:\/\/)[^\s/@]{1,256}@/gi;

/** @returns the same fields with everything doubtful masked; undefined values dropped */
export function redact(fields: LogFields): Record<string, unknown> {
  const out: Record<string, unknown> = {};
  for (const [name, value] of Object.entries(fields)) {
    if (value !== undefined && !RESERVED.has(name)) out[name] = SECRET_NAME.test(name) ? MASKED : clean(value);
  }
  return out;
}

function clean(value: unknown): unknown {
  switch (typeof value) {
    case 'string':
      return cleanText(value);
    case 'number':
    case 'boolean':
      return value;
    case 'object':
      if (value === null) return null;
      if (Array.isArray(value)) return cleanList(value);
      return MASKED;
    default:
      return MASKED;
  }
}

function cleanList(list: readonly unknown[]): unknown {
  if (list.some(entry => typeof entry === 'object')) return MASKED;
  return list.slice(0, MAX_FIELD_LIST).map(clean);
}

/** A text with tokens, private keys and URL credentials masked, and cut to MAX_FIELD_TEXT. */
export function cleanText(text: string): string {
  const short = text.length > MAX_FIELD_TEXT ? `${text.slice(0, MAX_FIELD_TEXT)}…` : text;
  return short.replace(TOKEN, `warren1${MASKED}`).replace(PEM, MASKED).replace(URL_USER, `$1${MASKED}@`);
}
