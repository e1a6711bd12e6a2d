/** Streams between two real sessions: opening, half-close, resets, early data, credit, stalled readers, news. */
import { concat, utf8 } from '../../../protocol/bytes.js';
import type { Code } from '../../../protocol/codes.js';
import { limitsWith, type Limits } from '../../../protocol/limits.js';
import type { OpenRequest, Stream, StreamHandler } from '../../../protocol/session/index.js';
import { assert, full, suite } from '../../helpers/suite.js';
import { World, type Connection, type WireOptions } from './world.js';

const test = suite('streams');
const KiB = 1024;
const MiB = 1024 * KiB;

/** One end with its history. */
class End implements StreamHandler {
  stream!: Stream;
  readonly said: string[] = [];
  readonly chunks: Uint8Array[] = [];
  received = 0;
  consumes = true;

  data(chunk: Uint8Array): void {
    this.received += chunk.length;
    if (this.received <= 1_000) this.chunks.push(chunk.slice());
    if (this.consumes) this.stream.consumed(chunk.length);
  }

  get text(): string {
    return new TextDecoder().decode(concat(...this.chunks));
  }

  opened(): void {
    this.said.push('opened');
  }

  fin(): void {
    this.said.push('fin');
  }

  reset(code: Code, dialed: boolean): void {
    this.said.push(`reset ${code}${dialed ? ' dialed' : ''}`);
  }

  drain(): void {
    this.said.push('drain');
  }

  closed(): void {
    this.said.push('closed');
  }
}

class Pair {
  readonly world: World;
  readonly connection: Connection;
  readonly accepted: End[] = [];
  answer: (stream: Stream, request: OpenRequest) => End | Code = stream => {
    stream.accept();
    return new End();
  };

  constructor(limits?: Limits, wire: WireOptions = { delay: [5, 5] }) {
    const options = {
      ...(limits === undefined ? {} : { limits }),
      onStream: (stream: Stream, request: OpenRequest): StreamHandler | Code => {
        const end = this.answer(stream, request);
        if (typeof end === 'string') return end;
        end.stream = stream;
        this.accepted.push(end);
        return end;
      },
    };
    this.world = new World('streams', [options, options]);
    this.connection = this.world.admit(wire);
    this.run(500);
  }

  open(request: Partial<OpenRequest> = {}, side: 0 | 1 = 0): End {
    const end = new End();
    end.stream = this.world.nodes[side].session.open({ service: 'x', class: 'interactive', ...request }, end);
    return end;
  }

  run(ms: number): void {
    this.world.timers.run(ms);
  }
}

test('a request and its answer, half-closed in each direction', () => {
  for (const side of [0, 1] as const) {
    const p = new Pair();
    const a = p.open({}, side);
    a.stream.write(utf8('question'));
    a.stream.end();
    p.run(50);
    const b = p.accepted[0]!;
    assert.equal([b.text, b.said], ['question', ['fin']]);
    b.stream.write(utf8('answer'));
    p.run(50);
    assert.equal([a.text, a.said, a.stream.state], ['answer', ['opened'], 'open']);
    b.stream.end();
    p.run(50);
    assert.equal(
      [a.said, b.said],
      [
        ['opened', 'fin', 'closed'],
        ['fin', 'closed'],
      ],
    );
    p.run(1_000);
    assert.equal(p.world.nodes.map(n => n.session.streamCount), [0, 0]); // prettier-ignore
  }
});

test('what an open says arrives', () => {
  const p = new Pair();
  let seen: OpenRequest | undefined;
  p.answer = (_stream, request) => {
    seen = request;
    return 'no-service';
  };
  const metadata = new Map([['source', '10.0.0.1:99'], ['new', '?']]); // prettier-ignore
  p.open({ service: 'payments', class: 'bulk', instance: 'host-b', metadata });
  p.run(50);
  assert.equal(seen, { service: 'payments', class: 'bulk', instance: 'host-b', metadata });
});

test('early data arrives with the open, in half a round trip', () => {
  const p = new Pair(undefined, { delay: [50, 50] });
  p.run(1_000);
  p.answer = () => new End();
  const a = p.open();
  a.stream.write(utf8('hello'));
  p.run(51);
  assert.is(p.accepted[0]!.text, 'hello');
  assert.is(a.stream.state, 'opening');
  assert.equal(a.stream.unaccepted(), [utf8('hello')]);
  p.run(1_000);
  assert.equal(a.stream.unaccepted(), [utf8('hello')], 'kept until accepted, although received');
  p.accepted[0]!.stream.accept();
  p.run(1_000);
  assert.equal([a.said, a.stream.unaccepted(), a.stream.buffered], [['opened'], [], 0]);
});

