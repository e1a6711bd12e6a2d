import { once } from 'node:events';
import { connect, createServer, Socket, type AddressInfo, type Server } from 'node:net';
import {
  FIRST_READ_BYTES,
  LOCAL_READ_BYTES,
  LocalReads,
  READ_BYTES,
  READ_BYTES_BESIDE,
  adopt,
  borrow,
  localReads,
  readingLent,
} from '../../../daemon/transport/reading.js';
import { assert, suite } from '../../helpers/suite.js';
import { eventually } from '../../helpers/sockets.js';

const test = suite('how sockets are read');

interface Pair {
  readonly server: Server;
  readonly far: Socket;
  readonly accepted: Socket;
  readonly close: () => void;
}

async function pair(paused = false): Promise<Pair> {
  const server = createServer({ pauseOnConnect: true, allowHalfOpen: true });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const arrived = once(server, 'connection') as Promise<[Socket]>;
  const far = connect((server.address() as AddressInfo).port, '127.0.0.1');
  const [raw] = await arrived;
  const accepted = adopt(raw, { allowHalfOpen: true, paused });
  const close = (): void => {
    for (const socket of [far, accepted]) socket.destroy();
    server.close();
  };
  return { server, far, accepted, close };
}

const pattern = (n: number): Buffer => Buffer.from(Uint8Array.from({ length: n }, (_, i) => (i * 7) & 0xff));

test('whoever listens for data gets memory of its own', async () => {
  const { far, accepted, close } = await pair();
  const chunks: Buffer[] = [];
  accepted.on('data', (chunk: Buffer) => chunks.push(chunk));
  const sent = pattern(3 * READ_BYTES);
  far.write(sent);
  await eventually('all is there', () => chunks.reduce((sum, { length }) => sum + length, 0) === sent.length);
  assert.ok(Buffer.concat(chunks).equals(sent));
  assert.is(new Set(chunks.map(({ buffer }) => buffer)).size, chunks.length);
  for (const chunk of chunks) assert.is(chunk.buffer.byteLength, chunk.length);
  close();
});

test('borrowers share one piece of memory; a first read is small, and so is one after a pause', async () => {
  const pairs = [await pair(), await pair()];
  const memory = new Set<ArrayBufferLike>();
  for (const { far, accepted, close } of pairs) {
    const got: Buffer[] = [];
    borrow(accepted, lent => {
      memory.add(lent.buffer);
      got.push(Buffer.from(lent));
    });
    const sent = pattern(READ_BYTES);
    far.write(sent);
    await eventually('all is there', () => got.reduce((sum, { length }) => sum + length, 0) === sent.length);
    assert.ok(Buffer.concat(got).equals(sent));
    assert.ok(got[0]!.length <= FIRST_READ_BYTES);
    close();
  }
  assert.is(memory.size, 1);
});

test('who brings much is read in shorter pieces while others have little to say, and in long ones soon after', () => {
  const reads = new LocalReads();
  const after = (read: number, offered: number): number => reads.memory(read, offered).length;
  assert.is(after(0, FIRST_READ_BYTES), FIRST_READ_BYTES);
  assert.is(after(FIRST_READ_BYTES, FIRST_READ_BYTES), LOCAL_READ_BYTES);
  // The rest of something large, and what is neither: nobody talks.
  assert.is(after(100, LOCAL_READ_BYTES), FIRST_READ_BYTES);
  assert.is(after(10_000, FIRST_READ_BYTES), FIRST_READ_BYTES);
  assert.is(after(LOCAL_READ_BYTES, LOCAL_READ_BYTES), LOCAL_READ_BYTES);
  assert.is(after(100, FIRST_READ_BYTES), FIRST_READ_BYTES);
  assert.is(after(LOCAL_READ_BYTES, LOCAL_READ_BYTES), READ_BYTES_BESIDE);
  let shorter = 1;
  while (after(READ_BYTES_BESIDE, READ_BYTES_BESIDE) === READ_BYTES_BESIDE) shorter++;
  assert.ok(shorter >= 8 && shorter <= 64, `${shorter} shorter reads`);
  assert.is(after(LOCAL_READ_BYTES, LOCAL_READ_BYTES), LOCAL_READ_BYTES);
});

test('what a link reads is no talk, however little it is', async () => {
  const { far, accepted, close } = await pair();
  let got = 0;
  borrow(accepted, lent => void (got += lent.length));
  far.write(pattern(100));
  await eventually('it is there', () => got === 100);
  assert.is(localReads.memory(LOCAL_READ_BYTES, LOCAL_READ_BYTES).length, LOCAL_READ_BYTES);
  close();
});

test('what was read before somebody borrowed comes first', async () => {
  const { far, accepted, close } = await pair();
  far.write('one ');
  await eventually('it is read', () => accepted.readableLength === 4);
  let got = '';
  const take = (chunk: Uint8Array): void => void (got += Buffer.from(chunk).toString());
  assert.ok(borrow(accepted, take));
  accepted.on('data', take);
  far.write('two');
  await eventually('both are there', () => got.length === 7);
  assert.is(got, 'one two');
  close();
});

test('an adopted socket stays paused if it was, ends by halves, and counts as its server’s', async () => {
  const { server, far, accepted, close } = await pair(true);
  let got = '';
  let ended = false;
  accepted.on('data', (chunk: Buffer) => (got += chunk.toString()));
  accepted.on('end', () => (ended = true));
  far.end('last words');
  await once(far, 'finish');
  assert.is(accepted.bytesRead, 0);
  accepted.resume();
  await eventually('the end is there', () => ended);
  assert.is(got, 'last words');
  accepted.write('answer');
  assert.is(String((await once(far, 'data'))[0]), 'answer');
  const connections = (): Promise<number> =>
    new Promise((resolve, reject) => server.getConnections((error, n) => (error ? reject(error) : resolve(n))));
  assert.is(await connections(), 1);
  accepted.destroy();
  await once(accepted, 'close');
  assert.is(await connections(), 0);
  close();
});

test('a borrower can pause in the middle', async () => {
  const { far, accepted, close } = await pair();
  const sent = pattern(2 * READ_BYTES);
  const got: Buffer[] = [];
  borrow(accepted, lent => {
    got.push(Buffer.from(lent));
    accepted.pause();
    setImmediate(() => accepted.resume());
  });
  far.write(sent);
  await eventually('all is there', () => got.reduce((sum, { length }) => sum + length, 0) === sent.length);
  assert.ok(Buffer.concat(got).equals(sent));
  close();
});

test('a dialed socket reads the same way; one that looks different inside is left as it is', async () => {
  const { server, far, close } = await pair();
  const arrived = once(server, 'connection') as Promise<[Socket]>;
  const { port } = server.address() as AddressInfo;
  const dialed = readingLent(onread => connect({ ...onread, port, host: '127.0.0.1' }));
  const [other] = await arrived;
  let got = '';
  borrow(dialed, lent => (got += Buffer.from(lent).toString()));
  other.write('hello');
  await eventually('it is there', () => got === 'hello');
  const strange = new Socket();
  assert.is(adopt(strange, { allowHalfOpen: true, paused: true }), strange);
  assert.not(borrow(strange, () => undefined));
  for (const socket of [dialed, other, far]) socket.destroy();
  close();
});

test.run();
