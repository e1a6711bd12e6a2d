/** The end of an HTTP server: what is under way may finish, idle connections go at once, the rest after a deadline. */
import type { Server } from 'node:http';
import type { Socket } from 'node:net';

/** @param ms how long requests under way may take */
export async function closeGently(server: Server, sockets: ReadonlySet<Socket>, ms: number): Promise<void> {
  const closed = new Promise<void>(resolve => server.close(() => resolve()));
  server.closeIdleConnections();
  // a connection becomes idle when its reply is out, and would then wait for the next request
  const sweep = setInterval(() => server.closeIdleConnections(), 50);
  const late = setTimeout(() => {
    for (const socket of [...sockets]) socket.destroy();
  }, ms);
  try {
    await closed;
    // the server is closed before the last sockets have told so
    await Promise.all([...sockets].map(socket => new Promise(resolve => socket.once('close', resolve))));
  } finally {
    clearInterval(sweep);
    clearTimeout(late);
  }
}
