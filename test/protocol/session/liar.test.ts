/** A peer that lies, floods or does not read: the session is closed with the right code, and nothing else happens. */
import { EMPTY } from '../../../protocol/bytes.js';
import type { Code } from '../../../protocol/codes.js';
import { limitsWith } from '../../../protocol/limits.js';
import {
  FRAME,
  encodeFin,
  encodeLinkAck,
  encodeNews,
  encodeOpened,
  encodePool,
  encodeReset,
  encodeWindow,
} from '../../../protocol/link/index.js';
import type { Stream, StreamHandler } from '../../../protocol/session/index.js';
import { assert, full, suite } from '../../helpers/suite.js';
import { Liar } from './liar.js';

const test = suite('a peer that lies');

const quiet = (): StreamHandler => ({ data: () => undefined, fin: () => undefined, reset: () => undefined });

/** A victim that accepts every stream and consumes nothing. */
function sink(streams: Stream[] = []): Liar {
  return new Liar({
    onStream(stream) {
      streams.push(stream);
      stream.accept();
      return quiet();
    },
  });
}

/** A victim with one stream of its own, opened at the liar: stream 0, 100 bytes written. */
function opener(): { liar: Liar; stream: Stream; resets: Code[] } {
  const liar = sink();
  const resets: Code[] = [];
  const stream = liar.session.open(
    { service: 'x', class: 'bulk' },
    { ...quiet(), reset: code => void resets.push(code) },
  );
  stream.write(new Uint8Array(100));
  liar.say(FRAME.OPENED, encodeOpened({ stream: 0, limit: 1000 })).run();
  return { liar, stream, resets };
}

function dies(name: string, code: Code, lie: (liar: Liar) => void, make: () => Liar = sink): void {
  test(`${name}: ${code}`, () => {
    const liar = make();
    assert.is(liar.isOver, false);
    lie(liar);
    assert.is(liar.verdict, code);
    assert.ok(liar.isOver, 'the session is over');
    assert.equal(liar.victim.events, ['up', `down ${code}`]);
    assert.is(liar.victim.budget.granted, 0);
    assert.is(liar.victim.budget.retained, 0);
  });
}

// ── sending ────────────────────────────────────────────────────────────────────────────────────────────────────────

const withOpen = (): Liar => opener().liar;
const window = (received: number, limit = 1000, stream = 0): Uint8Array => encodeWindow({ stream, received, limit });

dies('acknowledges bytes never sent', 'protocol', l => l.say(FRAME.WINDOW, window(101)), withOpen);
dies('acknowledges a FIN never sent', 'protocol', l => l.say(FRAME.WINDOW, window(101, 2000)), withOpen);
dies('acknowledges records never sent', 'protocol', l => l.say(FRAME.LINKACK, encodeLinkAck({ records: 9999, delay: 0 }))); // prettier-ignore

test('smaller limits and older acknowledgements change nothing', () => {
  const { liar, stream } = opener();
  liar.say(FRAME.WINDOW, window(100, 5000)).run();
  liar
    .say(FRAME.WINDOW, window(50, 200))
    .say(FRAME.OPENED, encodeOpened({ stream: 0, limit: 1 }))
    .run();
  stream.write(new Uint8Array(4900));
  liar.run();
  assert.is(stream.bytesSent, 5000);
  assert.is(liar.isOver, false);
});

test('sends no byte beyond the credit', () => {
  const { liar, stream } = opener();
  stream.write(new Uint8Array(5000));
  liar.run(5000);
  assert.is(stream.bytesSent, 1000);
  liar.say(FRAME.WINDOW, window(0, 1001)).run();
  assert.is(stream.bytesSent, 1001);
});

// ── receiving ──────────────────────────────────────────────────────────────────────────────────────────────────────

const opened = (): Liar => sink().open(1, 0).run();
const bytes = (n: number): Uint8Array => new Uint8Array(n);
const LIMIT = 64 * 1024;

dies('sends a byte beyond its credit', 'flow-control', l => l.data(1, LIMIT, bytes(1)), opened);
dies('sends data that begins within and ends beyond it', 'flow-control', l => l.data(1, LIMIT - 10, bytes(11)), opened);
dies('ends beyond its credit', 'flow-control', l => l.say(FRAME.FIN, encodeFin({ stream: 1, size: LIMIT + 1 })), opened); // prettier-ignore
dies('changes the final size', 'protocol', l => l.say(FRAME.FIN, encodeFin({ stream: 1, size: 9 })).say(FRAME.FIN, encodeFin({ stream: 1, size: 8 })), opened); // prettier-ignore
dies('ends below what it has sent', 'protocol', l => l.data(1, 0, bytes(9)).say(FRAME.FIN, encodeFin({ stream: 1, size: 8 })), opened); // prettier-ignore
dies('sends behind its end', 'protocol', l => l.say(FRAME.FIN, encodeFin({ stream: 1, size: 9 })).data(1, 9, bytes(1)), opened); // prettier-ignore
dies('leaves too many gaps', 'protocol', l => { for (let i = 1; i <= 9; i++) l.data(1, 2 * i, bytes(1)); }, opened); // prettier-ignore

