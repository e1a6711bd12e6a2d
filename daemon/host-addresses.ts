/**
 * Notices when this host's own addresses change: a cable, another wireless network, a sleep. No event tells that on
 * every system, so the interfaces are read twice a second, which takes a tenth of a millisecond.
 */
import { networkInterfaces, type NetworkInterfaceInfo } from 'node:os';
import type { Timer, Timers } from '../protocol/clock.js';

/** The interfaces are read this often, ms. */
export const HOST_POLL_MS = 500;

export interface HostAddressesOptions {
  readonly timers: Timers;
  /** default: what the operating system says */
  readonly read?: () => NodeJS.Dict<NetworkInterfaceInfo[]>;
  /** @param isHere whether an address, without port and zone, is one of this host's now */
  readonly onChange: (isHere: (address: string) => boolean) => void;
}

export class HostAddresses {
  private known: ReadonlySet<string> = new Set();
  private poll: Timer | undefined;

  constructor(private readonly options: HostAddressesOptions) {}

  start(): void {
    this.known = this.read() ?? this.known;
    this.next();
  }

  stop(): void {
    this.poll?.cancel();
  }

  private next(): void {
    this.poll = this.options.timers.after(HOST_POLL_MS, () => {
      this.next();
      this.look();
    });
  }

  private look(): void {
    const now = this.read();
    if (now === undefined || (now.size === this.known.size && [...now].every(address => this.known.has(address))))
      return;
    this.known = now;
    this.options.onChange(address => now.has(address.toLowerCase()));
  }

  /** @returns undefined when the system does not say */
  private read(): ReadonlySet<string> | undefined {
    try {
      const all = Object.values((this.options.read ?? networkInterfaces)());
      return new Set(all.flatMap(list => (list ?? []).map(({ address }) => address.toLowerCase().replace(/%.*$/, ''))));
    } catch {
      return undefined;
    }
  }
}
