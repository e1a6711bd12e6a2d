import { RecordDraft } from '../../../protocol/link/index.js';
import { Scheduler, type Flow } from '../../../protocol/session/scheduler.js';
import { assert, suite } from '../../helpers/suite.js';

const test = suite('the scheduler');
const KiB = 1024;

class TestFlow implements Flow {
  sent = 0;
  hasFin = false;
  constructor(
    readonly isBulk: boolean,
    public sendable: number,
  ) {}

  writeData(draft: RecordDraft, max: number): number {
    if (max > 0) draft.data(0, this.sent, [new Uint8Array(max)], max);
    this.sent += max;
    this.sendable -= max;
    this.hasFin = false;
    return max;
  }
}

interface Room {
  readonly target?: number;
  readonly data?: number;
  readonly bulk?: number;
}

/** One record as the session fills it. @returns the draft, and bytes of payload added */
function fill(scheduler: Scheduler, room: Room = {}): RecordDraft {
  const draft = new RecordDraft();
  draft.begin(0, room.target ?? 16 * KiB);
  draft.dataRoom = room.data ?? Infinity;
  draft.bulkRoom = room.bulk ?? Infinity;
  scheduler.fillSparse(draft);
  const before = draft.size;
  if (!draft.isFull) scheduler.fillHeavy(draft);
  if (draft.size > before) scheduler.fillSparse(draft);
  return draft;
}

function withFlows(...flows: TestFlow[]): Scheduler {
  const scheduler = new Scheduler();
  for (const f of flows) scheduler.activate(f);
  return scheduler;
}

test('ten equal bulk streams get equal shares', () => {
  const flows = Array.from({ length: 10 }, () => new TestFlow(true, Infinity));
  const scheduler = withFlows(...flows);
  for (let i = 0; i < 1_000; i++) fill(scheduler);
  const mean = flows.reduce((sum, f) => sum + f.sent, 0) / flows.length;
  for (const f of flows) assert.ok(Math.abs(f.sent - mean) / mean < 0.02, `${f.sent} of ${mean}`);
});

test('shares are of bytes, not of turns: a stream that sends in dribs gets no more', () => {
  const steady = new TestFlow(true, Infinity);
  const dribs = new TestFlow(true, 0);
  const scheduler = withFlows(steady, dribs);
  for (let i = 0; i < 1_000; i++) {
    dribs.sendable = 30 * KiB;
    scheduler.activate(dribs);
    fill(scheduler);
  }
  assert.ok(dribs.sent <= steady.sent * 1.05, `${dribs.sent} against ${steady.sent}`);
});

test('sparse streams go first, in front of any backlog', () => {
  const bulk = new TestFlow(true, Infinity);
  const scheduler = withFlows(bulk);
  for (let i = 0; i < 10; i++) fill(scheduler);
  const key = new TestFlow(false, 20);
  scheduler.activate(key);
  const before = bulk.sent;
  fill(scheduler, { target: 100 });
  assert.equal([key.sent, bulk.sent - before], [20, 0]);
});

test('sparse streams pass the cap on bulk, heavy ones wait and say so', () => {
  const bulk = new TestFlow(true, Infinity);
  const key = new TestFlow(false, 20);
  const scheduler = withFlows(bulk, key);
  const draft = fill(scheduler, { bulk: 0 });
  assert.equal([key.sent, bulk.sent, draft.isBlocked], [20, 0, true]);
});

test('an interactive stream with much to say becomes one of the heavy', () => {
  const talker = new TestFlow(false, Infinity);
  const scheduler = withFlows(talker);
  for (let i = 0; i < 10; i++) fill(scheduler, { bulk: 0 });
  assert.is(talker.sent, 16 * KiB);
  // ... until it has said all of it.
  talker.sendable = 10;
  fill(scheduler);
  talker.sendable = 10;
  scheduler.activate(talker);
  fill(scheduler, { bulk: 0 });
  assert.is(talker.sent, 16 * KiB + 20);
});

test('one bulk and a hundred interactive streams: none starves', () => {
  const bulk = new TestFlow(true, Infinity);
  const talkers = Array.from({ length: 100 }, () => new TestFlow(false, 0));
  const scheduler = withFlows(bulk);
  for (let i = 0; i < 500; i++) {
    for (const t of talkers) {
      t.sendable = 10 * KiB;
      scheduler.activate(t);
    }
    // The link takes less than they want.
    for (let k = 0; k < 10; k++) fill(scheduler, { target: 64 * KiB });
  }
  assert.ok(bulk.sent > 500 * 10 * KiB, `bulk got ${bulk.sent}`);
  for (const t of talkers) assert.ok(t.sent > 0);
});

test('a full link takes nothing, and a stream that is removed is not asked', () => {
  const [a, b] = [new TestFlow(false, 100), new TestFlow(true, 100)];
  const scheduler = withFlows(a, b);
  assert.ok(fill(scheduler, { data: 0, bulk: 0 }).isBlocked);
  assert.equal([a.sent, b.sent], [0, 0]);
  scheduler.remove(a);
  scheduler.remove(b);
  assert.ok(scheduler.isIdle);
  assert.is(fill(scheduler).size, 0);
});

test('FIN alone is work, and needs no room', () => {
  for (const isBulk of [false, true]) {
    const flow = new TestFlow(isBulk, 0);
    flow.hasFin = true;
    const scheduler = withFlows(flow);
    fill(scheduler, { data: 0, bulk: 0 });
    assert.is(flow.hasFin, false);
    assert.ok(scheduler.isIdle);
  }
});

test('large data of different streams does not share records', () => {
  const flows = [new TestFlow(true, Infinity), new TestFlow(true, Infinity)];
  const scheduler = withFlows(...flows);
  for (let i = 0; i < 20; i++) {
    const before = flows.map(f => f.sent);
    fill(scheduler, { target: 256 * KiB });
    const grown = flows.filter((f, k) => f.sent - before[k]! >= 1024);
    assert.is(grown.length, 1);
  }
});

test.run();
