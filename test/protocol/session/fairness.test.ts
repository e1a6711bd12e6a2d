/** Sessions over paths of a known rate, in virtual time: who waits for whom, who gets how much, how windows grow. */
import type { Stream, StreamHandler } from '../../../protocol/session/index.js';
import { quantile } from '../../helpers/latency.js';
import { assert, full, suite } from '../../helpers/suite.js';
import { World, type WireOptions } from './world.js';

const test = suite('fairness in virtual time');
const MIB = 1024 * 1024;
const CHUNK = new Uint8Array(64 * 1024);
const REQUEST = new Uint8Array(200);
/** 100 Mbit/s, 2 ms there and back. */
const SLOW: WireOptions = { delay: [1, 1], rate: 12_500 };
/** 100 Mbit/s, 100 ms there and back: 1.25 MB are on the path when it is full. */
const LONG: WireOptions = { delay: [50, 50], rate: 12_500 };

/** Counts what comes, and takes it, unless it stalls; echoes it if asked to. */
class Sink implements StreamHandler {
  bytes = 0;
  stream: Stream | undefined;

  constructor(private readonly manner: 'takes' | 'stalls' | 'echoes' = 'takes') {}

  data(chunk: Uint8Array): void {
    this.bytes += chunk.length;
    if (this.manner !== 'stalls') this.stream!.consumed(chunk.length);
    if (this.manner === 'echoes') this.stream!.write(chunk);
  }

  fin(): void {
    return undefined;
  }

  reset(): void {
    return undefined;
  }
}

/** Always has more to send. */
class Pump extends Sink {
  start(): void {
    while (this.stream!.write(CHUNK));
  }

  drain(): void {
    this.start();
  }
}

/** Asks, waits for the answer, pauses, asks again. */
class Talker extends Sink {
  readonly times: number[] = [];
  private askedAt = 0;

  constructor(
    private readonly world: World,
    private readonly pauseMs: number,
  ) {
    super();
  }

  ask(): void {
    this.askedAt = this.world.timers.monotonic();
    this.stream!.write(REQUEST);
  }

  override data(chunk: Uint8Array): void {
    super.data(chunk);
    if (this.bytes % REQUEST.length !== 0) return;
    this.times.push(this.world.timers.monotonic() - this.askedAt);
    this.world.timers.after(this.pauseMs, () => this.ask());
  }
}

class Scene {
  readonly world: World;
  /** the ends at the answering side, by service */
  readonly sinks: Sink[] = [];

  constructor(path: WireOptions, links = 1) {
    const onStream = (stream: Stream): StreamHandler => {
      const sink = new Sink(stream.service === 'stalls' || stream.service === 'echoes' ? stream.service : 'takes');
      sink.stream = stream;
      if (stream.service !== 'echoes') this.sinks.push(sink);
      stream.accept();
      return sink;
    };
    this.world = new World('fairness', [{ onStream }, { onStream }]);
    for (let i = 0; i < links; i++) {
      this.world.admit(path);
      this.run(500);
    }
  }

  run(ms: number): void {
    this.world.timers.run(ms);
  }

  pump(service: 'takes' | 'stalls' = 'takes'): Pump {
    const pump = new Pump();
    pump.stream = this.world.nodes[0].session.open({ service, class: 'interactive' }, pump);
    pump.start();
    return pump;
  }

  talker(pauseMs: number): Talker {
    const talker = new Talker(this.world, pauseMs);
    talker.stream = this.world.nodes[0].session.open({ service: 'echoes', class: 'interactive' }, talker);
    talker.ask();
    return talker;
  }

  /** What each sink gets in `ms`, bytes. */
  shares(ms: number): number[] {
    const before = this.sinks.map(sink => sink.bytes);
    this.run(ms);
    return this.sinks.map((sink, i) => sink.bytes - before[i]!);
  }
}

