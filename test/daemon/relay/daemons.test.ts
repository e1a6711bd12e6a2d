/** Three daemons' rooms in this process: two members that nobody can dial, and one that relays between them. */
import { createHash, randomBytes } from 'node:crypto';
import type { OpenRequest } from '../../../protocol/session/index.js';
import type { Code } from '../../../protocol/codes.js';
import { nodeIdText } from '../../../protocol/identity/node-id.js';
import { checkDaemon } from '../../../daemon/check.js';
import { join } from '../../../daemon/peers/join.js';
import { dialText, readAll, serve } from '../../helpers/sockets.js';
import { until } from '../../helpers/hosts.js';
import { assert, suite } from '../../helpers/suite.js';
import { homeOf, type TestHome } from '../peers/home-of.js';

const test = suite('relay: daemons');
const open: TestHome[] = [];

test.after(async () => {
  for (const one of open) await one.close();
});

interface Trio {
  readonly a: TestHome;
  /** founder, relay; the only one that listens */
  readonly b: TestHome;
  readonly c: TestHome;
}

async function trio(): Promise<Trio> {
  const [a, b, c] = [await homeOf('a'), await homeOf('b'), await homeOf('c')];
  open.push(a, b, c);
  const address = (await b.listen()).bound[0]!;
  for (const one of [a, c]) {
    const { primitives, network, peers, timers, log } = one;
    const { token } = b.network.authority.invite({ ttlMs: 60_000, tags: [], addresses: [address] });
    await join(token, { primitives, network, peers, timers, log, suite: 'AESGCM' });
  }
  await until('all know each other', () => [a, b, c].every(x => x.network.trust.members().length === 3));
  await until('sessions', () => [a, c].every(x => x.peers.get(idOf(b))?.connected === true));
  return { a, b, c };
}

const idOf = (home: TestHome): string => nodeIdText(home.network.nodeId);
const never = new AbortController().signal;

/** Turns the relay on as a reload does. */
async function relays(home: TestHome, on: boolean, seenBy: readonly TestHome[]): Promise<void> {
  home.relay.set(on ? 'on' : 'off');
  home.network.authority.publish({ services: [], addresses: [], ...(on && { relays: true }) });
  await until('the network knows', () =>
    seenBy.every(x => (x.network.trust.record(home.network.nodeId)?.relays === true) === on),
  );
}

async function linkThrough({ a, b, c }: Trio): Promise<void> {
  const link = await a.relay.dial(idOf(b), c.network.nodeId, never);
  await a.peers.arrive(link, a.network.admission());
  await until('a session through the relay', () => c.peers.get(idOf(a))?.slot.session !== undefined);
}

test('a service of one is used from the other, through the relay', async () => {
  const all = await trio();
  const { a, b, c } = all;
  await relays(b, true, [a, c]);
  assert.equal(a.relay.viaFor(idOf(c)), [idOf(b)]);
  assert.equal(a.relay.viaFor(idOf(b)), []);
  await linkThrough(all);
  const server = await serve(socket => void socket.pipe(socket));
  a.exposed.set('echo', { target: server.target });
  a.publish();
  await until('it is known', () => c.mesh.instances('echo').length === 1);
  const { listen } = await c.tunnels.open('echo');
  const bytes = randomBytes(3_000_000);
  const client = await dialText(listen);
  const answer = readAll(client);
  client.end(bytes);
  const digest = (of: Uint8Array): string => createHash('sha256').update(of).digest('hex');
  assert.is(digest((await answer).bytes), digest(bytes));
  const [link] = [...c.peers.get(idOf(a))!.links];
  assert.equal([link!.transport.kind, link!.address, link!.link.rank], ['relay', `relay:${idOf(b)}`, 1]);
  assert.ok(b.relay.relaying >= 1);
  assert.ok(b.relay.totals.bytes > 2 * bytes.length);
  const told = (await checkDaemon(c)).find(check => check.name === 'peer a');
  assert.equal(told, { name: 'peer a', state: 'ok', message: 'connected, through b' });
  const { node } = b.config;
  const relay = (await checkDaemon({ ...b, config: { ...b.config, node: { ...node, relay: true } } })).find(
    check => check.name === 'relay',
  );
  assert.match(relay?.message ?? '', /^this node relays: [1-9] links? of other members/);
  assert.is(
    (await checkDaemon(c)).find(check => check.name === 'relay'),
    undefined,
  );
  // One hop: who is reached through a relay only is none.
  await relays(a, true, [c]);
  assert.not(c.relay.viaFor('somebody').includes(idOf(a)));
  c.tunnels.cut('draining');
  await server.close();
});

test('relay streams do not reach services, nor service streams the relay', async () => {
  const { a, b } = await trio();
  b.exposed.set('relay', { target: '9' });
  const refusal = (request: OpenRequest): Promise<Code> =>
    new Promise(resolve => {
      const handler = { data: () => undefined, fin: () => undefined, reset: resolve };
      a.peers.get(idOf(b))!.slot.session!.open(request, handler);
    });
  const totals = (): readonly number[] => b.exposed.list().map(s => s.totalStreams);
  // A service may bear the name: the class decides. The relay is off, so this one is denied and nothing is dialed.
  const stranger = nodeIdText(new Uint8Array(32).fill(1));
  assert.is(await refusal({ service: 'relay', class: 'relay', instance: stranger }), 'denied');
  assert.equal(totals(), [0]);
  assert.is(await refusal({ service: 'relay', class: 'interactive', instance: stranger }), 'refused');
  assert.equal(totals(), [1]);
  assert.is(b.relay.relaying, 0);
  // Another service's name leads nowhere in the class of relays.
  b.relay.set('on');
  b.exposed.set('web', { target: '9' });
  assert.is(await refusal({ service: 'web', class: 'relay', instance: stranger }), 'no-service');
  assert.is(await refusal({ service: 'web', class: 'relay', instance: idOf(b) }), 'no-service');
  assert.equal(totals(), [1, 0]);
});

test('switched off: the relayed link ends, the session of the two waits, and goes on when it is back', async () => {
  const all = await trio();
  const { a, b, c } = all;
  await relays(b, true, [a, c]);
  await linkThrough(all);
  const server = await serve(socket => void socket.pipe(socket));
  a.exposed.set('echo', { target: server.target });
  a.publish();
  await until('it is known', () => c.mesh.instances('echo').length === 1);
  const { listen } = await c.tunnels.open('echo');
  const client = await dialText(listen);
  let heard = '';
  client.on('data', (chunk: Buffer) => (heard += chunk.toString()));
  client.write('before');
  await until('before', () => heard === 'before');
  const session = c.peers.get(idOf(a))!.slot.session;
  await relays(b, false, [a, c]);
  await until('held', () => c.peers.get(idOf(a))!.links.size === 0);
  assert.is(b.relay.relaying, 0);
  client.write(', and after');
  await relays(b, true, [a, c]);
  await until('a link again', async () => {
    if (a.peers.get(idOf(c))!.links.size === 0) await linkThrough(all).catch(() => undefined);
    return c.peers.get(idOf(a))!.links.size > 0;
  });
  await until('after', () => heard === 'before, and after');
  assert.is(c.peers.get(idOf(a))!.slot.session, session, 'the same session');
  client.destroy();
  c.tunnels.cut('draining');
  await server.close();
});

test.run();
