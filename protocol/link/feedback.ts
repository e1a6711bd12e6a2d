/**
 * What a link knows of its path, from its own records and the peer's LINKACKs: round trip, delivery rate, and how much
 * bulk may be unacknowledged so that neither the path idles nor kernel buffers fill up (after BBR, in terms of records).
 *
 *   bulk cap = gain × best recent delivery rate × (shortest recent round trip + what acknowledging adds to it)
 */
import type { Limits } from '../limits.js';
import { DeliveryRate } from './delivery-rate.js';

/** Gain while the rate still grows with the cap, then ever after. */
const STARTUP_GAIN = 2;
const STEADY_GAIN = 1.25;
/** While the round trip is measured anew, so that the queue of the path is empty for a moment. */
const PROBE_GAIN = 0.5;
/** The shortest round trip is measured anew after this time, ms. */
const ROUND_TRIP_MEMORY_MS = 10_000;
const PROBE_LEAST_MS = 20;
/** The path counts as kept full while at least this share of the cap is out. */
const FULL_SHARE = 0.75;
const SMOOTHING = 1 / 8;
/** Record size before anything was measured. */
const FIRST_RECORD_BYTES = 16 * 1024;

/** Records that wait for their LINKACK are kept one by one up to so many; further ones count as one with the last. */
const MOST_FLIGHTS = 16_384;

/** A record that waits for its LINKACK. */
interface Flight {
  record: number;
  bytes: number;
  readonly sentAt: number;
}

export class Feedback {
  /** Bytes in records that wait for their LINKACK. */
  inFlight = 0;
  /** Time of the last LINKACK that acknowledged something, ms. */
  ackedAt = 0;
  /** Smoothed, and the shortest recent, round trip, ms. */
  rttMs: number | null = null;
  /** Smoothed time between two LINKACKs, ms. */
  private ackEveryMs = 0;
  private shortestMs = Number.POSITIVE_INFINITY;
  private shortestAt = 0;
  private probeUntil = 0;

  private readonly flights: Flight[] = [];
  private head = 0;
  private readonly delivery = new DeliveryRate();

  constructor(private readonly limits: Pick<Limits, 'link' | 'record'>) {}

  /** Best recent delivery rate, bytes per ms; 0 before the first measurement. */
  get rate(): number {
    return this.delivery.best;
  }

  /** When the oldest record that waits was sent; undefined when none does. */
  get oldestSentAt(): number | undefined {
    return this.flights[this.head]?.sentAt;
  }

  /** How many bytes of bulk may be unacknowledged now. */
  bulkCap(now: number): number {
    const { bulkStart, bulkLeast, bulkMost, leastRoundTripMs } = this.limits.link;
    if (this.rttMs === null || this.rate === 0) return bulkStart;
    // A record counts as unacknowledged while it is transmitted and while its LINKACK waits for the next one, too.
    const unseenMs = this.ackEveryMs + this.recordSize() / this.rate;
    const product = this.rate * Math.max(this.shortestMs + unseenMs, leastRoundTripMs);
    const gain = now < this.probeUntil ? PROBE_GAIN : this.delivery.isGrowing ? STARTUP_GAIN : STEADY_GAIN;
    const cap = Math.floor(Math.min(bulkMost, Math.max(bulkLeast, gain * product)));
    return this.delivery.hasBeenFull ? cap : Math.max(cap, bulkStart);
  }

  /** Plaintext bytes worth one record: what the link carries in `holdMs`. */
  recordSize(): number {
    const { smallest, largest, holdMs } = this.limits.record;
    const size = Math.max(this.delivery.hasBeenFull ? 0 : FIRST_RECORD_BYTES, this.rate * holdMs);
    return Math.round(Math.min(largest, Math.max(smallest, size)));
  }

