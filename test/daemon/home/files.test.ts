import * as fs from 'node:fs';
import { randomBytes } from 'node:crypto';
import { join } from 'node:path';
import { nodeFileOps } from '../../../daemon/home/atomic.js';
import { openHome } from '../../../daemon/home/home.js';
import { loadKeys, saveKeys, type NodeKeys } from '../../../daemon/home/keyfile.js';
import { EMPTY_MEMORY, StateFiles } from '../../../daemon/home/statefile.js';
import { WarrenError } from '../../../protocol/errors.js';
import type { TrustItem } from '../../../protocol/identity/trust-item.js';
import { assert, full, suite } from '../../helpers/suite.js';
import { seededRandom } from '../../helpers/random.js';
import { mutateBytes } from '../mutate.js';
import { modeOf, withFolder } from './temp.js';

const test = suite('key and state files');

const bytes = (n: number): Uint8Array => new Uint8Array(randomBytes(n));
const someKeys = (): NodeKeys => ({
  nodeId: bytes(32),
  signingSeed: bytes(32),
  noisePrivate: bytes(32),
  nextSeed: bytes(32),
  statements: [bytes(300), bytes(301)],
});

function refused(body: () => unknown, code = 'home'): WarrenError {
  try {
    body();
  } catch (error) {
    assert.instance(error, WarrenError);
    assert.is((error as WarrenError).code, code);
    assert.ok((error as WarrenError).hint);
    return error as WarrenError;
  }
  throw new Error('nothing was refused');
}

const fullDisk = {
  ...nodeFileOps,
  write: (): never => {
    throw Object.assign(new Error('full'), { code: 'ENOSPC' });
  },
};

test('keys come back as they were saved, with and without a next key, 0600', async () => {
  await withFolder(folder => {
    const { nodeKeys } = openHome(folder);
    assert.is(loadKeys(nodeKeys), undefined);
    const keys = someKeys();
    saveKeys(nodeKeys, keys);
    assert.is(modeOf(nodeKeys), '600');
    assert.equal(loadKeys(nodeKeys), keys);
    const detached = { ...keys, nextSeed: undefined };
    saveKeys(nodeKeys, detached);
    assert.equal(loadKeys(nodeKeys), detached);
  });
});

test('a full disk leaves the old keys', async () => {
  await withFolder(folder => {
    const { nodeKeys } = openHome(folder);
    const keys = someKeys();
    saveKeys(nodeKeys, keys);
    refused(() => saveKeys(nodeKeys, someKeys(), fullDisk), 'disk');
    assert.equal(loadKeys(nodeKeys), keys);
  });
});

test('keys that others can read are refused', async () => {
  await withFolder(folder => {
    const { nodeKeys } = openHome(folder);
    saveKeys(nodeKeys, someKeys());
    fs.chmodSync(nodeKeys, 0o640);
    assert.match(refused(() => loadKeys(nodeKeys)).message, /others can read the key file/);
  });
});

test('a damaged, foreign, newer or protected file is refused with its reason and without its secrets', async () => {
  await withFolder(folder => {
    const { nodeKeys } = openHome(folder);
    const keys = someKeys();
    saveKeys(nodeKeys, keys);
    const good = fs.readFileSync(nodeKeys, 'utf8');
    const secret = /"signing": "([^"]+)"/.exec(good)![1]!;
    const cases: readonly (readonly [string, RegExp])[] = [
      ['', /not JSON/],
      [good.slice(0, 200), /not JSON/],
      ['[]', /damaged/],
      [good.replace('warren-keys', 'warren-trust'), /holds "warren-trust"/],
      [good.replace('"version": 1', '"version": 2'), /newer/],
      [good.replace('"kind": "none"', '"kind": "scrypt"'), /protection is not known/],
      [good.replace(secret, secret.slice(1)), /damaged at signing/],
      [good.replace(secret, `${secret.slice(0, -1)}!`), /damaged at signing/],
      [good.replace('"signing"', '"signer"'), /damaged at/],
    ];
    for (const [text, why] of cases) {
      fs.writeFileSync(nodeKeys, text);
      const error = refused(() => loadKeys(nodeKeys));
      assert.match(error.message, why);
      assert.not.match(`${error.message} ${error.hint!}`, new RegExp(secret.slice(2, 20)));
      assert.is(fs.readFileSync(nodeKeys, 'utf8'), text);
    }
    fs.writeFileSync(nodeKeys, Buffer.from([0xff, 0xfe, 0x00]));
    assert.match(refused(() => loadKeys(nodeKeys)).message, /not UTF-8/);
    fs.rmSync(nodeKeys);
    fs.mkdirSync(nodeKeys);
    assert.match(refused(() => loadKeys(nodeKeys)).message, /not a file/);
    fs.rmdirSync(nodeKeys);
    fs.symlinkSync(nodeKeys, nodeKeys);
    assert.match(refused(() => loadKeys(nodeKeys)).message, /ELOOP/);
  });
});

test('a file over its limit is refused before it is read', async () => {
  await withFolder(folder => {
    const { nodeKeys } = openHome(folder);
    fs.writeFileSync(nodeKeys, '', { mode: 0o600 });
    fs.truncateSync(nodeKeys, 9 * 1024 * 1024);
    assert.match(refused(() => loadKeys(nodeKeys)).message, /at most 8388608/);
  });
});

