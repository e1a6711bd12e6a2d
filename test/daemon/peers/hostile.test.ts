/** What insiders, slow members, revoked ones and a full disk can do to the table of peers, over real links. */
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join as joinPath } from 'node:path';
import { equal } from '../../../protocol/bytes.js';
import { WarrenError } from '../../../protocol/errors.js';
import { issueRecord, issueRevocation, type TrustItem } from '../../../protocol/identity/index.js';
import { createInception } from '../../../protocol/identity/statement.js';
import { ITEM_KINDS } from '../../../protocol/identity/trust-item.js';
import { nodeIdText } from '../../../protocol/identity/node-id.js';
import { DEFAULT_LIMITS } from '../../../protocol/limits.js';
import { listenPrivate } from '../../../daemon/home/socket.js';
import { Arrivals, MAX_ARRIVING_OF_MEMBER, MAX_ARRIVING_OF_OTHERS } from '../../../daemon/peers/arrivals.js';
import { join } from '../../../daemon/peers/join.js';
import { MAX_RECENT_BYTES, RECENT_MS, RecentItems } from '../../../daemon/peers/recent.js';
import { dial } from '../../../daemon/transport/dial.js';
import type { NewLink } from '../../../daemon/transport/transport.js';
import { until } from '../../helpers/hosts.js';
import { assert, suite } from '../../helpers/suite.js';
import { VirtualTime } from '../../helpers/virtual-time.js';
import { homeOf, type TestHome } from './home-of.js';

const test = suite('hostile peers');
const open: TestHome[] = [];

async function home(name: string): Promise<TestHome> {
  const made = await homeOf(name);
  open.push(made);
  return made;
}

test.after(async () => {
  for (const one of open) await one.close();
});

function joinBy(token: string, by: TestHome): Promise<unknown> {
  const { primitives, network, peers, timers, log } = by;
  return join(token, { primitives, network, peers, timers, log, suite: 'AESGCM' });
}

/** A founder that listens, and a member with a session. */
async function pair(): Promise<{ a: TestHome; b: TestHome; address: string }> {
  const a = await home('a');
  const b = await home('b');
  const listener = await a.listen();
  const address = listener.bound[0]!;
  await joinBy(a.network.authority.invite({ ttlMs: 60_000, tags: [], addresses: [address] }).token, b);
  await until('a session', () => a.peers.all()[0]?.connected === true && b.peers.all()[0]?.connected === true);
  return { a, b, address };
}

async function refusal(promise: Promise<unknown>): Promise<WarrenError> {
  try {
    await promise;
  } catch (error) {
    assert.instance(error, WarrenError);
    return error as WarrenError;
  }
  throw new Error('nothing was refused');
}

test('a join that cannot be written fails at once with the reason, and leaves the home and no link', async () => {
  const a = await home('a');
  const b = await home('b');
  const listener = await a.listen();
  const { token } = a.network.authority.invite({ ttlMs: 60_000, tags: [], addresses: [listener.bound[0]!] });
  const before = b.network.networkId;
  b.diskIsFull = true;
  const error = await refusal(joinBy(token, b));
  assert.is(error.code, 'disk');
  assert.is(b.network.networkId, before);
  await until('no link is left', () => b.peers.linkCount === 0 && a.peers.linkCount === 0);
  b.diskIsFull = false;
  await joinBy(token, b);
  assert.equal(b.network.networkId, a.network.nodeId, 'the same invite works when there is room');
});

test('an inviter whose disk is full opens no invite, and admits nobody whom it could not remember', async () => {
  const a = await home('a');
  const b = await home('b');
  const listener = await a.listen();
  const { token } = a.network.authority.invite({ ttlMs: 60_000, tags: [], addresses: [listener.bound[0]!] });
  a.diskIsFull = true;
  assert.throws(() => a.network.authority.invite({ ttlMs: 60_000, tags: [], addresses: ['127.0.0.1:1'] }), /no space/);
  await refusal(joinBy(token, b));
  assert.is(a.network.trust.members().length, 1);
  a.diskIsFull = false;
  const c = await home('c');
  await joinBy(token, c);
  assert.is(a.network.trust.members().length, 2, 'the failed one has not used the invite up');
});

