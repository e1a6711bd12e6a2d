import { concat, utf8 } from '../../../protocol/bytes.js';
import {
  FEATURES,
  decodePayload,
  decodeTime,
  encodePayload,
  encodeTime,
  isTimely,
  pad,
  unpad,
  type OwnPayload,
} from '../../../protocol/handshake/payload.js';
import { CLOCK_WINDOW_MS, PAYLOAD_MAX, PAYLOAD_UNIT } from '../../../protocol/handshake/wire.js';
import { cborMap, encodeCanonical, type CborKey, type CborValue } from '../../../protocol/identity/cbor.js';
import { MAX_GRANT_BYTES } from '../../../protocol/identity/grant.js';
import { MAX_STATEMENT_BYTES } from '../../../protocol/identity/statement.js';
import { MAX_REKEY_BYTES, MIN_REKEY_BYTES } from '../../../protocol/limits.js';
import { assert, suite } from '../../helpers/suite.js';
import { makeNode, real } from './nodes.js';

const test = suite('handshake payloads');

const node = makeNode('payload');
const own: OwnPayload = {
  highestVersion: 1,
  network: node.ctx.own.network,
  statement: node.keys.statement,
  clockMs: 1_800_000_000_000,
  features: 0,
  digest: new Uint8Array(32).fill(3),
};

/** The payload's own fields, some replaced; undefined leaves one out. */
function custom(changes: readonly (readonly [CborKey, CborValue | undefined])[]): Uint8Array {
  const fields = new Map<CborKey, CborValue | undefined>([
    [0, own.highestVersion],
    [1, own.network],
    [2, own.statement],
    [4, own.clockMs],
    [5, own.features],
    [6, own.digest],
    ...changes,
  ]);
  return pad(encodeCanonical(cborMap([...fields])));
}

test('the clock is a u64 in front of nothing', () => {
  assert.equal(encodeTime(0x0102_0304_0506), Uint8Array.of(0, 0, 1, 2, 3, 4, 5, 6));
  for (const ms of [0, 1, 1_800_000_000_000, Number.MAX_SAFE_INTEGER]) assert.is(decodeTime(encodeTime(ms)), ms);
  assert.is(decodeTime(encodeTime(-5)), 0);
  assert.is(decodeTime(encodeTime(12.75)), 12);
  assert.throws(() => decodeTime(new Uint8Array(7)), /7 bytes/);
  assert.throws(() => decodeTime(new Uint8Array(9)), /9 bytes/);
  assert.throws(() => decodeTime(new Uint8Array(8).fill(0xff)), /beyond/);
  assert.throws(() => decodeTime(Uint8Array.of(0, 0x20, 0, 0, 0, 0, 0, 0)), /beyond/);
});

test('an hour either way is timely', () => {
  const now = 1e12;
  assert.is(isTimely(now + CLOCK_WINDOW_MS, now), true);
  assert.is(isTimely(now - CLOCK_WINDOW_MS, now), true);
  assert.is(isTimely(now + CLOCK_WINDOW_MS + 1, now), false);
  assert.is(isTimely(0, now), false);
  assert.is(isTimely(Number.MAX_SAFE_INTEGER, now), false);
});

test('padding fills up to the next multiple of 512 and comes off again', () => {
  for (const [content, padded] of [
    [0, 512],
    [1, 512],
    [510, 512],
    [511, 1024],
    [1022, 1024],
    [1023, 1536],
    [PAYLOAD_MAX - 2, PAYLOAD_MAX],
  ] as const) {
    const bytes = new Uint8Array(content).fill(0xab);
    assert.is(pad(bytes).length, padded);
    assert.equal(unpad(pad(bytes)), bytes);
  }
  assert.throws(() => pad(new Uint8Array(PAYLOAD_MAX - 1)), /payload of 4097/);
});

test('padding that another encoder would not make is refused', () => {
  const good = pad(utf8('hello'));
  assert.throws(() => unpad(concat(good, new Uint8Array(PAYLOAD_UNIT))), /more padding/);
  const dirty = good.slice();
  dirty[511] = 1;
  assert.throws(() => unpad(dirty), /not zero/);
  assert.throws(() => unpad(Uint8Array.of(0)), /too early/);
  assert.throws(() => unpad(Uint8Array.of(0, 2, 1)), /too early/);
});

