/**
 * Every number that bounds what a peer, or this process, may use on links and sessions. What is part of the wire format
 * is a constant; what a node chooses for itself is in `Limits`, with defaults, so that tests and the config may change it.
 */

const KiB = 1024;
const MiB = 1024 * KiB;

// ── the wire: the same for every node ──────────────────────────────────────────────────────────────────────────────

/** Plaintext of one record, bytes. */
export const MAX_RECORD_PLAINTEXT = 512 * KiB;
/** CLOSE: bytes of its sentence. */
export const MAX_CLOSE_TEXT = 200;
/** A node rekeys what it sends at the latest after this many bytes of ciphertext, and unless it has said otherwise. */
export const MAX_REKEY_BYTES = 2 ** 35;
/** The least that a node may ask its peer to follow, bytes. */
export const MIN_REKEY_BYTES = 1 * MiB;
/** A direction is rekeyed after this many records, whatever their size. */
export const REKEY_RECORDS = 2 ** 22;
/** OPEN: bytes of a service name. */
export const MAX_SERVICE_NAME = 63;
/** OPEN: bytes of a wanted instance (a node ID in text form, or a name). */
export const MAX_INSTANCE = 128;
/** OPEN: bytes of all metadata, keys and values, without their length fields. */
export const MAX_METADATA = 4 * KiB;
/** OPEN: entries of metadata. */
export const MAX_METADATA_ENTRIES = 64;
/** OPEN: early-data credit that one open may claim, bytes. */
export const MAX_CLAIM = 64 * KiB;
/** NEWS: bytes of one item. */
export const MAX_NEWS = 64 * KiB;
/** Stream ids are varints of at most 2^53-1; a node whose ids are used up opens no more streams. */
export const MAX_STREAM_ID = Number.MAX_SAFE_INTEGER;
/** Offsets likewise; FIN takes one more. */
export const MAX_OFFSET = Number.MAX_SAFE_INTEGER - 1;
/** Window of a stream of class `relay`, bytes: recovery and speed are the affair of the link inside. */
export const RELAY_WINDOW = 1 * MiB;
/** Out-of-order pieces of one stream that a receiver holds, with gaps between them. */
export const MAX_GAPS = 8;
/** Attaches whose CONFIRM has not come, of one session. */
export const MAX_PENDING_SECRETS = 8;

// ── what a node chooses ────────────────────────────────────────────────────────────────────────────────────────────

/** So many per second, and so many at once. */
export interface Rate {
  readonly perSecond: number;
  readonly burst: number;
}

export interface Limits {
  readonly record: {
    /**
     * A direction is rekeyed after the record with which it has carried this many bytes of ciphertext, unless its sender
     * stated another number in the handshake. Both ends must agree.
     */
    readonly rekeyBytes: number;
    /** ... or this many records. Both ends must agree. */
    readonly rekeyRecords: number;
    /** Plaintext of a record that is worth sealing on its own on a slow link, bytes. */
    readonly smallest: number;
    /** Plaintext of a record on a fast link, bytes. */
    readonly largest: number;
    /** A record shall hold the link for no longer than this, ms: its size follows from the measured rate. */
    readonly holdMs: number;
  };
  readonly link: {
    /** Idle links are pinged this often, ms. */
    readonly pingIdleMs: number;
    /** With data out and no LINKACK for this long, ms, the link is pinged. */
    readonly pingSilentMs: number;
    /** A ping without an answer for this long, ms: the link is dead. */
    readonly pingDeadlineMs: number;
    /** The link looks at its clocks this often, ms. */
    readonly tickMs: number;
    /** A record waits at most this long for its LINKACK, ms. */
    readonly ackDelayMs: number;
    /** Bulk unacknowledged before anything was measured, bytes. */
    readonly bulkStart: number;
    /** Bulk unacknowledged at least, bytes. */
    readonly bulkLeast: number;
    /** Bulk unacknowledged at most, bytes. */
    readonly bulkMost: number;
    /** The round trip is taken as no shorter than this, ms: what an event loop needs to turn around. */
    readonly leastRoundTripMs: number;
    /** Bytes that the transport has not handed to the kernel, above which no bulk is added. */
    readonly highWater: number;
    /** ... above which no stream data at all is added. */
    readonly fullWater: number;
    /** ... above which the peer counts as not reading: the link is closed `limit`. */
    readonly unreadAnswers: number;
    /** A link whose streams have moved away closes when all it sent is acknowledged, at most after this, ms. */
    readonly retireMs: number;
  };
  readonly session: {
    /** Links attached to one session at once; a further one is `surplus` while they all answer. */
    readonly links: number;
    /** Links that wait for their attach, of one peer. */
    readonly waitingLinks: number;
    /** The side that does not decide waits this long, ms, for NEW or ATTACH. */
    readonly waitMs: number;
    /** A link older than this, ms, makes way for a new one. */
    readonly replaceAfterMs: number;
    /** The answer to NEW or ATTACH is awaited this long, ms: longer than a ping deadline, which may lie within. */
    readonly attachMs: number;
    /** A link on which an answer is owed for this long, ms, while another one is heard, is in trouble: its streams move. */
    readonly troubleMs: number;
    /** The same when the peer has given the link up already. */
    readonly doubtMs: number;
    /** A link that does not answer a ping for this long, ms, makes way when a new one is there. */
    readonly probeMs: number;
    /** A session without a link keeps its streams this long, ms. */
    readonly graceMs: number;
    /** Streams of one session. */
    readonly streams: number;
    /** NEWS waiting to be sent to one peer, bytes. */
    readonly newsBytes: number;
    /** Progress of a stream is told to the peer after this long, ms, if nothing else tells it before. */
    readonly windowDelayMs: number;
    /** The same, ms, for the end of a stream whose other direction has ended, and for the WINDOW that confirms an end. */
    readonly trailMs: number;
  };
  /** Received and not consumed: the credit granted, bytes. */
  readonly receive: {
    readonly process: number;
    readonly peer: number;
    readonly stream: number;
    /** Credit of a new stream. */
    readonly initial: number;
    /** The least worth granting, unless it is all there is. */
    readonly least: number;
    /** Early-data credit outstanding for opens. */
    readonly pool: number;
  };
  /** Written and not yet received by the peer: kept for sending again, bytes. */
  readonly retain: {
    readonly process: number;
    readonly peer: number;
    readonly stream: number;
    /** What a stream may keep that was not even sent. */
    readonly unsent: number;
    /** What a stream may keep whatever the others do. */
    readonly least: number;
  };
  readonly rates: {
    readonly opens: Rate;
    /** Resets in both directions: a peer must not make this node send them either. */
    readonly resets: Rate;
    /** PING from the peer. */
    readonly pings: Rate;
    /** WINDOW, LINKACK, POOL and the like. */
    readonly control: Rate;
    /** Control frames that change nothing, frames for forgotten streams, DATA that was there already. */
    readonly useless: Rate;
    /** DATA without bytes, unknown frames that may be skipped. */
    readonly empty: Rate;
    readonly news: Rate;
  };
}