test('without early credit the data waits for OPENED', () => {
  const p = new Pair(limitsWith({ receive: { pool: 0 } }), { delay: [50, 50] });
  p.run(1_000);
  const a = p.open();
  a.stream.write(utf8('hello'));
  p.run(101);
  assert.is(p.accepted[0]!.received, 0);
  p.run(51);
  assert.is(p.accepted[0]!.text, 'hello');
});

/** Chunks that a side writes from now on: each small record is one. */
function countRecords({ connection }: Pair, side: 0 | 1): () => number {
  const direction = connection.wire.directions[side];
  const write = direction.write.bind(direction);
  let records = 0;
  direction.write = chunks => {
    records += chunks.length;
    write(chunks);
  };
  return () => records;
}

test('an open waits a turn for the first bytes, so that both are one record', () => {
  for (const side of [0, 1] as const) {
    const p = new Pair();
    const records = countRecords(p, side);
    const end = p.open({}, side);
    p.world.timers.soon(() => end.stream.write(utf8('hello')));
    p.run(6);
    assert.is(records(), 1);
    assert.is(p.accepted[0]!.text, 'hello');
    // ... and no longer.
    p.open({}, side);
    p.run(6);
    assert.is(records(), 2);
    assert.is(p.accepted.length, 2);
  }
});

test('what is worth a large record leaves while its user writes, less waits for the end of the turn', () => {
  const p = new Pair(limitsWith({ receive: { initial: 8 * MiB } }), { delay: [5, 5] });
  const end = p.open({ class: 'bulk' });
  p.run(20);
  const records = countRecords(p, 0);
  end.stream.write(new Uint8Array(63 * KiB));
  end.stream.write(new Uint8Array(1023));
  assert.is(records(), 0);
  end.stream.write(new Uint8Array(1));
  assert.ok(records() > 0);
  p.run(50);
  // Where nothing may go, nobody tries.
  for (let i = 0; i < 40; i++) end.stream.write(new Uint8Array(64 * KiB));
  const sent = records();
  const { fill } = p.world.nodes[0].session as unknown as { fill: () => void };
  let asked = 0;
  Object.assign(p.world.nodes[0].session, {
    fill(this: unknown, ...args: []) {
      asked++;
      fill.apply(this, args);
    },
  });
  end.stream.write(new Uint8Array(64 * KiB));
  assert.equal([records(), asked], [sent, 0]);
});

/** The peer has answered and ended: nobody waits for the end of this side. */
function answered(p: Pair): End {
  const end = p.open();
  end.stream.write(utf8('question'));
  p.run(20);
  p.accepted.at(-1)!.stream.write(utf8('answer'));
  p.accepted.at(-1)!.stream.end();
  p.run(20);
  assert.equal(end.said, ['opened', 'fin']);
  return end;
}

test('an end behind that of the peer rides with the next record, or goes alone after two milliseconds', () => {
  const p = new Pair();
  const alone = answered(p);
  const records = countRecords(p, 0);
  alone.stream.end();
  p.run(1.9);
  assert.is(records(), 0);
  p.run(5.2);
  assert.equal(p.accepted[0]!.said, ['fin', 'closed']);
  p.run(1_000);
  assert.is(p.world.nodes[0].session.streamCount, 0);
  assert.is(p.world.nodes[1].session.streamCount, 0);

  const rides = answered(p);
  const before = records();
  rides.stream.end();
  p.open().stream.write(utf8('next'));
  p.run(5.1);
  assert.is(records() - before, 1);
  assert.equal(p.accepted[1]!.said, ['fin', 'closed']);
  assert.is(p.accepted[2]!.text, 'next');
});

test('the end of a peer that has not ended goes at once', () => {
  const p = new Pair();
  const end = p.open();
  p.run(20);
  end.stream.end();
  p.run(5.1);
  assert.equal(p.accepted[0]!.said, ['fin']);
});

test('a stream that is over is told before the next one is opened: full is full for both sides', () => {
  const p = new Pair(limitsWith({ session: { streams: 1 } }));
  for (let i = 0; i < 5; i++) {
    const end = p.open();
    end.stream.write(utf8('q'));
    end.stream.end();
    p.run(12);
    p.accepted.at(-1)!.stream.end();
    while (end.stream.state !== 'closed') p.run(0.5);
    assert.equal(end.said, ['opened', 'fin', 'closed']);
  }
});