test('eight gaps are borne, and closed', () => {
  const got: number[] = [];
  const liar = new Liar({ onStream: s => (s.accept(), { ...quiet(), data: c => void got.push(c.length) }) });
  liar.open(1, 0).run();
  for (let i = 1; i <= 8; i++) liar.data(1, 2 * i, bytes(1));
  liar.run();
  assert.is(liar.session.stats().heldOutOfOrder, 8);
  liar.data(1, 0, bytes(17)).run();
  assert.is(
    got.reduce((a, b) => a + b, 0),
    17,
  );
  assert.is(liar.isOver, false);
});

// ── streams ────────────────────────────────────────────────────────────────────────────────────────────────────────

dies('data for a stream that never was', 'protocol', l => l.data(99, 0, bytes(1)));
dies('data for a stream of this side that never was', 'protocol', l => l.data(0, 0, bytes(1)));
dies('window for a stream that never was', 'protocol', l => l.say(FRAME.WINDOW, window(0, 1, 7)));
dies('reset for a stream that never was', 'protocol', l => l.say(FRAME.RESET, encodeReset({ stream: 3, code: 'denied', dialed: false }))); // prettier-ignore
dies('opens a stream with the ids of the other side', 'protocol', l => l.open(0));
dies('accepts its own stream', 'protocol', l => l.say(FRAME.OPENED, encodeOpened({ stream: 1, limit: 9 })), opened);
dies('claims more early credit than it was granted', 'flow-control', l => {
  for (let i = 0; i < 65; i++) l.open(1 + 2 * i, 64 * 1024);
});
dies('attach frames inside a session', 'protocol', l => l.say(FRAME.NEW, EMPTY));
dies('an unknown frame that may not be skipped', 'unsupported', l => l.say(0x3fe, EMPTY));
dies('a broken OPEN', 'protocol', l => l.say(FRAME.OPEN, Uint8Array.of(1, 7)));
dies('a body that is too long', 'protocol', l => l.say(FRAME.POOL, Uint8Array.of(1, 1)));

test('unknown frames that may be skipped are, the reserved datagram too', () => {
  const liar = sink().say(0x3ff, bytes(10)).say(FRAME.DATAGRAM, bytes(10)).run();
  assert.is(liar.isOver, false);
});

test('frames for a stream that is over are passed over', () => {
  const liar = opened();
  liar.say(FRAME.RESET, encodeReset({ stream: 1, code: 'cancelled', dialed: false })).run();
  assert.is(liar.session.streamCount, 0);
  liar
    .data(1, 0, bytes(5))
    .say(FRAME.WINDOW, window(0, 1, 1))
    .say(FRAME.FIN, encodeFin({ stream: 1, size: 5 }));
  liar.open(1).run();
  assert.is(liar.isOver, false);
  assert.is(liar.session.streamCount, 0);
});

test('an OPEN told twice opens once', () => {
  const streams: Stream[] = [];
  const liar = sink(streams).open(1).open(1).run();
  assert.is(streams.length, 1);
  assert.is(liar.isOver, false);
});

test('an OPEN told again may raise the limit, and raises nothing else', () => {
  const streams: Stream[] = [];
  const liar = sink(streams).open(1, 0, 0).run();
  streams[0]!.write(new Uint8Array(50));
  liar.run();
  assert.is(streams[0]!.bytesSent, 0);
  liar.open(1, 0, 30).open(1, 0, 20).run();
  assert.is(streams[0]!.bytesSent, 30);
  assert.is(streams[0]!.buffered, 50);
});

test('too many streams: the one too many is refused, the others live', () => {
  const streams: Stream[] = [];
  const liar = new Liar({
    limits: limitsWith({ session: { streams: 10 } }),
    onStream(stream) {
      streams.push(stream);
      return quiet();
    },
  });
  for (let i = 0; i < 12; i++) liar.open(1 + 2 * i);
  liar.run();
  assert.is(streams.length, 10);
  assert.is(liar.all(FRAME.RESET).length, 2);
  assert.is(liar.isOver, false);
});

