/**
 * Garbage for every decoder of identity. Three ways: bytes that were mutated; bodies that were mutated and then rightly
 * signed, so that they get past the signature; structures grown at random and rightly signed. Nothing but a WarrenError
 * may come out, nothing that was mutated may be taken for what it was, and each case ends soon.
 */
import { WarrenError } from '../../protocol/errors.js';
import { concat } from '../../protocol/bytes.js';
import { cborMap, decodeCanonical, encodeCanonical } from '../../protocol/identity/cbor.js';
import type { CborKey, CborMap, CborValue } from '../../protocol/identity/cbor.js';
import { InviteBook, decodeInvite, encodeInvite } from '../../protocol/identity/index.js';
import type { TrustItem, TrustStore } from '../../protocol/identity/index.js';
import { labelledHash, toBase32 } from '../../protocol/identity/node-id.js';
import { CLAIM_KINDS, FORMATS } from '../../protocol/identity/shelves.js';
import type { ClaimKind } from '../../protocol/identity/shelves.js';
import { decodeEnvelope, encodeEnvelope, signBody } from '../../protocol/identity/signed.js';
import { STATEMENT_LABEL, decodeFork, decodeStatement, makeFork } from '../../protocol/identity/statement.js';
import { decodeItems, encodeItems } from '../../protocol/identity/trust-item.js';
import { assert, full, suite } from '../helpers/suite.js';
import { DAY, START, World, below, primitives, random } from '../protocol/identity/helpers.js';

const test = suite('fuzz: identity');

/** Per decoder; where there are two ways, a small run shares them out. */
const CASES = full(2000, 100_000);
const HALF = full(1000, 100_000);
/** Processor time that one case may take. */
const CASE_MS = 250;

function cpuMs(): number {
  const { user, system } = process.cpuUsage();
  return (user + system) / 1000;
}
const deadline = full(60_000, 3_600_000);

/** Bytes changed in one of the usual ways. */
function mutated(bytes: Uint8Array): Uint8Array {
  const out = new Uint8Array(bytes);
  const at = below(random, Math.max(1, out.length));
  switch (below(random, 7)) {
    case 0:
      out[at]! ^= 1 << below(random, 8);
      return out;
    case 1:
      out[at] = [0, 1, 0x17, 0x18, 0x1b, 0x5f, 0x80, 0x9f, 0xbf, 0xf6, 0xff][below(random, 11)]!;
      return out;
    case 2:
      return out.subarray(0, at);
    case 3:
      return concat(out.subarray(0, at), random(1 + below(random, 20)), out.subarray(at));
    case 4:
      return concat(out.subarray(0, at), out.subarray(Math.min(out.length, at + 1 + below(random, 20))));
    case 5:
      return concat(out.subarray(0, at), out.subarray(below(random, out.length + 1)));
    default:
      for (let i = 0; i < 5; i++) out[below(random, out.length)] = random(1)[0]!;
      return out;
  }
}

/** Some value that CBOR here can carry. */
function anything(depth = 0): CborValue {
  const ints = [0, 1, 23, 24, 255, 2 ** 32, Number.MAX_SAFE_INTEGER, -1, START, 4095, 4096];
  switch (below(random, depth > 2 ? 4 : 7)) {
    case 0:
      return ints[below(random, ints.length)]!;
    case 1:
      return random([0, 1, 31, 32, 33, 64, 300][below(random, 7)]!);
    case 2:
      return ['', 'a', 'host-b', 'x'.repeat(64), 'ä', '\u0000', '-', 'a:1'][below(random, 8)]!;
    case 3:
      return below(random, 2) === 0;
    case 4:
      return Array.from({ length: below(random, 20) }, () => anything(depth + 1));
    case 5:
      return Array.from({ length: below(random, 70) }, (_, i) => `e${i}`);
    default:
      return cborMap(Array.from({ length: below(random, 5) }, (_, i) => [i, anything(depth + 1)] as const));
  }
}

/** The same structure with a field changed, dropped or added, and encoded as it should be. */
function mutatedFields(body: Uint8Array): Uint8Array {
  const map = new Map(decodeCanonical(body, 'body', 100_000) as CborMap);
  const keys = [...map.keys()];
  const key: CborKey = below(random, 8) === 0 ? below(random, 30) : keys[below(random, keys.length)]!;
  if (below(random, 6) === 0) map.delete(key);
  else map.set(key, anything());
  return encodeCanonical(map);
}

