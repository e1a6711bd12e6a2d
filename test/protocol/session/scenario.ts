/**
 * A random life of two sessions: streams opened, written, half-closed and reset at random from both sides over wires that
 * split, merge and delay bytes and, if wanted, break. Checks at every step: every byte once and in order, FIN behind the
 * data, nothing after the end, credit and budgets kept; at the end: everything done, and all budgets back at zero.
 */
import type { Code } from '../../../protocol/codes.js';
import { MAX_CLAIM, limitsWith, type Limits } from '../../../protocol/limits.js';
import type { Session, Stream, StreamHandler } from '../../../protocol/session/index.js';
import type { Dice } from './virtual.js';
import { World, type Connection, type WireOptions } from './world.js';

const LONGEST_MS = 4 * 60_000;
/** Resets come in the first steps only, so that a stream that hangs is not saved by one. */
const STEPS_WITH_RESETS = 250;
const MEAN_STEP_MS = 8;
const SETTLE_S = 30;

/** What one end of a stream does and has seen. */
class End {
  stream: Stream | undefined;
  written = 0;
  hasEnded = false;
  resetWith: Code | undefined;
  got = 0;
  unconsumed = 0;
  gotFin = false;
  gotReset: Code | undefined;
  isClosed = false;
  isPaused = false;
  wasOpened = false;
  other!: End;

  constructor(
    readonly name: string,
    readonly salt: number,
    /** Bytes that it means to write before it ends; -1: it never ends by itself. */
    readonly plan: number,
  ) {}

  get isOpener(): boolean {
    return this.salt % 2 === 0;
  }
}

function byteAt(salt: number, offset: number): number {
  return (salt * 131 + offset * 7 + (offset >> 8) * 13 + (offset >> 16)) & 0xff;
}

export interface ScenarioOptions {
  /** Links are cut, silenced and replaced. */
  readonly breaks: boolean;
}

export class Failure extends Error {}

export class Scenario {
  readonly world: World;
  private readonly dice: Dice;
  private readonly pairs: End[][] = [];
  private failure: string | undefined;
  private readonly accepted = new Set<string>();
  private toOpen: number;
  private breaksLeft = 0;
  private steps = 0;
  readonly limits: Limits;

  constructor(
    seed: string,
    private readonly options: ScenarioOptions,
  ) {
    const limits = randomLimits(seed);
    this.limits = limits;
    const node = (side: number) => ({
      limits,
      onStream: (stream: Stream) => this.accept(side, stream),
    });
    this.world = new World(seed, [node(0), node(1)]);
    this.dice = this.world.dice;
    this.toOpen = this.dice.between(1, 8);
    this.breaksLeft = options.breaks ? this.dice.between(1, 12) : 0;
  }

  /** @throws Failure with what went wrong first */
  run(): void {
    try {
      this.live();
    } catch (error) {
      throw this.failure === undefined ? error : new Failure(this.failure);
    }
    if (this.failure !== undefined) throw new Failure(this.failure);
  }

  private live(): void {
    const { world, dice } = this;
    // Before both have a session there is nothing that could survive: the first wire of a broken life holds until then.
    let connections: Connection[] = [world.admit(this.options.breaks ? {} : this.wire())];
    const isUp = (): boolean => world.nodes.every(node => node.slot.session !== undefined);
    if (!world.timers.runUntil(isUp, 10_000)) this.failed('no session');
    if (this.options.breaks) connections[0]!.wire.cut();
    const isOver = (): boolean => this.failure !== undefined || (this.toOpen === 0 && this.isFinished());
    while (!isOver() && world.timers.monotonic() < LONGEST_MS) {
      world.timers.run(dice.next() * 2 * MEAN_STEP_MS * (dice.chance(0.02) ? 100 : 1));
      connections = connections.filter(c => c.wire.isOpen && !c.links.some(l => l.isClosed));
      if (this.options.breaks) this.shake(connections);
      this.act();
      this.checkBudgets();
      this.steps++;
    }
    if (this.failure === undefined && !isOver()) this.failed(`not done after ${LONGEST_MS} ms: ${this.describe()}`);
    this.settle(connections);
  }

  // ── the path ─────────────────────────────────────────────────────────────────────────────────────────────────────

  private wire(): WireOptions {
    const { dice } = this;
    const delay = dice.pick([[0, 0], [0, 3], [5, 30], [40, 60]] as const); // prettier-ignore
    const chunk = dice.pick([undefined, [1, 40], [1, 1500], [500, 70_000]] as const);
    const options = { delay, ...(chunk === undefined ? {} : { chunk }) };
    if (!this.options.breaks || this.breaksLeft <= 0) return options;
    this.breaksLeft--;
    const breaksAfter = dice.between(1, dice.pick([300, 3_000, 30_000, 100_000]));
    return { ...options, breaksAfter, breaksSilently: dice.chance(0.2) };
  }

  /** There is a new wire soon when none is left, and now and then one too many. */
  private shake(connections: Connection[]): void {
    const { dice, world } = this;
    const isMissing = !connections.some(c => c.wire.isOpen && !c.wire.isSilent);
    if (isMissing ? dice.chance(0.3) : this.breaksLeft > 0 && dice.chance(0.02))
      connections.push(world.admit(this.wire()));
  }

