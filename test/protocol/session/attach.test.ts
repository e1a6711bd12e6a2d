/** Which link is for what: NEW, ATTACH, surplus; restarts, doubles and thieves. */
import { EMPTY } from '../../../protocol/bytes.js';
import type { Code } from '../../../protocol/codes.js';
import { limitsWith } from '../../../protocol/limits.js';
import { FRAME, decodeAttach, encodeAttach } from '../../../protocol/link/index.js';
import type { Stream, StreamHandler } from '../../../protocol/session/index.js';
import { assert, suite } from '../../helpers/suite.js';
import { Liar } from './liar.js';
import { World, type Connection, type NodeOptions } from './world.js';

const test = suite('attach');

interface Echo {
  readonly got: number[];
  readonly resets: Code[];
  stream: Stream | undefined;
}

/** Both sides accept everything and send it back. */
function echoing(limits?: NodeOptions['limits']): { world: World; resets: Code[] } {
  const resets: Code[] = [];
  const options: NodeOptions = {
    ...(limits === undefined ? {} : { limits }),
    onStream(stream) {
      return {
        data(chunk) {
          stream.consumed(chunk.length);
          stream.write(chunk);
        },
        fin: () => stream.end(),
        reset: code => void resets.push(code),
      };
    },
  };
  return { world: new World('attach', [options, options]), resets };
}

/** A stream from one side on which bytes go round. */
function open(world: World, side: 0 | 1): Echo {
  const echo: Echo = { got: [], resets: [], stream: undefined };
  const handler: StreamHandler = {
    data(chunk) {
      echo.got.push(...chunk);
      echo.stream!.consumed(chunk.length);
    },
    fin: () => undefined,
    reset: code => void echo.resets.push(code),
  };
  echo.stream = world.nodes[side].session.open({ service: 'echo', class: 'interactive' }, handler);
  return echo;
}

function linkCounts(world: World): number[] {
  return world.nodes.map(n => n.slot.session?.links.length ?? -1);
}

function closedCodes(world: World): Code[][] {
  return world.nodes.map(n => n.closed.map(([code]) => code));
}

test('the first link makes a session at both ends', () => {
  const { world } = echoing();
  world.admit({ delay: [5, 5] });
  world.timers.run(11);
  assert.equal(world.nodes.map(n => n.events), [['up'], ['up']]); // prettier-ignore
});

test('whichever side decides, what a stream says first goes out with the answer to NEW', () => {
  for (const side of [0, 1] as const) {
    const { world } = echoing();
    const came: number[] = [];
    world.nodes[1 - side]!.onStream = () => ({
      data: () => void came.push(world.timers.monotonic()),
      fin: () => undefined,
      reset: () => undefined,
    });
    world.nodes[side].onUp = () => {
      if (came.length === 0) open(world, side).stream!.write(Uint8Array.of(1));
    };
    const began = world.timers.monotonic();
    world.admit({ delay: [100, 100] });
    world.timers.run(1_000);
    // NEW there, its answer back, and data one way: who answers need not wait for a POOL in between.
    const ways = side === 0 ? 3 : 2;
    assert.ok(came[0]! - began < ways * 100 + 50, `side ${side}: ${came[0]! - began} ms`);
  }
});

