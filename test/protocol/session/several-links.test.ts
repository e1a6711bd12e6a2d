/** Several links of one session: who travels on which, what happens when one dies, falls silent or grows slow. */
import type { Code } from '../../../protocol/codes.js';
import { RELAY_WINDOW, limitsWith } from '../../../protocol/limits.js';
import type { StreamClass } from '../../../protocol/link/frame.js';
import type { Stream, StreamHandler } from '../../../protocol/session/index.js';
import { assert, suite } from '../../helpers/suite.js';
import { World, type Connection, type WireOptions } from './world.js';

const test = suite('several links');
const KIB = 1024;
const PATH: WireOptions = { delay: [5, 5], rate: 5_000 };

class Receiver implements StreamHandler {
  bytes = 0;
  /** first wrong byte, -1: none */
  wrongAt = -1;
  hasFin = false;
  readonly resets: Code[] = [];
  stream: Stream | undefined;

  constructor(private readonly answers: boolean) {}

  data(chunk: Uint8Array): void {
    for (let i = 0; i < chunk.length && this.wrongAt < 0; i++)
      if (chunk[i] !== (this.bytes + i) % 251) this.wrongAt = this.bytes + i;
    this.bytes += chunk.length;
    this.stream!.consumed(chunk.length);
    if (this.answers) this.stream!.write(chunk);
  }

  fin(): void {
    this.hasFin = true;
  }

  reset(code: Code): void {
    this.resets.push(code);
  }
}

/** Bytes `from` … `from + length` of the pattern that Receiver expects. */
function pattern(from: number, length: number): Uint8Array {
  return Uint8Array.from({ length }, (_, i) => (from + i) % 251);
}

class Scene {
  readonly world: World;
  readonly accepted: Receiver[] = [];

  constructor(seed: string, limits = limitsWith({})) {
    const onStream = (stream: Stream): StreamHandler => {
      const receiver = new Receiver(stream.service === 'echo');
      receiver.stream = stream;
      this.accepted.push(receiver);
      stream.accept();
      return receiver;
    };
    this.world = new World(seed, [
      { limits, onStream },
      { limits, onStream },
    ]);
  }

  links(count: number, options: WireOptions = PATH): Connection[] {
    return Array.from({ length: count }, () => {
      const connection = this.world.admit(options);
      this.run(100);
      return connection;
    });
  }

  run(ms: number): void {
    this.world.timers.run(ms);
  }

  open(service: 'echo' | 'sink', streamClass: StreamClass = 'interactive', side: 0 | 1 = 0): Receiver {
    const receiver = new Receiver(false);
    receiver.stream = this.world.nodes[side].session.open({ service, class: streamClass }, receiver);
    return receiver;
  }

  /** Round trip of a few bytes on an open echo stream, ms. */
  ask(echo: Receiver): number {
    const started = this.world.timers.monotonic();
    const wanted = echo.bytes + 50;
    echo.stream!.write(pattern(echo.bytes, 50));
    while (echo.bytes < wanted) {
      assert.ok(this.world.timers.monotonic() - started < 20_000, 'no answer within 20 s');
      this.run(1);
    }
    return this.world.timers.monotonic() - started;
  }
}

function sentOn(connections: readonly Connection[]): number[] {
  return connections.map(c => c.links[0].bytesSent);
}

test('bulk takes one link, requests the other, and both sides may choose differently', () => {
  const scene = new Scene('placement');
  const connections = scene.links(2);
  const echo = scene.open('echo');
  const bulk = scene.open('sink', 'bulk');
  scene.run(50);
  const before = sentOn(connections);
  bulk.stream!.write(pattern(0, 512 * KIB));
  bulk.stream!.end();
  const waits = Array.from({ length: 20 }, () => scene.ask(echo));
  scene.run(3_000);
  const [first, second] = sentOn(connections).map((bytes, i) => bytes - before[i]!);
  assert.ok(first! > 512 * KIB, 'the older link carries the bulk');
  assert.ok(second! < 32 * KIB, `the newer link carries the rest, but it carried ${second}`);
  assert.ok(Math.max(...waits) <= 20, `a request took ${Math.max(...waits)} ms beside bulk on a path of 10 ms`);
  const [sink] = scene.accepted.filter(r => r.stream!.service === 'sink');
  assert.equal([sink!.bytes, sink!.wrongAt, sink!.hasFin], [512 * KIB, -1, true]);
});

