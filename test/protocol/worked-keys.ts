/** The part of the worked example in which keys have a life: rotations, a fork and its settlement, roles, a revocation. */
import type { Random } from '../../protocol/clock.js';
import type { Primitives } from '../../protocol/crypto/primitives.js';
import {
  issueNetworkSecret,
  issueRevocation,
  issueRole,
  issueSettlement,
  signAgain,
  type Pen,
} from '../../protocol/identity/issue.js';
import {
  createRotation,
  decodeStatement,
  makeFork,
  type NewKeys,
  type Statement,
} from '../../protocol/identity/statement.js';
import type { TrustItem } from '../../protocol/identity/trust-item.js';
import { TrustStore } from '../../protocol/identity/trust-store.js';
import type { VirtualTime } from '../helpers/virtual-time.js';

const MINUTE = 60_000;

export interface KeysStory {
  readonly founder: NewKeys;
  readonly member: NewKeys;
  /** what both knew before */
  readonly items: readonly TrustItem[];
}

type Put = (name: string, value: Uint8Array | string) => void;

/**
 * @param clock later than all that happens
 * @param now ms since the epoch, when it begins
 * @param put takes each value that the document shows
 * @returns what a node knows in the end
 */
export function putKeys(
  primitives: Primitives,
  clock: VirtualTime,
  story: KeysStory,
  now: number,
  put: Put,
): TrustStore {
  const { founder, member } = story;
  const store = new TrustStore({ primitives, clock, networkId: founder.nodeId });
  store.addAll(story.items);
  const take = (name: string, item: TrustItem): void => {
    put(name, item.bytes);
    const { status, why } = store.add(item);
    if (status !== 'added') throw new Error(`${name}: ${status}, ${why}`);
  };
  const penOf = (keys: NewKeys, time: number): Pen => ({
    primitives,
    signer: { node: keys.nodeId, seq: keys.seq, seed: keys.signing.privateKey },
    now: time,
  });
  const head = (keys: NewKeys): Statement => decodeStatement(primitives, keys.statement);

  const routine = rotate(primitives, member, 'routine', now + MINUTE, 0x51);
  put('rotation body', head(routine).envelope.body);
  take('rotation statement', { kind: 'statement', bytes: routine.statement });
  const rival = rotate(primitives, member, 'routine', now + 2 * MINUTE, 0x61);
  const fork = makeFork(head(routine), head(rival));
  take('fork', { kind: 'fork', bytes: fork.bytes });
  take('settlement', issueSettlement(store, penOf(founder, now + 3 * MINUTE), member.nodeId, head(routine).hash));
  const compromised = rotate(primitives, routine, 'compromised', now + 4 * MINUTE, 0x71);
  take('compromise statement', { kind: 'statement', bytes: compromised.statement });

  take('promotion', issueRole(store, penOf(founder, now + 5 * MINUTE), member.nodeId, 'promote'));
  const rotated = rotate(primitives, founder, 'routine', now + 6 * MINUTE, 0x81);
  const again = signAgain(store, penOf(rotated, now + 6 * MINUTE), kind => kind === 'role');
  take('founder rotation statement', { kind: 'statement', bytes: rotated.statement });
  take('promotion signed again', again[0]!);
  const secret = new Uint8Array(32).fill(0x91);
  take('network secret statement', issueNetworkSecret(store, penOf(rotated, now + 7 * MINUTE), secret));
  take('demotion', issueRole(store, penOf(rotated, now + 8 * MINUTE), member.nodeId, 'demote'));
  take('revocation', issueRevocation(store, penOf(rotated, now + 9 * MINUTE), member.nodeId));
  put('trust digest after all that', store.digest());
  return store;
}

/** @param first fill byte of the new Noise key; that of the following signing seed is one more */
function rotate(
  primitives: Primitives,
  keys: NewKeys,
  reason: 'routine' | 'compromised',
  now: number,
  first: number,
): NewKeys {
  const fills = [first, first + 1];
  const random: Random = n => new Uint8Array(n).fill(fills.shift() ?? 0);
  const head = decodeStatement(primitives, keys.statement);
  const old = reason === 'routine' ? { old: keys.signing.privateKey } : {};
  return createRotation({ ...primitives, random }, { head, reason, next: keys.next, now, ...old });
}
