import { cborMap, decodeCanonical, encodeCanonical } from '../../../protocol/identity/cbor.js';
import type { CborKey, CborMap, CborValue } from '../../../protocol/identity/cbor.js';
import { decodeClaim } from '../../../protocol/identity/claim.js';
import { MAX_GRANT_LIFE_MS, grantTime, wantsRenewal } from '../../../protocol/identity/grant.js';
import { MAX_OPEN_SECRETS, OLD_SECRET_MS, openSecrets, secretHash } from '../../../protocol/identity/network-secret.js';
import type { NetworkSecret } from '../../../protocol/identity/network-secret.js';
import { MAX_RECORD_BYTES } from '../../../protocol/identity/registry-record.js';
import { CLAIM_KINDS, FORMATS } from '../../../protocol/identity/shelves.js';
import type { ClaimKind } from '../../../protocol/identity/shelves.js';
import { decodeEnvelope, encodeEnvelope, signBody } from '../../../protocol/identity/signed.js';
import { decodeItems, encodeItems, kindOf, ITEM_KINDS } from '../../../protocol/identity/trust-item.js';
import type { ItemKind } from '../../../protocol/identity/trust-item.js';
import { assert, suite } from '../../helpers/suite.js';
import { DAY, START, World, flipBit, primitives, random, thrown } from './helpers.js';

const test = suite('claims');

const world = new World();
const { founder } = world;
const admin = world.admin('second');
const member = world.member('third');

const grant = {
  node: member.id,
  name: 'Host.A',
  tags: ['core', 'eu'],
  since: START - 5,
  expires: START + DAY,
  generation: 3,
};
const service = { name: 'payments', version: '2.1.0', description: 'Payment processing', tags: ['core'] };
const record = {
  version: 7,
  services: [service, { name: 'bare', tags: [] }],
  addresses: ['10.0.0.1:7667', 'wss://x.example/w'],
  relays: true,
};

const CONTENT: Record<ClaimKind, object> = {
  grant,
  role: { node: member.id, action: 'promote', generation: 2 },
  revocation: { node: member.id, generation: 9, name: 'host-a' },
  'network-secret': { epoch: 4, secretHash: random(32) },
  settlement: { node: member.id, seq: 5, standing: random(32) },
  registry: record,
};

test('every kind comes back as it was signed', () => {
  for (const kind of CLAIM_KINDS) {
    const { bytes } = founder.sign(kind, CONTENT[kind]);
    const claim = decodeClaim(primitives, FORMATS[kind], bytes);
    assert.equal({ ...claim, ...CONTENT[kind] }, claim);
    assert.equal(claim.network, world.networkId);
    assert.equal(claim.signer, founder.id);
    assert.is(claim.signerSeq, 0);
    assert.is(claim.time, START);
    assert.is(claim.hash.length, 32);
  }
});

test('what is optional may be absent', () => {
  const decode = (kind: ClaimKind, content: object): unknown =>
    decodeClaim(primitives, FORMATS[kind], founder.sign(kind, content).bytes);
  assert.equal((decode('grant', { ...grant, tags: [] }) as typeof grant).tags, []);
  assert.not('name' in (decode('revocation', { node: member.id, generation: 0 }) as object));
  const empty = decode('registry', { version: 0, services: [], addresses: [] }) as typeof record;
  assert.equal([empty.services, empty.addresses], [[], []]);
  assert.not('relays' in empty);
});

const BAD: readonly (readonly [ClaimKind, object, RegExp])[] = [
  ['grant', { expires: START }, /expires before it begins/],
  ['grant', { expires: START + MAX_GRANT_LIFE_MS + 1 }, /longer than 90 days/],
  ['grant', { since: START + 1 }, /since is/],
  ['grant', { name: '-a' }, /name is not allowed/],
  ['grant', { name: 'x'.repeat(64) }, /longer than 63/],
  ['grant', { name: '0'.repeat(52) }, /name is not allowed/],
  ['grant', { tags: ['a b'] }, /tags is not allowed/],
  ['grant', { tags: ['a', 'A'] }, /repeats/],
  ['grant', { tags: Array.from({ length: 17 }, (_, i) => `t${i}`) }, /more than 16/],
  ['grant', { node: random(31) }, /31 bytes/],
  ['grant', { generation: 2 ** 32 }, /generation/],
  ['role', { node: founder.id }, /about the (signer|founder)/],
  ['role', { generation: 2 ** 32 }, /generation/],
  ['revocation', { node: founder.id }, /of the (signer|founder)/],
  ['revocation', { name: 'a b' }, /name is not allowed/],
  ['network-secret', { epoch: 2 ** 32 }, /epoch/],
  ['network-secret', { secretHash: random(31) }, /hash has 31/],
  ['settlement', { seq: 0 }, /seq 0/],
  ['settlement', { seq: 4096 }, /at most 4095/],
  ['settlement', { node: founder.id }, /own log|founder/],
  ['registry', { services: [service, { ...service, name: 'PAYMENTS' }] }, /listed twice/],
  ['registry', { services: [{ ...service, name: 'a b' }] }, /name is not allowed/],
  ['registry', { services: [{ ...service, description: 'a\u001b[2J' }] }, /description is not allowed/],
  ['registry', { services: [{ ...service, version: 'a b' }] }, /version is not allowed/],
  ['registry', { services: Array.from({ length: 65 }, (_, i) => ({ name: `s${i}`, tags: [] })) }, /more than 64/],
  ['registry', { addresses: Array.from({ length: 17 }, (_, i) => `h:${i + 1}`) }, /more than 16/],
  ['registry', { addresses: ['a b'] }, /addresses is not allowed/],
  ['registry', { addresses: ['a:1', 'a:1'] }, /repeats/],
  ['registry', { relays: false }, /relays is neither true nor absent/],
  ['registry', { relays: 1 }, /relays is neither true nor absent/],
];

