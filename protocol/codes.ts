/**
 * The one table of u16 codes that RESET, CLOSE and GOAWAY frames carry. Numbers never change meaning; new ones are
 * appended. A code that is not in the table reads as `unknown-code`.
 */
export const CODES = {
  'no-error': 0x00,
  // streams
  denied: 0x01, // the exposing side's policy refused the caller
  'no-service': 0x02, // no such service here
  refused: 0x03, // the target refused the connection
  'dial-timeout': 0x04, // the target did not answer in time
  'target-failed': 0x05, // the target connection broke
  'caller-gone': 0x06, // the local client went away
  'grace-over': 0x07, // the session had no link for longer than the grace time
  'peer-restarted': 0x08,
  draining: 0x09,
  cancelled: 0x0a, // the opening daemon gave the stream up
  'link-lost': 0x0b, // a relay stream ends with the link that carried it
  // links and sessions
  protocol: 0x20, // a rule of docs/protocol.md was broken
  unsupported: 0x21, // an unknown frame that may not be skipped
  limit: 0x22, // a named limit was exceeded
  'flow-control': 0x23, // more data than credit
  surplus: 0x24, // the session has links enough
  'ping-timeout': 0x25,
  'going-away': 0x26, // the daemon stops
  replaced: 0x27, // another link carries the session on
  'duplicate-identity': 0x28, // two hosts run as one node
  'attach-failed': 0x29, // proof of the session secret is wrong
  removed: 0x2a, // removed by `peer remove`
  version: 0x2b,
  // admission
  'not-admitted': 0x40, // no valid grant
  'grant-expired': 0x41,
  revoked: 0x42,
  'key-compromised': 0x43,
  forked: 0x44,
  'invite-used': 0x45,
  'invite-expired': 0x46,
  'invite-unknown': 0x47,
  'name-taken': 0x48,
  'wrong-network': 0x49,
  'wrong-node': 0x4a, // not the node that the dialer wanted
  self: 0x4b, // own identity at the other end
  'clock-skew': 0x4c,
  'key-replaced': 0x4d, // a key that its node has rotated away from
  internal: 0x7f,
  'unknown-code': 0xffff,
} as const;

export type Code = keyof typeof CODES;

const BY_NUMBER = new Map<number, Code>(Object.entries(CODES).map(([name, n]) => [n, name as Code]));

/** @param n u16 from the wire; numbers outside the table give `unknown-code` */
export function codeName(n: number): Code {
  return BY_NUMBER.get(n) ?? 'unknown-code';
}

/** With one of these a link ends alone; with any other its session ends, too. */
export const LINK_ONLY: ReadonlySet<Code> = new Set<Code>([
  'no-error',
  'surplus',
  'ping-timeout',
  'replaced',
  'duplicate-identity',
  'attach-failed',
  'key-compromised',
  'key-replaced',
]);
