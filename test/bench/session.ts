/**
 * What links and sessions cost: bytes through two sessions in memory, against sealing and opening the same bytes with the
 * bare AEAD. Everything is per second of CPU, not of the clock, since other work may share the machine. `node dist/test/bench/session.js [MIB [SUITE]]`
 */
import { NodeTimers } from '../../daemon/transport/timers.js';
import { EMPTY } from '../../protocol/bytes.js';
import { loadPrimitives } from '../../protocol/crypto/load.js';
import type { AeadName } from '../../protocol/crypto/primitives.js';
import { DEFAULT_LIMITS } from '../../protocol/limits.js';
import { Link } from '../../protocol/link/index.js';
import { ProcessBudget, SessionSlot, type Stream, type StreamHandler } from '../../protocol/session/index.js';
import { establishedPair } from '../protocol/session/world.js';
import { Dice } from '../protocol/session/virtual.js';

const MIB = 1024 * 1024;
const total = Number(process.argv[2] ?? 512) * MIB;
const READ = 64 * 1024;
const primitives = await loadPrimitives();
const timers = new NodeTimers();

/** Hands chunks over in the next turn, in pieces as a socket reads them, and without a copy. */
class MemoryPort {
  peer: Link | undefined;
  own: Link | undefined;
  buffered = 0;
  private queue: Uint8Array[] = [];

  write(chunks: readonly Uint8Array[]): void {
    if (this.queue.length === 0) setImmediate(() => this.run());
    for (const chunk of chunks) {
      this.queue.push(chunk);
      this.buffered += chunk.length;
    }
  }

  private run(): void {
    const chunks = this.queue;
    this.queue = [];
    for (const chunk of chunks) {
      for (let at = 0; at < chunk.length; at += READ) this.peer!.receive(chunk.subarray(at, at + READ));
      this.buffered -= chunk.length;
    }
    this.own!.drained();
  }

  close(): void {}
  abort(): void {}
}

async function pair(suite: AeadName, onStream: (stream: Stream) => StreamHandler): Promise<[SessionSlot, SessionSlot]> {
  const dice = new Dice('bench');
  const ids = [Uint8Array.of(1, ...dice.bytes(31)), Uint8Array.of(2, ...dice.bytes(31))] as const;
  const established = establishedPair(dice, ids, suite);
  const ports = [new MemoryPort(), new MemoryPort()] as const;
  const links = ([0, 1] as const).map(
    side =>
      new Link({
        established: established[side],
        port: ports[side],
        timers,
        primitives,
        limits: DEFAULT_LIMITS,
        onClosed: (code, sentence) =>
          code === 'going-away' ? undefined : console.log(`link ${side}: ${code} ${sentence}`),
      }),
  );
  for (const side of [0, 1] as const) {
    ports[side].own = links[side];
    ports[side].peer = links[1 - side];
  }
  const slots = ([0, 1] as const).map(
    side =>
      new SessionSlot({
        local: ids[side],
        peer: ids[1 - side]!,
        primitives,
        timers,
        limits: DEFAULT_LIMITS,
        budget: new ProcessBudget(DEFAULT_LIMITS),
        onStream,
        onNews: () => undefined,
        onUp: () => undefined,
        onHeld: () => undefined,
        onDown: () => undefined,
        onAlarm: () => undefined,
      }),
  );
  slots[1]!.linkAdmitted(links[1]!);
  slots[0]!.linkAdmitted(links[0]!);
  while (slots[0]!.session === undefined) await new Promise(setImmediate);
  return [slots[0]!, slots[1]!];
}

/** Bytes one way over `streams` streams. @returns bytes per second */
async function bulk(suite: AeadName, streams: number, chunkBytes: number): Promise<number> {
  let received = 0;
  let done: () => void = () => undefined;
  const finished = new Promise<void>(resolve => (done = resolve));
  const [client, server] = await pair(suite, stream => {
    stream.accept();
    return {
      data(chunk) {
        received += chunk.length;
        stream.consumed(chunk.length);
        if (received === total) done();
      },
      fin: () => undefined,
      reset: code => (code === 'going-away' ? undefined : console.log(`reset ${code}`)),
    };
  });
  const started = process.cpuUsage();
  for (let i = 0; i < streams; i++) pump(client, total / streams, chunkBytes);
  await finished;
  const seconds = cpuSeconds(started);
  if (process.env.WARREN_BENCH_STATS) console.log(client.session!.links.map(l => ({ rtt: l.rttMs, rate: l.rate / 1000 })), server.session!.stats()); // prettier-ignore
  client.close('going-away');
  server.close('going-away');
  return total / seconds;
}

