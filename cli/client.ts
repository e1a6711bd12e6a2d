/**
 * The admin API over the unix socket in the home: plain node:http, one connection per request. Replies of 400 and more
 * become WarrenErrors with the daemon's own code, sentence and hint; no answer becomes one that says why.
 */
import { request as httpRequest, type ClientRequest, type IncomingHttpHeaders, type IncomingMessage } from 'node:http';
import { connect, type Socket } from 'node:net';
import { createInterface } from 'node:readline';
import { API_VERSION, type ErrorReply } from '../protocol/admin/contract.js';
import { WarrenError, type ErrorCode } from '../protocol/errors.js';

/** For what the daemon answers from memory or disk. */
const REPLY_TIMEOUT_MS = 15_000;
/** Far above any reply of a daemon at its limits; a larger one is not read into memory. */
const MAX_REPLY_BYTES = 64 * 1024 * 1024;

type Method = 'GET' | 'POST' | 'PUT' | 'DELETE';

export interface CallOptions {
  readonly body?: object;
  /** ms until the whole reply must be there */
  readonly timeoutMs?: number;
}

export interface AdminClientOptions {
  readonly socket: string;
  /** for messages */
  readonly home: string;
  /** the command line that starts the daemon, for the hint */
  readonly start: string;
}

export interface Upgraded {
  readonly socket: Socket;
  readonly head: Buffer;
  readonly headers: IncomingHttpHeaders;
}

/** Fills `:name` segments of one of the contract's PATHS. */
export function fill(path: string, values: Readonly<Record<string, string>>): string {
  return path.replace(/:([a-z]+)/g, (_, name: string) => encodeURIComponent(values[name] ?? ''));
}

export class AdminClient {
  readonly #options: AdminClientOptions;

  constructor(options: AdminClientOptions) {
    this.#options = options;
  }

  async get<Reply>(path: string, options: CallOptions = {}): Promise<Reply> {
    return this.#call<Reply>('GET', path, options);
  }

  async post<Reply>(path: string, body: object, options: CallOptions = {}): Promise<Reply> {
    return this.#call<Reply>('POST', path, { ...options, body });
  }

  async put<Reply>(path: string, body: object, options: CallOptions = {}): Promise<Reply> {
    return this.#call<Reply>('PUT', path, { ...options, body });
  }

  async delete<Reply>(path: string, options: CallOptions = {}): Promise<Reply> {
    return this.#call<Reply>('DELETE', path, options);
  }

  /** The lines of an NDJSON reply as they come; ends when the daemon ends it. */
  async *lines(path: string): AsyncGenerator<string> {
    const request = this.#request('GET', path);
    request.end();
    const response = await this.#response(request, REPLY_TIMEOUT_MS);
    if ((response.statusCode ?? 0) >= 400) throw errorOf(response.statusCode, await readBody(response));
    const reader = createInterface({ input: response, crlfDelay: Infinity });
    let broken: Error | undefined;
    response.on('error', error => {
      broken = error;
      reader.close();
    });
    for await (const line of reader) if (line !== '') yield line;
    if (broken !== undefined) throw this.#failure(broken);
  }

  /**
   * Asks for an upgraded connection: the socket carries the service's bytes from then on, each direction closed on
   * its own. @returns the socket, not yet read from, the first bytes that came with the reply, and the reply's headers
   */
  async upgrade(path: string, protocol: string, timeoutMs: number): Promise<Upgraded> {
    const request = this.#request('GET', path, { connection: 'Upgrade', upgrade: protocol });
    return new Promise((resolve, reject) => {
      const timer = setTimeout(() => request.destroy(timedOut(timeoutMs)), timeoutMs);
      request.on('upgrade', ({ headers }, socket, head) => {
        clearTimeout(timer);
        resolve({ socket: socket as Socket, head, headers });
      });
      request.on('response', response => {
        clearTimeout(timer);
        readBody(response).then(body => reject(errorOf(response.statusCode, body)), reject);
      });
      request.on('error', error => {
        clearTimeout(timer);
        reject(this.#failure(error));
      });
      request.end();
    });
  }

  async #call<Reply>(method: Method, path: string, options: CallOptions): Promise<Reply> {
    const body = options.body === undefined ? undefined : Buffer.from(JSON.stringify(options.body));
    const headers: Record<string, string> =
      body === undefined ? {} : { 'content-type': 'application/json', 'content-length': String(body.length) };
    const request = this.#request(method, path, headers);
    request.end(body);
    const timeoutMs = options.timeoutMs ?? REPLY_TIMEOUT_MS;
    const late = setTimeout(() => request.destroy(timedOut(timeoutMs)), timeoutMs);
    try {
      const response = await this.#response(request, timeoutMs);
      const text = await readBody(response);
      if ((response.statusCode ?? 0) >= 400) throw errorOf(response.statusCode, text);
      return checkReply(text) as Reply;
    } catch (error) {
      throw this.#failure(error);
    } finally {
      clearTimeout(late);
    }
  }

