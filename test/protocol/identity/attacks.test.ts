/**
 * Everything that a network says of itself, told with something wrong: dropped, repeated, swapped, truncated, mixed with
 * another network's, put together anew, over-long, or with signatures that lax verifiers take. It does no harm, costs no
 * more than its size, and what is right is taken in afterwards as if nothing had been.
 */
import { ed25519 as curve } from '@noble/curves/ed25519.js';
import { concat, toHex } from '../../../protocol/bytes.js';
import type { Primitives } from '../../../protocol/crypto/primitives.js';
import {
  KeyLog,
  TrustStore,
  issueGrant,
  issueNetworkSecret,
  issueRecord,
  issueRevocation,
  issueRole,
  nodeIdText,
  type NodeId,
  type TrustItem,
} from '../../../protocol/identity/index.js';
import { decodeClaim } from '../../../protocol/identity/claim.js';
import { MAX_PENDING } from '../../../protocol/identity/pending.js';
import { CLAIM_KINDS, FORMATS, type ClaimKind } from '../../../protocol/identity/shelves.js';
import {
  Verifier,
  decodeEnvelope,
  encodeEnvelope,
  signedBytes,
  type Envelope,
} from '../../../protocol/identity/signed.js';
import { STATEMENT_LABEL, decodeStatement, makeFork } from '../../../protocol/identity/statement.js';
import { MAX_ITEM_BYTES } from '../../../protocol/identity/trust-item.js';
import { challenge, fromLittleEndian, toLittleEndian } from '../../helpers/second.js';
import { assert, full, suite } from '../../helpers/suite.js';
import { World, below, flipBit, primitives, random, type Actor } from './helpers.js';

const test = suite('attacks on chains and grants');
const { Point } = curve;
const L = Point.Fn.ORDER;

/** A network with some life behind it: admins in a row, rotations of both kinds, a revocation, a demotion. */
function lived(): World {
  const w = new World();
  const tick = (): number => (w.now += 1000);
  const a = w.admin('a');
  const b = w.admin('b', a);
  const m = w.member('m', b);
  const gone = w.member('gone', a);
  const fallen = w.admin('fallen', a);
  for (const reason of ['routine', 'routine', 'compromised'] as const) {
    tick();
    w.must(m.rotate(reason));
  }
  tick();
  w.must(issueRevocation(w.store, w.founder.pen(), gone.id), issueRole(w.store, a.pen(), fallen.id, 'demote'));
  tick();
  w.must(b.rotate());
  w.must(issueGrant(w.store, b.pen(), { node: m.id, name: 'm' }));
  for (const [i, one] of [a, b, m].entries())
    w.must(issueRecord(w.networkId, one.pen(), { version: i + 1, services: [], addresses: [`127.0.0.1:${i + 1}`] }));
  w.must(issueNetworkSecret(w.store, w.founder.pen(), random(32)));
  return w;
}

/** A store that has heard nothing, and counts what it verifies. */
function listener(w: World): { store: TrustStore; verified: () => number } {
  let verified = 0;
  const { ed25519 } = primitives;
  const counting: Primitives = {
    ...primitives,
    ed25519: {
      fromSeed: s => ed25519.fromSeed(s),
      sign: (k, m) => ed25519.sign(k, m),
      isValidPublicKey: k => ed25519.isValidPublicKey(k),
      verify: (k, m, s) => {
        verified++;
        return ed25519.verify(k, m, s);
      },
    },
  };
  const store = new TrustStore({ primitives: counting, clock: w.clock, networkId: w.networkId });
  return { store, verified: () => verified };
}

const any = <T>(list: readonly T[]): T => list[below(random, list.length)]!;
const withBytes = (item: TrustItem, bytes: Uint8Array): TrustItem => ({ ...item, bytes });
const isSigned = (item: TrustItem): boolean => item.kind !== 'fork';
const envelopeOf = (item: TrustItem): Envelope =>
  decodeEnvelope(item.bytes, item.kind, MAX_ITEM_BYTES[item.kind], item.kind === 'statement' ? 2 : 1);

