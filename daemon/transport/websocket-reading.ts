/**
 * WebSocket messages out of lent memory (reading.ts). What `ws` gets is its own as long as it likes: the parts of a message
 * until it is whole, a ping until its pong is written. Only messages that are whole, in one frame (RFC 6455 §5.2), are
 * done with when it returns; so these alone come to it in memory that is lent, and all else is copied.
 */
import type { Socket } from 'node:net';
import { borrow, copied } from './reading.js';

/** FIN, binary, no extension: a message in one frame. */
const WHOLE_MESSAGE = 0x82;
const MASKED = 0x80;
const LENGTH = 0x7f;
const LENGTH_16 = 126;
const LENGTH_64 = 127;
const MASK_BYTES = 4;
/** The first two bytes, a length of 64 bits, the mask. */
const HEADER_MAX = 14;

/** Follows the frames of one direction. */
export class FrameBorders {
  private readonly header = new Uint8Array(HEADER_MAX);
  private readonly view = new DataView(this.header.buffer);
  private headerBytes = 0;
  /** of the frame's payload, still to come */
  private missing = 0;

  /**
   * @param chunk what has come next
   * @returns how many bytes at its beginning belong to messages in one frame that end in them
   */
  follow(chunk: Uint8Array): number {
    const end = chunk.length;
    let at = 0;
    let whole = 0;
    let isUnbroken = true;
    while (at < end) {
      if (this.missing === 0) at = this.readHeader(chunk, at);
      const step = Math.min(this.missing, end - at);
      this.missing -= step;
      at += step;
      if (this.headerBytes > 0 || this.missing > 0) break;
      isUnbroken &&= this.header[0] === WHOLE_MESSAGE;
      if (isUnbroken) whole = at;
    }
    return whole;
  }

  /** @returns where the header ends, or the chunk */
  private readHeader(chunk: Uint8Array, from: number): number {
    const { header } = this;
    for (let at = from; at < chunk.length;) {
      header[this.headerBytes++] = chunk[at++]!;
      if (this.headerBytes < 2 || this.headerBytes < headerLength(header[1]!)) continue;
      this.headerBytes = 0;
      this.missing = payloadLength(this.view);
      return at;
    }
    return chunk.length;
  }
}

function headerLength(second: number): number {
  const length = second & LENGTH;
  const mask = (second & MASKED) === 0 ? 0 : MASK_BYTES;
  return 2 + (length === LENGTH_16 ? 2 : length === LENGTH_64 ? 8 : 0) + mask;
}

function payloadLength(view: DataView): number {
  const length = view.getUint8(1) & LENGTH;
  if (length === LENGTH_16) return view.getUint16(2);
  // As a number: `ws` refuses what is longer than WS_MESSAGE_MAX anyway.
  return length === LENGTH_64 ? Number(view.getBigUint64(2)) : length;
}

/**
 * From now on what the socket reads comes to its `data` listener, `ws`, in lent memory where that is safe. To be called before
 * that listener has heard anything. Where lending is not possible, nothing changes.
 */
export function readMessagesLent(socket: Socket): void {
  const borders = new FrameBorders();
  let isLending = false;
  const isPossible = borrow(socket, lent => {
    const whole = borders.follow(lent);
    isLending = true;
    if (whole > 0) socket.emit('data', asBuffer(lent.subarray(0, whole)));
    if (whole < lent.length) socket.emit('data', copied(lent.subarray(whole)));
    isLending = false;
  });
  if (!isPossible) return;
  // What was read before comes by itself.
  socket.on('data', (chunk: Uint8Array) => {
    if (!isLending) borders.follow(chunk);
  });
}

function asBuffer(bytes: Uint8Array): Buffer {
  return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length);
}
