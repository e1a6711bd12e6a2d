/** Backups, and how one gets into a home: in one step, whatever happens on the way. */
import * as fs from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import {
  backupKind,
  beginRestore,
  completeRestore,
  decodeBackup,
  encodeBackup,
  type Backup,
} from '../../../daemon/home/backup.js';
import { readEnvelope } from '../../../daemon/home/document.js';
import { clearLeftovers, openHome } from '../../../daemon/home/home.js';
import { loadKeys } from '../../../daemon/home/keyfile.js';
import { homePaths, type HomePaths } from '../../../daemon/home/paths.js';
import { passphraseBytes, Seal } from '../../../daemon/home/sealed.js';
import { StateFiles } from '../../../daemon/home/statefile.js';
import { toBase64url } from '../../../protocol/bytes.js';
import type { WarrenError } from '../../../protocol/errors.js';
import { assert, suite } from '../../helpers/suite.js';
import { everyStep, failingAt, killedAt } from './failing.js';
import { backupOf, CHEAP, founder, primitives } from './made-home.js';
import { modeOf, withFolder } from './temp.js';

const test = suite('backups');

const newSeal = (): Promise<Seal> => Seal.fresh(primitives, passphraseBytes('in a safe'), CHEAP);

function holds(paths: HomePaths, backup: Backup, seal?: Seal): void {
  assert.equal(loadKeys(paths.nodeKeys, seal), backup.keys);
  const files = new StateFiles(paths, undefined, seal);
  assert.equal(files.loadNetwork(), backup.network);
  assert.equal(files.loadTrust(backup.network.networkId), backup.items);
  assert.equal(files.loadMemory(), backup.memory);
  assert.is(fs.readFileSync(paths.config, 'utf8'), backup.config);
}

test('a backup comes back as it was made, and shows no secret', async () => {
  const backup = backupOf(founder(), true);
  const seal = await newSeal();
  const text = encodeBackup(backup, seal);
  assert.equal(decodeBackup(readEnvelope('f', text, [backupKind]), seal), backup);
  const { signingSeed, noisePrivate, nextSeed } = backup.keys;
  for (const secret of [signingSeed, noisePrivate, nextSeed!, backup.network.secrets[0]!.secret])
    assert.not.ok(text.includes(toBase64url(secret)));
  assert.not.ok(text.includes('host-a'));
});

test('a backup that lies open is none', async () => {
  const seal = await newSeal();
  const open = JSON.stringify({ format: 'warren-backup', version: 1, protection: { kind: 'none' }, body: {} });
  assert.throws(
    () => decodeBackup(readEnvelope('f', open, [backupKind]), seal),
    (error: WarrenError) => error.code === 'home' && /not sealed/.test(error.message),
  );
});

test('a restore fills an empty home; a config that is there stays', async () => {
  await withFolder(folder => {
    const backup = backupOf(founder());
    const paths = openHome(join(folder, 'a'));
    assert.is(completeRestore(paths), false);
    beginRestore(paths, backup);
    assert.is(modeOf(paths.restore), '600');
    assert.is(completeRestore(paths), true);
    holds(paths, backup);
    assert.is(completeRestore(paths), false);
    const other = openHome(join(folder, 'b'));
    fs.writeFileSync(other.config, '# hers\n');
    beginRestore(other, backup);
    completeRestore(other);
    assert.is(fs.readFileSync(other.config, 'utf8'), '# hers\n');
    assert.equal(loadKeys(other.nodeKeys), backup.keys);
  });
});

test('nothing falls behind what peers have seen: the version of the registry record, remembered ports', async () => {
  await withFolder(folder => {
    const backup = backupOf(founder());
    const paths = openHome(folder);
    beginRestore(paths, backup);
    completeRestore(paths);
    const files = new StateFiles(paths);
    assert.is(files.nextRegistryVersion(backup.time - 1), backup.memory.registryVersion + 1, 'a clock that is behind');
    assert.is(files.nextRegistryVersion(backup.time + 1e9), backup.time + 1e9, 'versions given since the backup');
    assert.equal(files.loadMemory().ports, backup.memory.ports);
  });
});

for (const isProtected of [false, true])
  for (const [title, kindOf] of [
    ['fails', failingAt],
    ['is the last before a kill -9', killedAt],
  ] as const)
    test(`restoring a ${isProtected ? 'protected' : 'plain'} home: whatever operation ${title}, the home is empty or that node's`, async () => {
      const backup = backupOf(founder(), isProtected);
      const seal = isProtected ? await newSeal() : undefined;
      let folder = '';
      const seen = new Set<string>();
      const steps = await everyStep(
        kindOf,
        ops => {
          folder = fs.mkdtempSync(join(tmpdir(), 'w-'));
          const paths = openHome(folder);
          beginRestore(paths, backup, seal, ops);
          completeRestore(paths, seal, ops);
        },
        (error, step) => {
          const paths = homePaths(folder);
          clearLeftovers(paths);
          const had = fs.existsSync(paths.nodeKeys) ? 'keys' : fs.existsSync(paths.restore) ? 'begun' : 'nothing';
          seen.add(had);
          completeRestore(paths, seal);
          if (had === 'nothing') {
            assert.equal(fs.readdirSync(paths.keys), [], step);
            assert.equal(fs.readdirSync(paths.state), [], step);
            assert.ok(error !== undefined);
          } else holds(paths, backup, seal);
          assert.not.ok(fs.existsSync(paths.restore));
          fs.rmSync(folder, { recursive: true });
        },
      );
      assert.ok(steps > 40, `${steps} operations`);
      assert.equal([...seen].sort(), ['begun', 'keys', 'nothing']);
    });

test.run();
