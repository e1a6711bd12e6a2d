/**
 * What a session does with each frame of the peer: decode, judge, hand to the stream. Floods are counted here, and frames
 * for streams that are forgotten end here.
 */
import { WarrenError, malformed } from '../errors.js';
import { RateLimit, type Limits, type Rate } from '../limits.js';
import {
  FRAME,
  decodeData,
  decodeFin,
  decodeGoaway,
  decodeNews,
  decodeOpen,
  decodeOpened,
  decodePool,
  decodeReset,
  decodeWindow,
} from '../link/frame.js';
import type { Code } from '../codes.js';
import type { Stream } from './stream.js';
import type { OpenRequest } from './types.js';

/** What the frames are for. */
export interface FrameOwner {
  stream(id: number): Stream | undefined;
  isOwnId(id: number): boolean;
  wasOpened(id: number): boolean;
  /** Too many streams wait to be forgotten. */
  readonly isCrowded: boolean;
  takePool(limit: number): void;
  takeNews(kind: number, bytes: Uint8Array): void;
  takeOpen(id: number, request: OpenRequest, claim: number, limit: number, isFull: boolean): void;
  countReceived(bytes: number): void;
}

export class FrameTaker {
  /** Set when the peer takes no new streams. */
  peerGoaway: Code | undefined;
  /** ids of the peer below this were opened, or never will be */
  private nextPeerId: number;
  private livePeer = 0;
  private now = 0;
  private readonly rates: Readonly<Record<keyof Limits['rates'], RateLimit>>;

  /** @param firstPeerId the peer's parity: 0 or 1 */
  constructor(
    private readonly owner: FrameOwner,
    firstPeerId: number,
    private readonly limits: Limits,
    now: number,
  ) {
    this.nextPeerId = firstPeerId;
    const start = (rate: Rate): RateLimit => new RateLimit(rate, now);
    const { opens, resets, pings, control, useless, empty, news } = limits.rates;
    this.rates = {
      opens: start(opens),
      resets: start(resets),
      pings: start(pings),
      control: start(control),
      useless: start(useless),
      empty: start(empty),
      news: start(news),
    };
  }

  /** @throws WarrenError with the wire code that the session ends with */
  take(type: number, body: Uint8Array, now: number): void {
    this.now = now;
    switch (type) {
      case FRAME.DATA:
        return this.takeData(body);
      case FRAME.WINDOW:
        return this.takeWindow(body);
      case FRAME.OPEN:
        return this.takeOpen(body);
      case FRAME.OPENED:
        return this.takeOpened(body);
      case FRAME.FIN:
        return this.takeFin(body);
      case FRAME.RESET:
        return this.takeReset(body);
      case FRAME.POOL:
        this.count('control', 'control frames');
        return this.owner.takePool(decodePool(body));
      case FRAME.NEWS: {
        this.count('news', 'news');
        const { kind, bytes } = decodeNews(body);
        return this.owner.takeNews(kind, bytes);
      }
      case FRAME.GOAWAY:
        this.count('control', 'control frames');
        this.peerGoaway = decodeGoaway(body);
        return;
      default:
        throw new WarrenError('protocol', `a frame of type ${type} out of place`, { wire: 'protocol' });
    }
  }

  /** A stream of the peer has ended. */
  peerStreamClosed(): void {
    this.livePeer--;
  }

  /** The peer has made this side send a RESET. */
  countRefusal(): void {
    this.count('resets', 'streams that had to be refused');
  }

  private takeData(body: Uint8Array): void {
    const { stream: id, offset, bytes } = decodeData(body);
    if (bytes.length === 0) this.count('empty', 'empty data frames');
    const stream = this.find(id);
    if (stream === undefined) return;
    const fresh = stream.takeData(offset, bytes);
    this.owner.countReceived(fresh);
  }

  private takeWindow(body: Uint8Array): void {
    this.count('control', 'control frames');
    const { stream, received, limit } = decodeWindow(body);
    this.find(stream)?.takeWindow(received, limit);
  }

  private takeOpened(body: Uint8Array): void {
    this.count('control', 'control frames');
    const { stream, limit } = decodeOpened(body);
    this.find(stream)?.takeOpened(limit);
  }

  private takeFin(body: Uint8Array): void {
    this.count('control', 'control frames');
    const { stream, size } = decodeFin(body);
    this.find(stream)?.takeFin(size);
  }

  private takeReset(body: Uint8Array): void {
    this.count('resets', 'resets');
    const { stream, code, dialed } = decodeReset(body);
    this.find(stream)?.takeReset(code, dialed);
  }

  private takeOpen(body: Uint8Array): void {
    const open = decodeOpen(body);
    this.count('opens', 'opens');
    const id = open.stream;
    if (this.owner.isOwnId(id)) throw malformed('OPEN', 'a stream id of the other side');
    if (id < this.nextPeerId) {
      // Known or forgotten: told again after a link was lost. The limit may have been raised since.
      this.owner.stream(id)?.takeWindow(0, open.limit);
      return this.count('useless', 'frames for streams that are gone');
    }
    this.nextPeerId = id + 2;
    if (this.owner.isCrowded) throw new WarrenError('limit', 'too many streams not acknowledged', { wire: 'limit' });
    this.livePeer++;
    const isFull = this.livePeer > this.limits.session.streams;
    const { service, instance, metadata } = open;
    const request: OpenRequest = { service, class: open.class, metadata, ...(instance === '' ? {} : { instance }) };
    this.owner.takeOpen(id, request, open.claim, open.limit, isFull);
  }

  /** @returns undefined for a stream that is forgotten. @throws WarrenError `protocol` for one that never was */
  private find(id: number): Stream | undefined {
    const stream = this.owner.stream(id);
    if (stream !== undefined) return stream;
    const isKnown = this.owner.isOwnId(id) ? this.owner.wasOpened(id) : id < this.nextPeerId;
    if (!isKnown) throw malformed('frame', `for stream ${id}, which was never opened`);
    this.count('useless', 'frames for streams that are gone');
    return undefined;
  }

  private count(rate: keyof Limits['rates'], what: string): void {
    if (!this.rates[rate].take(this.now)) throw new WarrenError('limit', `too many ${what}`, { wire: 'limit' });
  }
}
