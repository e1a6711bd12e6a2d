/** Keys are rotated from the command line while everything runs: nothing is lost, and no old key is left. */
import { createHash } from 'node:crypto';
import { cpSync, lstatSync, readFileSync, writeFileSync } from 'node:fs';
import type net from 'node:net';
import { join } from 'node:path';
import type { KeyLogReply, KeysReply, RotateReply } from '../../protocol/admin/contract.js';
import { Lab, connected, until, type Host } from '../helpers/hosts.js';
import { dial, exchange, echo, readAll, sendBytes, startService } from '../helpers/traffic.js';
import { assert, full, suite } from '../helpers/suite.js';

const test = suite('rotation');
const lab = new Lab();
const MIB = 1024 * 1024;
/** Links made with old keys are gone within a minute. */
const REPLACED_MS = 60_000;

let a: Host;
let b: Host;

test.before(async () => {
  [a, b] = await lab.pair();
});
test.after(() => lab.close());

async function service(name: string, onConnection: (socket: net.Socket) => void): Promise<string> {
  const port = await startService(lab, onConnection);
  await a.ok(['expose', name, String(port)]);
  const listen = await b.connect(name);
  await until(`${name} is there`, async () =>
    (await b.status()).tunnels.some(t => t.service === name && t.state === 'listening'),
  );
  return listen;
}

interface KeyFile {
  readonly body: { readonly noise: string; readonly signing: string; readonly next: string | null };
}

function keyFile(host: Host): KeyFile {
  return JSON.parse(readFileSync(join(host.home, 'keys', 'node.json'), 'utf8')) as KeyFile;
}

/** ms since the epoch */
async function lastRotation(host: Host): Promise<number> {
  return Date.parse((await host.json<KeyLogReply>(['keys', 'log'])).statements.at(-1)!.time);
}

test(
  'both ends rotate again and again under load, also in the same second: no byte is lost, no request fails',
  async () => {
    const rotations = full(3, 20);
    const total = full(48, 1024) * MIB;
    const seen: Promise<{ bytes: number; sha256: string }>[] = [];
    const bulk = await service('bulk', socket => void seen.push(readAll(socket)));
    const requests = await service('requests', echo);
    const before = [keyFile(a), keyFile(b)];
    const held = await dial(await service('held', echo));
    held.write('before');

    let isOver = false;
    const failures: string[] = [];
    const clients = Array.from({ length: full(10, 50) }, async (_, i) => {
      for (let n = 0; !isOver; n++) {
        const wanted = `client ${i} request ${n}`;
        const got = await exchange(requests, wanted).catch((error: unknown) => String(error));
        if (got !== wanted) failures.push(got);
        await new Promise(resolve => setTimeout(resolve, 50));
      }
    });
    const socket = await dial(bulk);
    const sending = sendBytes(socket, total);
    for (let i = 0; i < rotations; i++) {
      // Both at once, then one alone.
      if (i % 2 === 0) await Promise.all([a.ok(['keys', 'rotate']), b.ok(['keys', 'rotate'])]);
      else await a.ok(['keys', 'rotate']).then(() => b.ok(['keys', 'rotate']));
    }
    const sha256 = await sending;
    assert.is((await seen[0]!).bytes, total);
    assert.is((await seen[0]!).sha256, sha256);
    isOver = true;
    await Promise.all(clients);
    assert.equal(failures, []);
    held.end(' and after');
    assert.is((await readAll(held)).text, 'before and after');

    for (const host of [a, b]) {
      const { statements } = await host.json<KeyLogReply>(['keys', 'log']);
      assert.is(statements.length, rotations + 1);
      assert.ok(statements.slice(1).every(s => s.reason === 'routine'));
    }
    for (const [i, host] of [a, b].entries()) {
      const text = readFileSync(join(host.home, 'keys', 'node.json'), 'utf8');
      assert.not(text.includes(before[i]!.body.noise), 'the old Noise key is gone from the disk');
      assert.not(text.includes(before[i]!.body.signing), 'the old signing key is gone from the disk');
    }
    await until('each knows the newest statement of the other', async () => {
      const [one, two] = [await a.status(), await b.status()];
      return one.peers[0]?.seq === rotations && two.peers[0]?.seq === rotations;
    });
    const newest = Math.max(...(await Promise.all([a, b].map(lastRotation))));
    const ages = async (): Promise<number[]> =>
      (await a.status()).peers[0]!.links.map(link => Date.parse(link.since) - newest);
    await until(
      'links are replaced',
      async () => (await ages()).length >= 2 && (await ages()).every(age => age >= 0),
      2 * REPLACED_MS,
    );
    const last = Math.max(...(await ages()));
    console.log(`note: the last link was replaced ${(last / 1000).toFixed(1)} s after the last rotation`);
  },
  { deadline: full(180_000, 900_000) },
);