test('a refused open: reset with the code, never dialed, bytes to be had for another try', () => {
  const p = new Pair();
  p.answer = () => 'denied';
  const a = p.open();
  a.stream.write(utf8('hello'));
  const bytes: Uint8Array[] = [];
  const reset = a.reset.bind(a);
  a.reset = (code, dialed) => {
    bytes.push(...a.stream.unaccepted());
    reset(code, dialed);
  };
  p.run(50);
  assert.equal([a.said, bytes], [['reset denied', 'closed'], [utf8('hello')]]);
  assert.equal(a.stream.unaccepted(), []);
  p.run(1_000);
  assert.equal(p.world.nodes.map(n => [n.session.streamCount, n.session.stats().retained]), [[0, 0], [0, 0]]); // prettier-ignore
});

test('a dial that fails later: reset says that it was dialed', () => {
  const p = new Pair();
  p.answer = () => new End();
  const a = p.open();
  p.run(50);
  p.accepted[0]!.stream.reset('refused', true);
  p.run(50);
  assert.equal([a.said, p.accepted[0]!.said], [['reset refused dialed', 'closed'], ['closed']]);
});

test('a reset ends both directions at once and forgets what was queued', () => {
  const p = new Pair();
  const a = p.open();
  p.run(50);
  const b = p.accepted[0]!;
  a.stream.write(new Uint8Array(500_000));
  b.stream.write(new Uint8Array(500_000));
  a.stream.reset('caller-gone');
  assert.is(a.stream.write(new Uint8Array(10)), true, 'writing to it does nothing');
  a.stream.end();
  a.stream.consumed(99);
  p.run(100);
  assert.equal(
    [a.said, b.said],
    [
      ['opened', 'closed'],
      ['reset caller-gone', 'closed'],
    ],
  );
  b.stream.reset('cancelled');
  b.stream.consumed(1);
  p.run(1_000);
  assert.equal(p.world.nodes.map(n => [n.session.streamCount, n.session.stats().retained]), [[0, 0], [0, 0]]); // prettier-ignore
});

test('an open taken back within its turn is never told', () => {
  const p = new Pair();
  const a = p.open();
  a.stream.write(utf8('x'));
  a.stream.reset('cancelled');
  p.run(100);
  assert.equal([p.accepted.length, a.said], [0, ['closed']]);
  p.open().stream.write(utf8('y'));
  p.run(100);
  assert.is(p.accepted[0]!.text, 'y', 'and the next id is understood');
});

test('misuse is an error of this side', () => {
  const p = new Pair();
  const a = p.open();
  a.stream.end();
  assert.throws(() => a.stream.write(utf8('x')), /behind the end/);
  assert.throws(() => a.stream.consumed(1), /more bytes consumed/);
  assert.throws(() => p.open({ service: '' }), /service name/);
  assert.throws(() => p.open({ service: 'x'.repeat(64) }), /service name/);
  assert.throws(() => p.open({ metadata: new Map([['k', 'v'.repeat(4_096)]]) }), /metadata/);
});

test('too many streams: an error of this side; ids that are used up likewise', () => {
  const p = new Pair(limitsWith({ session: { streams: 3 } }));
  for (let i = 0; i < 3; i++) p.open();
  assert.throws(() => p.open(), /3 streams/);
  const q = new Pair();
  const { session } = q.world.nodes[0];
  (session as unknown as { nextId: number }).nextId = Number.MAX_SAFE_INTEGER - 1;
  const last = q.open();
  last.stream.write(utf8('the last one'));
  q.run(100);
  assert.is(q.accepted[0]!.text, 'the last one');
  assert.throws(() => q.open(), /used up/);
});

test('goaway: no new streams, open ones run on; an open on its way is refused as draining', () => {
  const p = new Pair();
  const a = p.open();
  p.run(50);
  p.world.nodes[1].session.goaway();
  const late = p.open();
  p.run(50);
  assert.equal(late.said, ['reset draining', 'closed']);
  assert.throws(() => p.open(), /no new streams/);
  a.stream.write(utf8('still'));
  const back = p.open({}, 1);
  back.stream.write(utf8('me too'));
  p.run(50);
  assert.equal(p.accepted.map(e => e.text), ['still', 'me too']); // prettier-ignore
});

