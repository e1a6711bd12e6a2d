/**
 * A copy of a home and the original both rotate: what each peer sees and says, and that the owner heals it by running
 * what `warren doctor` tells.
 */
import type { DoctorReply, RotateReply } from '../../protocol/admin/contract.js';
import { connected, Lab, until, type Host } from '../helpers/hosts.js';
import { hasLinks, Neighbours, NEIGHBOURS_NEEDS, peerOf, REDIAL_MS, SOON_MS, took } from '../helpers/neighbours.js';
import { assert, suite } from '../helpers/suite.js';

const test = suite('forks on hosts');
const lab = new Lab();
const OPTIONS = { needs: NEIGHBOURS_NEEDS, deadline: 300_000 };

test.after(() => lab.close());

let net: Neighbours;
/** f has founded the network, a is an admin, b is a member; x is the thief's */
let f: Host;
let a: Host;
let b: Host;
let x: Host;
/** new hosts: one is let in by the thief, the other one by the owner */
let m: Host;
let n: Host;

test.before(async () => {
  if (process.getuid?.() !== 0) return;
  const names = ['host-f', 'host-a', 'host-b', 'host-x', 'host-m', 'host-n'];
  net = await Neighbours.make(lab, '10.85.0', names);
  [f, a, b, x, m, n] = names.map(name => net.host(name)) as [Host, Host, Host, Host, Host, Host];
  await f.up();
  await Promise.all([a, b].map(async host => host.up(['--join', await f.ok(['invite'])])));
  await connected(b, a.name);
  await f.ok(['peer', 'promote', a.name]);
  await until('a is an admin everywhere', async () => (await a.live()).node.admin && (await peerOf(b, a.name))?.admin);
});

async function seqAt(host: Host): Promise<number> {
  return (await peerOf(host, a.name))?.seq ?? -1;
}

async function warns(host: Host, words: RegExp): Promise<boolean> {
  return (await host.live()).warnings.some(warning => words.test(warning));
}

/** What `warren doctor` finds about key logs. */
async function findings(host: Host): Promise<{ message: string; hint: string }[]> {
  const { checks } = await host.json<DoctorReply>(['doctor']);
  return checks
    .filter(({ name, state }) => name === 'key log' && state === 'problem')
    .map(({ message, hint = '' }) => ({ message, hint }));
}

/** The commands between the words of a hint, without `warren`. */
function commandsIn(hint: string): string[][] {
  return [...hint.matchAll(/warren ((?:keys|doctor)[^;,]*)/g)].map(([, words]) => words!.trim().split(' '));
}

/** The owner reads what to do, an admin above does the one thing, the owner the other. */
async function doWhatDoctorSays(): Promise<void> {
  const [finding] = await findings(a);
  assert.match(finding!.message, /the key log of this node is forked/);
  assert.match(finding!.hint, /^have an admin run: .*; then run here: /);
  const [settle, rotate] = commandsIn(finding!.hint);
  assert.is((await a.warren(rotate!)).status, 4, 'not before it is settled');
  await f.ok(settle!);
  const ms = await took('the owner rotates', async () => (await a.warren(rotate!)).status === 0, REDIAL_MS);
  console.log(`note: after the settlement the owner could rotate within ${ms} ms`);
}

async function checkHealed(seq: number): Promise<void> {
  for (const host of [f, b]) {
    await until(`${host.name} follows`, async () => (await seqAt(host)) === seq, REDIAL_MS);
    await connected(host, a.name, REDIAL_MS);
    assert.not(await warns(host, /forked/));
    assert.equal(await findings(host), []);
  }
  assert.equal(await findings(a), []);
  await until(
    'the copy is turned away',
    async () => {
      const others = await Promise.all([f, b].map(host => peerOf(x, host.name)));
      return others.every(p => p === undefined || (p.links.length === 0 && p.problem !== null));
    },
    REDIAL_MS,
  );
}

