/** The bulk cap over simulated paths: a bottleneck of a given rate behind a given round trip. */
import { DEFAULT_LIMITS } from '../../../protocol/limits.js';
import { AckClock, Feedback } from '../../../protocol/link/feedback.js';
import { assert, suite } from '../../helpers/suite.js';

const test = suite('link feedback');
const KiB = 1024;

interface Path {
  /** bytes per ms */
  readonly rate: number;
  /** ms there and back */
  readonly rtt: number;
  /** bytes that a token bucket lets through at once after a pause */
  readonly burst?: number;
  /** A lost packet: so often, for so long, nothing is handed over; then all that has come. ms */
  readonly stall?: { readonly every: number; readonly ms: number };
}

interface Outcome {
  readonly feedback: Feedback;
  /** bytes per ms over the second half */
  readonly rate: number;
  /** the longest queue at the bottleneck in the second half, ms */
  readonly queueMs: number;
  /** the highest rate that was believed in the second half, bytes per ms */
  readonly believed: number;
}

/** A sender that always has more to send keeps as much on the path as it may. */
function saturate({ rate, rtt, burst = 0, stall }: Path, ms: number): Outcome {
  const feedback = new Feedback(DEFAULT_LIMITS);
  feedback.roundTrip(rtt, 0);
  const arrivals: { at: number; record: number }[] = [];
  const acks: { at: number; record: number; delay: number }[] = [];
  let [record, freeAt, delivered, queueMs, ackedAt, believed] = [0, 0, 0, 0, 0, 0];
  let waiting: { at: number; record: number } | undefined;
  for (let now = 0; now < ms; now += 0.25) {
    const isStalled = stall !== undefined && now % stall.every < stall.ms;
    while (!isStalled && arrivals[0] !== undefined && arrivals[0].at <= now) waiting = arrivals.shift();
    // The receiver acknowledges all it has every quarter of a round trip.
    if (waiting !== undefined && now - ackedAt >= Math.min(20, rtt / 4)) {
      acks.push({ at: now + rtt / 2, record: waiting.record, delay: now - waiting.at });
      waiting = undefined;
      ackedAt = now;
    }
    while (acks[0] !== undefined && acks[0].at <= now) {
      const ack = acks.shift()!;
      feedback.acked(ack.record + 1, ack.delay, now);
    }
    while (feedback.inFlight < feedback.bulkCap(now)) {
      const bytes = Math.min(feedback.recordSize(), feedback.bulkCap(now) - feedback.inFlight + 1);
      feedback.sent(record, bytes, now);
      freeAt = Math.max(freeAt, now - burst / rate) + bytes / rate;
      arrivals.push({ at: Math.max(freeAt, now) + rtt / 2, record: record++ });
      if (now > ms / 2) {
        delivered += bytes;
        queueMs = Math.max(queueMs, freeAt - now);
      }
    }
    if (now > ms / 2) believed = Math.max(believed, feedback.rate);
  }
  return { feedback, rate: delivered / (ms / 2), queueMs, believed };
}

const PATHS: readonly (Path & { readonly name: string })[] = [
  { name: '100 Mbit/s, 20 ms', rate: 12_500, rtt: 20 },
  { name: '500 Mbit/s, 100 ms', rate: 62_500, rtt: 100 },
  { name: '10 Mbit/s, 40 ms', rate: 1_250, rtt: 40 },
  { name: '1 Gbit/s, 1 ms', rate: 125_000, rtt: 1 },
];

for (const path of PATHS) {
  test(`${path.name}: the path is full, its queue is short`, () => {
    const { rate, queueMs, feedback } = saturate(path, 30_000);
    assert.ok(rate > 0.85 * path.rate, `${rate} of ${path.rate}`);
    const allowed = 0.8 * Math.max(path.rtt, 3 * DEFAULT_LIMITS.link.leastRoundTripMs) + 30;
    assert.ok(queueMs < allowed, `a queue of ${queueMs} ms, ${allowed} are allowed`);
    assert.ok(feedback.bulkCap(30_000) >= DEFAULT_LIMITS.link.bulkLeast);
  });
}

/** What shorter round trips may queue up as well, since LINKACKs come in heaps too. */
const SHORT_QUEUE_MS = 10;

// What a path hands over in a heap is not its rate: believing it would fill the queue further with every heap.
const BURSTY: readonly (Path & { readonly name: string })[] = [
  { name: 'a token bucket of 64 KiB', rate: 12_500, rtt: 0.5, burst: 64 * KiB },
  { name: 'short stalls', rate: 12_500, rtt: 0.5, stall: { every: 300, ms: 25 } },
  { name: 'long stalls and a token bucket', rate: 12_500, rtt: 2, burst: 64 * KiB, stall: { every: 400, ms: 60 } },
  { name: 'stalls of a round trip on a long path', rate: 12_500, rtt: 80, stall: { every: 700, ms: 85 } },
];

