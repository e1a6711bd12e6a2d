/** Local sockets: how they are counted, and how one is cut so that its other end notices. */
import { Socket } from 'node:net';
import { ThinSocket, type LocalSocket } from '../transport/thin-socket.js';

/** What a listener hands out. */
export type AcceptedSocket = Socket | ThinSocket;

/** The local sockets held now, for diagnostics. */
export class SocketCount {
  private held = 0;

  get count(): number {
    return this.held;
  }

  /** Counts a socket until it is closed. */
  track(socket: Pick<LocalSocket, 'on'>): void {
    this.held++;
    socket.on('close', this.closed);
  }

  private readonly closed = (): void => void this.held--;
}

/**
 * Ends a connection at once, dropping what was not sent: RST on TCP, so that the other end cannot take what it got for
 * all there was. A unix socket knows no reset; its other end sees the end of the data.
 */
export function cutSocket(socket: LocalSocket): void {
  if (socket.destroyed) return;
  if (!(socket instanceof Socket || socket instanceof ThinSocket) || socket.connecting) {
    socket.destroy();
    return;
  }
  if (socket.writableEnded && !socket.writableFinished) {
    // The FIN is on its way and libuv refuses to reset meanwhile (uv_tcp_close_reset, EINVAL, with the descriptor left open).
    socket.once('finish', () => cutSocket(socket));
    return;
  }
  try {
    socket.resetAndDestroy();
  } catch {
    socket.destroy(); // not TCP
  }
}

/**
 * The address from which a TCP client came; undefined for a unix socket, or when the client has gone already.
 * The socket forgets it again: `wasReset` needs an answer of its own.
 */
export function peerAddress(socket: AcceptedSocket): { readonly host: string; readonly port: number } | undefined {
  if (socket instanceof ThinSocket) return socket.peer;
  const { remoteAddress: host, remotePort: port } = socket;
  Reflect.deleteProperty(socket, '_peername');
  return host === undefined || port === undefined ? undefined : { host, port };
}

/**
 * To be asked at the end of what a socket reads, its other direction still open: true when that end is in truth a
 * reset. libuv reports a reset that follows unread data as a plain end (POLLHUP after a partial read, uv__stream_io),
 * and half of something would pass for the whole. A connection that was reset has no peer any more.
 */
export function wasReset(socket: LocalSocket): boolean {
  if (socket.destroyed || socket.writableEnded) return false;
  if (socket instanceof ThinSocket) return socket.isTcp && !socket.hasPeer;
  if (!(socket instanceof Socket)) return false;
  return socket.remoteAddress === undefined && 'address' in socket.address();
}