test('write says when to pause and drain when to go on; the buffer stays within its bound', () => {
  const p = new Pair();
  const a = p.open({ class: 'bulk' });
  p.run(50);
  const b = p.accepted[0]!;
  b.consumes = false;
  let written = 0;
  while (a.stream.write(new Uint8Array(10_000))) written += 10_000;
  p.run(2_000);
  assert.equal(a.said, ['opened']);
  assert.ok(written <= 256 * KiB, `${written} taken`);
  assert.is(b.received, 64 * KiB);
  b.consumes = true;
  b.stream.consumed(b.received);
  p.run(2_000);
  assert.equal(a.said, ['opened', 'drain']);
  assert.is(a.stream.buffered, 0);
});

test('a small exchange leaves nothing retained for long', () => {
  const p = new Pair();
  const a = p.open();
  a.stream.write(new Uint8Array(200));
  p.run(1_000);
  assert.is(a.stream.buffered, 0);
});

// ── many ───────────────────────────────────────────────────────────────────────────────────────────────────────────

/** Keeps a stream writing. @returns bytes written so far, on each call */
function pump(end: End, chunkBytes: number): { bytes: number } {
  const sum = { bytes: 0 };
  const chunk = new Uint8Array(chunkBytes);
  const more = (): void => {
    do sum.bytes += chunkBytes;
    while (end.stream.write(chunk));
  };
  end.drain = more;
  more();
  return sum;
}

test('stalled readers: the others keep their speed, memory stays within its budget', () => {
  const limits = limitsWith({ receive: { peer: 8 * MiB }, retain: { peer: 8 * MiB } });
  const measure = (stalled: number): { rate: number; pair: Pair } => {
    const p = new Pair(limits, { delay: [5, 5], rate: 12_500 });
    for (let i = 0; i < stalled; i++) {
      const s = p.open({ class: i % 2 === 0 ? 'bulk' : 'interactive', service: 'stalled' });
      p.run(20);
      p.accepted.at(-1)!.consumes = false;
      pump(s, 20_000);
    }
    p.run(2_000);
    const live = p.open({ class: 'bulk' });
    p.run(50);
    pump(live, 20_000);
    p.run(2_000);
    const before = p.accepted.at(-1)!.received;
    p.run(2_000);
    const rate = (p.accepted.at(-1)!.received - before) / 2_000;
    for (const n of p.world.nodes) {
      assert.ok(n.budget.granted <= limits.receive.peer, `${n.budget.granted} granted`);
      assert.ok(n.budget.retained <= limits.retain.peer + stalled * limits.retain.least, `${n.budget.retained} retained`);
    }
    return { rate, pair: p };
  };
  const alone = measure(0);
  assert.ok(alone.rate > 0.8 * 12_500, `${alone.rate} alone`);
  const beside = measure(full(40, 100));
  assert.ok(beside.rate >= 0.9 * alone.rate, `${beside.rate} beside stalled ones, ${alone.rate} alone`);
  const unread = beside.pair.accepted.filter(e => !e.consumes).reduce((sum, e) => sum + e.received, 0);
  assert.ok(unread <= limits.receive.peer);
}, { deadline: 60_000 }); // prettier-ignore

test('all streams stall: memory is bounded, and everything goes on afterwards', () => {
  const limits = limitsWith({
    receive: { peer: 2 * MiB, process: 3 * MiB },
    retain: { peer: 2 * MiB, least: 4 * KiB },
  });
  const p = new Pair(limits);
  p.answer = stream => {
    stream.accept();
    const end = new End();
    end.consumes = false;
    return end;
  };
  const ends = Array.from({ length: 200 }, () => p.open());
  const total = 40_000;
  for (const e of ends) {
    e.stream.write(new Uint8Array(total));
    e.stream.end();
  }
  p.run(5_000);
  const [sender, receiver] = p.world.nodes;
  assert.ok(receiver.budget.granted <= 2 * MiB, `${receiver.budget.granted}`);
  assert.ok(p.accepted.reduce((sum, e) => sum + e.received, 0) <= 2 * MiB);
  for (const e of p.accepted) {
    e.consumes = true;
    e.stream.consumed(e.received);
  }
  p.run(30_000);
  assert.ok(p.accepted.every(e => e.received === total && e.said.includes('fin')));
  for (const e of p.accepted) e.stream.end();
  p.run(5_000);
  assert.equal([sender.budget.retained, receiver.session.streamCount], [0, 0]);
});

