/** A daemon that only remembers what it was asked, behind a real admin server in a temporary home. */
import { request } from 'node:http';
import { createConnection, type Socket } from 'node:net';
import { join } from 'node:path';
import type { AdminApi, Answer } from '../../../daemon/admin/api.js';
import { serveAdmin, type AdminServer } from '../../../daemon/admin/server.js';
import { createLog } from '../../../daemon/observe/log.js';
import { LogRing } from '../../../daemon/observe/ring.js';
import { WarrenError } from '../../../protocol/errors.js';
import { withFolder } from '../home/temp.js';

export interface FakeDaemon {
  readonly path: string;
  readonly server: AdminServer;
  readonly ring: LogRing;
  /** what was asked, in order: [method, ...arguments] */
  readonly asked: unknown[][];
  /** replaces what methods do */
  readonly behave: Partial<AdminApi>;
  /** lines of the log */
  readonly lines: string[];
}

export interface Reply {
  readonly status: number;
  readonly headers: Readonly<Record<string, string | string[] | undefined>>;
  readonly text: string;
}

/** A reply's JSON; undefined fields for those that it has not. */
export function json(reply: Reply): {
  error?: { code: string; message: string; hint?: string };
  [key: string]: unknown;
} {
  return JSON.parse(reply.text) as ReturnType<typeof json>;
}

const METHODS = [
  ...['status', 'diagnostics', 'peers', 'removePeer', 'ping', 'invite', 'join', 'services', 'expose', 'unexpose'],
  ...['tunnels', 'connect', 'disconnect', 'openStream', 'streamEnd', 'keys', 'keyLog', 'doctor', 'reload', 'shutdown'],
  ...['rotateKeys', 'detachNext', 'revoke', 'settle', 'setRole', 'backup'],
];

export async function withAdmin(body: (daemon: FakeDaemon) => Promise<void>): Promise<void> {
  await withFolder(async folder => {
    const asked: unknown[][] = [];
    const behave: Partial<AdminApi> = {};
    const ring = new LogRing();
    const lines: string[] = [];
    const methods = Object.fromEntries(
      METHODS.map(name => [
        name,
        (...args: unknown[]): unknown => {
          asked.push([name, ...args.filter(arg => !(typeof arg === 'object' && arg !== null && 'signal' in arg))]);
          const own = behave[name as keyof AdminApi] as ((...args: unknown[]) => unknown) | undefined;
          if (own !== undefined) return own(...args);
          if (name === 'openStream') throw new WarrenError('not-found', 'no such service', { hint: 'look' });
          return { done: true } as Answer<{ apiVersion: 1; done: true }>;
        },
      ]),
    );
    const path = join(folder, 'admin.sock');
    const log = createLog({ clock: Date, sinks: [line => void lines.push(line)] });
    const server = await serveAdmin({ path, api: { ...methods, logs: ring } as unknown as AdminApi, log });
    try {
      await body({ path, server, ring, asked, behave, lines });
    } finally {
      await server.close(0);
    }
  });
}

/** @param body an object becomes JSON, a text or bytes go as they are */
export function send(
  path: string,
  method: string,
  url: string,
  body?: unknown,
  headers: Record<string, string> = {},
): Promise<Reply> {
  return new Promise((resolve, reject) => {
    const raw =
      typeof body === 'string' || body instanceof Uint8Array
        ? body
        : body === undefined
          ? undefined
          : JSON.stringify(body);
    const type =
      raw === undefined ? {} : { 'content-type': 'application/json', 'content-length': String(Buffer.byteLength(raw)) };
    const asked = request(
      { socketPath: path, method, path: url, headers: { ...type, ...headers }, agent: false },
      response => {
        let text = '';
        response.setEncoding('utf8');
        response.on('data', (chunk: string) => (text += chunk));
        response.on('end', () => resolve({ status: response.statusCode ?? 0, headers: response.headers, text }));
        response.on('error', reject);
      },
    );
    asked.on('error', reject);
    asked.end(raw);
  });
}

/** A raw connection: what was received is in `text()`, `closed` resolves at its end. */
export function raw(path: string, first: string): { socket: Socket; text: () => string; closed: Promise<void> } {
  const socket = createConnection({ path, allowHalfOpen: true });
  let text = '';
  socket.setEncoding('latin1');
  socket.on('data', (chunk: string) => (text += chunk));
  socket.on('error', () => undefined);
  socket.on('end', () => socket.end());
  socket.write(first);
  return { socket, text: () => text, closed: new Promise(resolve => socket.on('close', () => resolve())) };
}

/** @param ms until it is a failure */
export async function until(check: () => boolean, what: string, ms = 2_000): Promise<void> {
  for (const end = Date.now() + ms; Date.now() < end;) {
    if (check()) return;
    await new Promise(resolve => setTimeout(resolve, 5));
  }
  throw new Error(`waited in vain for ${what}`);
}
