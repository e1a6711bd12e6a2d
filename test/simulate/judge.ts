/**
 * Judges sessions: why they end, which links carry them, what they count. `step` is called after every event of a life.
 */
import type { Code } from '../../protocol/codes.js';
import type { Link, LinkEnd } from '../../protocol/link/index.js';
import type { Session, SessionSlot, Stream } from '../../protocol/session/index.js';
import type { Hub } from './hub.js';
import { View, type End } from './model.js';
import type { Conn, Peer } from './peer.js';
import type { Side } from './wire.js';

/** Links end with these for reasons that lie in the path, or in what both sides may want. */
const LINK_CODES: ReadonlySet<Code> = new Set<Code>(['no-error', 'surplus', 'ping-timeout', 'replaced', 'attach-failed', 'not-admitted', 'going-away']); // prettier-ignore
/** Epochs for which a late ATTACH is told from a forged one. */
const EPOCHS_KNOWN = 8;
/** Timers are this exact, ms. */
const SLACK_MS = 0.001;
/** Bytes of the largest chunk that a user writes at once: a stream may keep so much more than its bound. */
export const LARGEST_WRITE = 70_000;

/** What the budgets count is looked up inside of the code; that it is right is judged by the model all the same. */
interface Inside {
  readonly receiving: { readonly credit: { readonly limit: number; readonly isCancelled: boolean } };
}

interface PoolInside {
  readonly grant: { readonly limit: number; readonly claimed: number };
}

interface SlotInside {
  readonly newcomers: readonly { readonly promised?: Session }[];
}

export function poolLeft(session: Session): number {
  const { grant } = session as unknown as PoolInside;
  return grant.limit - grant.claimed;
}

/** Told behind a NEW that is not answered yet. */
function poolPromised(slot: SessionSlot): number {
  const { newcomers } = slot as unknown as SlotInside;
  return newcomers.reduce((sum, { promised }) => sum + (promised === undefined ? 0 : poolLeft(promised)), 0);
}

function outstanding(end: End, stream: Stream): number {
  const { credit } = (stream as unknown as Inside).receiving;
  return credit.isCancelled ? 0 : credit.limit - end.consumed;
}

export class Judge {
  /** Links that have ended in this step in a way that their session must explain. */
  private readonly oddEnds: { readonly code: Code; readonly sentence: string }[] = [];

  constructor(private readonly hub: Hub) {}

  // ── sessions come and go ─────────────────────────────────────────────────────────────────────────────────────────

  up(peer: Peer, session: Session): void {
    if (peer.view?.session === session) return;
    if (peer.view !== undefined && !peer.view.isGone) {
      this.hub.fail(`side ${peer.side}: another session, and the first one goes on`);
    }
    const wire = Math.floor(session.links[0]!.id / 2);
    const views = this.hub.views.get(wire) ?? [];
    this.hub.views.set(wire, views);
    if (views.some(view => view.side === peer.side)) this.hub.fail(`side ${peer.side}: two sessions begin on one link`);
    const view = new View(peer.side, session, wire, views[0]);
    views.push(view);
    peer.view = view;
    this.hub.trace.note(`side ${peer.side} session ${wire} begins`);
  }

  down(peer: Peer, code: Code, session: Session): void {
    const { view } = peer;
    if (view?.session !== session || view.isGone) this.hub.fail(`side ${peer.side}: the end of a session it has not`);
    this.hub.trace.note(`side ${peer.side} session ${view.wire} ends ${code}`);
    view.down = code;
    this.judgeEnd(view, code);
    const left = view.ends().find(end => end.stream !== undefined && !end.isClosed);
    if (left !== undefined) this.hub.fail(`${left.name}: open, but its session is over`);
  }

  private judgeEnd(view: View, code: Code): void {
    const { counterpart } = view;
    if (code === 'grace-over') return this.judgeGrace(view);
    if (code === 'peer-restarted') {
      if (counterpart === undefined || counterpart.isGone) return;
      this.hub.fail(`side ${view.side}: peer-restarted, but the peer goes on with the session`);
    }
    if (code === 'going-away' && this.hub.peers.some(peer => peer.hasClosed)) return;
    this.hub.fail(`side ${view.side}: the session ends ${code}`);
  }

