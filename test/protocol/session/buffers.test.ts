/** SendBuffer and ReceiveBuffer against models that are too simple to be wrong. */
import { collectGarbage } from '../../../daemon/observe/collect.js';
import { concat } from '../../../protocol/bytes.js';
import { DEFAULT_LIMITS } from '../../../protocol/limits.js';
import { ReceiveBuffer } from '../../../protocol/session/receive-buffer.js';
import { COPIED_BELOW, SLAB_BYTES, SendBuffer, compacted, sendBound } from '../../../protocol/session/send-buffer.js';
import { Slab } from '../../../protocol/slab.js';
import { assert, full, seed, suite } from '../../helpers/suite.js';
import { Dice } from './virtual.js';

const test = suite('buffers of a stream');

test('sending: what is taken is what was written, through releases and rewinds', () => {
  const dice = new Dice(`${seed()} send`);
  for (let round = 0; round < full(100, 3_000); round++) {
    const buffer = new SendBuffer();
    const model: number[] = [];
    for (let step = 0; step < 200; step++) {
      const what = dice.below(4);
      if (what === 0) {
        const chunk = dice.bytes(dice.between(1, 50));
        model.push(...chunk);
        buffer.write(chunk);
      } else if (what === 1) {
        const from = buffer.next;
        const n = dice.between(0, buffer.unsent);
        assert.equal([...concat(...buffer.take(n))], model.slice(from, from + n));
        assert.is(buffer.next, from + n);
      } else if (what === 2) {
        buffer.release(dice.between(buffer.base, buffer.highest));
      } else {
        buffer.rewind();
        assert.is(buffer.next, buffer.base);
      }
      assert.ok(buffer.base <= buffer.next && buffer.next <= buffer.highest && buffer.highest <= buffer.end);
      assert.is(buffer.end, model.length);
    }
    assert.equal([...concat(...buffer.all())], model.slice(buffer.base));
    buffer.clear();
    assert.equal([buffer.retained, buffer.unsent], [0, 0]);
  }
});

test('sending: many small chunks cost little more than their bytes, sent or not', () => {
  const count = 50_000;
  for (const isSent of [false, true]) {
    const buffer = new SendBuffer();
    collectGarbage();
    const before = process.memoryUsage();
    for (let i = 0; i < count; i++) {
      buffer.write(Uint8Array.of(i % 251));
      if (isSent) buffer.take(1);
    }
    collectGarbage();
    const after = process.memoryUsage();
    const used = after.heapUsed + after.external - before.heapUsed - before.external;
    assert.ok(used < 10 * count, `${(used / count).toFixed(1)} bytes for each`);
    buffer.rewind();
    const bytes = concat(...buffer.take(count));
    assert.ok(bytes.every((byte, i) => byte === i % 251));
  }
});

test('sending: what the peer has is not held any more, however few chunks there were', async () => {
  const buffer = new SendBuffer();
  const chunks: WeakRef<Uint8Array>[] = [];
  for (let i = 0; i < 20; i++) {
    const chunk = new Uint8Array(1024);
    chunks.push(new WeakRef(chunk));
    buffer.write(chunk);
  }
  buffer.take(20 * 1024);
  buffer.release(19 * 1024);
  // A WeakRef holds on to what it was made of until the end of the turn.
  await new Promise(setImmediate);
  collectGarbage();
  const held = chunks.filter(chunk => chunk.deref() !== undefined).length;
  assert.is(held, 1);
  assert.is(buffer.retained, 1024);
});

test('sending: released chunks are let go', () => {
  const buffer = new SendBuffer();
  for (let i = 0; i < 10_000; i++) {
    buffer.write(new Uint8Array(10));
    buffer.take(10);
    buffer.release(buffer.end);
  }
  assert.ok((buffer as unknown as { chunks: unknown[] }).chunks.length < 200);
});

test('sending: small views of large memory are copied, large ones are kept', () => {
  const large = new Uint8Array(1000);
  assert.is(compacted(large.subarray(0, 10)).buffer.byteLength, 10);
  assert.is(compacted(large.subarray(0, 900)).buffer, large.buffer);
});

test('sending: small chunks may change after the write, whatever stands before them', () => {
  const buffer = new SendBuffer();
  const memory = new Uint8Array(COPIED_BELOW - 1);
  const written: Uint8Array[] = [];
  const write = (chunk: Uint8Array): void => {
    written.push(chunk.slice());
    buffer.write(chunk);
    chunk.fill(0);
  };
  for (let round = 1; round <= 40; round++) {
    for (const length of [5, 100, memory.length]) write(memory.fill(round).subarray(0, length));
    const large = new Uint8Array(16 * 1024).fill(round);
    written.push(large);
    buffer.write(large);
  }
  assert.equal(concat(...buffer.take(buffer.unsent)), concat(...written));
  assert.equal(concat(...buffer.all()), concat(...written));
});

