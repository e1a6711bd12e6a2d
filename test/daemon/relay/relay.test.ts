/** A link through a third node: origin, relay and target joined by real sessions in memory, a real handshake inside. */
import { createHash, randomBytes } from 'node:crypto';
import { WarrenError } from '../../../protocol/errors.js';
import { RELAY_WINDOW } from '../../../protocol/limits.js';
import type { NewLink } from '../../../daemon/transport/transport.js';
import { assert, full, suite } from '../../helpers/suite.js';
import { eventually } from '../../helpers/sockets.js';
import { Sink, sameKeys } from '../transport/loopback.js';
import { chain, never, type Chain, type LabNode } from './lab.js';

const test = suite('relay');

interface Relayed extends Chain {
  readonly dialed: NewLink;
  readonly accepted: NewLink;
}

async function through(chained: Chain): Promise<Relayed> {
  const { a, b, c } = chained;
  const before = c.accepted.length;
  const dialed = await a.relay.dial(b.id, c.nodeId, never);
  await eventually('the link has come', () => c.accepted.length > before);
  return { ...chained, dialed, accepted: c.accepted.at(-1)! };
}

async function nothingIsLeft({ lab, a, b, c }: Chain): Promise<void> {
  await eventually('nothing is relayed', () => b.relay.relaying === 0);
  for (const node of [a, b, c]) {
    await eventually(`${node.name} holds no stream`, () => lab.held(node).streams === 0);
    await eventually(`${node.name} keeps no byte`, () => lab.held(node).retained === 0);
  }
}

async function refusal(promise: Promise<unknown>): Promise<WarrenError> {
  try {
    await promise;
  } catch (error) {
    if (error instanceof WarrenError) return error;
    throw error;
  }
  throw new Error('nothing was refused');
}

const events = (node: LabNode, event: string) => node.lines.filter(line => line.event === event);

test('a handshake end to end, and bytes both ways', async () => {
  const l = await through(await chain());
  const { dialed, accepted, a, b, c } = l;
  assert.ok(sameKeys(dialed.established, accepted.established));
  assert.equal(dialed.established.peer.nodeId, c.nodeId);
  assert.equal(accepted.established.peer.nodeId, a.nodeId);
  for (const link of [dialed, accepted]) {
    assert.is(link.transport.kind, 'relay');
    assert.is(link.address, `relay:${b.id}`);
    assert.is(link.transport.remote, `relay:${b.id}`);
  }
  assert.equal([dialed.direction, accepted.direction], ['dialed', 'accepted']);
  assert.is(b.relay.relaying, 1);
  assert.is(c.relay.halfOpen, 0);
  const [here, there] = [new Sink(dialed.transport), new Sink(accepted.transport)];
  const size = full(8, 64) * 1024 * 1024;
  const [question, answer] = [randomBytes(size), randomBytes(size)];
  for (let at = 0; at < size; at += 50_000) {
    dialed.transport.write([question.subarray(at, at + 20_000), question.subarray(at + 20_000, at + 50_000)]);
    accepted.transport.write([answer.subarray(at, at + 50_000)]);
  }
  const digest = (bytes: Uint8Array): string => createHash('sha256').update(bytes).digest('hex');
  assert.is(digest(await there.upTo(size)), digest(question));
  assert.is(digest(await here.upTo(size)), digest(answer));
  assert.ok(b.relay.totals.bytes > 2 * size);
  dialed.transport.close();
  await there.until(() => there.closed !== undefined);
  await nothingIsLeft(l);
  assert.equal(events(b, 'relay-open').map(e => [e.fields.origin, e.fields.target]), [['a', 'c']]); // prettier-ignore
  assert.equal(events(b, 'relay-closed').map(e => e.fields.code), ['no-error']); // prettier-ignore
  assert.is(b.relay.totals.links, 1);
  l.lab.close();
}, { deadline: full(20_000, 120_000) }); // prettier-ignore

