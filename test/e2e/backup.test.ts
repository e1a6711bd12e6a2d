/** A lost host comes back on another one: from a backup with its keys, from its next-key file with new ones. */
import * as fs from 'node:fs';
import { join } from 'node:path';
import type { DoctorCheck, DoctorReply, KeyLogReply, KeysReply, Status } from '../../protocol/admin/contract.js';
import { fingerprint } from '../daemon/home/made-home.js';
import { connected, Lab, until, type Host, type Run } from '../helpers/hosts.js';
import { echo, exchange, startService } from '../helpers/traffic.js';
import { assert, suite } from '../helpers/suite.js';

const test = suite('backup and restore');
const lab = new Lab();
let a: Host;
let b: Host;
let pass: string;

test.before(async () => {
  pass = join(lab.folder, 'pass');
  fs.writeFileSync(pass, 'in a safe\n', { mode: 0o600 });
  [a, b] = await lab.pair();
});
test.after(() => lab.close());

const deadline = 240_000;

function refused(result: Run, why: RegExp, status = 1): void {
  assert.is(result.status, status, result.stderr);
  assert.is(result.stdout, '');
  assert.match(result.stderr, /^warren: [^\n]+\nhint: [^\n]+\n$/);
  assert.match(result.stderr, why);
}

const backup = (host: Host, file: string): Promise<Run> =>
  host.warren(['keys', 'backup', file, '--passphrase-file', pass]);
const restore = (host: Host, file: string): Promise<Run> =>
  host.warren(['keys', 'restore', file, '--passphrase-file', pass], { deadline: 60_000 });

async function exposeEcho(host: Host, service: string): Promise<void> {
  await host.ok(['expose', service, String(await startService(lab, echo))]);
}

/** Ends the host's daemon and makes its home vanish. */
async function lose(host: Host): Promise<void> {
  await host.kill();
  fs.rmSync(host.home, { recursive: true });
}

test(
  'a member: the same identity in an empty home, which peers accept, with newer services',
  async () => {
    await exposeEcho(b, 'before');
    const listen = await a.connect('before');
    await until('the service works', async () => (await exchange(listen, 'one')) === 'one');
    const file = join(lab.folder, 'b.backup');
    const made = await backup(b, file);
    assert.equal([made.status, made.stdout], [0, '']);
    assert.is((fs.statSync(file).mode & 0o777).toString(8), '600');
    // Told after the backup was made: the version of the record is beyond what the backup knows.
    await exposeEcho(b, 'after');
    await until('a knows it', async () => (await a.ok(['services'])).includes('after'));
    const before = await b.status();
    await lose(b);

    const restored = await restore(b, file);
    assert.equal([restored.status, restored.stdout], [0, '']);
    assert.match(restored.stderr, /^restored .* \(statement 0\) from a backup of \d{4}-/);
    const after = await b.up();
    assert.is(after.node.id, before.node.id);
    assert.is(after.node.name, before.node.name);
    assert.equal(after.listen, before.listen, 'the port is remembered');
    await connected(b, a.name, 60_000);
    await connected(a, b.name, 60_000);
    await exposeEcho(b, 'newest');
    await until('a believes the newer record', async () => {
      const services = await a.ok(['services']);
      return services.includes('newest') && !services.includes('after');
    });
    await until('streams flow again', async () => (await exchange(listen, 'two')) === 'two', 60_000);
    const generation = (status: Status): string | null => status.node.grantExpires;
    assert.is(generation(await b.status()), generation(before), 'the grant is the one that it had');
  },
  { deadline },
);

test(
  'the founder: it comes back, invites, and is still the admin',
  async () => {
    const file = join(lab.folder, 'a.backup');
    assert.is((await backup(a, file)).status, 0);
    const before = await a.status();
    await lose(a);
    assert.is((await restore(a, file)).status, 0);
    const after = await a.up();
    assert.equal([after.node.id, after.node.admin], [before.node.id, true]);
    await connected(a, b.name, 60_000);
    const c = lab.host('host-c');
    await c.up(['--join', await a.ok(['invite'])]);
    await connected(c, b.name, 60_000);
    await c.ok(['down']);
  },
  { deadline },
);