function replaced(items: readonly TrustItem[], at: TrustItem, by: (item: TrustItem) => TrustItem): TrustItem[] {
  return items.map(item => (item === at ? by(item) : item));
}

/** @returns the list with something wrong */
const MUTATIONS: Readonly<Record<string, (items: readonly TrustItem[], other: World) => readonly TrustItem[]>> = {
  'one dropped': items => items.filter(item => item !== any(items)),
  'half dropped': items => items.filter(() => below(random, 2) === 0),
  'each told three times': items => [...items, ...items, ...[...items].reverse()],
  'copies of one without end': items => [...items, ...Array<TrustItem>(500).fill(any(items))],
  'the last ones first': items => [...items].reverse(),
  'two swapped': items => {
    const [a, b] = [any(items), any(items)];
    return items.map(item => (item === a ? b : item === b ? a : item));
  },
  'cut off': items => items.slice(0, below(random, items.length)),
  'one cut off within': items =>
    replaced(items, any(items), item => withBytes(item, item.bytes.subarray(0, below(random, item.bytes.length)))),
  'a bit flipped': items =>
    replaced(items, any(items), item => withBytes(item, flipBit(item.bytes, below(random, item.bytes.length * 8)))),
  'more behind one': items => replaced(items, any(items), item => withBytes(item, concat(item.bytes, random(20)))),
  'one under the name of another kind': items =>
    replaced(items, any(items), ({ bytes }) => ({ kind: any(CLAIM_KINDS), bytes })),
  'the signature of another': items => {
    const from = envelopeOf(any(items.filter(isSigned)));
    return replaced(items, any(items.filter(isSigned)), item =>
      withBytes(item, encodeEnvelope({ ...envelopeOf(item), signature: from.signature })),
    );
  },
  'the words of another above a signature': items => {
    const statements = items.filter(({ kind }) => kind === 'statement');
    const from = envelopeOf(any(statements));
    return replaced(items, any(statements), item =>
      withBytes(item, encodeEnvelope({ ...envelopeOf(item), body: from.body })),
    );
  },
  'rotations without the agreement of the old key': items =>
    items.map(item => {
      if (item.kind !== 'statement') return item;
      const { body, signature } = envelopeOf(item);
      return withBytes(item, encodeEnvelope({ body, signature }));
    }),
  'another network among it': (items, other) => [...items, ...other.store.items()].sort(() => below(random, 3) - 1),
  'another network in its place': (_, other) => other.store.items(),
  'over-long': items => [
    ...items,
    ...items.map(({ kind }) => ({ kind, bytes: new Uint8Array(MAX_ITEM_BYTES[kind] + 1).fill(0x81) })),
    { kind: 'statement', bytes: new Uint8Array(10_000_000) },
  ],
  'nested as deep as fits': items => [
    ...items,
    ...items.map(({ kind }) => ({ kind, bytes: new Uint8Array(MAX_ITEM_BYTES[kind]).fill(0x81) })),
  ],
};

for (const [name, mutate] of Object.entries(MUTATIONS)) {
  test(`told with a mistake: ${name}`, () => {
    const w = lived();
    const other = lived();
    const honest = w.store.items();
    const known = new Set(w.store.members().map(({ node }) => toHex(node)));
    const everAdmins = new Set(honest.filter(({ kind }) => kind === 'role').map(item => toHex(aboutOf(item))));
    for (let round = 0; round < full(4, 150); round++) {
      const { store, verified } = listener(w);
      const told = mutate(honest, other);
      store.addAll(told);
      // Two signatures for a statement, and a second look at what had to wait for another item.
      assert.ok(verified() <= 4 * told.length + 10, `${verified()} verified for ${told.length} items`);
      assert.ok(store.pendingCount <= MAX_PENDING);
      for (const { node } of store.members())
        assert.ok(known.has(toHex(node)) || isMemberOnceOf(w, node), 'a member that nobody has admitted');
      for (const { node } of store.admins())
        assert.ok(equalsFounder(w, node) || everAdmins.has(toHex(node)), 'an admin that nobody has made one');
      assert.equal(store.openForks(), []);
      // One turn may leave something to wait for.
      store.addAll(honest);
      store.addAll(w.store.missingFrom(store.summary()));
      assert.equal(store.digest(), w.store.digest(), 'what is right is taken in afterwards');
    }
  });
}

