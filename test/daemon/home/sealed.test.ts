/** What a passphrase protects: documents, and a home of them. */
import * as fs from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { openDocument, sealedText, type DocumentKind } from '../../../daemon/home/document.js';
import { bytesField } from '../../../daemon/home/fields.js';
import { clearLeftovers, openHome } from '../../../daemon/home/home.js';
import { loadKeys } from '../../../daemon/home/keyfile.js';
import { homePaths, type HomePaths } from '../../../daemon/home/paths.js';
import { passphraseBytes, Seal, sealSchema, SCRYPT_COST, type SealHeader } from '../../../daemon/home/sealed.js';
import { StateFiles } from '../../../daemon/home/statefile.js';
import { unlockHome, type UnlockOptions } from '../../../daemon/home/vault.js';
import { toBase64url } from '../../../protocol/bytes.js';
import { WarrenError } from '../../../protocol/errors.js';
import * as v from 'valibot';
import { assert, suite } from '../../helpers/suite.js';
import { everyStep, failingAt, killedAt } from './failing.js';
import { CHEAP, fill, fingerprint, founder, primitives } from './made-home.js';
import { withFolder } from './temp.js';

const test = suite('what a passphrase protects');

const RIGHT = 'correct horse battery staple';
const WRONG = 'correct horse battery stable';
const kind = { format: 'a-test', version: 1, schema: v.strictObject({ secret: bytesField(4, 4) }) };
const body = { secret: Uint8Array.of(1, 2, 3, 4) };

interface Parsed {
  format: string;
  version: number;
  protection: Record<string, string | number>;
  about?: Record<string, string>;
  body: string;
}

async function thrown(step: () => unknown): Promise<WarrenError> {
  try {
    await step();
  } catch (error) {
    assert.instance(error, WarrenError, String(error));
    return error as WarrenError;
  }
  throw new Error('nothing was thrown');
}

function unlock(paths: HomePaths, passphrase: string | undefined, more: Partial<UnlockOptions> = {}) {
  const given = async (): Promise<Uint8Array | undefined> =>
    passphrase === undefined ? undefined : passphraseBytes(passphrase);
  return unlockHome({ paths, tools: primitives, passphrase: given, cost: CHEAP, ...more });
}

test('a sealed document comes back with its passphrase, and says nothing without it', async () => {
  const seal = await Seal.fresh(primitives, passphraseBytes(RIGHT), CHEAP);
  const text = sealedText({ format: 'a-test', version: 1, body, about: { of: 'x' } }, seal);
  assert.equal(openDocument('f', text, kind, seal), body);
  const { protection } = JSON.parse(text) as Parsed;
  const again = await Seal.of(primitives, passphraseBytes(RIGHT), v.parse(sealSchema, protection));
  assert.equal(openDocument('f', text, kind, again), body);
  assert.not.match(text, toBase64url(body.secret));
  const missing = await thrown(() => openDocument('f', text, kind));
  assert.equal([missing.code, missing.message], ['passphrase', 'f is protected by a passphrase, and none was given']);
  const other = await Seal.of(primitives, passphraseBytes(WRONG), v.parse(sealSchema, protection));
  const wrong = await thrown(() => openDocument('f', text, kind, other));
  assert.is(wrong.code, 'passphrase');
  assert.match(wrong.message, /does not open f: it is wrong, or the file is damaged/);
});

test('two documents under one key have nonces of their own', async () => {
  const seal = await Seal.fresh(primitives, passphraseBytes(RIGHT), CHEAP);
  const nonces = Array.from({ length: 50 }, () => toBase64url(seal.header().nonce));
  assert.is(new Set(nonces).size, 50);
});

test('everything beside the body is authenticated with it', async () => {
  const seal = await Seal.fresh(primitives, passphraseBytes(RIGHT), CHEAP);
  const text = sealedText({ format: 'a-test', version: 1, body, about: { of: 'x', to: 'y' } }, seal);
  const changes: readonly ((parsed: Parsed) => void)[] = [
    parsed => (parsed.about!.of = 'y'),
    parsed => delete parsed.about!.to,
    parsed => (parsed.about!.new = 'z'),
    parsed => delete parsed.about,
    parsed => (parsed.format = 'b-test'),
    parsed => (parsed.version = 2),
    parsed => (parsed.protection.nonce = toBase64url(primitives.random(24))),
    parsed => (parsed.protection.p = 2),
    parsed => (parsed.protection.salt = toBase64url(primitives.random(16))),
    parsed => (parsed.body = parsed.body.slice(4)),
    parsed => (parsed.body = `${parsed.body.startsWith('A') ? 'B' : 'A'}${parsed.body.slice(1)}`),
    parsed => (parsed.body = ''),
  ];
  for (const [i, change] of changes.entries()) {
    const parsed = JSON.parse(text) as Parsed;
    change(parsed);
    const asNow: DocumentKind<typeof kind.schema> = { ...kind, format: parsed.format, version: 2 };
    const header = v.parse(sealSchema, parsed.protection);
    const key = await Seal.of(primitives, passphraseBytes(RIGHT), header);
    const error = await thrown(() => openDocument('f', JSON.stringify(parsed), asNow, key));
    assert.is(error.code, 'passphrase', `change ${i}: ${error.message}`);
  }
});

