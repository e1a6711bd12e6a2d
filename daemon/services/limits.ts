/** The limits of the services room. The config file's own limits (daemon/config/limits.ts) go before these defaults. */

const KIB = 1024;

/** Services that one node exposes: as many as a registry record may name. */
export const MAX_SERVICES = 64;

/** Entries of one service's allow or deny list. */
export const MAX_RULE_ENTRIES = 256;

/** Connections that one exposed service carries at a time, all callers together; more are reset with `limit`. */
export const MAX_CONNECTIONS_PER_SERVICE = 8192;

/** Local connections that one tunnel carries at a time; more are reset and counted as failed. */
export const MAX_CONNECTIONS_PER_TUNNEL = 8192;

/** How long the exposing side waits for its target to take a connection, ms. */
export const TARGET_DIAL_MS = 5_000;

/**
 * Bytes that a local connection may send before its stream is answered. They are kept until then, so that the next
 * instance can have them when the first one refuses; one read of the socket may go beyond.
 */
export const EARLY_KEEP_BYTES = 64 * KIB;

/** Instances that are tried for one connection. */
export const MAX_ATTEMPTS = 8;

/** Bytes under way between a tunnel and a service of the same daemon before the writer has to wait. */
export const LOCAL_WINDOW_BYTES = 256 * KIB;

/**
 * Connections that the kernel keeps for a tunnel until they are accepted (it may cap this at somaxconn). Node's 511 is
 * too few for a client that opens thousands at once: what overflows looks connected to the client and hangs for seconds.
 */
export const LISTEN_BACKLOG = 4096;

/** Pause before a tunnel whose listener could not be bound tries again, ms. */
export const LISTEN_RETRY_MS = 5_000;

/** How long an existing socket file may take to answer before it counts as alive, ms. */
export const SOCKET_PROBE_MS = 1_000;

/** How long an answered stream waits for the connection that is to carry it, ms. */
export const CARRIER_WAIT_MS = 10_000;

/** At most one log line per kind, service and caller in this time, ms; the next one tells how many were left out. */
export const LOG_PAUSE_MS = 10_000;

/** Callers that the log's pauses remember; beyond, all are forgotten at once. */
export const LOG_PAUSE_ENTRIES = 1024;

/** How many ends of `nc` connections are kept for those who ask; they ask at once. */
export const ENDS_KEPT = 1024;