  /** A record that the peer will acknowledge was sent. */
  sent(record: number, bytes: number, now: number): void {
    if (this.inFlight === 0) {
      this.ackedAt = now;
      this.delivery.begin(now);
    }
    this.inFlight += bytes;
    if (this.flights.length - this.head < MOST_FLIGHTS) {
      this.flights.push({ record, bytes, sentAt: now });
      return;
    }
    // A peer that holds its acknowledgements back costs no memory with that.
    const last = this.flights.at(-1)!;
    last.record = record;
    last.bytes += bytes;
  }

  /** All that there was to send has gone, and there was room for more. */
  ranDry(now: number): void {
    if (this.inFlight < FULL_SHARE * this.bulkCap(now)) this.delivery.ranDry(this.inFlight);
  }

  /**
   * @param records the peer has received records 0 … records-1
   * @param delayMs how long ago it received the last of them
   */
  acked(records: number, delayMs: number, now: number): void {
    let last: Flight | undefined;
    let bytes = 0;
    while (this.head < this.flights.length && this.flights[this.head]!.record < records) {
      last = this.flights[this.head++]!;
      bytes += last.bytes;
    }
    if (last === undefined) return;
    this.inFlight -= bytes;
    this.compact();
    const sinceLast = Math.min(now - this.ackedAt, this.limits.link.ackDelayMs);
    this.ackEveryMs += SMOOTHING * (sinceLast - this.ackEveryMs);
    this.ackedAt = now;
    if (last.record === records - 1) this.roundTrip(now - last.sentAt - delayMs, now);
    this.delivery.acked(bytes, last.sentAt, now, this.rttMs ?? 0);
  }

  /** A round trip was measured: by LINKACK, or by PING and PONG. */
  roundTrip(ms: number, now: number): void {
    const sample = Math.max(0, ms);
    this.rttMs = this.rttMs === null ? sample : this.rttMs + SMOOTHING * (sample - this.rttMs);
    const isProbing = now < this.probeUntil;
    if (sample <= this.shortestMs) {
      this.shortestMs = sample;
      this.shortestAt = now;
    } else if (!isProbing && now - this.shortestAt > ROUND_TRIP_MEMORY_MS) {
      // Bulk makes way for about two round trips, and the samples of that time start over.
      this.shortestMs = sample;
      this.shortestAt = now;
      this.probeUntil = now + Math.max(PROBE_LEAST_MS, 2 * sample);
    }
  }

  private compact(): void {
    if (this.head < 64 || this.head * 2 < this.flights.length) return;
    this.flights.splice(0, this.head);
    this.head = 0;
  }
}

/**
 * The receiving side: when the next LINKACK is due. Beside data it rides along for nothing; on its own it comes after a
 * quarter of a round trip when much has arrived, after `ackDelayMs` when little has.
 */
export class AckClock {
  /** Bytes in records that the peer wants acknowledged, since the last LINKACK. */
  private bytes = 0;
  private since = 0;
  private lastAt = Number.NEGATIVE_INFINITY;
  lastRecordAt = 0;

  constructor(private readonly limits: Limits['link']) {}

  get isPending(): boolean {
    return this.bytes > 0;
  }

  received(bytes: number, wantsAck: boolean, now: number): void {
    this.lastRecordAt = now;
    if (!wantsAck) return;
    if (this.bytes === 0) this.since = now;
    this.bytes += bytes;
  }

  /** When a LINKACK of its own is due, ms. Only while isPending. */
  dueAt(rttMs: number | null): number {
    const latest = this.since + this.limits.ackDelayMs;
    if (this.bytes < this.limits.bulkLeast / 4) return latest;
    const spacing = Math.min(this.limits.ackDelayMs, Math.max(ACK_SPACING_LEAST_MS, (rttMs ?? 0) / 4));
    return Math.min(latest, this.lastAt + spacing);
  }

  sent(now: number): void {
    this.bytes = 0;
    this.lastAt = now;
  }
}

const ACK_SPACING_LEAST_MS = 1;