for (const [kind, change, expected] of BAD) {
  test(`a ${kind} with ${JSON.stringify(change).slice(0, 50)} is refused`, () => {
    const { bytes } = founder.sign(kind, { ...CONTENT[kind], ...change });
    assert.match(
      thrown(() => decodeClaim(primitives, FORMATS[kind], bytes)),
      expected,
    );
  });
}

test('about oneself, by an admin that is not the founder', () => {
  for (const kind of ['role', 'revocation', 'settlement'] as const) {
    const { bytes } = admin.sign(kind, { ...CONTENT[kind], node: admin.id });
    assert.match(
      thrown(() => decodeClaim(primitives, FORMATS[kind], bytes)),
      /signer/,
    );
    const ofFounder = admin.sign(kind, { ...CONTENT[kind], node: founder.id });
    assert.match(
      thrown(() => decodeClaim(primitives, FORMATS[kind], ofFounder.bytes)),
      /founder/,
    );
  }
});

/** The claim with one field of its body changed, rightly signed. */
function resigned(kind: ClaimKind, key: CborKey, value: CborValue | undefined): Uint8Array {
  const format = FORMATS[kind];
  const { body } = decodeEnvelope(founder.sign(kind, CONTENT[kind]).bytes, kind, 20_000);
  const map = new Map(decodeCanonical(body, kind, 20_000) as CborMap);
  if (value === undefined) map.delete(key);
  else map.set(key, value);
  const changed = encodeCanonical(map);
  const signature = signBody(primitives.ed25519, founder.keys.signing.privateKey, format.label, changed);
  return encodeEnvelope({ body: changed, signature });
}

const OPTIONAL: Partial<Record<ClaimKind, readonly number[]>> = { grant: [7], revocation: [7], registry: [6, 7, 8] };

/** Fields that are true when they are there. */
const FLAG: Partial<Record<ClaimKind, number>> = { registry: 8 };

test('a field too many, too few or of another type is refused, though the claim is rightly signed', () => {
  for (const kind of CLAIM_KINDS) {
    const format = FORMATS[kind];
    const { body } = decodeEnvelope(founder.sign(kind, CONTENT[kind]).bytes, kind, 20_000);
    const read = (key: CborKey, value: CborValue | undefined): string =>
      thrown(() => decodeClaim(primitives, format, resigned(kind, key, value)));
    for (const key of (decodeCanonical(body, kind, 20_000) as CborMap).keys()) {
      if (!OPTIONAL[kind]?.includes(key as number)) assert.match(read(key, undefined), /missing/);
      for (const wrong of [true, [[1]], cborMap([[1, 1]]), -1]) {
        if (FLAG[kind] === key && wrong === true) continue;
        assert.match(read(key, wrong), new RegExp(format.what));
      }
    }
    assert.match(read(99, 1), /unknown field 99/);
    assert.match(read('x', 1), /unknown field by name/);
    assert.match(read(0, 2), /version 2 is not known/);
  }
});

test('no bit of any claim can be changed, nor its end', () => {
  const store = world.newStore();
  store.addAll([...world.items, ...admin.log, ...member.log]);
  store.addAll(world.changes);
  const digest = store.digest();
  for (const kind of CLAIM_KINDS) {
    const signer = kind === 'registry' ? member : founder;
    const { bytes } = signer.sign(kind, CONTENT[kind]);
    for (let bit = 0; bit < bytes.length * 8; bit++) {
      const { status } = store.add({ kind, bytes: flipBit(bytes, bit) });
      // A changed signer or seq may be one that is not known yet.
      if (status !== 'refused' && status !== 'pending') throw new Error(`bit ${bit} of ${kind}: ${status}`);
    }
    for (let n = 0; n < bytes.length; n += 7)
      assert.is(store.add({ kind, bytes: bytes.subarray(0, n) }).status, 'refused');
    assert.is(store.add({ kind, bytes: Uint8Array.of(...bytes, 0) }).status, 'refused');
  }
  assert.equal(store.digest(), digest);
});

