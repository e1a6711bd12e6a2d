/** The limits that the config file may set, each with its range. Their defaults are those of the rooms they bound. */
import { DEFAULT_LIMITS as LINKS, MAX_REKEY_BYTES, MIN_REKEY_BYTES } from '../../protocol/limits.js';
import { LINK_MS } from '../peers/link-age.js';
import { MAX_RELAYED, MAX_RELAYED_PER_PEER, RELAY_BYTES_PER_SECOND } from '../relay/limits.js';
import { TARGET_DIAL_MS } from '../services/limits.js';
import { GUARD_LIMITS } from '../transport/guard.js';

const KIB = 1024;
const MIB = 1024 * KIB;

interface LimitRule {
  readonly min: number;
  readonly max: number;
  readonly value: number;
  /** bytes may be written as `64 KiB`, `16 MiB`, `1 GiB` too */
  readonly unit: 'bytes' | 'seconds' | 'count' | 'perSecond';
}

export const LIMIT_RULES = {
  /** unconsumed credit and bytes kept for resending, all peers together */
  processBytes: { value: LINKS.receive.process, min: 16 * MIB, max: 64 * KIB * MIB, unit: 'bytes' },
  /** the same for one peer */
  peerBytes: { value: LINKS.receive.peer, min: 4 * MIB, max: 64 * KIB * MIB, unit: 'bytes' },
  /** the same for one stream */
  streamBytes: { value: LINKS.receive.stream, min: 64 * KIB, max: KIB * MIB, unit: 'bytes' },
  streamsPerPeer: { value: LINKS.session.streams, min: 1, max: 65_536, unit: 'count' },
  opensPerSecond: { value: LINKS.rates.opens.perSecond, min: 1, max: 1_000_000, unit: 'perSecond' },
  /** how long a session without a link keeps its streams */
  graceSeconds: { value: LINKS.session.graceMs / 1000, min: 1, max: 3600, unit: 'seconds' },
  /** what this node sends on a link is rekeyed after so many bytes */
  rekeyBytes: { value: MAX_REKEY_BYTES, min: MIN_REKEY_BYTES, max: MAX_REKEY_BYTES, unit: 'bytes' },
  /** a dialed link is replaced after about so long */
  linkSeconds: { value: LINK_MS / 1000, min: 1, max: 86_400, unit: 'seconds' },
  /** half-open handshakes, all sources together */
  halfOpen: { value: GUARD_LIMITS.total, min: 8, max: 65_536, unit: 'count' },
  /** half-open handshakes of one IPv4 address or IPv6 /64 */
  halfOpenPerSource: { value: GUARD_LIMITS.perSource, min: 1, max: 65_536, unit: 'count' },
  /** from the accepted connection to the finished handshake */
  handshakeSeconds: { value: GUARD_LIMITS.deadlineMs / 1000, min: 1, max: 120, unit: 'seconds' },
  /** links between other members that this node relays at a time */
  relayedLinks: { value: MAX_RELAYED, min: 1, max: 65_536, unit: 'count' },
  /** of these, those of which one member is either end */
  relayedLinksPerPeer: { value: MAX_RELAYED_PER_PEER, min: 1, max: 65_536, unit: 'count' },
  /** what is relayed from one member in a second */
  relayedBytesPerSecond: { value: RELAY_BYTES_PER_SECOND, min: 16 * KIB, max: 64 * KIB * MIB, unit: 'bytes' },
  /** how long the exposing side waits for a service's target */
  targetDialSeconds: { value: TARGET_DIAL_MS / 1000, min: 1, max: 300, unit: 'seconds' },
  /** how long SIGTERM waits for open streams */
  drainSeconds: { value: 10, min: 0, max: 3600, unit: 'seconds' },
} as const satisfies Readonly<Record<string, LimitRule>>;

export type LimitName = keyof typeof LIMIT_RULES;
export type Limits = Readonly<Record<LimitName, number>>;

export const DEFAULT_LIMITS: Limits = Object.freeze(
  Object.fromEntries(Object.entries(LIMIT_RULES).map(([name, rule]) => [name, rule.value])) as Record<
    LimitName,
    number
  >,
);

const SIZE = /^(\d{1,9})\s*(KiB|MiB|GiB)$/;
const SIZE_UNITS: Readonly<Record<string, number>> = { KiB: KIB, MiB: MIB, GiB: KIB * MIB };

/** @returns the number, or what it must be instead, in words */
export function parseLimit(name: LimitName, value: unknown): number | string {
  const rule: LimitRule = LIMIT_RULES[name];
  const number = rule.unit === 'bytes' && typeof value === 'string' ? parseSize(value) : value;
  if (typeof number === 'number' && Number.isInteger(number) && number >= rule.min && number <= rule.max) return number;
  const unit = {
    bytes: ' bytes (64 KiB, 16 MiB, 1 GiB may be written)',
    seconds: ' seconds',
    count: '',
    perSecond: ' per second',
  };
  return `a whole number from ${rule.min} to ${rule.max}${unit[rule.unit]}`;
}

function parseSize(text: string): number | undefined {
  const [, digits, unit] = SIZE.exec(text) ?? [];
  return digits === undefined || unit === undefined ? undefined : Number(digits) * SIZE_UNITS[unit]!;
}
