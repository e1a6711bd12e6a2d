/** One link between two ends: control frames, pings, acknowledgements, and every way to end. */
import { concat } from '../../../protocol/bytes.js';
import { WarrenError } from '../../../protocol/errors.js';
import { DEFAULT_LIMITS, limitsWith } from '../../../protocol/limits.js';
import { FRAME, encodeLinkAck, type Link, type RecordDraft } from '../../../protocol/link/index.js';
import { RecordSealer } from '../../../protocol/link/record.js';
import { assert, suite } from '../../helpers/suite.js';
import { World, primitives, type Connection, type NodeOptions, type WireOptions } from '../session/world.js';

const test = suite('a link');
const TYPE = FRAME.NEWS;

interface Pair extends Connection {
  readonly world: World;
  readonly heard: readonly [[number, Uint8Array][], [number, Uint8Array][]];
}

function pair(wire: WireOptions = { delay: [5, 5] }, options: NodeOptions = {}): Pair {
  const world = new World('link', [options, options]);
  const connection = world.connect(wire);
  const heard: [[number, Uint8Array][], [number, Uint8Array][]] = [[], []];
  connection.links.forEach((link, side) => {
    link.setHandler({ frame: (type, body) => void heard[side as 0 | 1].push([type, body.slice()]) });
  });
  return { ...connection, world, heard };
}

/** Records that a link has sent, by counting them at the wire. */
function recordsSent(link: Link): number {
  return (link as unknown as { sealer: RecordSealer }).sealer.records;
}

test('frames queued in one turn share a record and keep their order', () => {
  const { links, world, heard } = pair();
  for (let i = 0; i < 5; i++) links[0].send(TYPE, Uint8Array.of(i));
  world.timers.run(10);
  assert.equal(heard[1].map(([, b]) => b[0]), [0, 1, 2, 3, 4]); // prettier-ignore
  assert.is(recordsSent(links[0]), 1);
});

test('more than a record holds goes in several', () => {
  const { links, world, heard } = pair();
  for (let i = 0; i < 50; i++) links[0].send(TYPE, new Uint8Array(20_000).fill(i));
  world.timers.run(10);
  assert.equal(heard[1].map(([, b]) => b[7]), Array.from({ length: 50 }, (_, i) => i)); // prettier-ignore
});

test('byte by byte is as good as at once', () => {
  const { links, world, heard } = pair({ chunk: [1, 1] });
  links[0].send(TYPE, new Uint8Array(300).fill(9));
  links[1].send(TYPE, new Uint8Array(300).fill(8));
  world.timers.run(100);
  assert.equal([heard[1][0]![1][0], heard[0][0]![1][0]], [9, 8]);
});

test('the round trip is measured by ping and by acknowledgements', async () => {
  const { links, world } = pair({ delay: [30, 30] });
  const measured = links[0].measureRtt();
  world.timers.run(100);
  assert.is(await measured, 60);
  assert.is(links[0].rttMs, 60);
  assert.is(links[1].rttMs, null);
  links[1].send(TYPE, new Uint8Array(10));
  world.timers.run(200);
  assert.ok(Math.abs(links[1].rttMs! - 60) < 1, `${links[1].rttMs}`);
});

test('records are acknowledged within 20 ms, and then there is silence', () => {
  const { links, world } = pair();
  const acked: number[] = [];
  links[0].setHandler({ frame: () => undefined, acked: n => void acked.push(n) });
  links[0].send(TYPE, new Uint8Array(10));
  world.timers.run(5 + 20 + 5 + 1);
  assert.equal(acked, [1]);
  assert.is(links[0].inFlight, 0);
  const sent = links.map(recordsSent);
  world.timers.run(10_000);
  assert.equal(links.map(recordsSent), sent);
});

test('much data is acknowledged sooner, and acknowledgements ride along', () => {
  const { links, world } = pair({ delay: [0, 0] });
  links[0].send(TYPE, new Uint8Array(60_000));
  world.timers.run(2);
  assert.is(links[0].inFlight, 0);
  const before = recordsSent(links[1]);
  links[1].setHandler({ frame: () => links[1].send(TYPE, new Uint8Array(1)) });
  links[0].send(TYPE, new Uint8Array(10));
  world.timers.run(1);
  assert.is(recordsSent(links[1]), before + 1);
  assert.is(links[0].inFlight, 0);
});

test('an idle link is pinged every 15 s and lives', () => {
  const { links, world } = pair();
  world.timers.run(120_000);
  assert.equal(links.map(l => l.isClosed), [false, false]); // prettier-ignore
  assert.ok(recordsSent(links[0]) + recordsSent(links[1]) < 30);
});

