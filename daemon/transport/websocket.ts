/**
 * Transport over a WebSocket (RFC 6455) that is already open. Binary messages are one stream of bytes: borders mean
 * nothing, what one side writes may be cut and joined at will. The mask is zero, since the bytes are ciphertext anyway
 * (masking keeps scripts in browsers from choosing bytes on the wire, §10.3), and nothing is compressed.
 */
import type { Socket } from 'node:net';
import type { ClientOptions, RawData, ServerOptions, WebSocket } from 'ws';
import { concat } from '../../protocol/bytes.js';
import type { Timers } from '../../protocol/clock.js';
import { plain } from '../../protocol/crypto/lengths.js';
import { CLOSED_BY_PEER, CLOSED_HERE, reasonOf } from './reasons.js';
import { SocketTransport } from './socket-transport.js';
import { CLOSE_FLUSH_MS } from './transport.js';
import { readMessagesLent } from './websocket-reading.js';

/** Longest message, in bytes: the last for which the length fits the 16-bit form of RFC 6455 §5.2. */
export const WS_MESSAGE_MAX = 0xffff;
/** Pieces of one message that a proxy in between may make; this implementation sends each in one frame. */
export const WS_FRAGMENTS_MAX = 16;
/** Pieces in which one message may arrive from the kernel: WS_MESSAGE_MAX in the smallest of TCP segments. */
export const WS_CHUNKS_MAX = 2048;
/** Pings of a proxy that are answered before the answers to earlier ones have left. */
export const WS_PONGS_MAX = 4;
/** Chunks below this size are copied together into one message; larger ones travel as they are. */
export const WS_JOIN_BELOW = 8 * 1024;

const NORMAL_CLOSURE = 1000;

/** What both ends ask of ws. Two of the names are newer than its type declarations. */
const COMMON = {
  perMessageDeflate: false,
  maxPayload: WS_MESSAGE_MAX,
  maxFragments: WS_FRAGMENTS_MAX,
  maxBufferedChunks: WS_CHUNKS_MAX,
  maxPendingAutoPongs: WS_PONGS_MAX,
  closeTimeout: CLOSE_FLUSH_MS,
  // Text is refused as such; close reasons are not read.
  skipUTF8Validation: true,
  // Several messages of one read come in one turn, as the bytes of TCP do.
  allowSynchronousEvents: true,
};
export const WS_SERVER_OPTIONS: ServerOptions = { ...COMMON, noServer: true, clientTracking: false };
export const WS_CLIENT_OPTIONS: ClientOptions = {
  ...COMMON,
  followRedirects: false,
  generateMask: mask => void mask.fill(0),
};

export class WebSocketTransport extends SocketTransport {
  readonly kind = 'websocket';

  /**
   * @param ws open, in the turn in which it became so; made with WS_SERVER_OPTIONS or WS_CLIENT_OPTIONS
   * @param socket the socket below, for corking and for its addresses
   */
  constructor(
    private readonly ws: WebSocket,
    private readonly socket: Socket,
    timers: Timers,
  ) {
    super(socket, timers, on => (on ? ws.resume() : ws.pause()));
    ws.pause();
    readMessagesLent(socket);
    ws.on('message', (data: RawData, isBinary: boolean) => this.message(data, isBinary));
    // ws would go on with a closing handshake of its own; who breaks the rules gets none.
    ws.on('error', error => this.fail(reasonOf(error)));
    ws.on('close', () => this.gone(CLOSED_BY_PEER));
  }

  write(chunks: readonly Uint8Array[]): void {
    if (this.inbox.isEnded) return;
    const messages = toMessages(chunks);
    const last = messages.length - 1;
    this.socket.cork();
    for (let i = 0; i <= last; i++) this.ws.send(messages[i]!, { binary: true }, i === last ? this.taken : undefined);
    this.socket.uncork();
    this.waiting = this.buffered > 0;
  }

  get buffered(): number {
    return this.ws.bufferedAmount;
  }

  close(): void {
    this.inbox.discard();
    this.inbox.end(CLOSED_HERE);
    if (this.ws.readyState === this.ws.CLOSED || this.flushing !== undefined) return;
    this.ws.close(NORMAL_CLOSURE);
    this.flushing = this.timers.after(CLOSE_FLUSH_MS, () => this.ws.terminate());
  }

  abort(): void {
    this.fail(CLOSED_HERE);
  }

  private fail(why: string): void {
    this.inbox.discard();
    this.inbox.end(why);
    this.ws.terminate();
  }

  private message(data: RawData, isBinary: boolean): void {
    if (!isBinary) this.fail('a text message, where only binary ones are allowed');
    // No Buffer: whoever keeps some of it takes a `slice`, which must be a copy.
    else if (Buffer.isBuffer(data) && data.length > 0) this.inbox.push(plain(data));
  }
}

/** Cuts and joins so that no message is longer than WS_MESSAGE_MAX and small chunks share one. */
export function toMessages(chunks: readonly Uint8Array[]): Uint8Array[] {
  const messages: Uint8Array[] = [];
  let small: Uint8Array[] = [];
  let smallBytes = 0;
  const flush = (): void => {
    if (small.length > 0) messages.push(small.length === 1 ? small[0]! : concat(...small));
    small = [];
    smallBytes = 0;
  };
  for (const chunk of chunks) {
    if (chunk.length >= WS_JOIN_BELOW) {
      flush();
      for (let at = 0; at < chunk.length; at += WS_MESSAGE_MAX) messages.push(chunk.subarray(at, at + WS_MESSAGE_MAX));
    } else if (chunk.length > 0) {
      if (smallBytes + chunk.length > WS_MESSAGE_MAX) flush();
      small.push(chunk);
      smallBytes += chunk.length;
    }
  }
  flush();
  return messages;
}
