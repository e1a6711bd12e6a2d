/**
 * The daemon's log: NDJSON lines with stable names (docs/operations.md lists every event and field), written by pino to
 * sinks that are plain functions. What rooms receive is the narrow `Log`; who builds the daemon holds the sinks.
 *
 * A line is: time (ISO 8601), level (label), event (stable, kebab-case), msg (a sentence), then the event's fields.
 */
import pino from 'pino';
import type { Clock } from '../../protocol/clock.js';
import { WarrenError } from '../../protocol/errors.js';
import type { LogLine } from '../../protocol/admin/contract.js';
import { cleanText, redact, type LogFields } from './redact.js';

export type { LogFields, LogValue } from './redact.js';

export type LogLevel = LogLine['level'];

export const LOG_LEVELS: readonly LogLevel[] = ['debug', 'info', 'warn', 'error'];

/**
 * @param event stable name in kebab-case, the same for every line of this kind
 * @param fields camelCase names; no secrets
 * @param msg one sentence for the operator
 */
export type LogCall = (event: string, fields: LogFields, msg: string) => void;

export interface Log {
  readonly debug: LogCall;
  readonly info: LogCall;
  readonly warn: LogCall;
  readonly error: LogCall;
  /** The same log with `fields` on every line. */
  child(fields: LogFields): Log;
}

/** One finished line, without the line feed, and what it holds. */
export type LogSink = (line: string, level: LogLevel) => void;

export interface LogOptions {
  readonly clock: Pick<Clock, 'now'>;
  /** lines below this level are not written; default `info` */
  readonly level?: LogLevel;
  /** each gets every line, in order, before the log call returns; one that throws is skipped */
  readonly sinks: readonly LogSink[];
}

/** The log itself, for who builds the daemon: its level holds for all children at once. */
export interface RootLog extends Log {
  setLevel(level: LogLevel): void;
}

/** @returns a log that writes to all sinks synchronously */
export function createLog(options: LogOptions): RootLog {
  const destination = {
    lastLevel: 30,
    write: (line: string): void => {
      const level = labelOf(destination.lastLevel);
      const text = line.endsWith('\n') ? line.slice(0, -1) : line;
      for (const sink of options.sinks) deliver(sink, text, level);
    },
    [Symbol.for('pino.metadata')]: true,
  };
  const logger = pino(
    {
      level: options.level ?? 'info',
      base: undefined,
      timestamp: () => `,"time":"${isoTime(options.clock.now())}"`,
      formatters: { level: label => ({ level: label }) },
    },
    destination,
  );
  return {
    ...wrap(logger, {}),
    setLevel: level => {
      logger.level = level;
    },
  };
}

/** A log that keeps nothing, for tests and small programs. */
export const silentLog: Log = {
  debug: () => undefined,
  info: () => undefined,
  warn: () => undefined,
  error: () => undefined,
  child: () => silentLog,
};

/** The fields by which every line tells of an error: its stable code and its sentence. */
export function errorFields(error: unknown): { readonly code: string; readonly error: string } {
  if (error instanceof WarrenError) return { code: error.code, error: error.message };
  if (error instanceof Error)
    return { code: (error as NodeJS.ErrnoException).code ?? 'internal', error: error.message };
  return { code: 'internal', error: String(error) };
}

function wrap(logger: pino.Logger, inherited: LogFields): Log {
  const call =
    (level: LogLevel): LogCall =>
    (event, fields, msg) => {
      if (!logger.isLevelEnabled(level)) return;
      logger[level]({ event, ...redact({ ...inherited, ...fields }) }, '%s', cleanText(msg));
    };
  return {
    debug: call('debug'),
    info: call('info'),
    warn: call('warn'),
    error: call('error'),
    child: fields => wrap(logger, { ...inherited, ...fields }),
  };
}

function labelOf(value: number): LogLevel {
  const label = pino.levels.labels[value];
  return LOG_LEVELS.find(level => level === label) ?? 'error';
}

/** A clock that jumps outside the calendar must not stop the log. */
function isoTime(ms: number): string {
  const date = new Date(ms);
  return Number.isNaN(date.getTime()) ? new Date(0).toISOString() : date.toISOString();
}

function deliver(sink: LogSink, line: string, level: LogLevel): void {
  try {
    sink(line, level);
  } catch {
    // a full disk or a closed terminal must never stop the daemon
  }
}
