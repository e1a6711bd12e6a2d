import { spawn } from 'node:child_process';
import { createHash, randomBytes } from 'node:crypto';
import { once } from 'node:events';
import net from 'node:net';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { suite, assert, full, type TestOptions } from '../../helpers/suite.js';
import { dialText, eventually, readAll, serve, settled, tcpPair, thinPair } from '../../helpers/sockets.js';
import { collectGarbage } from '../../../daemon/observe/collect.js';
import { openLocal } from '../../../daemon/services/local-stream.js';
import { acceptThin, type ThinSocket } from '../../../daemon/transport/thin-socket.js';
import { Splice, type SpliceResult } from '../../../daemon/services/splice.js';
import { EARLY_KEEP_BYTES } from '../../../daemon/services/limits.js';
import type { ServiceStream, StreamHandler } from '../../../daemon/services/mesh.js';
import type { Code } from '../../../protocol/codes.js';

const test = suite('splice');

type Local = net.Socket | ThinSocket;
type Pair = [client: net.Socket, local: Local];

/** The local connections that a daemon has: thin ones, and where there are none, node's own. */
const KINDS: Readonly<Record<string, { readonly pair: () => Promise<Pair>; readonly accept: typeof acceptThin }>> = {
  thin: { pair: thinPair, accept: acceptThin },
  'of node': { pair: tcpPair, accept: () => undefined },
};
/** of the test that runs */
let { pair, accept } = KINDS['thin']!;

function each(name: string, run: () => Promise<void>, options: TestOptions = {}): void {
  for (const [kind, made] of Object.entries(KINDS))
    test(
      `${name} (${kind})`,
      async () => {
        ({ pair, accept } = made);
        await run();
      },
      options,
    );
}

const REQUEST = { service: 'x', class: 'interactive' } as const;
const CALLER = { nodeId: new Uint8Array(32), name: 'me', tags: [] };
const WINDOW = 64 * 1024;

interface Joined {
  readonly splice: Splice;
  readonly ended: Promise<SpliceResult>;
}

function joinSocket(socket: Local, code: Code = 'caller-gone'): Joined {
  let settle: (result: SpliceResult) => void = () => undefined;
  const ended = new Promise<SpliceResult>(resolve => (settle = resolve));
  let times = 0;
  const splice = new Splice({
    socket,
    broken: () => ({ code, dialed: true }),
    done: result => {
      assert.is(++times, 1, 'done is told once');
      settle(result);
    },
  });
  return { splice, ended };
}

interface Chain {
  readonly client: net.Socket;
  readonly server: net.Socket;
  /** the daemon's own sockets */
  readonly accepted: Local;
  readonly dialed: Local;
  readonly near: Joined;
  readonly far: Joined;
}

/** client ⇄ socket ⇄ stream ⇄ socket ⇄ server, all but the stream real. */
async function chain(): Promise<Chain> {
  const [client, accepted] = await pair();
  return { client, ...(await chainBehind(accepted)) };
}

async function chainBehind(accepted: Local): Promise<Omit<Chain, 'client'>> {
  const [server, dialed] = await pair();
  const near = joinSocket(accepted);
  const far = joinSocket(dialed, 'target-failed');
  const answer = (stream: ServiceStream): StreamHandler => {
    stream.accept();
    far.splice.attach(stream);
    return far.splice;
  };
  near.splice.attach(openLocal(answer, REQUEST, CALLER, near.splice, WINDOW));
  return { server, accepted, dialed, near, far };
}

each('bytes both ways, then the end of each direction after the other', async () => {
  const { client, server, near, far } = await chain();
  const atServer = readAll(server);
  client.end('question');
  assert.equal(await atServer, { bytes: Buffer.from('question'), how: 'end' });
  const atClient = readAll(client);
  server.end('answer');
  assert.equal(await atClient, { bytes: Buffer.from('answer'), how: 'end' });
  const results = await Promise.all([near.ended, far.ended]);
  assert.is(results[0].ending, 'closed');
  assert.is(results[1].ending, 'closed');
  assert.is(results[0].bytesSent, 8);
  assert.is(results[0].bytesReceived, 6);
});

