/** TLS on a socket that is connected already: to a web server in front of a node, or to a proxy. */
import { isIP, type Socket } from 'node:net';
import { connect, type TLSSocket } from 'node:tls';
import { reasonOf } from './reasons.js';
import type { Scope } from './scope.js';

/** For servers whose certificate the system does not know. */
export interface DialTls {
  /** PEM, instead of the system's authorities */
  readonly ca?: string | Buffer | readonly (string | Buffer)[];
  /** false: take any certificate; the handshake inside proves the peer all the same */
  readonly rejectUnauthorized?: boolean;
}

/**
 * @param host whose certificate it must be
 * @param failed makes the error out of a few words
 */
export function startTls(
  tcp: Socket,
  host: string,
  tls: DialTls,
  scope: Scope,
  failed: (why: string, cause: unknown) => Error,
): Promise<TLSSocket> {
  return scope.within<TLSSocket>(tcp, (resolve, reject) => {
    const socket = connect({
      socket: tcp,
      host,
      // RFC 6066 §3: no server name for an IP address
      ...(isIP(host) === 0 && { servername: host }),
      ...(tls.ca !== undefined && { ca: typeof tls.ca === 'string' || Buffer.isBuffer(tls.ca) ? tls.ca : [...tls.ca] }),
      rejectUnauthorized: tls.rejectUnauthorized ?? true,
      ALPNProtocols: ['http/1.1'],
      minVersion: 'TLSv1.2',
    });
    socket.once('secureConnect', () => resolve(socket));
    socket.on('error', error => reject(failed(reasonOf(error), error)));
  });
}
