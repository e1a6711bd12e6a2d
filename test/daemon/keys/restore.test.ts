/** A lost node comes back on another host: from a backup with its keys, from its next-key file with new ones. */
import * as fs from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { FileOps } from '../../../daemon/home/atomic.js';
import { completeRestore, encodeBackup } from '../../../daemon/home/backup.js';
import { clearLeftovers, openHome } from '../../../daemon/home/home.js';
import { loadKeys } from '../../../daemon/home/keyfile.js';
import { lockHome } from '../../../daemon/home/lock.js';
import { encodeNextKey, followingFile, readNextKey } from '../../../daemon/home/next-key.js';
import { homePaths } from '../../../daemon/home/paths.js';
import { passphraseBytes, Seal } from '../../../daemon/home/sealed.js';
import { StateFiles } from '../../../daemon/home/statefile.js';
import { openIdentity } from '../../../daemon/keys/identity.js';
import { restoreHome, type Restored } from '../../../daemon/keys/restore.js';
import { loadConfig } from '../../../daemon/config/load.js';
import { equal } from '../../../protocol/bytes.js';
import { WarrenError } from '../../../protocol/errors.js';
import { issueGrant } from '../../../protocol/identity/issue.js';
import { createInception, decodeStatement, keyCommitment } from '../../../protocol/identity/statement.js';
import { TrustStore } from '../../../protocol/identity/trust-store.js';
import type { TrustItem } from '../../../protocol/identity/trust-item.js';
import { assert, suite } from '../../helpers/suite.js';
import { everyStep, failingAt, killedAt } from '../home/failing.js';
import {
  backupOf,
  CHEAP,
  fingerprint,
  founder,
  nextKeyOf,
  primitives,
  START,
  type Founder,
} from '../home/made-home.js';
import { modeOf, withFolder } from '../home/temp.js';

const test = suite('restore');

const PASSPHRASE = 'kept in a drawer';
const clock = { now: () => START + 60_000, monotonic: () => 0 };

async function thrown(step: () => Promise<unknown>): Promise<WarrenError> {
  try {
    await step();
  } catch (error) {
    assert.instance(error, WarrenError, String(error));
    assert.ok((error as WarrenError).hint);
    return error as WarrenError;
  }
  throw new Error('nothing was thrown');
}

function restore(home: string, file: string, passphrase = PASSPHRASE, ops?: FileOps): Promise<Restored> {
  const given = async (): Promise<Uint8Array> => passphraseBytes(passphrase);
  return restoreHome(home, file, { primitives, clock, passphrase: given, ...(ops === undefined ? {} : { ops }) });
}

const newSeal = (): Promise<Seal> => Seal.fresh(primitives, passphraseBytes(PASSPHRASE), CHEAP);

async function backupFile(folder: string, made: Founder, isProtected = false): Promise<string> {
  const file = join(folder, 'backup');
  fs.writeFileSync(file, encodeBackup(backupOf(made, isProtected), await newSeal()));
  return file;
}

async function nextKeyFile(folder: string, made: Founder): Promise<string> {
  const file = join(folder, 'next.key');
  fs.writeFileSync(file, encodeNextKey(primitives, nextKeyOf(made), await newSeal()), { mode: 0o600 });
  return file;
}

/** A founder that has admitted a member. */
function withMember(): { made: Founder; member: Uint8Array } {
  const made = founder();
  const store = storeOf(made.network.networkId, made.items);
  const joiner = createInception(primitives, { now: START });
  const { nodeId: node } = joiner;
  store.add({ kind: 'statement', bytes: joiner.statement });
  const signer = { node: made.keys.nodeId, seq: 0, seed: made.keys.signingSeed };
  store.add(issueGrant(store, { primitives, signer, now: START + 1 }, { node, name: 'host-b' }));
  return { made: { ...made, items: store.items() }, member: node };
}

function storeOf(networkId: Uint8Array, items: readonly TrustItem[]): TrustStore {
  const store = new TrustStore({ primitives, clock, networkId });
  store.restore(items);
  return store;
}