each('the answering side may end first and still hear the rest', async () => {
  const { client, server, near } = await chain();
  const atClient = readAll(client);
  server.end('hello');
  assert.is((await atClient).how, 'end');
  const atServer = readAll(server);
  client.write('late ');
  setTimeout(() => client.end('words'), 20);
  assert.is((await atServer).bytes.toString(), 'late words');
  assert.is((await near.ended).code, 'no-error');
});

each('megabytes both ways at once arrive whole', async () => {
  const { client, server, near, far } = await chain();
  const size = full(8, 128) * 1024 * 1024;
  const send = async (socket: net.Socket): Promise<string> => {
    const hash = createHash('sha256');
    for (let left = size; left > 0;) {
      const chunk = randomBytes(Math.min(left, 1 + Math.floor(Math.random() * 200_000)));
      left -= chunk.length;
      hash.update(chunk);
      if (!socket.write(chunk)) await new Promise(resolve => socket.once('drain', resolve));
    }
    socket.end();
    return hash.digest('hex');
  };
  const receive = (socket: net.Socket): Promise<string> =>
    new Promise((resolve, reject) => {
      const hash = createHash('sha256');
      socket.on('data', (chunk: Buffer) => hash.update(chunk));
      socket.once('end', () => resolve(hash.digest('hex')));
      socket.once('error', reject);
    });
  const [up, down, atServer, atClient] = await Promise.all([
    send(client),
    send(server),
    receive(server),
    receive(client),
  ]);
  assert.is(atServer, up);
  assert.is(atClient, down);
  assert.is((await near.ended).bytesSent, size);
  assert.is((await far.ended).bytesSent, size);
});

each('a stalled reader stops the writer; what lies between is bounded', async () => {
  const { client, server, near, far } = await chain();
  const block = Buffer.alloc(64 * 1024);
  let accepted = 0;
  const write = (): void => {
    while (!client.destroyed && client.write(block, () => (accepted += block.length)));
    client.once('drain', write);
  };
  write();
  const last = await settled(() => near.splice.bytesSent);
  // in the far socket's own queue: at most the window and one read
  const kernelHas = far.splice.bytesReceived;
  assert.ok(near.splice.bytesSent - kernelHas <= WINDOW + 64 * 1024, 'bounded on the way');
  assert.ok(accepted < 64 * 1024 * 1024);
  // The reader goes on, and so does everything else.
  let got = 0;
  server.on('data', (chunk: Buffer) => (got += chunk.length));
  await eventually('bytes flow again', () => got > last + 4 * 1024 * 1024);
  near.splice.cut('cancelled');
  await Promise.all([near.ended, far.ended]);
});

each('a reset by the local client resets the other socket', async () => {
  const { client, server, near, far } = await chain();
  const atServer = readAll(server);
  client.write('x');
  await eventually('the byte is there', () => far.splice.bytesReceived === 1);
  client.resetAndDestroy();
  assert.is((await atServer).how, 'ECONNRESET');
  const [atNear, atFar] = await Promise.all([near.ended, far.ended]);
  assert.equal([atNear.ending, atNear.code], ['socket', 'caller-gone']);
  assert.is((atNear.error as NodeJS.ErrnoException).code, 'ECONNRESET');
  assert.equal([atFar.ending, atFar.code], ['peer', 'caller-gone']);
});

each('a reset by the target resets the client', async () => {
  const { client, server, far } = await chain();
  const atClient = readAll(client);
  server.write('partial');
  await eventually('the bytes are on their way', () => far.splice.bytesSent === 7);
  server.resetAndDestroy();
  assert.is((await atClient).how, 'ECONNRESET');
  assert.is((await far.ended).code, 'target-failed');
});