test('a small request does not wait behind a bulk stream on the same link', () => {
  const scene = new Scene(SLOW);
  const talker = scene.talker(3);
  scene.run(1_000);
  const alone = talker.times.splice(0);
  scene.pump();
  scene.run(1_000);
  const starting = talker.times.splice(0);
  const [bulk] = scene.shares(3_000);
  const beside = talker.times.splice(0);
  assert.ok(bulk! > 0.9 * 3_000 * SLOW.rate!, `bulk got ${bulk} bytes`);
  const allowed = 3 * quantile(alone, 0.99) + 20;
  for (const [when, times] of Object.entries({ starting, beside })) {
    const p99 = quantile(times, 0.99);
    assert.ok(p99 <= allowed * (when === 'starting' ? 2 : 1), `${when}: p99 ${p99} ms, ${allowed} allowed`);
  }
});

for (const links of [1, 2]) {
  test(`one bulk stream and a hundred talkers on ${links} link(s): none starves`, () => {
    const scene = new Scene(SLOW, links);
    const talkers = Array.from({ length: 100 }, () => scene.talker(20));
    scene.run(300);
    scene.pump();
    scene.run(1_000);
    for (const talker of talkers) talker.times.length = 0;
    const [bulk] = scene.shares(2_000);
    const counts = talkers.map(talker => talker.times.length);
    const worst = Math.max(...talkers.flatMap(talker => talker.times));
    assert.ok(Math.min(...counts) >= 0.8 * Math.max(...counts), `${Math.min(...counts)} to ${Math.max(...counts)}`);
    assert.ok(Math.min(...counts) >= 30, `${Math.min(...counts)} answers in 2 s`);
    assert.ok(worst < 60, `${worst} ms for one answer`);
    assert.ok(bulk! > 0.5 * 2_000 * SLOW.rate!, `bulk got ${bulk} bytes`);
  });

  test(`ten equal bulk streams on ${links} link(s) share within 15 %`, () => {
    const scene = new Scene(SLOW, links);
    for (let i = 0; i < 10; i++) scene.pump();
    scene.run(1_000);
    const shares = scene.shares(3_000);
    const mean = shares.reduce((sum, bytes) => sum + bytes, 0) / shares.length;
    assert.is(shares.length, 10);
    assert.ok(mean * 10 > 0.9 * 3_000 * SLOW.rate!, `all of them together got ${mean * 10} bytes`);
    for (const bytes of shares) assert.ok(Math.abs(bytes - mean) < 0.15 * mean, `${bytes} of ${mean}`);
  });
}

test('a window grows to the path and no further, beside readers that stall', () => {
  const scene = new Scene(LONG);
  for (let i = 0; i < full(20, 100); i++) scene.pump('stalls');
  scene.run(5_000);
  const { granted, retained } = {
    granted: scene.world.nodes[1].budget.granted,
    retained: scene.world.nodes[0].budget.retained,
  };
  scene.pump();
  let roundTripMs = 0;
  for (let ms = 0; ms < 2_000; ms += 10) {
    scene.run(10);
    roundTripMs = Math.max(roundTripMs, scene.world.nodes[1].session.rttMs() ?? 0);
  }
  const bytes = scene.shares(2_000).at(-1)!;
  assert.ok(bytes > 0.9 * 2_000 * LONG.rate!, `${bytes} bytes in 2 s`);
  // What has begun fills the path, and a queue before it, until the rate is known.
  assert.ok(roundTripMs < 200, `${roundTripMs} ms there and back`);
  const onTheWay = roundTripMs * LONG.rate!;
  const [more, kept] = [scene.world.nodes[1].budget.granted - granted, scene.world.nodes[0].budget.retained - retained];
  assert.ok(more <= 4 * onTheWay, `a window of ${more / MIB} MiB`);
  assert.ok(kept < 8 * onTheWay, `${kept / MIB} MiB kept for sending again`);
});

test.run();