for (const path of BURSTY) {
  test(`${path.name}: the rate is not overrated`, () => {
    const { believed, queueMs, rate } = saturate(path, 20_000);
    assert.ok(believed < 1.35 * path.rate, `${believed} was believed, ${path.rate} is true`);
    const base = Math.max(path.rtt, SHORT_QUEUE_MS);
    assert.ok(queueMs < 1.3 * base, `a queue of ${queueMs} ms`);
    const share = 1 - (path.stall === undefined ? 0 : (2 * path.stall.ms) / path.stall.every);
    assert.ok(rate > 0.85 * share * path.rate, `${rate} of ${path.rate}`);
  });
}

test('a pause is no part of the rate, and what ran dry does not lower it', () => {
  const feedback = new Feedback(DEFAULT_LIMITS);
  let [now, record] = [0, 0];
  const send = (bytes: number): void => feedback.sent(record++, bytes, now);
  const full = (ms: number): void => {
    for (const until = now + ms; now < until; now += 5) {
      while (feedback.inFlight < feedback.bulkCap(now)) send(10_000);
      feedback.acked(record - Math.floor(feedback.inFlight / 10_000) + 5, 0, now);
    }
  };
  full(1_000);
  const before = feedback.rate;
  assert.ok(before > 5_000 && before < 15_000, `${before}`);
  for (let i = 0; i < 200; i++, now += 40) {
    feedback.acked(record, 0, now);
    send(200);
    feedback.ranDry(now);
  }
  assert.is(feedback.rate, before);
  now += 5_000;
  full(1_000);
  assert.ok(feedback.rate > 0.7 * before, `${feedback.rate} after a pause, ${before} before`);
});

test('before anything is known the cap is generous, and small talk does not lower it', () => {
  const feedback = new Feedback(DEFAULT_LIMITS);
  assert.is(feedback.bulkCap(0), DEFAULT_LIMITS.link.bulkStart);
  for (let i = 0; i < 100; i++) {
    feedback.sent(i, 200, i * 50);
    feedback.ranDry(i * 50);
    feedback.acked(i + 1, 0, i * 50 + 30);
  }
  assert.ok(feedback.bulkCap(6_000) >= DEFAULT_LIMITS.link.bulkStart);
  assert.is(feedback.recordSize(), 16 * KiB);
  assert.is(Math.round(feedback.rttMs!), 30);
});

test('records are large on a fast link and small on a slow one', () => {
  assert.is(saturate({ rate: 400_000, rtt: 1 }, 3_000).feedback.recordSize(), DEFAULT_LIMITS.record.largest);
  assert.is(saturate({ rate: 100, rtt: 30 }, 60_000).feedback.recordSize(), DEFAULT_LIMITS.record.smallest);
});

test('LINKACK delay is not counted as round trip', () => {
  const feedback = new Feedback(DEFAULT_LIMITS);
  feedback.sent(0, 100, 0);
  feedback.acked(1, 15, 25);
  assert.is(feedback.rttMs, 10);
});

test('acknowledging the same again, or nothing, changes nothing', () => {
  const feedback = new Feedback(DEFAULT_LIMITS);
  feedback.sent(0, 100, 0);
  feedback.sent(2, 100, 0);
  feedback.acked(1, 0, 10);
  feedback.acked(1, 0, 500);
  feedback.acked(0, 0, 900);
  assert.equal([feedback.inFlight, feedback.ackedAt, feedback.oldestSentAt], [100, 10, 0]);
});

test('acknowledgements held back cost no memory, and count when they come', () => {
  const feedback = new Feedback(DEFAULT_LIMITS);
  const before = process.memoryUsage().heapUsed;
  const count = 500_000;
  for (let i = 0; i < count; i++) feedback.sent(i, 100, i / 100);
  const grown = process.memoryUsage().heapUsed - before;
  assert.ok(grown < 10 * 1024 * KiB, `${grown} bytes for ${count} records`);
  assert.is(feedback.inFlight, 100 * count);
  feedback.acked(count - 1, 0, 6_000);
  assert.ok(feedback.inFlight > 0);
  feedback.acked(count, 0, 6_000);
  assert.equal([feedback.inFlight, feedback.oldestSentAt], [0, undefined]);
});

test('when a LINKACK is due: soon with much to acknowledge, after 20 ms with little, never with nothing', () => {
  const clock = new AckClock(DEFAULT_LIMITS.link);
  clock.received(100, false, 0);
  assert.is(clock.isPending, false);
  clock.received(100, true, 5);
  assert.is(clock.dueAt(10), 25);
  clock.received(100 * KiB, true, 6);
  assert.ok(clock.dueAt(10) <= 6);
  clock.sent(6);
  assert.is(clock.isPending, false);
  clock.received(100 * KiB, true, 7);
  assert.is(clock.dueAt(40), 16, 'a quarter of a round trip behind the last');
  assert.is(clock.dueAt(1000), 26, 'at most 20 ms');
});

test.run();
