/**
 * The end of a daemon: asked for once, by a signal, by `warren down` or by a parent that went away; a further request
 * can only hurry it. Holds no rooms: `stop` is what app.ts gives.
 */
import { errorFields, type Log } from '../observe/log.js';

export interface EndingRequest {
  /** for the log: what asked for it */
  readonly reason: string;
  readonly drainMs: number;
  readonly restart: boolean;
}

export interface EndingOptions {
  readonly log: Log;
  /** drains and ends everything; `force` aborts to end at once */
  readonly stop: (drainMs: number, force: AbortSignal) => Promise<void>;
  /** the last act: what is left to close, and the end of the process */
  readonly finish: (request: EndingRequest, clean: boolean) => void | Promise<void>;
}

/** What the end may take beyond its drain, ms; then it is cut short. */
export const STOP_EXTRA_MS = 8_000;
/** And when it is forced, ms. */
export const FORCE_EXTRA_MS = 2_000;

export class Ending {
  private request: EndingRequest | undefined;
  private readonly forced = new AbortController();

  constructor(private readonly options: EndingOptions) {}

  get begun(): boolean {
    return this.request !== undefined;
  }

  /** @returns false when the end is under way already; the request changes nothing then */
  begin(request: EndingRequest): boolean {
    if (this.request !== undefined) return false;
    this.request = request;
    this.options.log.info(
      'ending',
      { reason: request.reason, drainMs: request.drainMs, restart: request.restart },
      'the daemon was asked to end',
    );
    void this.run(request);
    return true;
  }

  /** Ends the drain at once. */
  force(reason: string): void {
    if (this.forced.signal.aborted) return;
    this.options.log.warn('forced', { reason }, 'the daemon ends without waiting for open streams');
    this.forced.abort();
  }

  private async run(request: EndingRequest): Promise<void> {
    let clean = false;
    try {
      clean = await Promise.race([
        this.options.stop(request.drainMs, this.forced.signal).then(() => true),
        this.tooLate(request),
      ]);
      if (!clean)
        this.options.log.error(
          'stop-late',
          { drainMs: request.drainMs },
          'the daemon did not end in time and is cut short',
        );
    } catch (error) {
      this.options.log.error('stop-failed', errorFields(error), 'the daemon could not end in order');
    }
    await this.options.finish(request, clean);
  }

  /** Resolves when the end takes longer than it may. */
  private tooLate(request: EndingRequest): Promise<false> {
    return new Promise(resolve => {
      setTimeout(() => resolve(false), request.drainMs + STOP_EXTRA_MS).unref();
      this.forced.signal.addEventListener('abort', () => setTimeout(() => resolve(false), FORCE_EXTRA_MS).unref(), {
        once: true,
      });
    });
  }
}
