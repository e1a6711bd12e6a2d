/**
 * Fuzzes the decoders of the Noise engine: names, handshake messages as bytes, and handshake messages whose contents
 * were changed before they were sealed, as a peer would who knows every key.
 */
import { EMPTY, equal } from '../../protocol/bytes.js';
import type { KeyPair, Primitives } from '../../protocol/crypto/primitives.js';
import { WarrenError } from '../../protocol/errors.js';
import { PATTERN_NAMES, messageOverheads, parseName } from '../../protocol/noise/index.js';
import type { HandshakeState } from '../../protocol/noise/index.js';
import { mutateBytes } from '../daemon/mutate.js';
import { pick } from '../helpers/random.js';
import { assert, full, suite } from '../helpers/suite.js';
import { converse, ends, fails, primitives, random } from '../protocol/noise/pair.js';
import type { Ends } from '../protocol/noise/pair.js';

const test = suite('fuzz: noise');
const ROUNDS = full(1200, 100_000);
const DEADLINE = { deadline: full(20_000, 30 * 60_000) };

const HYBRIDS = ['ChaChaPoly', 'AESGCM'].map(cipher => `Noise_XXhfs+psk0_25519+MLKEM768_${cipher}_SHA256`);
const PROTOCOLS = [
  ...HYBRIDS,
  'Noise_XXhfs_25519+MLKEM768_AESGCM_SHA256',
  'Noise_XX_25519_ChaChaPoly_BLAKE2s',
  'Noise_IKpsk2_25519_AESGCM_SHA512',
  'Noise_IX_25519_ChaChaPoly_BLAKE2b',
  'Noise_N_25519_AESGCM_SHA256',
];

/** The only two answers to bad bytes. @returns whether `step` went through */
function goesThrough(step: () => unknown): boolean {
  try {
    step();
    return true;
  } catch (error) {
    const isRefusal = error instanceof WarrenError && (error.code === 'malformed' || error.code === 'crypto');
    if (!isRefusal) throw error;
    return false;
  }
}

// ── names ──────────────────────────────────────────────────────────────────────────────────────────────────────────

const WORDS = [
  'psk0',
  'psk3',
  'psk9',
  'hfs',
  'fallback',
  '+',
  '_',
  '25519',
  'MLKEM768',
  'X1',
  'XX',
  'IK',
  'Noise',
  '1',
];

function mutatedName(): string {
  let text = pick(random, 2) === 0 ? PROTOCOLS[pick(random, PROTOCOLS.length)]! : randomName();
  for (let n = pick(random, 4); n > 0; n--) {
    const at = pick(random, text.length + 1);
    const word =
      pick(random, 3) === 0 ? String.fromCodePoint(pick(random, 0x3000)) : WORDS[pick(random, WORDS.length)]!;
    text = text.slice(0, at) + (pick(random, 4) === 0 ? '' : word) + text.slice(at + pick(random, 6));
  }
  return text;
}

function randomName(): string {
  const one = (list: readonly string[]): string => list[pick(random, list.length)]!;
  const modifiers = ['fallback', 'hfs', 'psk0', 'psk1', 'psk2', 'psk3'].filter(() => pick(random, 4) === 0);
  const dh = modifiers.includes('hfs') ? '25519+MLKEM768' : '25519';
  return `Noise_${one(PATTERN_NAMES)}${modifiers.join('+')}_${dh}_${one(['ChaChaPoly', 'AESGCM'])}_${one(['SHA256', 'BLAKE2b'])}`;
}

test(
  'a name is understood and can be run, or is refused as malformed',
  () => {
    const seen = { understood: 0, refused: 0 };
    for (let i = 0; i < ROUNDS; i++) {
      const text = mutatedName();
      let name: ReturnType<typeof parseName>;
      try {
        name = parseName(text);
      } catch (error) {
        assert.ok(error instanceof WarrenError && error.code === 'malformed', text);
        seen.refused++;
        continue;
      }
      seen.understood++;
      assert.is(name.text, text);
      assert.ok(messageOverheads(name).every(length => length >= 0 && length < 3000));
      if (!text.includes('fallback') && i % 16 === 0) converse(ends(text));
    }
    assert.ok(seen.understood > 0 && seen.refused > 0);
  },
  DEADLINE,
);

// ── messages ───────────────────────────────────────────────────────────────────────────────────────────────────────

