/** Plain TCP services and clients that check every byte. */
import { createHash, randomBytes } from 'node:crypto';
import { once } from 'node:events';
import net from 'node:net';
import { join } from 'node:path';
import type { Lab } from './hosts.js';

/** `allowHalfOpen`: its end is not our end. */
function serve(onConnection: (socket: net.Socket) => void): net.Server {
  return net.createServer({ allowHalfOpen: true }, socket => {
    socket.setNoDelay(true);
    socket.on('error', () => undefined);
    onConnection(socket);
  });
}

/** A TCP service in this process, closed with the lab. */
export async function startService(lab: Lab, onConnection: (socket: net.Socket) => void): Promise<number> {
  const server = serve(onConnection);
  server.listen(0, '127.0.0.1', 4096);
  await once(server, 'listening');
  lab.onClose(() => void server.close());
  return (server.address() as net.AddressInfo).port;
}

/** The same on a unix socket, which hosts in namespaces reach too. @returns `unix:PATH` */
export async function startUnixService(
  lab: Lab,
  name: string,
  onConnection: (socket: net.Socket) => void,
): Promise<string> {
  const path = join(lab.folder, `${name}.sock`);
  const server = serve(onConnection);
  server.listen({ path, backlog: 4096 });
  await once(server, 'listening');
  lab.onClose(() => void server.close());
  return `unix:${path}`;
}

/** Sends without end, as fast as it is taken. */
export function flood(socket: net.Socket): void {
  const block = Buffer.alloc(256 * 1024, 1);
  const more = (): void => {
    while (!socket.destroyed && socket.write(block));
  };
  socket.on('drain', more);
  more();
}

/** Echoes, and ends when the client has ended. */
export function echo(socket: net.Socket): void {
  socket.pipe(socket);
}

export function dial(address: string): Promise<net.Socket> {
  const at = address.lastIndexOf(':');
  const where = address.startsWith('unix:')
    ? { path: address.slice(5) }
    : { host: address.slice(0, at), port: Number(address.slice(at + 1)) };
  return new Promise((resolve, reject) => {
    const socket = net.connect({ ...where, allowHalfOpen: true, noDelay: true });
    socket.once('error', reject);
    socket.once('connect', () => {
      socket.off('error', reject);
      socket.on('error', () => undefined);
      resolve(socket);
    });
  });
}

/** Sends `total` bytes of a repeated random block, then ends; resolves to their SHA-256. */
export async function sendBytes(socket: net.Socket, total: number): Promise<string> {
  const block = randomBytes(256 * 1024);
  const hash = createHash('sha256');
  for (let sent = 0; sent < total;) {
    const piece = total - sent < block.length ? block.subarray(0, total - sent) : block;
    hash.update(piece);
    sent += piece.length;
    if (!socket.write(piece)) await drained(socket);
    if (socket.destroyed) throw new Error(`closed after ${sent} of ${total} bytes`);
  }
  socket.end();
  return hash.digest('hex');
}

/** The socket takes bytes again, or is gone. */
function drained(socket: net.Socket): Promise<void> {
  return new Promise(resolve => {
    const done = (): void => {
      socket.off('drain', done);
      socket.off('close', done);
      resolve();
    };
    socket.on('drain', done);
    socket.on('close', done);
  });
}

/** Reads to the end; resolves to length and SHA-256, rejects when the connection breaks. */
export function readAll(socket: net.Socket): Promise<{ bytes: number; sha256: string; text: string }> {
  return new Promise((resolve, reject) => {
    const hash = createHash('sha256');
    let bytes = 0;
    let text = '';
    socket.on('data', (chunk: Buffer) => {
      hash.update(chunk);
      bytes += chunk.length;
      if (bytes <= 4096) text += chunk.toString('latin1');
    });
    socket.once('end', () => resolve({ bytes, sha256: hash.digest('hex'), text }));
    socket.once('error', reject);
    socket.once('close', () => reject(new Error(`closed after ${bytes} bytes without an end`)));
  });
}

/** One short exchange on a connection of its own: sends the text, ends, reads the answer to its end. */
export async function exchange(address: string, text: string): Promise<string> {
  const socket = await dial(address);
  const answer = readAll(socket);
  socket.end(text);
  const { text: got } = await answer;
  socket.destroy();
  return got;
}

/** Runs `count` jobs, at most `width` at a time. */
export async function pool(count: number, width: number, job: (index: number) => Promise<void>): Promise<void> {
  let next = 0;
  await Promise.all(
    Array.from({ length: Math.min(width, count) }, async () => {
      while (next < count) await job(next++);
    }),
  );
}