test('an invite that was not written does not count as open', async () => {
  const a = await home('a');
  a.diskIsFull = true;
  assert.throws(() => a.network.authority.invite({ ttlMs: 60_000, tags: [], addresses: ['127.0.0.1:1'] }), /no space/);
  assert.is(a.network.isSettled(), false);
});

test('a revoked member loses its session and its place in the table', async () => {
  const { a, b } = await pair();
  const signer = signerOf(a);
  a.network.learn([issueRevocation(a.network.trust, signer, b.network.nodeId)], undefined);
  await until('it is cut off', () => a.peers.linkCount === 0 && b.peers.linkCount === 0);
  assert.is(a.peers.get(nodeIdText(b.network.nodeId)), undefined);
  await new Promise(resolve => setTimeout(resolve, 700));
  assert.is(a.peers.all().length, 0, 'and does not come back by dialing');
});

test('holders of the network secret who are no members have few links in their catch-up; members get in', async () => {
  const { a, b, address } = await pair();
  const insider = await home('insider');
  const { context } = insider.network.candidate(a.network.nodeId);
  const links: NewLink[] = [];
  const { timers, log } = insider;
  for (let i = 0; i < MAX_ARRIVING_OF_OTHERS + 12; i++)
    links.push(await dial({ address, context, psk: a.network.currentPsk(), suite: 'AESGCM', timers, log }));
  // sooner than any of them could be found silent
  await new Promise(resolve => setTimeout(resolve, 300));
  assert.ok(
    a.peers.linkCount <= MAX_ARRIVING_OF_OTHERS + DEFAULT_LIMITS.session.links,
    `${a.peers.linkCount} links are held`,
  );
  assert.ok(a.peers.linkCount > MAX_ARRIVING_OF_OTHERS - 4, `only ${a.peers.linkCount} are left`);
  for (const peer of b.peers.all()) for (const { link } of peer.links) link.close('no-error');
  b.peers.follow();
  b.peers.tryAddress(address);
  await until('the member is back', () => a.peers.all()[0]?.connected === true);
  for (const { transport } of links) transport.abort();
});

test('links in their catch-up: each kind pushes out its own oldest only', () => {
  const arrivals = new Arrivals();
  const aborted: string[] = [];
  const link = (name: string, direction = 'accepted'): NewLink =>
    ({ direction, transport: { abort: () => void aborted.push(name) } }) as unknown as NewLink;
  arrivals.add(link('dialed', 'dialed'), undefined);
  for (let i = 0; i <= MAX_ARRIVING_OF_MEMBER; i++) arrivals.add(link(`m${i}`), 'm' as never);
  for (let i = 0; i <= MAX_ARRIVING_OF_OTHERS; i++) arrivals.add(link(`o${i}`), undefined);
  assert.equal(aborted, ['m0', 'o0']);
  assert.is(arrivals.size, 1 + MAX_ARRIVING_OF_MEMBER + MAX_ARRIVING_OF_OTHERS);
});

test('a peer that takes no news loses its own session; who told the news keeps his', async () => {
  const { a, b } = await pair();
  const peer = a.peers.all()[0]!;
  peer.slot.news = () => {
    throw new WarrenError('limit', 'too much waits');
  };
  const item: TrustItem = { kind: 'registry', bytes: new Uint8Array(10) };
  a.peers.spread(item, undefined);
  await until('the slow one is cut', () => !a.lines.every(line => line.event !== 'news-not-taken'));
  await until('its link has ended', () => b.lines.some(line => line.event === 'link-down'));
});

test('what others tell does not undo the pauses between dials of a peer that is away', async () => {
  const { a, b } = await pair();
  // b leads nowhere: each failed dial of it would be a line
  const record = issueRecord(a.network.networkId, signerOf(b), {
    version: Date.now() + 1000,
    services: [],
    addresses: ['127.0.0.1:1'],
  });
  a.network.learn([record], undefined);
  await b.close();
  await until('b is away', () => a.peers.linkCount === 0);
  const fails = (): number => a.lines.filter(line => line.event === 'dial-failed').length;
  await until('it was dialed', () => fails() > 0);
  const before = fails();
  for (let i = 0; i < 30; i++) {
    a.peers.follow();
    await new Promise(resolve => setTimeout(resolve, 10));
  }
  assert.ok(fails() - before <= 2, `${fails() - before} dials in 300 ms`);
});