test(
  'mutated key files load, or are refused as home errors; nothing else',
  async () => {
    const random = seededRandom('key file');
    await withFolder(folder => {
      const { nodeKeys } = openHome(folder);
      saveKeys(nodeKeys, someKeys());
      const good = fs.readFileSync(nodeKeys);
      for (let i = 0; i < full(500, 20_000); i++) {
        fs.writeFileSync(nodeKeys, mutateBytes(random, good), { mode: 0o600 });
        try {
          loadKeys(nodeKeys);
        } catch (error) {
          assert.is((error as WarrenError).code, 'home', String(error));
        }
      }
    });
  },
  { deadline: 120_000 },
);

test('network state, trust and memory come back as they were saved', async () => {
  await withFolder(folder => {
    const paths = openHome(folder);
    const files = new StateFiles(paths);
    assert.is(files.loadNetwork(), undefined);
    assert.equal(files.loadMemory(), EMPTY_MEMORY);
    const network = {
      networkId: bytes(32),
      secrets: [{ epoch: 0, secret: bytes(32) }],
      invites: bytes(40),
    };
    const items: TrustItem[] = [
      { kind: 'statement', bytes: bytes(300) },
      { kind: 'grant', bytes: bytes(10) },
    ];
    assert.equal(files.loadTrust(network.networkId), []);
    files.saveTrust(network.networkId, items);
    files.saveNetwork(network);
    files.saveMemory({ ports: { 'listen 127.0.0.1:0': 40001 }, registryVersion: 7, removed: ['x'] });
    const again = new StateFiles(paths);
    assert.equal(again.loadNetwork(), network);
    assert.equal(again.loadTrust(network.networkId), items);
    assert.equal(again.loadMemory(), { ports: { 'listen 127.0.0.1:0': 40001 }, registryVersion: 7, removed: ['x'] });
    for (const file of [paths.networkKeys, paths.memory]) assert.is(modeOf(file), '600');
  });
});

test('a home moves to another network in one step: before it all is old, after it the old trust is gone', async () => {
  await withFolder(folder => {
    const paths = openHome(folder);
    const files = new StateFiles(paths);
    const [old, next] = [bytes(32), bytes(32)];
    files.saveTrust(old, [{ kind: 'grant', bytes: bytes(5) }]);
    files.saveNetwork({ networkId: old, secrets: [], invites: bytes(0) });
    files.saveTrust(next, [{ kind: 'grant', bytes: bytes(6) }]);
    assert.equal(files.loadNetwork()!.networkId, old);
    assert.is(files.loadTrust(old).length, 1);
    files.saveNetwork({ networkId: next, secrets: [], invites: bytes(0) });
    assert.equal(files.loadNetwork()!.networkId, next);
    assert.is(files.loadTrust(next)[0]!.bytes.length, 6);
    assert.equal(files.loadTrust(old), []);
  });
});

test('items of a kind that only a newer program knows are passed over', async () => {
  await withFolder(folder => {
    const files = new StateFiles(openHome(folder));
    const id = bytes(32);
    files.saveTrust(id, [
      { kind: 'constructor' as TrustItem['kind'], bytes: bytes(5) },
      { kind: 'role', bytes: bytes(6) },
    ]);
    assert.equal(
      files.loadTrust(id).map(item => item.kind),
      ['role'],
    );
  });
});

test('the trust file of another network under this name is refused', async () => {
  await withFolder(folder => {
    const paths = openHome(folder);
    const files = new StateFiles(paths);
    const one = bytes(32);
    files.saveTrust(one, []);
    const twin = Uint8Array.from(one);
    twin[31]! ^= 1;
    assert.match(refused(() => files.loadTrust(twin)).message, /another network/);
  });
});

test('a registry version is on the disk before it is used, and never falls, whatever the clock does', async () => {
  await withFolder(folder => {
    const paths = openHome(folder);
    const files = new StateFiles(paths);
    assert.is(files.nextRegistryVersion(1000), 1000);
    assert.is(new StateFiles(paths).loadMemory().registryVersion, 1000);
    assert.is(files.nextRegistryVersion(10), 1001);
    assert.is(files.nextRegistryVersion(1001.7), 1002);
    const broken = new StateFiles(paths, fullDisk);
    refused(() => broken.nextRegistryVersion(9999), 'disk');
    assert.is(files.loadMemory().registryVersion, 1002);
  });
});

test('memory with a port outside 1–65535 is refused', async () => {
  await withFolder(folder => {
    const paths = openHome(folder);
    const files = new StateFiles(paths);
    files.saveMemory({ ...EMPTY_MEMORY, ports: { a: 5 } });
    const text = fs.readFileSync(paths.memory, 'utf8');
    fs.writeFileSync(join(paths.memory), text.replace('"a": 5', '"a": 70000'));
    assert.match(refused(() => new StateFiles(paths).loadMemory()).message, /damaged at ports\.a/);
  });
});

test('what is remembered is read once: later no lack of descriptors can keep it from being known', async () => {
  await withFolder(folder => {
    const paths = openHome(folder);
    const files = new StateFiles(paths);
    files.saveMemory({ ...EMPTY_MEMORY, removed: ['somebody'] });
    fs.chmodSync(paths.memory, 0o644);
    assert.equal(files.loadMemory().removed, ['somebody']);
    const failing = new StateFiles(paths, fullDisk);
    fs.chmodSync(paths.memory, 0o600);
    assert.equal(failing.loadMemory().removed, ['somebody']);
    refused(() => failing.saveMemory(EMPTY_MEMORY), 'disk');
    assert.equal(failing.loadMemory().removed, ['somebody'], 'what could not be written does not hold');
  });
});

test.run();
