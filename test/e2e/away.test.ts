/**
 * D sleeps while A, B and C rotate their keys, once or a thousand times: it comes back, and services work at once in
 * every direction; also when it has to hear of A's new keys from B, and when A is reached only through B.
 */
import { mkdirSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { PATHS, type LinkInfo, type RotateReply } from '../../protocol/admin/contract.js';
import { Lab, until, type Host } from '../helpers/hosts.js';
import { assert, full, suite } from '../helpers/suite.js';
import { echo, exchange, startService } from '../helpers/traffic.js';

const test = suite('away while others rotate');
const lab = new Lab();
const TIMES = [1, 5, 30, 1000];
/** Dialing, a handshake and a round trip, ms; five times as wide. */
const DIRECT_MS = 5 * 2_000;
/** ... and behind it the second in which direct paths are tried, and a round over relayed ones, ms; five times as wide. */
const RELAYED_MS = 5 * 5_000;
/** Each statement that comes in is judged: some milliseconds at the most; five times as wide. */
const STATEMENT_MS = 5 * 4;

/** `b` founds the network and relays; `d` sleeps. */
interface Four {
  readonly a: Host;
  readonly b: Host;
  readonly c: Host;
  readonly d: Host;
}

/** A service of one host, called from another one. */
interface Way {
  readonly from: Host;
  readonly to: Host;
  readonly listen: string;
}

let four: Four;
let ways: readonly Way[];

test.before(async () => {
  const [a, b, c, d] = ['a', 'b', 'c', 'd'].map(name => lab.host(`host-${name}`)) as [Host, Host, Host, Host];
  mkdirSync(b.home, { mode: 0o700 });
  const node = { name: b.name, listen: ['127.0.0.1:0'], mdns: false, relay: true };
  writeFileSync(join(b.home, 'config.yaml'), JSON.stringify({ node }), { mode: 0o600 });
  await b.up();
  for (const host of [a, c, d]) await host.up(['--join', await b.ok(['invite'])]);
  four = { a, b, c, d };
  const port = String(await startService(lab, echo));
  for (const host of [a, b, c, d]) await host.ok(['expose', `of-${host.name}`, port]);
  ways = await Promise.all([a, b, c].flatMap(other => [way(d, other), way(other, d)]));
  await Promise.all(ways.map(works));
});
test.after(() => lab.close());

async function way(from: Host, to: Host): Promise<Way> {
  return { from, to, listen: await from.connect(`of-${to.name}`) };
}

/** Returns when the service answers; every answer that comes is right. */
async function works({ from, to, listen }: Way, ms?: number): Promise<void> {
  await until(
    `${from.name} reaches the service of ${to.name}`,
    async () => {
      const answer = await exchange(listen, 'hello').catch(() => undefined);
      if (answer !== undefined && answer !== '') assert.is(answer, 'hello');
      return answer === 'hello';
    },
    ms,
  );
}

interface Rotated {
  /** the longest that one rotation took, ms */
  readonly slowestMs: number;
  /** the mean of the first and of the last tenth, ms */
  readonly firstMs: number;
  readonly lastMs: number;
}

/** One host's keys, so many times. */
async function rotate(host: Host, times: number): Promise<Rotated> {
  const took: number[] = [];
  for (let i = 0; i < times; i++) {
    const begin = performance.now();
    await host.admin<RotateReply>('POST', PATHS.keysRotate, {});
    took.push(performance.now() - begin);
  }
  const tenth = Math.ceil(times / 10);
  const mean = (some: readonly number[]): number => some.reduce((sum, ms) => sum + ms, 0) / some.length;
  return { slowestMs: Math.max(...took), firstMs: mean(took.slice(0, tenth)), lastMs: mean(took.slice(-tenth)) };
}

async function seqs(host: Host): Promise<Record<string, number>> {
  const { node, peers } = await host.live();
  return Object.fromEntries([[node.name, node.seq], ...peers.map(peer => [peer.name, peer.seq])]);
}

/** `host` knows the newest keys of `others`. */
async function knows(host: Host, others: readonly Host[], ms?: number): Promise<void> {
  const wanted = await Promise.all(others.map(async other => [other.name, (await seqs(other))[other.name]] as const));
  await until(
    `${host.name} knows the newest keys of ${others.map(({ name }) => name).join(', ')}`,
    async () => {
      const known = await seqs(host);
      return wanted.every(([name, seq]) => known[name] === seq);
    },
    ms,
  );
}

async function linksBetween(one: Host, other: Host): Promise<readonly LinkInfo[]> {
  return (await one.status()).peers.find(peer => peer.name === other.name)?.links ?? [];
}

/** Events of the host's log behind `from` characters. */
function events(host: Host, from: number): string[] {
  return host
    .log()
    .slice(from)
    .split('\n')
    .filter(line => line !== '')
    .map(line => (JSON.parse(line) as { event: string }).event);
}

/** @returns how long all of `some` took to work, ms */
async function timed(some: readonly Way[], ms: number): Promise<number> {
  const begin = performance.now();
  await Promise.all(some.map(one => works(one, ms)));
  return performance.now() - begin;
}

function touches({ from, to }: Way, host: Host): boolean {
  return from === host || to === host;
}

function told(rotated: readonly Rotated[]): string {
  const worst = (pick: (one: Rotated) => number): string => Math.max(...rotated.map(pick)).toFixed(0);
  return `a rotation took ${worst(r => r.firstMs)} ms at first, ${worst(r => r.lastMs)} ms at last, ${worst(r => r.slowestMs)} ms at most`;
}

function sizes({ home }: Host): string {
  return `node.json ${(statSync(join(home, 'keys', 'node.json')).size / 1024).toFixed(0)} KiB`;
}

/** A, B and C rotate at the same time while D sleeps. */
async function rotateAll(times: number): Promise<readonly Rotated[]> {
  const { a, b, c, d } = four;
  await d.ok(['down']);
  const rotated = await Promise.all([a, b, c].map(host => rotate(host, times)));
  for (const host of [a, b, c]) await knows(host, [a, b, c]);
  return rotated;
}

for (const times of full([1], TIMES))
  test(
    `A, B and C rotate ${times} times: D comes back, and services work in every direction`,
    async () => {
      const { a, b, c, d } = four;
      const rotated = await rotateAll(times);
      const before = d.log().length;
      await d.up();
      const ms = await timed(ways, DIRECT_MS + 3 * times * STATEMENT_MS);
      await knows(d, [a, b, c]);
      const refused = events(d, before).filter(event => ['link-refused', 'item-refused', 'alarm'].includes(event));
      assert.equal(refused, [], 'the first connection to each was enough');
      console.log(
        `note: ${times} rotations of three: back after ${(ms / 1000).toFixed(2)} s; ${told(rotated)}; ${sizes(a)}`,
      );
    },
    { deadline: full(60_000, 600_000) },
  );

for (const times of full([5], TIMES))
  test(
    `A, B and C rotate ${times} times: D hears it of A by others while A is away, then reaches A through B only`,
    async () => {
      const { a, b, c, d } = four;
      const rotated = await rotateAll(times);
      const known = (await seqs(a))[a.name];
      await a.ok(['down']);
      const before = d.log().length;
      await d.up(['--no-listen']);
      const ms = await timed(
        ways.filter(one => !touches(one, a)),
        DIRECT_MS + 3 * times * STATEMENT_MS,
      );
      await knows(d, [b, c]);
      assert.is((await seqs(d))[a.name], known, 'D knows the keys of A, which it has not met');

      // Neither takes connections: they meet at B, which relays.
      await a.up(['--no-listen']);
      const met = await timed(
        ways.filter(one => touches(one, a)),
        RELAYED_MS,
      );
      for (const [one, other] of [
        [a, d],
        [d, a],
      ] as const) {
        const links = await linksBetween(one, other);
        assert.ok(links.length > 0);
        assert.ok(
          links.every(link => link.transport === 'relay' && link.via === b.name),
          JSON.stringify(links),
        );
      }
      const refused = events(d, before).filter(event => ['link-refused', 'item-refused', 'alarm'].includes(event));
      assert.equal(refused, []);
      console.log(
        `note: ${times} rotations of three: back after ${(ms / 1000).toFixed(2)} s, with A through the relay ${(met / 1000).toFixed(2)} s after A was up; ${told(rotated)}; ${sizes(a)}`,
      );
    },
    { deadline: full(60_000, 600_000) },
  );

test.run();
