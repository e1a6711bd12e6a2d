/** What an admin says reaches everybody soon, by way of others too, and what it stands by is never in doubt meanwhile. */
import { issueGrant } from '../../../protocol/identity/issue.js';
import type { TrustItem } from '../../../protocol/identity/trust-item.js';
import type { AuthorityOptions } from '../../../daemon/peers/authority.js';
import { assert, full, seed, suite } from '../../helpers/suite.js';
import type { MemoryNode } from '../peers/memory-node.js';
import { Members } from './members.js';

const test = suite('words of admins');
/** What is told reaches who is connected within this, ms. */
const SOON_MS = 2_000;
const CHAIN = [
  ['a', 'c'],
  ['a', 'd'],
  ['b', 'd'],
] as const;

/** New streams are opened so often, ms, for so long behind the rotation: longer than anything may be in doubt. */
const EVERY_MS = 7;
const MOMENT_MS = 3_000;

/** Every pair that reaches each other, both ways. */
function ends(nodes: readonly MemoryNode[], isChain: boolean): (readonly [MemoryNode, MemoryNode])[] {
  const isApart = (x: MemoryNode, y: MemoryNode): boolean =>
    isChain && CHAIN.some(pair => pair.includes(x.host.name as never) && pair.includes(y.host.name as never));
  return nodes.flatMap(x => nodes.filter(y => y !== x && !isApart(x, y)).map(y => [x, y] as const));
}

/** As the node's own commands sign: this home stands by it. */
function signHere({ network }: MemoryNode, items: readonly TrustItem[]): void {
  const { options } = network.authority as unknown as { options: AuthorityOptions };
  options.keep(items);
}

test('in a chain of links a revocation is everywhere at once: sessions end with `revoked`, and an invite made for it heals that', async () => {
  // E hangs on D, at the far end.
  const apart = [...CHAIN, ['a', 'e'], ['b', 'e'], ['c', 'e']] as const;
  const members = await Members.make(`${seed()} chain`, ['a', 'b', 'c', 'd', 'e'], apart);
  assert.is.not(await members.until(() => members.isWhole(), 20_000), undefined);
  const [a, b, c, d, e] = ['a', 'b', 'c', 'd', 'e'].map(name => members.get(name));
  const talk = members.talk(d!, e!);
  const other = members.talk(d!, c!);
  await members.run(1_000);
  assert.ok(talk.answers > 0);
  a!.network.authority.revoke(e!.network.nodeId);
  const took = await members.until(() => talk.ended !== undefined, SOON_MS);
  assert.is(talk.ended, 'revoked');
  console.log(`note: a revocation took ${took} ms over three links of ${members.net.delayMs} ms each`);
  await members.run(5_000);
  assert.is(members.linksFrom(d!, e!), 0);
  assert.is(other.ended, undefined, 'nobody else is touched');
  for (const node of [b!, c!, d!]) assert.not(node.network.isMember(e!.network.nodeId));
  const pen = (a!.network.authority as unknown as { pen: Parameters<typeof issueGrant>[1] }).pen;
  a!.network.learn([issueGrant(a!.network.trust, pen, { node: e!.network.nodeId, name: 'e' })], undefined);
  assert.is.not(await members.until(() => members.linked(d!, e!), 60_000), undefined, 'admitted anew');
  const again = members.talk(d!, e!);
  await members.run(1_000);
  assert.ok(again.answers > 0);
  members.stop();
});

test('who was away refuses the revoked one at once, once it has met anybody who knows', async () => {
  const members = await Members.make(`${seed()} away`, ['a', 'b', 'c', 'd']);
  assert.is.not(await members.until(() => members.isWhole(), 20_000), undefined);
  const [a, c, d] = ['a', 'c', 'd'].map(name => members.get(name));
  members.sleep('b');
  a!.network.authority.revoke(d!.network.nodeId);
  await members.run(SOON_MS);
  members.separate('a');
  members.separate('b', 'd');
  const b = await members.wake('b');
  assert.is.not(await members.until(() => members.linked(b, c!), 30_000), undefined);
  members.join('b', 'd');
  b.peers.follow();
  d!.peers.follow();
  await members.run(60_000);
  assert.is(members.linksFrom(b, d!), 0);
  assert.not(b.lines.some(({ event, fields }) => event === 'session-up' && fields.node === 'd'));
  members.stop();
});

for (const [grants, isChain] of [
  [0, false],
  [full(60, 300), false],
  [full(60, 300), true],
  [full(60, 2_000), true],
] as const)
  test(`an admin gives up its keys: the members that it stands by, ${grants} and two more, notice nothing${isChain ? ', in a chain' : ''}`, async () => {
    const apart = isChain ? CHAIN : [];
    const members = await Members.make(`${seed()} affirm`, ['f', 'a', 'b', 'c', 'd'], apart, 'a');
    assert.is.not(await members.until(() => members.isWhole(), 20_000), undefined);
    const [f, a, b, c, d] = ['f', 'a', 'b', 'c', 'd'].map(name => members.get(name));
    const { authority, trust } = a!.network;
    const pen = (authority as unknown as { pen: Parameters<typeof issueGrant>[1] }).pen;
    const items: TrustItem[] = [];
    for (let i = 0; i < grants; i++) {
      const node = new Uint8Array(32).fill(1);
      node[0] = i & 0xff;
      node[1] = i >> 8;
      items.push(issueGrant(trust, pen, { node, name: `m${i}` }));
    }
    signHere(a!, items);
    await members.run(5_000);
    const talks = [members.talk(b!, c!), members.talk(c!, d!), members.talk(a!, b!), members.talk(f!, d!)];
    await members.run(1_000);
    const knocks = ends([f!, a!, b!, c!, d!], isChain).map(([x, y]) => members.knock(x, y, EVERY_MS));
    await members.run(100);
    members.net.pieceBytes = 1_400;
    await a!.rotations.rotate({ reason: 'compromised' });
    await members.run(MOMENT_MS);
    for (const knock of knocks) knock.stop();
    await members.run(5_000);
    assert.equal(
      talks.map(talk => talk.ended),
      [undefined, undefined, undefined, undefined],
    );
    for (const knock of knocks) {
      assert.equal(knock.failures, []);
      assert.ok(knock.answers > MOMENT_MS / EVERY_MS, `${knock.answers} answers`);
    }
    for (const node of [f!, a!, b!, c!, d!]) {
      const downs = node.lines.filter(({ event }) => event === 'session-down').map(({ fields }) => fields);
      assert.equal(downs, []);
      assert.is(node.network.trust.members().length, grants + 5);
    }
    members.stop();
  });

test.run();