test('from a backup: the same keys, the same network, and a home that is protected if the lost one was', async () => {
  for (const isProtected of [false, true])
    await withFolder(async folder => {
      const made = founder();
      const home = join(folder, 'h');
      const restored = await restore(home, await backupFile(folder, made, isProtected));
      assert.is(restored.source, 'backup');
      assert.equal(restored.nodeId, made.keys.nodeId);
      assert.equal(
        [restored.seq, restored.time, restored.isProtected, restored.keptConfig],
        [0, START, isProtected, false],
      );
      const paths = homePaths(home);
      assert.is(/"none"/.test(fs.readFileSync(paths.nodeKeys, 'utf8')), !isProtected);
      if (!isProtected) assert.equal(loadKeys(paths.nodeKeys), made.keys);
      assert.is(modeOf(home), '700');
    });
});

test('from a next-key file: the committed key signs that the earlier ones are compromised, and signs again what stands', async () => {
  await withFolder(async folder => {
    const { made, member } = withMember();
    const file = await nextKeyFile(folder, made);
    const home = join(folder, 'h');
    const restored = await restore(home, file);
    assert.equal([restored.source, restored.seq, restored.isProtected], ['next-key', 1, false]);
    const paths = homePaths(home);
    const keys = loadKeys(paths.nodeKeys)!;
    assert.equal([keys.nextSeed, keys.nextFile], [undefined, file]);
    const head = decodeStatement(primitives, keys.statements[1]!);
    assert.equal([head.seq, head.reason], [1, 'compromised']);
    assert.equal(head.signingKey, primitives.ed25519.fromSeed(made.keys.nextSeed!).publicKey);
    assert.equal(primitives.ed25519.fromSeed(keys.signingSeed).publicKey, head.signingKey);
    assert.equal(primitives.x25519.fromPrivate(keys.noisePrivate).publicKey, head.noiseKey);
    assert.not.ok(equal(keys.noisePrivate, made.keys.noisePrivate));

    const { key } = await readNextKey(primitives, file, passphraseBytes(PASSPHRASE));
    assert.equal(keyCommitment(primitives, primitives.ed25519.fromSeed(key.seed).publicKey), head.next);
    assert.equal(key.statements, keys.statements);
    assert.not.ok(fs.existsSync(followingFile(file)));

    const files = new StateFiles(paths);
    assert.equal(files.loadNetwork()!.secrets, made.network.secrets);
    // As a peer sees it, which knows the statement and what was signed again.
    const store = storeOf(made.network.networkId, files.loadTrust(made.network.networkId));
    assert.is(store.judge(made.keys.nodeId).verdict, 'admitted');
    assert.is(store.judge(member).verdict, 'admitted', 'a member that the owner had admitted stays');
    assert.is(store.grantOf(member)!.signerSeq, 1);
    const config = loadConfig(paths.config);
    assert.equal([config.node.name, config.peers], ['host-a', ['10.0.0.7:7667', 'wss://example.org/warren']]);
  });
});

test('what cannot be an address any more does not keep a node from coming back', async () => {
  await withFolder(async folder => {
    const file = join(folder, 'next.key');
    const key = { ...nextKeyOf(founder()), addresses: ['not an address', '10.0.0.7:7667', '::::'] };
    fs.writeFileSync(file, encodeNextKey(primitives, key, await newSeal()), { mode: 0o600 });
    await restore(join(folder, 'h'), file);
    assert.equal(loadConfig(join(folder, 'h', 'config.yaml')).peers, ['10.0.0.7:7667']);
  });
});

