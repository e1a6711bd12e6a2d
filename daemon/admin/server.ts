/**
 * The admin API's server: HTTP/1.1 on a unix socket that only its user can connect to.
 *
 * A request goes: find the route → read the body (bounded) → JSON → check → ask the daemon → reply. Whatever goes wrong
 * on the way is an ErrorReply. GET on the stream path with `Upgrade: warren-stream` leaves HTTP after the daemon has a
 * stream; GET on the logs path keeps writing lines until the client goes.
 */
import * as fs from 'node:fs';
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import type { Socket } from 'node:net';
import type { Duplex } from 'node:stream';
import { ADMIN_MAX_BODY, API_VERSION, type ErrorReply } from '../../protocol/admin/contract.js';
import { WarrenError } from '../../protocol/errors.js';
import { codeOf } from '../home/atomic.js';
import { listenPrivate } from '../home/socket.js';
import { errorFields, type Log } from '../observe/log.js';
import type { AdminApi, StreamCarrier } from './api.js';
import { closeGently } from './close.js';
import { serveLogs } from './logs.js';
import { badRequest, notFound, RequestProblem, statusOf, tooLarge, toErrorReply, wrongMethod } from './problems.js';
import { METHODS, routeFinder, type Found } from './routes.js';
import { Turns } from './turns.js';
import { checkLogsQuery, checkService } from './validate.js';

export interface AdminServerOptions {
  /** where the socket goes; its folder is the home, which this process has locked */
  readonly path: string;
  readonly api: AdminApi;
  readonly log: Log;
  /** shared with whatever else changes the daemon */
  readonly turns?: Turns;
}

export interface AdminServer {
  /** connections now, upgraded ones included */
  readonly connections: number;
  /** Takes no new request, lets those under way finish for `ms`, then ends what is left; removes the socket. */
  close(ms: number): Promise<void>;
}

/** The protocol word of an upgraded stream. */
export const STREAM_PROTOCOL = 'warren-stream';

const MAX_CONNECTIONS = 4096;
const MAX_HEADER_BYTES = 16 * 1024;
const HEADERS_TIMEOUT_MS = 10_000;
const REQUEST_TIMEOUT_MS = 30_000;
const KEEP_ALIVE_MS = 5_000;

/** @throws WarrenError `home` when something that is no socket is in the way, or the socket cannot be bound */
export async function serveAdmin(options: AdminServerOptions): Promise<AdminServer> {
  const { path } = options;
  removeStale(path);
  const service = new AdminService(options);
  const server = createServer(
    {
      maxHeaderSize: MAX_HEADER_BYTES,
      headersTimeout: HEADERS_TIMEOUT_MS,
      requestTimeout: REQUEST_TIMEOUT_MS,
      keepAliveTimeout: KEEP_ALIVE_MS,
    },
    (request, response) => void service.answer(request, response),
  );
  server.maxConnections = MAX_CONNECTIONS;
  server.on('upgrade', (request, socket, head) => void service.upgrade(request, socket, head));
  server.on('clientError', (_error, socket) => refuseRaw(socket, badRequest('this is no HTTP request')));
  const sockets = trackSockets(server);
  try {
    await listenPrivate(server, path);
  } catch (error) {
    throw new WarrenError('home', `the admin socket ${path} cannot be bound: ${codeOf(error)}`, {
      hint: 'use a home on a local file system: --home DIR',
      cause: error,
    });
  }
  return {
    get connections() {
      return sockets.size;
    },
    close: async ms => {
      service.endFollowers();
      await closeGently(server, sockets, ms);
    },
  };
}

/** The holder of the home's lock knows that nobody listens there any more. */
function removeStale(path: string): void {
  if (process.platform === 'win32') return;
  const stats = fs.lstatSync(path, { throwIfNoEntry: false });
  if (stats === undefined) return;
  if (!stats.isSocket()) {
    throw new WarrenError('home', `${path} is in the way of the admin socket`, {
      hint: `move it away: it is no socket`,
    });
  }
  fs.rmSync(path, { force: true });
}

function trackSockets(server: Server): ReadonlySet<Socket> {
  const sockets = new Set<Socket>();
  server.on('connection', (socket: Socket) => {
    sockets.add(socket);
    socket.once('close', () => sockets.delete(socket));
  });
  return sockets;
}

class AdminService {
  private readonly find = routeFinder();
  private readonly turns: Turns;
  private readonly followers = new Set<() => void>();

  constructor(private readonly options: AdminServerOptions) {
    this.turns = options.turns ?? new Turns();
  }

  /** Ends `logs --follow`, which would never end by itself. */
  endFollowers(): void {
    for (const end of [...this.followers]) end();
  }

  async answer(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const gone = new AbortController();
    response.once('close', () => gone.abort());
    response.on('error', () => undefined);
    try {
      const found = this.route(request);
      if (found.route.kind === 'stream') {
        throw new RequestProblem(
          426,
          'usage',
          'a stream needs an upgraded connection',
          `send Upgrade: ${STREAM_PROTOCOL}`,
        );
      }
      if (found.route.kind === 'logs') return this.logs(request, response);
      const body = await readBody(request);
      const work = async (): Promise<object> =>
        found.route.work(this.options.api, found.parameter, body, { signal: gone.signal });
      const reply = found.route.changes ? await this.turns.run(work) : await work();
      sendJson(response, 200, { apiVersion: API_VERSION, ...reply });
    } catch (error) {
      this.fail(request, response, error);
    }
  }