test('a claim of one kind is none of another', () => {
  for (const kind of CLAIM_KINDS) {
    for (const other of CLAIM_KINDS) {
      if (kind === other) continue;
      const { body } = decodeEnvelope(founder.sign(kind, CONTENT[kind]).bytes, kind, 20_000);
      const signature = signBody(primitives.ed25519, founder.keys.signing.privateKey, FORMATS[other].label, body);
      const status = world.add({ kind, bytes: encodeEnvelope({ body, signature }) }).status;
      assert.is(status === 'added', false, `${kind} signed as ${other}`);
    }
  }
});

test('what is longer than its kind may be is refused before it is looked at', () => {
  for (const kind of Object.keys(ITEM_KINDS) as ItemKind[]) {
    const { status, why } = world.add({ kind, bytes: new Uint8Array(MAX_RECORD_BYTES + 1) });
    assert.is(status, 'refused');
    assert.match(why ?? '', /too long/);
  }
});

test('the largest registry record fits, one more byte does not', () => {
  const services = Array.from({ length: 64 }, (_, i) => ({ name: `s${i}`, description: 'd'.repeat(200), tags: [] }));
  const fitting = founder.sign('registry', { version: 1, services, addresses: [] });
  assert.ok(fitting.bytes.length < MAX_RECORD_BYTES);
  decodeClaim(primitives, FORMATS.registry, fitting.bytes);
  const long = services.map(s => ({ ...s, description: 'd'.repeat(255) }));
  const bytes = founder.sign('registry', { version: 1, services: long, addresses: [] }).bytes;
  assert.match(
    thrown(() => decodeClaim(primitives, FORMATS.registry, bytes)),
    /at most/,
  );
});

test('a grant is valid within its time, give or take a day', () => {
  const times = { time: START, expires: START + 30 * DAY };
  assert.is(grantTime(times, START - DAY - 1), 'not-yet');
  assert.is(grantTime(times, START - DAY), 'valid');
  assert.is(grantTime(times, START + 31 * DAY - 1), 'valid');
  assert.is(grantTime(times, START + 31 * DAY), 'expired');
  assert.not(wantsRenewal(times, START + 15 * DAY - 1));
  assert.ok(wantsRenewal(times, START + 15 * DAY));
});

const secret = (epoch: number, time: number, hash: Uint8Array = new Uint8Array(32)): NetworkSecret =>
  ({ epoch, secretHash: hash, time }) as NetworkSecret;

test('the highest epoch is in force, then the highest hash; older ones open a catch-up for 30 days', () => {
  const low: Uint8Array = secretHash(primitives.hash.SHA256, random(32));
  const high = low.slice();
  high[0] = 255;
  low[0] = 0;
  const open = openSecrets(
    [secret(0, 1), secret(2, START, low), secret(1, START - DAY), secret(2, START + 5, high)],
    START + 10,
  );
  assert.equal(open.map(s => [s.epoch, s.secretHash[0], s.current]), [[2, 255, true], [2, 0, false], [1, 0, false], [0, 0, false]]); // prettier-ignore
  assert.is(open[0]!.until, Infinity);
  assert.is(open[1]!.until, START + 5 + OLD_SECRET_MS);
  assert.is(openSecrets([secret(0, 1), secret(1, START)], START + OLD_SECRET_MS).length, 1);
});

test('no more than eight secrets are open', () => {
  const many = Array.from({ length: 20 }, (_, i) => secret(i, START + i));
  const open = openSecrets(many, START + 20);
  assert.equal(open.map(s => s.epoch), [19, 18, 17, 16, 15, 14, 13, 12]); // prettier-ignore
  assert.is(open.length, MAX_OPEN_SECRETS);
});

test('two admins that say the same secret count as one; the earlier dates it', () => {
  const open = openSecrets([secret(1, START + 9), secret(0, 1), secret(1, START)], START + 10);
  assert.is(open.length, 2);
  assert.is(open[1]!.until, START + OLD_SECRET_MS);
  assert.equal(openSecrets([], START), []);
});

test('items travel as kind, length, bytes; unknown kinds are passed over', () => {
  const items = CLAIM_KINDS.map(kind => founder.sign(kind, CONTENT[kind]));
  assert.equal(decodeItems(encodeItems(items), 10), items);
  assert.equal(decodeItems(Uint8Array.of(77, 2, 1, 1, 3, 1, 5), 10), [{ kind: 'role', bytes: Uint8Array.of(5) }]);
  assert.equal(decodeItems(new Uint8Array(0), 0), []);
  assert.is(kindOf(3), 'role');
  assert.is(kindOf(0), undefined);
  const bad = [
    Uint8Array.of(3),
    Uint8Array.of(3, 5, 1),
    Uint8Array.of(3, 0x44, 0x01),
    Uint8Array.of(77, 0x80, 1, 0, 0),
  ];
  for (const bytes of bad)
    assert.match(
      thrown(() => decodeItems(bytes, 10)),
      /trust items/,
    );
  assert.match(
    thrown(() => decodeItems(encodeItems(items), 2)),
    /more than 2/,
  );
});

test.run();