test('the pool behind a NEW that has to wait counts when its session begins, and is free again when it does not', () => {
  const { world } = echoing();
  const first = world.admit();
  world.timers.run(50);
  first.wire.silence();
  world.nodes[0].restart();
  const idle = world.nodes[0].budget.granted;
  const again = world.admit({ delay: [100, 100] });
  world.timers.run(1_000);
  assert.ok(world.nodes[0].budget.granted > idle, 'the pool is counted as soon as it is told');
  const came: number[] = [];
  world.nodes[0].onStream = () => ({
    data: () => void came.push(world.timers.monotonic()),
    fin: () => undefined,
    reset: () => undefined,
  });
  let upAt = Number.POSITIVE_INFINITY;
  world.nodes[1].onUp = () => {
    upAt = world.timers.monotonic();
    open(world, 1).stream!.write(Uint8Array.of(1));
  };
  world.timers.run(10_000);
  assert.equal(world.nodes[1].events, ['up', 'down peer-restarted', 'up']);
  assert.is(again.links[0].isClosed, false);
  assert.ok(came[0]! - upAt < 150, `${came[0]! - upAt} ms behind the answer`);
  const dropped = new World('dropped', [{}, {}]);
  const link = dropped.connect();
  link.links[1].setHandler({ frame: () => undefined });
  dropped.nodes[0].slot.linkAdmitted(link.links[0]);
  dropped.timers.run(50);
  assert.ok(dropped.nodes[0].budget.granted > 0);
  link.links[0].close('no-error');
  assert.is(dropped.nodes[0].budget.granted, 0);
  assert.equal(dropped.nodes[0].events, []);
});

test('two dials at once end in one session, and its streams hold', () => {
  const { world } = echoing(limitsWith({ session: { links: 1 } }));
  world.admit({ delay: [5, 5] });
  world.admit({ delay: [5, 5] });
  world.timers.run(500);
  assert.equal(linkCounts(world), [1, 1]);
  assert.equal(closedCodes(world), [['surplus'], ['surplus']]);
  assert.equal(world.nodes.map(n => n.events), [['up'], ['up']]); // prettier-ignore
  assert.equal(
    world.nodes.flatMap(n => n.alarms),
    [],
  );
});

test('a stream goes on over a new link, whoever opened it', () => {
  const { world } = echoing();
  const first = world.admit({ delay: [5, 5] });
  world.timers.run(50);
  const echoes = [open(world, 0), open(world, 1)];
  for (const e of echoes) e.stream!.write(Uint8Array.of(1, 2, 3));
  world.timers.run(50);
  first.wire.cut();
  world.timers.run(50);
  assert.equal(linkCounts(world), [0, 0]);
  for (const e of echoes) e.stream!.write(Uint8Array.of(4));
  world.admit({ delay: [5, 5] });
  world.timers.run(100);
  for (const e of echoes) assert.equal([e.got, e.resets], [[1, 2, 3, 4], []]);
  assert.is(world.nodes[0].session.stats().resumptions, 1);
});

test('streams opened while there is no link are opened when there is one', () => {
  const { world } = echoing();
  const first = world.admit();
  world.timers.run(50);
  first.wire.cut();
  world.timers.run(50);
  const e = open(world, 1);
  e.stream!.write(Uint8Array.of(7));
  world.admit();
  world.timers.run(50);
  assert.equal(e.got, [7]);
});

test('many streams opened and reset on both sides while there is no link: neither side takes the other for a liar', () => {
  const { world } = echoing(limitsWith({ session: { streams: 2 } }));
  const first = world.admit();
  world.timers.run(50);
  for (const side of [0, 1] as const) open(world, side);
  world.timers.run(50);
  first.wire.silence();
  // All of them are told on the next link, and kept till then.
  for (let i = 0; i < 6; i++) {
    for (const side of [0, 1] as const) {
      const e = open(world, side);
      world.timers.run(50);
      e.stream!.reset('caller-gone');
    }
  }
  world.admit();
  world.timers.run(10_000);
  assert.equal(linkCounts(world), [1, 1]);
  assert.ok(world.nodes.every(node => !node.events.some(event => event.startsWith('down'))));
});

test('grace: the streams are reset when no link comes for two minutes', () => {
  const { world } = echoing();
  const first = world.admit();
  world.timers.run(50);
  const e = open(world, 0);
  world.timers.run(50);
  first.wire.cut();
  world.timers.run(119_000);
  assert.equal(e.resets, []);
  world.timers.run(2_000);
  assert.equal(e.resets, ['grace-over']);
  assert.equal(world.nodes[0].events, ['up', 'held', 'down grace-over']);
  assert.is(world.nodes[0].slot.session, undefined);
  assert.is(world.timers.waiting, 0);
});

