/**
 * Fuzzes what a stranger, a holder of the PSK and a member can send before a session: prefaces and version replies,
 * messages as bytes, and payloads that were changed before they were sealed.
 */
import { concat, equal } from '../../protocol/bytes.js';
import { WarrenError } from '../../protocol/errors.js';
import { Initiator } from '../../protocol/handshake/handshake.js';
import { decodePayload, decodeTime, encodePayload, encodeTime, pad, unpad } from '../../protocol/handshake/payload.js';
import {
  PROTOCOLS,
  decodeVersionReply,
  encodePreface,
  encodeVersionReply,
  fromSubprotocol,
  recognize,
  toSubprotocol,
} from '../../protocol/handshake/preface.js';
import { ReplayGuard } from '../../protocol/handshake/replay.js';
import type { PeerPayload, Progress } from '../../protocol/handshake/types.js';
import { HINTED_BYTES, HINT_LENGTH, MAGIC, PREFACE_BYTES } from '../../protocol/handshake/wire.js';
import {
  decodeCanonical,
  encodeCanonical,
  type CborKey,
  type CborMap,
  type CborValue,
} from '../../protocol/identity/cbor.js';
import { TrustStore } from '../../protocol/identity/index.js';
import { HandshakeState } from '../../protocol/noise/index.js';
import { mutateBytes, mutateText } from '../daemon/mutate.js';
import { pick, seededRandom } from '../helpers/random.js';
import { assert, full, suite } from '../helpers/suite.js';
import { VirtualTime } from '../helpers/virtual-time.js';
import { keysOf, makeNode, real, respond, withRandom } from '../protocol/handshake/nodes.js';

const test = suite('fuzz: handshake');
const random = seededRandom('fuzz handshake');
const ROUNDS = full(2000, 100_000);
/** A round that runs both sides costs some milliseconds. */
const SEALED_ROUNDS = full(250, 100_000);
const DEADLINE = { deadline: full(20_000, 40 * 60_000) };

const keys = keysOf();

/** The only answer to bad bytes. @returns whether `step` went through */
function goesThrough(step: () => unknown): boolean {
  try {
    step();
    return true;
  } catch (error) {
    if (!(error instanceof WarrenError) || error.code === 'internal') throw error;
    return false;
  }
}

function mutated(bytes: Uint8Array): Uint8Array {
  return Uint8Array.from(mutateBytes(random, bytes));
}

// ── prefaces ───────────────────────────────────────────────────────────────────────────────────────────────────────

test(
  'a preface, mutated, with a hint of its own or a right one',
  () => {
    const replay = new ReplayGuard(new VirtualTime());
    const kinds = new Map<string, number>();
    for (let i = 0; i < ROUNDS; i++) {
      const preface = encodePreface(real, keys, 1, 'ChaChaPoly');
      let bytes = mutated(preface);
      if (i % 2 === 0) {
        const hinted = concat(mutated(preface.subarray(0, HINTED_BYTES)), new Uint8Array(HINTED_BYTES)).subarray(
          0,
          HINTED_BYTES,
        );
        // Half of them keep the magic, so that something is behind it.
        if (i % 4 === 0) hinted.set(MAGIC);
        bytes = concat(hinted, real.hash.SHA256.hmac(keys.hintKey, hinted).subarray(0, HINT_LENGTH));
      }
      const found = recognize({ primitives: real }, bytes, [keysOf(new Uint8Array(32)), keys], replay);
      const kind = found?.kind ?? 'stranger';
      kinds.set(kind, (kinds.get(kind) ?? 0) + 1);
    }
    for (const kind of ['known', 'version', 'stranger']) assert.ok((kinds.get(kind) ?? 0) > ROUNDS / 100, kind);
  },
  DEADLINE,
);

test(
  'a version reply, mutated, with a MAC of its own or a right one',
  () => {
    const preface = encodePreface(real, keys, 9, 'ChaChaPoly');
    let read = 0;
    for (let i = 0; i < ROUNDS; i++) {
      const spoken = { oldest: pick(random, 256), newest: pick(random, 256) };
      const reply = encodeVersionReply(real, keys, preface, spoken);
      const range = decodeVersionReply(real, keys, preface, i % 2 === 0 ? reply : mutated(reply));
      if (!range) continue;
      read++;
      assert.equal(range, spoken);
    }
    assert.ok(read > ROUNDS / 8);
  },
  DEADLINE,
);