  private judgeGrace(view: View): void {
    const { graceMs } = this.hub.limits.session;
    const since = view.lostAt;
    if (since === undefined) this.hub.fail(`side ${view.side}: grace-over with a link`);
    const held = this.hub.now - since;
    if (held < graceMs - SLACK_MS) this.hub.fail(`side ${view.side}: grace-over after ${held} ms`);
  }

  attached(conn: Conn): void {
    const { view } = conn.peer;
    if (view === undefined || view.isGone) return;
    conn.view = view;
    view.poolSeen = Math.max(view.poolSeen, conn.poolHeard);
    view.attached.add(conn.id);
    view.attaches++;
    view.lostAt = undefined;
    // What relays others does not itself go through another node.
    if (conn.wire.options.rank > 0) this.endRelays(view);
  }

  linkClosed(conn: Conn, code: Code, sentence: string, by: LinkEnd): void {
    const { view } = conn;
    this.hub.trace.note(`link ${conn.id} closed ${code} (${sentence}) by ${by}`);
    if (view?.attached.delete(conn.id) === true && view.attached.size === 0) view.lostAt = this.hub.now;
    if (view !== undefined) this.endRelays(view);
    if (conn.isRogue || by === 'transport' || LINK_CODES.has(code)) return;
    this.oddEnds.push({ code, sentence: `link ${conn.id} ends ${code} (${sentence}) by ${by}` });
  }

  private endRelays(view: View): void {
    for (const pair of view.byId.values()) pair.mayHaveLostLink ||= pair.streamClass === 'relay';
  }

  /** Links end with the code of their session, too. */
  private checkOddEnds(): void {
    for (const { code, sentence } of this.oddEnds.splice(0)) {
      const isOfSession = [...this.hub.views.values()].some(views => views.some(view => view.down === code));
      if (!isOfSession) this.hub.fail(sentence);
    }
  }

  /** What was told to a stream in this step: its session ends with that, or it is a relay stream that loses its link. */
  private checkResets(view: View): void {
    for (const [end, { code }] of view.unexplained.splice(0)) {
      if (code === view.down || (code === 'link-lost' && end.pair.mayHaveLostLink)) continue;
      this.hub.fail(`${end.name}: reset ${code}, which nobody has said`);
    }
  }

  /** Only the twin of a link that answers can be in trouble. */
  trouble(peer: Peer, link: Link, trouble: string, session: Session): void {
    this.hub.trace.note(`side ${peer.side} link ${link.id} is in trouble: ${trouble}`);
    if (trouble === 'silent' && session.links.length < 2)
      this.hub.fail(`link ${link.id}: in trouble, and there is no other one`);
  }

  alarm(peer: Peer, sentence: string): void {
    this.hub.trace.note(`side ${peer.side} alarm: ${sentence}`);
    peer.alarms++;
    if (!peer.conns.some(conn => conn.isRogue) && !this.isVeryLate(peer))
      this.hub.fail(`side ${peer.side} alarm: ${sentence}`);
  }

  /** An ATTACH on a link that its sender has given up: after many others it cannot be told from a forged one. */
  private isVeryLate(peer: Peer): boolean {
    const { reading, view } = peer;
    if (reading === undefined || view === undefined) return false;
    const isGivenUp = !this.hub.otherPeer(peer).conns.some(conn => conn.wire === reading.wire);
    return isGivenUp && view.attaches - reading.attachesBefore > EPOCHS_KNOWN;
  }

  // ── after every event ────────────────────────────────────────────────────────────────────────────────────────────

  step(): void {
    if (this.oddEnds.length > 0) this.checkOddEnds();
    for (const peer of this.hub.peers) {
      this.checkBudgets(peer);
      const { view } = peer;
      if (view !== undefined) this.checkResets(view);
      if (view === undefined || view.isGone) {
        this.checkIdle(peer);
      } else {
        this.checkView(view);
        this.checkSums(peer, view);
      }
    }
  }

