/** From a host name to a connected socket: looked up anew each time, addresses raced as in RFC 8305 §5. */
import { lookup } from 'node:dns/promises';
import { connect, isIP, type Socket } from 'node:net';
import type { Timer, Timers } from '../../protocol/clock.js';
import { WarrenError } from '../../protocol/errors.js';
import { formatHostPort } from './address.js';
import { readingLent } from './reading.js';
import { reasonOf } from './reasons.js';

/** An attempt that has not come to an end after this time gets company of the next address, ms (RFC 8305 §8). */
export const NEXT_ADDRESS_MS = 250;
/** Addresses of one name that are tried. */
export const ADDRESSES_MAX = 8;

/** @returns IP addresses, families taking turns, at most ADDRESSES_MAX. @throws WarrenError `unreachable` */
export async function resolveHost(host: string, signal: AbortSignal): Promise<readonly string[]> {
  if (isIP(host) !== 0) return [host];
  try {
    const found = await untilAborted(lookup(host, { all: true, verbatim: true }), signal);
    const first = found[0]?.family;
    const same = found.filter(entry => entry.family === first);
    const other = found.filter(entry => entry.family !== first);
    const turns = same.flatMap((entry, i) => [entry, ...other.slice(i, i + 1)]).concat(other.slice(same.length));
    return turns.slice(0, ADDRESSES_MAX).map(entry => entry.address);
  } catch (error) {
    if (signal.aborted) throw error;
    throw new WarrenError('unreachable', `${host} cannot be looked up: ${reasonOf(error)}.`, { cause: error });
  }
}

/**
 * The first connection that stands; the others are closed.
 * @param addresses IP addresses, at least one
 * @throws WarrenError `unreachable` when all fail; the signal's reason when it is aborted
 */
export async function connectAny(
  addresses: readonly string[],
  port: number,
  timers: Timers,
  signal: AbortSignal,
): Promise<Socket> {
  return new Promise<Socket>((resolve, reject) => {
    const race = new Race(addresses, port, timers, resolve, reject);
    if (signal.aborted) race.lose(signal.reason);
    else race.start(signal);
  });
}

class Race {
  private readonly running = new Set<Socket>();
  private next = 0;
  private over = false;
  private pace: Timer | undefined;
  private stopListening: () => void = () => undefined;

  constructor(
    private readonly addresses: readonly string[],
    private readonly port: number,
    private readonly timers: Timers,
    private readonly resolve: (socket: Socket) => void,
    private readonly reject: (error: unknown) => void,
  ) {}

  start(signal: AbortSignal): void {
    const aborted = (): void => this.lose(signal.reason);
    signal.addEventListener('abort', aborted);
    this.stopListening = () => signal.removeEventListener('abort', aborted);
    this.tryNext();
  }

  lose(error: unknown): void {
    this.end(undefined);
    this.reject(error);
  }

  private tryNext(): void {
    this.pace?.cancel();
    const host = this.addresses[this.next++];
    if (host === undefined) return;
    const socket = readingLent(onread => connect({ ...onread, host, port: this.port, noDelay: true }));
    this.running.add(socket);
    socket.once('connect', () => this.win(socket));
    socket.once('error', error => this.failed(socket, host, error));
    if (this.next < this.addresses.length) this.pace = this.timers.after(NEXT_ADDRESS_MS, () => this.tryNext());
  }

  private win(socket: Socket): void {
    // Until the new owner listens, an error must not go unheard.
    socket.on('error', () => undefined);
    this.end(socket);
    this.resolve(socket);
  }

  private failed(socket: Socket, host: string, error: Error): void {
    this.running.delete(socket);
    if (this.over) return;
    if (this.next < this.addresses.length) this.tryNext();
    else if (this.running.size === 0) {
      const name = formatHostPort(host, this.port);
      this.lose(new WarrenError('unreachable', `${name} cannot be reached: ${reasonOf(error)}.`, { cause: error }));
    }
  }

  private end(winner: Socket | undefined): void {
    this.over = true;
    this.pace?.cancel();
    this.stopListening();
    for (const socket of this.running) {
      if (socket === winner) continue;
      socket.on('error', () => undefined);
      socket.destroy();
    }
  }
}

/** What cannot be taken back is at least not waited for. */
async function untilAborted<T>(promise: Promise<T>, signal: AbortSignal): Promise<T> {
  signal.throwIfAborted();
  let aborted: () => void = () => undefined;
  const stop = new Promise<never>((_, reject) => {
    aborted = () => reject(signal.reason as Error);
    signal.addEventListener('abort', aborted);
  });
  try {
    return await Promise.race([promise, stop]);
  } finally {
    signal.removeEventListener('abort', aborted);
  }
}
