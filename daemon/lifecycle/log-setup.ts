/** The log of a daemon process: where its lines go depends on who started it. */
import { createLog, type LogSink, type RootLog } from '../observe/log.js';
import { LogRing } from '../observe/ring.js';
import { fileSink, lineSink, prettySink, type FileSink } from '../observe/sinks.js';

export interface DaemonLog {
  readonly log: RootLog;
  readonly ring: LogRing;
  /** after the operator's log rotation has moved the file away */
  reopen(): void;
  close(): void;
}

export interface LogSetup {
  /** the log file; undefined: stderr */
  readonly file: string | undefined;
  readonly now: () => number;
  readonly stderr: { write(text: string): unknown; readonly isTTY?: boolean };
  readonly env: NodeJS.ProcessEnv;
}

/** A detached daemon writes to a file in its home; one in the foreground to stderr, as text when that is a terminal. */
export function setUpLog(setup: LogSetup): DaemonLog {
  const ring = new LogRing();
  const file = setup.file === undefined ? undefined : fileSink(setup.file);
  const log = createLog({ clock: { now: setup.now }, sinks: [ring.sink, outputOf(setup, file)] });
  return {
    log,
    ring,
    reopen: () => file?.reopen(),
    close: () => file?.close(),
  };
}

function outputOf({ stderr, env }: LogSetup, file: FileSink | undefined): LogSink {
  if (file !== undefined) return file.sink;
  const write = (text: string): void => void stderr.write(text);
  const colour = env.NO_COLOR === undefined || env.NO_COLOR === '';
  return stderr.isTTY === true ? prettySink(write, colour) : lineSink(write);
}
