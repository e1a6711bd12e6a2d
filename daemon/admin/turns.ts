/**
 * One change at a time: requests that change the daemon, and a reload by signal, wait for each other, so that each sees
 * the state that the one before has left.
 */
export class Turns {
  private last: Promise<unknown> = Promise.resolve();

  /** Runs `work` when all that asked before are done, whether they succeeded or not. */
  run<T>(work: () => T | Promise<T>): Promise<T> {
    const turn = this.last.then(work);
    this.last = turn.catch(() => undefined);
    return turn;
  }
}