test('what is closed sends its last bytes first, from either side', async () => {
  for (const closing of ['dialed', 'accepted'] as const) {
    const l = await through(await chain());
    const other = new Sink(closing === 'dialed' ? l.accepted.transport : l.dialed.transport);
    const bytes = randomBytes(3_000_000);
    l[closing].transport.write([bytes]);
    l[closing].transport.close();
    assert.ok((await other.upTo(bytes.length)).equals(bytes));
    await other.until(() => other.closed !== undefined);
    await nothingIsLeft(l);
    l.lab.close();
  }
});

test('an abort ends both sides at once', async () => {
  const l = await through(await chain());
  const other = new Sink(l.accepted.transport);
  l.dialed.transport.write([randomBytes(5_000_000)]);
  l.dialed.transport.abort();
  await other.until(() => other.closed !== undefined);
  assert.is(other.closed, 'given up by the other side');
  await nothingIsLeft(l);
  assert.equal(events(l.b, 'relay-closed').map(e => e.fields.code), ['cancelled']); // prettier-ignore
  l.lab.close();
});

test('a reader that stalls holds the sender back: nobody keeps more than windows', async () => {
  const l = await through(await chain());
  const size = 24 * 1024 * 1024;
  const bytes = randomBytes(size);
  let got = 0;
  const hash = createHash('sha256');
  l.accepted.transport.onData(chunk => {
    got += chunk.length;
    hash.update(chunk);
  });
  l.accepted.transport.pause();
  // As a link does: no more than so much beyond what the transport has got rid of.
  let sent = 0;
  const pump = (): void => {
    while (sent < size && l.dialed.transport.buffered < RELAY_WINDOW) {
      l.dialed.transport.write([bytes.subarray(sent, sent + 64 * 1024)]);
      sent += 64 * 1024;
    }
  };
  l.dialed.transport.onDrain(pump);
  pump();
  let still = 0;
  for (let before = -1; still < 20; before = sent) {
    await new Promise(resolve => setTimeout(resolve, 10));
    still = sent === before ? still + 1 : 0;
  }
  assert.is(got, 0);
  const kept = l.lab.held(l.b).retained;
  assert.ok(kept > 0, 'the relay holds something');
  assert.ok(kept <= 4 * RELAY_WINDOW, `the relay keeps ${kept} bytes`);
  assert.ok(sent < size, `${sent} bytes went into a reader that does not read`);
  l.accepted.transport.resume();
  await eventually('all of it arrives', () => got === size);
  assert.is(hash.digest('hex'), createHash('sha256').update(bytes).digest('hex'));
  l.dialed.transport.close();
  await nothingIsLeft(l);
  l.lab.close();
});

test('off by default: refused with denied, and said so', async () => {
  const { lab, a, b, c } = await chain();
  b.relay.set('off');
  const error = await refusal(a.relay.dial(b.id, c.nodeId, never));
  assert.equal([error.code, error.wire], ['unreachable', 'denied']);
  assert.match(error.message, /^There is no way to c by way of b: the relay does not carry links for this node\.$/);
  const [line] = events(b, 'relay-refused');
  assert.equal(line!.fields, { origin: 'a', target: 'c', code: 'denied', why: 'this node does not relay' });
  const fresh = lab.add('fresh');
  await lab.connect(a, fresh);
  await lab.connect(fresh, c);
  assert.is((await refusal(a.relay.dial(fresh.id, c.nodeId, never))).wire, 'denied', 'a room begins switched off');
  assert.is(c.accepted.length, 0);
  lab.close();
});

test('switched off while it relays: ended with draining; on again, it relays again', async () => {
  const l = await through(await chain());
  const ends = [new Sink(l.dialed.transport), new Sink(l.accepted.transport)];
  l.b.relay.set('off');
  for (const end of ends) {
    await end.until(() => end.closed !== undefined);
    assert.is(end.closed, 'the relay is on its way out, or relays no more');
  }
  await nothingIsLeft(l);
  l.b.relay.set('on');
  const again = await through(l);
  assert.ok(sameKeys(again.dialed.established, again.accepted.established));
  l.b.relay.stop();
  assert.is((await refusal(l.a.relay.dial(l.b.id, l.c.nodeId, never))).wire, 'draining');
  l.lab.close();
});

