import { cborMap, encodeCanonical } from '../../../protocol/identity/cbor.js';
import { concat } from '../../../protocol/bytes.js';
import { MAX_INVITE_BYTES, decodeInvite, encodeInvite } from '../../../protocol/identity/invite.js';
import type { Invite } from '../../../protocol/identity/invite.js';
import { labelledHash, toBase32 } from '../../../protocol/identity/node-id.js';
import type { WarrenError } from '../../../protocol/errors.js';
import { assert, suite } from '../../helpers/suite.js';
import { START, below, primitives, random, thrown } from './helpers.js';

const test = suite('invite');
const { SHA256 } = primitives.hash;

const network = random(32);
const plain: Invite = {
  network,
  inviter: network,
  addresses: ['192.168.1.3:7667'],
  secret: random(32),
  expires: START,
  tags: [],
};
const whole: Invite = {
  ...plain,
  inviter: random(32),
  addresses: ['[::1]:1', 'wss://a.example/w'],
  tags: ['a', 'b'],
  forNode: random(32),
};
const token = encodeInvite(SHA256, plain);

const decode = (text: string): Invite => decodeInvite(SHA256, text);

test('an invite comes back', () => {
  assert.equal(decode(token), plain);
  assert.equal(decode(encodeInvite(SHA256, whole)), whole);
  assert.match(token, /^warren1[0-9a-z]+$/);
  assert.ok(token.length < 200, 'short enough to be pasted');
});

test('upper case, blanks and line breaks do not matter', () => {
  assert.equal(decode(token.toUpperCase()), plain);
  assert.equal(decode(`  ${token.slice(0, 40)}\r\n ${token.slice(40)}\n`), plain);
});

test('any token that was cut off says so', () => {
  for (const one of [token, encodeInvite(SHA256, whole)]) {
    for (let n = 0; n < one.length; n++) {
      const message = thrown(() => decode(one.slice(0, n)));
      assert.is(message, n < 6 ? 'this is no invite' : 'the invite is cut off', `${n} characters`);
    }
  }
});

test('one with characters too many says so', () => {
  for (const more of ['0', 'abc', token])
    assert.is(
      thrown(() => decode(token + more)),
      'the invite has characters too many',
    );
});

test('any single mistyped character is found, and called so', () => {
  const alphabet = '0123456789abcdefghjkmnpqrstvwxyz';
  for (let at = 7; at < token.length; at++) {
    for (const c of alphabet) {
      if (c === token[at]) continue;
      const message = thrown(() => decode(token.slice(0, at) + c + token.slice(at + 1)));
      if (message !== 'the invite is mistyped') throw new Error(`${c} at ${at}: ${message}`);
    }
  }
});

test('two neighbours that changed places are found', () => {
  for (let at = 7; at + 1 < token.length; at++) {
    // Where length and content meet, both are wrong.
    if (token[at] === token[at + 1] || at === 9) continue;
    const swapped = token.slice(0, at) + token[at + 1]! + token[at]! + token.slice(at + 2);
    assert.is(
      thrown(() => decode(swapped)),
      'the invite is mistyped',
    );
  }
});

test('a character that no invite has', () => {
  for (const c of ['u', '-', '!', 'ä', '\u0000'])
    assert.is(
      thrown(() => decode(token.slice(0, 50) + c + token.slice(51))),
      'the invite is mistyped',
    );
});

test('what is no invite, and one of a later version', () => {
  for (const text of ['', 'hello', 'warre', '1' + token, 'warrenx', 'warren0abc', 'warren-1']) {
    assert.is(
      thrown(() => decode(text)),
      'this is no invite',
      text,
    );
  }
  assert.match(
    thrown(() => decode('warren2' + token.slice(7))),
    /of version 2, this program reads version 1/,
  );
  assert.match(
    thrown(() => decode('x'.repeat(1_000_000))),
    /no invite/,
  );
  assert.match(
    thrown(() => decode('warren1' + '0'.repeat(1_000_000))),
    /mistyped/,
  );
});

test('each error carries code and hint', () => {
  for (const bad of ['x', 'warren2', token.slice(0, 60), token.slice(0, -1) + (token.endsWith('0') ? '1' : '0')]) {
    try {
      decode(bad);
      assert.unreachable();
    } catch (error) {
      assert.is((error as WarrenError).code, 'token');
      assert.ok((error as WarrenError).hint);
    }
  }
});

/** Text around any content, with a right length and checksum. */
function wrap(content: Uint8Array): string {
  const checksum = labelledHash(SHA256, 'warren invite v1', content).subarray(0, 4);
  const length = toBase32(Uint8Array.of(content.length >> 7, (content.length & 127) << 1)).slice(0, 3);
  return 'warren1' + length + toBase32(concat(checksum, content));
}

test('content that is not right is refused, though length and checksum are', () => {
  const build = (change: Record<number, unknown>): Uint8Array => {
    const base: Record<number, unknown> = { 0: network, 2: ['a:1'], 3: random(32), 4: START, ...change };
    return encodeCanonical(cborMap(Object.entries(base).map(([k, v]) => [Number(k), v as Uint8Array | undefined])));
  };
  assert.equal(decode(wrap(build({}))).addresses, ['a:1']);
  const bad: readonly (readonly [Record<number, unknown>, RegExp])[] = [
    [{ 0: undefined }, /network is missing/],
    [{ 1: network }, /founder is named twice/],
    [{ 1: random(31) }, /inviter has 31/],
    [{ 2: undefined }, /no address/],
    [{ 2: [] }, /addresses is empty/],
    [{ 2: ['a b'] }, /addresses is not allowed/],
    [{ 2: Array.from({ length: 9 }, (_, i) => `a:${i}`) }, /more than 8/],
    [{ 3: random(16) }, /secret has 16/],
    [{ 4: -1 }, /expires is not/],
    [{ 5: ['a b'] }, /tags is not allowed/],
    [{ 6: random(3) }, /node it is for/],
    [{ 7: 1 }, /unknown field 7/],
  ];
  for (const [change, expected] of bad)
    assert.match(
      thrown(() => decode(wrap(build(change)))),
      expected,
    );
  assert.match(
    thrown(() => decode(wrap(new Uint8Array(0)))),
    /cannot be used/,
  );
  assert.match(
    thrown(() => decode(wrap(random(MAX_INVITE_BYTES)))),
    /cannot be used|mistyped/,
  );
});

test('the largest invite that the limits admit fits', () => {
  const addresses = Array.from({ length: 8 }, (_, i) => `${i}${'x'.repeat(254)}`);
  const tags = Array.from({ length: 16 }, (_, i) => `${String(i).padStart(2, '0')}${'y'.repeat(61)}`);
  const largest: Invite = { ...whole, addresses, tags };
  assert.equal(decode(encodeInvite(SHA256, largest)), largest);
});

test('random changes are never taken for an invite', () => {
  for (let i = 0; i < 3000; i++) {
    const at = 7 + below(random, token.length - 7);
    const junk = toBase32(random(1 + below(random, 8)));
    const changed = token.slice(0, at) + junk + token.slice(at + below(random, 20));
    if (changed === token) continue;
    assert.match(
      thrown(() => decode(changed)),
      /^the invite /,
    );
  }
});

test.run();
