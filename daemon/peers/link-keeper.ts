/**
 * Keeps the links of one peer up, so that its streams never notice.
 *
 * - No link: both sides dial. Too few: the side that dialed one of those present adds to them, the other one if that does
 *   not help; a peer that wants fewer says `surplus` and is left alone for a while.
 * - Streams wait, or no link is sound: a round of dials every second beside those that hang (dial-loop.ts).
 * - No sound direct link for a second: paths through other members are tried too, and direct dialing goes on.
 * - Links that have become old are replaced one by one (link-age.ts).
 */
import type { Random, Timer, Timers } from '../../protocol/clock.js';
import type { Code } from '../../protocol/codes.js';
import type { Limits } from '../../protocol/limits.js';
import type { Link, LinkEnd } from '../../protocol/link/index.js';
import type { Session } from '../../protocol/session/index.js';
import type { PeerLink } from './bring-up.js';
import { DialLoop, jittered } from './dial-loop.js';
import { LinkAge } from './link-age.js';
import { isRelayed } from './relay-paths.js';

/** While streams wait for a link, rounds of dials begin so far apart, ms. */
export const HEAL_EVERY_MS = 1_000;
/** ... and while they go through a relay: an opened direct path is seen within a round and its handshake. */
export const DIRECT_EVERY_MS = 6_000;
/** Without a sound direct link for so long, ms, relayed paths are tried. */
export const RELAY_AFTER_MS = 1_000;
/** Rounds over relayed paths while streams wait begin so far apart, ms. */
export const RELAY_EVERY_MS = 2_000;
/** A link that was admitted and does not carry the session after so long, ms, is not waited for. */
export const COMING_MS = 1_000;
/** Before links are added, ms: the peer may be dialing just now. */
export const TOP_UP_MS = 400;
/** The side that dialed none of the present links adds to them only after so long, ms: the other may not know yet. */
export const LATE_TOP_UP_MS = 3_000;
/** A peer that wants no more links is asked again after so long, ms. */
export const SURPLUS_PAUSE_MS = 60_000;
/** An address whose link got into trouble comes last for so long, ms. */
export const AVOID_MS = 10 * 60_000;

export interface KeeperOptions {
  readonly timers: Timers;
  readonly random: Random;
  readonly limits: Limits;
  /** how long a link lives before its replacement, ms */
  readonly linkMs: number;
  /** admitted links of the peer, whether they carry the session yet or not */
  readonly links: () => Iterable<PeerLink>;
  readonly session: () => Session | undefined;
  /** false: nobody is to be dialed there (no member, removed, this daemon stops) */
  readonly mayDial: () => boolean;
  /** where the peer may be reached, best first */
  readonly addresses: () => readonly string[];
  /** where the last dialed link led to */
  readonly lastGood: () => string | undefined;
  /** resolves when the link is admitted */
  readonly dial: (address: string, signal?: AbortSignal) => Promise<void>;
  /** relayed paths, as addresses; none by default */
  readonly relayed?: {
    readonly addresses: () => readonly string[];
    readonly dial: (address: string, signal?: AbortSignal) => Promise<void>;
  };
  readonly onFailed: (error: unknown) => void;
}

export class LinkKeeper {
  private readonly direct: DialLoop;
  private readonly relayed: DialLoop | undefined;
  private readonly ages = new Map<PeerLink, LinkAge>();
  /** links that have carried the session */
  private readonly carried = new WeakSet<Link>();
  private readonly avoided = new Map<string, number>();
  /** what links there were when the peer found them enough, and how long that is believed */
  private enough: { readonly links: string; readonly until: number } | undefined;
  private topUp: Timer | undefined;
  private lateTopUp: Timer | undefined;
  /** ms, monotonic: since when there have been too few links */
  private shortSince: number | undefined;
  private askAgain: Timer | undefined;
  private relayTimer: Timer | undefined;
  /** ms, monotonic: since when no direct link has been sound */
  private soundlessSince: number | undefined;
  private stopped = false;

