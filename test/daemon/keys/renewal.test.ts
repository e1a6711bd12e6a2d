/** Grants are renewed at half life by any admin that is met, in virtual time; who was away for longer is let in again. */
import { GRANT_LIFE_MS } from '../../../protocol/identity/issue.js';
import { RENEWAL_MS } from '../../../daemon/peers/renewal.js';
import { assert, seed, suite } from '../../helpers/suite.js';
import type { MemoryNode } from '../peers/memory-node.js';
import { Members } from './members.js';

const test = suite('renewal of grants');
const HOUR = 3_600_000;
const DAY = 24 * HOUR;
const ALL = ['f', 'a', 'b', 'c'] as const;

/** F has founded the network, A is an admin more, B and C are members. All sleep then. */
async function asleep(label: string): Promise<Members> {
  const members = await Members.make(`${seed()} ${label}`, ALL);
  assert.is.not(await members.until(() => members.isWhole(), 20_000), undefined);
  const [f, a] = [members.get('f'), members.get('a')];
  f.network.authority.setRole(a.network.nodeId, 'promote');
  await members.run(5_000);
  for (const name of ALL) members.sleep(name);
  return members;
}

async function wake(members: Members, ...names: readonly string[]): Promise<MemoryNode[]> {
  const nodes = await Promise.all(names.map(name => members.wake(name)));
  for (const node of nodes) node.renewal.start();
  return nodes;
}

function expiryAt(at: MemoryNode, of: MemoryNode): number {
  return at.network.trust.lastGrantOf(of.network.nodeId)!.expires;
}

const wasCut = ({ lines }: MemoryNode): boolean => lines.some(({ event }) => event === 'session-down');

test('at half life an admin that is not the founder renews, its own grant too, and nobody notices', async () => {
  const members = await asleep('half');
  await members.run(GRANT_LIFE_MS / 2 - HOUR);
  const [a, b] = (await wake(members, 'a', 'b')) as [MemoryNode, MemoryNode];
  assert.is.not(await members.until(() => members.linked(a, b), 30_000), undefined);
  const before = [expiryAt(b, a), expiryAt(b, b)];
  await members.run(HOUR - 60_000);
  assert.equal([expiryAt(b, a), expiryAt(b, b)], before, 'not yet');
  const renewed = (): boolean => expiryAt(b, a) > before[0]! && expiryAt(b, b) > before[1]!;
  const took = await members.until(renewed, RENEWAL_MS + 90_000);
  assert.is.not(took, undefined);
  const left = expiryAt(b, b) - a.network.trust.lastGrantOf(b.network.nodeId)!.time;
  assert.is(left, GRANT_LIFE_MS);
  await members.run(HOUR);
  assert.not(wasCut(a) || wasCut(b));
  assert.ok(members.linked(a, b));
  members.stop();
});

test('who was away until its grant was over is a member again as soon as it meets an admin, and not before', async () => {
  const members = await asleep('over');
  await members.run(GRANT_LIFE_MS / 2 + DAY);
  const [a, b] = (await wake(members, 'a', 'b')) as [MemoryNode, MemoryNode];
  // A renews what is half over, whoever is there: C does not hear of it.
  await members.until(() => members.linked(a, b), 30_000);
  await members.run(RENEWAL_MS);
  members.sleep('a');
  members.sleep('b');
  await members.run(GRANT_LIFE_MS / 2 + 2 * DAY);
  members.separate('a', 'c');
  const [c] = (await wake(members, 'c')) as [MemoryNode];
  assert.is(c.network.trust.judge(c.network.nodeId).verdict === 'admitted', false, 'it knows that it is over');
  assert.match(JSON.stringify(c.network.trust.judge(c.network.nodeId)), /renewed when the node meets an admin/);
  const [again] = (await wake(members, 'a')) as [MemoryNode];
  members.join('a', 'c');
  c.peers.follow();
  assert.is.not(await members.until(() => members.linked(again, c), 60_000), undefined);
  assert.is(c.network.trust.judge(c.network.nodeId).verdict, 'admitted');
  members.stop();
});

test('two members that meet no admin part when their grants are over', async () => {
  const members = await asleep('part');
  await members.run(GRANT_LIFE_MS + DAY - HOUR);
  const [b, c] = (await wake(members, 'b', 'c')) as [MemoryNode, MemoryNode];
  assert.is.not(await members.until(() => members.linked(b, c), 60_000), undefined, 'a day of tolerance');
  const isOver = (): boolean => c.network.trust.judge(b.network.nodeId).verdict !== 'admitted';
  assert.is.not(await members.until(() => isOver() && !members.linked(b, c), HOUR + RENEWAL_MS), undefined);
  await members.run(60_000);
  assert.not(members.linked(b, c));
  members.stop();
});

test.run();
