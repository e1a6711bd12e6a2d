/** The next-key file: what it says and does not say, and that a crash never leaves a node without its next key. */
import * as fs from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { clearLeftovers, openHome } from '../../../daemon/home/home.js';
import { loadKeys, saveKeys, type NodeKeys } from '../../../daemon/home/keyfile.js';
import {
  completeFollowing,
  encodeNextKey,
  followingFile,
  isCommittedIn,
  newNextKeySeal,
  readNextKey,
  refuseTaken,
  takeFollowing,
  writeFollowing,
} from '../../../daemon/home/next-key.js';
import { homePaths } from '../../../daemon/home/paths.js';
import { passphraseBytes, type Seal } from '../../../daemon/home/sealed.js';
import { openIdentity } from '../../../daemon/keys/identity.js';
import { equal, toBase64url } from '../../../protocol/bytes.js';
import { WarrenError } from '../../../protocol/errors.js';
import { createRotation, decodeStatement, keyCommitment } from '../../../protocol/identity/statement.js';
import { assert, suite } from '../../helpers/suite.js';
import { everyStep, failingAt, killedAt } from './failing.js';
import { CHEAP, fingerprint, founder, nextKeyOf, primitives, START } from './made-home.js';
import { modeOf, withFolder } from './temp.js';

const test = suite('next-key files');

const PASSPHRASE = 'kept in a drawer';
const bytes = (): Uint8Array => passphraseBytes(PASSPHRASE);
const newSeal = (): Promise<Seal> => newNextKeySeal(primitives, bytes(), CHEAP);
const head = (keys: NodeKeys) => decodeStatement(primitives, keys.statements.at(-1)!);
const commitmentOf = (seed: Uint8Array): Uint8Array =>
  keyCommitment(primitives, primitives.ed25519.fromSeed(seed).publicKey);

async function thrown(step: () => unknown): Promise<WarrenError> {
  try {
    await step();
  } catch (error) {
    assert.instance(error, WarrenError, String(error));
    assert.ok((error as WarrenError).hint);
    return error as WarrenError;
  }
  throw new Error('nothing was thrown');
}

test('it comes back as it was written, 0600, without registry records and without a secret in clear', async () => {
  await withFolder(async folder => {
    const file = join(folder, 'next.key');
    const key = nextKeyOf(founder());
    const record = { kind: 'registry' as const, bytes: new Uint8Array(40) };
    writeFollowing(primitives, file, { ...key, items: [...key.items, record] }, await newSeal());
    takeFollowing(file);
    assert.equal(fs.readdirSync(folder), ['next.key']);
    assert.is(modeOf(file), '600');
    const { key: read } = await readNextKey(primitives, file, bytes());
    assert.equal(read, key);
    const text = fs.readFileSync(file, 'utf8');
    for (const secret of [key.seed, key.secrets[0]!.secret, key.nodeId])
      assert.not.ok(text.includes(toBase64url(secret)));
    assert.ok(isCommittedIn(file, head({ ...founder().keys, statements: key.statements }).next));
    assert.not.ok(isCommittedIn(file, new Uint8Array(32)));
    assert.not.ok(isCommittedIn(join(folder, 'none'), commitmentOf(key.seed)));
  });
});

test('a missing, foreign, open, readable or damaged file, a wrong passphrase: one sentence each', async () => {
  await withFolder(async folder => {
    const file = join(folder, 'next.key');
    const gone = await thrown(() => readNextKey(primitives, file, bytes()));
    assert.equal([gone.code, gone.message], ['not-found', `there is no next-key file ${file}`]);
    const key = nextKeyOf(founder());
    const text = encodeNextKey(primitives, key, await newSeal());
    const write = (content: string, mode = 0o600): void => {
      fs.rmSync(file, { force: true });
      fs.writeFileSync(file, content, { mode });
    };
    const refused = async (content: string, passphrase = bytes()): Promise<WarrenError> => {
      write(content);
      const before = fingerprint(folder);
      const error = await thrown(() => readNextKey(primitives, file, passphrase));
      assert.equal(fingerprint(folder), before);
      return error;
    };
    assert.is((await refused(text, passphraseBytes('another'))).code, 'passphrase');
    assert.match((await refused(text.slice(0, -30))).message, /damaged/);
    assert.match((await refused(text.replace('warren-next-key', 'warren-keys'))).message, /holds "warren-keys"/);
    assert.match((await refused(text.replace(/"kind": "passphrase"/, '"kind": "other"'))).message, /not known here/);
    const open = JSON.stringify({ format: 'warren-next-key', version: 1, protection: { kind: 'none' }, body: {} });
    assert.match((await refused(open)).message, /it is not sealed/);
    write(text);
    fs.chmodSync(file, 0o644);
    const readable = await thrown(() => readNextKey(primitives, file, bytes()));
    assert.equal([readable.code, /others can read/.test(readable.message)], ['home', true]);
  });
});