test('grace is over only while there is no link', () => {
  const { world } = echoing();
  const first = world.admit();
  world.timers.run(50);
  const e = open(world, 0);
  first.wire.cut();
  world.timers.run(100_000);
  world.admit();
  world.timers.run(100_000);
  assert.equal(e.resets, []);
  assert.equal(world.nodes[0].events, ['up', 'held', 'up']);
});

for (const [side, role] of [
  [0, 'decides'],
  [1, 'answers'],
] as const) {
  // prettier-ignore
  const other = (1 - side) as 0 | 1;

  test(`the side that ${role} restarts: the other resets its streams at once`, () => {
    const { world } = echoing();
    const first = world.admit({ delay: [5, 5] });
    world.timers.run(50);
    const e = open(world, other);
    world.timers.run(50);
    first.wire.cut();
    world.nodes[side].restart();
    world.admit({ delay: [5, 5] });
    world.timers.run(100);
    assert.equal(e.resets, ['peer-restarted']);
    assert.equal(linkCounts(world), [1, 1]);
    assert.equal(world.nodes[other].alarms, []);
    const again = open(world, other);
    again.stream!.write(Uint8Array.of(1));
    world.timers.run(50);
    assert.equal(again.got, [1]);
  });

  test(`the side that ${role} restarts behind a silent wire: seen within the ping deadline`, () => {
    const { world } = echoing();
    const first = world.admit({ delay: [5, 5] });
    world.timers.run(50);
    const e = open(world, other);
    world.timers.run(50);
    first.wire.silence();
    world.nodes[side].restart();
    world.admit({ delay: [5, 5] });
    world.timers.run(5_500);
    assert.equal(e.resets, ['peer-restarted']);
    assert.equal(linkCounts(world), [1, 1]);
    assert.equal(world.nodes[other].alarms, []);
  });

  test(`a second host with the identity of the side that ${role} gets nothing, and the alarm is raised`, () => {
    const { world } = echoing();
    world.admit({ delay: [5, 5] });
    world.timers.run(50);
    const e = open(world, other);
    e.stream!.write(Uint8Array.of(1));
    world.timers.run(50);
    // The thief: same keys, so a link of its own, but another process.
    const honest = world.nodes[side].slot;
    world.nodes[side].restart();
    const second = world.admit({ delay: [5, 5] });
    world.timers.run(6_000);
    assert.ok(second.links[other].isClosed);
    assert.is(world.nodes[other].closed.at(-1)?.[0], 'duplicate-identity');
    assert.is(world.nodes[other].alarms.length, 1);
    assert.match(world.nodes[other].alarms[0]!, /two hosts run as/);
    e.stream!.write(Uint8Array.of(2));
    world.timers.run(50);
    assert.equal([e.got, e.resets], [[1, 2], []]);
    assert.is(honest.session?.links.length, 1);
  });
}

test('a link that fell silent makes way for a new one at once', () => {
  const { world } = echoing();
  const first = world.admit({ delay: [5, 5] });
  world.timers.run(50);
  const e = open(world, 1);
  world.timers.run(50);
  first.wire.silence();
  e.stream!.write(Uint8Array.of(1, 2));
  world.timers.run(100);
  world.admit({ delay: [5, 5] });
  world.timers.run(2_500);
  assert.equal([e.got, e.resets], [[1, 2], []]);
  assert.equal(linkCounts(world), [1, 1]);
});

test('one side alone lost the link: the other joins it on the new one', () => {
  const { world } = echoing();
  const first = world.admit({ delay: [5, 5] });
  world.timers.run(50);
  const e = open(world, 1);
  world.timers.run(50);
  // The deciding side hears of the loss, the answering one believes in its link and has bytes on it.
  first.wire.silence();
  e.stream!.write(Uint8Array.of(1, 2));
  world.timers.run(10);
  first.links[0].transportClosed('gone');
  world.admit({ delay: [5, 5] });
  world.timers.run(2_000);
  assert.equal(e.got, [1, 2]);
});