each('writing to a client that has closed resets the stream', async () => {
  const { client, server, near } = await chain();
  server.on('error', () => undefined);
  client.destroy();
  const write = setInterval(() => server.write('anyone?'), 5);
  assert.is((await near.ended).code, 'caller-gone');
  clearInterval(write);
});

/** Waits for a line on stdin, then reads to the end; libuv's own clients may take a reset for an end. */
const SLOW_READER = `
import socket, sys
s = socket.create_connection(("127.0.0.1", int(sys.argv[1])))
print("connected", flush=True)
sys.stdin.readline()
got = 0
try:
    while True:
        chunk = s.recv(65536)
        if not chunk: break
        got += len(chunk)
    print("end", flush=True)
except ConnectionResetError:
    print("reset", flush=True)
`;

/** A connection whose client stalls until `finish`, which tells how the client saw it end. */
async function stalledReader(): Promise<{ accepted: Local; finish: () => Promise<string> }> {
  const listener = net.createServer({ allowHalfOpen: true, pauseOnConnect: true });
  await once(listener.listen(0, '127.0.0.1'), 'listening');
  const { port } = listener.address() as net.AddressInfo;
  const reader = spawn('python3', ['-c', SLOW_READER, String(port)], { stdio: ['pipe', 'pipe', 'inherit'] });
  let said = '';
  reader.stdout.setEncoding('utf8').on('data', (text: string) => (said += text));
  const accepted = await new Promise<Local>(resolve => {
    listener.once('connection', resolve);
    accept(listener, resolve);
  });
  listener.close();
  const finish = async (): Promise<string> => {
    const ended = once(reader.stdout, 'end');
    reader.stdin.end('go\n');
    await ended;
    return said.replace('connected\n', '').trim();
  };
  return { accepted, finish };
}

each(
  'a cut stream never looks like a whole one, even with a stalled reader',
  async () => {
    const { accepted, finish } = await stalledReader();
    const { server, near, far } = await chainBehind(accepted);
    const block = Buffer.alloc(1024 * 1024);
    for (let i = 0; i < 64; i++) server.write(block);
    server.end();
    await settled(() => near.splice.bytesReceived);
    near.splice.cut('denied');
    assert.is(await finish(), 'reset');
    assert.is((await near.ended).ending, 'cut');
    assert.is((await far.ended).code, 'denied');
  },
  { needs: ['python3'] },
);

each(
  'nor when its end has come already and waits behind the bytes',
  async () => {
    const { accepted, finish } = await stalledReader();
    const { splice } = joinSocket(accepted);
    splice.attach(recorder());
    for (let i = 0; i < 64; i++) splice.data(Buffer.alloc(1024 * 1024));
    splice.fin();
    await new Promise(resolve => setTimeout(resolve, 50));
    splice.cut('denied');
    await eventually('the socket is closed', () => accepted.closed);
    assert.is(await finish(), 'reset');
  },
  { needs: ['python3'] },
);

each('a cut in the moment of the end closes the socket', async () => {
  const [client, accepted] = await pair();
  const { splice } = joinSocket(accepted);
  const stream = recorder();
  splice.attach(stream);
  splice.data(Buffer.from('all'));
  await eventually('it is written', () => stream.calls.includes('consumed 3'));
  splice.fin();
  splice.cut('denied');
  await eventually('the socket is closed', () => accepted.closed);
  assert.is((await readAll(client)).bytes.toString(), 'all');
});

each('a cut behind the last byte, with the end on its way, closes everything', async () => {
  const { client, server, accepted, dialed, near, far } = await chain();
  const atServer = readAll(server);
  server.end('all');
  await eventually('the end has come', () => near.splice.bytesReceived === 3);
  near.splice.cut('denied');
  await Promise.all([readAll(client), atServer, near.ended, far.ended]);
  await eventually('both sockets are closed', () => accepted.closed && dialed.closed);
});

