/** Keys are rotated from the command line while everything runs: nothing is lost, and no old key is left. */
import { createHash, randomBytes } from 'node:crypto';
import { readFileSync, writeFileSync } from 'node:fs';
import type net from 'node:net';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import type { KeyLogReply, KeysReply, RotateReply } from '../../protocol/admin/contract.js';
import { Askers, answering } from '../helpers/askers.js';
import { psqlTransaction, redisSubscriber, type Client } from '../helpers/clients.js';
import { Lab, connected, until, type Host } from '../helpers/hosts.js';
import { filesWith } from '../helpers/search.js';
import { dial, exchange, echo, readAll, startService } from '../helpers/traffic.js';
import { assert, full, suite } from '../helpers/suite.js';

const test = suite('rotation');
const lab = new Lab();
const MIB = 1024 * 1024;
/** Links made with old keys are gone within a minute. */
const REPLACED_MS = 60_000;
/** So many rotations follow each other before the links are waited for. */
const ROTATIONS_AT_ONCE = 5;
/** Between two blocks of a transfer that goes on only so that something is on its way, ms. */
const LITTLE_MS = 20;

let a: Host;
let b: Host;

test.before(async () => {
  [a, b] = await lab.pair();
});
test.after(() => lab.close());

async function service(name: string, onConnection: (socket: net.Socket) => void): Promise<string> {
  const port = await startService(lab, onConnection);
  await a.ok(['expose', name, String(port)]);
  const listen = await b.connect(name);
  await until(`${name} is there`, async () =>
    (await b.status()).tunnels.some(t => t.service === name && t.state === 'listening'),
  );
  return listen;
}

interface KeyFile {
  readonly body: { readonly noise: string; readonly signing: string; readonly next: string | null };
}

function keyFile(host: Host): KeyFile {
  return JSON.parse(readFileSync(join(host.home, 'keys', 'node.json'), 'utf8')) as KeyFile;
}

/** ms since the epoch, from the inception on */
async function rotationTimes(host: Host): Promise<number[]> {
  return (await host.json<KeyLogReply>(['keys', 'log'])).statements.map(({ time }) => Date.parse(time));
}

/** Sends as fast as bytes are taken up to a mark, and a little at a time from there on, until it is stopped. */
class Outpour {
  sent = 0;
  private mark = 0;
  private isOver = false;
  private readonly sending: Promise<string>;

  constructor(private readonly socket: net.Socket) {
    this.sending = this.send();
    this.sending.catch(() => undefined);
  }

  private async send(): Promise<string> {
    const block = randomBytes(256 * 1024);
    const hash = createHash('sha256');
    while (!this.isOver) {
      if (this.socket.destroyed) throw new Error(`closed after ${this.sent} bytes`);
      hash.update(block);
      this.sent += block.length;
      this.socket.write(block);
      if (this.sent >= this.mark) await sleep(LITTLE_MS);
      while (this.socket.writableNeedDrain && !this.socket.destroyed) await sleep(1);
    }
    this.socket.end();
    return hash.digest('hex');
  }

  /** Full speed up to so many bytes since the beginning. */
  async upTo(bytes: number): Promise<void> {
    this.mark = bytes;
    await until(`byte ${bytes} is sent`, () => this.sent >= bytes, 120_000);
  }

  /** @returns the SHA-256 of all that was sent */
  stop(): Promise<string> {
    this.isOver = true;
    return this.sending;
  }
}

/** Clients that make a connection for every request, until `stop`. */
function freshAskers(address: string, count: number): { readonly stop: () => Promise<string[]> } {
  let isOver = false;
  const failures: string[] = [];
  const clients = Array.from({ length: count }, async (_, i) => {
    for (let n = 0; !isOver; n++) {
      const wanted = `client ${i} request ${n}`;
      const got = await exchange(address, wanted).catch((error: unknown) => String(error));
      if (got !== wanted) failures.push(got);
      await sleep(50);
    }
  });
  return {
    stop: async () => {
      isOver = true;
      await Promise.all(clients);
      return failures;
    },
  };
}

/** A client's beats one after the other, until `stop`, which judges. */
function beating(client: Client): { readonly stop: () => Promise<number> } {
  let isOver = false;
  const beats = (async () => {
    let round = 0;
    while (!isOver) await client.beat(++round);
    return round;
  })();
  beats.catch(() => undefined);
  return {
    stop: async () => {
      isOver = true;
      const rounds = await beats;
      await client.end();
      return rounds;
    },
  };
}

/** Private keys that were in use at one time; the newest last. */
class FormerKeys {
  private readonly all: Buffer[] = [];

  constructor(private readonly host: Host) {
    this.note();
  }

  /** To be called after each rotation. */
  note(): void {
    const { noise, signing } = keyFile(this.host).body;
    this.all.push(...[noise, signing].map(text => Buffer.from(text, 'base64url')));
  }

  async rotate(): Promise<void> {
    await this.host.ok(['keys', 'rotate']);
    this.note();
  }

  check(rotations: number): void {
    assert.is(new Set(this.all.map(key => key.toString('hex'))).size, 2 * (rotations + 1));
    const current = this.all.splice(-2);
    assert.equal(filesWith(this.host.home, [current[0]!]), [join(this.host.home, 'keys', 'node.json')]);
    assert.equal(filesWith(this.host.home, this.all), [], 'no file holds a key that was rotated away from');
  }
}

/** Ends when every link was made after the last rotation. @returns ms from that rotation to the newest link */
async function linksReplaced(): Promise<number> {
  const newest = Math.max(...(await Promise.all([a, b].map(rotationTimes))).flat());
  const ages = async (host: Host): Promise<number[]> =>
    (await host.status()).peers[0]!.links.map(link => Date.parse(link.since) - newest);
  const both = await until(
    'links are replaced',
    async () => {
      const all = [await ages(a), await ages(b)];
      return all.every(ms => ms.length >= 2 && ms.every(age => age >= 0)) && all.flat();
    },
    REPLACED_MS,
  );
  return Math.max(...both);
}

