/**
 * The process dies at every write, fsync and rename of a rotation, one after the other: whatever is on the disk then is a
 * usable identity, what was told is on the disk, and the key that comes next can be found.
 */
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { equal } from '../../../protocol/bytes.js';
import { loadPrimitives } from '../../../protocol/crypto/load.js';
import { createInception, decodeStatement, keyCommitment } from '../../../protocol/identity/statement.js';
import type { TrustStore } from '../../../protocol/identity/trust-store.js';
import type { TrustItem } from '../../../protocol/identity/trust-item.js';
import { nodeFileOps, type FileOps } from '../../../daemon/home/atomic.js';
import { clearLeftovers, openHome } from '../../../daemon/home/home.js';
import { loadKeys, saveKeys, type NodeKeys } from '../../../daemon/home/keyfile.js';
import { completeFollowing, readNextKey } from '../../../daemon/home/next-key.js';
import { passphraseBytes } from '../../../daemon/home/sealed.js';
import type { HomePaths } from '../../../daemon/home/paths.js';
import { Keyring } from '../../../daemon/keys/keyring.js';
import { FileVault } from '../../../daemon/keys/next-key-vault.js';
import { Rotations } from '../../../daemon/keys/rotations.js';
import type { Authority } from '../../../daemon/peers/authority.js';
import { assert, suite } from '../../helpers/suite.js';
import { VirtualTimers } from '../../protocol/session/virtual.js';
import { memoryLog } from '../transport/loopback.js';

const test = suite('a rotation that is cut short');
const primitives = await loadPrimitives();
const PASSPHRASE = 'correct horse battery staple';
const COST = { logN: 10, r: 1, p: 1 };

class Death extends Error {}

/** From the n-th operation on nothing is done any more. */
function dying(after: number): { ops: FileOps; count: () => number } {
  let calls = 0;
  const mortal = <A extends unknown[], R>(call: (...args: A) => R): ((...args: A) => R) => {
    return (...args: A): R => {
      if (++calls > after) throw new Death(`operation ${calls}`);
      return call(...args);
    };
  };
  const ops = Object.fromEntries(
    Object.entries(nodeFileOps).map(([name, call]) => [name, mortal(call as (...args: unknown[]) => unknown)]),
  ) as unknown as FileOps;
  return { ops, count: () => calls };
}

interface Place {
  readonly root: string;
  readonly paths: HomePaths;
  readonly file: string;
  /** statements that were told */
  readonly told: Uint8Array[];
}

function place(): Place {
  const root = mkdtempSync(join(tmpdir(), 'warren-r-'));
  return { root, paths: openHome(join(root, 'home')), file: join(root, 'next.key'), told: [] };
}

function rotationsOf({ paths, told }: Place, keys: NodeKeys, ops: FileOps): Rotations {
  const timers = new VirtualTimers();
  const keyring = new Keyring({ primitives, timers, keys, save: changed => saveKeys(paths.nodeKeys, changed, ops) });
  const authority = {
    rotationTime: () => timers.now(),
    rotated: (statement: Uint8Array) => {
      told.push(statement);
      return [];
    },
    signedHere: () => false,
  } as unknown as Authority;
  const around = { nodeId: keys.nodeId, networkId: keys.nodeId, name: 'a', secrets: [], addresses: [] };
  const items: TrustItem[] = [];
  const vault = new FileVault({
    primitives,
    surroundings: () => ({ ...around, items }),
    isCommitted: seed => keyring.isCommitted(seed),
    cost: COST,
    ops,
  });
  const trust = { openForks: () => [] } as unknown as TrustStore;
  return new Rotations({
    keyring,
    authority,
    trust: () => trust,
    vault,
    log: memoryLog([]),
    onRotated: () => undefined,
  });
}

