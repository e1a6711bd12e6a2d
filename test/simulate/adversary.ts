/**
 * Owns the path. It dials links, delays and splits what they carry, cuts, silences and stalls them at any byte, leaves
 * them half open, feeds old ciphertext into new ones, restarts and drains peers, eats their budgets, and lets a thief in.
 * When the trouble is over it keeps one good link up.
 */
import { WarrenError } from '../../protocol/errors.js';
import { establishedPair } from '../protocol/session/world.js';
import type { Dice } from '../protocol/session/virtual.js';
import type { Hub } from './hub.js';
import type { Admission, Conn, Peer } from './peer.js';
import type { Powers } from './profile.js';
import type { Progress } from './progress.js';
import type { Thief } from './thief.js';
import { GOOD_WIRE, Wire, type Mishap, type Side, type WireOptions } from './wire.js';

/** A wire with a chance to carry the session. */
interface Path {
  readonly wire: Wire;
  readonly conns: [Conn | undefined, Conn | undefined];
  /** Both ends mean to admit it. */
  readonly isEarnest: boolean;
}

const SHORT: Admission = { way: 'short' };

export class Adversary {
  private readonly dice: Dice;
  private paths: Path[] = [];
  private restartsLeft: number;
  private blackoutUntil = 0;
  private isOver = false;

  constructor(
    private readonly hub: Hub,
    private readonly powers: Powers,
    private readonly thief: Thief,
    private readonly progress: Progress,
  ) {
    this.dice = hub.dice('adversary');
    this.restartsLeft = powers.restarts;
  }

  /** Before anything else: one good link, most of the time. */
  begin(): void {
    if (this.powers.keepsOne) this.progress.kept = this.dial(GOOD_WIRE, [SHORT, SHORT]);
    else if (this.dice.chance(0.8)) this.dial(GOOD_WIRE, [SHORT, SHORT]);
  }

  /** No more trouble: paths are quick again. What is silent stays silent, for the code to find out. */
  finish(): void {
    this.isOver = true;
    for (const wire of this.hub.wires) wire.rate = Number.POSITIVE_INFINITY;
    for (const peer of this.hub.peers) this.unhog(peer);
    this.thief.leave();
  }

  /** Keeps one good link up, as a node that wants to reach its peer does. */
  mend(): void {
    this.forget();
    if (!this.paths.some(path => this.isPromising(path))) this.dial(GOOD_WIRE, [SHORT, SHORT]);
  }

  /** At the end of all: nothing is left on any wire. */
  dropAll(): void {
    for (const wire of this.hub.wires) wire.reset();
  }

  act(): void {
    this.forget();
    if (this.isOver || this.hub.now < this.hub.truceUntil) return;
    const { dice, powers } = this;
    const acts: [number, () => void][] = [
      [this.paths.some(p => this.isPromising(p)) ? 1 : 4, () => this.dialSomehow()],
      [powers.cuts ? 2 : 0, () => this.anyWire()?.reset()],
      [powers.silences ? 1 : 0, () => this.silenceOne()],
      [powers.stalls ? 1 : 0, () => this.stallOne()],
      [powers.slowWires ? 1 : 0, () => this.slowOne()],
      [this.restartsLeft > 0 ? 0.5 : 0, () => this.restart()],
      [powers.drains ? 0.1 : 0, () => this.drain()],
      [powers.closes ? 0.1 : 0, () => this.close()],
      [powers.hogs ? 1 : 0, () => this.hog()],
      [powers.blackouts ? 0.2 : 0, () => (this.blackoutUntil = this.hub.now + dice.between(1_000, 30_000))],
      [powers.thief ? 1 : 0, () => this.letThiefIn()],
      [2, () => undefined],
    ];
    let left = dice.next() * acts.reduce((sum, [weight]) => sum + weight, 0);
    for (const [weight, act] of acts) {
      left -= weight;
      if (left < 0) return act();
    }
  }

  // ── links ────────────────────────────────────────────────────────────────────────────────────────────────────────

  private forget(): void {
    this.paths = this.paths.filter(({ wire, conns }) => wire.isOpen && !conns.every(c => c?.link.isClosed === true));
  }

