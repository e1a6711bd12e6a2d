/**
 * Writes noise-xxhfs-psk0.json, the vectors of warren's own two protocols: no public file has them. Keys are derived
 * from labels, so the file comes out the same every time; test/interop checks it against an independent engine.
 */
import { createHash } from 'node:crypto';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { EMPTY, toHex, utf8 } from '../../protocol/bytes.js';
import { loadPrimitives } from '../../protocol/crypto/load.js';
import type { Primitives } from '../../protocol/crypto/primitives.js';
import { HandshakeState, writeTransport } from '../../protocol/noise/index.js';
import type { HandshakeResult } from '../../protocol/noise/index.js';
import { packageRoot } from '../helpers/root.js';

const PAYLOADS = ['', 'the second message', 'the third message', 'responder speaks', 'initiator speaks', ''];

function bytes(label: string, length: 32 | 64): Uint8Array {
  return new Uint8Array(
    createHash(length === 32 ? 'sha256' : 'sha512')
      .update(label)
      .digest(),
  );
}

function vector(primitives: Primitives, protocol: string): Record<string, unknown> {
  const secret = (label: string): Uint8Array => bytes(`${protocol} ${label}`, 32);
  const inputs = {
    init_prologue: utf8('warren test vector'),
    init_psks: [secret('psk')],
    init_static: secret('initiator static'),
    init_ephemeral: secret('initiator ephemeral'),
    init_kem_seed: bytes(`${protocol} initiator kem seed`, 64),
    resp_prologue: utf8('warren test vector'),
    resp_psks: [secret('psk')],
    resp_static: secret('responder static'),
    resp_ephemeral: secret('responder ephemeral'),
    resp_kem_message: secret('responder kem message'),
  };
  const { x25519, mlkem768 } = primitives;
  const shared = { primitives, protocol, prologue: inputs.init_prologue, psks: inputs.init_psks };
  const initiator = new HandshakeState({
    ...shared,
    role: 'initiator',
    s: x25519.fromPrivate(inputs.init_static),
    e: x25519.fromPrivate(inputs.init_ephemeral),
    e1: mlkem768.generate(inputs.init_kem_seed),
  });
  const responder = new HandshakeState({
    ...shared,
    role: 'responder',
    s: x25519.fromPrivate(inputs.resp_static),
    e: x25519.fromPrivate(inputs.resp_ephemeral),
    kemMessage: inputs.resp_kem_message,
  });
  let keys: { initiator: HandshakeResult; responder: HandshakeResult } | undefined;
  const messages = PAYLOADS.map((text, i) => {
    const payload = utf8(text);
    const [writer, reader] = i % 2 === 0 ? [initiator, responder] : [responder, initiator];
    if (keys !== undefined) {
      const { send } = i % 2 === 0 ? keys.initiator : keys.responder;
      return { payload: toHex(payload), ciphertext: toHex(writeTransport(send, payload)) };
    }
    const ciphertext = writer.writeMessage(payload);
    reader.readMessage(ciphertext);
    if (writer.finished) keys = { initiator: initiator.split(), responder: responder.split() };
    return { payload: toHex(payload), ciphertext: toHex(ciphertext) };
  });
  return { protocol_name: protocol, ...hexed(inputs), handshake_hash: toHex(initiator.handshakeHash), messages };
}

function hexed(inputs: Record<string, Uint8Array | Uint8Array[]>): Record<string, unknown> {
  return Object.fromEntries(
    Object.entries(inputs).map(([key, value]) => [key, Array.isArray(value) ? value.map(toHex) : toHex(value)]),
  );
}

const primitives = await loadPrimitives(() => EMPTY);
const vectors = ['ChaChaPoly', 'AESGCM'].map(cipher =>
  vector(primitives, `Noise_XXhfs+psk0_25519+MLKEM768_${cipher}_SHA256`),
);
const file = join(packageRoot(), 'test', 'vectors', 'noise-xxhfs-psk0.json');
writeFileSync(file, `${JSON.stringify({ source: 'made by test/vectors/generate.ts', vectors }, null, 2)}\n`);
console.log(`${file}: ${vectors.length} vectors`);
