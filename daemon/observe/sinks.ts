/** Where log lines go: a file in the home that is rotated by size, or stderr as NDJSON or as text for people. */
import * as fs from 'node:fs';
import { createColors } from 'picocolors';
import type { LogLevel, LogSink } from './log.js';

/** At this size the file becomes `warren.log.1` (which replaces the older one) and a new one begins. */
export const LOG_FILE_BYTES = 10 * 1024 * 1024;

export interface FileSink {
  readonly sink: LogSink;
  /** Opens the path anew, after something else has moved the file away. */
  reopen(): void;
  close(): void;
}

/**
 * Appends to a file of mode 0600, synchronously: the last line before a crash is there.
 * @throws the file system's error when the file cannot be opened
 */
export function fileSink(path: string, maxBytes: number = LOG_FILE_BYTES): FileSink {
  let file = openLog(path);
  /** A full disk may have cut the last line: the next one must not be glued to it. */
  let cut = false;
  // The new file is open before the old one is closed: a closed descriptor's number may soon be another file's.
  const reopen = (): void => {
    const old = file.fd;
    file = openLog(path);
    fs.closeSync(old);
  };
  const rotate = (): void => {
    try {
      fs.renameSync(path, `${path}.1`);
      reopen();
    } catch {
      // then it grows until the next line can do it
    }
  };
  return {
    sink: line => {
      const bytes = Buffer.from(`${cut ? '\n' : ''}${line}\n`, 'utf8');
      if (file.size > 0 && file.size + bytes.length > maxBytes) rotate();
      const written = fs.writeSync(file.fd, bytes);
      file.size += written;
      cut = written < bytes.length;
    },
    reopen,
    close: () => fs.closeSync(file.fd),
  };
}

function openLog(path: string): { readonly fd: number; size: number } {
  const fd = fs.openSync(path, 'a', 0o600);
  fs.fchmodSync(fd, 0o600);
  return { fd, size: fs.fstatSync(fd).size };
}

/** NDJSON to a stream, for journald and containers. */
export function lineSink(write: (text: string) => void): LogSink {
  return line => write(`${line}\n`);
}

/** One line of text per log line, for a terminal. @param colour whether to use ANSI colours */
export function prettySink(write: (text: string) => void, colour: boolean): LogSink {
  const paint = createColors(colour);
  const levels: Readonly<Record<LogLevel, (text: string) => string>> = {
    debug: paint.dim,
    info: paint.green,
    warn: paint.yellow,
    error: paint.red,
  };
  return (line, level) => {
    const { time, event, msg, level: _level, ...fields } = parseLine(line);
    const extra = Object.entries(fields)
      .map(([name, value]) => ` ${paint.dim(`${name}=`)}${plain(value)}`)
      .join('');
    const clock = printable(String(time)).slice(11, 19);
    write(
      `${paint.dim(clock)} ${levels[level](level.padEnd(5))} ${plain(msg)} ${paint.dim(`[${plain(event)}]`)}${extra}\n`,
    );
  };
}

function parseLine(line: string): Record<string, unknown> {
  try {
    return JSON.parse(line) as Record<string, unknown>;
  } catch {
    return { msg: line };
  }
}

function plain(value: unknown): string {
  return printable(typeof value === 'string' ? value : (JSON.stringify(value) ?? ''));
}

/** A name from the network must not move the terminal's cursor or turn the text around. */
function printable(text: string): string {
  return text.replace(/[\p{Cc}\p{Cf}\p{Zl}\p{Zp}\p{Surrogate}]/gu, c => `\\u{${c.codePointAt(0)!.toString(16)}}`);
}
