import { MAX_CLAIM, limitsWith, type Limits } from '../../../protocol/limits.js';
import { PeerBudget, ProcessBudget, StreamCredit } from '../../../protocol/session/credit.js';
import { PoolGrant, PoolUse } from '../../../protocol/session/pool.js';
import { assert, suite } from '../../helpers/suite.js';

const test = suite('credit');
const KiB = 1024;
const MiB = 1024 * KiB;

function budgets(changes = {}): { process: ProcessBudget; peer: PeerBudget; limits: Limits } {
  const limits = limitsWith(changes);
  const process = new ProcessBudget(limits);
  return { process, peer: new PeerBudget(process, limits), limits };
}

/** A stream whose application consumes all at once, so fast that the window is tight each time. */
function consumeFast(credit: StreamCredit, times: number, msEach: number, start = 0): void {
  let now = start;
  for (let i = 0; i < times; i++) {
    credit.consume(credit.limit - credit.consumed, (now += msEach), 10);
    credit.extend();
    credit.told(credit.limit);
  }
}

test('a new stream gets the initial window; consuming moves it on', () => {
  const { peer, limits } = budgets();
  const credit = new StreamCredit(peer, limits.receive, 0);
  credit.extend();
  assert.is(credit.limit, 64 * KiB);
  assert.is(peer.granted, 64 * KiB);
  credit.consume(1000, 10_000, 10);
  assert.is(peer.granted, 64 * KiB - 1000);
  credit.extend();
  assert.is(credit.limit, 64 * KiB + 1000);
});

test('the window grows with the rate of consumption, to the limit of a stream and no further', () => {
  const { peer, limits } = budgets();
  const credit = new StreamCredit(peer, limits.receive, 0);
  credit.extend();
  consumeFast(credit, 3, 5);
  assert.is(credit.window, 512 * KiB);
  consumeFast(credit, 20, 5, 100);
  assert.is(credit.window, 16 * MiB);
});

test('it grows as well when all of it comes at once, a bit more than a round trip behind the last', () => {
  const { peer, limits } = budgets();
  const credit = new StreamCredit(peer, limits.receive, 0);
  credit.extend();
  consumeFast(credit, 3, 11);
  assert.is(credit.window, 512 * KiB);
});

test('it does not grow for slow consumers', () => {
  const { peer, limits } = budgets();
  const slow = new StreamCredit(peer, limits.receive, 0);
  slow.extend();
  consumeFast(slow, 20, 25);
  assert.is(slow.window, 64 * KiB);
});

test('the budgets of peer and process are never exceeded, and growth leaves room for new streams', () => {
  const { peer, process, limits } = budgets({ receive: { peer: 8 * MiB, process: 12 * MiB } });
  const other = new PeerBudget(process, limits);
  const streams = [peer, other].flatMap(b => Array.from({ length: 4 }, () => new StreamCredit(b, limits.receive, 0)));
  for (let round = 0; round < 20; round++) {
    for (const s of streams) consumeFast(s, 1, 1, round);
    assert.ok(peer.granted <= 8 * MiB && process.granted <= 12 * MiB);
  }
  const late = new StreamCredit(peer, limits.receive, 0);
  late.extend();
  assert.ok(late.limit >= 4 * KiB, `${late.limit}`);
});

test('two thousand stalled streams all get something, and the sum stays within the budget', () => {
  const { peer, limits } = budgets();
  const streams = Array.from({ length: 2_048 }, () => new StreamCredit(peer, limits.receive, 0));
  for (const s of streams) s.extend();
  assert.ok(streams.every(s => s.limit >= limits.receive.least));
  assert.ok(peer.granted <= limits.receive.peer);
});

test('eight thousand streams that rest after a small exchange have a window each, and nobody starves', () => {
  const { peer, limits } = budgets();
  const streams: StreamCredit[] = [];
  for (let i = 0; i < 8_000; i++) {
    const credit = new StreamCredit(peer, limits.receive, i);
    streams.push(credit);
    credit.extend();
    credit.consume(200, i + 1, 1);
    credit.extend();
    assert.ok(credit.limit - credit.consumed >= limits.receive.least, `stream ${i} has ${credit.limit}`);
    assert.is(credit.isStarving, false);
  }
  assert.ok(streams.slice(0, 1_000).every(s => s.limit >= limits.receive.initial));
  assert.ok(peer.granted <= limits.receive.peer);
});

