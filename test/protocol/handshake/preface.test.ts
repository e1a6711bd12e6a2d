import { concat, equal, toHex, utf8 } from '../../../protocol/bytes.js';
import {
  PREFACE_BYTES,
  PROTOCOLS,
  SUITES,
  decodeVersionReply,
  encodePreface,
  encodeVersionReply,
  fromSubprotocol,
  prefaceNonce,
  pskKeys,
  recognize,
  toSubprotocol,
} from '../../../protocol/handshake/preface.js';
import { ReplayGuard } from '../../../protocol/handshake/replay.js';
import { MAGIC, MAX_INVITES, MAX_SECRETS, VERSION_REPLY_BYTES } from '../../../protocol/handshake/wire.js';
import { hkdfSync } from 'node:crypto';
import { parseName } from '../../../protocol/noise/index.js';
import { assert, suite } from '../../helpers/suite.js';
import { VirtualTime } from '../../helpers/virtual-time.js';
import { SECRET, SUITE_NAMES, flip, keysOf, real } from './nodes.js';

const test = suite('preface');

const secretOf = (n: number): Uint8Array => new Uint8Array(32).fill(n);
const guard = (): ReplayGuard => new ReplayGuard(new VirtualTime());
const ctx = { primitives: real };

/** Primitives that count HMACs and refuse any DH. */
function counting() {
  const count = { hmac: 0, dh: 0 };
  const SHA256 = {
    ...real.hash.SHA256,
    hash: real.hash.SHA256.hash,
    hmac: (key: Uint8Array, ...parts: Uint8Array[]) => (count.hmac++, real.hash.SHA256.hmac(key, ...parts)),
  };
  const x25519 = {
    ...real.x25519,
    dh: (a: Uint8Array, b: Uint8Array) => (count.dh++, real.x25519.dh(a, b)),
  };
  return { count, primitives: { ...real, x25519, hash: { ...real.hash, SHA256 } } };
}

test('a preface is recognized under its PSK, with its suite and version', () => {
  for (const name of SUITE_NAMES) {
    const keys = keysOf();
    const preface = encodePreface(real, keys, 1, name);
    assert.is(preface.length, PREFACE_BYTES);
    assert.is(preface.length, 4 + 1 + 1 + 16 + 16);
    assert.equal(preface.subarray(0, 6), concat(MAGIC, Uint8Array.of(1, SUITES[name])));
    const found = recognize(ctx, preface, [keysOf(secretOf(1)), keys], guard());
    assert.equal(found, { kind: 'known', keys, suite: name, version: 1 });
  }
});

test('the magic is neither the start of HTTP nor of TLS', () => {
  const first = MAGIC[0]!;
  assert.ok(first > 0x7f);
  assert.is.not(first, 0x16);
});

test('keys are derived as documented', () => {
  const keys = pskKeys(real, { secret: SECRET, kind: 'network' });
  const hkdf = (info: string): string => toHex(new Uint8Array(hkdfSync('sha256', SECRET, new Uint8Array(0), info, 32)));
  assert.is(toHex(keys.hintKey), hkdf('warren hint'));
  for (const name of SUITE_NAMES) {
    assert.is(toHex(keys.noisePsk[name]), hkdf(`warren psk${PROTOCOLS[name]}`));
    parseName(PROTOCOLS[name]);
  }
  const preface = encodePreface(real, keys, 1, 'AESGCM');
  const hint = real.hash.SHA256.hmac(keys.hintKey, preface.subarray(0, 22)).subarray(0, 16);
  assert.equal(preface.subarray(22), hint);
});

test('a secret of another length is refused', () => {
  assert.throws(() => pskKeys(real, { secret: new Uint8Array(31), kind: 'network' }), /32 bytes/);
});

test('every single-bit flip, any other length and any other secret is a stranger', () => {
  const keys = keysOf();
  const preface = encodePreface(real, keys, 1, 'ChaChaPoly');
  for (let bit = 0; bit < preface.length * 8; bit++) {
    assert.is(recognize(ctx, flip(preface, bit), [keys], guard()), undefined, `bit ${bit}`);
  }
  for (const bytes of [
    preface.subarray(1),
    preface.subarray(0, 37),
    concat(preface, new Uint8Array(1)),
    new Uint8Array(0),
  ]) {
    assert.is(recognize(ctx, bytes, [keys], guard()), undefined);
  }
  assert.is(recognize(ctx, preface, [keysOf(secretOf(1))], guard()), undefined);
  assert.is(recognize(ctx, preface, [], guard()), undefined);
});

test('a preface is good once', () => {
  const keys = keysOf();
  const replay = guard();
  const preface = encodePreface(real, keys, 1, 'ChaChaPoly');
  assert.is(recognize(ctx, preface, [keys], replay)?.kind, 'known');
  assert.is(recognize(ctx, preface, [keys], replay), undefined);
  const other = encodePreface(real, keys, 9, 'ChaChaPoly');
  assert.is(recognize(ctx, other, [keys], replay)?.kind, 'version');
  assert.is(recognize(ctx, other, [keys], replay), undefined, 'a replayed preface of another version gets nothing');
});