test('a flood of items that are not right is a few lines; a leaked invite is one alarm', async () => {
  const a = await home('a');
  const garbage: TrustItem[] = Array.from({ length: 500 }, (_, i) => ({ kind: 'grant', bytes: Uint8Array.of(i, 1) }));
  a.network.learn(garbage, undefined);
  assert.ok(a.lines.filter(line => line.event === 'item-refused').length <= 5);
  a.network.authority.invite({ ttlMs: 60_000, tags: [], addresses: ['127.0.0.1:1'] });
  const inviteId = a.network.psks().find(keys => keys.psk.kind === 'invite')!.psk.id!;
  const { mint } = a.network.admission();
  for (let i = 0; i < 5; i++) {
    const { nodeId, statement } = createInception(a.primitives, { now: Date.now() });
    const minted = mint!({ nodeId, name: `n${i}`, statement }, inviteId);
    assert.is('grant' in minted, i === 0);
  }
  assert.is(a.alarms.length, 1);
});

test('a member that changes its record all the time costs one write in a while', async () => {
  const { a, b } = await pair();
  await new Promise(resolve => setTimeout(resolve, 50));
  const before = a.written;
  for (let i = 1; i <= 20; i++) {
    const content = { version: Date.now() + i, services: [], addresses: [`127.0.0.1:${i}`] };
    a.network.learn([issueRecord(a.network.networkId, signerOf(b), content)], undefined);
    await new Promise(resolve => setImmediate(resolve));
  }
  assert.is(a.written, before);
  a.network.close();
  assert.is(a.written, before + 1, 'what waits is written at the end');
});

test('records without end are not handed on without end, and the last one is', async () => {
  const { a, b } = await pair();
  const told: Uint8Array[] = [];
  a.peers.all()[0]!.slot.news = (kind, body) => void (kind === ITEM_KINDS.registry && told.push(body));
  const version = Date.now() + 1000;
  const records = Array.from({ length: 200 }, (_, i) =>
    issueRecord(a.network.networkId, signerOf(b), {
      version: version + i,
      services: [],
      addresses: [`127.0.0.1:${i + 1}`],
    }),
  );
  for (const record of records) {
    a.network.learn([record], undefined);
    await new Promise(resolve => setImmediate(resolve));
  }
  const last = records.at(-1)!.bytes;
  await until('the last one is told', () => told.some(bytes => equal(bytes, last)));
  assert.ok(told.length < 100, `${told.length} of 200 were told`);
});

test('what was taken in lately is bounded in bytes and in time', () => {
  const time = new VirtualTime();
  const recent = new RecentItems(time);
  const peer = new Uint8Array(32);
  const item = (): TrustItem => ({ kind: 'registry', bytes: new Uint8Array(16 * 1024) });
  for (let i = 0; i < 1000; i++) recent.add(item(), new Uint8Array(32).fill(1));
  assert.is(recent.for(peer).length, MAX_RECENT_BYTES / (16 * 1024));
  recent.add(item(), peer);
  assert.is(recent.for(peer).length, MAX_RECENT_BYTES / (16 * 1024) - 1, 'not to whom it came from');
  time.advance(RECENT_MS + 1);
  assert.is(recent.for(peer).length, 0);
});

test('a private socket that cannot accept goes on', async () => {
  const server = createServer();
  await listenPrivate(server, joinPath(tmpdir(), `warren-s-${process.pid}.sock`));
  server.emit('error', Object.assign(new Error('accept EMFILE'), { code: 'EMFILE' }));
  assert.ok(server.listening);
  server.close();
});

/** Signs as that home does. */
function signerOf(one: TestHome) {
  return (one.network.authority as unknown as { pen: Parameters<typeof issueRevocation>[1] }).pen;
}

test.run();