test('a stream that turns out to have much to say moves to the other link, and back when all has arrived', () => {
  const scene = new Scene('heavy');
  const connections = scene.links(2);
  const sink = scene.open('sink');
  scene.run(50);
  let at = 0;
  const write = (n: number): number[] => {
    const before = sentOn(connections);
    sink.stream!.write(pattern(at, n));
    at += n;
    scene.run(1_000);
    return sentOn(connections).map((bytes, i) => bytes - before[i]!);
  };
  for (let round = 0; round < 12; round++) {
    const [older, newer] = write(100);
    assert.ok(older! < 100 && newer! >= 100, `little goes on the link that leads: ${older}, ${newer}`);
    const [heavy, light] = write(300 * KIB);
    assert.ok(heavy! > 250 * KIB && light! < 50 * KIB, `much goes on the other one: ${heavy}, ${light}`);
  }
  const [got] = scene.accepted;
  assert.equal([got!.bytes, got!.wrongAt], [at, -1]);
  assert.is(scene.world.nodes[0].session.stats().bytesResent, 0);
});

for (const victim of [0, 1] as const) {
  test(`one of two links breaks under load (the ${victim === 0 ? 'older' : 'newer'}): nothing is lost, nobody waits`, () => {
    const scene = new Scene(`break ${victim}`);
    const connections = scene.links(2);
    const echo = scene.open('echo');
    const bulk = scene.open('sink', 'bulk');
    scene.run(50);
    bulk.stream!.write(pattern(0, 1024 * KIB));
    bulk.stream!.end();
    scene.run(40);
    connections[victim]!.wire.cut();
    const waits = Array.from({ length: 10 }, () => scene.ask(echo));
    assert.ok(Math.max(...waits) < 120, `a request took ${Math.max(...waits)} ms`);
    scene.run(5_000);
    const sink = scene.accepted.find(r => r.stream!.service === 'sink')!;
    assert.equal([sink.bytes, sink.wrongAt, sink.hasFin], [1024 * KIB, -1, true]);
    assert.not(scene.world.nodes[0].events.includes('held'));
    const { bytesResent } = scene.world.nodes[0].session.stats();
    assert.ok(bytesResent < 512 * KIB, `${bytesResent} bytes were sent again`);
  });

  test(`one of two links falls silent (the ${victim === 0 ? 'older' : 'newer'}): its streams move within 2 s, and it is told`, () => {
    const scene = new Scene(`silence ${victim}`);
    const connections = scene.links(2);
    const echo = scene.open('echo');
    const bulk = scene.open('sink', 'bulk');
    scene.run(50);
    scene.ask(echo);
    bulk.stream!.write(pattern(0, 1024 * KIB));
    scene.run(40);
    connections[victim]!.wire.silence();
    const wait = scene.ask(echo);
    assert.ok(wait < 2_000, `a request took ${wait} ms`);
    scene.run(2_000 - wait);
    assert.equal(scene.world.nodes[0].troubles, [`${connections[victim]!.links[0].id} silent`]);
    assert.is(scene.world.nodes[0].session.sound, 1);
    scene.run(3_000);
    const sink = scene.accepted.find(r => r.stream!.service === 'sink')!;
    assert.equal([sink.bytes, sink.wrongAt], [1024 * KIB, -1]);
    scene.run(10_000);
    assert.is(scene.world.nodes[0].session.links.length, 1, 'the silent link is given up in the end');
  });
}

test('two of three links fall silent at once: they do not vouch for each other, the third takes their streams', () => {
  const scene = new Scene('two of three', limitsWith({ session: { links: 3 } }));
  const connections = scene.links(3);
  const bulks = [0, 1].map(() => scene.open('sink', 'bulk'));
  scene.run(50);
  for (const bulk of bulks) bulk.stream!.write(pattern(0, 512 * KIB));
  scene.run(20);
  // The new ones; the oldest has nothing to carry.
  for (const { wire } of connections.slice(1)) wire.silence();
  scene.run(4_500);
  assert.equal(
    scene.accepted.map(({ bytes, wrongAt }) => [bytes, wrongAt]),
    bulks.map(() => [512 * KIB, -1]),
  );
});

test('when all links fall silent at once none of them is blamed', () => {
  const scene = new Scene('all silent');
  const connections = scene.links(2);
  const echo = scene.open('echo');
  scene.run(50);
  scene.ask(echo);
  scene.run(3_000);
  for (const { wire } of connections) wire.silence();
  echo.stream!.write(pattern(echo.bytes, 10));
  scene.run(25_000);
  assert.equal(scene.world.nodes[0].troubles, []);
  assert.ok(scene.world.nodes[0].session.isHeld);
  scene.links(1);
  scene.run(1_000);
  assert.equal([echo.bytes, echo.wrongAt, echo.resets], [60, -1, []]);
});

test('a link that was silent for a while is taken back', () => {
  const scene = new Scene('taken back');
  const connections = scene.links(2);
  const echo = scene.open('echo');
  scene.run(50);
  connections[1]!.wire.silence();
  assert.ok(scene.ask(echo) < 2_000);
  assert.is(scene.world.nodes[0].session.sound, 1);
  // What was lost meanwhile cannot be made up for on it: records come in order or not at all.
  scene.links(1);
  scene.run(6_000);
  assert.is(scene.world.nodes[0].session.sound, 2);
  assert.ok(scene.ask(echo) < 20);
});

