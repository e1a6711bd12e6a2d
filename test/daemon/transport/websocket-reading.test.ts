import { once } from 'node:events';
import { connect, createServer, type AddressInfo, type Socket } from 'node:net';
import fc from 'fast-check';
import { WebSocketServer, type WebSocket } from 'ws';
import { concat } from '../../../protocol/bytes.js';
import { adopt, borrow } from '../../../daemon/transport/reading.js';
import { FrameBorders, readMessagesLent } from '../../../daemon/transport/websocket-reading.js';
import { WS_SERVER_OPTIONS } from '../../../daemon/transport/websocket.js';
import { eventually } from '../../helpers/sockets.js';
import { assert, suite } from '../../helpers/suite.js';

const test = suite('WebSocket messages in lent memory');

const WHOLE = 0x82;
const FIRST_PART = 0x02;
const LAST_PART = 0x80;
const PING = 0x89;

/** RFC 6455 §5.2 @param long writes the length in 64 bits */
function frame(first: number, payload: Uint8Array, isMasked: boolean, long = false): Uint8Array {
  const { length } = payload;
  const mask = isMasked ? 0x80 : 0;
  if (long) {
    const bytes = new Uint8Array(8);
    new DataView(bytes.buffer).setBigUint64(0, BigInt(length));
    return concat(Uint8Array.of(first, mask | 127), bytes, new Uint8Array(isMasked ? 4 : 0), payload);
  }
  const size = length < 126 ? [mask | length] : [mask | 126, length >> 8, length & 0xff];
  return concat(Uint8Array.of(first, ...size), new Uint8Array(isMasked ? 4 : 0), payload);
}

const filled = (n: number, value: number): Uint8Array => new Uint8Array(n).fill(value);

const anyFrame = fc.record({
  first: fc.constantFrom(WHOLE, WHOLE, WHOLE, FIRST_PART, LAST_PART, PING, 0x81, 0x88, 0x8a, 0xc2),
  length: fc.oneof(fc.constant(0), fc.nat(130), fc.nat(70_000)),
  isMasked: fc.boolean(),
  isLong: fc.boolean(),
});

test('only messages in one frame that end in a chunk are lent, wherever the stream is cut', () => {
  fc.assert(
    fc.property(
      fc.array(anyFrame, { minLength: 1, maxLength: 12 }),
      fc.array(fc.nat(5_000), { maxLength: 20 }),
      (frames, cuts) => {
        const parts = frames.map(f =>
          frame(f.first, filled(f.length, 0x82), f.isMasked, f.isLong || f.length > 0xffff),
        );
        const stream = concat(...parts);
        const ends: { end: number; isWhole: boolean }[] = [];
        for (const [i, part] of parts.entries())
          ends.push({ end: (ends.at(-1)?.end ?? 0) + part.length, isWhole: frames[i]!.first === WHOLE });
        const borders = new FrameBorders();
        for (let at = 0, i = 0; at < stream.length; i++) {
          const to = i < cuts.length ? Math.min(stream.length, at + cuts[i]!) : stream.length;
          let lendable = at;
          for (const { end, isWhole } of ends.filter(({ end }) => end > at && end <= to)) {
            if (!isWhole) break;
            lendable = end;
          }
          assert.is(borders.follow(stream.subarray(at, to)), lendable - at, `bytes ${at} to ${to}`);
          at = to;
        }
      },
    ),
  );
});

interface Station {
  readonly ws: WebSocket;
  readonly socket: Socket;
  /** raw: after its 101 */
  readonly far: Socket;
  /** something else is read meanwhile, into the same memory */
  readonly overwrite: () => Promise<void>;
  readonly isLent: (bytes: Uint8Array) => boolean;
  readonly close: () => void;
}