  private isPromising({ wire, conns, isEarnest }: Path): boolean {
    return wire.isSound && isEarnest && conns.every(conn => conn?.link.isClosed !== true);
  }

  private dialSomehow(): void {
    const { dice, powers } = this;
    if (this.paths.length >= powers.wires || this.hub.now < this.blackoutUntil) return;
    const options = this.wireOptions();
    if (!powers.halfOpens || dice.chance(0.6)) {
      const both = dice.chance(0.5) ? SHORT : undefined;
      const delayed = (): Admission => ({ way: 'long', delayMs: dice.below(200) });
      this.dial(options, [both ?? delayed(), both ?? delayed()]);
      return;
    }
    const odd: Admission = dice.chance(0.5) ? { way: 'never' } : { way: 'refused', delayMs: dice.below(500) };
    this.dial(options, dice.chance(0.5) ? [SHORT, odd] : [odd, SHORT]);
  }

  /** @param admissions what each side makes of it, by side */
  private dial(options: WireOptions, admissions: readonly [Admission, Admission]): Wire {
    const { hub, dice } = this;
    const wire = new Wire(hub.wires.length, hub.timers, hub.dice(`wire ${hub.wires.length}`), options);
    hub.wires.push(wire);
    const from = dice.below(2) as Side;
    const [a, b] = hub.peers;
    const established = establishedPair(dice, [a.id, b.id]);
    const isEarnest = admissions.every(({ way }) => way === 'short' || way === 'long');
    const path: Path = { wire, conns: [undefined, undefined], isEarnest };
    this.paths.push(path);
    hub.trace.note(`wire ${wire.id} dialed by side ${from}, ${admissions.map(({ way }) => way).join(' and ')}`);
    const connect = (side: Side): Conn =>
      (path.conns[side] = hub.peerOf(side).connect(wire, established[side], admissions[side]));
    this.answer(wire, from === 0 ? 1 : 0, connect);
    // Stands for the last message of the handshake: with it the answering side has a link.
    wire.port(from).write([Uint8Array.of(0)]);
    connect(from);
    return wire;
  }

  private answer(wire: Wire, side: Side, connect: (side: Side) => Conn): void {
    const { timers } = this.hub.peerOf(side);
    wire.connect(side, {
      receive: bytes => {
        if (timers.isDead) return;
        connect(side);
        // The link is at that end from now on.
        if (bytes.length > 1) wire.pipes[side === 0 ? 1 : 0].reader!.receive(bytes.subarray(1));
      },
      drained: () => undefined,
      closed: () => undefined,
    });
  }

  private wireOptions(): WireOptions {
    const { dice, powers } = this;
    return {
      delay: dice.pick([[0, 0], [0, 3], [5, 30], [40, 60]] as const), // prettier-ignore
      piece: dice.pick([[1_000, 70_000], [1, 1_500], [200, 5_000]] as const), // prettier-ignore
      tinyBytes: dice.pick([0, 0, 150, 600]),
      rate: powers.slowWires && dice.chance(0.6) ? dice.pick([2, 20, 200]) : Number.POSITIVE_INFINITY,
      rank: powers.relayed && dice.chance(0.5) ? 1 : 0,
      kernel: dice.pick([1_024, 1 << 16, 1 << 18]),
      mishaps: [this.mishaps(), this.mishaps()],
    };
  }

  private mishaps(): Mishap[] {
    const { dice, powers } = this;
    const kinds: Mishap['what'][] = [];
    if (powers.cuts) kinds.push('reset', 'reset');
    if (powers.silences) kinds.push('silence', 'deaf');
    if (powers.stalls) kinds.push('stall');
    if (powers.replays) kinds.push('inject', 'inject');
    if (kinds.length === 0 || dice.chance(0.35)) return [];
    const what = dice.pick(kinds);
    const afterBytes = dice.below(dice.pick([50, 300, 3_000, 30_000, 100_000]));
    if (what === 'stall') return [{ what, afterBytes, stallMs: dice.between(10, 8_000) }];
    if (what !== 'inject') return [{ what, afterBytes }];
    const bytes = this.oldCiphertext();
    return bytes === undefined ? [] : [{ what, afterBytes, bytes }];
  }