test('an old link makes way for a new one without a lost byte', () => {
  const { world } = echoing(limitsWith({ session: { links: 1, replaceAfterMs: 10_000 } }));
  world.admit({ delay: [5, 5] });
  world.timers.run(50);
  const e = open(world, 0);
  world.timers.run(11_000);
  e.stream!.write(new Uint8Array(5_000).fill(1));
  world.admit({ delay: [5, 5] });
  e.stream!.write(new Uint8Array(5_000).fill(2));
  world.timers.run(5_500);
  assert.is(e.got.length, 10_000);
  assert.equal(linkCounts(world), [1, 1]);
  assert.equal(closedCodes(world), [['replaced'], ['replaced']]);
  assert.equal(world.nodes[0].session.stats().bytesResent, 0);
});

test('two links when two are wanted; losing either is not noticed', () => {
  for (const victim of [0, 1]) {
    const { world } = echoing(limitsWith({ session: { links: 2 } }));
    const connections: Connection[] = [world.admit({ delay: [5, 5] }), world.admit({ delay: [5, 5] })];
    world.timers.run(100);
    assert.equal(linkCounts(world), [2, 2]);
    const e = open(world, 0);
    e.stream!.write(Uint8Array.of(1));
    world.timers.run(50);
    e.stream!.write(Uint8Array.of(2));
    connections[victim]!.wire.cut();
    world.timers.run(100);
    e.stream!.write(Uint8Array.of(3));
    world.timers.run(100);
    assert.equal([e.got, e.resets], [[1, 2, 3], []]);
    assert.ok(!world.nodes[0].events.includes('held'));
  }
});

test('whoever is never asked what its link is for does not wait for ever', () => {
  const { world } = echoing();
  const { links } = world.connect();
  world.nodes[1].slot.linkAdmitted(links[1]);
  world.timers.run(59_000);
  assert.is(world.nodes[1].slot.waiting, 1);
  world.timers.run(2_000);
  assert.is(world.nodes[1].slot.waiting, 0);
  assert.equal(closedCodes(world)[1], ['attach-failed']);
});

test('an old answer that comes behind the question does not make a double of a peer that has begun anew', () => {
  const { world } = echoing();
  world.admit({ delay: [30, 30] });
  // Side 1 asks at 30 ms, side 0 answers at 60, ends the session at 70, and has a faster link: answer and end are in flight.
  world.timers.run(70);
  world.nodes[0].slot.close('going-away');
  world.admit();
  world.timers.run(1_000);
  assert.equal(world.nodes[1].alarms, []);
  assert.equal(linkCounts(world), [1, 1]);
});

test('a question that comes late, on a link that its sender has given up, ends no session', () => {
  const { world } = echoing();
  const late = world.connect({ delay: [900, 900] });
  for (const side of [1, 0] as const) world.nodes[side].slot.linkAdmitted(late.links[side]);
  world.timers.run(300);
  late.links[0].transportClosed('given up');
  const second = world.admit();
  world.timers.run(300);
  const e = open(world, 1);
  world.timers.run(50);
  second.wire.cut();
  world.timers.run(1_000);
  world.admit();
  e.stream!.write(Uint8Array.of(3));
  world.timers.run(10_000);
  assert.equal([e.got, e.resets], [[3], []]);
  assert.equal(world.nodes[1].alarms, []);
});

test('a stranger with keys that no longer count does not take the place of a session that has just lost its links', () => {
  for (const counts of [true, false]) {
    const { world } = echoing();
    world.nodes[1].stillCounts = () => counts;
    const first = world.admit();
    world.timers.run(50);
    const stranger = world.connect();
    world.nodes[1].slot.linkAdmitted(stranger.links[1]);
    stranger.links[0].setHandler({ frame: () => undefined });
    stranger.links[0].send(FRAME.NEW, EMPTY);
    first.wire.silence();
    world.timers.run(50);
    first.links[1].close('key-compromised');
    world.timers.run(1_000);
    assert.is(world.nodes[1].events.includes('down peer-restarted'), counts);
    assert.is(stranger.links[1].isClosed, !counts);
    if (!counts) assert.is(world.nodes[1].closed.at(-1)?.[0], 'key-compromised');
  }
});