  constructor(private readonly options: KeeperOptions) {
    const { timers, random, relayed, onFailed } = options;
    this.direct = new DialLoop({
      timers,
      random,
      addresses: () => this.directAddresses(),
      wanted: () => this.wantsDirect(),
      every: () => this.directEvery(),
      dial: (address, signal) => options.dial(address, signal),
      onFailed,
    });
    if (relayed === undefined) return;
    this.relayed = new DialLoop({
      timers,
      random,
      addresses: relayed.addresses,
      wanted: () => this.wantsRelayed(),
      every: () => this.relayedEvery(),
      dial: relayed.dial,
      onFailed,
    });
  }

  get dialing(): boolean {
    return this.direct.dialing || this.relayed?.dialing === true;
  }

  // What has happened.

  /** A link is admitted. */
  linkUp(link: PeerLink): void {
    const { timers, random, linkMs, dial, relayed } = this.options;
    const again = isRelayed(link) ? relayed?.dial : dial;
    const age = new LinkAge({
      timers,
      random,
      linkMs,
      isDialer: link.direction === 'dialed' && again !== undefined,
      replace: async () => again?.(link.address),
      end: () => link.link.close('replaced', 'the link has lived its time'),
    });
    this.ages.set(link, age);
  }

  /** Newer keys than those of the link are known. */
  outdated(link: PeerLink): void {
    link.link.isOutdated = true;
    this.ages.get(link)?.outdated();
  }

  /** A link carries the session (again). */
  attached(): void {
    for (const link of this.options.session()?.links ?? []) this.carried.add(link);
    this.review();
    this.topUp?.cancel();
    const { timers, random } = this.options;
    this.topUp = timers.after(jittered(TOP_UP_MS, random), () => this.direct.nudge());
  }

  /** The session has no link, or no sound one: its streams wait. */
  held(): void {
    this.review();
    this.direct.wake();
  }

  /** A link does not answer, or crawls: another one is wanted. */
  troubled(link: Link): void {
    for (const one of this.options.links())
      if (one.link === link && one.direction === 'dialed') this.avoid(one.address);
    this.review();
    this.direct.wake();
  }

  linkDown(link: PeerLink, code: Code, by: LinkEnd): void {
    this.ages.get(link)?.stop();
    this.ages.delete(link);
    this.review();
    const lasted = this.options.timers.now() - link.since;
    const brokeInUse = by === 'transport' && this.carried.has(link.link);
    if (isRelayed(link)) {
      this.relayed?.lost(lasted, brokeInUse);
      // With the relay gone, direct dialing is in a hurry again.
      if (this.directEvery() === HEAL_EVERY_MS) this.direct.wake();
    } else if (code === 'surplus' && this.sound > 0) {
      this.hasEnough();
    } else {
      this.direct.lost(lasted, brokeInUse);
    }
  }

  /** @param isToldAnew the peer is told to be elsewhere than before */
  follow(isToldAnew: boolean): void {
    this.review();
    if (this.sound > 0) return;
    // What somebody else tells must not undo the pauses between failed dials.
    if (isToldAnew) this.direct.wake();
    else this.direct.nudge();
    this.relayed?.nudge();
  }

  /** This host is in another network: what hangs hangs for good, and what failed may work. */
  renew(): void {
    this.direct.restart();
    this.relayed?.restart();
  }

  /** There is a member more that may relay. */
  relayIsUp(): void {
    if (this.sound === 0) this.relayed?.wake();
  }

  stop(): void {
    this.stopped = true;
    this.direct.stop();
    this.relayed?.stop();
    this.topUp?.cancel();
    this.lateTopUp?.cancel();
    this.askAgain?.cancel();
    this.relayTimer?.cancel();
    for (const age of this.ages.values()) age.stop();
    this.ages.clear();
  }

  // What is wanted.

  /** Direct links that carry the session, work and are not about to close. */
  private get sound(): number {
    return this.options.session()?.sound ?? 0;
  }

  private attachedLinks(relayed: boolean): readonly PeerLink[] {
    const attached = new Set(this.options.session()?.links);
    return [...this.options.links()].filter(link => isRelayed(link) === relayed && attached.has(link.link));
  }

  /** Links that are admitted and will carry the session in a moment. */
  private coming(relayed: boolean): number {
    const since = this.options.timers.now() - COMING_MS;
    const isComing = (link: PeerLink): boolean =>
      isRelayed(link) === relayed && link.since > since && !link.link.isClosed && !this.carried.has(link.link);
    return [...this.options.links()].filter(isComing).length;
  }

