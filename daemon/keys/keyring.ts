/**
 * This node's private keys and its own key log: what it signs with, what it proves itself by, and which key comes next.
 * A rotation is on the disk before it is used or told; what it replaces is wiped once no handshake can need it.
 */
import { wipe } from '../../protocol/bytes.js';
import type { Timers } from '../../protocol/clock.js';
import type { Primitives } from '../../protocol/crypto/primitives.js';
import { WarrenError } from '../../protocol/errors.js';
import type { LocalIdentity } from '../../protocol/handshake/types.js';
import type { Signer } from '../../protocol/identity/claim.js';
import type { NodeId } from '../../protocol/identity/node-id.js';
import {
  createRotation,
  decodeStatement,
  keyCommitment,
  type NewKeys,
  type Statement,
} from '../../protocol/identity/statement.js';
import { equal } from '../../protocol/bytes.js';
import type { NodeKeys } from '../home/keyfile.js';

/** A handshake that began with the old Noise key has ended by then, ms. */
const OLD_KEY_MS = 60_000;

export type RotationReason = 'routine' | 'compromised';

export interface KeyringOptions {
  readonly primitives: Primitives;
  readonly timers: Timers;
  readonly keys: NodeKeys;
  /** Puts the keys on the disk. @throws WarrenError `disk`; the old ones are there then */
  readonly save: (keys: NodeKeys) => void;
}

/** What a rotation is made of. */
export interface RotationPlan {
  readonly reason: RotationReason;
  /** ms since the epoch, see rotationTime */
  readonly time: number;
  /** seed of the key that the newest statement commits to, 32 bytes; left out: the one in this home */
  readonly next?: Uint8Array;
}

export class Keyring {
  private keys: NodeKeys;
  /** of `keys`, made when it is asked for first */
  private proof: ReturnType<Keyring['identity']> | undefined;

  constructor(private readonly options: KeyringOptions) {
    this.keys = options.keys;
  }

  get nodeId(): NodeId {
    return this.keys.nodeId;
  }

  /** Number of the newest statement. */
  get seq(): number {
    return this.keys.statements.length - 1;
  }

  /** From the inception on, signed. */
  get statements(): readonly Uint8Array[] {
    return this.keys.statements;
  }

  /** The newest statement. */
  get head(): Statement {
    return decodeStatement(this.options.primitives, this.keys.statements[this.seq]!);
  }

  /** A statement of this node, as this home has made it; undefined beyond the newest one. */
  statementAt(seq: number): Statement | undefined {
    const bytes = this.keys.statements[seq];
    return bytes && decodeStatement(this.options.primitives, bytes);
  }

  /** Where the next key lies when it is not in this home. */
  get nextFile(): string | undefined {
    return this.keys.nextSeed === undefined ? this.keys.nextFile : undefined;
  }

  /** Would a restore from the file of the next key come back to another network: one that this node has left since? */
  isNextFileOfAnother(network: NodeId): boolean {
    const { nextNetwork } = this.keys;
    return this.nextFile !== undefined && nextNetwork !== undefined && !equal(nextNetwork, network);
  }

  /** The file of the next key was written anew, and names that network. @throws WarrenError `disk` */
  noteNextFile(network: NodeId): void {
    if (!this.isNextFileOfAnother(network)) return;
    const keys = { ...this.keys, nextNetwork: network.slice() };
    this.options.save(keys);
    this.keys = keys;
  }

  get isNextHere(): boolean {
    return this.keys.nextSeed !== undefined;
  }

  get signer(): Signer {
    return { node: this.nodeId, seq: this.seq, seed: this.keys.signingSeed };
  }

  /** What a handshake that begins now proves. */
  identity(): Pick<LocalIdentity, 'nodeId' | 'noise' | 'statement'> {
    this.proof ??= {
      nodeId: this.nodeId,
      noise: this.options.primitives.x25519.fromPrivate(this.keys.noisePrivate),
      statement: this.keys.statements[this.seq]!,
    };
    return this.proof;
  }

  /** For founding a network with these keys. */
  newKeys(): NewKeys {
    const { ed25519, x25519 } = this.options.primitives;
    const { statement } = this.identity();
    const noise = x25519.fromPrivate(this.keys.noisePrivate);
    const signing = ed25519.fromSeed(this.keys.signingSeed);
    return {
      statement,
      nodeId: this.nodeId,
      seq: this.seq,
      signing,
      noise,
      next: this.keys.nextSeed ?? new Uint8Array(0),
    };
  }

  /** Is this the key that the newest statement commits to? @param seed 32 bytes */
  isCommitted(seed: Uint8Array): boolean {
    const { primitives } = this.options;
    return equal(keyCommitment(primitives, primitives.ed25519.fromSeed(seed).publicKey), this.head.next);
  }

  /**
   * The next statement and its keys; nothing changes yet.
   * @throws WarrenError `bad-value` when the next key lies elsewhere, `crypto` when `next` is not it, `limit`
   */
  make(plan: RotationPlan): NewKeys {
    const { primitives } = this.options;
    const next = plan.next ?? this.keys.nextSeed;
    if (next === undefined) throw notHere(this.keys.nextFile);
    if (!this.isCommitted(next))
      throw new WarrenError('bad-value', 'The next key is not the one that the newest statement commits to.', {
        hint: 'Take the newest file: each rotation replaces it. It may lie beside the one given, ending in .following.',
      });
    const { reason, time: now } = plan;
    return createRotation(primitives, { head: this.head, reason, next, old: this.keys.signingSeed, now });
  }

  /**
   * Takes the new keys into use: first on the disk, then in memory.
   * @param nextFile where the key lies that `made` commits to; left out: in this home
   * @param nextNetwork the network that this file names
   * @throws WarrenError `disk`; nothing has changed then
   */
  commit(made: NewKeys, nextFile?: string, nextNetwork?: NodeId): void {
    const before = this.keys;
    const keys: NodeKeys = {
      nodeId: before.nodeId,
      signingSeed: made.signing.privateKey.slice(),
      noisePrivate: made.noise.privateKey.slice(),
      nextSeed: nextFile === undefined ? made.next.slice() : undefined,
      nextFile,
      nextNetwork: nextNetwork?.slice(),
      statements: [...before.statements, made.statement],
    };
    this.options.save(keys);
    const oldProof = this.proof;
    this.proof = undefined;
    this.keys = keys;
    this.options.timers.after(OLD_KEY_MS, () =>
      wipe(before.signingSeed, before.noisePrivate, oldProof?.noise.privateKey),
    );
  }
}

function notHere(file: string | undefined): WarrenError {
  const where = file === undefined ? 'not in this home' : `in ${file}`;
  return new WarrenError('bad-value', `The next key of this node lies ${where}.`, {
    hint: `Give it: warren keys rotate --next-key ${file ?? 'FILE'}`,
  });
}