  /** What another link has carried. */
  private oldCiphertext(): Uint8Array | undefined {
    const { dice } = this;
    const { wires } = this.hub;
    if (wires.length === 0) return undefined;
    const pipe = dice.pick(dice.pick(wires).pipes);
    const recorded = Buffer.concat(pipe.recorded);
    if (recorded.length < 2) return undefined;
    // From a border of records on, or from anywhere.
    return new Uint8Array(recorded.subarray(dice.chance(0.7) ? 1 : dice.below(recorded.length)));
  }

  // ── trouble ──────────────────────────────────────────────────────────────────────────────────────────────────────

  private anyWire(): Wire | undefined {
    const wires = this.paths.flatMap(({ wire }) => (wire === this.progress.kept ? [] : [wire]));
    return wires.length === 0 ? undefined : this.dice.pick(wires);
  }

  private silenceOne(): void {
    const wire = this.anyWire();
    if (wire === undefined) return;
    this.hub.trace.note(`wire ${wire.id} silenced`);
    if (this.dice.chance(0.6)) wire.silence();
    else this.dice.pick(wire.pipes).isDeaf = true;
  }

  private stallOne(): void {
    const wire = this.anyWire();
    if (wire === undefined) return;
    const ms = this.dice.pick([50, 1_000, 4_000, 9_000]);
    for (const pipe of wire.pipes) if (this.dice.chance(0.7)) pipe.stall(ms);
  }

  /** From now on it is slow, or quick again. */
  private slowOne(): void {
    const wire = this.anyWire();
    if (wire === undefined) return;
    wire.rate = this.dice.pick([0.5, 2, 20, Number.POSITIVE_INFINITY]);
    this.hub.trace.note(`wire ${wire.id} carries ${wire.rate} bytes per ms`);
  }

  private restart(): void {
    this.restartsLeft--;
    const peer = this.dice.pick(this.hub.peers);
    const isLoud = this.dice.chance(0.6);
    this.hub.trace.note(`side ${peer.side} restarts${isLoud ? '' : ' unheard'}`);
    peer.restart(isLoud);
  }

  private drain(): void {
    const peer = this.dice.pick(this.hub.peers);
    this.hub.trace.note(`side ${peer.side} drains`);
    peer.isDraining = peer.hasDrained = true;
    peer.slot.goaway();
  }

  private close(): void {
    const peer = this.dice.pick(this.hub.peers);
    peer.hasClosed = true;
    this.hub.trace.note(`side ${peer.side} closes the session`);
    peer.slot.close('going-away', 'the daemon stops');
  }

  private hog(): void {
    const peer = this.dice.pick(this.hub.peers);
    if (peer.hogged > 0) return this.unhog(peer);
    const free = peer.budget.limits.receive.process - peer.budget.granted;
    peer.hogged = Math.max(0, Math.floor(free * this.dice.pick([0.5, 0.95, 1])));
    peer.budget.granted += peer.hogged;
  }

  private unhog(peer: Peer): void {
    peer.budget.granted -= peer.hogged;
    peer.hogged = 0;
  }

  // ── the thief ────────────────────────────────────────────────────────────────────────────────────────────────────

  /** While a good link carries the session on both sides, and nothing happens to it, no thief must get anywhere. */
  private letThiefIn(): void {
    const { hub } = this;
    const [a, b] = hub.peers.map(peer => peer.view);
    if (a === undefined || b === undefined || a.isGone || b.isGone || a.counterpart !== b) return;
    const isGood = ({ wire, conns }: Path): boolean =>
      wire.isSound &&
      wire.rate === Number.POSITIVE_INFINITY &&
      conns.every(c => c !== undefined && c.peer.view!.attached.has(c.id));
    if (!this.paths.some(isGood)) return;
    try {
      this.thief.enter(this.dice.pick(hub.peers));
    } catch (error) {
      hub.fail(error instanceof WarrenError ? error.message : String(error));
    }
  }
}
