/** A home is copied, and the copy runs: what it can do, how it is found out, and what the owner does about it. */
import { rmSync } from 'node:fs';
import { join } from 'node:path';
import { toHex } from '../../../protocol/bytes.js';
import { loadPrimitives } from '../../../protocol/crypto/load.js';
import type { WarrenError } from '../../../protocol/errors.js';
import { CLOCK_TOLERANCE_MS } from '../../../protocol/identity/grant.js';
import { issueGrant } from '../../../protocol/identity/issue.js';
import { keyCommitment } from '../../../protocol/identity/statement.js';
import { forkWords, outrunWords } from '../../../daemon/keys/fork-words.js';
import type { AuthorityOptions } from '../../../daemon/peers/authority.js';
import { RENEWAL_MS } from '../../../daemon/peers/renewal.js';
import { assert, seed, suite } from '../../helpers/suite.js';
import type { MemoryNode } from '../peers/memory-node.js';
import { Members, seqAt } from './members.js';

const test = suite('stolen homes');
/** What is told reaches who is connected within this, ms. */
const SOON_MS = 2_000;
const HOUR = 3_600_000;
const primitives = await loadPrimitives();

/** F founds, A and B are members; `copy` is a copy of A's home. */
async function scene(label: string): Promise<{ members: Members; f: MemoryNode; a: MemoryNode; b: MemoryNode }> {
  const members = await Members.make(`${seed()} ${label}`, ['f', 'a', 'b']);
  assert.is.not(await members.until(() => members.isWhole(), 10_000), undefined);
  const [f, a, b] = ['f', 'a', 'b'].map(name => members.get(name));
  return { members, f: f!, a: a!, b: b! };
}

function hasFork(at: MemoryNode, of: MemoryNode): boolean {
  return at.network.trust.openForks().some(fork => toHex(fork.node) === toHex(of.network.nodeId));
}

async function checkRejects(work: Promise<unknown>, code: string): Promise<void> {
  const error = await work.then(
    () => undefined,
    (reason: unknown) => reason,
  );
  assert.is((error as WarrenError | undefined)?.code, code);
}

/** The words that the owner of `node` reads in `doctor`. */
function advice(node: MemoryNode): string {
  const fork = node.network.trust.openForks()[0];
  assert.ok(fork);
  return forkWords(node.network.trust, node.keyring, fork).hint;
}

/** As `warren keys settle` does it, by what the advice says. */
function settle(admin: MemoryNode, forked: MemoryNode, hint: string): void {
  const prefix = /settle \S+ ([0-9a-f]+)/.exec(hint)![1]!;
  const fork = admin.network.trust.openForks()[0]!;
  const branch = fork.branches.find(({ hash }) => toHex(hash).startsWith(prefix));
  admin.network.authority.settle(forked.network.nodeId, branch!.hash);
}

test('a copy beside the original: seen at once; after a compromised rotation it gets nowhere, not even by way of who was away', async () => {
  const { members, f, a, b } = await scene('copy');
  const copy = await members.copy('a', 'x');
  const talk = members.talk(b, a);
  await members.run(1_000);
  copy.peers.follow();
  assert.is.not(
    await members.until(() => [f, b].some(node => node.alarms.some(s => s.includes('two hosts run as'))), 30_000),
    undefined,
  );
  members.sleep('f');
  await a.rotations.rotate({ reason: 'compromised' });
  const refused = await members.until(() => members.linksFrom(b, copy) === 0 && seqAt(b, a) === 1, SOON_MS);
  assert.is.not(refused, undefined);
  await members.run(60_000);
  assert.is(members.linksFrom(b, copy), 0);
  assert.is(talk.ended, undefined, 'streams of the original go on');
  const before = talk.answers;
  await members.run(1_000);
  assert.ok(talk.answers > before);

  // F was away: B tells it, before or after it has met the copy.
  members.separate('a');
  const again = await members.wake('f');
  assert.is.not(await members.until(() => members.linked(again, b), 30_000), undefined);
  assert.is.not(await members.until(() => members.linksFrom(again, copy) === 0, SOON_MS), undefined);
  await members.run(60_000);
  assert.is(members.linksFrom(again, copy), 0);
  members.stop();
});

