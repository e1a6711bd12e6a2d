/** Transport messages after Split. */
import { EMPTY, utf8 } from '../../../protocol/bytes.js';
import { MAX_MESSAGE_LENGTH, readTransport, writeTransport } from '../../../protocol/noise/index.js';
import { assert, suite } from '../../helpers/suite.js';
import { fails, finished, random } from './pair.js';

const test = suite('noise transport');

for (const suiteName of ['ChaChaPoly_SHA256', 'AESGCM_SHA256']) {
  const fresh = (): ReturnType<typeof finished> => finished(`Noise_XXhfs+psk0_25519+MLKEM768_${suiteName}`);

  test(`${suiteName}: a thousand messages both ways, over n = 255 and 256`, () => {
    const { initiator, responder } = fresh();
    for (let i = 0; i < 1000; i++) {
      const payload = random(i % 50);
      assert.equal(readTransport(responder.receive, writeTransport(initiator.send, payload)), payload);
      assert.equal(readTransport(initiator.receive, writeTransport(responder.send, payload)), payload);
    }
    assert.is(initiator.send.nonce, 1000n);
  });

  test(`${suiteName}: 65,519 bytes of payload are a message, one more is not (§3)`, () => {
    const { initiator, responder } = fresh();
    const payload = random(MAX_MESSAGE_LENGTH - 16);
    fails('limit', () => writeTransport(initiator.send, random(MAX_MESSAGE_LENGTH - 15)));
    const message = writeTransport(initiator.send, payload);
    assert.is(message.length, MAX_MESSAGE_LENGTH);
    fails('malformed', () => readTransport(responder.receive, random(MAX_MESSAGE_LENGTH + 1)));
    fails('malformed', () => readTransport(responder.receive, random(15)));
    assert.equal(readTransport(responder.receive, message), payload);
  });

  test(`${suiteName}: repeated, reordered, dropped, forged and reflected messages are refused`, () => {
    const { initiator, responder } = fresh();
    const [one, two, three] = ['1', '2', '3'].map(text => writeTransport(initiator.send, utf8(text)));
    fails('crypto', () => readTransport(responder.receive, two!));
    assert.equal(readTransport(responder.receive, one!), utf8('1'));
    fails('crypto', () => readTransport(responder.receive, one!));
    fails('crypto', () => readTransport(responder.receive, three!));
    const forged = two!.slice();
    forged[0]! ^= 1;
    fails('crypto', () => readTransport(responder.receive, forged));
    fails('crypto', () => readTransport(initiator.receive, two!));
    // none of these moved n
    assert.equal(readTransport(responder.receive, two!), utf8('2'));
  });

  test(`${suiteName}: rekeying in step, each direction alone`, () => {
    const { initiator, responder } = fresh();
    for (let i = 0; i < 20; i++) {
      assert.equal(readTransport(responder.receive, writeTransport(initiator.send, utf8('a'))), utf8('a'));
      initiator.send.rekey();
      responder.receive.rekey();
      assert.equal(readTransport(initiator.receive, writeTransport(responder.send, EMPTY)), EMPTY);
    }
    responder.send.rekey();
    fails('crypto', () => readTransport(initiator.receive, writeTransport(responder.send, EMPTY)));
  });
}

test.run();
