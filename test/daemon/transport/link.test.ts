import { createHash, randomBytes } from 'node:crypto';
import type { Transport } from '../../../daemon/transport/transport.js';
import { WS_JOIN_BELOW, WS_MESSAGE_MAX, toMessages } from '../../../daemon/transport/websocket.js';
import { pick, seededRandom } from '../../helpers/random.js';
import { suite, assert, full } from '../../helpers/suite.js';
import { eventually } from '../../helpers/sockets.js';
import { Sink, call, sameKeys, splitter, station, type Station } from './loopback.js';

const test = suite('links over loopback');

const KINDS = [
  ['tcp', ''],
  ['websocket', 'ws://'],
] as const;
const turn = () => new Promise<void>(resolve => setImmediate(resolve));

async function pair(scheme: string, s: Station) {
  const [dialed, accepted] = await Promise.all([call(scheme + s.address), s.link()]);
  return { near: dialed.transport, far: accepted.transport, dialed, accepted };
}

/** Writes with respect for `buffered`. */
async function pump(transport: Transport, chunks: readonly Uint8Array[]): Promise<void> {
  for (const chunk of chunks) {
    transport.write([chunk]);
    if (transport.buffered > 0) await new Promise<void>(resolve => transport.onDrain(resolve));
  }
}

const digest = (chunks: readonly Uint8Array[]): string => {
  const hash = createHash('sha256');
  for (const chunk of chunks) hash.update(chunk);
  return hash.digest('hex');
};

for (const [kind, scheme] of KINDS) {
  for (const suiteName of ['ChaChaPoly', 'AESGCM'] as const)
    test(`a ${kind} link is dialed and accepted, ${suiteName}`, async () => {
      const s = await station();
      const dialed = await call(scheme + s.address, { suite: suiteName });
      const accepted = await s.link();
      assert.is(dialed.transport.kind, kind);
      assert.is(accepted.transport.kind, kind);
      assert.ok(sameKeys(dialed.established, accepted.established));
      assert.equal([dialed.direction, accepted.direction], ['dialed', 'accepted']);
      assert.is(dialed.address, scheme + s.address);
      assert.is(dialed.transport.remote, s.address);
      assert.is(dialed.transport.local, accepted.transport.remote);
      assert.is(s.listener.halfOpen, 0);
      dialed.transport.abort();
      await s.close();
    });

  test(`${kind}: the handshake bears any split of its bytes`, async () => {
    const s = await station();
    for (const piece of full([1, 7, 37, 38, 39, 1293], [1, 2, 3, 5, 7, 19, 37, 38, 39, 40, 200, 511, 1293, 1294])) {
      const relay = await splitter(s.port, piece);
      const dialed = await call(`${scheme}127.0.0.1:${relay.port}`);
      const accepted = await s.link();
      assert.ok(sameKeys(dialed.established, accepted.established), `pieces of ${piece}`);
      dialed.transport.abort();
      accepted.transport.abort();
      await relay.close();
    }
    await s.close();
  });

  test(`${kind}: bytes of both directions at once arrive whole and in order`, async () => {
    const s = await station();
    const { near, far } = await pair(scheme, s);
    const sizes = [1, 3, 100, WS_JOIN_BELOW - 1, WS_JOIN_BELOW, 65_535, 65_536, 262_163, 0, 17];
    const chunks = Array.from({ length: full(60, 600) }, (_, i) => randomBytes(sizes[i % sizes.length]!));
    const total = chunks.reduce((sum, chunk) => sum + chunk.length, 0);
    const sinks = [new Sink(near), new Sink(far)];
    await Promise.all([
      pump(near, chunks),
      pump(far, chunks),
      ...sinks.map(sink => sink.until(() => sink.bytes === total)),
    ]);
    for (const sink of sinks) assert.is(digest(sink.chunks), digest(chunks));
    near.close();
    await sinks[1]!.until(() => sinks[1]!.closed !== undefined);
    await s.close();
  });

  test(`${kind}: a batch of chunks is one piece of the stream`, async () => {
    const s = await station();
    const { near, far } = await pair(scheme, s);
    const sink = new Sink(far);
    const batch = [Buffer.from('header'), randomBytes(70_000), Buffer.from(''), Buffer.from('tail'), Buffer.from('!')];
    near.write(batch);
    near.write([]);
    const whole = Buffer.concat(batch);
    assert.equal(await sink.upTo(whole.length), whole);
    near.abort();
    await s.close();
  });

  test(`${kind}: a reader that pauses stops the writer; drain comes when it goes on`, async () => {
    const s = await station();
    const { near, far } = await pair(scheme, s);
    const sink = new Sink(far);
    far.pause();
    let drains = 0;
    near.onDrain(() => {
      drains++;
      assert.is(near.buffered, 0);
    });
    // More than kernels take, twice: the first being through is not yet a drain.
    const written = 16 * 1024 * 1024;
    for (let i = 0; i < 2; i++) {
      near.write([Buffer.alloc(written / 2, i)]);
      await turn();
    }
    assert.ok(near.buffered > 0);
    await new Promise(resolve => setTimeout(resolve, 50));
    assert.is(drains, 0);
    assert.is(sink.bytes, 0);
    far.resume();
    await sink.until(() => sink.bytes === written);
    await eventually('drained', () => drains === 1 && near.buffered === 0);
    near.abort();
    await s.close();
  });

  test(`${kind}: bytes wait until somebody wants them, then come in order before the end`, async () => {
    const s = await station();
    const { near, far } = await pair(scheme, s);
    near.write([Buffer.from('first ')]);
    await new Promise(resolve => setTimeout(resolve, 20));
    near.write([Buffer.from('second')]);
    near.close();
    await new Promise(resolve => setTimeout(resolve, 20));
    const sink = new Sink(far);
    assert.is(sink.bytes, 0, 'nothing is delivered inside onData');
    await sink.until(() => sink.closed !== undefined);
    assert.is(Buffer.concat(sink.chunks).toString(), 'first second');
    assert.is(sink.closed, 'closed by the other side');
    await s.close();
  });

  test(`${kind}: close sends what is buffered first and tells both sides once`, async () => {
    const s = await station();
    const { near, far } = await pair(scheme, s);
    const sink = new Sink(far);
    const told: string[] = [];
    near.onClose(why => told.push(why));
    const bytes = randomBytes(8 * 1024 * 1024);
    near.write([bytes]);
    near.close();
    near.close();
    near.write([Buffer.from('too late')]);
    assert.equal(told, [], 'not told inside the call');
    await sink.until(() => sink.closed !== undefined);
    assert.is(digest(sink.chunks), digest([bytes]));
    await turn();
    assert.equal(told, ['closed by this side']);
    near.abort();
    await turn();
    assert.is(told.length, 1);
    await s.close();
  });

  test(`${kind}: abort does not wait for a reader that has stopped`, async () => {
    const s = await station();
    const { near, far } = await pair(scheme, s);
    far.pause();
    near.write([randomBytes(16 * 1024 * 1024)]);
    near.abort();
    const sink = new Sink(far);
    far.resume();
    await sink.until(() => sink.closed !== undefined);
    assert.ok(sink.bytes < 16 * 1024 * 1024);
    await s.close();
  });

  test(`${kind}: no socket and no timer is left after links have come and gone`, async () => {
    const s = await station();
    const before = handles();
    for (let i = 0; i < full(20, 200); i++) {
      const { near, far } = await pair(scheme, s);
      if (i % 2 === 0) near.close();
      else near.abort();
      const sink = new Sink(far);
      await sink.until(() => sink.closed !== undefined);
      if (i % 3 === 0) far.close();
    }
    await eventually('all sockets are gone', () => handles() === before);
    await eventually('all timers are gone', () => s.timers.count === 0);
    await s.close();
  });
}