/** Runs `decode`; anything but a WarrenError is a fault, and so is taking long. */
function survives(what: string, decode: () => unknown): boolean {
  const begin = cpuMs();
  try {
    decode();
    return true;
  } catch (error) {
    if (!(error instanceof WarrenError) || error.code === 'internal') throw error;
    return false;
  } finally {
    const took = cpuMs() - begin;
    if (took > CASE_MS) throw new Error(`${what}: ${took} ms for one case`);
  }
}

const world = new World();
const second = world.admin('second');
const member = world.member('third', second);

const CONTENT: Record<ClaimKind, object> = {
  grant: member.grantContent('host-a', { tags: ['a', 'b'], expires: START + DAY }),
  role: { node: member.id, action: 'promote', generation: 2 },
  revocation: { node: member.id, generation: 9, name: 'host-a' },
  'network-secret': { epoch: 4, secretHash: random(32) },
  settlement: { node: member.id, seq: 5, standing: random(32) },
  registry: {
    version: 7,
    services: [
      { name: 'payments', version: '2.1.0', description: 'Payments', tags: ['core'] },
      { name: 'b', tags: [] },
    ],
    addresses: ['10.0.0.1:7667', 'wss://x.example/w'],
    relays: true,
  },
};

/** A store that is renewed now and then, so that what fuzzing does to it stays comparable. */
class Target {
  private store: TrustStore = this.fresh();
  private uses = 0;

  private fresh(): TrustStore {
    const store = world.newStore();
    store.addAll(world.store.items());
    return store;
  }

  add(item: TrustItem): string {
    if (++this.uses % 500 === 0) this.store = this.fresh();
    const begin = cpuMs();
    const { status } = this.store.add(item);
    const took = cpuMs() - begin;
    if (took > CASE_MS) throw new Error(`${item.kind}: ${took} ms for one case`);
    return status;
  }
}

for (const kind of CLAIM_KINDS) {
  test(`${kind}: mutated bytes are never taken in`, () => {
    const target = new Target();
    const signer = kind === 'registry' ? member : second;
    const { bytes } = signer.sign(kind, CONTENT[kind]);
    for (let i = 0; i < HALF; i++) {
      const garbage = mutated(bytes);
      if (Buffer.from(garbage).equals(bytes)) continue;
      const status = target.add({ kind, bytes: garbage });
      if (status === 'added') throw new Error(`taken in: ${Buffer.from(garbage).toString('hex')}`);
    }
  }, { deadline }); // prettier-ignore

  test(`${kind}: mutated bodies that are rightly signed`, () => {
    const target = new Target();
    const signer = kind === 'registry' ? member : second;
    const { body } = decodeEnvelope(signer.sign(kind, CONTENT[kind]).bytes, kind, 20_000);
    let taken = 0;
    for (let i = 0; i < HALF; i++) {
      const changed = i % 2 === 0 ? mutated(body) : mutatedFields(body);
      const signature = signBody(primitives.ed25519, signer.keys.signing.privateKey, FORMATS[kind].label, changed);
      if (target.add({ kind, bytes: encodeEnvelope({ body: changed, signature }) }) === 'added') taken++;
    }
    assert.ok(taken > 0, 'some are right: else the mutations never get past the door');
  }, { deadline }); // prettier-ignore
}

test('statement: mutated bytes are never taken in', () => {
  const target = new Target();
  const next = member.rotated().statement;
  for (let i = 0; i < HALF; i++) {
    const bytes = mutated(i % 2 === 0 ? next : member.keys.statement);
    if (Buffer.from(bytes).equals(next)) continue;
    if (target.add({ kind: 'statement', bytes }) === 'added') throw new Error('taken in');
  }
}, { deadline }); // prettier-ignore

test('statement: mutated bodies that are rightly signed', () => {
  const target = new Target();
  const { body } = decodeEnvelope(member.rotated().statement, 'statement', 1000, 2);
  const { next, signing } = member.keys;
  const sign = (seed: Uint8Array, changed: Uint8Array): Uint8Array =>
    signBody(primitives.ed25519, seed, STATEMENT_LABEL, changed);
  for (let i = 0; i < HALF; i++) {
    const changed = i % 2 === 0 ? mutated(body) : mutatedFields(body);
    const envelope = { body: changed, signature: sign(next, changed) };
    const twice = { ...envelope, oldSignature: sign(signing.privateKey, changed) };
    target.add({ kind: 'statement', bytes: encodeEnvelope(i % 3 === 0 ? envelope : twice) });
  }
}, { deadline }); // prettier-ignore

