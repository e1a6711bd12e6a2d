/**
 * Reads along: every frame that an end of a link seals or opens is held against the model. So credit, acknowledgements
 * and claims are judged by what was really said, whatever the code believes.
 */
import {
  FRAME,
  decodeData,
  decodeFin,
  decodeOpen,
  decodeOpened,
  decodePool,
  decodeReset,
  decodeWindow,
  readFrames,
} from '../../protocol/link/frame.js';
import { MAX_CLAIM, RELAY_WINDOW } from '../../protocol/limits.js';
import type { Hub } from './hub.js';
import { byteAt, type End, type View } from './model.js';
import type { Conn } from './peer.js';

const NAMES = new Map<number, string>(Object.entries(FRAME).map(([name, type]) => [type, name]));

/** Frames with which a session begins to use a link: when one is sealed, and when one has been opened and taken. */
const TAKES_OVER: ReadonlySet<number> = new Set([FRAME.NEW_OK, FRAME.CONFIRM]);

/** Attach frames in plaintext, as the adversary has seen them. */
export interface Overheard {
  readonly wire: number;
  readonly type: number;
  readonly body: Uint8Array;
}

const ATTACH_FRAMES: ReadonlySet<number> = new Set([FRAME.NEW, FRAME.NEW_OK, FRAME.ATTACH, FRAME.ATTACHED, FRAME.UNKNOWN, FRAME.CONFIRM]); // prettier-ignore
const OVERHEARD_AT_MOST = 64;

export class Auditor {
  readonly overheard: Overheard[] = [];

  constructor(
    private readonly hub: Hub,
    private readonly onAttached: (conn: Conn) => void,
  ) {}

  /** A record leaves. */
  sealed(conn: Conn, plaintext: Uint8Array): void {
    readFrames(plaintext, (type, body) => {
      this.note('>', conn, type, body);
      if (TAKES_OVER.has(type)) this.takenOver(conn);
      if (conn.isRogue) return;
      if (ATTACH_FRAMES.has(type) && this.overheard.length < OVERHEARD_AT_MOST) {
        this.overheard.push({ wire: conn.wire.id, type, body: body.slice() });
      }
      const { view } = conn;
      if (view !== undefined && !view.isGone) this.judgeSent(view, conn, type, body);
    });
  }

  /** A record has come, and the code is through with it. */
  opened(conn: Conn, plaintext: Uint8Array): void {
    readFrames(plaintext, (type, body) => {
      this.note('<', conn, type, body);
      if (conn.isRogue) return;
      if (TAKES_OVER.has(type)) this.takenOver(conn);
      const { view } = conn;
      if (view !== undefined && !view.isGone) this.learn(view, type, body);
      // Behind NEW, which is answered later in this turn, or when the session before is found dead.
      else if (type === FRAME.POOL) conn.poolHeard = Math.max(conn.poolHeard, decodePool(body));
    });
  }

  private note(way: string, conn: Conn, type: number, body: Uint8Array): void {
    this.hub.trace.note(`${way} link ${conn.id} ${NAMES.get(type) ?? type}`, ...numbersOf(type, body));
  }

  private takenOver(conn: Conn): void {
    if (conn.link.isClosed) return;
    if (conn.isRogue) this.hub.fail(`side ${conn.peer.side}: a link without the session's secret was let in`);
    this.onAttached(conn);
  }

  // ── what is said ─────────────────────────────────────────────────────────────────────────────────────────────────

  private judgeSent(view: View, conn: Conn, type: number, body: Uint8Array): void {
    switch (type) {
      case FRAME.OPEN:
        return this.sentOpen(view, body);
      case FRAME.OPENED: {
        const { stream, limit } = decodeOpened(body);
        const end = this.endOf(view, stream, 'OPENED');
        if (end.isOpener || !end.hasAccepted) this.hub.fail(`${end.name}: OPENED that its user has not said`);
        return this.toldLimit(end, limit);
      }
      case FRAME.DATA:
        return this.sentData(view, body);
      case FRAME.FIN:
        return this.sentFin(view, body);
      case FRAME.WINDOW: {
        const { stream, received, limit } = decodeWindow(body);
        const end = this.endOf(view, stream, 'WINDOW');
        this.toldReceived(end, received);
        return this.toldLimit(end, limit);
      }
      case FRAME.RESET:
        return this.sentReset(view, body);
      default:
        return undefined;
    }
  }

  private endOf(view: View, id: number, what: string): End {
    const pair = view.byId.get(id);
    if (pair === undefined) this.hub.fail(`side ${view.side}: ${what} for stream ${id}, which nobody has opened`);
    const end = pair.end(view.side);
    if (end.hasResetOut && what !== 'RESET' && what !== 'OPEN') this.hub.fail(`${end.name}: ${what} behind RESET`);
    return end;
  }