/** Open sockets of this process. */
function handles(): number {
  return process.getActiveResourcesInfo().filter(name => name === 'TCPSocketWrap' || name === 'TLSWrap').length;
}

test('messages are cut at the limit and small chunks joined, bytes unchanged', () => {
  const sizes = [0, 1, 5, WS_JOIN_BELOW - 1, WS_JOIN_BELOW, WS_MESSAGE_MAX, WS_MESSAGE_MAX + 1, 300_000];
  const random = seededRandom('messages');
  for (let round = 0; round < 200; round++) {
    const chunks = Array.from({ length: round % 40 }, () => randomBytes(sizes[pick(random, sizes.length)]!));
    const messages = toMessages(chunks);
    assert.is(digest(messages), digest(chunks));
    assert.ok(messages.every(message => message.length > 0 && message.length <= WS_MESSAGE_MAX));
  }
  assert.is(toMessages(Array.from({ length: 8 }, () => Buffer.alloc(8_000))).length, 1);
  assert.is(toMessages(Array.from({ length: 9 }, () => Buffer.alloc(8_000))).length, 2);
});

test('IPv6, with brackets in every address', async () => {
  const s = await station({ addresses: ['[::1]:0'] });
  for (const [kind, scheme] of KINDS) {
    const { near, accepted } = await pair(scheme, s);
    assert.is(near.kind, kind);
    assert.match(accepted.address, /^\[::1\]:\d+$/);
    assert.match(s.address, /^\[::1\]:\d+$/);
    near.abort();
  }
  await s.close();
});

test.run();
