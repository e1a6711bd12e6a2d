/**
 * One life: two peers, their users, an adversary, for some time; then the trouble ends, everything must be finished, and
 * nothing may stay behind. A seed determines all of it.
 */
import { Adversary } from './adversary.js';
import { Auditor } from './audit.js';
import { Hub, type Hooks } from './hub.js';
import { Judge, poolLeft } from './judge.js';
import { Failure, type End, type Pair } from './model.js';
import { profileOf, type Profile } from './profile.js';
import { Progress } from './progress.js';
import { Thief } from './thief.js';
import { Users } from './users.js';
import type { Mutant } from '../protocol/session/mutants.js';
import { Dice } from '../protocol/session/virtual.js';

/** Between two turns of the users, ms, on average. */
const TURN_MS = 8;
/** All that can be finished is finished so long after the trouble, ms; links are still cut for their silence then. */
const FINISH_WITHIN_MS = 240_000;
/** ... and forgotten so long after that, ms. */
const FORGET_WITHIN_MS = 30_000;
/** After both sessions have been closed every timer ends within this time, ms. */
const SILENT_WITHIN_MS = 60_000;
const MEND_EVERY_MS = 500;
/** Events of one life; more means that something goes round in circles. */
const MAX_EVENTS = 2_000_000;

export interface Outcome {
  readonly seed: number;
  readonly failure: string | undefined;
  /** tells two lives apart */
  readonly hash: string;
  readonly trace: readonly string[];
  readonly events: number;
  readonly streams: number;
  readonly links: number;
  readonly bytes: number;
  /** virtual ms */
  readonly ms: number;
  /** the longest that a stream stood still beside a good link, ms */
  readonly standstill: number;
}

export class Life {
  readonly hub: Hub;
  readonly profile: Profile;
  private readonly judge: Judge;
  private readonly auditor: Auditor;
  private readonly users: Users;
  private readonly adversary: Adversary;
  private readonly progress: Progress;
  private readonly dice: Dice;
  private events = 0;

  constructor(
    private readonly seed: number,
    keepsTrace = false,
  ) {
    this.profile = profileOf(new Dice(`${seed} profile`));
    this.hub = new Hub(String(seed), this.profile.limits, this.hooks(), keepsTrace);
    this.judge = new Judge(this.hub);
    this.auditor = new Auditor(this.hub, conn => this.judge.attached(conn));
    this.progress = new Progress(this.hub);
    this.users = new Users(this.hub, this.judge, this.profile.users);
    this.adversary = new Adversary(this.hub, this.profile.powers, new Thief(this.hub, this.auditor), this.progress);
    this.dice = this.hub.dice('life');
  }

  private hooks(): Hooks {
    return {
      onStream: (peer, stream, request, session) => this.users.offered(peer, stream, request, session),
      onUp: (peer, session) => this.judge.up(peer, session),
      onHeld: () => undefined,
      onDown: (peer, code, session) => this.judge.down(peer, code, session),
      onAlarm: (peer, sentence) => this.judge.alarm(peer, sentence),
      onSealed: (conn, plaintext) => this.auditor.sealed(conn, plaintext),
      onOpened: (conn, plaintext) => this.auditor.opened(conn, plaintext),
      onLinkClosed: (conn, code, sentence, by) => this.judge.linkClosed(conn, code, sentence, by),
      onTrouble: (peer, link, trouble, session) => this.judge.trouble(peer, link, trouble, session),
    };
  }

  run(): Outcome {
    const { hub } = this;
    try {
      this.live();
    } catch (error) {
      // The code under test must not throw out of an event: that is a failure of the life, too.
      if (!(error instanceof Failure))
        hub.failure ??= `thrown: ${error instanceof Error ? error.stack : String(error)}`;
    }
    const pairs: readonly Pair[] = hub.pairs;
    return {
      seed: this.seed,
      failure: hub.failure,
      hash: hub.trace.hash,
      trace: hub.trace.lines,
      events: this.events,
      streams: pairs.length,
      links: hub.wires.length,
      bytes: pairs.reduce((sum, { ends }) => sum + ends[0].got + ends[1].got, 0),
      ms: hub.now,
      standstill: this.progress.longest,
    };
  }

  private live(): void {
    const { hub, adversary, users } = this;
    const { powers } = this.profile;
    hub.trace.note(JSON.stringify(this.profile));
    adversary.begin();
    this.repeat(() => 2 * TURN_MS * this.dice.next(), () => users.act()); // prettier-ignore
    this.repeat(() => 2 * powers.paceMs * this.dice.next(), () => adversary.act()); // prettier-ignore
    this.runFor(powers.troubleMs);
    hub.trace.note('the trouble is over');
    adversary.finish();
    users.finish();
    adversary.mend();
    this.repeat(() => MEND_EVERY_MS, () => adversary.mend()); // prettier-ignore
    if (!this.runUntil(() => hub.pairs.every(isFinished), FINISH_WITHIN_MS)) hub.fail(`stuck: ${this.describe()}`);
    this.judgeStreams();
    if (!this.runUntil(() => this.isForgotten(), FORGET_WITHIN_MS)) hub.fail(`left behind: ${this.leftBehind()}`);
    this.shutDown();
  }

