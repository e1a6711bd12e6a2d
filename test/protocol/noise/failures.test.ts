/** What a handshake message that was tampered with leaves behind: nothing. */
import { EMPTY, concat, utf8 } from '../../../protocol/bytes.js';
import { messageOverheads, parseName } from '../../../protocol/noise/index.js';
import { pick } from '../../helpers/random.js';
import { assert, full, suite } from '../../helpers/suite.js';
import { converse, ends, fails, random } from './pair.js';

const test = suite('noise handshake failures');
const XX = 'Noise_XX_25519_ChaChaPoly_SHA256';
const HYBRID = 'Noise_XXhfs+psk0_25519+MLKEM768_ChaChaPoly_SHA256';
const PROTOCOLS = [
  XX,
  'Noise_IK_25519_AESGCM_BLAKE2s',
  'Noise_KK_25519_ChaChaPoly_SHA256',
  'Noise_XXpsk0_25519_AESGCM_SHA256',
  HYBRID,
  'Noise_XXhfs+psk0_25519+MLKEM768_AESGCM_SHA256',
];

/** Runs up to message i, gives a changed one to the reader, and checks that this was the end of it. */
function tamper(protocol: string, i: number, change: (message: Uint8Array) => Uint8Array): void {
  const pair = ends(protocol);
  converse(pair, utf8('payload'), i);
  const [writer, reader] = i % 2 === 0 ? [pair.initiator, pair.responder] : [pair.responder, pair.initiator];
  const message = writer.writeMessage(utf8('payload'));
  const changed = change(message.slice());
  let failedAtOnce = false;
  try {
    reader.readMessage(changed);
  } catch {
    failedAtOnce = true;
  }
  if (failedAtOnce) {
    // Dead, not half-moved: nothing is known, nothing works, not even the true message.
    assert.equal([reader.remoteStatic, reader.remoteEphemeral, reader.finished], [undefined, undefined, false]);
    fails('internal', () => reader.readMessage(message));
    fails('internal', () => reader.writeMessage(EMPTY));
    fails('internal', () => reader.split());
    fails('internal', () => reader.handshakeHash);
    return;
  }
  // What is not authenticated yet (a clear e, e1 or payload) shows at the next message.
  assert.not(reader.finished);
  assert.throws(() => {
    writer.readMessage(reader.writeMessage(EMPTY));
    reader.readMessage(writer.writeMessage(EMPTY));
  });
  assert.not(writer.finished && reader.finished);
}

for (const protocol of PROTOCOLS) {
  test(`${protocol}: a flipped bit anywhere in a message leaves no session`, () => {
    messageOverheads(parseName(protocol)).forEach((overhead, i) => {
      const bits = (overhead + 7) * 8;
      const sample = Array.from({ length: full(25, 400) }, () => pick(random, bits));
      for (const bit of full(sample, bits < 1600 ? Array.from({ length: bits }, (_, n) => n) : sample)) {
        // X25519 ignores the highest bit of a key, so that bit of e is caught by the hash alone.
        tamper(protocol, i, message => {
          message[bit >> 3]! ^= 1 << (bit & 7);
          return message;
        });
      }
    });
  });

  test(`${protocol}: a truncated or extended message leaves no session`, () => {
    messageOverheads(parseName(protocol)).forEach((overhead, i) => {
      for (const cut of [1, 7, 8, 16, 17, overhead, overhead + 7]) tamper(protocol, i, m => m.subarray(0, -cut));
      for (const more of [1, 16, 1000]) tamper(protocol, i, m => concat(m, random(more)));
    });
  });
}

test('messages shorter than the pattern allows are refused by their length alone', () => {
  const { responder } = ends(HYBRID);
  fails('malformed', () => responder.readMessage(random(responder.nextOverhead - 1)));
});

test('a message of another session, a repeated or a reflected one leaves no session', () => {
  const [one, two] = [ends(XX), ends(XX)];
  converse(one, EMPTY, 1);
  converse(two, EMPTY, 1);
  fails('crypto', () => one.initiator.readMessage(two.responder.writeMessage(EMPTY)));
  const three = ends(XX);
  const [first] = converse(three, EMPTY, 1);
  fails('malformed', () => three.initiator.readMessage(first!));
});

test.run();