  /** The daemon has the stream before the client hears 101, so that every failure can still be told. */
  async upgrade(request: IncomingMessage, socket: Duplex, head: Buffer): Promise<void> {
    const gone = new AbortController();
    socket.on('error', () => undefined);
    socket.once('close', () => gone.abort());
    try {
      const { route, parameter } = this.route(request);
      const protocol = request.headers.upgrade?.toLowerCase();
      if (route.kind !== 'stream' || protocol !== STREAM_PROTOCOL) throw badRequest('this path has no such upgrade');
      const carry = await this.options.api.openStream(checkService(parameter), { signal: gone.signal });
      if (socket.destroyed) return;
      const id = carry.id === undefined ? '' : `Warren-Stream: ${carry.id}\r\n`;
      const head101 = `HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: ${STREAM_PROTOCOL}\r\n${id}`;
      socket.write(`${head101}\r\n`);
      if (head.length > 0) socket.unshift(head);
      this.handOver(request, socket, carry);
    } catch (error) {
      this.note(request, error);
      refuseRaw(socket, error);
    }
  }

  /** After the 101 the connection carries the service's bytes: an error can only end it. */
  private handOver(request: IncomingMessage, socket: Duplex, carry: StreamCarrier): void {
    try {
      carry(socket);
    } catch (error) {
      this.note(request, error);
      socket.destroy();
    }
  }

  private logs(request: IncomingMessage, response: ServerResponse): void {
    const query = checkLogsQuery(new URL(request.url ?? '/', 'http://warren').searchParams);
    const end = serveLogs(response, this.options.api.logs, query);
    if (end === undefined) return;
    this.followers.add(end);
    response.once('close', () => this.followers.delete(end));
  }

  private route(request: IncomingMessage): Found {
    const path = request.url ?? '/';
    const method = request.method ?? '';
    const found = this.find(method, path);
    if (found !== undefined) return found;
    const others = METHODS.filter(other => this.find(other, path) !== undefined);
    throw others.length > 0 ? wrongMethod(method, others) : notFound(path);
  }

  private fail(request: IncomingMessage, response: ServerResponse, error: unknown): void {
    this.note(request, error);
    if (response.headersSent) {
      response.destroy();
      return;
    }
    if (error instanceof RequestProblem) {
      if (error.allow !== undefined) response.setHeader('Allow', error.allow);
      // what is left of the request is not read
      if (!request.complete) response.setHeader('Connection', 'close');
    }
    sendJson(response, statusOf(error), toErrorReply(error));
  }

  /** What a client did wrong is its own business; what went wrong in here is logged. */
  private note(request: IncomingMessage, error: unknown): void {
    if (error instanceof WarrenError && error.code !== 'internal') return;
    const fields = { method: request.method, path: request.url?.split('?')[0], ...errorFields(error) };
    this.options.log.error('admin-failed', fields, 'a request to the admin API failed inside the daemon');
  }
}

/** @returns the parsed body, {} when there is none. @throws RequestProblem */
async function readBody(request: IncomingMessage): Promise<unknown> {
  if (Number(request.headers['content-length'] ?? 0) > ADMIN_MAX_BODY) throw tooLarge();
  const chunks: Buffer[] = [];
  let length = 0;
  for await (const chunk of request.iterator({ destroyOnReturn: false }) as AsyncIterable<Buffer>) {
    length += chunk.length;
    if (length > ADMIN_MAX_BODY) throw tooLarge();
    chunks.push(chunk);
  }
  if (length === 0) return {};
  const type = request.headers['content-type']?.split(';')[0]?.trim().toLowerCase();
  if (type !== 'application/json') {
    throw new RequestProblem(
      415,
      'usage',
      'the request body is not declared as JSON',
      'send Content-Type: application/json',
    );
  }
  return parseJson(Buffer.concat(chunks));
}

function parseJson(bytes: Buffer): unknown {
  try {
    return JSON.parse(new TextDecoder('utf-8', { fatal: true }).decode(bytes));
  } catch {
    throw badRequest('the request body is not JSON');
  }
}

function sendJson(response: ServerResponse, status: number, body: object): void {
  const text = `${JSON.stringify(body)}\n`;
  response.writeHead(status, {
    'Content-Type': 'application/json',
    'Content-Length': Buffer.byteLength(text),
    'Cache-Control': 'no-store',
  });
  response.end(text);
}

/** An error reply on a connection that HTTP has let go of. */
function refuseRaw(socket: Duplex, error: unknown): void {
  if (socket.destroyed || !socket.writable) {
    socket.destroy();
    return;
  }
  const reply: ErrorReply = toErrorReply(error);
  const text = `${JSON.stringify(reply)}\n`;
  const head = [
    `HTTP/1.1 ${statusOf(error)} Refused`,
    'Content-Type: application/json',
    `Content-Length: ${Buffer.byteLength(text)}`,
    'Connection: close',
  ];
  socket.end(`${head.join('\r\n')}\r\n\r\n${text}`, () => socket.destroy());
}