test(
  'both ends rotate again and again under load, also in the same second: no byte is lost, no request fails',
  async () => {
    const rotations = full(3, 20);
    const total = full(48, 1024) * MIB;
    const seen: Promise<{ bytes: number; sha256: string }>[] = [];
    const bulk = await service('bulk', socket => void seen.push(readAll(socket)));
    const clients = full(10, 50) / 2;
    const fresh = freshAskers(await service('fresh', echo), clients);
    const askers = await Askers.start(await service('requests', answering), clients);
    const held = await dial(await service('held', echo));
    held.write('before');
    const longLived = [await redisSubscriber(lab, { a, b }), await psqlTransaction(lab, { a, b })].map(beating);
    const linksBefore = (await a.status()).peers[0]!.linksUp;
    const keys = [new FormerKeys(a), new FormerKeys(b)] as const;
    const outpour = new Outpour(await dial(bulk));

    const replaced: number[] = [];
    for (let i = 1; i <= rotations; i++) {
      const sent = outpour.upTo((total * i) / rotations);
      // Both at once, then one after the other.
      if (i % 2 === 1) await Promise.all(keys.map(one => one.rotate()));
      else for (const one of keys) await one.rotate();
      await sent;
      if (i % ROTATIONS_AT_ONCE === 0 || i === rotations) replaced.push(await linksReplaced());
    }

    const sha256 = await outpour.stop();
    assert.is((await seen[0]!).bytes, outpour.sent);
    assert.is((await seen[0]!).sha256, sha256);
    assert.is(seen.length, 1);
    assert.equal(await fresh.stop(), []);
    await askers.stop();
    assert.equal(askers.errors, []);
    held.end(' and after');
    assert.is((await readAll(held)).text, 'before and after');
    const [published, counted] = await Promise.all(longLived.map(one => one.stop()));

    for (const one of keys) one.check(rotations);
    await until('each knows the newest statement of the other', async () =>
      (await Promise.all([a, b].map(host => host.status()))).every(
        ({ node, peers }) => node.seq === rotations && peers[0]?.seq === rotations,
      ),
    );
    const links = (await a.status()).peers[0]!.linksUp - linksBefore;
    assert.ok(links >= 2 * replaced.length, `${links} new links`);
    const [times, others] = await Promise.all([a, b].map(rotationTimes));
    const together = times!.filter((time, i) => i > 0 && Math.abs(time - others![i]!) < 1_000).length;
    console.log(
      `note: ${outpour.sent / MIB} MiB, ${rotations} rotations at each end, ${together} of them in the same second; ${links} new links, ${replaced.map(ms => (ms / 1000).toFixed(1)).join(', ')} s after a rotation; ${askers.answers} answers, the slowest after ${askers.slowestMs.toFixed(0)} ms; ${published} rounds of redis messages, ${counted} of psql updates`,
    );
  },
  { deadline: full(180_000, 900_000), needs: ['redis-server', 'redis-cli', 'psql', 'setpriv'] },
);

test('with the next key in a file, only who has the file and its passphrase rotates', async () => {
  const file = join(lab.folder, 'host-b.next');
  const secret = join(lab.folder, 'passphrase');
  const wrong = join(lab.folder, 'wrong');
  writeFileSync(secret, 'correct horse battery staple\n', { mode: 0o600 });
  writeFileSync(wrong, 'incorrect horse\n', { mode: 0o600 });
  const { seq } = await b.json<RotateReply>(['keys', 'detach-next', file, '--passphrase-file', secret]);
  const { nextKeyFile } = await b.json<KeysReply>(['keys', 'show']);
  assert.is(nextKeyFile, file);
  assert.is(keyFile(b).body.next, null, 'the home does not hold it');
  const before = readFileSync(file);
  for (const args of [
    [],
    ['--next-key', file, '--passphrase-file', wrong],
    ['--next-key', `${file}x`, '--passphrase-file', secret],
  ]) {
    const result = await b.warren(['keys', 'rotate', ...args]);
    assert.equal([result.status, result.stdout], [1, '']);
    assert.match(result.stderr, /^warren: .+\nhint: .+\n$/);
  }
  assert.ok(readFileSync(file).equals(before), 'the file is as it was');
  const again = await b.json<RotateReply>(['keys', 'rotate', '--next-key', file, '--passphrase-file', secret]);
  assert.is(again.seq, seq + 1);
  assert.not(readFileSync(file).equals(before), 'the following key has taken its place');
  await until('host-a follows', async () => (await a.status()).peers.find(p => p.name === 'host-b')?.seq === seq + 1);
  await connected(a, 'host-b');
});

test('a new network secret reaches who is connected at once, and who was away when it comes back', async () => {
  const c = lab.host('host-c');
  await c.up(['--join', await a.ok(['invite'])]);
  await connected(a, 'host-c');
  await connected(b, 'host-c');
  await c.ok(['down']);
  const { networkSecretEpoch, reason } = await a.json<RotateReply>(['keys', 'rotate', '--network-secret']);
  assert.equal([networkSecretEpoch, reason], [1, null]);
  const secrets = (host: Host): number =>
    (JSON.parse(readFileSync(join(host.home, 'keys', 'network.json'), 'utf8')) as { body: { secrets: unknown[] } }).body
      .secrets.length;
  await until('host-b has it', () => secrets(b) === 2);
  await c.up();
  await connected(a, 'host-c', 60_000);
  await connected(b, 'host-c', 60_000);
  assert.is(secrets(c), 2);
});

test.run();
