/**
 * One authenticated, encrypted transport connection. Outwards: control frames and what the handler fills in, in records
 * that are sealed and written at the end of a turn. Inwards: records, then frames, the link's own (PING, PONG, LINKACK,
 * CLOSE) handled here, all others by the handler. Any error ends the link.
 */
import { wipe } from '../bytes.js';
import type { Timer, Timers } from '../clock.js';
import type { Code } from '../codes.js';
import type { Primitives } from '../crypto/primitives.js';
import { WarrenError } from '../errors.js';
import type { Established } from '../handshake/types.js';
import { RateLimit, type Limits } from '../limits.js';
import type { RecordDraft } from './draft.js';
import { AckClock, Feedback } from './feedback.js';
import { FRAME, decodeClose, decodeLinkAck, decodePing, encodeClose, isSkippable, readFrames } from './frame.js';
import { Liveness, type PingCallback } from './liveness.js';
import { Outbox, isAcknowledged } from './outbox.js';
import { RecordOpener, RecordSealer } from './record.js';

/** The transport as a link sees it. */
export interface LinkPort {
  /** The arrays belong to the port from here on. */
  write(chunks: readonly Uint8Array[]): void;
  /** bytes not yet handed to the kernel */
  readonly buffered: number;
  /** After each chunk: so many bytes complete the record that is coming and the header behind it; 0: not known. */
  expects?(bytes: number): void;
  /** Closes after flushing. */
  close(): void;
  abort(): void;
}

/** Who ended a link: this side, the peer by CLOSE, or the connection under it (lost, silent, or not verifying). */
export type LinkEnd = 'local' | 'peer' | 'transport';

/** Who gets the frames of a link that are not the link's own. */
export interface LinkHandler {
  /**
   * @param body a view of memory that belongs to this record alone
   * @throws WarrenError to close the link with `error.wire` (`protocol` if there is none)
   */
  frame(type: number, body: Uint8Array): void;
  /** Adds frames to the record that is being put together, while it has room. */
  fill?(draft: RecordDraft): void;
  /** The peer has received records 0 … records-1 of this link. */
  acked?(records: number): void;
  /**
   * The link looks at its clocks: every `tickMs` while anything is under way, else before its next ping.
   * @returns true to be asked again after `tickMs` in any case
   */
  tick?(): boolean;
  linkClosed?(code: Code, sentence: string, by: LinkEnd): void;
}

export interface LinkOptions {
  readonly established: Established;
  readonly port: LinkPort;
  readonly timers: Timers;
  readonly primitives: Primitives;
  readonly limits: Limits;
  /** a number by which logs and status tell links apart */
  readonly id?: number;
  /** 0: a connection of its own (default) · 1: through another node. Lower is better. */
  readonly rank?: number;
  /** Called once, after the handler's linkClosed. */
  onClosed(code: Code, sentence: string, by: LinkEnd): void;
}

/** A timer that is this much late for its LINKACK is not set anew. */
const ACK_TIMER_SLACK_MS = 1;

const KNOWN: ReadonlySet<number> = new Set(Object.values(FRAME).filter(type => type !== FRAME.DATAGRAM));

export class Link {
  readonly id: number;
  readonly rank: number;
  readonly established: Established;
  readonly openedAt: number;
  /** Its keys have been replaced by newer ones of either node: it makes way for a new link. The owner says so. */
  isOutdated = false;
  /** bytes on the transport, records and their overhead */
  bytesSent = 0;
  bytesReceived = 0;

  private readonly port: LinkPort;
  private readonly timers: Timers;
  private readonly limits: Limits;
  private readonly primitives: Primitives;
  private readonly onClosed: LinkOptions['onClosed'];
  private handler: LinkHandler | undefined;
  private closed = false;

  // sending
  private readonly sealer: RecordSealer;
  private readonly feedback: Feedback;
  private readonly outbox: Outbox;
  private isAwake = false;
  private isFlushing = false;

  // receiving
  private readonly opener: RecordOpener;
  private readonly ackClock: AckClock;
  private ackTimer: Timer | undefined;
  private ackTimerAt = 0;
  private isInRecord = false;
  private wantsAck = false;
  private receivedAt: number;

  // liveness and limits
  private readonly liveness: Liveness;
  private readonly pingRate: RateLimit;
  private readonly controlRate: RateLimit;
  private readonly emptyRate: RateLimit;

