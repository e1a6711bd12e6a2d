/**
 * Transport over a stream to a relay. The stream's credit is what holds the other side back: it is given back when the
 * bytes have been handed on.
 */
import type { Timer, Timers } from '../../protocol/clock.js';
import type { Code } from '../../protocol/codes.js';
import type { NodeIdText } from '../../protocol/identity/node-id.js';
import type { StreamHandler } from '../../protocol/session/index.js';
import { relayAddress } from '../transport/address.js';
import { Inbox } from '../transport/inbox.js';
import { CLOSED_BY_PEER, CLOSED_HERE } from '../transport/reasons.js';
import { CLOSE_FLUSH_MS, type Transport } from '../transport/transport.js';
import { relayWords } from './code-words.js';
import type { RelayStream } from './types.js';

export class RelayTransport implements Transport, StreamHandler {
  readonly kind = 'relay';
  /** `relay:NODEID` of the relay */
  readonly remote: string;
  readonly local = undefined;
  /** Why the stream was reset by the other side. */
  resetCode: Code | undefined;

  private readonly inbox: Inbox;
  private stream: RelayStream | undefined;
  private drainedCallback: () => void = () => undefined;
  private flushing: Timer | undefined;
  /** handed over by the stream, and not by the inbox */
  private held = 0;

  /** @param via the relay */
  constructor(
    via: NodeIdText,
    private readonly timers: Timers,
  ) {
    this.remote = relayAddress(via);
    this.inbox = new Inbox(timers, () => undefined);
  }

  /** The stream whose handler this is; once, before anything is written. */
  attach(stream: RelayStream): void {
    this.stream = stream;
  }

  // The link's side.

  write(chunks: readonly Uint8Array[]): void {
    if (this.inbox.isEnded) return;
    for (const chunk of chunks) this.stream?.write(chunk);
  }

  get buffered(): number {
    return this.stream?.unsent ?? 0;
  }

  onData(callback: ((chunk: Uint8Array) => void) | undefined): void {
    if (callback === undefined) return this.inbox.onData(undefined);
    this.inbox.onData(chunk => {
      this.held -= chunk.length;
      callback(chunk);
      this.stream?.consumed(chunk.length);
    });
  }

  onDrain(callback: () => void): void {
    this.drainedCallback = callback;
  }

  onClose(callback: (why: string) => void): void {
    this.inbox.onClose(callback);
  }

  pause(): void {
    this.inbox.pause();
  }

  resume(): void {
    this.inbox.resume();
  }

  close(): void {
    this.finish(CLOSED_HERE);
  }

  abort(): void {
    this.discard();
    this.inbox.end(CLOSED_HERE);
    this.stream?.reset('cancelled');
  }

  /** FIN behind what is buffered; what still comes is taken and dropped. */
  private finish(why: string): void {
    if (why === CLOSED_HERE) this.discard();
    this.inbox.end(why);
    if (this.stream === undefined || this.flushing !== undefined) return;
    this.stream.end();
    this.flushing = this.timers.after(CLOSE_FLUSH_MS, () => this.stream?.reset('cancelled'));
  }

  private discard(): void {
    this.inbox.discard();
    this.stream?.consumed(this.held);
    this.held = 0;
  }

  // The stream's side.

  data(chunk: Uint8Array): void {
    if (this.inbox.isEnded) {
      this.stream?.consumed(chunk.length);
      return;
    }
    this.held += chunk.length;
    this.inbox.push(chunk);
  }

  fin(): void {
    this.finish(CLOSED_BY_PEER);
  }

  drain(): void {
    if (!this.inbox.isEnded) this.drainedCallback();
  }

  reset(code: Code): void {
    this.resetCode = code;
    this.inbox.end(relayWords(code));
  }

  closed(): void {
    this.flushing?.cancel();
    this.inbox.end(CLOSED_BY_PEER);
  }
}
