/** The users of streams: they open, write, read, half-close and reset at random, and look at all that they are told. */
import type { Code } from '../../protocol/codes.js';
import { WarrenError } from '../../protocol/errors.js';
import type { StreamClass } from '../../protocol/link/frame.js';
import type { OpenRequest, Session, Stream, StreamHandler } from '../../protocol/session/index.js';
import type { Dice } from '../protocol/session/virtual.js';
import type { Hub } from './hub.js';
import { LARGEST_WRITE, type Judge } from './judge.js';
import { Pair, byteAt, bytesAt, type End } from './model.js';
import type { Peer } from './peer.js';
import type { Side } from './wire.js';

export interface UserPlan {
  /** Streams opened in all. */
  readonly streams: number;
  /** A user resets with this chance at each turn. */
  readonly resetChance: number;
  readonly refuseChance: number;
  /** Readers that take nothing until the end of the trouble. */
  readonly stallChance: number;
  readonly classes: readonly StreamClass[];
  /** Plans of bytes are chosen below one of these. */
  readonly sizes: readonly number[];
}

const RESET_CODES: readonly Code[] = ['cancelled', 'target-failed', 'caller-gone', 'refused'];
const REFUSALS: readonly Code[] = ['denied', 'no-service'];

export class Users {
  private readonly dice: Dice;
  private toOpen: number;
  /** The trouble is over: everything is to be finished. */
  private isFinishing = false;

  constructor(
    private readonly hub: Hub,
    private readonly judge: Judge,
    private readonly plan: UserPlan,
  ) {
    this.dice = hub.dice('users');
    this.toOpen = plan.streams;
  }

  /** No more opens and resets, no reader stalls. */
  finish(): void {
    this.isFinishing = true;
    this.toOpen = 0;
    for (const pair of this.hub.pairs) for (const end of pair.ends) end.isStalled = false;
  }

  /** One turn of some of them; at the end of a life of all. */
  act(): void {
    const { dice } = this;
    const live = this.live();
    if (this.isFinishing) {
      for (const end of live) this.complete(end);
      return this.release();
    }
    for (let n = dice.between(1, 4); n > 0; n--) {
      if (this.toOpen > 0 && dice.chance(0.2)) this.open(dice.below(2) as Side);
      const end = live.length === 0 ? undefined : dice.pick(live);
      if (end !== undefined && !end.isClosed && !end.isOut) this.actOn(end);
    }
  }

  private live(): End[] {
    const live: End[] = [];
    for (const pair of this.hub.pairs) {
      for (const end of pair.ends) if (end.stream !== undefined && !end.isClosed && !end.isOut) live.push(end);
    }
    return live;
  }

  private actOn(end: End): void {
    const { dice } = this;
    const what = dice.next();
    if (dice.chance(this.plan.resetChance)) this.reset(end);
    else if (what < 0.35) this.consume(end, dice.chance(0.5) ? end.unconsumed : dice.between(0, end.unconsumed));
    else if (what < 0.75) this.write(end);
    else if (what < 0.9) this.end(end);
    else this.accept(end);
  }

  private complete(end: End): void {
    this.accept(end);
    this.consume(end, end.unconsumed);
    if (!end.isClosed) this.write(end);
    if (!end.isClosed) this.end(end);
  }

  // ── what they do ─────────────────────────────────────────────────────────────────────────────────────────────────

  private open(side: Side): void {
    const peer = this.hub.peerOf(side);
    const { view } = peer;
    if (view === undefined || view.isGone) return;
    const { pairs } = this.hub;
    const pair = new Pair(pairs.length, side, this.dice.pick(this.plan.classes), [this.size(), this.size()]);
    const [end] = pair.ends;
    end.view = view;
    const stream = this.tryOpen(peer, pair, end);
    if (stream === undefined) return;
    this.toOpen--;
    pairs.push(pair);
    end.stream = stream;
    end.isStalled = this.dice.chance(this.plan.stallChance);
    if (view.byId.has(stream.id)) this.hub.fail(`${end.name}: stream id ${stream.id} for the second time`);
    view.byId.set(stream.id, pair);
    this.hub.trace.note(
      `${end.name} open stream ${stream.id} ${pair.streamClass} plans`,
      ...pair.ends.map(e => e.plan),
    );
    if (this.dice.chance(0.5)) this.write(end);
  }