test('what is said is what is heard', () => {
  const grant = new Uint8Array(300).fill(5);
  const full: OwnPayload = {
    ...own,
    grant,
    features: FEATURES.catchUp + 0x8000_0000,
    join: { name: 'host-a' },
    highestVersion: 255,
    rekeyBytes: MIN_REKEY_BYTES,
  };
  const { peer, statement } = decodePayload(real, encodePayload(full));
  assert.equal(peer.nodeId, node.keys.nodeId);
  assert.equal(peer.statementHash, node.keys.nodeId, 'at seq 0 the hash is the ID');
  assert.is(peer.seq, 0);
  assert.equal(peer.grant, grant);
  assert.equal(peer.network, own.network);
  assert.equal(peer.digest, own.digest);
  assert.is(peer.clockMs, own.clockMs);
  assert.is(peer.features, 0x8000_0001);
  assert.is(peer.catchUp, true);
  assert.equal(peer.join, { name: 'host-a' });
  assert.is(peer.highestVersion, 255);
  assert.is(peer.rekeyBytes, MIN_REKEY_BYTES);
  assert.equal(statement.noiseKey, node.keys.noise.publicKey);
  const plain = decodePayload(real, encodePayload(own)).peer;
  assert.equal([plain.grant, plain.join, plain.rekeyBytes, plain.catchUp], [undefined, undefined, undefined, false]);
  assert.is(decodePayload(real, custom([[8, MAX_REKEY_BYTES]])).peer.rekeyBytes, MAX_REKEY_BYTES);
});

test('the largest statement and grant fit', () => {
  const largest = {
    ...own,
    statement: new Uint8Array(MAX_STATEMENT_BYTES),
    grant: new Uint8Array(MAX_GRANT_BYTES),
    join: { name: 'x'.repeat(63) },
    rekeyBytes: MAX_REKEY_BYTES,
  };
  assert.is(encodePayload(largest).length <= PAYLOAD_MAX, true);
});

test('unknown keys are passed over, known ones are strict', () => {
  const more = custom([
    [9, 'later'],
    [99, new Uint8Array(3)],
    ['word', [1, 2]],
  ]);
  assert.is(decodePayload(real, more).peer.seq, 0);
  const bad: readonly (readonly [CborKey, CborValue | undefined])[] = [
    [0, undefined],
    [0, 256],
    [0, -1],
    [0, 'one'],
    [1, undefined],
    [1, new Uint8Array(31)],
    [2, undefined],
    [2, new Uint8Array(10)],
    [2, 'statement'],
    [3, 'grant'],
    [3, new Uint8Array(MAX_GRANT_BYTES + 1)],
    [4, undefined],
    [4, -1],
    [5, undefined],
    [5, 0x1_0000_0000],
    [5, true],
    [6, undefined],
    [6, new Uint8Array(33)],
    [7, ''],
    [7, '-host'],
    [7, 'x'.repeat(64)],
    [7, 7],
    [8, MIN_REKEY_BYTES - 1],
    [8, MAX_REKEY_BYTES + 1],
    [8, 'often'],
  ];
  for (const change of bad) {
    let code = 'accepted';
    try {
      decodePayload(real, custom([change]));
    } catch (error) {
      code = (error as { code: string }).code;
    }
    assert.is(code, 'malformed', `${change[0]}: ${String(change[1])}`);
  }
});

test('another encoding of the same is refused', () => {
  assert.throws(() => decodePayload(real, pad(Uint8Array.of(0x80))), /not a map/);
  assert.throws(() => decodePayload(real, pad(new Uint8Array(0))), /CBOR/);
  // The same map with a key in a longer form.
  assert.throws(() => decodePayload(real, pad(Uint8Array.of(0xa1, 0x18, 0x00, 0x01))), /CBOR|encoding/);
});

test.run();
