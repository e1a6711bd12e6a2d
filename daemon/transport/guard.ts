/**
 * Connections whose handshake is not done: how many there may be, and for how long.
 *
 * Each has one absolute deadline that no byte moves. There is a cap in total and one per source. A newcomer above a cap
 * takes the place of the oldest connection that has proven nothing (of its own source, or of all), so strangers push
 * each other out while a member, who proves the network secret with its first bytes, stays. Only when all places are
 * held by those who have proven it, the newcomer is turned away. What is remembered of a source ends with its last
 * connection, so the table is never longer than the cap in total.
 */
import ipaddr from 'ipaddr.js';
import type { Timer, Timers } from '../../protocol/clock.js';

export interface GuardLimits {
  /** connections without a finished handshake, all sources together */
  readonly total: number;
  /** the same for one source: an IPv4 address or an IPv6 /64 */
  readonly perSource: number;
  /** ms from the accepted connection to the finished handshake */
  readonly deadlineMs: number;
}

export const GUARD_LIMITS: GuardLimits = { total: 256, perSource: 32, deadlineMs: 10_000 };

/**
 * deadline: its time is over · replaced: a newcomer took its place · no place: holders of a secret have them all ·
 * closing: the listener ends
 */
export type DropReason = 'deadline' | 'replaced' | 'no place' | 'closing';

/** A place in the table. */
export interface HalfOpen {
  /** It knows a secret of the network: newcomers no longer take its place. The deadline stays. */
  proven(): void;
  /** The handshake is done, or the connection is gone: gives the place back. Again: nothing. */
  done(): void;
}

class Place implements HalfOpen {
  deadline: Timer | undefined;
  isProven = false;

  constructor(
    private readonly guard: Guard,
    readonly source: string,
    readonly drop: (why: DropReason) => void,
  ) {}

  proven(): void {
    this.guard.prove(this);
  }

  done(): void {
    this.guard.release(this);
  }
}

interface Source {
  count: number;
  /** in the order of arrival */
  readonly unproven: Set<Place>;
}

export class Guard {
  private readonly places = new Set<Place>();
  /** in the order of arrival */
  private readonly unproven = new Set<Place>();
  private readonly sources = new Map<string, Source>();

  constructor(
    private readonly limits: GuardLimits,
    private readonly timers: Timers,
  ) {}

  /** Connections that hold a place now. */
  get size(): number {
    return this.places.size;
  }

  /** Sources that have a connection here now. */
  get sourceCount(): number {
    return this.sources.size;
  }

  /**
   * @param address IP address of the other end
   * @param drop called at most once, when the guard takes the place away; closes the connection
   * @returns undefined when there is no place
   */
  admit(address: string, drop: (why: DropReason) => void): HalfOpen | undefined {
    const source = sourceOf(address);
    const known = this.sources.get(source);
    if (known !== undefined && known.count >= this.limits.perSource && !this.replaceOldest(known.unproven))
      return undefined;
    if (this.places.size >= this.limits.total && !this.replaceOldest(this.unproven)) return undefined;
    return this.take(new Place(this, source, drop));
  }

  /** Drops all that are left. */
  close(): void {
    for (const place of [...this.places]) this.dropPlace(place, 'closing');
  }

  prove(place: Place): void {
    if (!this.places.has(place)) return;
    place.isProven = true;
    this.unproven.delete(place);
    this.sources.get(place.source)?.unproven.delete(place);
  }

  release(place: Place): void {
    if (!this.places.delete(place)) return;
    place.deadline?.cancel();
    this.unproven.delete(place);
    const source = this.sources.get(place.source)!;
    source.unproven.delete(place);
    if (--source.count === 0) this.sources.delete(place.source);
  }

  private take(place: Place): Place {
    const source = this.sources.get(place.source) ?? { count: 0, unproven: new Set() };
    this.sources.set(place.source, source);
    source.count++;
    source.unproven.add(place);
    this.unproven.add(place);
    this.places.add(place);
    place.deadline = this.timers.after(this.limits.deadlineMs, () => this.dropPlace(place, 'deadline'));
    return place;
  }

  private replaceOldest(unproven: Set<Place>): boolean {
    const [oldest] = unproven;
    if (oldest === undefined) return false;
    this.dropPlace(oldest, 'replaced');
    return true;
  }

  private dropPlace(place: Place, why: DropReason): void {
    this.release(place);
    place.drop(why);
  }
}

/** IPv6 groups that a /64 is made of: a site has that many addresses for the asking. */
const GROUPS_OF_64 = 4;

/** What counts as one source: an IPv4 address (also when mapped into IPv6), or an IPv6 /64. */
export function sourceOf(address: string): string {
  const bare = address.replace(/%.*$/, '');
  if (!ipaddr.isValid(bare)) return address;
  const parsed = ipaddr.process(bare);
  if (!(parsed instanceof ipaddr.IPv6)) return parsed.toString();
  const network = parsed.parts.slice(0, GROUPS_OF_64).map(group => group.toString(16));
  return `${network.join(':')}::/64`;
}