test('a link looks at its clocks each 250 ms while anything is under way, else when its next ping is due', () => {
  const { links, world } = pair({ delay: [5, 5], chunk: [1, 40] });
  const ticks: [number[], number[]] = [[], []];
  let isWatched = false;
  links.forEach((link, side) => {
    const tick = (): boolean => {
      ticks[side as 0 | 1].push(world.timers.monotonic());
      return isWatched;
    };
    link.setHandler({ frame: () => undefined, tick });
  });
  const ticksWithin = (ms: number): number[] => {
    const before = ticks.map(of => of.length);
    world.timers.run(ms);
    return ticks.map((of, side) => of.length - before[side]!);
  };
  world.timers.run(1_000);
  assert.equal(ticksWithin(10_000), [0, 0]);
  // One sends, the other receives: both look soon, and rest again.
  links[0].send(TYPE, new Uint8Array(200));
  assert.equal(ticksWithin(270), [1, 1]);
  world.timers.run(1_000);
  assert.is((links[1] as unknown as { opener: { assembly: Uint8Array } }).opener.assembly.length, 0);
  assert.equal(ticksWithin(10_000), [0, 0]);
  let silence = 0;
  for (let ms = 0; ms < 40_000; ms += 5) {
    world.timers.run(5);
    silence = Math.max(silence, world.timers.monotonic() - links[0].heardAt);
  }
  assert.ok(silence >= 15_000 && silence <= 15_020, `nothing was heard for ${silence} ms`);
  isWatched = true;
  links[0].send(TYPE, new Uint8Array(10));
  world.timers.run(300);
  assert.equal(ticksWithin(10_000), [40, 40]);
});

test('a silent path is noticed: idle within 20 s, with data out within 6 s', () => {
  const idle = pair();
  idle.wire.silence();
  idle.world.timers.run(20_600);
  assert.ok(idle.world.nodes.some(n => n.closed[0]?.[0] === 'ping-timeout'));
  assert.ok(idle.links.every(l => l.isClosed));
  const busy = pair();
  busy.links[0].send(TYPE, new Uint8Array(10));
  busy.world.timers.run(100);
  busy.wire.silence();
  busy.links[0].send(TYPE, new Uint8Array(10));
  busy.world.timers.run(6_600);
  assert.equal(busy.world.nodes[0].closed, [['ping-timeout', 'no answer to a ping', 'transport']]);
});

test('a ping that ends with the link is answered with an error', async () => {
  const { links, world, wire } = pair();
  const measured = links[0].measureRtt();
  wire.cut();
  world.timers.run(10);
  await measured.then(
    () => assert.unreachable(),
    (error: unknown) => assert.is((error as WarrenError).code, 'unreachable'),
  );
  await links[0].measureRtt().catch((error: unknown) => assert.instance(error, WarrenError));
});

test('close tells the code and the sentence, behind what was queued', () => {
  const { links, world, heard } = pair();
  links[0].send(TYPE, Uint8Array.of(1));
  links[0].close('removed', 'as you like');
  links[0].send(TYPE, Uint8Array.of(2));
  world.timers.run(100);
  assert.equal(heard[1], [[TYPE, Uint8Array.of(1)]]);
  assert.equal(world.nodes[0].closed, [['removed', 'as you like', 'local']]);
  assert.equal(world.nodes[1].closed, [['removed', 'as you like', 'peer']]);
  assert.is(world.timers.waiting, 0);
});

test('a lost transport is nobody’s fault', () => {
  const { wire, world } = pair();
  wire.cut();
  world.timers.run(10);
  assert.equal(world.nodes.map(n => n.closed[0]?.[2]), ['transport', 'transport']); // prettier-ignore
});

test('bytes that do not verify end the link, as a loss and without a word', () => {
  for (const lie of [
    new Uint8Array(100),
    Uint8Array.of(0, 0, 1),
    concat(Uint8Array.of(0, 0, 17), new Uint8Array(17)),
  ]) {
    const { links, world } = pair();
    links[0].receive(lie);
    assert.is(world.nodes[0].closed[0]?.[2], 'transport');
    assert.is(links[0].bytesSent, 0);
  }
});

test('own records sent back are refused', () => {
  const { links, world } = pair();
  const sealer = new RecordSealer(primitives.aead.AESGCM, links[0].established.sendKey, DEFAULT_LIMITS.record);
  const record = concat(...sealer.seal([Uint8Array.of(TYPE, 1, 1)]));
  links[0].receive(record);
  assert.is(world.nodes[0].closed[0]?.[2], 'transport');
  world.connect().links[1].receive(record.slice());
  assert.is(world.nodes[1].closed.at(-1)?.[2], 'transport', 'and those of another link');
});