export const DEFAULT_LIMITS: Limits = {
  record: {
    rekeyBytes: MAX_REKEY_BYTES,
    rekeyRecords: REKEY_RECORDS,
    smallest: 4 * KiB,
    largest: 512 * KiB,
    holdMs: 2,
  },
  link: {
    pingIdleMs: 15_000,
    pingSilentMs: 1_000,
    pingDeadlineMs: 5_000,
    tickMs: 250,
    ackDelayMs: 20,
    bulkStart: 256 * KiB,
    bulkLeast: 32 * KiB,
    bulkMost: 64 * MiB,
    leastRoundTripMs: 1,
    highWater: 1 * MiB,
    fullWater: 2 * MiB,
    unreadAnswers: 16 * MiB,
    retireMs: 5_000,
  },
  session: {
    links: 2,
    waitingLinks: 4,
    replaceAfterMs: 50 * 60_000,
    attachMs: 10_000,
    waitMs: 60_000,
    troubleMs: 1_000,
    doubtMs: 100,
    probeMs: 1_000,
    graceMs: 2 * 60_000,
    streams: 2_048,
    newsBytes: 32 * MiB,
    windowDelayMs: 500,
    trailMs: 2,
  },
  receive: {
    process: 256 * MiB,
    peer: 128 * MiB,
    stream: 16 * MiB,
    initial: 64 * KiB,
    least: 4 * KiB,
    pool: 4 * MiB,
  },
  retain: { process: 256 * MiB, peer: 128 * MiB, stream: 32 * MiB, unsent: 512 * KiB, least: 64 * KiB },
  rates: {
    opens: { perSecond: 10_000, burst: 20_000 },
    resets: { perSecond: 2_000, burst: 10_000 },
    pings: { perSecond: 20, burst: 100 },
    control: { perSecond: 100_000, burst: 200_000 },
    useless: { perSecond: 10_000, burst: 50_000 },
    empty: { perSecond: 100, burst: 1_000 },
    news: { perSecond: 1_000, burst: 20_000 },
  },
};

/** The defaults with some entries of some groups replaced. */
export function limitsWith(changes: { readonly [G in keyof Limits]?: Partial<Limits[G]> }): Limits {
  return {
    record: { ...DEFAULT_LIMITS.record, ...changes.record },
    link: { ...DEFAULT_LIMITS.link, ...changes.link },
    session: { ...DEFAULT_LIMITS.session, ...changes.session },
    receive: { ...DEFAULT_LIMITS.receive, ...changes.receive },
    retain: { ...DEFAULT_LIMITS.retain, ...changes.retain },
    rates: { ...DEFAULT_LIMITS.rates, ...changes.rates },
  };
}

/** A token bucket on an injected clock. */
export class RateLimit {
  private tokens: number;
  private at: number;

  /** @param now ms, monotonic */
  constructor(
    private readonly rate: Rate,
    now: number,
  ) {
    this.tokens = rate.burst;
    this.at = now;
  }

  /** Takes `n`; false when there are fewer, and nothing is taken then. */
  take(now: number, n = 1): boolean {
    if (now > this.at) {
      this.tokens = Math.min(this.rate.burst, this.tokens + ((now - this.at) / 1000) * this.rate.perSecond);
      this.at = now;
    }
    if (this.tokens < n) return false;
    this.tokens -= n;
    return true;
  }
}

/** Those of a stream of class `relay`: it is recovered by the link within it, so what is under way in it stays little. */
export function relayLimits({ retain, receive }: Limits): Pick<Limits, 'retain' | 'receive'> {
  return {
    retain: { ...retain, stream: Math.min(retain.stream, RELAY_WINDOW) },
    receive: { ...receive, stream: Math.min(receive.stream, RELAY_WINDOW) },
  };
}
