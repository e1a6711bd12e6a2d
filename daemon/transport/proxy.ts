/**
 * The way through an HTTP proxy: CONNECT (RFC 9110 §9.3.6), which node:http speaks. Credentials are sent when the proxy
 * has asked for Basic authentication (RFC 7617), not before. What comes out is a socket as if it led to the target.
 *
 *   connect to the proxy (TLS if https://) → CONNECT HOST:PORT → 2xx: done
 *                                                              → 407 with Basic: once more, with credentials
 */
import { request } from 'node:http';
import type { Socket } from 'node:net';
import type { Timers } from '../../protocol/clock.js';
import { WarrenError } from '../../protocol/errors.js';
import { formatHostPort, type HostPort } from './address.js';
import { connectAny, resolveHost } from './connect.js';
import { formatProxy, type Proxy } from './proxy-choice.js';
import { reasonOf } from './reasons.js';
import type { Scope } from './scope.js';
import { startTls, type DialTls } from './tls.js';

/** Bytes of the status line and headers with which a proxy may answer. */
export const PROXY_HEADER_MAX = 8 * 1024;

const PROXY_AUTHENTICATION_REQUIRED = 407;
/** What some proxies say to wrong credentials. */
const UNAUTHORIZED = 401;
/** From here on: the proxy itself found no way, or not in time; not all of them say it with 502 to 504. */
const SERVER_ERRORS = 500;

const WHERE_CREDENTIALS_GO =
  'Write http://USER:PASSWORD@HOST:PORT into node.proxy of the config, or into HTTPS_PROXY of the daemon.';

interface Answer {
  readonly status: number;
  /** Proxy-Authenticate, several of them joined by commas */
  readonly challenge: string;
  /** bytes behind the answer */
  readonly head: Buffer;
}

export interface ProxyPathOptions {
  readonly proxy: Proxy;
  readonly target: HostPort;
  readonly timers: Timers;
  readonly tls?: DialTls | undefined;
}

/** The way to one target; whether the proxy wants credentials is remembered for its next connection. */
export class ProxyPath {
  private readonly target: string;
  private isChallenged = false;

  constructor(private readonly options: ProxyPathOptions) {
    this.target = formatHostPort(options.target.host, options.target.port);
  }

  /**
   * @returns a socket behind which the target is; what has come from there already waits in it
   * @throws WarrenError `unreachable`; the scope's reason when that ends first
   */
  async connect(scope: Scope): Promise<Socket> {
    for (;;) {
      const withCredentials = this.isChallenged;
      const socket = await this.reachProxy(scope);
      const { status, challenge, head } = await this.ask(socket, scope, withCredentials);
      if (status >= 200 && status < 300) {
        if (head.length > 0) socket.unshift(head);
        return socket;
      }
      socket.destroy();
      const isLogin = status === PROXY_AUTHENTICATION_REQUIRED || (withCredentials && status === UNAUTHORIZED);
      if (!isLogin) throw this.refused(status);
      this.judgeChallenge(challenge, withCredentials);
      this.isChallenged = true;
    }
  }

  private async reachProxy(scope: Scope): Promise<Socket> {
    const { proxy, tls } = this.options;
    const tcp = await this.connectTcp(scope);
    if (proxy.kind === 'http') return tcp;
    // The certificate is all that proves the proxy, so it is always checked: the credentials go there.
    const trusted: DialTls = tls?.ca === undefined ? {} : { ca: tls.ca };
    return startTls(tcp, proxy.host, trusted, scope, (why, cause) =>
      this.noWay(`it does not complete TLS: ${why}`, 'Check its certificate and name, and that it is https://.', cause),
    );
  }

  private async connectTcp(scope: Scope): Promise<Socket> {
    const { proxy, timers } = this.options;
    try {
      const addresses = await resolveHost(proxy.host, scope.signal);
      return await connectAny(addresses, proxy.port, timers, scope.signal);
    } catch (error) {
      if (scope.signal.aborted) throw error;
      const why = reasonOf(error).replace(/\.$/, '');
      throw this.noWay(why, 'Check the address of the proxy, and that it runs.', error);
    }
  }