test('unknown frames: odd ones are skipped, even ones close the link', () => {
  const { links, world, heard } = pair();
  links[0].send(0x7ff, new Uint8Array(100));
  links[0].send(TYPE, Uint8Array.of(1));
  world.timers.run(10);
  assert.is(heard[1].length, 1);
  links[0].send(0x7fe, new Uint8Array(0));
  world.timers.run(100);
  assert.is(world.nodes[1].closed[0]?.[0], 'unsupported');
  assert.equal(world.nodes[0].closed[0]?.slice(0, 1), ['unsupported']);
});

test('an error of the handler closes the link with its code; a bug closes it as internal', () => {
  const { links, world } = pair();
  links[1].setHandler({
    frame: () => {
      throw new WarrenError('limit', 'enough', { wire: 'limit' });
    },
  });
  links[0].send(TYPE, new Uint8Array(0));
  world.timers.run(100);
  assert.equal(world.nodes[0].closed, [['limit', 'enough', 'peer']]);
  const other = pair();
  other.links[1].setHandler({
    frame: () => {
      throw new TypeError('oops');
    },
  });
  other.links[0].send(TYPE, new Uint8Array(0));
  other.world.timers.run(100);
  assert.is(other.world.nodes[0].closed[0]?.[0], 'internal');
});

test('frames behind one that ended the link are not handled', () => {
  const { links, world } = pair();
  let frames = 0;
  links[1].setHandler({
    frame: () => {
      frames++;
      links[1].close('removed');
    },
  });
  links[0].send(TYPE, new Uint8Array(0));
  links[0].send(TYPE, new Uint8Array(0));
  world.timers.run(10);
  assert.is(frames, 1);
});

test('acknowledging more than was sent is a violation; less is nothing', () => {
  const { links, world } = pair();
  links[0].send(FRAME.LINKACK, encodeLinkAck({ records: 0, delay: 2 ** 50 }));
  world.timers.run(10);
  assert.is(links[1].isClosed, false);
  links[0].send(FRAME.LINKACK, encodeLinkAck({ records: 5, delay: 0 }));
  world.timers.run(10);
  assert.is(world.nodes[1].closed[0]?.[0], 'protocol');
});

test('both ends rekey together under traffic in both directions', () => {
  const { links, world, heard } = pair(
    { delay: [1, 9], chunk: [1, 900] },
    { limits: limitsWith({ record: { rekeyRecords: 3 } }) },
  );
  for (let i = 0; i < 100; i++) {
    for (const link of links) link.send(TYPE, new Uint8Array(200).fill(i));
    world.timers.run(3);
  }
  world.timers.run(500);
  assert.equal(heard.map(h => h.length), [100, 100]); // prettier-ignore
  assert.ok(links[0].rekeys > 60 && links[0].rekeys === links[1].rekeys);
});

test('bulk stops at the cap and goes on with each acknowledgement', () => {
  const limits = limitsWith({ link: { bulkStart: 50_000, bulkLeast: 50_000 } });
  const { links, world } = pair({ delay: [20, 20] }, { limits });
  let left = 2_000_000;
  let most = 0;
  links[0].setHandler({
    frame: () => undefined,
    fill(draft: RecordDraft) {
      while (left > 0 && !draft.isFull) {
        const n = Math.min(draft.payloadRoom, draft.bulkRoom, left);
        if (n <= 0) {
          if (draft.bulkRoom <= 0) draft.isBlocked = true;
          else draft.overflowed = true;
          return;
        }
        draft.frame(TYPE, new Uint8Array(n));
        draft.bulkRoom -= n;
        left -= n;
        most = Math.max(most, links[0].inFlight + n);
      }
    },
  });
  links[0].wake();
  world.timers.run(60);
  assert.ok(most <= 51_000, `${most} in flight`);
  world.timers.run(20_000);
  assert.is(left, 0);
  assert.is(links[0].inFlight, 0);
});

test('an idle link holds no timers but its own clock, a closed one none', () => {
  const { links, world } = pair();
  links[0].send(TYPE, new Uint8Array(10));
  world.timers.run(1_000);
  assert.is(world.timers.waiting, 2);
  links[0].close('going-away');
  world.timers.run(1_000);
  assert.is(world.timers.waiting, 0);
});

test.run();
