/**
 * Draining: whoever holds a token is active, giving it back is being done. The drain is over when no token is held, when
 * its deadline passes, or when it is forced; each room decides by itself what to hold a token for.
 */
import type { Timers } from '../../protocol/clock.js';

export type DrainEnd = 'done' | 'deadline' | 'forced';

export class Drain {
  private held = 0;
  private asked = false;
  private readonly waiting = new Set<() => void>();
  private readonly starters = new Set<() => void>();

  constructor(private readonly timers: Pick<Timers, 'after'>) {}

  /** Tokens that are held now. */
  get active(): number {
    return this.held;
  }

  get draining(): boolean {
    return this.asked;
  }

  /** @returns gives the token back; once is enough, further calls do nothing */
  hold(): () => void {
    let mine = true;
    this.held++;
    return () => {
      if (!mine) return;
      mine = false;
      this.held--;
      if (this.held === 0) for (const wake of [...this.waiting]) wake();
    };
  }

  /** Called when the drain begins, at once if it has: the place to stop taking new work. */
  onStart(callback: () => void): void {
    if (this.asked) callback();
    else this.starters.add(callback);
  }

  /**
   * Begins the drain and waits for its end. A second call waits too, with its own deadline.
   * @param ms how long tokens may be held; 0 waits for none
   * @param force ends it at once
   */
  async run(ms: number, force: AbortSignal): Promise<DrainEnd> {
    if (!this.asked) {
      this.asked = true;
      for (const callback of this.starters) callback();
      this.starters.clear();
    }
    if (this.held === 0) return 'done';
    if (force.aborted) return 'forced';
    if (ms <= 0) return 'deadline';
    return new Promise(resolve => {
      const end = (how: DrainEnd): void => {
        late.cancel();
        this.waiting.delete(done);
        force.removeEventListener('abort', forced);
        resolve(how);
      };
      const done = (): void => end('done');
      const forced = (): void => end('forced');
      const late = this.timers.after(ms, () => end('deadline'));
      this.waiting.add(done);
      force.addEventListener('abort', forced, { once: true });
    });
  }
}
