/**
 * Rotations by the calendar (`keys.rotate` in the config). Each key gets its own moment, up to a tenth sooner or later than
 * its time, drawn from its statement: a restart does not move it, and the nodes of a network do not rotate all at once.
 * A key whose successor lies in a file cannot be replaced without its owner, who is reminded.
 */
import type { Timer, Timers } from '../../protocol/clock.js';
import type { Statement } from '../../protocol/identity/statement.js';

/** Keys are replaced up to this share of their time sooner or later. */
export const ROTATION_JITTER = 0.1;
/** The calendar is looked at this often, ms; also after a rotation that failed. */
export const ROTATION_CHECK_MS = 60 * 60_000;

export interface AutoRotationOptions {
  readonly timers: Timers;
  /** how long keys are used, ms; undefined: until the owner rotates */
  readonly every: () => number | undefined;
  readonly head: () => Statement;
  /** the next key lies in this home */
  readonly canRotate: () => boolean;
  /** rejects when it came to nothing */
  readonly rotate: () => Promise<void>;
  /** The owner has to do it. */
  readonly remind: () => void;
  readonly onFailed: (error: unknown) => void;
}

/** When the keys of this statement have had their time, ms since the epoch. @param every ms */
export function rotationDue(head: Pick<Statement, 'time' | 'hash'>, every: number): number {
  const unit = ((head.hash[0]! << 8) | head.hash[1]!) / 0xffff;
  return head.time + every * (1 - ROTATION_JITTER + 2 * ROTATION_JITTER * unit);
}

export class AutoRotation {
  private timer: Timer | undefined;
  private stopped = false;

  constructor(private readonly options: AutoRotationOptions) {}

  /** The keys in use have had their time. */
  get isDue(): boolean {
    const { timers, every, head } = this.options;
    const time = every();
    return time !== undefined && timers.now() >= rotationDue(head(), time);
  }

  start(): void {
    this.check().catch((error: unknown) => this.options.onFailed(error));
  }

  private async check(): Promise<void> {
    try {
      if (!this.isDue) return;
      if (this.options.canRotate()) await this.options.rotate();
      else this.options.remind();
    } finally {
      if (!this.stopped) this.timer = this.options.timers.after(this.pause(), () => this.start());
    }
  }

  private pause(): number {
    const { timers, every, head } = this.options;
    const time = every();
    if (time === undefined) return ROTATION_CHECK_MS;
    const left = rotationDue(head(), time) - timers.now();
    return left > 0 ? Math.min(left, ROTATION_CHECK_MS) : ROTATION_CHECK_MS;
  }

  stop(): void {
    this.stopped = true;
    this.timer?.cancel();
  }
}