  // ── the users ────────────────────────────────────────────────────────────────────────────────────────────────────

  private act(): void {
    const { dice } = this;
    for (let n = dice.between(1, 4); n > 0; n--) {
      if (this.toOpen > 0 && dice.chance(0.3)) this.open(dice.below(2) as 0 | 1);
      const live = this.pairs.flat().filter(end => end.stream !== undefined && !end.isClosed);
      if (live.length > 0) this.actOn(dice.pick(live));
    }
  }

  private actOn(end: End): void {
    const { dice } = this;
    const what = dice.next();
    if (what < 0.35) this.consume(end, dice.chance(0.5) ? end.unconsumed : dice.between(0, end.unconsumed));
    else if (what < 0.36 && this.steps < STEPS_WITH_RESETS) this.reset(end);
    else if (what < 0.75) this.write(end);
    else this.finish(end);
  }

  private open(side: 0 | 1): void {
    const session = this.world.nodes[side].slot.session;
    if (session === undefined) return;
    this.toOpen--;
    const index = this.pairs.length;
    const ends = [0, 1].map(k => new End(`${index}/${k}`, 2 * index + k, this.plan()));
    ends[0]!.other = ends[1]!;
    ends[1]!.other = ends[0]!;
    this.pairs.push(ends);
    const streamClass = this.dice.chance(0.5) ? 'bulk' : 'interactive';
    ends[0]!.stream = session.open({ service: `s${index}`, class: streamClass }, this.handler(ends[0]!));
    if (this.dice.chance(0.5)) this.write(ends[0]!);
  }

  private plan(): number {
    const { dice } = this;
    return dice.pick([0, 1, dice.below(300), dice.below(5_000), dice.below(40_000), dice.below(150_000)]);
  }

  private accept(side: number, stream: Stream): StreamHandler {
    if (this.accepted.has(stream.service)) this.failed(`${stream.service} was opened twice`);
    this.accepted.add(stream.service);
    const end = this.pairs[Number(stream.service.slice(1))]![1]!;
    end.stream = stream;
    if (stream.peer !== this.world.nodes[side]!.peer) this.failed('a stream of another peer');
    if (this.dice.chance(0.7)) stream.accept();
    return this.handler(end);
  }

  private write(end: End): void {
    const left = end.plan - end.written;
    if (left <= 0) return this.finish(end);
    if (end.isPaused || end.hasEnded) return;
    const n = Math.min(left, this.dice.pick([1, 100, 3_000, 20_000, 70_000]));
    const chunk = new Uint8Array(n);
    for (let i = 0; i < n; i++) chunk[i] = byteAt(end.salt, end.written + i);
    end.written += n;
    end.isPaused = !end.stream!.write(chunk);
  }

  private finish(end: End): void {
    if (end.hasEnded || end.written < end.plan) return;
    end.hasEnded = true;
    end.stream!.end();
  }

  private reset(end: End): void {
    end.resetWith = this.dice.pick(['cancelled', 'target-failed', 'caller-gone'] as const);
    end.stream!.reset(end.resetWith, this.dice.chance(0.5));
    if (!end.isClosed) this.failed(`${end.name}: reset did not close it`);
  }

  private consume(end: End, n: number): void {
    end.unconsumed -= n;
    end.stream!.consumed(n);
  }

  private handler(end: End): StreamHandler {
    const alive = (what: string): void => {
      if (end.isClosed) this.failed(`${end.name}: ${what} after the end`);
    };
    return {
      opened: () => {
        alive('opened');
        if (end.wasOpened) this.failed(`${end.name}: opened twice`);
        end.wasOpened = true;
      },
      data: chunk => {
        alive('data');
        if (end.isOpener && !end.wasOpened) this.failed(`${end.name}: data before opened`);
        this.checkData(end, chunk);
      },
      fin: () => {
        alive('fin');
        if (end.gotFin) this.failed(`${end.name}: a second fin`);
        end.gotFin = true;
        if (!end.other.hasEnded) this.failed(`${end.name}: fin, but the other side goes on`);
        if (end.got !== end.other.written) this.failed(`${end.name}: fin at ${end.got} of ${end.other.written}`);
        if (this.dice.chance(0.3)) this.finish(end);
      },
      reset: code => {
        alive('reset');
        end.gotReset = code;
        if (code !== end.other.resetWith) {
          const closed = this.world.nodes.map(node => JSON.stringify(node.closed.at(-1))).join(' ');
          this.failed(`${end.name}: reset ${code}, sent was ${end.other.resetWith}; ${closed}`);
        }
      },
      drain: () => {
        alive('drain');
        if (!end.isPaused) this.failed(`${end.name}: drain without a pause`);
        end.isPaused = false;
      },
      closed: () => {
        alive('closed');
        end.isClosed = true;
      },
    };
  }

  // ── judgement ────────────────────────────────────────────────────────────────────────────────────────────────────

