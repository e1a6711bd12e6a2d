/** Every pattern with its modifiers runs, obeys the specification's validity rules, and never repeats a nonce. */
import { utf8 } from '../../../protocol/bytes.js';
import { PATTERN_NAMES, messageOverheads, parseName } from '../../../protocol/noise/index.js';
import { basePattern } from '../../../protocol/noise/patterns.js';
import type { Token } from '../../../protocol/noise/patterns.js';
import { pick } from '../../helpers/random.js';
import { assert, full, suite } from '../../helpers/suite.js';
import { converse, ends, random, recording } from './pair.js';

const test = suite('noise patterns');

/** All handshake names with up to two psk modifiers, with and without hfs. */
function handshakes(): string[] {
  return PATTERN_NAMES.flatMap(name => {
    const { messages, oneWay } = basePattern(name);
    const places = Array.from({ length: messages.length + 1 }, (_, i) => `psk${i}`);
    const sets = ['', ...places, ...places.slice(1).map(place => `psk0+${place}`)];
    const hybrid = oneWay ? [] : sets.map(set => (set === '' ? `${name}hfs` : `${name}hfs+${set}`));
    return [...sets.map(set => name + set), ...hybrid];
  });
}

const HANDSHAKES = handshakes();
const SUITES = ['ChaChaPoly_SHA256', 'AESGCM_SHA512', 'ChaChaPoly_BLAKE2s', 'AESGCM_BLAKE2b'];
const protocolOf = (handshake: string, suiteName: string): string =>
  `Noise_${handshake}_25519${handshake.includes('hfs') ? '+MLKEM768' : ''}_${suiteName}`;

test('each one finishes with equal hashes and working keys, and no (key, nonce) seals twice', () => {
  for (const [i, handshake] of HANDSHAKES.entries()) {
    const suites = full([SUITES[i % SUITES.length]!], SUITES);
    for (const protocol of suites.map(name => protocolOf(handshake, name))) {
      const record = recording();
      const pair = ends(protocol, { both: { primitives: record.primitives, prologue: utf8('p') } });
      const messages = converse(pair, random(pick(random, 40)));
      assert.is(messages.length, parseName(protocol).pattern.messages.length);
      assert.equal(pair.initiator.handshakeHash, pair.responder.handshakeHash, protocol);
      const [a, b] = [pair.initiator.split(), pair.responder.split()];
      assert.equal([a.sendKey, a.receiveKey, a.exporter], [b.receiveKey, b.sendKey, b.exporter], protocol);
      for (const [send, receive] of [
        [a.send, b.receive],
        [b.send, a.receive],
      ] as const) {
        if (!send.hasKey) continue;
        const sealed = [send.encryptWithAd(utf8('ad'), utf8('1')), send.encryptWithAd(utf8('ad'), utf8('2'))];
        assert.equal(receive.decryptWithAd(utf8('ad'), sealed[0]!), utf8('1'));
        assert.equal(receive.decryptWithAd(utf8('ad'), sealed[1]!), utf8('2'));
      }
      assert.is(new Set(record.seals).size, record.seals.length, `${protocol} repeats a nonce`);
      assert.equal([...record.opens].sort(), [...record.seals].sort());
    }
  }
});

test('the lengths of messages are known beforehand', () => {
  for (const handshake of HANDSHAKES) {
    const protocol = protocolOf(handshake, 'AESGCM_SHA256');
    const expected = messageOverheads(parseName(protocol));
    assert.equal(
      converse(ends(protocol), random(5)).map(message => message.length - 5),
      expected,
      protocol,
    );
  }
});

test('sizes from the literature: XX 32/96/64, IK 96/48, XXhfs 1216/1200/64, IKhfs 1296/1152', () => {
  const sizes = (handshake: string): readonly number[] =>
    messageOverheads(parseName(protocolOf(handshake, SUITES[0]!)));
  assert.equal(sizes('XX'), [32, 96, 64]);
  assert.equal(sizes('IK'), [96, 48]);
  assert.equal(sizes('XXhfs'), [1216, 1200, 64]);
  assert.equal(sizes('IKhfs'), [1296, 1152]);
  assert.equal(sizes('XXhfs+psk0'), [32 + 1184 + 16 + 16, 1200, 64]);
});

test('nobody encrypts after a psk token without having sent an e (§9.3)', () => {
  for (const handshake of HANDSHAKES) {
    const { messages } = parseName(protocolOf(handshake, SUITES[0]!)).pattern;
    const sent = [false, false];
    let pskSeen = false;
    messages.forEach((tokens, i) => {
      for (const token of tokens) {
        if (token === 'psk') pskSeen = true;
        if (token === 'e') sent[i % 2] = true;
        if (token === 's' || token === 'e1' || token === 'ekem1') assert.ok(!pskSeen || sent[i % 2], handshake);
      }
      // the payload
      assert.ok(!pskSeen || sent[i % 2], handshake);
    });
  }
});

test('validity of the table (§7.3): no key twice, no DH twice, none before its keys are known', () => {
  for (const name of PATTERN_NAMES) {
    const { initiatorPre, responderPre, messages } = basePattern(name);
    const known = [new Set<string>(initiatorPre), new Set<string>(responderPre)] as const;
    const done = new Set<Token>();
    messages.forEach((tokens, i) => {
      for (const token of tokens) {
        if (token === 'e' || token === 's') {
          assert.not(known[(i % 2) as 0 | 1].has(token), `${name} sends ${token} twice`);
          known[(i % 2) as 0 | 1].add(token);
        } else {
          assert.not(done.has(token), `${name} does ${token} twice`);
          done.add(token);
          const isKnown = known[0].has(token[0]!) && known[1].has(token[1]!);
          assert.ok(isKnown, `${name}: ${token} too early`);
        }
      }
    });
    // Whoever has sent or shown a static key proves it in the end.
    if (known[0].has('s')) assert.ok(done.has('se') || done.has('ss'), name);
    if (known[1].has('s')) assert.ok(done.has('es'), name);
  }
});

test('hfs: e1 after the first e or the DH that follows it, ekem1 after the first ee', () => {
  const tokens = (handshake: string): string =>
    parseName(protocolOf(handshake, SUITES[0]!))
      .pattern.messages.map(m => m.join(' '))
      .join(' / ');
  assert.is(tokens('NNhfs'), 'e e1 / e ee ekem1');
  assert.is(tokens('NKhfs'), 'e es e1 / e ee ekem1');
  assert.is(tokens('NXhfs'), 'e e1 / e ee ekem1 s es');
  assert.is(tokens('XNhfs'), 'e e1 / e ee ekem1 / s se');
  assert.is(tokens('XKhfs'), 'e es e1 / e ee ekem1 / s se');
  assert.is(tokens('XXhfs'), 'e e1 / e ee ekem1 s es / s se');
  assert.is(tokens('KNhfs'), 'e e1 / e ee ekem1 se');
  assert.is(tokens('KKhfs'), 'e es e1 ss / e ee ekem1 se');
  assert.is(tokens('KXhfs'), 'e e1 / e ee ekem1 se s es');
  assert.is(tokens('INhfs'), 'e e1 s / e ee ekem1 se');
  assert.is(tokens('IKhfs'), 'e es e1 s ss / e ee ekem1 se');
  assert.is(tokens('IXhfs'), 'e e1 s / e ee ekem1 se s es');
});

test.run();