  private tryOpen(peer: Peer, pair: Pair, end: End): Stream | undefined {
    try {
      return peer.slot.session!.open(requestOf(pair), this.handler(end));
    } catch (error) {
      const code = error instanceof WarrenError ? error.code : undefined;
      if (code === 'unreachable' && this.hub.otherPeer(peer).hasDrained) return undefined;
      if (code === 'limit' && this.isCrowded(peer)) return undefined;
      this.hub.fail(`side ${peer.side}: open throws ${String(error)}`);
    }
  }

  /** As many streams of its own are open as may be, or very many wait to be forgotten. */
  private isCrowded({ side, view }: Peer): boolean {
    const { streams } = this.hub.limits.session;
    const own = [...view!.byId.values()].filter(pair => pair.openedBy === side && !pair.end(side).isClosed);
    return own.length >= streams || view!.byId.size >= 4 * streams;
  }

  private size(): number {
    const { dice } = this;
    return dice.chance(0.15) ? 0 : dice.below(dice.pick(this.plan.sizes)) + 1;
  }

  private accept(end: End): void {
    if (end.isOpener || end.hasAccepted || end.isClosed) return;
    end.hasAccepted = true;
    end.stream!.accept();
  }

  private write(end: End): void {
    const left = end.plan - end.written;
    if (left <= 0) return this.end(end);
    if (end.isPaused || end.hasEnded) return;
    const n = Math.min(left, this.dice.pick([1, 100, 3_000, 20_000, LARGEST_WRITE]));
    const chunk = bytesAt(end.salt, end.written, n);
    end.written += n;
    end.hasAccepted = true;
    if (!end.stream!.write(chunk)) end.isPaused = true;
  }

  private end(end: End): void {
    if (end.hasEnded || end.written < end.plan) return;
    end.hasEnded = true;
    end.hasAccepted = true;
    end.stream!.end();
  }

  private reset(end: End): void {
    const word = { code: this.dice.pick(RESET_CODES), dialed: this.dice.chance(0.5) };
    this.hub.trace.note(`${end.name} reset ${word.code}`);
    end.resetWith = word;
    end.stream!.reset(word.code, word.dialed);
    if (!end.isClosed) this.hub.fail(`${end.name}: reset has not closed it`);
  }

  private consume(end: End, n: number): void {
    if (end.isStalled || n === 0) return;
    end.consumed += n;
    end.stream!.consumed(n);
  }

  /** Takes what is left, at closed ends, too: until then it counts. */
  private release(): void {
    for (const pair of this.hub.pairs) {
      for (const end of pair.ends) if (end.stream !== undefined && !end.isOut) this.consume(end, end.unconsumed);
    }
  }

  // ── what they are told ───────────────────────────────────────────────────────────────────────────────────────────

  offered(peer: Peer, stream: Stream, request: OpenRequest, session: Session): StreamHandler | Code {
    const { view } = peer;
    const pair = view?.byId.get(stream.id);
    if (view?.session !== session || pair === undefined || pair.openedBy === peer.side) {
      this.hub.fail(`side ${peer.side}: offered stream ${stream.id}, which nobody has opened`);
    }
    const end = pair.end(peer.side);
    if (end.wasOffered) this.hub.fail(`${end.name}: opened twice`);
    if (peer.isDraining) this.hub.fail(`${end.name}: offered while draining`);
    this.checkRequest(end, request);
    end.wasOffered = true;
    end.view = view;
    end.stream = stream;
    end.isStalled = !this.isFinishing && this.dice.chance(this.plan.stallChance);
    if (!this.isFinishing && this.dice.chance(this.plan.refuseChance)) {
      end.resetWith = { code: this.dice.pick(REFUSALS), dialed: false };
      end.isClosed = true;
      return end.resetWith.code;
    }
    if (this.dice.chance(0.7)) this.accept(end);
    return this.handler(end);
  }

