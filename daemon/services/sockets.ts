/** Local sockets: how they are counted, and how one is cut so that its other end notices. */
import { Socket } from 'node:net';
import type { Duplex } from 'node:stream';

/** The local sockets held now, for diagnostics. */
export class SocketCount {
  private held = 0;

  get count(): number {
    return this.held;
  }

  /** Counts a socket until it is closed. */
  track(socket: Duplex): void {
    this.held++;
    socket.once('close', () => this.held--);
  }
}

/**
 * Ends a connection at once, dropping what was not sent: RST on TCP, so that the other end cannot take what it got for
 * all there was. A unix socket knows no reset; its other end sees the end of the data.
 */
export function cutSocket(socket: Duplex): void {
  if (socket.destroyed) return;
  if (!(socket instanceof Socket) || socket.connecting) {
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