async function station(): Promise<Station> {
  const server = createServer({ pauseOnConnect: true });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const { port } = server.address() as AddressInfo;
  const accept = async (): Promise<[far: Socket, accepted: Socket]> => {
    const arrived = once(server, 'connection') as Promise<[Socket]>;
    const far = connect(port, '127.0.0.1');
    const [raw] = await arrived;
    return [far, adopt(raw, { allowHalfOpen: false, paused: false })];
  };
  const [far, socket] = await accept();
  const headers = {
    upgrade: 'websocket',
    'sec-websocket-key': 'AAAAAAAAAAAAAAAAAAAAAA==',
    'sec-websocket-version': '13',
  };
  const request = { method: 'GET', headers, socket } as unknown as Parameters<WebSocketServer['handleUpgrade']>[0];
  const wss = new WebSocketServer(WS_SERVER_OPTIONS);
  const ws = await new Promise<WebSocket>(resolve =>
    wss.handleUpgrade(request, socket, Buffer.alloc(0), made => {
      readMessagesLent(socket);
      resolve(made);
    }),
  );
  await once(far, 'data');
  const [noisy, heard] = await accept();
  let noise = 0;
  let memory: ArrayBufferLike | undefined;
  borrow(heard, lent => {
    noise += lent.length;
    memory = lent.buffer;
  });
  heard.resume();
  const overwrite = async (): Promise<void> => {
    const before = noise;
    noisy.write(filled(1_000, 0xee));
    await eventually('the noise is read', () => noise === before + 1_000);
  };
  await overwrite();
  const isLent = ({ buffer }: Uint8Array): boolean => buffer === memory;
  const close = (): void => {
    for (const one of [far, socket, noisy, heard]) one.destroy();
    server.close();
  };
  return { ws, socket, far, overwrite, isLent, close };
}

test('a message in one frame comes in lent memory, and so do those behind one that came in two reads', async () => {
  const { ws, far, isLent, close } = await station();
  const got: { isLent: boolean; bytes: Buffer }[] = [];
  ws.on('message', (data: Buffer) => got.push({ isLent: isLent(data), bytes: Buffer.from(data) }));
  const send = async (bytes: Uint8Array, messages: number): Promise<void> => {
    far.write(bytes);
    await eventually('it is there', () => got.length === messages);
  };
  await send(frame(WHOLE, filled(200, 1), true), 1);
  const second = frame(WHOLE, filled(300, 2), true);
  await send(concat(frame(WHOLE, filled(100, 1), true), second.subarray(0, 150)), 2);
  await send(concat(second.subarray(150), frame(WHOLE, filled(200, 3), true)), 4);
  await send(frame(WHOLE, filled(200, 4), true), 5);
  assert.equal(
    got.map(one => one.isLent),
    [true, true, false, true, true],
  );
  assert.equal(
    got.map(({ bytes }) => [...new Set(bytes)]),
    [[1], [1], [2], [3], [4]],
  );
  close();
});

test('the parts of a message keep what was in them, whatever is read before the last one', async () => {
  const { ws, far, overwrite, close } = await station();
  const got: Buffer[] = [];
  ws.on('message', (data: Buffer) => got.push(Buffer.from(data)));
  far.write(concat(frame(WHOLE, filled(10, 1), true), frame(FIRST_PART, filled(200, 2), true)));
  await eventually('the first is there', () => got.length === 1);
  await overwrite();
  far.write(concat(frame(LAST_PART, filled(200, 3), true), frame(WHOLE, filled(300, 4), true).subarray(0, 200)));
  await eventually('the second is there', () => got.length === 2);
  await overwrite();
  far.write(frame(WHOLE, filled(300, 4), true).subarray(200));
  await eventually('the third is there', () => got.length === 3);
  assert.ok(Buffer.concat(got).equals(concat(filled(10, 1), filled(200, 2), filled(200, 3), filled(300, 4))));
  close();
});

test('a ping is answered with its own bytes, however late the answer leaves', async () => {
  const { ws, socket, far, overwrite, close } = await station();
  const heard: Buffer[] = [];
  far.on('data', (chunk: Buffer) => heard.push(chunk));
  let pings = 0;
  ws.on('ping', () => pings++);
  socket.cork();
  far.write(frame(PING, filled(100, 7), true));
  await eventually('it is there', () => pings === 1);
  await overwrite();
  process.nextTick(() => socket.uncork());
  await eventually('the answer is there', () => Buffer.concat(heard).length === 102);
  assert.ok(Buffer.concat(heard).subarray(2).equals(filled(100, 7)));
  close();
});

test.run();