each('a reset right behind the last bytes is not taken for their end', async () => {
  for (let i = 0; i < 20; i++) {
    const { client, server, near, far } = await chain();
    const atClient = readAll(client);
    // As a process that dies: the bytes and the reset are there before the daemon looks.
    server.write('half of it', () => server.resetAndDestroy());
    assert.equal([(await far.ended).code, (await near.ended).code], ['target-failed', 'target-failed'], `round ${i}`);
    await atClient;
  }
});

each('a unix socket carries bytes and ends like TCP', async () => {
  const folder = mkdtempSync(join(tmpdir(), 'warren-'));
  try {
    const server = await serve(socket => socket.end(`hello `), join(folder, 's'));
    const dialed = await dialText(server.target);
    const [client, accepted] = await pair();
    const near = joinSocket(accepted);
    const far = joinSocket(dialed);
    const answer = (stream: ServiceStream): StreamHandler => {
      far.splice.attach(stream);
      return far.splice;
    };
    near.splice.attach(openLocal(answer, REQUEST, CALLER, near.splice));
    const all = readAll(client);
    client.end();
    assert.is((await all).bytes.toString(), 'hello ');
    assert.is((await near.ended).ending, 'closed');
    far.splice.cut('denied');
    await far.ended;
    await server.close();
  } finally {
    rmSync(folder, { recursive: true });
  }
});

/** A stream end that only records. */
function recorder(): ServiceStream & { readonly calls: string[] } {
  const calls: string[] = [];
  return {
    calls,
    write: chunk => (calls.push(`write ${Buffer.from(chunk).toString()}`), true),
    end: () => void calls.push('end'),
    reset: (code, dialed) => void calls.push(`reset ${code} ${dialed}`),
    consumed: n => void calls.push(`consumed ${n}`),
    accept: () => void calls.push('accept'),
  };
}

/** A splice on the first of the streams; each one that is refused makes way for the next. */
function givenOn(socket: Local, streams: readonly ServiceStream[]): Splice {
  let next = 0;
  const splice = new Splice({
    socket,
    broken: () => ({ code: 'caller-gone', dialed: true }),
    refused: () => {
      splice.attach(streams[++next]!);
      return true;
    },
    done: () => undefined,
  });
  splice.attach(streams[0]!);
  return splice;
}

each('what came before the answer is given to the next stream, once', async () => {
  const [client, accepted] = await pair();
  const streams = [recorder(), recorder()];
  const splice = givenOn(accepted, streams);
  client.write('early');
  await eventually('it was read', () => splice.bytesSent === 5);
  client.end();
  await eventually('the end was read', () => streams[0]!.calls.includes('end'));
  splice.reset('no-service', false);
  splice.opened();
  assert.equal(streams[1]!.calls, ['write early', 'end']);
  splice.cut('cancelled');
  assert.equal(streams[1]!.calls.at(-1), 'reset cancelled true');
  assert.equal(streams[0]!.calls, ['write early', 'end']);
});

each('what was read before the answer stays what it was, whatever is read after it', async () => {
  const [client, accepted] = await pair();
  const streams = [recorder(), recorder()];
  const splice = givenOn(accepted, streams);
  const long = 'long'.repeat(400);
  let read = 0;
  for (const words of ['first', 'again', long, 'third']) {
    client.write(words);
    read += words.length;
    await eventually('it was read', () => splice.bytesSent === read);
  }
  splice.reset('no-service', false);
  assert.equal(streams[1]!.calls, ['write first', 'write again', `write ${long}`, 'write third']);
  splice.cut('cancelled');
  client.destroy();
});

test('a stream within the daemon copies small chunks: their memory is lent', async () => {
  const heard: string[] = [];
  const handler: StreamHandler = {
    data: chunk => void heard.push(Buffer.from(chunk).toString()),
    fin: () => undefined,
    reset: () => undefined,
  };
  const stream = openLocal(() => handler, REQUEST, CALLER, { ...handler, data: () => assert.unreachable() }, WINDOW);
  const chunk = Buffer.from('small');
  stream.write(chunk);
  chunk.fill('x');
  await eventually('it has come', () => heard.length > 0);
  assert.equal(heard, ['small']);
});

