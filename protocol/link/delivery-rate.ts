/**
 * How fast a path delivers, from what is acknowledged when (after BBR's rate samples). Each sample spans a stretch that is
 * long against the bursts of a path: a token bucket lets some through at once, a lost packet holds all the later ones
 * back until they arrive together, and neither is its rate.
 */

/** A sample spans so much time, ms, and a round trip at least. */
const STRETCH_MS = 50;
/** Places in a stretch from which a sample may begin. */
const MARKS = 32;
/** The best rate is forgotten after so many stretches. */
const MEMORY_STRETCHES = 10;
/** Start-up ends when the rate has not grown by this factor in so many stretches. */
const STARTUP_GROWTH = 1.25;
const STARTUP_STRETCHES = 3;

interface Mark {
  /** when bytes were acknowledged, and when the last of them had been sent, ms */
  readonly at: number;
  readonly sentAt: number;
  /** bytes acknowledged by then */
  readonly delivered: number;
}

export class DeliveryRate {
  /** Some sample was bound by the path, not by what there was to send. */
  hasBeenFull = false;
  /** The rate may still grow with what is kept on the path. */
  isGrowing = true;

  private delivered = 0;
  /** What counts up to here was sent when there was nothing more to send. */
  private dryUntil = 0;
  private marks: Mark[] = [];

  /** Bytes per ms: best of this and of the last period. */
  private bestNow = 0;
  private bestBefore = 0;
  private periodAt = 0;
  private grownTo = 0;
  private grownAt = 0;
  private flatStretches = 0;

  /** Best recent rate, bytes per ms; 0 before the first sample. */
  get best(): number {
    return Math.max(this.bestNow, this.bestBefore);
  }

  /** Something is sent while nothing is out. */
  begin(now: number): void {
    const last = this.marks.at(-1);
    // What went by in silence is no part of a stretch; a short pause is.
    if (last === undefined || now - last.at >= STRETCH_MS) {
      this.marks = [{ at: now, sentAt: now, delivered: this.delivered }];
    }
  }

  /** There was room for more than what is out, and nothing more to send. */
  ranDry(out: number): void {
    this.dryUntil = this.delivered + out;
  }

  /**
   * @param bytes acknowledged now
   * @param sentAt when the last of them were sent, ms
   * @param roundTripMs smoothed; 0 when not known
   */
  acked(bytes: number, sentAt: number, now: number, roundTripMs: number): void {
    this.delivered += bytes;
    const stretch = Math.max(STRETCH_MS, roundTripMs);
    const { marks } = this;
    while (marks.length > 1 && now - marks[1]!.at >= stretch) marks.shift();
    const from = marks[0];
    if (from !== undefined && now - from.at >= stretch) {
      // Acknowledgements that come in a heap tell nothing of a rate above that of sending.
      const elapsed = Math.max(now - from.at, sentAt - from.sentAt);
      this.sample((this.delivered - from.delivered) / elapsed, from.delivered < this.dryUntil, now, stretch);
    }
    if (now - (marks.at(-1)?.at ?? 0) >= stretch / MARKS) marks.push({ at: now, sentAt, delivered: this.delivered });
  }

  private sample(rate: number, isDry: boolean, now: number, stretch: number): void {
    if (isDry) {
      if (rate > this.best) this.bestNow = rate;
      return;
    }
    this.hasBeenFull = true;
    if (now - this.periodAt > MEMORY_STRETCHES * stretch) {
      this.bestBefore = this.bestNow;
      this.bestNow = 0;
      this.periodAt = now;
    }
    this.bestNow = Math.max(this.bestNow, rate);
    if (this.isGrowing && now - this.grownAt >= stretch) this.watchGrowth(now);
  }

  private watchGrowth(now: number): void {
    this.grownAt = now;
    if (this.best > this.grownTo * STARTUP_GROWTH) {
      this.grownTo = this.best;
      this.flatStretches = 0;
    } else if (++this.flatStretches >= STARTUP_STRETCHES) {
      this.isGrowing = false;
    }
  }
}