/** The reader refused: it must be dead, knowing nothing. */
function checkDead(state: HandshakeState): void {
  assert.equal([state.finished, state.remoteStatic, state.remoteEphemeral], [false, undefined, undefined]);
  fails('internal', () => state.readMessage(EMPTY));
  fails('internal', () => state.writeMessage(EMPTY));
}

test(
  'mutated handshake messages: refused at once or by the next message, never a session',
  () => {
    for (let i = 0; i < ROUNDS; i++) {
      const protocol = PROTOCOLS[i % PROTOCOLS.length]!;
      const at = pick(random, parseName(protocol).pattern.messages.length);
      const pair = ends(protocol);
      converse(pair, EMPTY, at);
      const [writer, reader] = at % 2 === 0 ? [pair.initiator, pair.responder] : [pair.responder, pair.initiator];
      const message = writer.writeMessage(random(pick(random, 30)));
      const mutated = mutateBytes(random, message);
      if (equal(mutated, message)) continue;
      if (!goesThrough(() => reader.readMessage(mutated))) checkDead(reader);
      else {
        assert.not(reader.finished);
        const goesOn = (): Uint8Array => writer.readMessage(reader.writeMessage(EMPTY));
        if (goesThrough(goesOn)) assert.not(goesThrough(() => reader.readMessage(writer.writeMessage(EMPTY))));
      }
    }
  },
  DEADLINE,
);

test(
  'bytes of any length and kind are no message',
  () => {
    for (let i = 0; i < ROUNDS; i++) {
      const { responder } = ends(HYBRIDS[i % 2]!);
      assert.not(goesThrough(() => responder.readMessage(random(pick(random, 2600)))));
      checkDead(responder);
    }
  },
  DEADLINE,
);

// ── contents ───────────────────────────────────────────────────────────────────────────────────────────────────────

const SPECIAL_POINTS = [0, 1].map(n => Uint8Array.from({ length: 32 }, (_, i) => (i === 0 ? n : 0)));

function mutatedPair(pair: KeyPair): KeyPair {
  const publicKey = new Uint8Array(pair.publicKey.length);
  publicKey.set(mutateBytes(random, pair.publicKey).subarray(0, publicKey.length));
  const special = pair.publicKey.length === 32 && pick(random, 4) === 0;
  return { privateKey: pair.privateKey, publicKey: special ? SPECIAL_POINTS[pick(random, 2)]! : publicKey };
}

/** Primitives of a peer that lies in one place and seals the lie correctly. */
function lying(): Primitives {
  const { x25519, mlkem768 } = primitives;
  const lie = pick(random, 3);
  return {
    ...primitives,
    x25519: { ...x25519, fromPrivate: key => (lie === 0 ? mutatedPair : (p: KeyPair) => p)(x25519.fromPrivate(key)) },
    mlkem768: {
      ...mlkem768,
      generate: seed => (lie === 1 ? mutatedPair : (p: KeyPair) => p)(mlkem768.generate(seed)),
      encapsulate(publicKey, message) {
        const sent = mlkem768.encapsulate(publicKey, message);
        if (lie === 2) sent.ciphertext.set(mutateBytes(random, sent.ciphertext).subarray(0, sent.ciphertext.length));
        return sent;
      },
    },
  };
}

function liars(protocol: string): Ends {
  const role = pick(random, 2) === 0 ? 'initiator' : 'responder';
  const s = pick(random, 3) === 0 ? mutatedPair(primitives.x25519.fromPrivate(random(32))) : undefined;
  return ends(protocol, { [role]: { primitives: lying(), ...(s && { s }) } });
}

test(
  'lies that are sealed correctly: refused, or found at the next tag; no other error',
  () => {
    const seen = { through: 0, refused: 0 };
    for (let i = 0; i < ROUNDS; i++) {
      const pair = liars(PROTOCOLS[i % 5]!);
      const honest = goesThrough(() => converse(pair));
      seen[honest ? 'through' : 'refused']++;
      // Both finished means that both have the same keys: the lie was none (a mutation may change nothing).
      if (honest) assert.equal(pair.initiator.split().sendKey, pair.responder.split().receiveKey);
      else assert.not(pair.initiator.finished && pair.responder.finished);
    }
    assert.ok(seen.refused > 0);
  },
  DEADLINE,
);

test.run();