  constructor(options: LinkOptions) {
    const { established, timers, limits, primitives } = options;
    this.id = options.id ?? 0;
    this.rank = options.rank ?? 0;
    this.established = established;
    this.port = options.port;
    this.timers = timers;
    this.limits = limits;
    this.primitives = primitives;
    this.onClosed = (code, sentence, by) => options.onClosed(code, sentence, by);
    const aead = primitives.aead[established.suite];
    const { rekeyRecords } = limits.record;
    const { localRekeyBytes = limits.record.rekeyBytes, peer } = established;
    const rekeySending = { rekeyBytes: localRekeyBytes, rekeyRecords };
    const rekeyReceiving = { rekeyBytes: peer.rekeyBytes ?? limits.record.rekeyBytes, rekeyRecords };
    this.sealer = new RecordSealer(aead, established.sendKey, rekeySending);
    this.opener = new RecordOpener(aead, established.receiveKey, rekeyReceiving, plaintext =>
      this.takeRecord(plaintext),
    );
    this.feedback = new Feedback(limits);
    this.ackClock = new AckClock(limits.link);
    const { sealer, feedback, ackClock } = this;
    this.outbox = new Outbox({
      timers,
      limits: limits.link,
      sealer,
      feedback,
      ackClock,
      buffered: () => this.port.buffered,
      received: () => this.opener.records,
    });
    const now = timers.monotonic();
    this.openedAt = now;
    this.receivedAt = now;
    this.pingRate = new RateLimit(limits.rates.pings, now);
    this.controlRate = new RateLimit(limits.rates.control, now);
    this.emptyRate = new RateLimit(limits.rates.empty, now);
    this.liveness = new Liveness({
      timers,
      limits: limits.link,
      primitives,
      feedback,
      heardAt: () => this.receivedAt,
      send: nonce => this.send(FRAME.PING, nonce),
      ticked: () => this.handler?.tick?.() === true,
      quiet: () => this.trim(),
      dead: () => {
        this.port.abort();
        this.finish('ping-timeout', 'no answer to a ping', 'transport');
      },
    });
  }

  // ── status ───────────────────────────────────────────────────────────────────────────────────────────────────────

  get isClosed(): boolean {
    return this.closed;
  }

  /** Smoothed round trip, ms; null before the first measurement. */
  get rttMs(): number | null {
    return this.feedback.rttMs;
  }

  /** Best recent delivery rate, bytes per ms; 0 before the first measurement. */
  get rate(): number {
    return this.feedback.rate;
  }

  /** Rekeys of both directions. */
  get rekeys(): number {
    return this.sealer.rekeys + this.opener.rekeys;
  }

  /** Bytes sent that the peer has not acknowledged. */
  get inFlight(): number {
    return this.feedback.inFlight;
  }

  /** A ping waits for its answer. */
  get isPinging(): boolean {
    return this.liveness.isPinging;
  }

  /** When the last bytes came in, ms (monotonic). */
  get heardAt(): number {
    return this.receivedAt;
  }

  /** For how long the peer has owed an answer, ms: to data, or to a ping. 0: it owes none. */
  owedMs(): number {
    return this.liveness.owedMs();
  }

  /** Who gets frames from now on: admission first, then the session's slot. */
  setHandler(handler: LinkHandler): void {
    this.handler = handler;
    this.wake();
  }

  // ── sending ──────────────────────────────────────────────────────────────────────────────────────────────────────

  /** Queues a control frame; it leaves at the end of this turn. `body` is kept until then. */
  send(type: number, body: Uint8Array): void {
    if (this.closed) return;
    this.outbox.push(type, body);
    this.wake();
  }

  /** Asks for a flush at the end of this turn. */
  wake(): void {
    if (this.isAwake || this.closed) return;
    this.isAwake = true;
    this.timers.soon(() => {
      this.isAwake = false;
      this.flush();
    });
  }

  /** So many bytes of data may be sent: a large record leaves at once, while they are in the processor's cache. */
  wokenFor(bytes: number): void {
    if (this.outbox.isWorthARecord(bytes)) this.flush();
  }

  /** Seals and writes at once all that may go. */
  flush(): void {
    if (this.closed) return;
    if (this.isFlushing) return this.wake();
    this.isFlushing = true;
    try {
      this.write(draft => this.handler?.fill?.(draft));
    } finally {
      this.isFlushing = false;
    }
    if (this.port.buffered > this.limits.link.unreadAnswers) this.fail('limit', 'the peer does not read its answers');
  }

  private write(fill?: (draft: RecordDraft) => void): void {
    const chunks = this.outbox.records(fill);
    if (chunks.length === 0 || this.closed) return;
    for (const chunk of chunks) this.bytesSent += chunk.length;
    this.port.write(chunks);
    this.liveness.stir();
  }

  /** The port has room again. */
  drained(): void {
    if (this.outbox.isBlocked) this.wake();
  }

  // ── receiving ────────────────────────────────────────────────────────────────────────────────────────────────────

  /** Bytes from the transport, in order; `chunk` may be reused after the return. */
  receive(chunk: Uint8Array): void {
    if (this.closed) return;
    this.bytesReceived += chunk.length;
    this.receivedAt = this.timers.monotonic();
    this.liveness.stir();
    try {
      this.opener.push(chunk);
    } catch (error) {
      this.refuse(error);
    }
    if (this.closed) return;
    this.port.expects?.(this.opener.missing);
    this.scheduleAck();
  }

  private takeRecord(plaintext: Uint8Array): void {
    this.isInRecord = true;
    this.wantsAck = false;
    readFrames(plaintext, (type, body) => {
      if (!this.closed) this.takeFrame(type, body);
    });
    this.ackClock.received(plaintext.length, this.wantsAck, this.receivedAt);
    this.isInRecord = false;
  }