  /** Calls `act` again and again, with pauses of `next()` ms, while this life lasts. */
  private repeat(next: () => number, act: () => void): void {
    this.hub.timers.after(next(), () => {
      if (this.isClosing) return;
      act();
      this.repeat(next, act);
    });
  }

  private isClosing = false;

  private runFor(ms: number): void {
    const until = this.hub.now + ms;
    this.runUntil(() => this.hub.now >= until, ms);
  }

  /** @returns false when `isDone` did not become true within `ms` */
  private runUntil(isDone: () => boolean, ms: number): boolean {
    const { hub } = this;
    const until = hub.now + ms;
    while (!isDone()) {
      if (!hub.timers.step(until)) return isDone();
      if (hub.failure !== undefined) throw new Failure(hub.failure);
      this.judge.step();
      this.progress.step();
      if (++this.events > MAX_EVENTS) hub.fail(`${MAX_EVENTS} events and no end`);
    }
    return true;
  }

  // ── the end ──────────────────────────────────────────────────────────────────────────────────────────────────────

  private judgeStreams(): void {
    for (const pair of this.hub.pairs) {
      for (const end of pair.ends) {
        if (!end.isOpener && !end.wasOffered) continue;
        const wasReset = end.resetWith !== undefined || end.gotReset !== undefined;
        const isCut =
          wasReset || end.isOut || end.other.resetWith !== undefined || end.other.isOut || pair.mayHaveLostLink;
        if (isCut || (end.gotFin && end.got === end.other.plan)) continue;
        this.hub.fail(`${end.name}: ended with ${end.got} of ${end.other.plan} bytes`);
      }
    }
  }

  private isForgotten(): boolean {
    return this.hub.peers.every(({ view, budget }) => {
      if (view === undefined || view.isGone) return true;
      return view.session.streamCount === 0 && budget.retained === 0 && budget.granted === poolLeft(view.session);
    });
  }

  private leftBehind(): string {
    return this.hub.peers
      .map(({ side, view, budget }) => {
        const { granted, retained } = budget;
        return `side ${side}: ${view?.session.streamCount} streams, ${granted} granted (${view === undefined ? 0 : poolLeft(view.session)} in the pool), ${retained} retained`;
      })
      .join('; ');
  }

  /** Both sessions are closed, and every wire dropped: no timer may wait any longer. */
  private shutDown(): void {
    const { hub } = this;
    this.isClosing = true;
    for (const peer of hub.peers) {
      peer.hasClosed = true;
      peer.slot.close('going-away');
    }
    for (const { conns } of hub.peers) for (const { link } of [...conns]) link.close('going-away');
    this.adversary.dropAll();
    this.runUntil(() => false, SILENT_WITHIN_MS);
    for (const { side, timers, budget } of hub.peers) {
      if (timers.waiting > 0) hub.fail(`side ${side}: ${timers.waiting} timers wait after the end`);
      if (budget.granted + budget.retained !== 0) hub.fail(`side ${side}: a budget is not empty after the end`);
    }
    if (hub.timers.waiting > 0) hub.fail(`${hub.timers.waiting} timers wait after the end`);
  }

  private describe(): string {
    const streams = this.hub.pairs
      .filter(pair => !isFinished(pair))
      .flatMap(pair => pair.ends)
      .map(e => {
        const state = e.stream === undefined ? 'never offered' : e.stream.state;
        const credit = `may send to ${e.limitSeen}, grants to ${e.limitTold}`;
        return `${e.name} ${state} wrote ${e.written}/${e.plan} got ${e.got}${e.gotFin ? ' fin' : ''}, ${credit}`;
      });
    return [...streams, this.leftBehind()].join('; ');
  }
}

function isFinished({ ends }: Pair): boolean {
  const isOver = (end: End): boolean => end.isClosed || end.isOut;
  return isOver(ends[0]) && (isOver(ends[1]) || !ends[1].wasOffered);
}

/** Leads one life. */
export function simulate(seed: number, keepsTrace = false): Outcome {
  return new Life(seed, keepsTrace).run();
}

/** ... with a mistake in the code, taken out again behind it. */
export function simulateWith(seed: number, mutant: Mutant | undefined, keepsTrace = false): Outcome {
  const remove = mutant?.install();
  try {
    return simulate(seed, keepsTrace);
  } finally {
    remove?.();
  }
}