test('a target that is not connected, is unknown, or is the origin itself', async () => {
  const { lab, a, b, c } = await chain();
  const stranger = lab.add('stranger');
  assert.is((await refusal(a.relay.dial(b.id, stranger.nodeId, never))).wire, 'no-service');
  assert.is((await refusal(a.relay.dial(b.id, a.nodeId, never))).wire, 'denied');
  for (const instance of ['', 'c', c.id.slice(1)]) {
    const code = await new Promise(resolve => {
      const handler = { data: () => undefined, fin: () => undefined, reset: resolve };
      lab.session(a.id, b.id)!.open({ service: 'relay', class: 'relay', instance }, handler);
    });
    assert.is(code, 'no-service', `instance ${JSON.stringify(instance)}`);
  }
  const other = await new Promise(resolve => {
    const handler = { data: () => undefined, fin: () => undefined, reset: resolve };
    lab.session(a.id, b.id)!.open({ service: 'redis', class: 'relay', instance: c.id }, handler);
  });
  assert.is(other, 'no-service');
  assert.is(b.relay.relaying, 0);
  lab.close();
});

test('the target is asked for the very node that is wanted, whoever the relay leads to', async () => {
  const { lab, a, b, c } = await chain();
  const d = lab.add('d');
  await lab.connect(b, d);
  // A relay that lies: it leads to d, and says that somebody else is calling.
  b.answer = (stream, request) => {
    const metadata = new Map([['from', c.id]]);
    const onward = lab.session(b.id, d.id)!.open(
      { ...request, instance: d.id, metadata },
      {
        opened: () => stream.accept(),
        data: chunk => void stream.write(chunk),
        fin: () => stream.end(),
        reset: code => stream.reset(code),
      },
    );
    return {
      data: chunk => void onward.write(chunk),
      fin: () => onward.end(),
      reset: code => onward.reset(code),
    };
  };
  const error = await refusal(a.relay.dial(b.id, c.nodeId, never));
  assert.match(error.message, /handshake failed/);
  assert.is(d.accepted.length, 0);
  // With the right target the lie about the origin changes nothing: the handshake says who it is.
  await a.relay.dial(b.id, d.nodeId, never);
  await eventually('it has come', () => d.accepted.length === 1);
  assert.equal(d.accepted[0]!.established.peer.nodeId, a.nodeId);
  lab.close();
});

test('one hop: who is reached by a relayed link is no origin, no target, no relay', async () => {
  const { lab, a, b, c } = await chain();
  b.indirect.add(a.id);
  const asOrigin = await refusal(a.relay.dial(b.id, c.nodeId, never));
  assert.is(asOrigin.wire, 'denied');
  b.indirect.clear();
  b.indirect.add(c.id);
  assert.is((await refusal(a.relay.dial(b.id, c.nodeId, never))).wire, 'no-service');
  b.indirect.clear();
  a.indirect.add(b.id);
  const asRelay = await refusal(a.relay.dial(b.id, c.nodeId, never));
  assert.equal([asRelay.code, asRelay.wire], ['unreachable', undefined]);
  assert.is(events(b, 'relay-refused').length, 2, 'the last one was not even asked for');
  lab.close();
});

