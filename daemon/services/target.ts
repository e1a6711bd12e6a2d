/** Dialing a service's target: TCP with the name looked up each time, or a unix socket. */
import net from 'node:net';
import type { Code } from '../../protocol/codes.js';
import type { Endpoint } from '../transport/address.js';
import { readingLent } from '../transport/reading.js';
import { dialThin, type LocalSocket } from '../transport/thin-socket.js';

/** Begins to connect; the caller listens for `connect`, `error` and `close`. Half-open, no delay. */
export function dialTarget(target: Endpoint): LocalSocket {
  const thin = target.kind === 'tcp' ? dialThin(target.host, target.port) : undefined;
  if (thin !== undefined) return thin;
  return readingLent(onread =>
    net.connect(
      target.kind === 'unix'
        ? { ...onread, path: target.path, allowHalfOpen: true }
        : { ...onread, host: target.host, port: target.port, allowHalfOpen: true, noDelay: true },
    ),
  );
}

/** Failures after which the target certainly saw no connection, so that another instance may be asked instead. */
const NEVER_REACHED = new Map<string, Code>([
  ['ECONNREFUSED', 'refused'],
  ['ENOENT', 'refused'],
  ['ENOTSOCK', 'refused'],
  ['EACCES', 'refused'],
  ['EPERM', 'refused'],
  ['EAGAIN', 'refused'], // a unix socket whose backlog is full
  ['ENOTFOUND', 'refused'],
  ['EAI_AGAIN', 'refused'],
  ['EADDRNOTAVAIL', 'refused'],
  ['ENETUNREACH', 'refused'],
  ['EHOSTUNREACH', 'refused'],
  ['EMFILE', 'limit'],
  ['ENFILE', 'limit'],
]);

/** What the caller is told when the dial fails with `error`. */
export function dialFailure(error: Error | undefined): { readonly code: Code; readonly dialed: boolean } {
  const code = (error as NodeJS.ErrnoException | undefined)?.code;
  if (code === 'ETIMEDOUT') return { code: 'dial-timeout', dialed: true };
  const told = NEVER_REACHED.get(code ?? '');
  return told === undefined ? { code: 'target-failed', dialed: true } : { code: told, dialed: false };
}
