/**
 * Membership over a chain of hosts: a revocation is everywhere at once, who sleeps hears of it from anybody, a new
 * network secret finds who was away, and a network goes on without its founder.
 */
import { rmSync } from 'node:fs';
import type { KeysReply, RotateReply } from '../../protocol/admin/contract.js';
import { connected, Lab, until, type Host, type Run } from '../helpers/hosts.js';
import { hasLinks, Neighbours, NEIGHBOURS_NEEDS, peerOf, REDIAL_MS, SOON_MS, took } from '../helpers/neighbours.js';
import { echo, exchange, startUnixService } from '../helpers/traffic.js';
import { assert, suite } from '../helpers/suite.js';

const test = suite('revocation on hosts');
const lab = new Lab();
const OPTIONS = { needs: NEIGHBOURS_NEEDS, deadline: 300_000 };

test.after(() => lab.close());

let net: Neighbours;
/** a has founded the network; the chain is a - b - c - d - e */
let a: Host;
let b: Host;
let c: Host;
let d: Host;
let e: Host;

test.before(async () => {
  if (process.getuid?.() !== 0) return;
  const names = ['host-a', 'host-b', 'host-c', 'host-d', 'host-e'];
  net = await Neighbours.make(lab, '10.86.0', names);
  [a, b, c, d, e] = names.map(name => net.host(name)) as [Host, Host, Host, Host, Host];
  await a.up();
  await Promise.all([b, c, d, e].map(async host => host.up(['--join', await a.ok(['invite'])])));
  await until('everybody knows everybody', async () => {
    const all = await Promise.all([a, b, c, d, e].map(host => host.live()));
    return all.every(({ peers }) => peers.length === 4 && peers.every(p => p.state === 'connected'));
  });
});

/** A stream without an end, as somebody at the command line has it. */
function talk(from: Host, service: string): { readonly over: Promise<Run> } {
  return { over: from.warren(['nc', service], { deadline: 60_000, keepOpen: true }) };
}

async function streamsAt(host: Host): Promise<number> {
  return (await host.diagnostics()).streams;
}

async function isNobody(at: Host, name: string): Promise<boolean> {
  return (await peerOf(at, name)) === undefined;
}

test(
  'in a chain a revocation is everywhere at once, and streams of the revoked node end with that word',
  async () => {
    await net.chain(a, b, c, d, e);
    await e.ok(['expose', 'of-e', await startUnixService(lab, 'of-e', echo)]);
    await until('D knows the service', async () => (await d.ok(['services'])).includes('of-e'));
    const { over } = talk(d, 'of-e');
    await until('the stream is open', async () => (await streamsAt(d)) > 0);
    await a.ok(['keys', 'revoke', e.name]);
    const ms = await took(
      'all have heard of it',
      async () => (await Promise.all([b, c, d].map(host => isNobody(host, e.name)))).every(Boolean),
      SOON_MS,
    );
    console.log(`note: a revocation went over three links within ${ms} ms after the command`);
    const { status, stderr } = await over;
    assert.is(status, 1);
    assert.match(stderr, /revoked/);
    await until('E is told', async () => /revoked/.test((await peerOf(e, d.name))?.problem ?? ''), REDIAL_MS);
    assert.not(await hasLinks(e, d.name));
  },
  OPTIONS,
);

test(
  'an invite made for the revoked node admits it anew',
  async () => {
    await net.joinAll();
    const other = await a.ok(['invite']);
    assert.is((await e.warren(['join', other])).status, 1, 'not with any invite');
    await e.ok(['join', await a.ok(['invite', '--for', e.name])]);
    for (const host of [b, c, d]) await connected(host, e.name, REDIAL_MS);
    const listen = await d.connect('of-e', `unix:${lab.folder}/tunnel.sock`);
    await until('streams flow', async () => (await exchange(listen, 'again')) === 'again', REDIAL_MS);
  },
  OPTIONS,
);

test(
  'who slept refuses the revoked node once it has met anybody who knows, and holds the new secret of the network',
  async () => {
    await b.ok(['down']);
    await a.ok(['keys', 'rotate', '--network-secret']);
    const { networkSecretEpoch } = await a.json<RotateReply>(['keys', 'rotate', '--network-secret']);
    assert.is(networkSecretEpoch, 2);
    await a.ok(['keys', 'revoke', e.name]);
    await until('C knows', () => isNobody(c, e.name), SOON_MS);
    // B meets C first; then it could meet E, which knows B and dials it.
    for (const host of [a, d, e]) await net.part(b, host);
    await b.up();
    await connected(b, c.name, REDIAL_MS);
    await net.joinAll();
    await until('E was refused by B', async () => /revoked/.test((await peerOf(e, b.name))?.problem ?? ''), REDIAL_MS);
    for (const host of [a, d]) await connected(b, host.name, REDIAL_MS);
    assert.not.match(b.log().split('"event":"started"').at(-1)!, /"event":"session-up","node":"host-e"/);
  },
  OPTIONS,
);

test(
  'the founder is lost with its home: the second admin invites, promotes, revokes and renews the secret',
  async () => {
    await a.ok(['peer', 'promote', b.name]);
    await until('B is an admin everywhere', async () => {
      const known = await Promise.all([c, d].map(host => peerOf(host, b.name)));
      return (await b.live()).node.admin && known.every(peer => peer?.admin);
    });
    await a.kill();
    rmSync(a.home, { recursive: true });
    await e.ok(['down']);
    rmSync(e.home, { recursive: true });

    await e.up(['--name', 'host-n', '--listen', '10.86.0.5:7667', '--join', await b.ok(['invite'])]);
    for (const host of [c, d]) await connected(host, 'host-n', REDIAL_MS);
    await b.ok(['peer', 'promote', c.name]);
    await until('C is an admin', async () => (await c.live()).node.admin);
    assert.is((await c.warren(['peer', 'demote', b.name])).status, 4, 'not the one above it');
    assert.is((await c.warren(['keys', 'revoke', a.name])).status, 4, 'nor the founder');
    await c.ok(['keys', 'revoke', 'host-n']);
    await until('D knows', () => isNobody(d, 'host-n'), SOON_MS);
    const { networkSecretEpoch } = await c.json<RotateReply>(['keys', 'rotate', '--network-secret']);
    assert.is(networkSecretEpoch, 3);
    await b.ok(['peer', 'demote', c.name]);
    await until('C is no admin any more', async () => !(await c.live()).node.admin);
    assert.is((await c.warren(['invite'])).status, 4);
    await b.ok(['keys', 'rotate', '--reason', 'compromised']);
    const { seq } = await b.json<KeysReply>(['keys', 'show']);
    await until(
      'both follow',
      async () => {
        const known = await Promise.all([c, d].map(host => peerOf(host, b.name)));
        return known.every(peer => peer?.seq === seq && peer.state === 'connected');
      },
      SOON_MS,
    );
    assert.not((await d.live()).warnings.length > 0);
  },
  OPTIONS,
);

test.run();