const equalsFounder = (w: World, node: NodeId): boolean => toHex(w.founder.id) === toHex(node);

/** Whoever does not hear of a revocation takes the revoked for what it was. */
function isMemberOnceOf(w: World, node: NodeId): boolean {
  return w.changes.some(item => item.kind === 'grant' && toHex(aboutOf(item)) === toHex(node));
}

function aboutOf(item: TrustItem): NodeId {
  const format = FORMATS[item.kind as ClaimKind];
  return (decodeClaim(primitives, format, item.bytes) as unknown as { node: NodeId }).node;
}

test('admins in a long row that promote and demote each other in loops: one tree, at the cost of its size', () => {
  const length = full(40, 200);
  const w = new World();
  const row: Actor[] = [w.founder];
  for (let i = 0; i < length; i++) row.push(w.admin(`n${i}`, row.at(-1)!));
  const honest = w.store.items();
  const loops: TrustItem[] = [];
  for (let i = 1; i < row.length; i++) {
    const [one, next, far] = [row[i]!, row[(i % length) + 1]!, row[1 + ((i + length / 2) % length)]!];
    for (const [by, whom, action] of [
      [next, one, 'promote'],
      [far, one, 'promote'],
      [next, one, 'demote'],
      [one, w.founder, 'demote'],
    ] as const)
      if (by !== whom) loops.push(by.sign('role', { node: whom.id, action, generation: action === 'promote' ? 1 : 0 }));
  }
  const { store, verified } = listener(w);
  store.addAll([...loops, ...honest, ...loops]);
  const told = honest.length + loops.length;
  assert.ok(verified() <= 4 * told, `${verified()} verified for ${told} items`);
  assert.ok(store.isAdmin(w.founder.id), 'nobody brings the founder down');
  for (const admin of store.admins()) assert.is(admin.path.size, admin.depth + 1, 'each hangs on the founder by one way');
  const before = toHex(store.digest());
  store.addAll([...loops].reverse());
  assert.is(toHex(store.digest()), before, 'the order tells nothing');
  w.must(issueRole(w.store, w.founder.pen(), row[1]!.id, 'demote'));
  store.addAll(w.store.missingFrom(store.summary()));
  const left = store.admins().filter(({ node }) => !equalsFounder(w, node));
  for (const { path } of left) assert.not.ok(path.has(nodeIdText(row[1]!.id)), 'nobody hangs on who has fallen');
}, { deadline: 300_000 }); // prettier-ignore

// ── signatures on which verifiers differ ───────────────────────────────────────────────────────────────────────────

const TORSION = Point.fromBytes(toLittleEndian(0n), false);

/** Signatures that a lax verifier takes: made by the holder of the key itself, who wants hosts to differ. */
function laxSignatures(seed: Uint8Array, label: string, body: Uint8Array): readonly (readonly [string, Uint8Array])[] {
  const message = signedBytes(label, body);
  const honest = primitives.ed25519.sign(seed, message);
  const { publicKey } = primitives.ed25519.fromSeed(seed);
  const { scalar } = curve.utils.getExtendedPublicKey(seed);
  const s = fromLittleEndian(honest.subarray(32));
  const nonce = 1n + (fromLittleEndian(random(31)) % (L - 1n));
  const mixed = Point.BASE.multiply(nonce).add(TORSION).toBytes();
  const k = challenge(mixed, publicKey, message);
  const forged = concat(mixed, toLittleEndian((nonce + k * scalar) % L));
  assert.ok(curve.verify(forged, message, publicKey, { zip215: true }), 'cofactored verifiers take it');
  return [
    ['S + L', concat(honest.subarray(0, 32), toLittleEndian(s + L))],
    ['R of mixed order', forged],
    ['R of small order', concat(TORSION.toBytes(), honest.subarray(32))],
    ['R not canonical', concat(toLittleEndian((1n << 255n) - 19n + 3n), honest.subarray(32))],
    ['nothing but zeros', new Uint8Array(64)],
  ];
}