test(
  'a node with its next key in a file: it comes back with new keys, and its peers follow',
  async () => {
    const d = lab.host('host-d');
    const file = join(lab.folder, 'd.next');
    const token = await a.ok(['invite']);
    await d.up(['--join', token, '--next-key', file, '--next-passphrase-file', pass]);
    await connected(d, a.name, 60_000);
    assert.not.match(fs.readFileSync(join(d.home, 'keys', 'node.json'), 'utf8'), /"next": "/);
    assert.is((fs.statSync(file).mode & 0o777).toString(8), '600');
    assert.not.ok(fs.existsSync(`${file}.following`));
    const before = await d.status();
    await lose(d);

    const used = fs.readFileSync(file);
    const restored = await restore(d, file);
    assert.is(restored.status, 0, restored.stderr);
    assert.match(restored.stderr, /\(statement 1\) from its next-key file/);
    assert.not.equal(fs.readFileSync(file), used, 'the file holds the key after that one');
    await d.ok(['up', '--detach'], { deadline: 60_000 });
    const after = await d.status();
    assert.equal([after.node.id, after.node.name, after.node.seq], [before.node.id, before.node.name, 1]);
    await connected(d, a.name, 60_000);
    const log = await d.json<KeyLogReply>(['keys', 'log']);
    assert.equal(
      log.statements.map(s => s.reason),
      ['inception', 'compromised'],
    );
    await until('a follows', async () => (await a.status()).peers.some(p => p.name === 'host-d' && p.seq === 1));
    await d.ok(['down']);
  },
  { deadline },
);

test(
  'a next-key file of before a join: it leads back to the old network, which is said, until it is written anew',
  async () => {
    const e = lab.host('host-e');
    const file = join(lab.folder, 'e.next');
    await e.up(['--next-key', file, '--next-passphrase-file', pass]);
    const nextKey = async (): Promise<readonly [string, DoctorCheck]> => {
      const { checks } = await e.json<DoctorReply>(['doctor']);
      return [(await e.json<KeysReply>(['keys', 'show'])).nextKey, checks.find(({ name }) => name === 'next key')!];
    };
    const [before, fresh] = await nextKey();
    assert.equal([before, fresh.state], [`in ${file}`, 'ok']);
    await e.ok(['join', await a.ok(['invite'])]);
    await connected(e, a.name, 60_000);
    const [stale, warning] = await nextKey();
    assert.match(stale, /names a network that this node has left; write it anew: warren keys rotate --next-key /);
    assert.is(warning.state, 'warning');
    assert.match(warning.message, /a restore from it leads back there/);
    assert.is(warning.hint, `write it anew: warren keys rotate --next-key ${file}`);
    await e.ok(['keys', 'rotate', '--next-key', file, '--passphrase-file', pass]);
    const [after, good] = await nextKey();
    assert.equal([after, good.state], [`in ${file}`, 'ok']);
    await e.kill();
    await e.ok(['up', '--detach']);
    assert.equal((await nextKey())[0], `in ${file}`, 'after a start too');
    await e.ok(['down']);
  },
  { deadline },
);

test(
  'what cannot be restored or saved: one sentence each, and nothing has changed',
  async () => {
    const file = join(lab.folder, 'once.backup');
    assert.is((await backup(b, file)).status, 0);
    const text = fs.readFileSync(file, 'utf8');
    refused(await backup(b, file), /exists already/);
    refused(await backup(b, join(lab.folder, 'none', 'x')), /there is no folder/);
    refused(await b.warren(['keys', 'backup', `${file}2`]), /no passphrase was given/);
    assert.is(fs.readFileSync(file, 'utf8'), text);
    const nobody = lab.host('nobody');
    refused(await backup(nobody, `${file}2`), /no daemon runs/, 3);
    refused(await restore(nobody, join(lab.folder, 'none')), /there is no file/);
    refused(await nobody.warren(['keys', 'restore', file]), /none was given/);
    const wrong = join(lab.folder, 'wrong');
    fs.writeFileSync(wrong, 'not it', { mode: 0o600 });
    refused(await nobody.warren(['keys', 'restore', file, '--passphrase-file', wrong]), /the passphrase does not open/);
    fs.writeFileSync(`${file}.cut`, text.slice(0, -40));
    refused(await restore(nobody, `${file}.cut`), /damaged/);
    refused(await restore(nobody, join(b.home, 'keys', 'node.json')), /holds "warren-keys"/);
    assert.not.ok(fs.existsSync(nobody.home), 'no home was made');

    const keys = fingerprint(join(b.home, 'keys'));
    refused(await restore(b, file), /has an identity already/);
    await b.ok(['down']);
    refused(await restore(b, file), /has an identity already/);
    assert.equal(fingerprint(join(b.home, 'keys')), keys);
  },
  { deadline },
);

test.run();
