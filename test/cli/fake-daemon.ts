/** A daemon that is only its admin API: canned replies on a unix socket, and a record of what was asked. */
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import type { Socket } from 'node:net';
import { join } from 'node:path';
import { ADMIN_SOCKET, HTTP_STATUS, PATHS, type ErrorReply } from '../../protocol/admin/contract.js';
import type { ErrorCode } from '../../protocol/errors.js';
import { temporaryFolder } from './run-cli.js';
import * as samples from './samples.js';

export interface Asked {
  /** `POST /v1/invites` */
  readonly line: string;
  readonly body: unknown;
}

type Answer = object | ((request: IncomingMessage, response: ServerResponse) => void);

export class FakeDaemon {
  readonly asked: Asked[] = [];
  readonly home: string;
  readonly #answers = new Map<string, Answer>();
  readonly #server: Server;
  readonly #sockets = new Set<Socket>();
  readonly #remove: () => void;
  /** takes an upgraded connection */
  stream: ((socket: Socket, head: Buffer, request: IncomingMessage) => void) | undefined;

  constructor(home?: string) {
    const folder = home === undefined ? temporaryFolder() : { path: home, remove: () => undefined };
    this.home = folder.path;
    this.#remove = folder.remove;
    this.#server = createServer((request, response) => void this.#answer(request, response));
    this.#server.on('connection', socket => {
      this.#sockets.add(socket);
      socket.on('close', () => this.#sockets.delete(socket));
    });
    this.#server.on('upgrade', (request, socket, head) => {
      this.asked.push({ line: `UPGRADE ${request.url}`, body: request.headers.upgrade });
      const raw = socket as Socket;
      raw.on('error', () => undefined);
      if (this.stream === undefined) return void raw.destroy();
      this.stream(raw, head, request);
    });
    for (const [line, reply] of Object.entries(samples.replies)) this.on(line, reply);
  }

  /** What to answer to `GET /v1/…`: a reply, or a function that writes one. */
  on(line: string, answer: Answer): this {
    this.#answers.set(line, answer);
    return this;
  }

  fail(line: string, code: ErrorCode, message: string, hint?: string): this {
    return this.on(line, (_, response) => sendError(response, code, message, hint));
  }

  async start(): Promise<this> {
    await new Promise<void>(resolve => this.#server.listen(join(this.home, ADMIN_SOCKET), resolve));
    return this;
  }

  async stop(): Promise<void> {
    for (const socket of this.#sockets) socket.destroy();
    await new Promise(resolve => this.#server.close(resolve));
    this.#remove();
  }

  async #answer(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const chunks: Buffer[] = [];
    for await (const chunk of request as AsyncIterable<Buffer>) chunks.push(chunk);
    const text = Buffer.concat(chunks).toString();
    const line = `${request.method} ${request.url}`;
    this.asked.push({ line, body: text === '' ? undefined : JSON.parse(text) });
    const answer = this.#answers.get(line);
    if (answer === undefined) sendError(response, 'not-found', `there is no ${line}`);
    else if (typeof answer === 'function')
      (answer as (q: IncomingMessage, r: ServerResponse) => void)(request, response);
    else sendJson(response, 200, answer);
  }
}

export function sendJson(response: ServerResponse, status: number, reply: object): void {
  response.writeHead(status, { 'content-type': 'application/json' });
  response.end(JSON.stringify(reply));
}

export function sendError(response: ServerResponse, code: ErrorCode, message: string, hint?: string): void {
  const reply: ErrorReply = { apiVersion: 1, error: { code, message, hint } };
  sendJson(response, HTTP_STATUS[code] ?? 500, reply);
}

/** The request line of a stream to a service. */
export function streamLine(service: string): string {
  return `UPGRADE ${PATHS.stream.replace(':service', service)}`;
}
