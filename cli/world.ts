/**
 * What a command may touch of the process it runs in: arguments, environment, standard streams, signals, the clock,
 * and where the daemon's programs lie. `main.ts` builds the real one; tests build others.
 */
/** A standard output: `isTTY` and `columns` are set when it is a terminal. */
export type Output = NodeJS.WritableStream & {
  readonly isTTY?: boolean;
  readonly columns?: number;
  readonly rows?: number;
};

export type Input = NodeJS.ReadableStream & {
  destroy(): unknown;
  readonly isTTY?: boolean;
  /** of a terminal: keys come one by one, and are not shown */
  setRawMode?(raw: boolean): unknown;
};

export interface World {
  /** what follows the program's name */
  readonly args: readonly string[];
  readonly env: Readonly<Record<string, string | undefined>>;
  readonly cwd: string;
  /** the user's home directory */
  readonly homedir: string;
  readonly platform: NodeJS.Platform;
  readonly version: string;
  readonly stdout: Output;
  readonly stderr: Output;
  /** opened on first use only: an open stdin holds the process */
  stdin(): Input;
  /** a person can be asked: standard input and standard error are a terminal */
  readonly interactive: boolean;
  /** ms since the epoch */
  now(): number;
  /** the daemon's program, the offline doctor, what restores a home: JavaScript files that `execPath` runs */
  readonly daemonProgram: string;
  readonly doctorProgram: string;
  readonly restoreProgram: string;
  readonly execPath: string;
  readonly execArgv: readonly string[];
  /** Replaces what is done on a signal; gives back a function that restores what was done before. */
  onSignal(signal: NodeJS.Signals, handler: () => void): () => void;
  /** Ends the process at once; what stdout has not taken yet is lost. */
  exit(code: number): never;
}