  private ask(socket: Socket, scope: Scope, withCredentials: boolean): Promise<Answer> {
    const { credentials } = this.options.proxy;
    return scope.within<Answer>(socket, (resolve, reject) => {
      const connect = request({
        method: 'CONNECT',
        path: this.target,
        setHost: false,
        headers: {
          Host: this.target,
          ...(withCredentials && credentials !== undefined && { 'Proxy-Authorization': basic(credentials) }),
        },
        createConnection: () => socket,
        maxHeaderSize: PROXY_HEADER_MAX,
      });
      // To CONNECT every answer comes this way, the refusals too.
      connect.once('connect', ({ statusCode, headers }, _, head) => {
        resolve({ status: statusCode ?? 0, challenge: headers['proxy-authenticate']?.toString() ?? '', head });
      });
      connect.on('error', error => reject(this.noAnswer(error)));
      connect.end();
    });
  }

  /** @throws WarrenError when another try with credentials would not help */
  private judgeChallenge(challenge: string, wasGivenCredentials: boolean): void {
    if (wasGivenCredentials)
      throw this.noWay(
        'it does not accept the user name and password',
        'Check them in node.proxy of the config, or in HTTPS_PROXY of the daemon.',
      );
    const schemes = schemesOf(challenge);
    if (!schemes.some(scheme => scheme.toLowerCase() === 'basic')) {
      const others = schemes.length === 0 ? '' : ` (${schemes.join(', ')})`;
      throw this.noWay(
        `it wants a login of another kind than Basic${others}`,
        'Use a proxy that takes Basic authentication or none; a small local one can log in at this one.',
      );
    }
    if (this.options.proxy.credentials === undefined)
      throw this.noWay('it wants a user name and password', WHERE_CREDENTIALS_GO);
  }

  private refused(status: number): WarrenError {
    if (status >= SERVER_ERRORS)
      return this.noWay(
        `it could not reach ${this.target} (HTTP ${status})`,
        'Check the address, and that the node runs.',
      );
    return this.noWay(
      `it refuses to connect to ${this.target} (HTTP ${status})`,
      'Many proxies allow port 443 only: put a web server in front of the node there, and advertise wss://HOST/PATH.',
    );
  }

  private noAnswer(error: NodeJS.ErrnoException): WarrenError {
    const hint = 'Check that the address is that of an HTTP proxy, and whether it is http:// or https://.';
    if (error.code === 'HPE_HEADER_OVERFLOW')
      return this.noWay(`its answer has more than ${PROXY_HEADER_MAX} bytes of headers`, hint, error);
    if (error.code?.startsWith('HPE_') === true) return this.noWay('what answers there is no HTTP proxy', hint, error);
    if (error.code === 'ECONNRESET') return this.noWay('it closed the connection without an answer', hint, error);
    return this.noWay(reasonOf(error), hint, error);
  }

  private noWay(why: string, hint: string, cause?: unknown): WarrenError {
    const sentence = `There is no way through the proxy ${formatProxy(this.options.proxy)}: ${why}.`;
    return new WarrenError('unreachable', sentence, { hint, ...(cause === undefined ? {} : { cause }) });
  }
}

/** RFC 7617 §2, the credentials in UTF-8. */
function basic(credentials: string): string {
  return `Basic ${Buffer.from(credentials).toString('base64')}`;
}

/** The authentication schemes that a challenge names, at most four (RFC 9110 §11.6.1). */
function schemesOf(challenge: string): string[] {
  const bare = challenge.replace(/"(?:[^"\\]|\\.)*"/g, '""');
  return [...bare.matchAll(/(?:^|,)\s*([A-Za-z][A-Za-z0-9-]{0,30})(?=[\s,]|$)/g)].map(found => found[1]!).slice(0, 4);
}
