/**
 * Independent peers over a loopback socket: Debian's python3-dissononce for XX, IK and XXpsk0, and a test-only extension
 * of it for XXhfs+psk0, in both suites, each side as initiator and as responder.
 */
import { once } from 'node:events';
import { readFileSync } from 'node:fs';
import { createServer } from 'node:net';
import type { AddressInfo, Socket } from 'node:net';
import { join } from 'node:path';
import { EMPTY, concat, toHex, utf8 } from '../../protocol/bytes.js';
import { loadPrimitives } from '../../protocol/crypto/load.js';
import { HandshakeState, parseName, readTransport, requirements, writeTransport } from '../../protocol/noise/index.js';
import type { Role } from '../../protocol/noise/index.js';
import { packageRoot } from '../helpers/root.js';
import { assert, suite } from '../helpers/suite.js';
import { NEEDS, python } from './python.js';

const test = suite('interop with dissononce');
const primitives = await loadPrimitives();
const { random, x25519 } = primitives;
const MESSAGES_EACH_WAY = 10;

/** Messages with a 16-bit big-endian length before each (Noise §13), and a record of them all. */
class Channel {
  readonly transcript: string[] = [];
  private buffered: Uint8Array = EMPTY;
  private readonly chunks: AsyncIterator<Buffer>;

  constructor(private readonly socket: Socket) {
    this.chunks = socket[Symbol.asyncIterator]() as AsyncIterator<Buffer>;
  }

  send(message: Uint8Array): void {
    this.transcript.push(toHex(message));
    this.socket.write(concat(Uint8Array.of(message.length >> 8, message.length & 0xff), message));
  }

  async receive(): Promise<Uint8Array> {
    const [high, low] = await this.exactly(2);
    const message = await this.exactly(high! * 256 + low!);
    this.transcript.push(toHex(message));
    return message;
  }

  private async exactly(length: number): Promise<Uint8Array> {
    while (this.buffered.length < length) {
      const { done, value } = await this.chunks.next();
      if (done) throw new Error('the peer closed the connection');
      this.buffered = concat(this.buffered, value);
    }
    const bytes = this.buffered.slice(0, length);
    this.buffered = this.buffered.subarray(length);
    return bytes;
  }
}

interface PeerResult {
  readonly hash: string;
  readonly remoteStatic: string;
  readonly messages: readonly string[];
  readonly answers: readonly string[];
}

async function ourEnd(state: HandshakeState, role: Role, payloads: Uint8Array[], channel: Channel): Promise<string[]> {
  for (let i = 0; !state.finished; i++) {
    const payload = utf8(`message ${i}`);
    if ((i % 2 === 0) === (role === 'initiator')) channel.send(state.writeMessage(payload));
    else assert.equal(state.readMessage(await channel.receive()), payload);
  }
  const { send, receive } = state.split();
  const answers: string[] = [];
  for (const payload of payloads) {
    if (role === 'initiator') channel.send(writeTransport(send, payload));
    answers.push(toHex(readTransport(receive, await channel.receive())));
    if (role === 'responder') channel.send(writeTransport(send, payload));
  }
  return answers;
}

async function meet(protocol: string, role: Role): Promise<void> {
  const name = parseName(protocol);
  const [ours, theirs] = [x25519.fromPrivate(random(32)), x25519.fromPrivate(random(32))];
  const psks = Array.from({ length: requirements(name, role).psks }, () => random(32));
  const prologue = random(20);
  const peerRole = role === 'initiator' ? 'responder' : 'initiator';
  const payloads = Array.from({ length: MESSAGES_EACH_WAY }, (_, i) => random(i * i * 40));
  const peerPayloads = payloads.map(payload => random(payload.length));

  const server = createServer({ pauseOnConnect: true }).listen(0, '127.0.0.1');
  await once(server, 'listening');
  try {
    const task = {
      port: (server.address() as AddressInfo).port,
      name: protocol,
      role: peerRole,
      prologue: toHex(prologue),
      s: toHex(theirs.privateKey),
      rs: requirements(name, peerRole).rs ? toHex(ours.publicKey) : null,
      psks: psks.map(toHex),
      payloads: peerPayloads.map(toHex),
    };
    const peer = python<PeerResult>('peer.py', JSON.stringify(task));
    const [socket] = (await Promise.race([once(server, 'connection'), peer.then(() => [])])) as [Socket];
    const channel = new Channel(socket);
    const rs = requirements(name, role).rs ? theirs.publicKey : undefined;
    const state = new HandshakeState({ primitives, protocol, role, prologue, s: ours, rs, psks });
    const [answers, result] = await Promise.all([ourEnd(state, role, payloads, channel), peer]);
    socket.destroy();
    assert.is(result.hash, toHex(state.handshakeHash));
    assert.equal([result.remoteStatic, toHex(state.remoteStatic!)], [toHex(ours.publicKey), toHex(theirs.publicKey)]);
    assert.equal(result.messages, channel.transcript);
    assert.is(channel.transcript.length, name.pattern.messages.length + 2 * MESSAGES_EACH_WAY);
    assert.equal(result.answers, payloads.map(toHex));
    assert.equal(answers, peerPayloads.map(toHex));
  } finally {
    server.close();
  }
}

const HANDSHAKES = ['XX_25519', 'IK_25519', 'XXpsk0_25519', 'XXhfs+psk0_25519+MLKEM768'];

for (const handshake of HANDSHAKES) {
  for (const cipher of ['ChaChaPoly', 'AESGCM']) {
    for (const role of ['initiator', 'responder'] as const) {
      const protocol = `Noise_${handshake}_${cipher}_SHA256`;
      test(`${protocol}, warren as ${role}`, () => meet(protocol, role), { needs: NEEDS });
    }
  }
}

interface VectorResult {
  readonly messages: readonly string[];
  readonly hash: string;
}

test(
  'from the fixed keys of noise-xxhfs-psk0.json the extension makes the same messages and hashes',
  async () => {
    const file = join(packageRoot(), 'test', 'vectors', 'noise-xxhfs-psk0.json');
    const { vectors } = JSON.parse(readFileSync(file, 'utf8')) as {
      vectors: { handshake_hash: string; messages: { ciphertext: string }[] }[];
    };
    const results = await python<VectorResult[]>('vectors.py', file);
    assert.is(results.length, 2);
    for (const [i, vector] of vectors.entries()) {
      assert.equal(
        results[i]!.messages,
        vector.messages.map(message => message.ciphertext),
      );
      assert.is(results[i]!.hash, vector.handshake_hash);
    }
  },
  { needs: NEEDS },
);

test.run();
