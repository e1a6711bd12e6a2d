/**
 * A small HTTP proxy for tests, of raw sockets so that it can misbehave: takes CONNECT alone, leads names that exist
 * nowhere else to ports on loopback, and remembers what it was asked.
 */
import net from 'node:net';
import tls from 'node:tls';
import { once } from 'node:events';

export interface ProxyRequest {
  /** HOST:PORT as asked for */
  readonly target: string;
  /** Proxy-Authorization */
  readonly authorization: string | undefined;
  /** number of the connection it came on, from 1 */
  readonly connection: number;
}

export interface TestProxyOptions {
  /** HOST:PORT → port on loopback; anything else is answered 403 */
  readonly routes: Readonly<Record<string, number>>;
  /** user:password that it wants */
  readonly credentials?: string;
  /** what it does after a 407; default close */
  readonly after407?: 'close' | 'keep';
  /** TLS to the proxy */
  readonly secure?: { readonly key: Buffer; readonly cert: Buffer };
  /** answers in place of everything above; undefined: silence */
  readonly answer?: (request: ProxyRequest, socket: net.Socket) => void;
}

export interface TestProxy {
  readonly port: number;
  readonly requests: ProxyRequest[];
  /** connections open now, to either side */
  open(): number;
  /** Ends every connection; the proxy goes on. */
  cut(): void;
  close(): Promise<void>;
}

const CHALLENGE = 'HTTP/1.1 407 Proxy Authentication Required\r\nProxy-Authenticate: Basic realm="test, one"\r\n';
const SORRY = 'sorry';

export async function startProxy(options: TestProxyOptions): Promise<TestProxy> {
  const open = new Set<net.Socket>();
  const requests: ProxyRequest[] = [];
  let connections = 0;
  const track = (socket: net.Socket): void => {
    open.add(socket);
    socket.on('error', () => undefined);
    socket.on('close', () => open.delete(socket));
  };
  const serve = (socket: net.Socket): void => {
    track(socket);
    const connection = ++connections;
    let text = '';
    const read = (chunk: Buffer): void => {
      text += chunk.toString('latin1');
      if (!text.startsWith('CONNECT '.slice(0, text.length)))
        return void socket.end('HTTP/1.1 400 Bad Request\r\n\r\n');
      const end = text.indexOf('\r\n\r\n');
      if (end < 0) return;
      const [line = '', ...headers] = text.slice(0, end).split('\r\n');
      const rest = text.slice(end + 4);
      text = '';
      const target = /^CONNECT (\S+) HTTP\/1\.1$/.exec(line)?.[1] ?? line;
      const header = headers.find(h => /^proxy-authorization:/i.test(h));
      const request = { target, authorization: header?.slice(header.indexOf(':') + 1).trim(), connection };
      requests.push(request);
      if (options.answer !== undefined) options.answer(request, socket);
      else if (!mayPass(request)) challenge(socket);
      else if (options.routes[target] === undefined) socket.end('HTTP/1.1 403 Forbidden\r\n\r\n');
      else {
        socket.off('data', read);
        pass(socket, options.routes[target], rest);
      }
    };
    socket.on('data', read);
  };
  const mayPass = ({ authorization }: ProxyRequest): boolean =>
    options.credentials === undefined ||
    authorization === `Basic ${Buffer.from(options.credentials).toString('base64')}`;
  const challenge = (socket: net.Socket): void => {
    const keep = options.after407 === 'keep';
    socket.write(
      `${CHALLENGE}Connection: ${keep ? 'keep-alive' : 'close'}\r\nContent-Length: ${SORRY.length}\r\n\r\n${SORRY}`,
    );
    if (!keep) socket.end();
  };
  const pass = (socket: net.Socket, port: number, rest: string): void => {
    const behind = net.connect({ port, host: '127.0.0.1', noDelay: true });
    track(behind);
    behind.once('connect', () => {
      socket.write('HTTP/1.1 200 Connection established\r\n\r\n');
      behind.write(Buffer.from(rest, 'latin1'));
      socket.pipe(behind).pipe(socket);
    });
    behind.once('error', () => socket.end('HTTP/1.1 502 Bad Gateway\r\n\r\n'));
    behind.once('close', () => socket.destroy());
    socket.once('close', () => behind.destroy());
  };
  const server = options.secure === undefined ? net.createServer(serve) : tls.createServer(options.secure, serve);
  server.on('tlsClientError', () => undefined);
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const cut = (): void => {
    for (const socket of open) socket.destroy();
  };
  return {
    port: (server.address() as net.AddressInfo).port,
    requests,
    open: () => open.size,
    cut,
    close: async () => {
      const closed = once(server, 'close');
      server.close();
      cut();
      await closed;
    },
  };
}