test('strangers do not fill the replay set', () => {
  const replay = guard();
  for (let i = 0; i < 100; i++)
    recognize(ctx, encodePreface(real, keysOf(secretOf(3)), 1, 'AESGCM'), [keysOf()], replay);
  assert.is(replay.size, 0);
});

test('a stranger costs one HMAC per PSK and no DH; garbage without the magic costs none', () => {
  const psks = [1, 2, 3, 4, 5].map(n => keysOf(secretOf(n)));
  const { count, primitives } = counting();
  assert.is(recognize({ primitives }, encodePreface(real, keysOf(), 1, 'AESGCM'), psks, guard()), undefined);
  assert.equal(count, { hmac: 5, dh: 0 });
  assert.is(recognize({ primitives }, new Uint8Array(PREFACE_BYTES).fill(0x41), psks, guard()), undefined);
  assert.equal(count, { hmac: 5, dh: 0 });
});

test('no more than 8 secrets and 64 invites are tried', () => {
  const invite = (n: number) => keysOf(secretOf(n), { kind: 'invite', id: `i${n}` });
  const psks = [
    ...Array.from({ length: MAX_INVITES + 2 }, (_, i) => invite(100 + i)),
    ...Array.from({ length: MAX_SECRETS + 2 }, (_, i) =>
      keysOf(secretOf(i), { kind: i === 0 ? 'network' : 'old-network' }),
    ),
  ];
  const { count, primitives } = counting();
  const known = (n: number): boolean =>
    recognize({ primitives }, encodePreface(real, keysOf(secretOf(n)), 1, 'AESGCM'), psks, guard()) !== undefined;
  assert.is(known(100 + MAX_INVITES - 1), true);
  assert.is(count.hmac, 8 + 64);
  assert.is(known(100 + MAX_INVITES), false);
  assert.is(known(MAX_SECRETS - 1), true);
  assert.is(known(MAX_SECRETS), false);
});

test('an unknown version or suite of a proven PSK gets a fixed reply that only its sender can read', () => {
  const keys = keysOf();
  const spoken = { oldest: 2, newest: 4 };
  for (const version of [0, 1, 5, 255]) {
    const preface = encodePreface(real, keys, version, 'ChaChaPoly');
    const found = recognize({ primitives: real, versions: spoken }, preface, [keys], guard());
    if (found?.kind !== 'version') throw new Error('a reply was expected');
    assert.is(found.reply.length, VERSION_REPLY_BYTES);
    assert.match(found.why, `version ${version}`);
    assert.match(found.why, 'versions 2 to 4');
    assert.equal(decodeVersionReply(real, keys, preface, found.reply), spoken);
    const other = encodePreface(real, keys, version, 'ChaChaPoly');
    assert.is(decodeVersionReply(real, keys, other, found.reply), undefined);
    assert.is(decodeVersionReply(real, keysOf(secretOf(1)), preface, found.reply), undefined);
    for (let bit = 0; bit < found.reply.length * 8; bit++) {
      assert.is(decodeVersionReply(real, keys, preface, flip(found.reply, bit)), undefined);
    }
  }
  const head = concat(MAGIC, Uint8Array.of(1, 77), new Uint8Array(16));
  const preface = concat(head, real.hash.SHA256.hmac(keys.hintKey, head).subarray(0, 16));
  const found = recognize(ctx, preface, [keys], guard());
  assert.is(found?.kind, 'version');
  assert.match(found?.kind === 'version' ? found.why : '', 'suite 77');
});

test('a version reply of another length or with an impossible range is refused', () => {
  const keys = keysOf();
  const preface = encodePreface(real, keys, 1, 'ChaChaPoly');
  const reply = encodeVersionReply(real, keys, preface, { oldest: 3, newest: 2 });
  assert.is(decodeVersionReply(real, keys, preface, reply), undefined);
  assert.is(decodeVersionReply(real, keys, preface, reply.subarray(1)), undefined);
});

test('as a WebSocket subprotocol it survives, and nothing else does', () => {
  const preface = encodePreface(real, keysOf(), 1, 'AESGCM');
  const text = toSubprotocol(preface);
  assert.match(text, /^warren\.[A-Za-z0-9_-]{51}$/);
  assert.equal(fromSubprotocol(text), preface);
  assert.ok(equal(prefaceNonce(fromSubprotocol(text)!), preface.subarray(6, 22)));
  const bad = [
    undefined,
    '',
    'warren.',
    text + 'A',
    text.slice(0, -1),
    `${text}, chat`,
    text.replace('warren.', 'badger.'),
  ];
  for (const header of bad) assert.is(fromSubprotocol(header), undefined);
  assert.is(fromSubprotocol(`${text.slice(0, -1)}!`), undefined);
  assert.is(fromSubprotocol(`warren.${'_'.repeat(51)}`), undefined, 'unused bits set');
  assert.is(utf8(text).length, text.length);
});

test.run();