  private sentOpen(view: View, body: Uint8Array): void {
    const open = decodeOpen(body);
    const end = this.endOf(view, open.stream, 'OPEN');
    const { pair } = end;
    if (!end.isOpener) this.hub.fail(`${end.name}: OPEN by the wrong side`);
    if (pair.claim === undefined) {
      if (open.stream <= view.lastOwnId) this.hub.fail(`${end.name}: OPEN of an id below one that was used`);
      view.lastOwnId = open.stream;
      pair.claim = open.claim;
      view.claimed += open.claim;
      end.limitSeen = Math.max(end.limitSeen, open.claim);
      if (view.claimed > view.poolSeen) this.hub.fail(`${end.name}: claims ${view.claimed} of ${view.poolSeen}`);
    } else if (open.claim !== pair.claim) {
      this.hub.fail(`${end.name}: OPEN with another claim`);
    }
    if (end.resetWith !== undefined || end.gotReset !== undefined) return;
    this.toldLimit(end, open.limit);
  }

  private sentData(view: View, body: Uint8Array): void {
    const { stream, offset, bytes } = decodeData(body);
    const end = this.endOf(view, stream, 'DATA');
    const until = offset + bytes.length;
    if (until > end.limitSeen) this.hub.fail(`${end.name}: DATA up to ${until}, the credit is ${end.limitSeen}`);
    if (until > end.written) this.hub.fail(`${end.name}: DATA up to ${until}, written was ${end.written}`);
    if (end.resetWith !== undefined) this.hub.fail(`${end.name}: DATA after its reset`);
    for (let i = 0; i < bytes.length; i += 97) {
      if (bytes[i] !== byteAt(end.salt, offset + i)) this.hub.fail(`${end.name}: DATA with wrong byte ${offset + i}`);
    }
  }

  private sentFin(view: View, body: Uint8Array): void {
    const { stream, size } = decodeFin(body);
    const end = this.endOf(view, stream, 'FIN');
    if (!end.hasEnded) this.hub.fail(`${end.name}: FIN, but its user goes on`);
    if (size !== end.written) this.hub.fail(`${end.name}: FIN at ${size}, written was ${end.written}`);
  }

  private sentReset(view: View, body: Uint8Array): void {
    const { stream, code, dialed } = decodeReset(body);
    const end = this.endOf(view, stream, 'RESET');
    end.hasResetOut = true;
    const said = end.resetWith;
    if (code === 'link-lost' && end.pair.mayHaveLostLink) return;
    if (said === undefined) {
      // The session refuses for its user: the stream has never been offered.
      if (end.isOpener || end.wasOffered || dialed) this.hub.fail(`${end.name}: RESET ${code} that nobody has said`);
    } else if (code !== said.code || dialed !== said.dialed) {
      this.hub.fail(`${end.name}: RESET ${code}, said was ${said.code}`);
    }
  }

  private toldLimit(end: End, limit: number): void {
    const { receive } = this.hub.limits;
    const most = end.pair.streamClass === 'relay' ? Math.min(RELAY_WINDOW, receive.stream) : receive.stream;
    const bound = Math.max(most, MAX_CLAIM);
    if (limit - end.consumed > bound) this.hub.fail(`${end.name}: ${limit - end.consumed} granted, ${bound} allowed`);
    if (limit < end.limitTold && !end.gotFin) this.hub.fail(`${end.name}: a limit of ${limit} after ${end.limitTold}`);
    end.limitTold = Math.max(end.limitTold, limit);
  }

  private toldReceived(end: End, received: number): void {
    const real = end.got + (end.gotFin ? 1 : 0);
    if (received > real) this.hub.fail(`${end.name}: acknowledges ${received}, its user has seen ${real}`);
    if (received < end.receivedTold) this.hub.fail(`${end.name}: acknowledges ${received} after ${end.receivedTold}`);
    end.receivedTold = received;
  }

  // ── what is heard ────────────────────────────────────────────────────────────────────────────────────────────────

  private learn(view: View, type: number, body: Uint8Array): void {
    if (type === FRAME.POOL) view.poolSeen = Math.max(view.poolSeen, decodePool(body));
    else if (type === FRAME.OPEN) this.learnLimit(view, decodeOpen(body));
    else if (type === FRAME.OPENED) this.learnLimit(view, decodeOpened(body));
    else if (type === FRAME.WINDOW) this.learnLimit(view, decodeWindow(body));
  }

  private learnLimit(view: View, { stream, limit }: { readonly stream: number; readonly limit: number }): void {
    const end = view.byId.get(stream)?.end(view.side);
    if (end !== undefined) end.limitSeen = Math.max(end.limitSeen, limit);
  }
}

/** What a line of the trace says of a frame. */
function numbersOf(type: number, body: Uint8Array): readonly (string | number)[] {
  switch (type) {
    case FRAME.OPEN: {
      const { stream, claim, limit } = decodeOpen(body);
      return ['stream', stream, 'claim', claim, 'limit', limit];
    }
    case FRAME.OPENED: {
      const { stream, limit } = decodeOpened(body);
      return ['stream', stream, 'limit', limit];
    }
    case FRAME.DATA: {
      const { stream, offset, bytes } = decodeData(body);
      return ['stream', stream, 'bytes', offset, 'to', offset + bytes.length];
    }
    case FRAME.FIN: {
      const { stream, size } = decodeFin(body);
      return ['stream', stream, 'size', size];
    }
    case FRAME.WINDOW: {
      const { stream, received, limit } = decodeWindow(body);
      return ['stream', stream, 'received', received, 'limit', limit];
    }
    case FRAME.RESET: {
      const { stream, code } = decodeReset(body);
      return ['stream', stream, code];
    }
    default:
      return [body.length];
  }
}
