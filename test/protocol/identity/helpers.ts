/** A small world for the tests of identity: nodes with their keys, one clock, stores, and randomness from a seed. */
import { createHash } from 'node:crypto';
import type { Clock, Random } from '../../../protocol/clock.js';
import { loadPrimitives } from '../../../protocol/crypto/load.js';
import type { Primitives } from '../../../protocol/crypto/primitives.js';
import { signClaim } from '../../../protocol/identity/claim.js';
import type { ClaimFormat } from '../../../protocol/identity/claim.js';
import {
  TrustStore,
  createInception,
  createRotation,
  decodeStatement,
  foundNetwork,
} from '../../../protocol/identity/index.js';
import { issueGrant, issueRole } from '../../../protocol/identity/index.js';
import type { AddResult, NewKeys, NodeId, Pen, Statement, TrustItem } from '../../../protocol/identity/index.js';
import { FORMATS } from '../../../protocol/identity/shelves.js';
import type { ClaimKind } from '../../../protocol/identity/shelves.js';
import { seed } from '../../helpers/suite.js';

/** A stream of bytes that depends on the seed alone. */
export function seededRandom(text: string): Random {
  let counter = 0;
  return n => {
    const out = new Uint8Array(n);
    for (let at = 0; at < n; at += 32) {
      const block = createHash('sha256').update(`${text} ${counter++}`).digest();
      out.set(block.subarray(0, Math.min(32, n - at)), at);
    }
    return out;
  };
}

/** An integer from 0 to n - 1. */
export function below(random: Random, n: number): number {
  const [a, b, c, d] = random(4);
  return (((a! << 24) | (b! << 16) | (c! << 8) | d!) >>> 0) % n;
}

export const random = seededRandom(seed());
export const primitives: Primitives = await loadPrimitives(random);

export const DAY = 86_400_000;
export const START = 1_790_000_000_000;

/** A node with everything it keeps; `rotate` changes it. */
export class Actor {
  readonly statements: Statement[];

  constructor(
    readonly world: World,
    public keys: NewKeys,
  ) {
    this.statements = [decodeStatement(primitives, keys.statement)];
  }

  get id(): NodeId {
    return this.keys.nodeId;
  }

  get head(): Statement {
    return this.statements[this.statements.length - 1]!;
  }

  get log(): TrustItem[] {
    return this.statements.map(s => ({ kind: 'statement', bytes: s.bytes }));
  }

  /** Signs with the newest key, or with that of an earlier copy of the keys. */
  pen(keys: NewKeys = this.keys): Pen {
    return {
      primitives,
      signer: { node: keys.nodeId, seq: keys.seq, seed: keys.signing.privateKey },
      now: this.world.now,
    };
  }

  rotate(reason: 'routine' | 'compromised' = 'routine'): TrustItem {
    this.keys = this.rotated(reason);
    this.statements.push(decodeStatement(primitives, this.keys.statement));
    return { kind: 'statement', bytes: this.keys.statement };
  }

  /** What a holder of these keys could publish, without doing it. */
  rotated(reason: 'routine' | 'compromised' = 'routine'): NewKeys {
    const { keys, head } = this;
    return createRotation(primitives, {
      head,
      reason,
      next: keys.next,
      old: keys.signing.privateKey,
      now: this.world.now,
    });
  }

  /** Any claim, also one that no honest node would sign. */
  sign(kind: ClaimKind, content: object, header: { network?: NodeId; time?: number; keys?: NewKeys } = {}): TrustItem {
    const { network = this.world.networkId, time = this.world.now } = header;
    const format = FORMATS[kind] as ClaimFormat<object>;
    const { signer } = this.pen(header.keys);
    return { kind, bytes: signClaim(primitives.ed25519, format, signer, { network, time }, content) };
  }

  grantContent(name: string, more: object = {}): object {
    const { now } = this.world;
    return { node: this.id, name, tags: [], since: now, expires: now + 30 * DAY, generation: 0, ...more };
  }
}

/** A network with a founder and one store that knows everything. */
export class World {
  now = START;
  readonly clock: Clock = { now: () => this.now, monotonic: () => this.now };
  readonly founder: Actor;
  readonly networkId: NodeId;
  readonly items: readonly TrustItem[];
  readonly networkSecret: Uint8Array;
  readonly store: TrustStore;
  readonly changes: TrustItem[] = [];

  constructor() {
    const founded = foundNetwork(primitives, { now: this.now, name: 'founder' });
    this.networkId = founded.networkId;
    this.items = founded.items;
    this.networkSecret = founded.networkSecret;
    this.founder = new Actor(this, founded.keys);
    this.store = this.newStore(item => this.changes.push(item));
    this.store.addAll(founded.items);
  }

  newStore(onChange?: (item: TrustItem) => void): TrustStore {
    return new TrustStore({ primitives, clock: this.clock, networkId: this.networkId, ...(onChange && { onChange }) });
  }

  actor(): Actor {
    return new Actor(this, createInception(primitives, { now: this.now }));
  }

  /** A node that `by` has admitted. */
  member(name: string, by: Actor = this.founder): Actor {
    const actor = this.actor();
    this.must(...actor.log, issueGrant(this.store, by.pen(), { node: actor.id, name }));
    return actor;
  }

  /** A member that `by` has made an admin. */
  admin(name: string, by: Actor = this.founder): Actor {
    const actor = this.member(name, by);
    this.must(issueRole(this.store, by.pen(), actor.id, 'promote'));
    return actor;
  }

  /** Adds to the store what has to be accepted. */
  must(...items: TrustItem[]): void {
    for (const result of this.store.addAll(items)) {
      if (result.status !== 'added') throw new Error(`${result.status}: ${result.why}`);
    }
  }

  add(item: TrustItem): AddResult {
    return this.store.add(item);
  }
}

export function flipBit(bytes: Uint8Array, bit: number): Uint8Array {
  const out = bytes.slice();
  out[bit >> 3]! ^= 1 << (bit & 7);
  return out;
}

/** The message of what `run` throws; fails when it does not throw. */
export function thrown(run: () => unknown): string {
  try {
    run();
  } catch (error) {
    return (error as Error).message;
  }
  throw new Error('nothing was thrown');
}