test('the statement is told on the links that it ends: nobody can come in between', async () => {
  const { members, f, a, b } = await scene('told');
  const isCut = ({ lines }: MemoryNode): boolean =>
    lines.some(({ event, fields }) => event === 'link-down' && fields.code === 'key-compromised');
  await a.rotations.rotate({ reason: 'compromised' });
  for (const node of [f, b]) {
    assert.is.not(await members.until(() => isCut(node), SOON_MS), undefined);
    assert.is(seqAt(node, a), 1);
  }
  members.stop();
});

test('who meets the copy alone takes it for the original, until it meets anybody who knows', async () => {
  const { members, f, a, b } = await scene('alone');
  const copy = await members.copy('a', 'x');
  members.sleep('b');
  members.separate('b', 'f');
  members.separate('b', 'a');
  await a.rotations.rotate({ reason: 'compromised' });
  await members.until(() => seqAt(f, a) === 1, SOON_MS);
  const returned = await members.wake('b');
  copy.peers.follow();
  assert.is.not(await members.until(() => members.linksFrom(returned, copy) > 0, 60_000), undefined);
  await members.run(5_000);
  members.join('b', 'f');
  assert.is.not(await members.until(() => members.linked(returned, f), 60_000), undefined);
  assert.is.not(await members.until(() => members.linksFrom(returned, copy) === 0, SOON_MS), undefined);
  await members.run(60_000);
  assert.is(members.linksFrom(returned, copy), 0);
  assert.is(seqAt(returned, a), 1);
  members.stop();
  void b;
});

test('with a detached next key the copy can make no statement', async () => {
  const { members, f, a, b } = await scene('detached');
  const nextFile = join(a.root, '..', `${seed()}-next`);
  await a.rotations.rotate({ reason: 'routine', nextFile, passphrase: 'the owner alone' });
  await members.run(500);
  const copy = await members.copy('a', 'x');
  await checkRejects(copy.rotations.rotate({ reason: 'routine' }), 'bad-value');
  await checkRejects(copy.rotations.rotate({ reason: 'compromised' }), 'bad-value');
  // With a key of its own instead of the committed one it does not even begin.
  assert.throws(() =>
    copy.keyring.make({ reason: 'compromised', time: members.now, next: new Uint8Array(32).fill(7) }),
  );
  await a.rotations.rotate({ reason: 'compromised', nextFile, passphrase: 'the owner alone' });
  assert.is.not(await members.until(() => seqAt(f, a) === 2 && seqAt(b, a) === 2, SOON_MS), undefined);
  copy.peers.follow();
  await members.run(30_000);
  assert.is(members.linksFrom(b, copy) + members.linksFrom(f, copy), 0);
  assert.ok(members.linked(a, b) && members.linked(a, f));
  members.stop();
  rmSync(nextFile);
});

