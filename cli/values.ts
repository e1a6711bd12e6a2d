/** Values of arguments and options that the CLI itself must understand. A refused one is exit code 1, not usage. */
import { isAbsolute, resolve } from 'node:path';
import { WarrenError } from '../protocol/errors.js';

const UNIT_SECONDS: Readonly<Record<string, number>> = { s: 1, m: 60, h: 3600, d: 86_400 };
const DURATION = /^(?:\d{1,9}[smhd])+$/;

/** @param text "90s", "15m", "1h30m", "2d"; @returns seconds, > 0 */
export function parseDuration(text: string): number {
  let seconds = 0;
  if (DURATION.test(text))
    for (const [, figure, unit] of text.matchAll(/(\d+)([smhd])/g))
      seconds += Number(figure) * (UNIT_SECONDS[unit ?? ''] ?? 0);
  if (seconds === 0)
    throw new WarrenError('bad-value', `"${text}" is no duration`, {
      hint: 'write a number and s, m, h or d: 90s, 15m, 1h, 2d',
    });
  return seconds;
}

/** A whole number within bounds. @param what names the value in the message */
export function parseCount(text: string, what: string, min: number, max: number): number {
  const value = /^\d{1,9}$/.test(text) ? Number(text) : NaN;
  if (!(value >= min && value <= max))
    throw new WarrenError('bad-value', `"${text}" is no ${what}`, {
      hint: `write a whole number from ${min} to ${max}`,
    });
  return value;
}

/** A proxy as an argument, which anybody on the host may read: user name and password have no place there. */
export function withoutCredentials(proxy: string): string {
  if (proxy.includes('@'))
    throw new WarrenError(
      'bad-value',
      'the proxy has a user name or password in it, which everybody on this host could read',
      {
        hint: 'write it into the config as node.proxy: http://USER:PASSWORD@HOST:PORT, or set HTTPS_PROXY',
      },
    );
  return proxy;
}

/**
 * The daemon does not run in the caller's folder, so a relative unix:PATH is made absolute here. Everything else is
 * judged by the daemon.
 */
export function absoluteUnix(address: string, cwd: string): string {
  const path = address.startsWith('unix:') ? address.slice('unix:'.length) : '';
  return path === '' || isAbsolute(path) ? address : `unix:${resolve(cwd, path)}`;
}

/** Refuses what cannot stand as one segment of a path. @param what "service name", "node" */
export function segment(text: string, what: string): string {
  if (text === '' || text === '.' || text === '..')
    throw new WarrenError('bad-value', `"${text}" is no ${what}`, {
      hint: 'names are 1–63 of letters, digits, ".", "_" and "-", beginning with a letter or digit',
    });
  return text;
}

/** One of a few words. @param what names the option in the message */
export function oneOf<T extends string>(what: string, text: string, words: readonly T[]): T {
  const found = words.find(word => word === text);
  if (found !== undefined) return found;
  throw new WarrenError('bad-value', `"${text}" is no value of ${what}`, { hint: `write ${words.join(' or ')}` });
}