  private wantsDirect(): boolean {
    if (!this.options.mayDial()) return false;
    const { sound } = this;
    const coming = this.coming(false);
    if (sound === 0) return coming === 0;
    if (sound + coming >= this.options.limits.session.links || this.isEnough()) return false;
    // Whoever dialed one of the links that are there adds to them; else both would.
    const hasDialed = this.attachedLinks(false).some(({ direction }) => direction === 'dialed');
    return hasDialed || this.hasWaited(this.shortSince, LATE_TOP_UP_MS);
  }

  private hasWaited(since: number | undefined, ms: number): boolean {
    return since !== undefined && this.options.timers.monotonic() - since >= ms;
  }

  /** Changes when a link comes, goes, or gets into trouble. */
  private get present(): string {
    return `${this.sound} of ${this.options.session()?.links.length ?? 0}`;
  }

  private isEnough(): boolean {
    return this.enough?.links === this.present && this.options.timers.monotonic() < this.enough.until;
  }

  private hasEnough(): void {
    const { timers, random } = this.options;
    const pause = jittered(SURPLUS_PAUSE_MS, random);
    this.enough = { links: this.present, until: timers.monotonic() + pause };
    this.askAgain?.cancel();
    this.askAgain = timers.after(pause, () => this.direct.nudge());
  }

  private directEvery(): number | undefined {
    if (!this.options.mayDial() || this.options.session() === undefined || this.sound > 0) return undefined;
    return this.attachedLinks(true).length > 0 ? DIRECT_EVERY_MS : HEAL_EVERY_MS;
  }

  private wantsRelayed(): boolean {
    if (!this.options.mayDial() || !this.hasWaited(this.soundlessSince, RELAY_AFTER_MS)) return false;
    return this.attachedLinks(true).length + this.coming(true) === 0;
  }

  private relayedEvery(): number | undefined {
    const isHeld = this.options.session() !== undefined && this.sound === 0 && this.attachedLinks(true).length === 0;
    return isHeld && this.options.mayDial() ? RELAY_EVERY_MS : undefined;
  }

  /** Notes since when there is no sound link, and what does not hold any more; gives up dials that are not needed. */
  private review(): void {
    if (this.stopped) return;
    if (this.enough?.links !== this.present) this.enough = undefined;
    this.noteShortage();
    this.direct.rest();
    this.relayed?.rest();
    if (this.relayed === undefined) return;
    if (this.sound > 0) {
      this.soundlessSince = undefined;
      this.relayTimer?.cancel();
    } else if (this.soundlessSince === undefined) {
      this.soundlessSince = this.options.timers.monotonic();
      this.relayTimer = this.options.timers.after(RELAY_AFTER_MS, () => this.relayed?.wake());
    }
  }

  private noteShortage(): void {
    const { timers, limits } = this.options;
    if (this.sound >= limits.session.links) {
      this.shortSince = undefined;
      this.lateTopUp?.cancel();
    } else if (this.shortSince === undefined) {
      this.shortSince = timers.monotonic();
      this.lateTopUp = timers.after(LATE_TOP_UP_MS, () => this.direct.nudge());
    }
  }

  // Where to.

  private avoid(address: string): void {
    const now = this.options.timers.monotonic();
    for (const [other, until] of this.avoided) if (until <= now) this.avoided.delete(other);
    this.avoided.set(address, now + AVOID_MS);
  }

  /** Nothing works: where it worked last. Another link is added: one address that none of the present ones uses first. */
  private directAddresses(): readonly string[] {
    const all = this.options.addresses();
    if (this.sound === 0) {
      const last = this.options.lastGood();
      return last === undefined || !all.includes(last) ? all : [last, ...all.filter(address => address !== last)];
    }
    const inUse = new Set(this.attachedLinks(false).map(({ address }) => address));
    const now = this.options.timers.monotonic();
    const isAvoided = (address: string): boolean => (this.avoided.get(address) ?? 0) > now;
    const good = all.filter(address => !isAvoided(address));
    const [other, ...others] = good.filter(address => !inUse.has(address));
    const used = good.filter(address => inUse.has(address));
    return [...(other === undefined ? [] : [other]), ...used, ...others, ...all.filter(isAvoided)];
  }
}