test('what a file asks of scrypt is bounded before it is computed', () => {
  const good = { kind: 'passphrase', kdf: 'scrypt', ...SCRYPT_COST, salt: 'A'.repeat(22), nonce: 'A'.repeat(32) };
  assert.ok(v.is(sealSchema, good));
  for (const bad of [
    { logN: 9 },
    { logN: 21 },
    { logN: 1e9 },
    { logN: 17.5 },
    { logN: '17' },
    { logN: 20, r: 8 },
    { r: 0 },
    { r: 17 },
    { p: 0 },
    { p: 5 },
    { salt: '' },
    { nonce: 'A'.repeat(16) },
    { kdf: 'argon2' },
    { more: 1 },
  ])
    assert.not.ok(v.is(sealSchema, { ...good, ...bad }), JSON.stringify(bad));
});

test('a passphrase is the same however it was composed; an empty or endless one is refused', async () => {
  assert.equal(passphraseBytes('Zo\u00eb'), passphraseBytes('Zoe\u0308'));
  assert.is((await thrown(() => passphraseBytes(''))).code, 'passphrase');
  assert.is((await thrown(() => passphraseBytes('x'.repeat(1025)))).code, 'passphrase');
  assert.is(passphraseBytes('x'.repeat(1024)).length, 1024);
});

test('a key that is wiped seals nothing', async () => {
  const seal = await Seal.fresh(primitives, passphraseBytes(RIGHT), CHEAP);
  seal.destroy();
  const header: SealHeader = seal.header();
  for (const step of [
    () => seal.close(header, body.secret, body.secret),
    () => seal.open(header, body.secret, new Uint8Array(20)),
    () => seal.handOver(),
  ])
    assert.is((await thrown(step)).code, 'internal');
});

test('what is handed over opens the same; anything else is not taken', async () => {
  const seal = await Seal.fresh(primitives, passphraseBytes(RIGHT), CHEAP);
  const text = sealedText({ format: 'a-test', version: 1, body }, seal);
  const taken = Seal.take(primitives, seal.handOver());
  assert.equal(openDocument('f', text, kind, taken), body);
  const handed = seal.handOver();
  for (const bad of ['', 'x', handed.slice(0, -1), `${handed}A`, handed.replace(/\.[^.]*$/, `.${'!'.repeat(43)}`)])
    assert.is(Seal.take(primitives, bad), undefined);
  assert.is(Seal.take(primitives, `10.1.1.${'A'.repeat(21)}B.${'A'.repeat(43)}`), undefined);
});

test('a home gets a passphrase, opens with it, and with nothing else', async () => {
  await withFolder(async folder => {
    const made = founder();
    const paths = fill(folder, made);
    assert.is(await unlock(paths, undefined), undefined);
    const seal = await unlock(paths, RIGHT);
    for (const file of [paths.nodeKeys, paths.networkKeys]) {
      const text = fs.readFileSync(file, 'utf8');
      assert.match(text, /"kind": "passphrase"/);
      for (const secret of [made.keys.signingSeed, made.keys.nextSeed!, made.network.secrets[0]!.secret])
        assert.not.ok(text.includes(toBase64url(secret)));
    }
    assert.equal(loadKeys(paths.nodeKeys, seal), made.keys);
    assert.equal(new StateFiles(paths, undefined, seal).loadNetwork(), made.network);
    const before = fingerprint(folder);
    const again = await unlock(paths, RIGHT);
    assert.equal(loadKeys(paths.nodeKeys, again), made.keys);
    for (const [passphrase, why] of [
      [WRONG, /does not open/],
      [undefined, /none was given/],
    ] as const) {
      const error = await thrown(() => unlock(paths, passphrase));
      assert.is(error.code, 'passphrase');
      assert.match(error.message, why);
      assert.not.match(error.message + error.hint!, /horse/);
    }
    assert.equal(fingerprint(folder), before);
    const asked: boolean[] = [];
    const handed = await unlock(paths, undefined, {
      handedOver: seal!.handOver(),
      passphrase: async isProtected => void asked.push(isProtected),
    });
    assert.equal(loadKeys(paths.nodeKeys, handed), made.keys);
    assert.equal(asked, [], 'who was handed the key is not asked');
  });
});