  private checkBudgets({ side, budget, hogged }: Peer): void {
    const { receive } = this.hub.limits;
    if (budget.granted > receive.process) this.hub.fail(`side ${side}: ${budget.granted} granted by the process`);
    if (budget.granted - hogged > receive.peer) this.hub.fail(`side ${side}: ${budget.granted - hogged} granted`);
    if (budget.granted < hogged || budget.retained < 0) this.hub.fail(`side ${side}: a budget below zero`);
  }

  private checkIdle({ side, budget, hogged, slot }: Peer): void {
    const toNobody = budget.granted - hogged - poolPromised(slot);
    if (toNobody !== 0) this.hub.fail(`side ${side}: ${toNobody} granted to nobody`);
    if (budget.retained !== 0) this.hub.fail(`side ${side}: ${budget.retained} retained for nobody`);
    if (slot.session !== undefined) this.hub.fail(`side ${side}: a session that nobody was told of`);
  }

  private checkView(view: View): void {
    const { side, session } = view;
    if (session.links.length !== view.attached.size) {
      this.hub.fail(
        `side ${side}: ${session.links.length} links, ${view.attached.size} were attached and are not closed`,
      );
    }
    if (view.lostAt !== undefined && this.hub.now > view.lostAt + this.hub.limits.session.graceMs + SLACK_MS) {
      this.hub.fail(`side ${side}: the grace time is over, the session is not`);
    }
  }

  /** The budgets are the sums of what the streams have, and no stream has let go of what the peer lacks. */
  private checkSums(peer: Peer, view: View): void {
    const { side } = view;
    const { receive, retain } = this.hub.limits;
    let granted = poolLeft(view.session);
    let retained = 0;
    let open = 0;
    for (const pair of view.byId.values()) {
      const end = pair.end(side);
      if (end.stream === undefined) continue;
      granted += outstanding(end, end.stream);
      retained += end.stream.buffered;
      if (end.isClosed) continue;
      open++;
      this.checkOpenEnd(end, end.stream);
    }
    if (peer.budget.granted - peer.hogged !== granted) {
      this.hub.fail(`side ${side}: ${peer.budget.granted - peer.hogged} counted as granted, ${granted} are`);
    }
    if (peer.budget.retained !== retained) {
      this.hub.fail(`side ${side}: ${peer.budget.retained} counted as retained, ${retained} are`);
    }
    if (granted > receive.peer) this.hub.fail(`side ${side}: ${granted} granted, ${receive.peer} is the budget`);
    const most = retain.peer + open * (retain.least + LARGEST_WRITE);
    if (retained > most) this.hub.fail(`side ${side}: ${retained} retained, ${most} allowed`);
  }

  private checkOpenEnd(end: End, stream: Stream): void {
    const lacking = end.written - end.other.got;
    if (stream.buffered < lacking) this.hub.fail(`${end.name}: keeps ${stream.buffered}, the peer lacks ${lacking}`);
    if (!end.gotFin && outstanding(end, stream) < end.limitTold - end.consumed) {
      this.hub.fail(`${end.name}: told a limit of ${end.limitTold}, which it has not granted`);
    }
  }

  /** Whether this end may be told this reset. */
  judgeReset(end: End, code: Code, dialed: boolean): void {
    const { other, pair, view } = end;
    if (view === undefined) this.hub.fail(`${end.name}: reset before it was offered`);
    const said = other.resetWith;
    if (said?.code === code && said.dialed === dialed) return;
    const refuser = this.hub.peerOf(pair.openedBy === 0 ? 1 : 0);
    const mayRefuse = end.isOpener && !other.wasOffered && !dialed;
    if (mayRefuse && code === 'draining' && refuser.isDraining) return;
    if (mayRefuse && code === 'limit' && this.isFull(view, refuser.side)) return;
    // Else its session must be ending, or a relay stream losing its link, right now.
    view.unexplained.push([end, { code, dialed }]);
  }

  /** So many streams that the other side may count as many as it takes. */
  private isFull(view: View, side: Side): boolean {
    let live = 0;
    for (const pair of view.byId.values()) if (pair.openedBy !== side && !pair.end(side).isClosed) live++;
    return live > this.hub.limits.session.streams;
  }
}
