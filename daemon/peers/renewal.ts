/**
 * Grants end. From time to time an admin renews those that are half over, and every node lets go whose grant is over:
 * nobody says so when time passes.
 */
import type { Timer, Timers } from '../../protocol/clock.js';
import { errorFields, type Log } from '../observe/log.js';
import type { Network } from './network.js';

/** Grants are looked at this often, ms. */
export const RENEWAL_MS = 10 * 60_000;

export interface RenewalOptions {
  readonly timers: Timers;
  readonly log: Log;
  readonly network: Pick<Network, 'authority'>;
  /** who is a member may have changed */
  readonly onLooked: () => void;
}

export class Renewal {
  private timer: Timer | undefined;

  constructor(private readonly options: RenewalOptions) {}

  /** Looks now, and again and again. */
  start(): void {
    const { timers, log, network, onLooked } = this.options;
    try {
      network.authority.renewGrants();
    } catch (error) {
      log.error('renewal-failed', errorFields(error), 'a grant could not be renewed');
    }
    onLooked();
    this.timer = timers.after(RENEWAL_MS, () => this.start());
  }

  stop(): void {
    this.timer?.cancel();
  }
}
