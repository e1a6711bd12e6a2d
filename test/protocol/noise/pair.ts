/** Two ends of a handshake in one process, and primitives that write down what is asked of them. */
import { EMPTY, toHex } from '../../../protocol/bytes.js';
import type { Random } from '../../../protocol/clock.js';
import { loadPrimitives } from '../../../protocol/crypto/load.js';
import type { AeadName, HashName, PieceAead, Primitives } from '../../../protocol/crypto/primitives.js';
import { WarrenError } from '../../../protocol/errors.js';
import type { ErrorCode } from '../../../protocol/errors.js';
import { HandshakeState, parseName, requirements } from '../../../protocol/noise/index.js';
import type { HandshakeOptions, HandshakeResult, Role } from '../../../protocol/noise/index.js';
import { seededRandom } from '../../helpers/random.js';
import { assert } from '../../helpers/suite.js';

export const random: Random = seededRandom('noise');
export const primitives: Primitives = await loadPrimitives(random);

export interface Ends {
  readonly initiator: HandshakeState;
  readonly responder: HandshakeState;
}

export interface Differences {
  readonly both?: Partial<HandshakeOptions>;
  readonly initiator?: Partial<HandshakeOptions>;
  readonly responder?: Partial<HandshakeOptions>;
}

/** Options of both ends with fresh keys and PSKs, whatever the pattern needs. Not for fallback patterns. */
export function optionsFor(protocol: string): Record<Role, HandshakeOptions> {
  const name = parseName(protocol);
  const fresh = { initiator: keyPair(), responder: keyPair() };
  const psks = Array.from({ length: requirements(name, 'initiator').psks }, () => random(32));
  const make = (role: Role, peer: Role): HandshakeOptions => {
    const needed = requirements(name, role);
    return {
      primitives,
      protocol,
      role,
      prologue: EMPTY,
      s: needed.s ? fresh[role] : undefined,
      rs: needed.rs ? fresh[peer].publicKey : undefined,
      psks,
    };
  };
  return { initiator: make('initiator', 'responder'), responder: make('responder', 'initiator') };
}

export function keyPair(): { publicKey: Uint8Array; privateKey: Uint8Array } {
  return primitives.x25519.fromPrivate(random(32));
}

export function ends(protocol: string, different: Differences = {}): Ends {
  const options = optionsFor(protocol);
  return {
    initiator: new HandshakeState({ ...options.initiator, ...different.both, ...different.initiator }),
    responder: new HandshakeState({ ...options.responder, ...different.both, ...different.responder }),
  };
}

/** Runs messages until the handshake is finished, or `count` of them. @returns the messages */
export function converse({ initiator, responder }: Ends, payload: Uint8Array = EMPTY, count = Infinity): Uint8Array[] {
  const messages: Uint8Array[] = [];
  while (!initiator.finished && messages.length < count) {
    const [writer, reader] = messages.length % 2 === 0 ? [initiator, responder] : [responder, initiator];
    const message = writer.writeMessage(payload);
    assert.equal(reader.readMessage(message), payload);
    messages.push(message);
  }
  return messages;
}

export function finished(protocol: string): { initiator: HandshakeResult; responder: HandshakeResult } {
  const pair = ends(protocol);
  converse(pair);
  return { initiator: pair.initiator.split(), responder: pair.responder.split() };
}

export function fails(code: ErrorCode, step: () => unknown, message?: string): void {
  assert.throws(step, (error: unknown) => error instanceof WarrenError && error.code === code, message);
}

// ── primitives that write down ─────────────────────────────────────────────────────────────────────────────────────

export interface Recording {
  readonly primitives: Primitives;
  /** One entry for each seal: `key nonce` in hex. */
  readonly seals: string[];
  /** One entry for each open that succeeded. */
  readonly opens: string[];
  /** Inputs of HASH, one array of parts per call. */
  readonly hashes: Uint8Array[][];
  /** Inputs of DH: own private and the peer's public key. */
  readonly dhs: { privateKey: Uint8Array; publicKey: Uint8Array }[];
}

export function recording(): Recording {
  const record: Omit<Recording, 'primitives'> = { seals: [], opens: [], hashes: [], dhs: [] };
  const aead = (name: AeadName): PieceAead => ({
    name,
    key(bytes) {
      const id = toHex(bytes);
      const key = primitives.aead[name].key(bytes);
      return {
        seal(nonce, ad, plaintext) {
          record.seals.push(`${id} ${toHex(nonce)}`);
          return key.seal(nonce, ad, plaintext);
        },
        open(nonce, ad, ciphertext) {
          const plaintext = key.open(nonce, ad, ciphertext);
          record.opens.push(`${id} ${toHex(nonce)}`);
          return plaintext;
        },
        sealParts: (nonce, ad, parts) => key.sealParts(nonce, ad, parts),
        opener: (nonce, ad) => key.opener(nonce, ad),
        destroy: () => key.destroy(),
      };
    },
  });
  const hash = Object.fromEntries(
    Object.entries(primitives.hash).map(([name, inner]) => [
      name,
      {
        ...inner,
        hash(...parts: Uint8Array[]) {
          record.hashes.push(parts.map(part => part.slice()));
          return inner.hash(...parts);
        },
      },
    ]),
  ) as unknown as Primitives['hash'] & Record<HashName, unknown>;
  const x25519: Primitives['x25519'] = {
    fromPrivate: secret => primitives.x25519.fromPrivate(secret),
    dh(privateKey, publicKey) {
      record.dhs.push({ privateKey: privateKey.slice(), publicKey: publicKey.slice() });
      return primitives.x25519.dh(privateKey, publicKey);
    },
  };
  const both = { ChaChaPoly: aead('ChaChaPoly'), AESGCM: aead('AESGCM') };
  return { ...record, primitives: { ...primitives, aead: both, hash, x25519 } };
}
