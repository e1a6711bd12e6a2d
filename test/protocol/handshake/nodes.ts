/** Nodes for handshake tests: real keys, seeded randomness, virtual time. */
import { utf8 } from '../../../protocol/bytes.js';
import { loadPrimitives } from '../../../protocol/crypto/load.js';
import type { AeadName, Primitives } from '../../../protocol/crypto/primitives.js';
import { Initiator, Responder, type InitiatorOptions } from '../../../protocol/handshake/handshake.js';
import { PREFACE_BYTES, pskKeys, recognize } from '../../../protocol/handshake/preface.js';
import { ReplayGuard } from '../../../protocol/handshake/replay.js';
import type {
  Established,
  HandshakeContext,
  HandshakeEvent,
  LocalIdentity,
  Progress,
  Psk,
  PskKeys,
  VersionRange,
} from '../../../protocol/handshake/types.js';
import { createInception, type NewKeys } from '../../../protocol/identity/statement.js';
import { seededRandom } from '../../helpers/random.js';
import { assert } from '../../helpers/suite.js';
import { VirtualTime } from '../../helpers/virtual-time.js';

export const SUITE_NAMES: readonly AeadName[] = ['ChaChaPoly', 'AESGCM'];
export const real = await loadPrimitives();
export const SECRET = new Uint8Array(32).fill(7);

export function withRandom(label: string, base: Primitives = real): Primitives {
  return { ...base, random: seededRandom(label) };
}

export function keysOf(secret: Uint8Array = SECRET, more: Partial<Psk> = {}): PskKeys {
  return pskKeys(real, { secret, kind: 'network', ...more });
}

/** A context whose parts a test may change. */
export interface TestContext extends HandshakeContext {
  primitives: Primitives;
  readonly clock: VirtualTime;
  own: LocalIdentity;
  digestNow: Uint8Array;
  versions?: VersionRange;
  rekeyBytes?: number;
  readonly events: HandshakeEvent[];
}

export interface TestNode {
  readonly keys: NewKeys;
  readonly ctx: TestContext;
  readonly replay: ReplayGuard;
}

const NETWORK = real.hash.SHA256.hash(utf8('network'));

export function makeNode(label: string, clock = new VirtualTime(), network = NETWORK): TestNode {
  const primitives = withRandom(label);
  const keys = createInception(primitives, { now: clock.now() });
  const events: HandshakeEvent[] = [];
  const ctx: TestContext = {
    primitives,
    clock,
    own: { nodeId: keys.nodeId, network, noise: keys.noise, statement: keys.statement },
    digestNow: new Uint8Array(32),
    identity: () => ctx.own,
    digest: () => ctx.digestNow,
    log: event => void events.push(event),
    events,
  };
  return { keys, ctx, replay: new ReplayGuard(clock) };
}

/** The responder for what an initiator sends first. */
export function respond(node: TestNode, preface: Uint8Array, psks: readonly PskKeys[]): Responder {
  const recognized = recognize(node.ctx, preface, psks, node.replay);
  if (recognized?.kind !== 'known') throw new Error('not recognized');
  return new Responder(node.ctx, recognized, preface, node.replay);
}

/** Pushes bytes in pieces of at most `piece`; all results but the last must be `more`. */
export function pushAll(machine: Initiator | Responder, bytes: Uint8Array, piece = Infinity): Progress {
  let last: Progress = { kind: 'more' };
  for (let at = 0; at < bytes.length; at += piece) {
    assert.is(last.kind, 'more');
    last = machine.push(bytes.subarray(at, Math.min(bytes.length, at + piece)));
  }
  return last;
}

export interface Transcript {
  readonly preface: Uint8Array;
  readonly message1: Uint8Array;
  readonly message2: Uint8Array;
  readonly message3: Uint8Array;
  readonly dialed: Established;
  readonly accepted: Established;
}

export type Dial = Partial<InitiatorOptions> & { readonly piece?: number; readonly psks?: readonly PskKeys[] };

/** A whole handshake that must work. */
export function shake(dialer: TestNode, acceptor: TestNode, dial: Dial = {}): Transcript {
  const { piece, psks, ...rest } = dial;
  const options: InitiatorOptions = { suite: 'ChaChaPoly', psk: keysOf(), ...rest };
  const initiator = new Initiator(dialer.ctx, options);
  const message1 = initiator.first();
  const responder = respond(acceptor, initiator.preface, psks ?? [options.psk]);
  const second = expectKind(pushAll(responder, message1, piece), 'send');
  const third = expectKind(pushAll(initiator, second.bytes, piece), 'established');
  const last = expectKind(pushAll(responder, third.send!, piece), 'established');
  return {
    preface: initiator.preface,
    message1,
    message2: second.bytes,
    message3: third.send!,
    dialed: third.established,
    accepted: last.established,
  };
}

export function expectKind<K extends Progress['kind']>(progress: Progress, kind: K): Extract<Progress, { kind: K }> {
  if (progress.kind !== kind) throw new Error(`${kind} expected, not ${JSON.stringify(progress)}`);
  return progress as Extract<Progress, { kind: K }>;
}

/** A copy with one bit turned over. */
export function flip(bytes: Uint8Array, bit: number): Uint8Array {
  const copy = bytes.slice();
  copy[bit >> 3]! ^= 1 << (bit & 7);
  return copy;
}

export { PREFACE_BYTES };
