/** Deadlines and places of relayed links, in virtual time: at the target, and at the origin that dials. */
import { concat } from '../../../protocol/bytes.js';
import type { Code } from '../../../protocol/codes.js';
import { Initiator } from '../../../protocol/handshake/handshake.js';
import type { OpenRequest, StreamHandler } from '../../../protocol/session/index.js';
import { RelayedArrivals } from '../../../daemon/relay/arrivals.js';
import { dialRelayed } from '../../../daemon/relay/dial.js';
import { RELAY_DIAL_MS } from '../../../daemon/relay/limits.js';
import { RelayTransport } from '../../../daemon/relay/transport.js';
import type { RelayStream } from '../../../daemon/relay/types.js';
import { openingReports } from '../../../daemon/transport/reports.js';
import { CLOSE_FLUSH_MS, type NewLink } from '../../../daemon/transport/transport.js';
import { recordingLog } from '../../helpers/fake-mesh.js';
import { assert, suite } from '../../helpers/suite.js';
import { VirtualTime } from '../../helpers/virtual-time.js';
import { keysOf, makeNode } from '../../protocol/handshake/nodes.js';
import { nodeIdText } from '../../../protocol/identity/node-id.js';

const test = suite('relay: openings');
const KEYS = keysOf();
const RELAY = nodeIdText(new Uint8Array(32).fill(9));
const origin = (n: number): string => nodeIdText(new Uint8Array(32).fill(n));

/** A stream whose other end is the test. */
class PlayedStream implements RelayStream {
  sent = 0;
  given = 0;
  accepted = false;
  ended = false;
  resetWith: Code | undefined;
  unsent = 0;

  write(chunk: Uint8Array): boolean {
    this.sent += chunk.length;
    return true;
  }

  end(): void {
    this.ended = true;
  }

  reset(code: Code): void {
    this.resetWith ??= code;
  }

  consumed(n: number): void {
    this.given += n;
  }

  accept(): void {
    this.accepted = true;
  }
}

const LIMITS = { total: 4, perSource: 2, deadlineMs: 10_000 };

function target(limits = LIMITS) {
  const time = new VirtualTime();
  const node = makeNode('target', time);
  const { log, lines } = recordingLog();
  const links: NewLink[] = [];
  const arrivals = new RelayedArrivals({
    context: () => node.ctx,
    psks: () => [KEYS],
    replay: node.replay,
    timers: time,
    limits,
    reports: openingReports(log),
    onLink: link => void links.push(link),
  });
  const bring = (from: string): { stream: PlayedStream; handler: StreamHandler | Code } => {
    const stream = new PlayedStream();
    const request: OpenRequest = { service: 'relay', class: 'relay', metadata: new Map([['from', from]]) };
    return { stream, handler: arrivals.incoming(stream, request, RELAY) };
  };
  return { time, node, lines, links, arrivals, bring };
}

function opening(time: VirtualTime): { machine: Initiator; bytes: Uint8Array } {
  const machine = new Initiator(makeNode(`origin ${Math.random()}`, time).ctx, { suite: 'AESGCM', psk: KEYS });
  return { machine, bytes: concat(machine.preface, machine.first()) };
}

test('one that says nothing is dropped at the deadline, and its place is free', () => {
  const { time, arrivals, bring, lines } = target();
  const { stream, handler } = bring(origin(1));
  assert.is.not(typeof handler, 'string');
  assert.ok(stream.accepted);
  assert.is(arrivals.size, 1);
  time.advance(LIMITS.deadlineMs - 1);
  assert.is(stream.resetWith, undefined);
  time.advance(1);
  assert.is(stream.resetWith, 'cancelled');
  assert.is(arrivals.size, 0);
  assert.is(stream.sent, 0, 'a stranger gets no byte');
  assert.equal(lines.map(l => [l.event, l.fields.remote]), [['stranger', `relay:${RELAY}`]]); // prettier-ignore
});

test('the deadline holds in the middle of the handshake too, whatever trickles in', () => {
  const { time, bring, lines, links } = target();
  const { stream, handler } = bring(origin(1));
  const { bytes } = opening(time);
  for (const byte of bytes.subarray(0, 60)) {
    (handler as StreamHandler).data(Uint8Array.of(byte));
    time.advance(100);
  }
  time.advance(LIMITS.deadlineMs);
  assert.is(stream.resetWith, 'cancelled');
  assert.equal([lines.length, lines[0]!.event, links.length], [1, 'handshake-failed', 0]);
  assert.is(stream.given, 60, 'what was taken gave its credit back');
});

