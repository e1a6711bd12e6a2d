/** Request/response clients that keep their connections and check every answer. */
import { createHash, randomBytes } from 'node:crypto';
import type net from 'node:net';
import { dial } from './traffic.js';

const REQUEST_BYTES = 200;
const ANSWER_BYTES = 32;
/** Between an answer and the next request, ms: drawn up to this. */
const THINK_MS = 50;

function answerTo(request: Uint8Array): Buffer {
  return createHash('sha256').update(request).digest();
}

/** The service: each request of REQUEST_BYTES is answered by its SHA-256. */
export function answering(socket: net.Socket): void {
  let held = Buffer.alloc(0);
  socket.on('data', (chunk: Buffer) => {
    held = Buffer.concat([held, chunk]);
    for (; held.length >= REQUEST_BYTES; held = held.subarray(REQUEST_BYTES)) {
      socket.write(answerTo(held.subarray(0, REQUEST_BYTES)));
    }
  });
  socket.on('end', () => socket.end());
}

/** `count` clients, one connection each, until `stop`. */
export class Askers {
  answers = 0;
  /** the longest that an answer took, ms */
  slowestMs = 0;
  /** what went wrong, one entry for each client that could not go on */
  readonly errors: string[] = [];
  private stopped = false;
  private readonly clients: Promise<void>[];

  private constructor(sockets: readonly net.Socket[]) {
    this.clients = sockets.map((socket, i) =>
      this.client(socket).catch((error: unknown) => void this.errors.push(`client ${i}: ${String(error)}`)),
    );
  }

  static async start(address: string, count: number): Promise<Askers> {
    return new Askers(await Promise.all(Array.from({ length: count }, () => dial(address))));
  }

  private async client(socket: net.Socket): Promise<void> {
    while (!this.stopped) {
      const request = randomBytes(REQUEST_BYTES);
      const asked = performance.now();
      socket.write(request);
      const answer = await take(socket);
      this.slowestMs = Math.max(this.slowestMs, performance.now() - asked);
      if (!answer.equals(answerTo(request))) throw new Error('a wrong answer');
      this.answers++;
      await new Promise(resolve => setTimeout(resolve, Math.random() * THINK_MS));
    }
    socket.end();
  }

  /** Resolves when every client has its last answer. */
  async stop(): Promise<void> {
    this.stopped = true;
    await Promise.all(this.clients);
  }
}

/** One answer, whole and no more. */
function take(socket: net.Socket): Promise<Buffer> {
  return new Promise((resolve, reject) => {
    let held = Buffer.alloc(0);
    const settle = (end: () => void): void => {
      socket.off('data', onData).off('end', onEnd).off('close', onEnd);
      end();
    };
    const onData = (chunk: Buffer): void => {
      held = Buffer.concat([held, chunk]);
      if (held.length > ANSWER_BYTES) settle(() => reject(new Error('more than was asked for')));
      else if (held.length === ANSWER_BYTES) settle(() => resolve(held));
    };
    const onEnd = (): void => settle(() => reject(new Error('the connection ended')));
    socket.on('data', onData).on('end', onEnd).on('close', onEnd);
  });
}