/** As a start does it. */
async function recovered({ paths, file }: Place): Promise<{ keys: NodeKeys; next: Uint8Array }> {
  clearLeftovers(paths);
  const keys = loadKeys(paths.nodeKeys)!;
  const head = decodeStatement(primitives, keys.statements.at(-1)!);
  if (keys.nextFile !== undefined) completeFollowing(keys.nextFile, head.next);
  const next = keys.nextSeed ?? (await readNextKey(primitives, file, passphraseBytes(PASSPHRASE))).key.seed;
  return { keys, next };
}

function isUsable(keys: NodeKeys, next: Uint8Array): void {
  const head = decodeStatement(primitives, keys.statements.at(-1)!);
  assert.is(head.seq, keys.statements.length - 1);
  assert.ok(equal(primitives.ed25519.fromSeed(keys.signingSeed).publicKey, head.signingKey), 'the signing key');
  assert.ok(equal(primitives.x25519.fromPrivate(keys.noisePrivate).publicKey, head.noiseKey), 'the Noise key');
  assert.ok(equal(keyCommitment(primitives, primitives.ed25519.fromSeed(next).publicKey), head.next), 'the next key');
}

/** @param begin what the home is like before; @param nextFile as the request names it */
async function tryEvery(begin: (here: Place) => Promise<NodeKeys>, withFile: boolean): Promise<number> {
  for (let after = 0; ; after++) {
    const here = place();
    try {
      const keys = await begin(here);
      const { ops, count } = dying(after);
      const request = withFile ? { nextFile: here.file, passphrase: PASSPHRASE } : {};
      const outcome = await rotationsOf(here, keys, ops)
        .rotate({ reason: 'routine', ...request })
        .then(
          () => 'done',
          () => 'failed',
        );
      const survived = count() <= after;
      const { keys: found, next } = await recovered(here);
      isUsable(found, next);
      const saved = found.statements.length;
      for (const statement of here.told)
        assert.ok(
          found.statements.some(s => equal(s, statement)),
          'what was told is on the disk',
        );
      if (outcome === 'done') assert.is(saved, keys.statements.length + 1);
      else assert.equal(here.told, [], 'nothing is told of a rotation that failed');
      // Life goes on: the next rotation works with what was found.
      await rotationsOf(here, found, nodeFileOps).rotate({ reason: 'routine', ...request });
      const later = await recovered(here);
      isUsable(later.keys, later.next);
      assert.is(later.keys.statements.length, saved + 1);
      const text = readFileSync(here.paths.nodeKeys, 'utf8');
      assert.not(text.includes(Buffer.from(keys.noisePrivate).toString('base64url')), 'no old key is left');
      if (survived) return after;
    } finally {
      rmSync(here.root, { recursive: true, force: true });
    }
  }
}

function fresh({ paths }: Place): Promise<NodeKeys> {
  const made = createInception(primitives, { now: 1 });
  const keys = {
    nodeId: made.nodeId,
    signingSeed: made.signing.privateKey.slice(),
    noisePrivate: made.noise.privateKey.slice(),
    nextSeed: made.next.slice(),
    statements: [made.statement],
  };
  saveKeys(paths.nodeKeys, keys);
  return Promise.resolve(keys);
}

async function detached(here: Place): Promise<NodeKeys> {
  const keys = await fresh(here);
  const request = { reason: 'routine', nextFile: here.file, passphrase: PASSPHRASE } as const;
  await rotationsOf(here, keys, nodeFileOps).rotate(request);
  here.told.length = 0;
  return loadKeys(here.paths.nodeKeys)!;
}

test('with the next key in the home', async () => {
  const operations = await tryEvery(fresh, false);
  assert.ok(operations >= 5, `${operations} operations`);
});

test('when the following key is to lie in a file from now on', async () => {
  const operations = await tryEvery(fresh, true);
  assert.ok(operations >= 10, `${operations} operations`);
});

test('with the next key in a file', async () => {
  const operations = await tryEvery(detached, true);
  assert.ok(operations >= 10, `${operations} operations`);
});

test.run();
