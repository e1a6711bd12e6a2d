/** Signals: SIGTERM and SIGINT drain, a second one forces; SIGHUP reloads. */

export interface SignalActions {
  /** the first SIGTERM or SIGINT */
  stop(signal: NodeJS.Signals): void;
  /** any further one */
  force(signal: NodeJS.Signals): void;
  reload(): void;
}

/** The part of `process` that tells of signals. */
export interface SignalSource {
  on(signal: NodeJS.Signals, listener: (signal: NodeJS.Signals) => void): unknown;
  off(signal: NodeJS.Signals, listener: (signal: NodeJS.Signals) => void): unknown;
}

/** @returns puts the signals back to what they do by default */
export function handleSignals(source: SignalSource, actions: SignalActions): () => void {
  let stopping = false;
  const stop = (signal: NodeJS.Signals): void => {
    if (stopping) return actions.force(signal);
    stopping = true;
    actions.stop(signal);
  };
  const reload = (): void => {
    if (!stopping) actions.reload();
  };
  source.on('SIGTERM', stop);
  source.on('SIGINT', stop);
  source.on('SIGHUP', reload);
  return () => {
    source.off('SIGTERM', stop);
    source.off('SIGINT', stop);
    source.off('SIGHUP', reload);
  };
}