test(
  'after --reason compromised a copy of the home from before gets no link any more, and open streams go on',
  async () => {
    const listen = await service('stays', echo);
    const socket = await dial(listen);
    socket.write('one');
    await a.ok(['down']);
    const copy = lab.host('copy');
    cpSync(a.home, copy.home, { recursive: true, filter: file => !lstatSync(file).isSocket() });
    await a.up();
    await connected(b, 'host-a');
    socket.destroy();
    const again = await dial(listen);
    again.write('one');
    const reply = await a.json<RotateReply>(['keys', 'rotate', '--reason', 'compromised']);
    assert.is(reply.reason, 'compromised');
    assert.equal(reply.notAffirmed, [], 'this home has signed its members itself');
    again.end(' two');
    assert.is((await readAll(again)).text, 'one two');
    await connected(b, 'host-a');
    assert.is((await b.status()).peers.length, 1);

    await a.ok(['down']);
    await copy.up(['--listen', '127.0.0.1:0']);
    await new Promise(resolve => setTimeout(resolve, 4_000));
    const peer = (await b.status()).peers.find(p => p.name === 'host-a')!;
    assert.is(peer.links.length, 0, 'the copy is refused');
    await copy.ok(['down']);
    await a.up();
    await connected(b, 'host-a');
    assert.is(
      createHash('sha256')
        .update(await exchange(listen, 'x'))
        .digest('hex').length,
      64,
    );
  },
  { deadline: 120_000 },
);

test('with the next key in a file, only who has the file and its passphrase rotates', async () => {
  const file = join(lab.folder, 'host-b.next');
  const secret = join(lab.folder, 'passphrase');
  const wrong = join(lab.folder, 'wrong');
  writeFileSync(secret, 'correct horse battery staple\n', { mode: 0o600 });
  writeFileSync(wrong, 'incorrect horse\n', { mode: 0o600 });
  const { seq } = await b.json<RotateReply>(['keys', 'detach-next', file, '--passphrase-file', secret]);
  const { nextKeyFile } = await b.json<KeysReply>(['keys', 'show']);
  assert.is(nextKeyFile, file);
  assert.is(keyFile(b).body.next, null, 'the home does not hold it');
  const before = readFileSync(file);
  for (const args of [
    [],
    ['--next-key', file, '--passphrase-file', wrong],
    ['--next-key', `${file}x`, '--passphrase-file', secret],
  ]) {
    const result = await b.warren(['keys', 'rotate', ...args]);
    assert.equal([result.status, result.stdout], [1, '']);
    assert.match(result.stderr, /^warren: .+\nhint: .+\n$/);
  }
  assert.ok(readFileSync(file).equals(before), 'the file is as it was');
  const again = await b.json<RotateReply>(['keys', 'rotate', '--next-key', file, '--passphrase-file', secret]);
  assert.is(again.seq, seq + 1);
  assert.not(readFileSync(file).equals(before), 'the following key has taken its place');
  await until('host-a follows', async () => (await a.status()).peers.find(p => p.name === 'host-b')?.seq === seq + 1);
  await connected(a, 'host-b');
});

test('a new network secret reaches who is connected at once, and who was away when it comes back', async () => {
  const c = lab.host('host-c');
  await c.up(['--join', await a.ok(['invite'])]);
  await connected(a, 'host-c');
  await connected(b, 'host-c');
  await c.ok(['down']);
  const { networkSecretEpoch, reason } = await a.json<RotateReply>(['keys', 'rotate', '--network-secret']);
  assert.equal([networkSecretEpoch, reason], [1, null]);
  const secrets = (host: Host): number =>
    (JSON.parse(readFileSync(join(host.home, 'keys', 'network.json'), 'utf8')) as { body: { secrets: unknown[] } }).body
      .secrets.length;
  await until('host-b has it', () => secrets(b) === 2);
  await c.up();
  await connected(a, 'host-c', 60_000);
  await connected(b, 'host-c', 60_000);
  assert.is(secrets(c), 2);
});

test('revoked nodes lose their streams and are refused; an invite made for them admits them anew', async () => {
  const d = lab.host('host-d');
  await d.up(['--join', await a.ok(['invite'])]);
  await connected(b, 'host-d');
  const port = await startService(lab, echo);
  await d.ok(['expose', 'of-d', String(port)]);
  const listen = await b.connect('of-d');
  await until('of-d is there', async () => (await exchange(listen, 'x').catch(() => '')) === 'x');
  const socket = await dial(listen);
  socket.write('x');
  const broken = new Promise(resolve => socket.once('close', resolve));
  await a.ok(['keys', 'revoke', 'host-d']);
  await broken;
  await until(
    'host-b knows',
    async () => !(await b.status()).peers.some(p => p.name === 'host-d' && p.links.length > 0),
  );
  const refused = await b.warren(['keys', 'revoke', 'host-a']);
  assert.is(refused.status, 4);
  const token = await a.ok(['invite', '--for', 'host-d']);
  assert.is((await b.warren(['join', token])).status, 1);
  await d.ok(['join', token]);
  await connected(b, 'host-d');
  await until('of-d is there again', async () => (await exchange(listen, 'y').catch(() => '')) === 'y');
});

test('an admin more: it invites, promotes and revokes while the founder is away', async () => {
  await a.ok(['peer', 'promote', 'host-b']);
  await until('host-b is an admin', async () => (await b.status()).node.admin);
  await a.ok(['down']);
  const e = lab.host('host-e');
  await e.up(['--join', await b.ok(['invite'])]);
  await b.ok(['peer', 'promote', 'host-e']);
  await b.ok(['peer', 'demote', 'host-e']);
  await b.ok(['keys', 'revoke', 'host-e']);
  assert.is((await b.warren(['peer', 'demote', 'host-a'])).status, 4);
  assert.is((await b.warren(['keys', 'revoke', 'host-b'])).status, 1);
  await a.up();
  await until('the founder follows', async () => !(await a.status()).peers.some(p => p.name === 'host-e'), 30_000);
});

test.run();