function pump(slot: SessionSlot, bytes: number, chunkBytes: number): void {
  let left = bytes;
  let isWaiting = false;
  // Always the same memory: what reading a socket costs is not the question here.
  const chunk = new Uint8Array(chunkBytes);
  const more = (): void => {
    isWaiting = false;
    // One chunk per turn and stream, as a socket delivers them.
    const n = Math.min(chunkBytes, left);
    left -= n;
    const goesOn = stream.write(n === chunk.length ? chunk : chunk.subarray(0, n));
    if (left === 0) stream.end();
    else if (goesOn) setImmediate(more);
    else isWaiting = true;
  };
  const stream = slot.session!.open(
    { service: 'sink', class: 'bulk' },
    {
      data: () => undefined,
      fin: () => undefined,
      reset: code => (code === 'going-away' ? undefined : console.log(`reset ${code}`)),
      drain: () => isWaiting && more(),
    },
  );
  more();
}

/** Requests and answers of 200 bytes on `streams` streams at once. @returns round trips per second */
async function pingPong(suite: AeadName, streams: number, requests: number): Promise<number> {
  const [client, server] = await pair(suite, stream => ({
    data(chunk) {
      stream.consumed(chunk.length);
      stream.write(chunk);
    },
    fin: () => stream.end(),
    reset: () => undefined,
  }));
  const started = process.cpuUsage();
  let done = 0;
  await new Promise<void>(resolve => {
    for (let i = 0; i < streams; i++) {
      const stream = client.session!.open(
        { service: 'echo', class: 'interactive' },
        {
          data(chunk) {
            stream.consumed(chunk.length);
            if (++done >= requests) resolve();
            else stream.write(new Uint8Array(200));
          },
          fin: () => undefined,
          reset: () => undefined,
        },
      );
      stream.write(new Uint8Array(200));
    }
  });
  const seconds = cpuSeconds(started);
  client.close('going-away');
  server.close('going-away');
  return requests / seconds;
}

/** Streams opened, used for 200 bytes each way and closed, `atOnce` at a time. @returns streams per second */
async function shortStreams(suite: AeadName, atOnce: number, count: number): Promise<number> {
  const [client, server] = await pair(suite, stream => {
    stream.accept();
    return {
      data(chunk) {
        stream.consumed(chunk.length);
        stream.write(chunk);
      },
      fin: () => stream.end(),
      reset: () => undefined,
    };
  });
  const started = process.cpuUsage();
  let done = 0;
  await new Promise<void>(resolve => {
    const next = (): void => {
      const stream = client.session!.open(
        { service: 'echo', class: 'interactive' },
        {
          data(chunk) {
            stream.consumed(chunk.length);
            stream.end();
          },
          fin: () => undefined,
          reset: code => (code === 'going-away' ? undefined : console.log(`reset ${code}`)),
          closed() {
            if (++done >= count) resolve();
            else next();
          },
        },
      );
      stream.write(new Uint8Array(200));
    };
    for (let i = 0; i < atOnce; i++) next();
  });
  const seconds = cpuSeconds(started);
  client.close('going-away');
  server.close('going-away');
  return count / seconds;
}

/** CPU seconds of this process since `start`. */
function cpuSeconds(start: NodeJS.CpuUsage): number {
  const { user, system } = process.cpuUsage(start);
  return (user + system) / 1e6;
}

/** Sealing and opening records of 64 KiB or 256 KiB, nothing else. */
function bare(suite: AeadName, record: number): number {
  const key = primitives.aead[suite].key(new Uint8Array(32));
  const nonce = new Uint8Array(12);
  const view = new DataView(nonce.buffer);
  const plaintext = new Uint8Array(record);
  const started = process.cpuUsage();
  for (let i = 0; i < total / record; i++) {
    view.setUint32(4, i);
    key.open(nonce, EMPTY, key.seal(nonce, EMPTY, plaintext));
  }
  return total / cpuSeconds(started);
}

const mb = (n: number): string => (n / 1e6).toFixed(0).padStart(5);
for (const suite of (process.argv[3] === undefined ? ['AESGCM', 'ChaChaPoly'] : [process.argv[3]]) as AeadName[]) {
  const base = Math.max(bare(suite, 64 * 1024), bare(suite, 256 * 1024));
  console.log(`${suite}: bare seal and open ${mb(base)} MB per CPU s`);
  for (const [streams, chunk] of [
    [1, 64 * 1024],
    [1, 256 * 1024],
    [4, 64 * 1024],
  ] as const) {
    // prettier-ignore
    const rate = await bulk(suite, streams, chunk);
    const what = `${streams} stream(s), writes of ${chunk / 1024} KiB`;
    console.log(`  ${what.padEnd(34)} ${mb(rate)} MB per CPU s  ${(rate / base).toFixed(2)} of bare`);
  }
  for (const n of [1, 32]) console.log(`  ${`request/answer, ${n} stream(s)`.padEnd(34)} ${mb(1e6 * (await pingPong(suite, n, 20_000 * Math.sqrt(n))))} per CPU s`); // prettier-ignore
  console.log(
    `  ${'short streams, 16 at a time'.padEnd(34)} ${mb(1e6 * (await shortStreams(suite, 16, 20_000)))} per CPU s`,
  );
}