test(
  'a subprotocol, mutated',
  () => {
    const words = ['warren.', ',', ' ', '=', '_', 'A', 'ÿ', '\0', 'chat'];
    for (let i = 0; i < ROUNDS; i++) {
      const text = mutateText(random, toSubprotocol(encodePreface(real, keys, 1, 'AESGCM')), words);
      const preface = fromSubprotocol(text);
      if (!preface) continue;
      assert.is(preface.length, PREFACE_BYTES);
      assert.is(toSubprotocol(preface), text);
    }
  },
  DEADLINE,
);

// ── messages as bytes ──────────────────────────────────────────────────────────────────────────────────────────────

/** Pushes bytes cut at random places until the machine is over. */
function feed(machine: { push(chunk: Uint8Array): Progress }, bytes: Uint8Array): Progress {
  let last: Progress = { kind: 'more' };
  for (let at = 0; at < bytes.length && (last.kind === 'more' || last.kind === 'send');) {
    const n = 1 + pick(random, bytes.length - at);
    last = machine.push(bytes.subarray(at, at + n));
    at += n;
  }
  return last;
}

test(
  'messages 1, 2 and 3, mutated, end in silence',
  () => {
    const clock = new VirtualTime();
    const [a, b] = [makeNode('a', clock), makeNode('b', clock)];
    for (let i = 0; i < full(500, 100_000); i++) {
      const initiator = new Initiator(a.ctx, { suite: i % 8 === 0 ? 'ChaChaPoly' : 'AESGCM', psk: keys });
      const responder = respond(b, initiator.preface, [keys]);
      const first = initiator.first();
      const target = i % 4;
      const one = target === 0 ? mutated(first) : first;
      const second = feed(responder, one);
      if (second.kind !== 'send') {
        assert.is(target, 0);
        assert.ok(second.kind === 'drop' || second.kind === 'more');
        continue;
      }
      const two = target === 1 || target === 2 ? mutated(second.bytes) : second.bytes;
      const third = feed(initiator, two);
      if (third.kind !== 'established') {
        assert.ok(target === 1 || target === 2);
        assert.ok(third.kind === 'drop' || third.kind === 'more');
        continue;
      }
      const three = target === 3 ? mutated(third.send!) : third.send!;
      const last = feed(responder, three);
      if (target === 3) assert.ok(last.kind !== 'send');
      else assert.is(last.kind, 'established');
    }
  },
  DEADLINE,
);

// ── payloads that were sealed rightly ──────────────────────────────────────────────────────────────────────────────

const LEAVES: readonly (() => CborValue)[] = [
  () => pick(random, 0x7fff_ffff),
  () => -1 - pick(random, 1000),
  () => Number.MAX_SAFE_INTEGER,
  () => '',
  () => 'host-a',
  () => 'x'.repeat(pick(random, 80)),
  () => true,
  () => random(pick(random, 70)),
  () => random(32),
  () => [],
  () => [1, [2, [3]]],
  () => new Map([[1, 2]]),
];

/** Either other fields in right CBOR, or other bytes; sometimes padded in another way. */
function mutatePayload(payload: Uint8Array): Uint8Array {
  const content = unpad(payload);
  const other = pick(random, 2) === 0 ? mutated(content) : otherFields(content);
  const padded = pad(other.subarray(0, 4000));
  if (pick(random, 8) !== 0) return padded;
  // The length of a message must be right for anybody to look inside.
  const bytes = mutated(padded);
  const whole = new Uint8Array(Math.max(512, Math.ceil(bytes.length / 512) * 512));
  whole.set(bytes);
  return whole.subarray(0, 4096);
}

function otherFields(content: Uint8Array): Uint8Array {
  const map = new Map<CborKey, CborValue>(decodeCanonical(content, 'payload', 4096) as CborMap);
  for (let n = 1 + pick(random, 3); n > 0; n--) {
    const key = pick(random, 10);
    const old = map.get(key);
    if (pick(random, 4) === 0) map.delete(key);
    else if (old instanceof Uint8Array && pick(random, 2) === 0) map.set(key, mutated(old));
    else map.set(key, LEAVES[pick(random, LEAVES.length)]!());
  }
  return encodeCanonical(map);
}