test('a new home is protected from its first file on', async () => {
  await withFolder(async folder => {
    const made = founder();
    const seal = await unlock(fill(folder, made), undefined);
    assert.is(seal, undefined);
  });
  await withFolder(async folder => {
    const paths = openHome(folder);
    const seal = await unlock(paths, RIGHT);
    assert.instance(seal, Seal);
    assert.equal(fs.readdirSync(paths.keys), []);
  });
});

test('a key file that others can read is refused, sealed or not', async () => {
  await withFolder(async folder => {
    const paths = fill(folder, founder());
    fs.chmodSync(paths.nodeKeys, 0o644);
    assert.match((await thrown(() => unlock(paths, RIGHT))).message, /others can read the key file/);
    fs.chmodSync(paths.nodeKeys, 0o600);
    await unlock(paths, RIGHT);
    fs.chmodSync(paths.networkKeys, 0o640);
    const before = fingerprint(folder);
    assert.match((await thrown(() => unlock(paths, RIGHT))).message, /others can read the key file/);
    assert.equal(fingerprint(folder), before);
  });
});

test('files sealed under two salts become one again', async () => {
  await withFolder(async folder => {
    const made = founder();
    const paths = fill(folder, made);
    await unlock(paths, RIGHT);
    const keys = fs.readFileSync(paths.nodeKeys);
    const fresh = founder();
    fill(folder, { ...made, keys: fresh.keys });
    await unlock(paths, RIGHT);
    fs.writeFileSync(paths.nodeKeys, keys);
    const salts = (): Set<unknown> =>
      new Set(
        [paths.nodeKeys, paths.networkKeys].map(
          file => (JSON.parse(fs.readFileSync(file, 'utf8')) as Parsed).protection.salt,
        ),
      );
    assert.is(salts().size, 2);
    const seal = await unlock(paths, RIGHT);
    assert.is(salts().size, 1);
    assert.equal(loadKeys(paths.nodeKeys, seal), made.keys);
    assert.equal(new StateFiles(paths, undefined, seal).loadNetwork(), made.network);
  });
});

for (const [title, kindOf] of [
  ['fails', failingAt],
  ['is the last before a kill -9', killedAt],
] as const)
  test(`protecting a home: whatever operation ${title}, the next start has the identity`, async () => {
    const made = founder();
    let folder = '';
    const states = new Set<string>();
    const steps = await everyStep(
      kindOf,
      async ops => {
        folder = fs.mkdtempSync(join(tmpdir(), 'w-'));
        await unlock(fill(folder, made), RIGHT, { ops });
      },
      async (error, step) => {
        const home = homePaths(folder);
        clearLeftovers(home);
        states.add([home.nodeKeys, home.networkKeys].map(f => /"none"/.test(fs.readFileSync(f, 'utf8'))).join());
        const seal = await unlock(home, RIGHT);
        assert.equal(loadKeys(home.nodeKeys, seal), made.keys, `${step} ${String(error)}`);
        assert.equal(new StateFiles(home, undefined, seal).loadNetwork(), made.network, step);
        for (const file of [home.nodeKeys, home.networkKeys]) assert.not.match(fs.readFileSync(file, 'utf8'), /"none"/);
        assert.equal(fs.readdirSync(home.keys).sort(), ['network.json', 'node.json']);
        fs.rmSync(folder, { recursive: true });
      },
    );
    assert.ok(steps > 15, `${steps} operations`);
    assert.equal([...states].sort(), ['false,false', 'false,true', 'true,true'], 'each state in between was seen');
  });

test(
  'the cost that the product uses: a second and 128 MiB, and the event loop goes on',
  async () => {
    let turns = 0;
    const timer = setInterval(() => turns++, 5);
    const seal = await Seal.fresh(primitives, passphraseBytes(RIGHT));
    clearInterval(timer);
    assert.equal(SCRYPT_COST, { logN: 17, r: 8, p: 1 });
    assert.ok(turns > 3, `${turns} turns`);
    const text = sealedText({ format: 'a-test', version: 1, body }, seal);
    const header = v.parse(sealSchema, (JSON.parse(text) as Parsed).protection);
    assert.is(header.logN, 17);
    assert.equal(openDocument('f', text, kind, await Seal.of(primitives, passphraseBytes(RIGHT), header)), body);
  },
  { deadline: 60_000 },
);

test.run();