// ── floods ─────────────────────────────────────────────────────────────────────────────────────────────────────────

/** Floods until the victim has had enough. @returns frames sent */
function flood(liar: Liar, one: (i: number) => void, perMs = 100): number {
  let i = 0;
  const most = full(100_000, 1_000_000);
  while (i < most && !liar.isOver) {
    for (let k = 0; k < perMs; k++) one(i++);
    liar.run(1);
  }
  return i;
}

function floods(name: string, make: () => Liar, one: (liar: Liar, i: number) => void): void {
  test(`a flood of ${name} ends with limit`, () => {
    const liar = make();
    flood(liar, i => one(liar, i));
    assert.is(liar.verdict, 'limit');
    assert.ok(liar.isOver);
    assert.is(liar.victim.budget.granted, 0);
  });
}

floods('opens and resets', sink, (l, i) => l.open(1 + 2 * i).say(FRAME.RESET, encodeReset({ stream: 1 + 2 * i, code: 'cancelled', dialed: false }))); // prettier-ignore
floods('opens that are all refused', () => new Liar(), (l, i) => l.open(1 + 2 * i)); // prettier-ignore
floods('pings', sink, l => l.say(FRAME.PING, bytes(8)));
floods('answers to no ping', sink, l => l.say(FRAME.PONG, bytes(8)));
floods('unknown frames', sink, l => l.say(0x3ff, EMPTY));
floods('empty data', opened, l => l.data(1, 0, EMPTY));
floods('news', sink, l => l.say(FRAME.NEWS, encodeNews(1, EMPTY)));
floods('frames for a stream that is over', () => opened().say(FRAME.RESET, encodeReset({ stream: 1, code: 'cancelled', dialed: false })).run(), l => l.data(1, 0, bytes(1))); // prettier-ignore

test('a flood of credit and of acknowledgements costs no memory', () => {
  const { liar } = opener();
  const most = full(20_000, 1_000_000);
  for (let i = 0; i < most && !liar.isOver; i++) {
    liar.say(FRAME.WINDOW, window(0, 1000 + i)).say(FRAME.POOL, encodePool(i));
    if (i % 100 === 0) liar.run(1);
  }
  assert.ok(liar.isOver || liar.session.stats().streams === 1);
});

/** Acknowledgements are the link's own business, and do not come by its handler. */
function holdBack(liar: Liar): void {
  const { outbox } = liar.link as unknown as { outbox: { addLinkAck(now: number): void } };
  assert.type(outbox.addLinkAck, 'function');
  outbox.addLinkAck = () => undefined;
}

test('one who never acknowledges cannot pile up streams that are over', () => {
  const liar = new Liar({ limits: limitsWith({ session: { streams: 10 } }) });
  holdBack(liar);
  for (let i = 0; i < 121; i++) liar.open(1 + 2 * i);
  assert.is(liar.verdict, 'limit');
});

test('one who never acknowledges cannot make a link remember streams that are forgotten', () => {
  const onStream = (s: Stream): StreamHandler => (s.accept(), quiet());
  const liar = new Liar({ onStream, limits: limitsWith({ session: { streams: 10 } }) });
  holdBack(liar);
  const reset = (stream: number): Uint8Array => encodeReset({ stream, code: 'cancelled', dialed: false });
  let most = 0;
  let i = 0;
  for (; i < 2_000 && !liar.isOver; i++) {
    liar.open(1 + 2 * i).run(5);
    if (!liar.isOver) liar.say(FRAME.RESET, reset(1 + 2 * i)).run(5);
    if (!liar.isOver) most = Math.max(most, liar.session.streamCount);
  }
  assert.ok(most <= 2, `${most} streams at a time`);
  // Each is told OPENED once; the link looks every 250 ms.
  assert.ok(i > 480 && i < 560, `cut off after ${i} streams`);
  assert.is(liar.verdict, 'limit');
});

test('one who does not read its answers is cut off', () => {
  const liar = new Liar({ limits: limitsWith({ link: { unreadAnswers: 10_000 } }) }, { rate: 0.001 });
  const victim = liar.victimLink;
  for (let i = 0; i < 5_000 && !victim.isClosed; i++) {
    // What a peer can cause: an answer to each of its frames.
    victim.send(FRAME.PONG, bytes(8));
    victim.flush();
  }
  assert.ok(victim.isClosed);
  assert.is(liar.victim.closed.at(-1)?.[0], 'limit');
});

test.run();
