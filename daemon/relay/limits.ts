/** The limits of the relay room. The config file's own limits (daemon/config/limits.ts) go before the first three. */

const MIB = 1024 * 1024;

/** Links of other members that run through this node at a time. */
export const MAX_RELAYED = 256;

/** ... of which one member is either end. */
export const MAX_RELAYED_PER_PEER = 32;

/**
 * Bytes per second that are relayed from one member, all its relayed links together. Beyond, its credit comes late; a
 * single stream may go past it by no more than its window.
 */
export const RELAY_BYTES_PER_SECOND = 64 * MIB;

/** Relayed links to this node whose handshake is not done. */
export const MAX_RELAYED_OPENINGS = 64;

/** ... that one relay brings from one origin, as it says. */
export const MAX_RELAYED_OPENINGS_PER_ORIGIN = 4;

/** From the request to a relay to the finished handshake with the target, ms. */
export const RELAY_DIAL_MS = 10_000;

/** What the rate leaves unsaid: a member that was quiet may send as much as this lasts, ms. */
export const RELAY_PACE_BURST_MS = 250;