test('limits: of one member, in all; a place is free again when its link has ended', async () => {
  const { lab, a, b, c, ...rest } = await chain({ total: 3, perPeer: 2 });
  const [d, e] = [lab.add('d'), lab.add('e')];
  for (const node of [d, e]) await lab.connect(b, node);
  const first = await a.relay.dial(b.id, c.nodeId, never);
  await a.relay.dial(b.id, d.nodeId, never);
  assert.is((await refusal(a.relay.dial(b.id, e.nodeId, never))).wire, 'limit', 'the origin has two');
  await d.relay.dial(b.id, c.nodeId, never);
  assert.is((await refusal(e.relay.dial(b.id, c.nodeId, never))).wire, 'limit', 'three in all');
  first.transport.close();
  await eventually('one has ended', () => b.relay.relaying === 2);
  await e.relay.dial(b.id, c.nodeId, never);
  assert.is((await refusal(a.relay.dial(b.id, e.nodeId, never))).wire, 'limit');
  b.relay.set('off');
  await nothingIsLeft({ lab, a, b, c, ...rest });
  b.relay.set('on');
  for (const why of events(b, 'relay-refused')) assert.is(why.fields.code, 'limit');
  for (let i = 0; i < 2; i++) await e.relay.dial(b.id, c.nodeId, never);
  assert.is((await refusal(a.relay.dial(b.id, c.nodeId, never))).wire, 'limit', 'the target has two');
  lab.close();
});

test('what comes from one member is relayed no faster than its rate', async () => {
  const rate = 4 * 1024 * 1024;
  const l = await through(await chain({ bytesPerSecond: rate }));
  const sink = new Sink(l.accepted.transport);
  const size = 8 * 1024 * 1024;
  const start = performance.now();
  l.dialed.transport.write([randomBytes(size)]);
  await sink.upTo(size);
  const seconds = (performance.now() - start) / 1000;
  // The window and a short burst go ahead.
  const least = (size - RELAY_WINDOW - rate / 4) / rate;
  console.log(`note: relayed at ${(size / seconds / 1024 ** 2).toFixed(1)} MiB/s with a rate of 4 MiB/s`);
  assert.ok(seconds >= 0.8 * least, `${seconds} s`);
  assert.ok(seconds <= 5 * least, `${seconds} s`);
  l.lab.close();
});

test('the session with the relay ends: both sides of the link are told', async () => {
  const l = await through(await chain());
  const ends = [new Sink(l.dialed.transport), new Sink(l.accepted.transport)];
  for (const end of l.ab.ends) end.slot.close('revoked', 'a is no member any more');
  for (const end of ends) {
    await end.until(() => end.closed !== undefined);
    assert.match(end.closed!, /revoked/);
  }
  await eventually('nothing is relayed', () => l.b.relay.relaying === 0);
  l.lab.close();
});

test('a link of the relay is lost: both sides are told, and nothing is sent again', async () => {
  for (const which of ['ab', 'bc'] as const) {
    const l = await through(await chain());
    const ends = [new Sink(l.dialed.transport), new Sink(l.accepted.transport)];
    l.dialed.transport.write([randomBytes(100_000)]);
    l[which].cutLink();
    await l[which].connect();
    for (const end of ends) {
      await end.until(() => end.closed !== undefined);
      assert.is(end.closed, 'a link of the relay was lost');
    }
    await nothingIsLeft(l);
    assert.equal(events(l.b, 'relay-closed').map(e => e.fields.code), ['link-lost']); // prettier-ignore
    // The next one goes through.
    const again = await through(l);
    assert.ok(sameKeys(again.dialed.established, again.accepted.established));
    l.lab.close();
  }
});

test('relays are asked in the order of their round trips, never the wanted node itself', async () => {
  const { lab, a, b, c } = await chain();
  const [x, y] = [lab.add('x'), lab.add('y')];
  const [low, high] = [x.id, y.id].sort() as [string, string];
  a.candidates = [
    { id: high, rttMs: null },
    { id: c.id, rttMs: 1 },
    { id: low, rttMs: null },
    { id: b.id, rttMs: 30 },
  ];
  assert.equal(a.relay.viaFor('somebody'), [c.id, b.id, low, high]);
  assert.equal(a.relay.viaFor(c.id), [b.id, low, high]);
  lab.close();
});

test.run();
