/** Dials one address of a member with the network's secret. */
import type { Timers } from '../../protocol/clock.js';
import type { AeadName } from '../../protocol/crypto/primitives.js';
import type { NodeId } from '../../protocol/identity/node-id.js';
import type { Log } from '../observe/log.js';
import { dial, type DialOptions, type ProxyChooser } from '../transport/dial.js';
import type { DialTls } from '../transport/tls.js';
import type { NewLink } from '../transport/transport.js';
import type { Network } from './network.js';

export interface MemberDialOptions {
  readonly network: Network;
  readonly timers: Timers;
  readonly log: Log;
  /** the suite that this node picks when it dials */
  readonly suite: () => AeadName;
  readonly tls?: DialTls;
  /** asked at each dial, since the config may change it */
  readonly proxy?: ProxyChooser;
  /** for tests in virtual time; default: over TCP and WebSocket */
  readonly dial?: (options: DialOptions) => Promise<NewLink>;
}

export interface DialWish {
  /** the only node that will do */
  readonly expect?: NodeId;
  readonly signal?: AbortSignal;
  /** rounds that have failed in a row: now and then an older secret is tried */
  readonly failures?: number;
}

/** @throws WarrenError as `dial` */
export function dialMember(options: MemberDialOptions, address: string, wish: DialWish = {}): Promise<NewLink> {
  const { network, timers, log, suite, tls, proxy } = options;
  const { failures = 0, ...rest } = wish;
  return (options.dial ?? dial)({
    address,
    context: network.context(),
    psk: network.pskFor(failures),
    suite: suite(),
    timers,
    log,
    ...rest,
    ...(tls !== undefined && { tls }),
    ...(proxy !== undefined && { proxy }),
  });
}
