/**
 * Garbage for the decoders of files that a passphrase seals: backups and next-key files. Two ways: the file's bytes are
 * mutated; the body is mutated and then rightly sealed, so that it gets past the tag. Nothing but a WarrenError without a secret
 * in it may come out, and what comes through is what was written or has its types.
 */
import { backupKind, decodeBackup, encodeBackup } from '../../daemon/home/backup.js';
import { readEnvelope } from '../../daemon/home/document.js';
import { decodeNextKey, encodeNextKey, nextKeyKind } from '../../daemon/home/next-key.js';
import { passphraseBytes, Seal, sealSchema } from '../../daemon/home/sealed.js';
import { fromUtf8, toBase64url, utf8 } from '../../protocol/bytes.js';
import { WarrenError } from '../../protocol/errors.js';
import * as v from 'valibot';
import { backupOf, CHEAP, founder, nextKeyOf, primitives } from '../daemon/home/made-home.js';
import { mutateBytes, mutateText } from '../daemon/mutate.js';
import { seededRandom } from '../helpers/random.js';
import { assert, full, suite } from '../helpers/suite.js';

const test = suite('fuzz: sealed files');
const random = seededRandom('sealed files');
const CASES = full(1_500, 100_000);
const deadline = full(90_000, 3_600_000);

const seal = await Seal.fresh(primitives, passphraseBytes('fuzz'), CHEAP);
const made = founder();
const key = nextKeyOf(made);
const backup = backupOf(made);

interface Decoder {
  readonly text: string;
  /** what the body says, as JSON */
  readonly body: string;
  decode(text: string): unknown;
  readonly value: unknown;
}

/** The plaintext of a sealed document, taken with the seal. */
class Listening {
  body = '';
  readonly seal = new Proxy(seal, {
    get: (target, name, self: unknown) => {
      if (name !== 'close') return Reflect.get(target, name, self === this.seal ? target : self) as unknown;
      return (header: never, ad: never, plaintext: Uint8Array) => {
        this.body = fromUtf8(plaintext);
        return target.close(header, ad, plaintext);
      };
    },
  });
}

function decoders(): Readonly<Record<string, Decoder>> {
  const heard = new Listening();
  const text = encodeNextKey(primitives, key, heard.seal);
  const heardBackup = new Listening();
  const backupText = encodeBackup(backup, heardBackup.seal);
  return {
    'next-key file': {
      text,
      body: heard.body,
      decode: t => decodeNextKey(primitives, readEnvelope('f', t, [nextKeyKind]), seal),
      value: key,
    },
    backup: {
      text: backupText,
      body: heardBackup.body,
      decode: t => decodeBackup(readEnvelope('f', t, [backupKind]), seal),
      value: backup,
    },
  };
}

const SECRETS = [key.seed, key.secrets[0]!.secret, made.keys.signingSeed, made.keys.noisePrivate].map(toBase64url);

function judged(step: () => unknown): unknown {
  try {
    return step();
  } catch (error) {
    assert.instance(error, WarrenError, String((error as Error).stack));
    const { code, message, hint = '' } = error as WarrenError;
    assert.ok(['home', 'passphrase'].includes(code), `${code}: ${message}`);
    for (const secret of SECRETS) assert.not.ok((message + hint).includes(secret.slice(4, 24)), message);
    return undefined;
  }
}

for (const [name, { text, body, decode, value }] of Object.entries(decoders())) {
  test(`${name}: it is what was written`, () => {
    assert.equal(decode(text), value);
    assert.ok(body.length > 500);
  });

  test(
    `${name}: mutated bytes never come through as something else`,
    () => {
      const good = utf8(text);
      for (let i = 0; i < CASES; i++) {
        const mutated = Buffer.from(mutateBytes(random, good)).toString('utf8');
        const read = judged(() => decode(mutated));
        if (read !== undefined) assert.equal(read, value, 'white space may have changed, nothing else');
      }
    },
    { deadline },
  );

  test(
    `${name}: a mutated body, rightly sealed, is refused in words or has its types`,
    () => {
      const words = ['null', '-1', '1e99', '{}', '[]', '""', '"__proto__"', '"x":', '[[[[', 'true', '"A"', '4096'];
      let refusals = 0;
      const parsed = JSON.parse(text) as { protection: unknown; about?: Record<string, string>; version: number };
      const header = v.parse(sealSchema, parsed.protection);
      const about = Object.entries(parsed.about ?? {}).sort(([a], [b]) => (a < b ? -1 : 1));
      const { format } = JSON.parse(text) as { format: string };
      const { kdf, logN, r, p, salt } = header;
      const ad = utf8(
        JSON.stringify(['warren sealed v1', format, parsed.version, about, kdf, logN, r, p, toBase64url(salt)]),
      );
      for (let i = 0; i < CASES; i++) {
        const plaintext = Buffer.from(mutateText(random, body, words), i % 2 === 0 ? 'utf8' : 'latin1');
        const sealed = toBase64url(seal.close(header, ad, new Uint8Array(plaintext)));
        const read = judged(() => decode(JSON.stringify({ ...parsed, body: sealed })));
        if (read === undefined) refusals++;
      }
      assert.ok(refusals > CASES / 2, `${refusals} of ${CASES} were refused`);
      const untouched = toBase64url(seal.close(header, ad, utf8(body)));
      assert.equal(
        decode(JSON.stringify({ ...parsed, body: untouched })),
        value,
        'the way of sealing is the right one',
      );
    },
    { deadline },
  );
}

test.run();