test('two thousand streams at once, and every one has its own bytes', () => {
  const p = new Pair();
  p.answer = stream => {
    const end = new End();
    end.data = chunk => {
      stream.consumed(chunk.length);
      stream.write(chunk.slice());
    };
    end.fin = () => stream.end();
    stream.accept();
    return end;
  };
  const ends = Array.from({ length: 2_000 }, () => p.open());
  ends.forEach((e, i) => e.stream.write(utf8(`${i} `.repeat(20))));
  p.run(500);
  assert.is(p.world.nodes[0].session.streamCount, 2_000);
  ends.forEach(e => e.stream.end());
  p.run(2_000);
  ends.forEach((e, i) => assert.equal([e.text, e.said.at(-1)], [`${i} `.repeat(20), 'closed']));
  p.run(2_000);
  assert.equal(p.world.nodes.map(n => n.session.streamCount), [0, 0]); // prettier-ignore
  assert.equal(p.world.nodes.map(n => n.budget.retained), [0, 0]); // prettier-ignore
});

test('ten equal bulk streams share a slow link, and a request beside them is quick', () => {
  const p = new Pair(undefined, { delay: [10, 10], rate: 12_500 });
  const bulk = Array.from({ length: 10 }, () => p.open({ class: 'bulk' }));
  p.run(100);
  bulk.forEach(e => pump(e, 64 * KiB));
  p.run(3_000);
  const before = p.accepted.map(e => e.received);
  p.run(5_000);
  const got = p.accepted.map((e, i) => e.received - before[i]!);
  const mean = got.reduce((a, b) => a + b) / got.length;
  for (const g of got) assert.ok(Math.abs(g - mean) < 0.15 * mean, `${g} of ${mean}`);
  assert.ok(mean * 10 > 0.8 * 12_500 * 5_000, `${mean * 10} in all`);
  const latencies: number[] = [];
  const request = p.open();
  for (let i = 0; i < 50; i++) {
    p.run(37);
    const start = p.world.timers.monotonic();
    const seen = p.accepted[10]?.received ?? 0;
    request.stream.write(new Uint8Array(200));
    p.world.timers.runUntil(() => (p.accepted[10]?.received ?? 0) >= seen + 200, 10_000);
    latencies.push(p.world.timers.monotonic() - start);
  }
  // One way is 10 ms; before the link knew its rate the queue may have been longer.
  assert.ok(Math.max(...latencies) < 60, `${Math.max(...latencies)} ms`);
});

test('a long fat path is filled by one stream', () => {
  const p = new Pair(undefined, { delay: [50, 50], rate: 62_500 });
  const a = p.open({ class: 'bulk' });
  p.run(300);
  pump(a, 256 * KiB);
  p.run(4_000);
  const before = p.accepted[0]!.received;
  p.run(2_000);
  const rate = (p.accepted[0]!.received - before) / 2_000;
  assert.ok(rate > 0.8 * 62_500, `${rate} of 62500 bytes per ms`);
});

// ── news ───────────────────────────────────────────────────────────────────────────────────────────────────────────

test('news arrives in order, does not hold up requests, and is bounded', () => {
  const p = new Pair(limitsWith({ session: { newsBytes: 3 * MiB } }), { delay: [5, 5], rate: 1_000 });
  const { session } = p.world.nodes[0];
  for (let i = 0; i < 40; i++) session.news(i, new Uint8Array(64 * KiB));
  assert.throws(() => {
    for (let i = 0; i < 40; i++) session.news(i, new Uint8Array(64 * KiB));
  }, /news wait/);
  assert.throws(() => session.news(1, new Uint8Array(64 * KiB + 1)), /at most/);
  p.run(60_000);
  const kinds = p.world.nodes[1].news.map(([kind]) => kind);
  assert.equal(
    kinds.slice(0, 40),
    Array.from({ length: 40 }, (_, i) => i),
  );
});

test('news without a link is not kept: onUp is when to tell', () => {
  const p = new Pair();
  p.world.nodes[0].onUp = session => session.news(9, utf8('state'));
  p.connection.wire.cut();
  p.run(100);
  p.world.nodes[0].slot.news(1, utf8('lost'));
  p.world.admit();
  p.run(100);
  assert.equal(p.world.nodes[1].news, [[9, utf8('state')]]);
});

test.run();