test('the opening in single bytes is answered; bytes that prove nothing end it at once', () => {
  const { time, bring, arrivals } = target();
  const good = bring(origin(1));
  for (const byte of opening(time).bytes) (good.handler as StreamHandler).data(Uint8Array.of(byte));
  time.settle();
  assert.ok(good.stream.sent > 1000, 'message 2');
  const bad = bring(origin(2));
  (bad.handler as StreamHandler).data(new Uint8Array(100));
  time.settle();
  assert.equal([bad.stream.resetWith, bad.stream.sent], ['cancelled', 0]);
  assert.is(arrivals.size, 1);
});

test('one origin has so many places; those of others stay free, the oldest unproven one makes room', () => {
  const { time, bring, arrivals } = target();
  const [first, second] = [bring(origin(1)), bring(origin(1))];
  const third = bring(origin(1));
  assert.equal([first.stream.resetWith, second.stream.resetWith, third.stream.resetWith], ['cancelled', undefined, undefined]); // prettier-ignore
  const other = bring(origin(2));
  assert.is(second.stream.resetWith, undefined);
  assert.is(arrivals.size, 3);
  // Whoever has proven the secret is not pushed out.
  for (const { handler } of [second, third]) (handler as StreamHandler).data(opening(time).bytes);
  time.settle();
  assert.is(bring(origin(1)).handler, 'limit');
  // Names that are no node IDs share one place.
  const odd = ['', 'x', 'y'].map(name => bring(name));
  assert.equal(odd.map(o => o.stream.resetWith), ['cancelled', undefined, undefined]); // prettier-ignore
  assert.is(other.stream.resetWith, 'cancelled', 'the oldest of all when all places are taken');
  arrivals.close();
  assert.is(arrivals.size, 0);
});

test('the relay takes it back in the middle: told, and over', () => {
  const { time, bring, arrivals, lines } = target();
  const { handler } = bring(origin(1));
  const { bytes } = opening(time);
  (handler as StreamHandler).data(bytes);
  time.settle();
  (handler as StreamHandler).reset('link-lost', false);
  (handler as StreamHandler).closed!();
  time.settle();
  assert.is(arrivals.size, 0);
  assert.equal(lines.map(l => [l.event, l.fields.reason]), [['handshake-failed', 'a link of the relay was lost']]); // prettier-ignore
  assert.is(time.pending, 0);
});

test('a transport that is closed gives the credit back of what nobody took, and of what still comes', () => {
  const time = new VirtualTime();
  const transport = new RelayTransport(RELAY, time);
  const stream = new PlayedStream();
  transport.attach(stream);
  transport.onData(() => undefined);
  transport.data(new Uint8Array(10));
  time.settle();
  assert.is(stream.given, 10);
  transport.pause();
  transport.data(new Uint8Array(20));
  time.settle();
  assert.is(stream.given, 10, 'what is held back keeps its credit');
  transport.close();
  assert.equal([stream.given, stream.ended], [30, true]);
  transport.data(new Uint8Array(5));
  assert.is(stream.given, 35);
  assert.is(stream.resetWith, undefined);
  time.advance(CLOSE_FLUSH_MS);
  assert.is(stream.resetWith, 'cancelled', 'the other side did not end in time');
});

function dialing(signal = new AbortController().signal) {
  const time = new VirtualTime();
  const stream = new PlayedStream();
  const node = makeNode('dialer', time);
  let handler: StreamHandler | undefined;
  const result = dialRelayed({
    via: RELAY,
    session: {
      open: (_request, given) => {
        handler = given;
        return stream;
      },
    },
    target: makeNode('target').keys.nodeId,
    context: node.ctx,
    psk: KEYS,
    suite: 'AESGCM',
    timers: time,
    signal,
    nameOf: id => (id === RELAY ? 'b' : 'c'),
  }).then(
    () => 'a link',
    (error: Error) => error.message,
  );
  return { time, stream, result, handler: handler! };
}

test('a dial without an answer ends at its deadline', async () => {
  const { time, stream, result } = dialing();
  assert.ok(stream.sent > 1000, 'preface and message 1');
  time.advance(RELAY_DIAL_MS - 1);
  assert.is(stream.resetWith, undefined);
  time.advance(1);
  assert.is(await result, 'c by way of b did not answer in 10 s.');
  assert.is(stream.resetWith, 'cancelled');
  assert.is(time.pending, 0);
});

test('a dial that is given up ends its stream, and so does one whose answer is rubbish', async () => {
  const abort = new AbortController();
  const one = dialing(abort.signal);
  abort.abort();
  assert.match(await one.result, /was given up/);
  assert.is(one.stream.resetWith, 'cancelled');
  const two = dialing(AbortSignal.abort());
  assert.match(await two.result, /was given up/);
  assert.is(two.stream.resetWith, 'cancelled');
  const three = dialing();
  three.handler.data(new Uint8Array(100));
  three.time.settle();
  assert.match(await three.result, /handshake failed/);
  assert.is(three.stream.resetWith, 'cancelled');
  for (const { time } of [one, two, three]) assert.is(time.pending, 0);
});

test.run();
