/** Unix sockets that nobody else may connect to. */
import type { Server } from 'node:net';

/**
 * Binds a unix socket that is 0600 from its first moment: `listen` binds before it returns, and the umask is the
 * process's for no longer than that.
 */
export function listenPrivate(server: Server, path: string): Promise<void> {
  return new Promise((resolve, reject) => {
    const failed = (error: Error): void => reject(error);
    server.once('error', failed);
    const mask = process.umask(0o177);
    try {
      server.listen({ path }, () => {
        // Out of descriptors an accept may fail: the client is gone, the listener goes on.
        server.on('error', () => undefined);
        server.off('error', failed);
        resolve();
      });
    } finally {
      process.umask(mask);
    }
  });
}
