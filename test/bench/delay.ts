/** A forwarder that hands everything on a fixed time later, so that round trips can be counted. */
import { once } from 'node:events';
import net from 'node:net';
import type { Ground } from './ground.js';

export interface Delay {
  readonly port: number;
  /** From now on so long each way, ms. */
  set(ms: number): void;
  /** performance.now() of the first connection since `forget` */
  firstDial(): number | undefined;
  forget(): void;
}

export async function startDelay(ground: Ground, target: number): Promise<Delay> {
  let ms = 0;
  let first: number | undefined;
  const open = new Set<net.Socket>();
  const server = net.createServer({ allowHalfOpen: true, noDelay: true }, socket => {
    first ??= performance.now();
    const behind = net.connect({ host: '127.0.0.1', port: target, noDelay: true, allowHalfOpen: true });
    for (const [from, to] of [
      [socket, behind],
      [behind, socket],
    ] as const) {
      open.add(from);
      from.on('data', (chunk: Buffer) => void setTimeout(() => to.writable && to.write(chunk), ms));
      from.on('end', () => void setTimeout(() => to.end(), ms));
      from.on('error', () => undefined);
      from.on('close', () => {
        open.delete(from);
        setTimeout(() => to.destroy(), ms);
      });
    }
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  ground.onClose(() => {
    server.close();
    for (const socket of open) socket.destroy();
  });
  return {
    port: (server.address() as net.AddressInfo).port,
    set: oneWay => void (ms = oneWay),
    firstDial: () => first,
    forget: () => void (first = undefined),
  };
}