  private checkData(end: End, chunk: Uint8Array): void {
    if (chunk.length === 0) this.failed(`${end.name}: no bytes`);
    if (end.gotFin) this.failed(`${end.name}: data behind fin`);
    if (end.got + chunk.length > end.other.written) this.failed(`${end.name}: bytes that were never written`);
    for (let i = 0; i < chunk.length; i++) {
      if (chunk[i] !== byteAt(end.other.salt, end.got + i)) return this.failed(`${end.name}: byte ${end.got + i}`);
    }
    end.got += chunk.length;
    end.unconsumed += chunk.length;
    if (end.unconsumed > Math.max(this.limits.receive.stream, MAX_CLAIM))
      this.failed(`${end.name}: more than its window`);
    if (this.dice.chance(0.5)) this.consume(end, this.dice.between(0, end.unconsumed));
  }

  private checkBudgets(): void {
    this.world.nodes.forEach((node, side) => {
      const { peer } = this.limits.receive;
      if (node.budget.granted > peer)
        this.failed(`side ${side}: ${node.budget.granted} granted, ${peer} is the budget`);
      const unconsumed = this.pairs.flat().reduce((sum, end) => sum + (this.isAt(side, end) ? end.unconsumed : 0), 0);
      if (unconsumed > node.budget.granted) this.failed(`side ${side}: more received than granted`);
      if (node.alarms.length > 0) this.failed(`alarm: ${node.alarms[0]}`);
      const down = node.events.find(e => e.startsWith('down'));
      if (down !== undefined) this.failed(`side ${side}: ${down}, ${JSON.stringify(node.closed.at(-1))}`);
    });
  }

  /** Open streams count; what is left of a closed one has been given back by then. */
  private isAt(side: number, end: End): boolean {
    return end.stream !== undefined && !end.isClosed && end.stream.peer === this.world.nodes[side]!.peer;
  }

  private isFinished(): boolean {
    return this.pairs.every(
      ([a, b]) => a!.isClosed && (b!.isClosed || (b!.stream === undefined && a!.resetWith !== undefined)),
    );
  }

  /** Consumes what is left, lets the last acknowledgements pass, and looks whether anything stays behind. */
  private settle(connections: readonly Connection[]): void {
    const { world } = this;
    if (this.failure !== undefined) return;
    for (const end of this.pairs.flat()) if (end.stream !== undefined) this.consume(end, end.unconsumed);
    let usable = connections;
    for (let second = 0; second < SETTLE_S; second++) {
      usable = usable.filter(c => c.wire.isOpen && !c.wire.isSilent && !c.links.some(l => l.isClosed));
      if (usable.length === 0) usable = [world.admit()];
      world.timers.run(1_000);
    }
    for (const end of this.pairs.flat()) this.checkEnd(end);
    world.nodes.forEach((node, side) => {
      const session = node.slot.session;
      if (session === undefined) return this.failed(`side ${side}: no session`);
      if (session.streamCount > 0) this.failed(`side ${side}: ${session.streamCount} streams are not forgotten`);
      if (node.budget.retained !== 0) this.failed(`side ${side}: ${node.budget.retained} bytes are still retained`);
      const left = poolLeft(session);
      if (node.budget.granted !== left)
        this.failed(`side ${side}: ${node.budget.granted - left} bytes are still granted`);
    });
    this.checkBudgets();
  }

  private checkEnd(end: End): void {
    if (end.stream === undefined) return;
    if (end.resetWith !== undefined || end.gotReset !== undefined) return;
    if (!end.gotFin || !end.hasEnded) this.failed(`${end.name}: closed without both ends`);
  }

  private failed(what: string): void {
    this.failure ??= what;
    throw new Failure(what);
  }

  private describe(): string {
    return this.pairs
      .flat()
      .filter(end => !end.isClosed)
      .map(
        e =>
          `${e.name} ${e.stream?.state} wrote ${e.written}/${e.plan} got ${e.got} ended ${e.hasEnded} fin ${e.gotFin}`,
      )
      .join('; ');
  }
}

function randomLimits(seed: string): Limits {
  const dice = new World(`${seed} limits`).dice;
  const initial = dice.pick([512, 4_096, 16_384, 65_536]);
  return limitsWith({
    receive: { initial, least: 256, stream: dice.pick([initial, 4 * initial, 1 << 24]), peer: dice.pick([1 << 17, 1 << 20, 1 << 27]), pool: dice.pick([0, 8_192, 1 << 20]) }, // prettier-ignore
    retain: dice.pick([{}, { peer: 1 << 16, least: 1_024 }]),
    record: dice.pick([{}, { rekeyRecords: 7 }, { rekeyBytes: 5_000 }, { smallest: 1_024, largest: 2_048 }]),
    session: { links: dice.pick([1, 2, 2]), probeMs: 300 },
  });
}

/** Early-data credit that the peer has and no open has claimed: all that stays granted when no stream is left. */
function poolLeft(session: Session): number {
  const { grant } = session as unknown as { grant: { limit: number; claimed: number } };
  return grant.limit - grant.claimed;
}
