/**
 * A stream between a tunnel and a service of the same daemon: the two ends hand chunks to each other. Policy, limits and
 * counters are those of any other caller; only the wire is missing.
 */
import type { Code } from '../../protocol/codes.js';
import { COPIED_BELOW } from '../../protocol/session/send-buffer.js';
import { LOCAL_WINDOW_BYTES } from './limits.js';
import type { Caller, OpenRequest, ServiceStream, StreamHandler } from './mesh.js';

/** What answers a stream: the handler of what comes, or the code of the refusal. */
export type Answerer = (stream: ServiceStream, request: OpenRequest, caller: Caller) => StreamHandler | Code;

/**
 * Opens a stream to a service of this daemon.
 * @param windowBytes unconsumed bytes in one direction before `write` returns false
 * @returns the opener's end; the answer comes on a later turn
 */
export function openLocal(
  answer: Answerer,
  request: OpenRequest,
  caller: Caller,
  handler: StreamHandler,
  windowBytes = LOCAL_WINDOW_BYTES,
): ServiceStream {
  const opener = new LocalEnd(windowBytes, handler);
  const answerer = new LocalEnd(windowBytes, undefined);
  opener.other = answerer;
  answerer.other = opener;
  process.nextTick(() => {
    if (opener.gone) return;
    const answered = answer(answerer, request, caller);
    if (typeof answered === 'string') answerer.reset(answered, false);
    else answerer.setHandler(answered);
  });
  return opener;
}

class LocalEnd implements ServiceStream {
  other!: LocalEnd;
  /** reset in either direction */
  gone = false;
  /** what came before there was a handler; bounded by the window */
  private waiting: Uint8Array[] = [];
  private finWaiting = false;
  private ended = false;
  private unconsumed = 0;
  private blocked = false;

  constructor(
    private readonly windowBytes: number,
    private handler: StreamHandler | undefined,
  ) {}

  setHandler(handler: StreamHandler): void {
    this.handler = handler;
    const waiting = this.waiting;
    this.waiting = [];
    for (const chunk of waiting) if (!this.gone) handler.data(chunk);
    if (this.finWaiting && !this.gone) handler.fin();
    this.finWaiting = false;
  }

  write(chunk: Uint8Array): boolean {
    if (this.gone || this.ended) return true;
    this.unconsumed += chunk.length;
    if (this.unconsumed >= this.windowBytes) this.blocked = true;
    // As in `Stream.write`, small chunks are the caller's again after the return. (A slice of a Buffer were the same memory.)
    this.other.arrive(chunk.length < COPIED_BELOW ? new Uint8Array(chunk) : chunk);
    return !this.blocked;
  }

  end(): void {
    if (this.gone || this.ended) return;
    this.ended = true;
    if (this.other.handler === undefined) this.other.finWaiting = true;
    else this.other.handler.fin();
  }

  reset(code: Code, dialed = false): void {
    if (this.gone) return;
    this.gone = true;
    this.waiting = [];
    const { other } = this;
    if (other.gone) return;
    other.gone = true;
    other.waiting = [];
    // Never inside the other side's own call.
    process.nextTick(() => other.handler?.reset(code, dialed));
  }

  consumed(n: number): void {
    if (!this.gone) this.other.released(n);
  }

  accept(): void {
    if (!this.gone) this.other.handler?.opened?.();
  }

  private arrive(chunk: Uint8Array): void {
    if (this.handler === undefined) this.waiting.push(chunk);
    else this.handler.data(chunk);
  }

  private released(n: number): void {
    this.unconsumed -= n;
    if (!this.blocked || this.unconsumed >= this.windowBytes / 2) return;
    this.blocked = false;
    this.handler?.drain?.();
  }
}