  private takeFrame(type: number, body: Uint8Array): void {
    if (isAcknowledged(type)) this.wantsAck = true;
    switch (type) {
      case FRAME.PING:
        return this.takePing(body);
      case FRAME.PONG:
        return this.takePong(body);
      case FRAME.LINKACK:
        return this.takeLinkAck(body);
      case FRAME.CLOSE: {
        const { code, text } = decodeClose(body);
        this.port.close();
        return this.finish(code, text, 'peer');
      }
      default:
        return KNOWN.has(type) ? this.takeOther(type, body) : this.takeUnknown(type);
    }
  }

  private takeOther(type: number, body: Uint8Array): void {
    if (this.handler === undefined) throw new WarrenError('internal', 'a link without a handler');
    this.handler.frame(type, body);
  }

  private takeUnknown(type: number): void {
    if (!isSkippable(type)) {
      throw new WarrenError('protocol', `an unknown frame, type ${type}`, { wire: 'unsupported' });
    }
    this.count(this.emptyRate, 'unknown frames');
  }

  private takePing(body: Uint8Array): void {
    this.count(this.pingRate, 'pings');
    this.send(FRAME.PONG, decodePing(body).slice());
  }

  private takePong(body: Uint8Array): void {
    if (!this.liveness.answered(decodePing(body))) this.count(this.emptyRate, 'answers to no ping');
  }

  private takeLinkAck(body: Uint8Array): void {
    this.count(this.controlRate, 'acknowledgements');
    const { records, delay } = decodeLinkAck(body);
    if (records > this.sealer.records) {
      throw new WarrenError('protocol', 'the peer acknowledges records that were never sent', { wire: 'protocol' });
    }
    this.feedback.acked(records, delay / 1000, this.receivedAt);
    this.handler?.acked?.(records);
    if (this.outbox.isBlocked) this.wake();
  }

  private count(rate: RateLimit, what: string): void {
    if (!rate.take(this.receivedAt)) throw new WarrenError('limit', `too many ${what}`, { wire: 'limit' });
  }

  private scheduleAck(): void {
    if (!this.ackClock.isPending) return;
    const now = this.timers.monotonic();
    const due = this.ackClock.dueAt(this.rttMs);
    if (due <= now) return this.wake();
    if (this.ackTimer !== undefined && this.ackTimerAt <= due + ACK_TIMER_SLACK_MS) return;
    this.ackTimer?.cancel();
    this.ackTimerAt = due;
    this.ackTimer = this.timers.after(due - now, () => {
      this.ackTimer = undefined;
      if (!this.closed) this.scheduleAck();
    });
  }

  // ── liveness ─────────────────────────────────────────────────────────────────────────────────────────────────────

  /** Asks for a round trip, which shows in `rttMs`, and for the proof that the link is alive. Callers share one ping. */
  ping(answered?: PingCallback): void {
    this.liveness.ping(answered);
  }

  /** @returns ms. @throws WarrenError `unreachable` when the link ends before the answer */
  measureRtt(): Promise<number> {
    return new Promise((resolve, reject) => {
      this.ping(ms => {
        if (ms === undefined) reject(new WarrenError('unreachable', 'the link ended before it answered'));
        else resolve(ms);
      });
    });
  }

  private trim(): void {
    this.opener.trim();
    this.outbox.trim();
  }

  // ── the end ──────────────────────────────────────────────────────────────────────────────────────────────────────

  /** The transport is gone. */
  transportClosed(why: string): void {
    this.finish('no-error', why, 'transport');
  }

  /** Sends CLOSE behind what is queued, then closes the transport. */
  close(code: Code, sentence = ''): void {
    if (this.closed) return;
    this.outbox.push(FRAME.CLOSE, encodeClose(code, sentence));
    // From within a flush the records at hand cannot be told apart any more: the transport's end must say it then.
    if (!this.isFlushing) this.write();
    this.port.close();
    this.finish(code, sentence, 'local');
  }

  /** Closes at once when the peer does not read: a CLOSE would wait behind all the rest. */
  private fail(code: Code, sentence: string): void {
    if (this.closed) return;
    this.port.abort();
    this.finish(code, sentence, 'local');
  }

  private refuse(error: unknown): void {
    if (!this.isInRecord) {
      // Below the AEAD anybody on the path could have done this: it ends the link, never the session.
      this.port.abort();
      return this.finish('protocol', error instanceof WarrenError ? error.message : 'records broke', 'transport');
    }
    if (!(error instanceof WarrenError)) return this.close('internal', `an error of this side: ${String(error)}`);
    this.close(error.wire ?? (error.code === 'limit' ? 'limit' : 'protocol'), error.message);
  }

  private finish(code: Code, sentence: string, by: LinkEnd): void {
    if (this.closed) return;
    this.closed = true;
    this.ackTimer?.cancel();
    this.sealer.destroy();
    this.opener.destroy();
    this.outbox.close();
    const { sendKey, receiveKey, exporter } = this.established;
    wipe(sendKey, receiveKey, exporter);
    this.liveness.stop();
    this.handler?.linkClosed?.(code, sentence, by);
    this.onClosed(code, sentence, by);
  }
}
