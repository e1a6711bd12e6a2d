/**
 * A log for rooms whose lines a stranger can cause: of each event the first few in a window are written, the others
 * counted, and when the window ends one line tells how many were left out.
 */
import type { Timer, Timers } from '../../protocol/clock.js';
import type { Log, LogCall, LogFields, LogLevel } from './log.js';

/** Lines of one event that are written in a window. */
export const REPEATS_WRITTEN = 5;
export const REPEATS_WINDOW_MS = 10_000;
/** Events that are told apart; beyond, they share one count. Event names come from the program, not the network. */
const MAX_EVENTS = 256;
const OTHERS = 'other-events';

interface Window {
  readonly key: string;
  written: number;
  suppressed: number;
  timer: Timer | undefined;
  readonly until: number;
}

/** @returns a log that passes lines on to `log`; all its children count together */
export function limitRepeats(log: Log, timers: Pick<Timers, 'after' | 'monotonic'>): Log {
  const windows = new Map<string, Window>();

  const windowOf = (event: string): Window => {
    const key = windows.has(event) || windows.size < MAX_EVENTS ? event : OTHERS;
    const known = windows.get(key);
    if (known !== undefined && timers.monotonic() < known.until) return known;
    const fresh = { key, written: 0, suppressed: 0, timer: undefined, until: timers.monotonic() + REPEATS_WINDOW_MS };
    windows.set(key, fresh);
    return fresh;
  };

  const close = (window: Window, call: LogCall): void => {
    if (windows.get(window.key) === window) windows.delete(window.key);
    call(window.key, { suppressed: window.suppressed }, `${window.suppressed} more lines of this kind were left out`);
  };

  const limited =
    (target: Log, level: LogLevel): LogCall =>
    (event, fields, msg) => {
      const window = windowOf(event);
      if (window.written < REPEATS_WRITTEN) {
        window.written++;
        target[level](event, fields, msg);
        return;
      }
      window.suppressed++;
      // the summary has the event alone: the fields of the lines left out differ
      window.timer ??= timers.after(window.until - timers.monotonic(), () => close(window, log[level]));
    };

  const wrap = (target: Log): Log => ({
    debug: limited(target, 'debug'),
    info: limited(target, 'info'),
    warn: limited(target, 'warn'),
    error: limited(target, 'error'),
    child: (fields: LogFields) => wrap(target.child(fields)),
  });
  return wrap(log);
}