each('before the answer no more is read than can be kept', async () => {
  const [client, accepted] = await pair();
  client.on('error', () => undefined);
  const stream = recorder();
  const splice = new Splice({
    socket: accepted,
    broken: () => ({ code: 'caller-gone', dialed: true }),
    refused: () => false,
    done: () => undefined,
  });
  splice.attach(stream);
  client.write(Buffer.alloc(1024 * 1024));
  await eventually('some was read', () => splice.bytesSent >= EARLY_KEEP_BYTES);
  await new Promise(resolve => setTimeout(resolve, 50));
  assert.ok(splice.bytesSent <= EARLY_KEEP_BYTES + 64 * 1024, `${splice.bytesSent} bytes`);
  splice.opened();
  await eventually('the rest follows', () => splice.bytesSent === 1024 * 1024);
  splice.cut('cancelled');
});

each('credit goes back for bytes that the operating system took, and for no others', async () => {
  const [client, accepted] = await pair();
  client.pause();
  client.on('error', () => undefined);
  const stream = recorder();
  const { splice } = joinSocket(accepted);
  splice.attach(stream);
  const consumed = (): number =>
    stream.calls.filter(c => c.startsWith('consumed')).reduce((sum, c) => sum + Number(c.split(' ')[1]), 0);
  splice.data(Buffer.alloc(10));
  splice.data(Buffer.alloc(20));
  await eventually('small writes pass', () => consumed() === 30);
  const turn = (): Promise<void> => new Promise(resolve => setImmediate(resolve));
  for (let i = 0; i < 256; i++) {
    splice.data(Buffer.alloc(256 * 1024));
    await turn();
  }
  // The reader takes some and stalls again: what is written meanwhile is told, what waits behind it is not.
  let got = 0;
  client.on('data', (chunk: Buffer) => {
    got += chunk.length;
    if (got > 8 * 1024 * 1024) client.pause();
  });
  client.resume();
  await settled(consumed);
  assert.ok(consumed() <= splice.bytesReceived - accepted.writableLength, 'none for what still waits here');
  assert.ok(accepted.writableLength > 16 * 1024 * 1024, 'much of it waits');
  got = -Infinity;
  client.resume();
  await eventually('all went through', () => consumed() === 30 + 256 * 256 * 1024);
  splice.cut('cancelled');
});

each('small chunks for a reader that stalls cost little more than their bytes, and arrive in order', async () => {
  const [client, accepted] = await pair();
  const { splice } = joinSocket(accepted);
  let consumed = 0;
  const stream: ServiceStream = {
    write: () => true,
    end: () => undefined,
    reset: () => undefined,
    consumed: n => void (consumed += n),
    accept: () => undefined,
  };
  splice.attach(stream);
  client.pause();
  const filler = Buffer.alloc(256 * 1024);
  let filled = 0;
  while (accepted.writableLength < filler.length) {
    splice.data(filler.slice());
    filled += filler.length;
    await new Promise(setImmediate);
  }
  const count = 50_000;
  const used = (): number => process.memoryUsage().heapUsed + process.memoryUsage().external;
  collectGarbage();
  const before = used();
  for (let i = 0; i < count; i++) {
    splice.data(Uint8Array.of(i % 251));
    if (i % 10 === 0) await new Promise(setImmediate);
  }
  collectGarbage();
  const each = (used() - before) / count;
  assert.ok(each < 10, `${each.toFixed(1)} bytes for each`);
  assert.ok(consumed <= filled, 'no credit goes back for what waits');
  splice.fin();
  const all = readAll(client);
  client.resume();
  const { bytes } = await all;
  assert.is(bytes.length, filled + count);
  assert.ok(bytes.subarray(filled).every((byte, i) => byte === i % 251));
  assert.is(consumed, filled + count);
  client.destroy();
});

test.run();