test('a link that is attached while a stranger is looked into saves the session', () => {
  const { world } = echoing();
  const first = world.admit();
  world.timers.run(50);
  first.wire.silence();
  const stranger = world.connect();
  world.nodes[1].slot.linkAdmitted(stranger.links[1]);
  stranger.links[0].setHandler({ frame: () => undefined });
  stranger.links[0].send(FRAME.NEW, EMPTY);
  world.timers.run(1_000);
  world.admit();
  world.timers.run(20_000);
  assert.ok(world.nodes.every(node => !node.events.some(event => event.startsWith('down'))));
  assert.is(world.nodes[1].alarms.length, 1);
  assert.is(stranger.links[0].isClosed, true);
});

test('an ATTACH that comes late while a peer that has restarted is looked into makes no double of it', () => {
  const { world } = echoing();
  const first = world.admit({ delay: [5, 5] });
  world.timers.run(50);
  const e = open(world, 1);
  // The ATTACH is on its way for 360 ms; the host dies, starts again and is admitted on a faster link meanwhile.
  const late = world.admit({ delay: [360, 360] });
  world.timers.run(300);
  first.wire.cut();
  late.links[0].transportClosed('gone');
  world.nodes[0].restart();
  world.admit({ delay: [30, 30] });
  world.timers.run(80);
  assert.is(world.nodes[1].slot.waiting, 2, 'the ATTACH has come, the answer of the newcomer has not');
  assert.not.ok(late.links[1].isClosed);
  world.timers.run(10_000);
  assert.equal(world.nodes[1].alarms, []);
  assert.equal(e.resets, ['peer-restarted']);
  assert.equal(linkCounts(world), [1, 1]);
});

test('a link that has given its proof and waits for CONFIRM saves the session from a stranger', () => {
  const { world } = echoing();
  const first = world.admit();
  world.timers.run(50);
  world.admit({ delay: [200, 200] });
  // ATTACH has come and is answered, CONFIRM is on its way
  world.timers.run(450);
  first.wire.cut();
  const stranger = world.connect();
  world.nodes[1].slot.linkAdmitted(stranger.links[1]);
  stranger.links[0].setHandler({ frame: () => undefined });
  stranger.links[0].send(FRAME.NEW, EMPTY);
  world.timers.run(20_000);
  assert.ok(world.nodes.every(node => !node.events.some(event => event.startsWith('down'))));
  assert.is(world.nodes[1].alarms.length, 1);
  assert.is(stranger.links[0].isClosed, true);
});

test('only so many links wait', () => {
  const { world } = echoing();
  const links = Array.from({ length: 6 }, () => world.connect());
  for (const c of links) world.nodes[1].slot.linkAdmitted(c.links[1]);
  assert.is(world.nodes[1].slot.waiting, 4);
  assert.is(links.filter(c => c.links[1].isClosed).length, 2);
});

test('goaway holds for the sessions to come', () => {
  const { world } = echoing();
  const first = world.admit();
  world.timers.run(50);
  world.nodes[0].slot.goaway();
  world.timers.run(50);
  assert.ok(world.nodes[1].session.isPeerLeaving);
  assert.throws(() => open(world, 1), /takes no new streams/);
  first.wire.cut();
  world.nodes[1].restart();
  world.admit();
  world.timers.run(100);
  assert.ok(world.nodes[1].session.isPeerLeaving);
});

test('close ends the session at both ends with its code', () => {
  const { world, resets } = echoing();
  world.admit();
  world.timers.run(50);
  const e = open(world, 0);
  world.timers.run(50);
  world.nodes[1].slot.close('revoked');
  world.timers.run(100);
  assert.equal([e.resets, resets], [['revoked'], ['revoked']]);
  assert.equal(world.nodes.map(n => n.events.at(-1)), ['down revoked', 'down revoked']); // prettier-ignore
  assert.is(world.timers.waiting, 0);
});