test('small copies share memory, large ones do not', () => {
  const slab = new Slab(SLAB_BYTES);
  const large = new Uint8Array(100_000).fill(1);
  const small = compacted(large.subarray(0, 500), slab);
  const next = compacted(large.subarray(0, 10), slab);
  assert.equal([small, next], [large.slice(0, 500), large.slice(0, 10)]);
  assert.is(small.buffer, next.buffer);
  assert.is(small.buffer.byteLength, SLAB_BYTES);
  assert.is(compacted(large.subarray(0, COPIED_BELOW), slab).buffer.byteLength, COPIED_BELOW);
  assert.is(compacted(small).buffer.byteLength, 500, 'who keeps it for long');
});

test('sending: the bound follows the window within the limits', () => {
  const limits = DEFAULT_LIMITS.retain;
  assert.is(sendBound(1 << 20, Infinity, limits), 2 << 20);
  assert.is(sendBound(0, Infinity, limits), limits.least);
  assert.is(sendBound(1 << 30, Infinity, limits), limits.stream);
  assert.is(sendBound(1 << 30, 100_000, limits), 100_000);
  assert.is(sendBound(1 << 30, -5, limits), limits.least);
});

test('receiving: any order, overlaps and repeats give every byte once, the first seen', () => {
  const dice = new Dice(`${seed()} receive`);
  for (let round = 0; round < full(200, 10_000); round++) {
    const size = dice.between(1, 400);
    const buffer = new ReceiveBuffer();
    const seen: (number | undefined)[] = Array.from({ length: size });
    const out: number[] = [];
    const push = (offset: number, bytes: Uint8Array): void => {
      const before = seen.filter(b => b !== undefined).length;
      bytes.forEach((b, i) => (seen[offset + i] ??= b));
      const fresh = buffer.push(offset, bytes, size, chunk => void out.push(...chunk));
      assert.is(fresh, seen.filter(b => b !== undefined).length - before);
      assert.is(out.length, buffer.received);
    };
    for (let i = 0; i < 30; i++) {
      const offset = dice.chance(0.5) ? Math.min(buffer.received, size - 1) : dice.below(size);
      try {
        // Other bytes each time: then it shows which came first.
        push(offset, dice.bytes(dice.between(1, Math.min(60, size - offset))));
      } catch (error) {
        assert.match(String(error), /too many gaps/);
        break;
      }
    }
    if ((buffer as unknown as { pieces: unknown[] }).pieces.length <= 8) {
      buffer.finish(size, size);
      push(0, dice.bytes(size));
      assert.ok(buffer.isComplete);
      assert.equal(out, seen);
      assert.is(buffer.told, size + 1);
      assert.is(buffer.ahead, 0);
    }
  }
});

test('receiving: bytes in order are handed on without a copy', () => {
  const buffer = new ReceiveBuffer();
  const bytes = new Uint8Array(100);
  let got: Uint8Array | undefined;
  buffer.push(0, bytes, 100, chunk => (got = chunk));
  assert.is(got, bytes);
});

test('receiving: pieces ahead do not keep the memory they came in', () => {
  const buffer = new ReceiveBuffer();
  const record = new Uint8Array(100_000);
  buffer.push(10, record.subarray(0, 5), 1000, () => undefined);
  const [piece] = (buffer as unknown as { pieces: { buffer: Uint8Array }[] }).pieces;
  assert.is(piece!.buffer.buffer.byteLength, 5);
});

test('receiving: a piece that grows byte by byte costs no more than it should', () => {
  const buffer = new ReceiveBuffer();
  const n = 200_000;
  for (let i = 1; i < n; i++) buffer.push(i, new Uint8Array(1), n, () => undefined);
  assert.is(buffer.ahead, n - 1);
  assert.is((buffer as unknown as { pieces: unknown[] }).pieces.length, 1);
  // ... and backwards it is refused.
  const other = new ReceiveBuffer();
  assert.throws(() => {
    for (let i = n; i > 1; i--) other.push(i, new Uint8Array(1), 2 * n, () => undefined);
  }, /too many gaps/);
});

test('receiving: the end', () => {
  const buffer = new ReceiveBuffer();
  const none = (): void => undefined;
  buffer.push(0, new Uint8Array(3), 10, none);
  buffer.push(5, new Uint8Array(2), 10, none);
  assert.throws(() => buffer.finish(6, 10), /below data/);
  assert.throws(() => buffer.finish(11, 10), /beyond credit/);
  buffer.finish(8, 10);
  buffer.finish(8, 10);
  assert.throws(() => buffer.finish(9, 10), /changed/);
  assert.throws(() => buffer.push(7, new Uint8Array(2), 10, none), /final size/);
  assert.is(buffer.isComplete, false);
  buffer.push(3, new Uint8Array(5), 10, none);
  assert.ok(buffer.isComplete);
  assert.is(
    buffer.push(0, new Uint8Array(8), 10, () => assert.unreachable()),
    0,
  );
});

test.run();