test('a stream that began with little has a whole window when the others are gone', () => {
  const { peer, limits } = budgets({ receive: { peer: 1 * MiB } });
  const first = Array.from({ length: 100 }, () => new StreamCredit(peer, limits.receive, 0));
  for (const credit of first) credit.extend();
  const late = new StreamCredit(peer, limits.receive, 0);
  late.extend();
  assert.ok(late.limit < limits.receive.initial / 2, `${late.limit}`);
  for (const credit of first) credit.cancel();
  late.extend();
  assert.is(late.limit, limits.receive.initial);
});

test('with no budget left a stream starves, and says so until there is some', () => {
  const { peer, limits } = budgets({ receive: { peer: 64 * KiB, initial: 64 * KiB } });
  peer.grant(64 * KiB);
  const credit = new StreamCredit(peer, limits.receive, 0);
  credit.extend();
  assert.is(credit.limit, 0);
  assert.ok(credit.isStarving);
  peer.giveBack(32 * KiB);
  credit.extend();
  assert.ok(credit.limit >= limits.receive.least);
  assert.is(credit.isStarving, false);
});

test('every way out gives all credit back, once', () => {
  const { peer, process, limits } = budgets();
  const ended = new StreamCredit(peer, limits.receive, 0);
  ended.extend();
  ended.finish(500);
  assert.is(peer.granted, 500);
  ended.consume(500, 1, 1);
  assert.is(peer.granted, 0);
  const reset = new StreamCredit(peer, limits.receive, 0);
  reset.extend();
  reset.consume(100, 1, 1);
  reset.cancel();
  reset.cancel();
  reset.consume(100, 1, 1);
  assert.is(peer.granted, 0);
  const lost = new StreamCredit(peer, limits.receive, 0);
  lost.extend();
  peer.retain(77);
  peer.close();
  lost.cancel();
  peer.release(77);
  assert.equal([process.granted, process.retained, peer.grant(10)], [0, 0, 0]);
});

test('WINDOW is worth a frame for a quarter of the window, consumed or received', () => {
  const { peer, limits } = budgets();
  const credit = new StreamCredit(peer, limits.receive, 0);
  credit.extend();
  credit.told(0);
  credit.consume(16 * KiB - 1, 1, 1);
  assert.is(credit.isWorthTelling(16 * KiB - 1), false);
  credit.consume(1, 1, 1);
  assert.ok(credit.isWorthTelling(16 * KiB - 1));
  assert.ok(credit.hasNews(1));
});

test('the pool: claims within the grant, raised as opens come', () => {
  const { peer, limits } = budgets();
  const grant = new PoolGrant(peer, limits.receive);
  const use = new PoolUse();
  assert.is(use.claim(), 0, 'nothing was granted yet');
  assert.ok(grant.raise());
  use.raise(grant.limit);
  grant.told();
  assert.is(grant.raise(), false);
  let claimed = 0;
  for (let i = 0; i < 200; i++) {
    const claim = use.claim();
    assert.ok(claim <= MAX_CLAIM);
    claimed += claim;
    grant.take(claim);
    assert.is(peer.granted, grant.limit, 'what is claimed stays granted');
    if (grant.raise()) {
      use.raise(grant.limit);
      use.raise(1);
      grant.told();
    }
  }
  assert.ok(claimed > limits.receive.pool);
  assert.throws(() => grant.take(grant.limit), /more than it was granted/);
});

test('the pool: a thousand idle peers leave most of the budget to streams', () => {
  const { process, limits } = budgets();
  for (let i = 0; i < 1_000; i++) new PoolGrant(new PeerBudget(process, limits), limits.receive).raise();
  assert.ok(process.granted <= 0.75 * limits.receive.process);
  const credit = new StreamCredit(new PeerBudget(process, limits), limits.receive, 0);
  credit.extend();
  assert.is(credit.limit, limits.receive.initial);
});

test('the pool: a burst of opens gets something each, then nothing', () => {
  const { peer, limits } = budgets();
  const grant = new PoolGrant(peer, limits.receive);
  const use = new PoolUse();
  grant.raise();
  use.raise(grant.limit);
  const claims = Array.from({ length: 2_000 }, () => use.claim());
  assert.ok(claims.slice(0, 50).every(c => c >= 4 * KiB));
  assert.is(claims.at(-1), 0);
  assert.is(
    claims.reduce((a, b) => a + b, 0),
    grant.limit,
  );
});

test.run();