  #request(method: Method, path: string, headers: Record<string, string> = {}): ClientRequest {
    const socketPath = this.#options.socket;
    return httpRequest({
      method,
      path,
      headers,
      // No agent, so one connection per request; an upgraded one must be able to end one direction and go on in the
      // other.
      createConnection: () => connect({ path: socketPath, allowHalfOpen: true }),
    });
  }

  #response(request: ClientRequest, timeoutMs: number): Promise<IncomingMessage> {
    return new Promise((resolve, reject) => {
      const timer = setTimeout(() => request.destroy(timedOut(timeoutMs)), timeoutMs);
      request.on('response', response => {
        clearTimeout(timer);
        resolve(response);
      });
      request.on('error', error => {
        clearTimeout(timer);
        reject(this.#failure(error));
      });
    });
  }

  /** What a failed connection means for the user. */
  #failure(error: unknown): unknown {
    if (error instanceof WarrenError) return error;
    const { home, start } = this.#options;
    switch ((error as NodeJS.ErrnoException).code) {
      case 'ENOENT':
      case 'ECONNREFUSED':
        return new WarrenError('not-running', `no daemon runs on ${home}`, { hint: `start it: ${start}` });
      case 'EACCES':
      case 'EPERM':
        return new WarrenError('home', `the daemon of ${home} belongs to another user`, {
          hint: 'run the command as that user, or name your own home with --home',
        });
      case 'ENOTDIR':
        return new WarrenError('home', `${home} is not a folder`, { hint: 'name another home with --home' });
      case 'ECONNRESET':
      case 'EPIPE':
      case 'ERR_STREAM_PREMATURE_CLOSE':
        return new WarrenError('unreachable', 'the daemon closed the connection before it had answered', {
          hint: 'see `warren logs`; it may be on its way out',
        });
      default:
        return error;
    }
  }
}

function timedOut(timeoutMs: number): WarrenError {
  return new WarrenError('timeout', `the daemon has not answered within ${Math.round(timeoutMs / 1000)} s`, {
    hint: 'see `warren logs`; if it hangs, end it and start it again',
  });
}

async function readBody(response: IncomingMessage): Promise<string> {
  const chunks: Buffer[] = [];
  let bytes = 0;
  for await (const chunk of response as AsyncIterable<Buffer>) {
    bytes += chunk.length;
    if (bytes > MAX_REPLY_BYTES)
      throw new WarrenError('limit', 'the daemon sent a larger reply than this program reads');
    chunks.push(chunk);
  }
  return Buffer.concat(chunks).toString('utf8');
}

/** Parses a reply and checks that it is of the API version that this program knows. */
function checkReply(text: string): object {
  let reply: { apiVersion?: unknown } | null;
  try {
    reply = JSON.parse(text) as { apiVersion?: unknown } | null;
  } catch {
    throw new WarrenError('malformed', 'the daemon sent a reply that is no JSON', {
      hint: 'is another program behind the admin socket?',
    });
  }
  if (reply?.apiVersion !== API_VERSION)
    throw new WarrenError(
      'version',
      `the daemon speaks admin API version ${String(reply?.apiVersion)}, this program ${API_VERSION}`,
      { hint: 'they are of different releases: `warren restart` runs the daemon of this one' },
    );
  return reply;
}

function errorOf(status: number | undefined, text: string): WarrenError {
  let error: Partial<ErrorReply['error']> | undefined;
  try {
    error = (JSON.parse(text) as Partial<ErrorReply> | null)?.error;
  } catch {
    error = undefined;
  }
  if (typeof error?.message !== 'string' || typeof error.code !== 'string')
    return new WarrenError('internal', `the daemon answered with HTTP status ${status ?? 0} and no reason`);
  return new WarrenError(
    fromDaemon(error.code),
    error.message,
    typeof error.hint === 'string' ? { hint: error.hint } : {},
  );
}

/** Usage and "no daemon" are the CLI's own findings; from a daemon they are a refused value. */
function fromDaemon(code: ErrorCode): ErrorCode {
  return code === 'usage' || code === 'not-running' ? 'bad-value' : code;
}
