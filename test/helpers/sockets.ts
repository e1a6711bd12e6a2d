/** Real sockets on loopback for tests: clients and servers that say how a connection ended. */
import net from 'node:net';
import { once } from 'node:events';
import { acceptThin, type ThinSocket } from '../../daemon/transport/thin-socket.js';

/** How a connection ended, seen from one of its ends. */
export interface Ended {
  readonly bytes: Buffer;
  /** `end` when the other side ended its direction, else the error's code */
  readonly how: string;
}

/** Reads until the other side's end or an error. Never rejects. */
export function readAll(socket: net.Socket): Promise<Ended> {
  const chunks: Buffer[] = [];
  return new Promise(resolve => {
    const settle = (how: string): void => resolve({ bytes: Buffer.concat(chunks), how });
    socket.on('data', (chunk: Buffer) => chunks.push(chunk));
    socket.once('end', () => settle('end'));
    socket.on('error', (error: NodeJS.ErrnoException) => settle(error.code ?? 'error'));
    socket.once('close', () => settle('close'));
  });
}

export interface TestServer {
  /** 127.0.0.1:PORT or unix:PATH */
  readonly target: string;
  readonly port: number;
  /** connections taken so far */
  readonly taken: () => number;
  readonly open: () => number;
  close(): Promise<void>;
}

/** Half-open TCP server (or unix, with a path); closing it ends its connections. */
export async function serve(on: (socket: net.Socket) => void, where: number | string = 0): Promise<TestServer> {
  let taken = 0;
  const open = new Set<net.Socket>();
  const server = net.createServer({ allowHalfOpen: true, noDelay: true }, socket => {
    taken++;
    open.add(socket);
    socket.on('error', () => undefined);
    socket.once('close', () => open.delete(socket));
    on(socket);
  });
  if (typeof where === 'string') server.listen(where);
  else server.listen(where, '127.0.0.1', 4096);
  await once(server, 'listening');
  const address = server.address();
  const port = typeof address === 'object' && address !== null ? address.port : 0;
  return {
    target: typeof where === 'string' ? `unix:${where}` : `127.0.0.1:${port}`,
    port,
    taken: () => taken,
    open: () => open.size,
    close: async () => {
      const closed = once(server, 'close');
      server.close();
      for (const socket of open) socket.destroy();
      await closed;
    },
  };
}

/** Connects to HOST:PORT or unix:PATH, half-open. */
export async function dialText(where: string): Promise<net.Socket> {
  const port = Number(where.slice(where.lastIndexOf(':') + 1));
  const socket = where.startsWith('unix:')
    ? net.connect({ path: where.slice('unix:'.length), allowHalfOpen: true })
    : net.connect({ port, host: '127.0.0.1', allowHalfOpen: true, noDelay: true });
  await once(socket, 'connect');
  return socket;
}

/** Both ends of one TCP connection; the first one's errors are ignored unless a test listens. */
export async function tcpPair(): Promise<[net.Socket, net.Socket]> {
  const server = net.createServer({ allowHalfOpen: true, pauseOnConnect: true });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const { port } = server.address() as net.AddressInfo;
  const client = net.connect({ port, host: '127.0.0.1', allowHalfOpen: true });
  const [accepted] = (await once(server, 'connection')) as [net.Socket];
  if (client.connecting) await once(client, 'connect');
  client.on('error', () => undefined);
  server.close();
  return [client, accepted];
}

/** The same with a thin socket as the accepted end. */
export async function thinPair(): Promise<[net.Socket, ThinSocket]> {
  const server = net.createServer({ allowHalfOpen: true, pauseOnConnect: true });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const accepted = new Promise<ThinSocket>(resolve => acceptThin(server, resolve));
  const client = net.connect({
    port: (server.address() as net.AddressInfo).port,
    host: '127.0.0.1',
    allowHalfOpen: true,
  });
  client.on('error', () => undefined);
  const thin = await accepted;
  if (client.connecting) await once(client, 'connect');
  server.close();
  return [client, thin];
}

/** Waits until `what` holds. */
export async function eventually(what: string, holds: () => boolean, ms = 5_000): Promise<void> {
  const until = performance.now() + ms;
  while (!holds()) {
    if (performance.now() > until) throw new Error(`not within ${ms} ms: ${what}`);
    await new Promise(resolve => setTimeout(resolve, 5));
  }
}

/** Waits until `value` has stood still for `ms`, and returns it. */
export async function settled(value: () => number, ms = 150): Promise<number> {
  for (let last = value(); ; last = value()) {
    await new Promise(resolve => setTimeout(resolve, ms));
    if (value() === last && last > 0) return last;
  }
}