test('a daemon that the thief has changed may say what it likes: no peer takes a statement by another key', async () => {
  const { members, f, a, b } = await scene('made up');
  const nextFile = join(a.root, '..', `${seed()}-made-up`);
  await a.rotations.rotate({ reason: 'routine', nextFile, passphrase: 'the owner alone' });
  await members.run(500);
  for (const reason of ['routine', 'compromised'] as const) {
    const copy = await members.copy('a', `x ${reason}`);
    const own = new Uint8Array(32).fill(7);
    const { head } = copy.keyring;
    const next = keyCommitment(primitives, primitives.ed25519.fromSeed(own).publicKey);
    Object.defineProperty(copy.keyring, 'head', { get: () => ({ ...head, next }) });
    const { statement } = copy.keyring.make({ reason, time: members.now + 1_000, next: own });
    // To whom it is told by others, and to whom it is shown in the handshake.
    const [result] = f.network.learn([{ kind: 'statement', bytes: statement }], b.network.nodeId);
    assert.is(result!.status, 'refused');
    copy.keyring.commit(copy.keyring.make({ reason, time: members.now + 1_000, next: own }));
    members.sleep('a');
    copy.peers.follow();
    await members.run(30_000);
    assert.is(members.linksFrom(b, copy) + members.linksFrom(f, copy), 0);
    assert.equal([seqAt(f, a), seqAt(b, a)], [1, 1]);
    assert.ok(f.lines.some(({ event }) => event === 'item-refused'));
    copy.sleep();
    await members.wake('a');
  }
  members.stop();
  rmSync(nextFile);
});

test('who meets nobody but the copy takes it for the original until the grant is over', async () => {
  const { members, f, a } = await scene('life');
  const { authority, trust } = f.network;
  const { pen, options } = authority as unknown as { pen: Parameters<typeof issueGrant>[1]; options: AuthorityOptions };
  const life = 3 * HOUR;
  options.keep([issueGrant(trust, pen, { node: a.network.nodeId, name: 'a', life })]);
  await members.run(SOON_MS);
  const copy = await members.copy('a', 'x');
  for (const name of ['f', 'a', 'b']) members.sleep(name);
  await members.run(life + CLOCK_TOLERANCE_MS - HOUR);
  const returned = await members.wake('b');
  returned.renewal.start();
  copy.peers.follow();
  assert.is.not(await members.until(() => members.linksFrom(returned, copy) > 0, 60_000), undefined);
  assert.is.not(await members.until(() => members.linksFrom(returned, copy) === 0, HOUR + RENEWAL_MS), undefined);
  await members.run(60_000);
  assert.is(members.linksFrom(returned, copy), 0);
  members.stop();
});

test('both rotate: each peer stays with what it saw first, all hear of it, the owner too; what doctor says heals it', async () => {
  const { members, f, a, b } = await scene('fork');
  const copy = await members.copy('a', 'x');
  members.separate('a', 'b');
  members.separate('f', 'x');
  members.separate('f', 'b');
  copy.peers.follow();
  await members.until(() => members.linksFrom(b, copy) > 0, 60_000);
  await copy.rotations.rotate({ reason: 'routine' });
  await a.rotations.rotate({ reason: 'routine' });
  await members.until(() => seqAt(f, a) === 1 && seqAt(b, a) === 1, 60_000);
  const first = [f, b].map(node => toHex(node.network.trust.head(a.network.nodeId)!.hash));
  assert.is.not(first[0], first[1], 'they saw different ones');
  members.join('f', 'b');
  const spread = await members.until(() => hasFork(f, a) && hasFork(b, a) && hasFork(a, a), 30_000);
  assert.is.not(spread, undefined, 'the proof reaches the others, and the owner');
  assert.equal(
    [f, b].map(node => toHex(node.network.trust.head(a.network.nodeId)!.hash)),
    first,
  );
  for (const node of [f, a, b]) assert.ok(node.alarms.some(s => s.includes('forked')));

  await checkRejects(a.rotations.rotate({ reason: 'compromised' }), 'denied');
  assert.match(forkWords(f.network.trust, f.keyring, f.network.trust.openForks()[0]!).hint, /keys settle a HASH/);
  settle(f, a, advice(a));
  members.join('a', 'b');
  members.join('f', 'x');
  assert.is.not(await members.until(() => !hasFork(a, a) && !hasFork(b, a), 60_000), undefined);
  await a.rotations.rotate({ reason: 'compromised' });
  assert.is.not(await members.until(() => members.linked(a, f) && members.linked(a, b), 60_000), undefined);
  await members.run(90_000);
  assert.equal([seqAt(f, a), seqAt(b, a)], [2, 2]);
  assert.is(members.linksFrom(b, copy) + members.linksFrom(f, copy), 0);
  assert.ok(members.linked(a, f) && members.linked(a, b));
  members.stop();
});