  private checkRequest(end: End, request: OpenRequest): void {
    const expected = requestOf(end.pair);
    const isSame =
      request.service === expected.service &&
      request.class === expected.class &&
      request.metadata?.get('mark') === expected.metadata?.get('mark');
    if (!isSame) this.hub.fail(`${end.name}: offered as ${request.service}, ${request.class}`);
  }

  private handler(end: End): StreamHandler {
    const alive = (what: string): void => {
      if (end.isClosed) this.hub.fail(`${end.name}: ${what} after the end`);
      if (end.isOut) this.hub.fail(`${end.name}: ${what} after the session`);
    };
    return {
      opened: () => {
        alive('opened');
        if (!end.isOpener || end.wasOpened) this.hub.fail(`${end.name}: opened twice`);
        if (!end.other.hasAccepted) this.hub.fail(`${end.name}: opened, but the other side has not accepted`);
        end.wasOpened = true;
      },
      data: chunk => {
        alive('data');
        this.takeData(end, chunk);
      },
      fin: () => {
        alive('fin');
        this.takeFin(end);
      },
      reset: (code, dialed) => {
        alive('reset');
        end.gotReset = { code, dialed };
        this.hub.trace.note(`${end.name} is reset ${code}`);
        this.judge.judgeReset(end, code, dialed);
      },
      drain: () => {
        alive('drain');
        if (!end.isPaused) this.hub.fail(`${end.name}: drain without a pause`);
        end.isPaused = false;
      },
      closed: () => {
        if (end.isClosed) this.hub.fail(`${end.name}: closed twice`);
        this.closed(end);
      },
    };
  }

  private takeData(end: End, chunk: Uint8Array): void {
    const { other } = end;
    if (chunk.length === 0) this.hub.fail(`${end.name}: no bytes`);
    if (end.isOpener && !end.wasOpened) this.hub.fail(`${end.name}: data before opened`);
    if (end.gotFin) this.hub.fail(`${end.name}: data behind fin`);
    if (end.got + chunk.length > other.written) this.hub.fail(`${end.name}: bytes that were never written`);
    for (let i = 0; i < chunk.length; i++) {
      if (chunk[i] !== byteAt(other.salt, end.got + i)) this.hub.fail(`${end.name}: wrong byte ${end.got + i}`);
    }
    end.got += chunk.length;
    if (end.got > Math.max(end.limitTold, end.pair.claim ?? 0)) {
      this.hub.fail(`${end.name}: more than it has granted`);
    }
    if (this.dice.chance(0.5)) this.consume(end, this.dice.between(0, end.unconsumed));
    if (!this.isFinishing && this.dice.chance(this.plan.resetChance)) this.reset(end);
  }

  private takeFin(end: End): void {
    const { other } = end;
    if (end.gotFin) this.hub.fail(`${end.name}: a second fin`);
    end.gotFin = true;
    if (!other.hasEnded) this.hub.fail(`${end.name}: fin, but the other side goes on`);
    if (end.got !== other.written) this.hub.fail(`${end.name}: fin at ${end.got} of ${other.written}`);
    if (this.dice.chance(0.3)) this.end(end);
  }

  private closed(end: End): void {
    end.isClosed = true;
    this.hub.trace.note(`${end.name} closed`);
    const isExplained = end.resetWith !== undefined || end.gotReset !== undefined;
    if (!isExplained && !(end.gotFin && end.hasEnded)) this.hub.fail(`${end.name}: closed without both fins`);
    if (!isExplained && !end.other.gotFin) this.hub.fail(`${end.name}: closed, but its fin has not come`);
  }
}

function requestOf(pair: Pair): OpenRequest {
  return {
    service: `s${pair.index}`,
    class: pair.streamClass,
    metadata: new Map([['mark', `m${pair.index * 7}`]]),
  };
}
