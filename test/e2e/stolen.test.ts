/**
 * A copy of a home runs as a daemon of its own, beside the original: how far it gets before and after the owner has
 * rotated with the reason `compromised`, and what it can do when the next key did not lie in the home.
 */
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import type { RotateReply } from '../../protocol/admin/contract.js';
import { connected, Lab, until, type Host } from '../helpers/hosts.js';
import { hasLinks, Neighbours, NEIGHBOURS_NEEDS, peerOf, REDIAL_MS, SOON_MS, took } from '../helpers/neighbours.js';
import { dial, echo, startUnixService } from '../helpers/traffic.js';
import { assert, suite } from '../helpers/suite.js';

const test = suite('stolen homes on hosts');
const lab = new Lab();
const OPTIONS = { needs: NEIGHBOURS_NEEDS, deadline: 240_000 };

test.after(() => lab.close());

let net: Neighbours;
/** f has founded the network, a and b are members, x is the thief's */
let f: Host;
let a: Host;
let b: Host;
let x: Host;

test.before(async () => {
  if (process.getuid?.() !== 0) return;
  net = await Neighbours.make(lab, '10.84.0', ['host-f', 'host-a', 'host-b', 'host-x']);
  [f, a, b, x] = ['host-f', 'host-a', 'host-b', 'host-x'].map(name => net.host(name)) as [Host, Host, Host, Host];
  await f.up();
  await Promise.all([a, b].map(async host => host.up(['--join', await f.ok(['invite'])])));
  await connected(b, a.name);
});

async function seqAt(host: Host): Promise<number> {
  return (await peerOf(host, a.name))?.seq ?? -1;
}

/** The copy begins again with what A's home holds now. */
async function steal(): Promise<void> {
  net.copyHome(a, x);
  await x.up();
}

/** The copy has tried, and both were refused for what it has shown. */
async function isTurnedAway(): Promise<void> {
  await until(
    'the copy is turned away by both',
    async () => {
      const { peers } = await x.live();
      return peers.every(p => p.links.length === 0 && p.problem !== null);
    },
    REDIAL_MS,
  );
}

test(
  'connected peers refuse the copy as soon as the owner has rotated, and the streams of the owner go on',
  async () => {
    await a.ok(['expose', 'echo', await startUnixService(lab, 'echo', echo)]);
    const listen = await f.connect('echo', `unix:${lab.folder}/tunnel.sock`);
    await until('the tunnel is open', async () => (await f.live()).tunnels[0]?.state === 'listening');
    const socket = await dial(listen);
    const answers: string[] = [];
    socket.on('data', (chunk: Buffer) => answers.push(chunk.toString()));
    socket.write('before ');
    await until('the answer', () => answers.join('') === 'before ');

    // B meets the copy alone, and takes it for A.
    await net.part(a, b);
    await net.part(x, f);
    await steal();
    await until('B takes the copy for A', () => hasLinks(b, a.name), REDIAL_MS);
    const begin = performance.now();
    const { seq } = await a.json<RotateReply>(['keys', 'rotate', '--reason', 'compromised']);
    await until('B refuses the copy', async () => (await seqAt(b)) === seq && !(await hasLinks(b, a.name)), SOON_MS);
    const ms = Math.round(performance.now() - begin);
    console.log(`note: B had closed the links of the copy ${ms} ms after the command began`);

    await net.join(x, f);
    await isTurnedAway();
    await net.join(a, b);
    await connected(b, a.name, REDIAL_MS);
    socket.write('after');
    await until('the answer', () => answers.join('') === 'before after');
    socket.destroy();
    assert.equal([await seqAt(f), await seqAt(b)], [seq, seq]);
    await isTurnedAway();
  },
  OPTIONS,
);

test(
  'who was away takes the copy for the original, and refuses it after one catch-up with anybody who knows',
  async () => {
    await x.ok(['down']);
    await b.ok(['down']);
    net.copyHome(a, x);
    const { seq } = await a.json<RotateReply>(['keys', 'rotate', '--reason', 'compromised']);
    await until('F follows', async () => (await seqAt(f)) === seq);
    await net.split([a, f], [b, x]);
    await Promise.all([b.up(), x.up()]);
    await until('B takes the copy for A', () => hasLinks(b, a.name), REDIAL_MS);
    assert.is(await seqAt(b), seq - 1);

    await net.join(f, b);
    await until('B and F are connected', () => hasLinks(b, f.name), REDIAL_MS);
    const ms = await took(
      'B refuses the copy',
      async () => (await seqAt(b)) === seq && !(await hasLinks(b, a.name)),
      SOON_MS,
    );
    console.log(`note: B closed the links of the copy ${ms} ms after it was seen to have met F`);
    await net.joinAll();
    await connected(b, a.name, REDIAL_MS);
    await isTurnedAway();
  },
  OPTIONS,
);

test(
  'with the next key in a file the copy makes no statement, and the owner does',
  async () => {
    await x.ok(['down']);
    const file = join(lab.folder, 'a.next');
    const secret = join(lab.folder, 'passphrase');
    const own = join(lab.folder, 'thief.next');
    writeFileSync(secret, 'not in the home\n', { mode: 0o600 });
    const { seq } = await a.json<RotateReply>(['keys', 'detach-next', file, '--passphrase-file', secret]);
    await until('both follow', async () => (await seqAt(f)) === seq && (await seqAt(b)) === seq);
    await steal();
    for (const args of [
      [],
      ['--reason', 'compromised'],
      ['--reason', 'compromised', '--next-key', own, '--passphrase-file', secret],
    ]) {
      const refused = await x.warren(['keys', 'rotate', ...args]);
      assert.equal([refused.status, refused.stdout], [1, '']);
      assert.match(refused.stderr, /^warren: .*next key.*\nhint: .+\n$/);
    }
    // Nor with a key of his own in the place of the one that the statement commits to.
    await x.ok(['down']);
    const keys = join(x.home, 'keys', 'node.json');
    const stolen = readFileSync(keys, 'utf8');
    const held = JSON.parse(stolen) as { body: { signing: string; next: string | null } };
    assert.is(held.body.next, null);
    held.body.next = held.body.signing;
    writeFileSync(keys, JSON.stringify(held));
    await x.up();
    const refused = await x.warren(['keys', 'rotate', '--reason', 'compromised']);
    assert.equal([refused.status, refused.stdout], [1, '']);
    assert.match(refused.stderr, /next key is not the one that the newest statement commits to/);
    await x.ok(['down']);
    writeFileSync(keys, stolen);
    await x.up();

    const rotated = await a.json<RotateReply>([
      ...['keys', 'rotate', '--reason', 'compromised'],
      ...['--next-key', file, '--passphrase-file', secret],
    ]);
    assert.is(rotated.seq, seq + 1);
    await until('both follow', async () => (await seqAt(f)) === seq + 1 && (await seqAt(b)) === seq + 1, SOON_MS);
    await isTurnedAway();
    await connected(b, a.name, REDIAL_MS);
    await connected(f, a.name, REDIAL_MS);
  },
  OPTIONS,
);

test.run();
