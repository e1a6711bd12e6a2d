/**
 * While one link is good and carries the session at both ends, whatever happens to the others must hardly be noticed:
 * no stream stands still for long whose sender has bytes and whose reader takes all it gets.
 */
import type { Hub } from './hub.js';
import type { End } from './model.js';
import type { Wire } from './wire.js';

/** What a dead link takes to be given up: a ping deadline behind a second of silence, and a look at the clocks, ms. */
export const STANDSTILL_MS = 6_500;

interface Waiting {
  got: number;
  since: number;
}

export class Progress {
  /** The link that is left alone. */
  kept: Wire | undefined;
  /** The longest standstill, ms. */
  longest = 0;
  private readonly waiting = new Map<End, Waiting>();

  constructor(private readonly hub: Hub) {}

  /** After every event. */
  step(): void {
    const { kept, hub } = this;
    if (kept === undefined) return;
    const isCarried = hub.peers.every(({ conns, view }) => {
      const conn = conns.find(({ wire }) => wire === kept);
      return conn !== undefined && view?.attached.has(conn.id) === true;
    });
    if (!isCarried) return this.waiting.clear();
    for (const pair of hub.pairs) for (const end of pair.ends) this.watch(end);
  }

  private watch(end: End): void {
    const { other } = end;
    const known = this.waiting.get(end);
    if (!isOwed(end)) {
      if (known !== undefined) this.waiting.delete(end);
    } else if (known === undefined) {
      this.waiting.set(end, { got: other.got, since: this.hub.now });
    } else if (known.got !== other.got) {
      known.got = other.got;
      known.since = this.hub.now;
    } else {
      const ms = this.hub.now - known.since;
      this.longest = Math.max(this.longest, ms);
      if (ms > STANDSTILL_MS) this.hub.fail(`${end.name}: stands still for ${Math.round(ms)} ms beside a good link`);
    }
  }
}

/** Something of this end has not come to the other one, and nobody but the session is the reason. */
function isOwed(end: End): boolean {
  const { other } = end;
  if (end.stream === undefined || end.isClosed || end.isOut || other.isClosed || other.isOut) return false;
  if (!other.wasOffered && end.isOpener) return true;
  if (other.unconsumed > 0 || (end.isOpener && !other.hasAccepted)) return false;
  return end.written > other.got || (end.hasEnded && !other.gotFin);
}
