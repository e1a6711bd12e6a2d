/** What clocks say that are too far from this host's for a link: the hint that this one may be wrong. */
import type { Timers } from '../../protocol/clock.js';

/** So many of the latest are kept ... */
const MOST_WITNESSES = 16;
/** ... for so long, ms: whoever is turned away comes again within a minute. */
const WITNESS_MS = 10 * 60_000;

interface Witness {
  readonly aheadMs: number;
  readonly at: number;
}

export class ClockWitnesses {
  private heard: Witness[] = [];

  constructor(private readonly timers: Pick<Timers, 'monotonic'>) {}

  /** A host with a secret of this network was turned away. @param aheadMs its clock against this one's */
  note(aheadMs: number): void {
    this.heard.push({ aheadMs, at: this.timers.monotonic() });
    if (this.heard.length > MOST_WITNESSES) this.heard.shift();
  }

  /** The median of late, ms; undefined when there is none. */
  get aheadMs(): number | undefined {
    const since = this.timers.monotonic() - WITNESS_MS;
    const late = this.heard.filter(({ at }) => at >= since).map(({ aheadMs }) => aheadMs);
    return late.sort((a, b) => a - b)[Math.floor(late.length / 2)];
  }
}