test('a file that names another key than it holds is refused', async () => {
  await withFolder(async folder => {
    const file = join(folder, 'next.key');
    const key = nextKeyOf(founder());
    const liar = { ...primitives, hash: { ...primitives.hash, SHA256: primitives.hash.BLAKE2s } };
    fs.writeFileSync(file, encodeNextKey(liar, key, await newSeal()), { mode: 0o600 });
    assert.match((await thrown(() => readNextKey(primitives, file, bytes()))).message, /not the one that it names/);
  });
});

test('a place that is taken, or that is not there, is refused; also by a following key alone', async () => {
  await withFolder(async folder => {
    const file = join(folder, 'next.key');
    refuseTaken(file);
    fs.writeFileSync(followingFile(file), '');
    assert.is((await thrown(() => refuseTaken(file))).code, 'exists');
    fs.renameSync(followingFile(file), file);
    assert.is((await thrown(() => refuseTaken(file))).code, 'exists');
    assert.is((await thrown(() => refuseTaken(join(folder, 'none', 'key')))).code, 'not-found');
  });
});

const KINDS = [
  ['fails', failingAt],
  ['is the last before a kill -9', killedAt],
] as const;

/** Which of the two files holds the committed key, opened with the passphrase. */
async function committed(file: string, keys: NodeKeys): Promise<Uint8Array> {
  completeFollowing(file, head(keys).next);
  const { key } = await readNextKey(primitives, file, bytes());
  assert.ok(equal(commitmentOf(key.seed), head(keys).next), 'FILE holds the committed key');
  return key.seed;
}

for (const [title, kindOf] of KINDS) {
  test(`detaching: whatever operation ${title}, the next key is in the home or in the file`, async () => {
    const made = founder();
    const seal = await newSeal();
    let folder = '';
    const seen = new Set<string>();
    const steps = await everyStep(
      kindOf,
      ops => {
        folder = fs.mkdtempSync(join(tmpdir(), 'w-'));
        const paths = openHome(join(folder, 'h'));
        saveKeys(paths.nodeKeys, made.keys);
        const file = join(folder, 'next.key');
        writeFollowing(primitives, file, nextKeyOf(made), seal, ops);
        saveKeys(paths.nodeKeys, { ...made.keys, nextSeed: undefined, nextFile: file }, ops);
        takeFollowing(file, ops);
      },
      async (_, step) => {
        const paths = homePaths(join(folder, 'h'));
        clearLeftovers(paths);
        const keys = loadKeys(paths.nodeKeys)!;
        seen.add(keys.nextFile === undefined ? 'home' : 'file');
        const seed = keys.nextSeed ?? (await committed(keys.nextFile!, keys));
        assert.equal(seed, made.keys.nextSeed, step);
        fs.rmSync(folder, { recursive: true });
      },
    );
    assert.ok(steps > 20);
    assert.equal([...seen].sort(), ['file', 'home']);
  });

  test(`rotating with a detached key: whatever operation ${title}, the head's next key is in the file`, async () => {
    const made = founder();
    const seal = await newSeal();
    const old = decodeStatement(primitives, made.keys.statements[0]!);
    const next = made.keys.nextSeed!;
    const rotated = createRotation(primitives, { head: old, reason: 'compromised', next, now: START + 1 });
    let folder = '';
    const seqs = new Set<number>();
    await everyStep(
      kindOf,
      ops => {
        folder = fs.mkdtempSync(join(tmpdir(), 'w-'));
        const file = join(folder, 'next.key');
        const paths = openHome(join(folder, 'h'));
        saveKeys(paths.nodeKeys, { ...made.keys, nextSeed: undefined, nextFile: file });
        writeFollowing(primitives, file, nextKeyOf(made), seal);
        takeFollowing(file);
        const statements = [...made.keys.statements, rotated.statement];
        writeFollowing(primitives, file, { ...nextKeyOf(made), seed: rotated.next, statements }, seal, ops);
        const keys: NodeKeys = {
          nodeId: made.keys.nodeId,
          signingSeed: rotated.signing.privateKey,
          noisePrivate: rotated.noise.privateKey,
          nextSeed: undefined,
          nextFile: file,
          statements,
        };
        saveKeys(paths.nodeKeys, keys, ops);
        takeFollowing(file, ops);
      },
      async (_, step) => {
        const paths = homePaths(join(folder, 'h'));
        clearLeftovers(paths);
        const keys = loadKeys(paths.nodeKeys)!;
        const { seq } = head(keys);
        seqs.add(seq);
        assert.equal(await committed(join(folder, 'next.key'), keys), seq === 0 ? next : rotated.next, step);
        fs.rmSync(folder, { recursive: true });
      },
    );
    assert.equal([...seqs].sort(), [0, 1]);
  });

  test(`a new node with its next key in a file: whatever operation ${title}, the next start has an identity`, async () => {
    let folder = '';
    const seen = new Set<string>();
    await everyStep(
      kindOf,
      async ops => {
        folder = fs.mkdtempSync(join(tmpdir(), 'w-'));
        const paths = openHome(join(folder, 'h'));
        const nextKey = { file: join(folder, 'next.key'), passphrase: async () => bytes(), cost: CHEAP };
        await openIdentity({ primitives, paths, now: START, nextKey, ops });
      },
      async (error, step) => {
        const paths = homePaths(join(folder, 'h'));
        clearLeftovers(paths);
        const before = loadKeys(paths.nodeKeys);
        const { keys } = await openIdentity({ primitives, paths, now: START });
        seen.add(`${before === undefined ? 'a fresh one' : 'that one'}${error === undefined ? ', told' : ''}`);
        if (before !== undefined) {
          assert.equal(keys, before);
          assert.is(keys.nextSeed, undefined, 'the next key is not in the home');
          await committed(keys.nextFile!, keys);
        }
        assert.ok(equal(head(keys).node, keys.nodeId), step);
        fs.rmSync(folder, { recursive: true });
      },
    );
    assert.ok(seen.has('a fresh one') && seen.has('that one') && seen.has('that one, told'), [...seen].join('; '));
  });
}