async function membersAt(host: Host): Promise<string[]> {
  const { node, peers } = await host.live();
  return [node.name, ...peers.map(p => p.name)].sort();
}

test(
  'both rotate: each peer stays with what it saw first, all hear of it, nothing signed behind counts; doctor heals it',
  async () => {
    await net.split([f, a, n], [b, x, m]);
    net.copyHome(a, x);
    await x.up();
    await until('B takes the copy for A', () => hasLinks(b, a.name), REDIAL_MS);
    const [original, copied] = [
      await a.json<RotateReply>(['keys', 'rotate']),
      await x.json<RotateReply>(['keys', 'rotate']),
    ];
    assert.equal([original.seq, copied.seq], [1, 1]);
    await until('each has seen one', async () => (await seqAt(f)) === 1 && (await seqAt(b)) === 1);
    for (const [admin, joiner, witness] of [
      [a, n, f],
      [x, m, b],
    ] as const) {
      await joiner.up(['--join', await admin.ok(['invite'])]);
      await until(`${witness.name} knows ${joiner.name}`, async () => peerOf(witness, joiner.name));
    }

    await net.join(f, b);
    await until('F and B are connected', () => hasLinks(f, b.name), REDIAL_MS);
    const ms = await took(
      'the proof is everywhere',
      async () => (await Promise.all([f, a, b].map(host => warns(host, /forked/)))).every(Boolean),
      SOON_MS,
    );
    console.log(`note: the proof of a fork reached two peers and the owner ${ms} ms after they were seen to have met`);
    for (const host of [f, b]) {
      assert.equal(await membersAt(host), ['host-a', 'host-b', 'host-f'], 'who was let in behind the fork is nobody');
      const [finding] = await findings(host);
      assert.match(finding!.message, /the key log of host-a is forked at seq 1/);
      for (const { hash } of [original, copied]) assert.ok(finding!.message.includes(hash.slice(0, 16)));
      assert.match(finding!.hint, /ask its owner .*warren keys settle host-a HASH/);
      assert.match(host.log(), /"event":"alarm"[^\n]*forked/);
    }
    await net.joinAll();
    await until(
      'each refuses the other one',
      async () => {
        const [ofOwner, ofCopy] = [await peerOf(a, b.name), await peerOf(x, f.name)];
        return [ofOwner, ofCopy].every(p => p!.links.length === 0 && /fork/.test(p!.problem ?? ''));
      },
      REDIAL_MS,
    );

    await doWhatDoctorSays();
    await checkHealed(2);
    for (const host of [f, b])
      await until(
        'who was let in by the owner is a member, and no other',
        async () => (await membersAt(host)).join(' ') === 'host-a host-b host-f host-n',
      );
    await connected(n, a.name, REDIAL_MS);
  },
  OPTIONS,
);

test(
  'the thief rotates while the owner is away: the owner is told, does what doctor says, twice, and is back',
  async () => {
    await x.ok(['down']);
    await a.ok(['down']);
    net.copyHome(a, x);
    await x.up();
    await until('B takes the copy for A', () => hasLinks(b, a.name), REDIAL_MS);
    await x.ok(['keys', 'rotate', '--reason', 'compromised']);
    await until('both follow the thief', async () => (await seqAt(f)) === 3 && (await seqAt(b)) === 3);
    await a.up();
    await until('the owner is told', () => warns(a, /another host has rotated/), REDIAL_MS);
    const [outrun] = await findings(a);
    const [rotate, doctor] = commandsIn(outrun!.hint).slice(-2);
    assert.equal([rotate, doctor], [['keys', 'rotate'], ['doctor']]);
    await a.ok(rotate!);
    await until(
      'the fork is known',
      async () => (await warns(f, /forked/)) && (await warns(a, /is forked/)),
      REDIAL_MS,
    );
    await doWhatDoctorSays();
    await checkHealed(4);
  },
  { ...OPTIONS, size: 'full' },
);

test.run();