test(
  'a payload, mutated',
  () => {
    const { own } = makeNode('a').ctx;
    const payload = encodePayload({
      highestVersion: 1,
      network: own.network,
      statement: own.statement,
      grant: random(400),
      clockMs: 1_800_000_000_000,
      features: 1,
      digest: random(32),
      join: { name: 'host-a' },
    });
    let read = 0;
    for (let i = 0; i < ROUNDS; i++) if (goesThrough(() => decodePayload(real, mutatePayload(payload)))) read++;
    assert.ok(read > ROUNDS / 100);
    for (let i = 0; i < ROUNDS; i++) {
      const bytes = i % 2 === 0 ? random(8) : mutated(encodeTime(1_800_000_000_000));
      goesThrough(() => decodeTime(bytes));
    }
  },
  DEADLINE,
);

test(
  'a dialer that knows the PSK and seals what it likes',
  () => {
    const clock = new VirtualTime();
    const [a, b] = [makeNode('a', clock), makeNode('b', clock)];
    const primitives = withRandom('liar');
    const ends = new Map<string, number>();
    for (let i = 0; i < SEALED_ROUNDS; i++) {
      const preface = encodePreface(primitives, keys, 1, 'AESGCM');
      const liar = state('initiator', primitives, preface, a);
      const responder = respond(b, preface, [keys]);
      const time = i % 16 === 0 ? random(8) : encodeTime(clock.now());
      const second = feed(responder, liar.writeMessage(time));
      if (second.kind !== 'send') {
        assert.is(i % 16, 0);
        continue;
      }
      liar.readMessage(second.bytes.subarray(2));
      const own = ownPayloadOf(a);
      const third = liar.writeMessage(mutatePayload(own));
      const last = feed(responder, concat(Uint8Array.of(third.length >> 8, third.length & 0xff), third));
      ends.set(last.kind, (ends.get(last.kind) ?? 0) + 1);
      if (last.kind === 'established') onlyHonest(last.established.peer, a);
      else assert.is(last.kind, 'drop');
    }
    assert.ok(ends.get('drop')! > 0 && ends.get('established')! > 0);
  },
  DEADLINE,
);

test(
  'a listener that knows the PSK and seals what it likes',
  () => {
    const clock = new VirtualTime();
    const [a, b] = [makeNode('a', clock), makeNode('b', clock)];
    const primitives = withRandom('lying listener');
    for (let i = 0; i < SEALED_ROUNDS; i++) {
      const initiator = new Initiator(a.ctx, { suite: 'AESGCM', psk: keys });
      const liar = state('responder', primitives, initiator.preface, b);
      liar.readMessage(initiator.first());
      const second = liar.writeMessage(mutatePayload(ownPayloadOf(b)));
      const last = feed(initiator, concat(Uint8Array.of(second.length >> 8, second.length & 0xff), second));
      if (last.kind === 'established') onlyHonest(last.established.peer, b);
      else assert.is(last.kind, 'drop');
    }
  },
  DEADLINE,
);

/** A changed statement 0 makes another node, but one that no trust store takes in: its signature is wrong. */
function onlyHonest(peer: PeerPayload, node: ReturnType<typeof makeNode>): void {
  if (equal(peer.nodeId, node.keys.nodeId)) return;
  const store = new TrustStore({ primitives: real, clock: node.ctx.clock, networkId: node.ctx.own.network });
  assert.is.not(store.add({ kind: 'statement', bytes: peer.statement }).status, 'added');
}

function state(
  role: 'initiator' | 'responder',
  primitives: typeof real,
  prologue: Uint8Array,
  node: ReturnType<typeof makeNode>,
): HandshakeState {
  const psks = [keys.noisePsk.AESGCM];
  return new HandshakeState({ primitives, protocol: PROTOCOLS.AESGCM, role, prologue, s: node.keys.noise, psks });
}

function ownPayloadOf(node: ReturnType<typeof makeNode>): Uint8Array {
  const { network, statement } = node.ctx.own;
  const digest = new Uint8Array(32);
  return encodePayload({ highestVersion: 1, network, statement, clockMs: node.ctx.clock.now(), features: 0, digest });
}

test.run();
