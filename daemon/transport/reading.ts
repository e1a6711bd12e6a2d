/**
 * How sockets are read: all of them into one piece of memory, lent to each for the length of one read. Node's own way gives
 * every read 64 KiB of its own; this one takes eight times as much at a time of whoever brings much, and a socket that is
 * idle holds nothing. What a read brings is copied into memory of its own size, unless somebody takes it out at once (`borrow`).
 */
import { Socket, type OnReadOpts, type SocketConstructorOpts } from 'node:net';
import { MAX_RECORD_PLAINTEXT } from '../../protocol/limits.js';
import { MAX_RECORD_LENGTH, RECORD_HEADER } from '../../protocol/link/record.js';

/** The most that one read of a link brings, bytes: the longest record, and the header of the next. */
export const READ_BYTES = MAX_RECORD_LENGTH + 2 * RECORD_HEADER;
/** ... of a local connection: what fits into one record beside some frames, since a rest would need another one. */
export const LOCAL_READ_BYTES = MAX_RECORD_PLAINTEXT - 128;
/** Both are no more than this unless the read before brought as much. */
export const FIRST_READ_BYTES = 64 * 1024;
/** What a link still expects of its record bounds a read only from here on: small records come many at a time. */
const WORTH_BOUNDING = 32 * 1024;

/** ... no more than this while somebody talks: whoever does waits until it is read, sealed and written. */
export const READ_BYTES_BESIDE = 128 * 1024;
/** A read of less is talk, bytes; so many large reads behind it are shorter ones. */
const SMALL_TALK = 4 * 1024;
const READS_BESIDE = 32;

/** Nobody may rely on what is in it from one read to the next. */
const LENT = new Uint8Array(READ_BYTES);
const LOCAL = LENT.subarray(0, LOCAL_READ_BYTES);
const BESIDE = LENT.subarray(0, READ_BYTES_BESIDE);
export const FIRST_MEMORY = LENT.subarray(0, FIRST_READ_BYTES);

/** The first n bytes of what a read has brought. */
export function lentBytes(n: number): Uint8Array {
  return LENT.subarray(0, n);
}

/**
 * How much is read at a time of local connections: less of those who bring much while others have little to say. What links
 * bring is not looked at: acknowledgements are no talk.
 */
export class LocalReads {
  /** large reads that are still to be shorter ones */
  private beside = 0;

  /**
   * Where the next read goes.
   * @param read what the one before has brought, bytes; 0: there was none
   * @param offered what that one could have brought, bytes
   */
  memory(read: number, offered: number): Uint8Array<ArrayBuffer> {
    if (read < FIRST_READ_BYTES) {
      // The rest of something large is no talk.
      if (read > 0 && read < SMALL_TALK && offered === FIRST_READ_BYTES) this.beside = READS_BESIDE;
      return FIRST_MEMORY;
    }
    if (this.beside === 0) return LOCAL;
    this.beside--;
    return BESIDE;
  }
}

/** Of all local connections of this process. */
export const localReads = new LocalReads();

/**
 * Where the next read of a link goes.
 * @param read what the one before has brought, bytes; 0: there was none
 * @param expected what is left of the record that is coming and the header behind it, bytes; 0: unknown. A read that
 *   ends there leaves no part of a record to be kept, which is a copy less.
 */
export function linkMemory(read: number, expected: number): Uint8Array<ArrayBuffer> {
  if (expected >= WORTH_BOUNDING) return LENT.subarray(0, expected);
  return read < FIRST_READ_BYTES ? FIRST_MEMORY : LENT;
}

/** For linkMemory: nobody says how much is still to come. */
const EXPECTS_NOTHING = 0;

/** @param lent the caller's only until the return */
type Borrower = (lent: Uint8Array) => void;

class Reading {
  borrower: Borrower | undefined;
  readonly onread: OnReadOpts = {
    buffer: () => this.next,
    callback: read => {
      this.next =
        this.borrower === undefined ? localReads.memory(read, this.next.length) : linkMemory(read, EXPECTS_NOTHING);
      return this.take(lentBytes(read));
    },
  };
  private next = FIRST_MEMORY;
  private socket: Socket | undefined;

  of(socket: Socket): void {
    this.socket = socket;
    readings.set(socket, this);
  }

  /** @returns false: no more for now */
  private take(lent: Uint8Array): boolean {
    const { socket, borrower } = this;
    if (socket === undefined) return false;
    // What was read before somebody borrowed goes first.
    if (borrower === undefined || socket.readableLength > 0) return socket.push(copied(lent));
    borrower(lent);
    return true;
  }
}

const readings = new WeakMap<Socket, Reading>();

/** Memory of its own, that was not filled with zeros first. */
export function copied(lent: Uint8Array): Buffer {
  const own = Buffer.allocUnsafeSlow(lent.length);
  own.set(lent);
  return own;
}

/**
 * Makes a socket that reads like this.
 * @param connect makes it, with `onread` among its options
 */
export function readingLent(connect: (options: { readonly onread: OnReadOpts }) => Socket): Socket {
  const reading = new Reading();
  const socket = connect({ onread: reading.onread });
  reading.of(socket);
  return socket;
}

/** What node keeps in sockets and says nothing of in its documentation. */
interface Inside {
  _handle: object | null;
  /** whose connection it counts as */
  _server: object | null;
  server: object | null;
}
type HandleOptions = SocketConstructorOpts & { readonly handle: object; readonly pauseOnCreate: boolean };

/**
 * Takes over an accepted socket, on which nobody has read or listened yet. The only place that looks into node's sockets:
 * where they look different inside, the socket stays as it is, and is only slower.
 * @param accepted of a server with `pauseOnConnect`
 * @param options the server's; `paused`: not read until `resume`
 */
export function adopt(
  accepted: Socket,
  options: { readonly allowHalfOpen: boolean; readonly paused: boolean },
): Socket {
  const inside = accepted as unknown as Inside;
  const handle = inside._handle;
  if (handle === null || typeof handle !== 'object' || !('useUserBuffer' in handle)) {
    return options.paused ? accepted : unpaused(accepted);
  }
  const { allowHalfOpen, paused } = options;
  const made = (onread: { readonly onread: OnReadOpts }): HandleOptions => ({
    ...onread,
    handle,
    allowHalfOpen,
    pauseOnCreate: paused,
    readable: true,
    writable: true,
  });
  const socket = readingLent(onread => new Socket(made(onread)));
  const { _server, server } = inside;
  Object.assign(socket, { _server, server });
  inside._handle = null;
  return socket;
}

/** As if its server had no `pauseOnConnect`: `resume` would let bytes go that nobody listens to yet. */
function unpaused(accepted: Socket): Socket {
  Object.assign(accepted, { readableFlowing: null });
  accepted.read(0);
  return accepted;
}

/**
 * From now on `take` gets what the socket, a link's, reads, in memory that is lent to it; what had been read before comes
 * as `data`.
 * @returns false: lending is not possible, all of it comes as `data`
 */
export function borrow(socket: Socket, take: Borrower): boolean {
  const reading = readings.get(socket);
  if (reading !== undefined) reading.borrower = take;
  return reading !== undefined;
}