test('at a later start the same file is opened, and written anew with what is known then', async () => {
  await withFolder(async folder => {
    const paths = openHome(join(folder, 'h'));
    const file = join(folder, 'next.key');
    const nextKey = { file, passphrase: async () => bytes(), cost: CHEAP };
    const first = await openIdentity({ primitives, paths, now: START, nextKey });
    const {
      seed: _seed,
      statements: _log,
      ...around
    } = nextKeyOf({ ...founder(), keys: { ...founder().keys, nodeId: first.keys.nodeId } });
    first.detached!.close(first.keys, around);
    assert.equal((await readNextKey(primitives, file, bytes())).key.addresses, around.addresses);
    const second = await openIdentity({ primitives, paths, now: START, nextKey });
    assert.equal(second.keys, first.keys);
    second.detached!.close(second.keys, { ...around, name: 'renamed' });
    assert.is((await readNextKey(primitives, file, bytes())).key.name, 'renamed');
    const before = fingerprint(folder);
    const elsewhere = { ...nextKey, file: join(folder, 'other.key') };
    const other = await thrown(() => openIdentity({ primitives, paths, now: START, nextKey: elsewhere }));
    assert.match(other.message, /lies in .*next\.key, not in .*other\.key/);
    const wrong = { ...nextKey, passphrase: async () => passphraseBytes('wrong') };
    assert.is((await thrown(() => openIdentity({ primitives, paths, now: START, nextKey: wrong }))).code, 'passphrase');
    assert.equal(fingerprint(folder), before);
    fs.rmSync(file);
    assert.is((await thrown(() => openIdentity({ primitives, paths, now: START, nextKey }))).code, 'not-found');
  });
});

test('a home whose next key lies in it does not take a file by the way', async () => {
  await withFolder(async folder => {
    const paths = openHome(join(folder, 'h'));
    await openIdentity({ primitives, paths, now: START });
    const nextKey = { file: join(folder, 'next.key'), passphrase: async () => bytes(), cost: CHEAP };
    const error = await thrown(() => openIdentity({ primitives, paths, now: START, nextKey }));
    assert.is(error.code, 'bad-value');
    assert.match(error.hint!, /detach-next/);
    assert.not.ok(fs.existsSync(nextKey.file));
  });
});

test.run();