// ── frames out of place, wrong proofs ──────────────────────────────────────────────────────────────────────────────

test('frames of a session before the attach are a violation', () => {
  const { world } = echoing();
  const { links } = world.connect();
  world.nodes[0].slot.linkAdmitted(links[0]);
  links[1].setHandler({ frame: () => undefined });
  links[1].send(FRAME.DATA, Uint8Array.of(0, 0));
  world.timers.run(100);
  assert.is(world.nodes[0].closed[0]?.[0], 'protocol');
});

test('a wrong proof from the side that answers: closed, alarm, the session is untouched', () => {
  const liar = new Liar();
  const { world } = liar;
  const id = liar.session;
  const second = world.connect();
  second.links[1].setHandler({
    frame: type => {
      if (type === FRAME.ATTACH) second.links[1].send(FRAME.ATTACHED, new Uint8Array(32));
    },
  });
  liar.link.close('no-error');
  liar.run();
  world.nodes[0].slot.linkAdmitted(second.links[0]);
  world.timers.run(100);
  assert.is(liar.victim.closed.at(-1)?.[0], 'attach-failed');
  assert.is(liar.victim.alarms.length, 1);
  assert.is(world.nodes[0].session, id);
});

test('proofs of another link, another epoch or another session are worth nothing', () => {
  const { world } = echoing();
  const first = world.admit();
  world.timers.run(50);
  first.wire.cut();
  world.timers.run(50);
  // The deciding side's own ATTACH, taken from the link for which it was made.
  const taken = world.connect();
  let attach: Uint8Array | undefined;
  taken.links[1].setHandler({ frame: (type, body) => void (type === FRAME.ATTACH && (attach = body.slice())) });
  world.nodes[0].slot.linkAdmitted(taken.links[0]);
  world.timers.run(50);
  const good = decodeAttach(attach!);
  const bad = [
    good,
    { ...good, epoch: good.epoch + 1 },
    { ...good, epoch: 2 ** 50 },
    { ...good, proof: new Uint8Array(32) },
  ];
  bad.forEach((lie, i) => {
    const { links } = world.connect();
    links[0].setHandler({ frame: () => undefined });
    world.nodes[1].slot.linkAdmitted(links[1]);
    links[0].send(FRAME.ATTACH, encodeAttach(lie));
    world.timers.run(50);
    assert.is(world.nodes[1].closed.at(-1)?.[0], 'attach-failed', `lie ${i}`);
    assert.is(world.nodes[1].alarms.length, i + 1);
  });
  const { links } = world.connect();
  const heard: number[] = [];
  links[0].setHandler({ frame: type => void heard.push(type) });
  world.nodes[1].slot.linkAdmitted(links[1]);
  links[0].send(FRAME.ATTACH, encodeAttach({ ...good, sessionId: new Uint8Array(16) }));
  world.timers.run(50);
  assert.equal(heard, [FRAME.UNKNOWN]);
  assert.ok(world.nodes[1].session.isHeld);
});

test('the session of two others: a member who shows their ATTACH is answered unknown, nothing else happens', () => {
  const [theirs, own] = [echoing().world, new World('another pair', [{}, {}])];
  theirs.admit();
  own.admit();
  theirs.timers.run(50);
  own.timers.run(50);
  // Taken from a link of theirs: session id, epoch and a proof that is right there.
  const taken = theirs.connect();
  let attach: Uint8Array | undefined;
  taken.links[1].setHandler({ frame: (type, body) => void (type === FRAME.ATTACH && (attach = body.slice())) });
  theirs.nodes[0].slot.linkAdmitted(taken.links[0]);
  theirs.timers.run(1_500);
  assert.ok(attach !== undefined);
  const before = own.nodes[1].session;
  const { links } = own.connect();
  const heard: number[] = [];
  links[0].setHandler({ frame: type => void heard.push(type) });
  own.nodes[1].slot.linkAdmitted(links[1]);
  links[0].send(FRAME.ATTACH, attach);
  own.timers.run(50);
  assert.equal(heard, [FRAME.UNKNOWN]);
  assert.is(own.nodes[1].session, before);
  assert.is(before.links.length, 1);
  assert.equal(own.nodes[1].alarms, []);
});