function relabelled(kind: ClaimKind | 'statement'): string {
  return kind === 'statement' ? STATEMENT_LABEL : FORMATS[kind].label;
}

test('a signature that a lax verifier takes is refused on every way in', () => {
  const w = lived();
  const [m] = w.store.members().filter(({ node }) => !equalsFounder(w, node));
  assert.ok(m);
  const x = w.admin('x');
  const content: Readonly<Record<ClaimKind, object>> = {
    role: { node: m!.node, action: 'promote', generation: 5 },
    grant: x.grantContent('x'),
    revocation: { node: m!.node, generation: 9 },
    'network-secret': { epoch: 9, secretHash: random(32) },
    settlement: { node: m!.node, seq: 1, standing: random(32) },
    registry: { version: 9, services: [], addresses: [] },
  };
  const digest = toHex(w.store.digest());
  for (const kind of CLAIM_KINDS) {
    const item = x.sign(kind, content[kind]);
    const envelope = envelopeOf(item);
    for (const [what, signature] of laxSignatures(x.keys.signing.privateKey, relabelled(kind), envelope.body)) {
      const lax = withBytes(item, encodeEnvelope({ ...envelope, signature }));
      const later = w.newStore();
      const refuses = (store: TrustStore, how: string, result: { status: string }): void => {
        assert.is(result.status, 'refused', `${kind}, ${what}, ${how}`);
        assert.is(store.pendingCount, 0);
      };
      refuses(w.store, 'told', w.store.add(lax));
      assert.is(later.add(lax).status, 'pending', 'its signer is not known yet');
      later.addAll(w.store.items());
      assert.equal(later.digest(), w.store.digest(), `${kind}, ${what}, told before its signer`);
      const restored = w.newStore();
      restored.restore([...w.store.items(), lax]);
      assert.equal(restored.digest(), w.store.digest(), `${kind}, ${what}, kept`);
    }
  }
  assert.is(toHex(w.store.digest()), digest);
});

test('nor on a statement: by its key, by the old key, in a fork, as a first one', () => {
  const w = new World();
  const b = w.member('b');
  w.now += 1000;
  const before = b.keys;
  const rotation = b.rotated();
  const envelope = envelopeOf({ kind: 'statement', bytes: rotation.statement });
  const lax = (seed: Uint8Array, side: 'signature' | 'oldSignature') =>
    laxSignatures(seed, STATEMENT_LABEL, envelope.body).map(
      ([what, signature]) => [`${what} in ${side}`, encodeEnvelope({ ...envelope, [side]: signature })] as const,
    );
  const all = [...lax(before.next, 'signature'), ...lax(before.signing.privateKey, 'oldSignature')];
  const rival = b.rotated('compromised');
  for (const [what, bytes] of all) {
    assert.is(w.add({ kind: 'statement', bytes }).status, 'refused', what);
    const log = KeyLog.start(new Verifier(primitives), b.statements[0]!.bytes);
    assert.is(log.append(bytes).status, 'refused', what);
    const fork = makeFork(decodeStatement(primitives, bytes), decodeStatement(primitives, rival.statement));
    assert.is(w.add({ kind: 'fork', bytes: fork.bytes }).status, 'refused', `${what}, in a fork`);
  }
  assert.equal(w.store.openForks(), []);
  const first = w.actor();
  const opening = envelopeOf(first.log[0]!);
  for (const [what, signature] of laxSignatures(first.keys.signing.privateKey, STATEMENT_LABEL, opening.body)) {
    const bytes = encodeEnvelope({ ...opening, signature });
    assert.throws(() => KeyLog.start(new Verifier(primitives), bytes), /signature is wrong/, what);
    assert.is(w.add({ kind: 'statement', bytes }).status, 'refused', what);
  }
  // What failed is not remembered as good, and what is right is.
  w.must({ kind: 'statement', bytes: rotation.statement });
  assert.is(w.store.head(b.id)!.seq, 1);
});

test.run();