test('fork proof: mutated bytes and mutated parts are never taken in', () => {
  const target = new Target();
  const [a, b] = [member.rotated('compromised'), member.rotated('compromised')].map(k =>
    decodeStatement(primitives, k.statement),
  ) as [ReturnType<typeof decodeStatement>, ReturnType<typeof decodeStatement>];
  const { bytes } = makeFork(a, b);
  for (let i = 0; i < CASES; i++) {
    const parts = [mutated(a.bytes), i % 2 === 0 ? b.bytes : mutated(b.bytes)];
    const garbage = i % 3 === 0 ? mutated(bytes) : encodeCanonical(cborMap([[0, parts[0]], [1, parts[1]]])); // prettier-ignore
    if (Buffer.from(garbage).equals(bytes)) continue;
    survives('fork proof', () => decodeFork(primitives, garbage));
    if (target.add({ kind: 'fork', bytes: garbage }) === 'added') throw new Error('taken in');
  }
}, { deadline }); // prettier-ignore

test('CBOR: what is decoded encodes to the same bytes', () => {
  const values = Array.from({ length: 50 }, () => encodeCanonical(anything()));
  for (let i = 0; i < CASES; i++) {
    const bytes = i % 4 === 0 ? random(below(random, 60)) : mutated(values[below(random, values.length)]!);
    survives('CBOR', () => {
      const again = encodeCanonical(decodeCanonical(bytes, 'value', 100_000));
      if (!Buffer.from(again).equals(bytes)) throw new Error(`two encodings: ${Buffer.from(bytes).toString('hex')}`);
    });
  }
}, { deadline }); // prettier-ignore

test('invite: mutated text, and mutated content with a right checksum', () => {
  const { SHA256 } = primitives.hash;
  const content = encodeCanonical(
    cborMap([[0, random(32)], [1, random(32)], [2, ['a:1', 'wss://b/c']], [3, random(32)], [4, START], [5, ['t']], [6, random(32)]]), // prettier-ignore
  );
  const wrap = (bytes: Uint8Array): string => {
    const checksum = labelledHash(SHA256, 'warren invite v1', bytes).subarray(0, 4);
    const length = toBase32(Uint8Array.of(bytes.length >> 7, (bytes.length & 127) << 1)).slice(0, 3);
    return `warren1${length}${toBase32(concat(checksum, bytes))}`;
  };
  const text = wrap(content);
  assert.is(encodeInvite(SHA256, decodeInvite(SHA256, text)), text);
  for (let i = 0; i < CASES; i++) {
    const garbage = Buffer.from(mutated(Buffer.from(text))).toString('latin1');
    const same = garbage.replace(/\s+/g, '').toLowerCase() === text;
    const taken = survives('invite', () => decodeInvite(SHA256, garbage));
    if (taken && !same) {
      // i, l and o read as 1, 1 and 0, which changes nothing.
      const plain = garbage.replace(/\s+/g, '').toLowerCase().slice(6).replaceAll(/[il]/g, '1').replaceAll('o', '0');
      assert.is(plain, text.slice(6));
    }
    survives('invite', () => decodeInvite(SHA256, wrap(i % 2 === 0 ? mutated(content) : mutatedFields(content))));
  }
}, { deadline }); // prettier-ignore

test('invite book: mutated states', () => {
  const book = new InviteBook();
  for (let i = 0; i < 4; i++) book.open(random, START, { ttl: DAY, tags: ['x'], forNode: random(32) });
  book.use(book.list(START)[0]!.id, random(32), START);
  const state = book.exportState();
  for (let i = 0; i < CASES; i++) {
    survives('invite book', () => new InviteBook().importState(i % 2 === 0 ? mutated(state) : mutatedFields(state)));
  }
}, { deadline }); // prettier-ignore

test('summary and items on the wire: mutated bytes', () => {
  const { store } = world;
  const summary = store.summary();
  const items = encodeItems(store.items());
  for (let i = 0; i < CASES; i++) {
    survives('summary', () => store.missingFrom(mutated(summary)));
    survives('items', () => decodeItems(mutated(items), 1000));
  }
}, { deadline }); // prettier-ignore

test('structures grown at random and rightly signed', () => {
  const target = new Target();
  for (let i = 0; i < HALF; i++) {
    const kind = CLAIM_KINDS[below(random, CLAIM_KINDS.length)]!;
    const header: [CborKey, CborValue][] = [[0, 1], [1, world.networkId], [2, second.id], [3, 0], [4, START]]; // prettier-ignore
    const own = Array.from({ length: below(random, 7) }, (_, n): [CborKey, CborValue] => [5 + n, anything()]);
    const body = encodeCanonical(cborMap([...header, ...own]));
    const signature = signBody(primitives.ed25519, second.keys.signing.privateKey, FORMATS[kind].label, body);
    target.add({ kind, bytes: encodeEnvelope({ body, signature }) });
  }
}, { deadline }); // prettier-ignore

test.run();
