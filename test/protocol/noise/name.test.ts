/** Which protocol names are understood, and which are refused. */
import { PATTERN_NAMES, parseName } from '../../../protocol/noise/index.js';
import { assert, suite } from '../../helpers/suite.js';
import { fails } from './pair.js';

const test = suite('noise names');
const messagesOf = (name: string): string =>
  parseName(name)
    .pattern.messages.map(m => m.join(' '))
    .join(' / ');

test("warren's two protocols", () => {
  for (const cipher of ['ChaChaPoly', 'AESGCM'] as const) {
    const text = `Noise_XXhfs+psk0_25519+MLKEM768_${cipher}_SHA256`;
    const name = parseName(text);
    assert.equal([name.text, name.cipher, name.hash, name.usesPsk], [text, cipher, 'SHA256', true]);
    assert.is(messagesOf(text), 'psk e e1 / e ee ekem1 s es / s se');
  }
});

test('every pattern, cipher and hash', () => {
  assert.is(PATTERN_NAMES.length, 38);
  for (const pattern of PATTERN_NAMES) {
    for (const cipher of ['ChaChaPoly', 'AESGCM']) {
      for (const hash of ['SHA256', 'SHA512', 'BLAKE2s', 'BLAKE2b']) {
        const name = parseName(`Noise_${pattern}_25519_${cipher}_${hash}`);
        assert.equal([name.cipher, name.hash, name.usesPsk], [cipher, hash, false]);
        assert.is(name.pattern.oneWay, pattern.length === 1);
      }
    }
  }
});

test('psk modifiers stand at the start of message 1 or at the end of message N', () => {
  const named = (handshake: string): string => messagesOf(`Noise_${handshake}_25519_AESGCM_SHA256`);
  assert.is(named('XXpsk0'), 'psk e / e ee s es / s se');
  assert.is(named('XXpsk1'), 'e psk / e ee s es / s se');
  assert.is(named('IKpsk2'), 'e es s ss / e ee se psk');
  assert.is(named('XXpsk0+psk1+psk2+psk3'), 'psk e psk / e ee s es psk / s se psk');
  assert.is(named('Npsk0'), 'psk e es');
  assert.is(named('X1X1psk4'), 'e / e ee s / es s / se psk');
});

test('fallback makes a pre-message of message 1; roles and DH tokens change places', () => {
  const { pattern } = parseName('Noise_XXfallback+psk0_25519_AESGCM_SHA256');
  assert.equal(pattern.messages, [
    ['psk', 'e', 'ee', 's', 'se'],
    ['s', 'es'],
  ]);
  assert.equal([pattern.initiatorPre, pattern.responderPre], [[], ['e']]);
});

const REFUSED = [
  '',
  'Noise',
  'noise_XX_25519_ChaChaPoly_SHA256',
  'NoisePSK_XX_25519_ChaChaPoly_SHA256',
  'Noise_XX_25519_ChaChaPoly',
  'Noise_XX_25519_ChaChaPoly_SHA256_',
  'Noise_XX_25519_ChaChaPoly_SHA256_SHA256',
  'Noise_XX_448_ChaChaPoly_SHA256',
  'Noise_XX_25519_ChaChaPoly_SHA3',
  'Noise_XX_25519_AES_SHA256',
  'Noise_XX_25519_chachapoly_SHA256',
  'Noise_XX_25519_ChaChaPoly_sha256',
  'Noise__25519_ChaChaPoly_SHA256',
  'Noise_QQ_25519_ChaChaPoly_SHA256',
  'Noise_xx_25519_ChaChaPoly_SHA256',
  'Noise_XX2_25519_ChaChaPoly_SHA256',
  'Noise_psk0_25519_ChaChaPoly_SHA256',
  'Noise_XXpsk_25519_ChaChaPoly_SHA256',
  'Noise_XXpsk4_25519_ChaChaPoly_SHA256', // three messages only
  'Noise_Npsk2_25519_ChaChaPoly_SHA256',
  'Noise_XXpsk00_25519_ChaChaPoly_SHA256',
  'Noise_XXpsk0+_25519_ChaChaPoly_SHA256',
  'Noise_XX+psk0_25519_ChaChaPoly_SHA256',
  'Noise_XXpsk0psk2_25519_ChaChaPoly_SHA256',
  'Noise_XXpsk0+psk0_25519_ChaChaPoly_SHA256', // twice
  'Noise_XXpsk2+psk0_25519_ChaChaPoly_SHA256', // not sorted
  'Noise_XXpsk0+hfs_25519+MLKEM768_ChaChaPoly_SHA256', // not sorted
  'Noise_XXhfs_25519_ChaChaPoly_SHA256', // hfs without a KEM
  'Noise_XX_25519+MLKEM768_ChaChaPoly_SHA256', // a KEM without hfs
  'Noise_XXhfs_25519+MLKEM1024_ChaChaPoly_SHA256',
  'Noise_XXhfs_25519+Kyber1024_ChaChaPoly_SHA256',
  'Noise_Nhfs_25519+MLKEM768_ChaChaPoly_SHA256', // nobody could answer with ekem1
  'Noise_XXfallback+hfs_25519+MLKEM768_ChaChaPoly_SHA256',
  'Noise_XXpsk0+fallback_25519_ChaChaPoly_SHA256',
  'Noise_XXfallback+fallback_25519_ChaChaPoly_SHA256',
  'Noise_IKfallback_25519_ChaChaPoly_SHA256', // message 1 holds a DH
  'Noise_Nfallback_25519_ChaChaPoly_SHA256',
  'Noise_constructor_25519_ChaChaPoly_SHA256',
  'Noise_XX_25519_toString_SHA256',
  `Noise_XX_25519_ChaChaPoly_SHA256${'x'.repeat(300)}`,
];

for (const name of REFUSED) {
  test(`refused: ${name.slice(0, 60)}`, () => fails('malformed', () => parseName(name)));
}

test.run();