test('an identity is never replaced; a wrong or missing file or passphrase changes nothing', async () => {
  await withFolder(async folder => {
    const made = founder();
    const backup = await backupFile(folder, made);
    const key = await nextKeyFile(folder, made);
    const home = join(folder, 'h');
    await openIdentity({ primitives, paths: openHome(home), now: START });
    const before = fingerprint(folder);
    for (const file of [backup, key, join(folder, 'none')]) {
      const error = await thrown(() => restore(home, file));
      assert.equal([error.code, /has an identity already/.test(error.message)], ['exists', true]);
    }
    const empty = join(folder, 'empty');
    for (const file of [backup, key]) {
      const error = await thrown(() => restore(empty, file, 'another'));
      assert.is(error.code, 'passphrase');
      assert.not.match(error.message + error.hint!, /drawer|another passphrase/);
    }
    assert.is((await thrown(() => restore(empty, join(folder, 'none')))).code, 'not-found');
    assert.match((await thrown(() => restore(empty, join(home, 'keys', 'node.json')))).message, /holds "warren-keys"/);
    assert.equal(fingerprint(folder), before);
    assert.not.ok(fs.existsSync(empty), 'not even an empty home is made');
    fs.chmodSync(key, 0o644);
    assert.match((await thrown(() => restore(empty, key))).message, /others can read the key file/);
    fs.chmodSync(backup, 0o644);
    await restore(empty, backup);
  });
});

test('the passphrase is asked for only when everything else is right', async () => {
  await withFolder(async folder => {
    const home = join(folder, 'h');
    await openIdentity({ primitives, paths: openHome(home), now: START });
    const file = await backupFile(folder, founder());
    const never = (): Promise<Uint8Array> => Promise.reject(new Error('asked'));
    await thrown(() => restoreHome(home, file, { primitives, clock, passphrase: never }));
    await thrown(() => restoreHome(join(folder, 'e'), `${file}x`, { primitives, clock, passphrase: never }));
  });
});

test('a home on which a daemon runs, or whose restore has begun, is refused', async () => {
  await withFolder(async folder => {
    const file = await backupFile(folder, founder());
    const paths = openHome(join(folder, 'h'));
    const lock = await lockHome(paths);
    assert.is((await thrown(() => restore(paths.root, file))).code, 'running');
    lock.release();
    fs.writeFileSync(paths.restore, '{}', { mode: 0o600 });
    assert.match((await thrown(() => restore(paths.root, file))).message, /has begun already/);
  });
});

for (const source of ['backup', 'next-key'] as const)
  for (const [title, kindOf] of [
    ['fails', failingAt],
    ['is the last before a kill -9', killedAt],
  ] as const)
    test(
      `from a ${source}: whatever operation ${title}, the next start has an identity and no key is lost`,
      async () => {
        const made = founder();
        const seen = new Set<string>();
        let folder = '';
        const steps = await everyStep(
          kindOf,
          async ops => {
            folder = fs.mkdtempSync(join(tmpdir(), 'w-'));
            const file = source === 'backup' ? await backupFile(folder, made) : await nextKeyFile(folder, made);
            await restore(join(folder, 'h'), file, PASSPHRASE, ops);
          },
          async (error, step) => {
            const paths = homePaths(join(folder, 'h'));
            clearLeftovers(paths);
            completeRestore(paths);
            const { keys } = await openIdentity({ primitives, paths, now: START });
            const isBack = equal(keys.nodeId, made.keys.nodeId);
            seen.add(`${isBack ? 'back' : 'another'}${error === undefined ? '' : ' after an error'}`);
            if (source === 'next-key') {
              // Whatever happened, the file leads on: from the lost log, or from the one that stands now.
              const { key } = await readNextKey(primitives, join(folder, 'next.key'), passphraseBytes(PASSPHRASE));
              const log = isBack ? keys.statements : made.keys.statements;
              assert.equal(key.statements, log, step);
              const { next } = decodeStatement(primitives, log.at(-1)!);
              assert.equal(keyCommitment(primitives, primitives.ed25519.fromSeed(key.seed).publicKey), next, step);
            } else if (isBack) assert.equal(keys, made.keys);
            fs.rmSync(folder, { recursive: true });
          },
        );
        assert.ok(steps > 40, `${steps} operations`);
        assert.equal([...seen].sort(), ['another after an error', 'back', 'back after an error']);
      },
      { deadline: 120_000 },
    );

test.run();