test('a link far slower than the other one is replaced', () => {
  const scene = new Scene('slow');
  const [fast] = scene.links(1);
  scene.links(1, { delay: [400, 400] });
  scene.run(1_000);
  const echo = scene.open('echo');
  scene.run(6_000);
  const { troubles, session } = scene.world.nodes[0];
  assert.ok(troubles.length === 1 && troubles[0]!.endsWith('slow'), troubles.join());
  assert.equal([session.sound, session.links[0]], [1, fast!.links[0]]);
  assert.ok(scene.ask(echo) < 20);
  assert.equal(echo.resets, []);
});

test('a relayed link beside a direct one is surplus; alone it will do, until a direct one comes', () => {
  const scene = new Scene('ranks');
  const [direct] = scene.links(1);
  const spare = scene.world.admit({ ...PATH, rank: 1 });
  scene.run(3_000);
  assert.ok(spare.links[0].isClosed);
  assert.equal(scene.world.nodes[0].closed.at(-1)?.[0], 'surplus');

  const echo = scene.open('echo');
  scene.run(50);
  direct!.wire.silence();
  echo.stream!.write(pattern(0, 10));
  scene.run(300);
  const relayed = scene.world.admit({ ...PATH, rank: 1 });
  scene.run(2_000);
  assert.equal([echo.bytes, scene.world.nodes[0].session.links[0]], [10, relayed.links[0]]);
  assert.is(scene.world.nodes[0].session.sound, 0, 'only direct links count as sound');

  const bulk = scene.open('sink', 'bulk');
  scene.run(50);
  bulk.stream!.write(pattern(0, 700 * KIB));
  scene.run(100);
  const [again] = scene.links(1);
  scene.run(6_000);
  assert.equal(scene.world.nodes.map(n => n.session.links.length), [1, 1]); // prettier-ignore
  assert.is(scene.world.nodes[0].session.links[0], again!.links[0]);
  const sink = scene.accepted.find(r => r.stream!.service === 'sink')!;
  assert.equal([sink.bytes, sink.wrongAt, sink.resets], [700 * KIB, -1, []]);
});

test('a relay stream ends with the link that carried it, at both ends, and the others go on', () => {
  const scene = new Scene('relay stream');
  const [only] = scene.links(1);
  const echo = scene.open('echo');
  const relay = scene.open('sink', 'relay');
  scene.run(50);
  relay.stream!.write(pattern(0, 300 * KIB));
  scene.run(50);
  only!.wire.cut();
  scene.run(1);
  assert.equal(relay.resets, ['link-lost']);
  scene.links(1);
  const far = scene.accepted.find(r => r.stream!.service === 'sink')!;
  assert.equal(far.resets, ['link-lost']);
  assert.ok(scene.ask(echo) < 20);
  assert.is(scene.world.nodes[0].session.stats().streams, 1);
});

test('a relay stream outlives a link that carried nothing of it', () => {
  const scene = new Scene('relay spared');
  const [older] = scene.links(2);
  const relay = scene.open('sink', 'relay');
  scene.run(50);
  relay.stream!.write(pattern(0, 1_000));
  scene.run(100);
  older!.wire.cut();
  scene.run(100);
  relay.stream!.write(pattern(1_000, 1_000));
  scene.run(100);
  const far = scene.accepted.find(r => r.stream!.service === 'sink')!;
  assert.equal([relay.resets, far.bytes, far.wrongAt], [[], 2_000, -1]);
});

test('a relay stream never goes over a relayed link', () => {
  const scene = new Scene('one hop');
  const [direct] = scene.links(1);
  const relay = scene.open('sink', 'relay');
  scene.run(50);
  relay.stream!.write(pattern(0, 1_000));
  scene.run(500);
  direct!.wire.silence();
  scene.world.admit({ ...PATH, rank: 1 });
  scene.run(2_000);
  assert.is(scene.world.nodes[0].session.links[0]!.rank, 1);
  assert.equal(relay.resets, ['link-lost']);
});

test('windows of a relay stream stay small on a long fat path', () => {
  const scene = new Scene('relay window');
  scene.links(1, { delay: [100, 100], rate: 50_000 });
  scene.run(1_000);
  const relay = scene.open('sink', 'relay');
  scene.run(300);
  let written = 0;
  let most = 0;
  for (let ms = 0; ms < 10_000; ms += 10) {
    while (relay.stream!.buffered < 4 * RELAY_WINDOW && relay.stream!.write(pattern(written, 64 * KIB)))
      written += 64 * KIB;
    scene.run(10);
    most = Math.max(most, scene.world.nodes[1].session.stats().granted);
  }
  assert.ok(scene.accepted[0]!.bytes > 8 * RELAY_WINDOW);
  const { pool } = limitsWith({}).receive;
  assert.ok(most <= RELAY_WINDOW + pool, `granted ${most}`);
});

test.run();