test('CONFIRM without an attach, and an answer that was not asked for, are violations', () => {
  for (const [side, type] of [
    [1, FRAME.CONFIRM],
    [1, FRAME.NEW_OK],
    [0, FRAME.ATTACHED],
    [0, FRAME.NEW],
  ] as const) {
    // prettier-ignore
    const { world } = echoing();
    const { links } = world.connect();
    links[(1 - side) as 0 | 1].setHandler({ frame: () => undefined });
    world.nodes[side].slot.linkAdmitted(links[side]);
    links[(1 - side) as 0 | 1].send(type, type === FRAME.ATTACHED ? new Uint8Array(32) : EMPTY);
    world.timers.run(50);
    assert.is(world.nodes[side].closed.at(-1)?.[0], 'protocol');
  }
});

test('an ATTACH that a slow link brings late is turned away without an alarm', () => {
  const { world } = echoing();
  world.admit();
  world.timers.run(50);
  // The deciding side gives this link up; what it said there is delivered when the session has gone on.
  const slow = world.connect();
  let late: Uint8Array | undefined;
  slow.links[1].setHandler({ frame: (type, body) => void (type === FRAME.ATTACH && (late = body.slice())) });
  world.nodes[0].slot.linkAdmitted(slow.links[0]);
  world.timers.run(10_500);
  world.admit();
  world.timers.run(50);
  assert.equal(linkCounts(world), [2, 2]);
  const again = world.connect();
  again.links[0].setHandler({ frame: () => undefined });
  Object.assign(again.links[1].established, { handshakeHash: slow.links[0].established.handshakeHash });
  world.nodes[1].slot.linkAdmitted(again.links[1]);
  again.links[0].send(FRAME.ATTACH, late!);
  world.timers.run(50);
  assert.is(world.nodes[1].closed.at(-1)?.[0], 'attach-failed');
  assert.equal([world.nodes[1].alarms, linkCounts(world)], [[], [2, 2]]);
});

test('links attached right behind each other, the later one faster: both stay', () => {
  const { world } = echoing(limitsWith({ session: { links: 3 } }));
  world.admit();
  world.timers.run(50);
  const slow = world.connect({ delay: [1, 1] });
  const fast = world.connect();
  for (const c of [slow, fast]) world.nodes[1].slot.linkAdmitted(c.links[1]);
  for (const c of [slow, fast]) world.nodes[0].slot.linkAdmitted(c.links[0]);
  world.timers.run(2_000);
  assert.equal(linkCounts(world), [3, 3]);
  assert.equal(closedCodes(world), [[], []]);
});

test('a newcomer that has died does not keep the ones behind it waiting', () => {
  const { world } = echoing();
  const first = world.admit({ delay: [5, 5] });
  world.timers.run(50);
  first.wire.cut();
  world.timers.run(50);
  const dead = world.connect({ delay: [5, 5] });
  dead.wire.silence();
  for (const side of [1, 0] as const) world.nodes[side].slot.linkAdmitted(dead.links[side]);
  world.timers.run(100);
  world.admit({ delay: [5, 5] });
  world.timers.run(1_100);
  assert.equal(linkCounts(world), [1, 1]);
});

test('no answer to an attach: the link is given up and the next one tried', () => {
  const { world } = echoing();
  const mute = world.connect();
  mute.links[1].setHandler({ frame: () => undefined });
  world.nodes[0].slot.linkAdmitted(mute.links[0]);
  world.admit();
  world.timers.run(9_000);
  assert.is(world.nodes[0].slot.session, undefined);
  world.timers.run(2_000);
  assert.equal(linkCounts(world), [1, 1]);
  assert.is(world.nodes[0].closed[0]?.[0], 'attach-failed');
});

test.run();
