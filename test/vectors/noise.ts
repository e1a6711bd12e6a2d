/**
 * Runs handshakes from vector files in the cacophony/snow format: `vectors[]` with `protocol_name`, keys prefixed
 * `init_` and `resp_`, and `messages[]` that alternate, initiator first, also after Split (one-way patterns: only the
 * initiator sends then). Every message is written, compared, and read by the other side.
 */
import { EMPTY, equal, fromHex, toHex } from '../../protocol/bytes.js';
import { MLKEM } from '../../protocol/crypto/lengths.js';
import type { KeyPair, Primitives } from '../../protocol/crypto/primitives.js';
import { HandshakeState, parseName, readTransport, requirements, writeTransport } from '../../protocol/noise/index.js';
import type { HandshakeResult, NoiseName, Role } from '../../protocol/noise/index.js';
import type { Outcome } from './outcome.js';

type Json = Readonly<Record<string, unknown>>;

/** @param vectors entries of `vectors` of a file; one that is not understood counts as failed */
export function runNoiseVectors(vectors: readonly unknown[], primitives: Primitives): Outcome {
  let passed = 0;
  const failures: string[] = [];
  vectors.forEach((vector, i) => {
    const label = `vector ${i} ${isJson(vector) ? nameOf(vector) : ''}`;
    try {
      if (!isJson(vector)) throw new Error('not an object');
      new Conversation(vector, primitives).run();
      passed++;
    } catch (error) {
      failures.push(`${label}: ${error instanceof Error ? error.message : String(error)}`);
    }
  });
  return { passed, failures };
}

export function isJson(value: unknown): value is Json {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

/** Older files call it `name`; newer ones use that for a title. */
function nameOf(vector: Json): string {
  const name = vector['protocol_name'] ?? vector['name'];
  return typeof name === 'string' ? name : '';
}

class Conversation {
  private readonly name: NoiseName;
  private readonly initiator: HandshakeState;
  private readonly responder: HandshakeState;
  private keys: { initiator: HandshakeResult; responder: HandshakeResult } | undefined;

  constructor(
    private readonly vector: Json,
    private readonly primitives: Primitives,
  ) {
    if (vector['fallback'] === true) throw new Error('compound protocols are not supported');
    if (vector['fail'] === true) throw new Error('vectors that are to fail are not supported');
    this.name = parseName(nameOf(vector));
    this.initiator = this.handshake('initiator');
    this.responder = this.handshake('responder');
  }

  run(): void {
    const messages = this.vector['messages'];
    if (!Array.isArray(messages)) throw new Error('no messages');
    messages.forEach((message: unknown, i) => {
      if (!isJson(message)) throw new Error(`message ${i} is not an object`);
      const payload = hex(message, 'payload') ?? EMPTY;
      const ciphertext = hex(message, 'ciphertext');
      if (ciphertext === undefined) throw new Error(`message ${i} has no ciphertext`);
      if (this.keys === undefined) this.handshakeMessage(i, payload, ciphertext);
      else this.transportMessage(i, payload, ciphertext);
    });
    this.compareHash();
  }

  private handshake(role: Role): HandshakeState {
    const prefix = role === 'initiator' ? 'init' : 'resp';
    const needed = requirements(this.name, role);
    return new HandshakeState({
      primitives: this.primitives,
      protocol: this.name.text,
      role,
      prologue: hex(this.vector, `${prefix}_prologue`) ?? EMPTY,
      s: this.pair(`${prefix}_static`),
      e: this.pair(`${prefix}_ephemeral`),
      rs: needed.rs ? hex(this.vector, `${prefix}_remote_static`) : undefined,
      psks: needed.psks > 0 ? psks(this.vector, prefix) : [],
      // Ours, for hfs: d ‖ z of the KEM key, and m of the encapsulation.
      e1: this.kemPair(`${prefix}_kem_seed`),
      kemMessage: hex(this.vector, `${prefix}_kem_message`),
    });
  }

  private pair(key: string): KeyPair | undefined {
    const bytes = hex(this.vector, key);
    return bytes && this.primitives.x25519.fromPrivate(bytes);
  }

  private kemPair(key: string): KeyPair | undefined {
    const bytes = hex(this.vector, key);
    if (bytes !== undefined && bytes.length !== MLKEM.seed) throw new Error(`${key} has not ${MLKEM.seed} bytes`);
    return bytes && this.primitives.mlkem768.generate(bytes);
  }

  private handshakeMessage(i: number, payload: Uint8Array, ciphertext: Uint8Array): void {
    const [writer, reader] = i % 2 === 0 ? [this.initiator, this.responder] : [this.responder, this.initiator];
    same(`message ${i}`, writer.writeMessage(payload), ciphertext);
    same(`payload ${i}`, reader.readMessage(ciphertext), payload);
    if (!writer.finished) return;
    same('the two handshake hashes', this.initiator.handshakeHash, this.responder.handshakeHash);
    this.keys = { initiator: this.initiator.split(), responder: this.responder.split() };
  }

  private transportMessage(i: number, payload: Uint8Array, ciphertext: Uint8Array): void {
    const { initiator, responder } = this.keys!;
    const fromInitiator = this.name.pattern.oneWay || i % 2 === 0;
    const [writer, reader] = fromInitiator ? [initiator, responder] : [responder, initiator];
    same(`message ${i}`, writeTransport(writer.send, payload), ciphertext);
    same(`payload ${i}`, readTransport(reader.receive, ciphertext), payload);
  }

  private compareHash(): void {
    const expected = hex(this.vector, 'handshake_hash');
    if (expected === undefined || expected.length === 0) return;
    if (this.keys === undefined) throw new Error('a handshake hash, but too few messages to reach it');
    same('the handshake hash', this.initiator.handshakeHash, expected);
  }
}

/** `*_psks` may be absent or empty; the oldest files have one `*_psk`. */
function psks(vector: Json, prefix: string): Uint8Array[] {
  const list = vector[`${prefix}_psks`];
  if (Array.isArray(list) && list.length > 0) return list.map((psk: unknown) => decode(`${prefix}_psks`, psk));
  const single = hex(vector, `${prefix}_psk`);
  return single === undefined ? [] : [single];
}

function hex(object: Json, key: string): Uint8Array | undefined {
  const value = object[key];
  return value === undefined || value === null ? undefined : decode(key, value);
}

function decode(key: string, value: unknown): Uint8Array {
  if (typeof value !== 'string') throw new Error(`${key} is not text`);
  return fromHex(value);
}

function same(what: string, actual: Uint8Array, expected: Uint8Array): void {
  if (!equal(actual, expected)) throw new Error(`${what} differs: got ${toHex(actual)}, expected ${toHex(expected)}`);
}