test('the copy rotates first: the owner is told that somebody did, rotates, has it settled, and is back', async () => {
  for (const reason of ['routine', 'compromised'] as const) {
    const { members, f, a, b } = await scene(`first ${reason}`);
    const copy = await members.copy('a', 'x');
    members.sleep('a');
    copy.peers.follow();
    assert.is.not(await members.until(() => members.linksFrom(b, copy) > 0, 60_000), undefined);
    await copy.rotations.rotate({ reason });
    await members.until(() => seqAt(f, a) === 1 && seqAt(b, a) === 1, 60_000);
    const owner = await members.wake('a');
    const told = await members.until(() => outrunWords(owner.network.trust, owner.keyring) !== undefined, 60_000);
    assert.is.not(told, undefined);
    assert.ok(owner.alarms.some(s => s.includes('another host has rotated')));
    await owner.rotations.rotate({ reason: 'routine' });
    assert.is.not(await members.until(() => hasFork(f, a) && hasFork(owner, a), 60_000), undefined);
    const hint = advice(owner);
    assert.ok(hint.includes(toHex(owner.keyring.head.hash).slice(0, 16)), "the owner's branch, not the thief's");
    settle(f, owner, hint);
    assert.is.not(await members.until(() => !hasFork(owner, a) && !hasFork(b, a), 60_000), undefined);
    await owner.rotations.rotate({ reason: 'compromised' });
    assert.is.not(await members.until(() => members.linked(owner, f) && members.linked(owner, b), 60_000), undefined);
    await members.run(60_000);
    assert.is(members.linksFrom(b, copy) + members.linksFrom(f, copy), 0);
    members.stop();
  }
});

test("an admin's word on either branch counts for nothing after the fork", async () => {
  const { members, f, a, b } = await scene('admin fork');
  f.network.authority.setRole(a.network.nodeId, 'promote');
  await members.until(() => a.network.isAdmin && b.network.trust.isAdmin(a.network.nodeId), SOON_MS);
  const copy = await members.copy('a', 'x');
  members.sleep('a');
  copy.peers.follow();
  await members.until(() => members.linksFrom(b, copy) > 0, 60_000);
  await copy.rotations.rotate({ reason: 'routine' });
  copy.network.authority.setRole(b.network.nodeId, 'promote');
  await members.until(() => f.network.trust.isAdmin(b.network.nodeId), SOON_MS);
  assert.ok(f.network.trust.isAdmin(b.network.nodeId), 'as long as nobody knows of the fork');
  const owner = await members.wake('a');
  await owner.rotations.rotate({ reason: 'routine' });
  await members.until(() => hasFork(f, a) && hasFork(b, a), 60_000);
  for (const node of [f, b]) assert.not(node.network.trust.isAdmin(b.network.nodeId));
  members.stop();
});

test('a fork of the founder cannot be settled, and the words say so', async () => {
  const { members, f, a } = await scene('founder');
  const copy = await members.copy('f', 'x');
  members.sleep('f');
  copy.peers.follow();
  await members.until(() => members.linksFrom(a, copy) > 0, 60_000);
  await copy.rotations.rotate({ reason: 'routine' });
  await members.until(() => seqAt(a, f) === 1, 60_000);
  const owner = await members.wake('f');
  await owner.rotations.rotate({ reason: 'routine' });
  assert.is.not(await members.until(() => hasFork(a, owner) && hasFork(owner, owner), 60_000), undefined);
  assert.match(advice(owner), /found a new network/);
  assert.match(advice(a), /found a new network/);
  assert.throws(() => a.network.authority.settle(f.network.nodeId, owner.keyring.head.hash));
  members.stop();
});

test.run();
