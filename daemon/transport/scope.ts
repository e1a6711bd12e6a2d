/** Everything that one dial has open ends with it: by its deadline, by the caller's signal, or because it is done. */
import type { Socket } from 'node:net';
import type { Timers } from '../../protocol/clock.js';
import { WarrenError } from '../../protocol/errors.js';

export interface ScopeOptions {
  /** what is dialed, as errors name it */
  readonly name: string;
  readonly deadlineMs: number;
  readonly timers: Timers;
  readonly signal?: AbortSignal | undefined;
}

export class Scope {
  readonly name: string;
  private readonly abort = new AbortController();
  private readonly deadline;
  private readonly callerAborted = (): void => this.giveUp('unreachable', `Dialing ${this.name} was given up.`);

  constructor(private readonly options: ScopeOptions) {
    const { name, deadlineMs, timers, signal } = options;
    this.name = name;
    const late = `${name} did not answer in ${deadlineMs / 1000} s.`;
    this.deadline = timers.after(deadlineMs, () => this.giveUp('timeout', late));
    if (signal?.aborted) this.callerAborted();
    else signal?.addEventListener('abort', this.callerAborted);
  }

  get signal(): AbortSignal {
    return this.abort.signal;
  }

  end(): void {
    this.deadline.cancel();
    this.options.signal?.removeEventListener('abort', this.callerAborted);
  }

  /** Runs `begin`; destroys `socket` and rejects if the scope ends first. */
  async within<T>(
    socket: Socket,
    begin: (resolve: (value: T) => void, reject: (error: unknown) => void) => void,
  ): Promise<T> {
    const { signal } = this;
    let aborted: () => void = () => undefined;
    try {
      return await new Promise<T>((resolve, reject) => {
        aborted = () => reject(signal.reason);
        if (signal.aborted) aborted();
        else {
          signal.addEventListener('abort', aborted);
          begin(resolve, reject);
        }
      });
    } catch (error) {
      socket.on('error', () => undefined);
      socket.destroy();
      throw error;
    } finally {
      signal.removeEventListener('abort', aborted);
    }
  }

  private giveUp(code: 'timeout' | 'unreachable', sentence: string): void {
    this.abort.abort(new WarrenError(code, sentence));
  }
}
