/** Addresses of which nobody knows whose they are: those of the config file, and those that mDNS finds. */
import type { Timer, Timers } from '../../protocol/clock.js';
import { errorFields, type Log } from '../observe/log.js';
import type { Peer } from './peer.js';

/** The addresses of the config file are tried again this often, ms. */
const STRAY_RETRY_MS = 30_000;
/** Unknown addresses that are being tried at a time. */
const MAX_STRAY_DIALS = 16;

export interface StraysOptions {
  readonly timers: Timers;
  readonly log: Log;
  /** true when a link to whoever is there is up */
  readonly isConnected: (address: string) => boolean;
  readonly dial: (address: string) => Promise<Peer>;
}

export class Strays {
  private readonly dialing = new Set<string>();
  private fixed: readonly string[] = [];
  private retry: Timer | undefined;
  private stopped = false;

  constructor(private readonly options: StraysOptions) {}

  /** @param addresses of the config file, dialed whoever is there */
  setFixed(addresses: readonly string[]): void {
    this.fixed = addresses;
    this.retryFixed();
  }

  /** The addresses of the config file, now. */
  retryFixed(): void {
    this.retry?.cancel();
    if (this.stopped || this.fixed.length === 0) return;
    for (const address of this.fixed) this.try(address);
    this.retry = this.options.timers.after(STRAY_RETRY_MS, () => this.retryFixed());
  }

  /** An address of some node of this network: worth a dial unless a link to it is up. */
  try(address: string): void {
    const { log, isConnected, dial } = this.options;
    if (this.stopped || this.dialing.has(address) || this.dialing.size >= MAX_STRAY_DIALS) return;
    if (isConnected(address)) return;
    this.dialing.add(address);
    dial(address)
      .then(peer => peer.learn(address))
      .catch((error: unknown) => log.debug('dial-failed', { address, ...errorFields(error) }, 'dialing failed'))
      .finally(() => this.dialing.delete(address));
  }

  stop(): void {
    this.stopped = true;
    this.retry?.cancel();
  }
}
