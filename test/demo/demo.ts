/**
 * The main job on real traffic, with the commands a user would type: two daemons in two homes, one invite, one HTTP
 * service, 256 MiB through the tunnel; and once more while the path between the hosts is cut and both rotate their keys.
 * Cleans up after itself, also when interrupted or when a step fails.
 */
import { spawn, spawnSync } from 'node:child_process';
import { createHash, randomBytes } from 'node:crypto';
import { once } from 'node:events';
import { mkdtempSync, rmSync } from 'node:fs';
import http from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { Cable } from './cable.js';

const MEBIBYTE = 1024 * 1024;
const BULK_BYTES = 256 * MEBIBYTE;
/** What the service sends at a steady pace: so much each time, ms. */
const STEADY_BYTES = 2 * MEBIBYTE;
const STEADY_MS = 30;
const CLI = join(dirname(fileURLToPath(import.meta.url)), '..', '..', 'cli', 'main.js');
const FOLDER = mkdtempSync(join(tmpdir(), 'warren-demo-'));
const HOST_A = join(FOLDER, 'host-a');
const HOST_B = join(FOLDER, 'host-b');

const say = (text: string): void => console.log(text);

/** Runs one command as the user would type it on the host whose home is given; shows it and what it printed. */
async function warren(home: string, args: string[], show = args): Promise<string> {
  say(`\n  ${home === HOST_A ? 'host-a' : 'host-b'}$ warren ${show.join(' ')}`);
  return run(home, args, show);
}

/** ... without a word about it. */
async function run(home: string, args: string[], show = args): Promise<string> {
  const child = spawn(process.execPath, [CLI, '--home', home, ...args], { stdio: ['ignore', 'pipe', 'pipe'] });
  let out = '';
  child.stdout.on('data', (chunk: Buffer) => (out += chunk.toString()));
  child.stderr.on('data', (chunk: Buffer) => process.stdout.write(indent(chunk.toString())));
  const [status] = (await once(child, 'close')) as [number | null];
  if (status !== 0) throw new Error(`warren ${show.join(' ')} ended with exit code ${status}`);
  return out.trim();
}

function indent(text: string): string {
  return text.replace(/^(?=.)/gm, '          ');
}

interface Shop {
  readonly port: number;
  readonly sha256: string;
  close(): void;
}

/** The service: a small page, and 256 MiB of bytes that nobody can have cached, as fast as it goes or at a steady pace. */
async function startShop(): Promise<Shop> {
  const block = randomBytes(MEBIBYTE);
  const hash = createHash('sha256');
  for (let sent = 0; sent < BULK_BYTES; sent += block.length) hash.update(block);
  const server = http.createServer((request, response) => {
    if (request.url === '/') return void response.end('hello from the payments service on host-a\n');
    response.setHeader('content-length', BULK_BYTES);
    // What fails is the reader's to tell.
    send(response, block, request.url === '/steady').catch(() => response.destroy());
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  return { port: (server.address() as AddressInfo).port, sha256: hash.digest('hex'), close: () => server.close() };
}

async function send(response: http.ServerResponse, block: Buffer, isSteady: boolean): Promise<void> {
  for (let sent = 0; sent < BULK_BYTES; sent += block.length) {
    if (!response.write(block)) await once(response, 'drain');
    if (isSteady && sent % STEADY_BYTES === 0) await sleep(STEADY_MS);
  }
  response.end();
}

interface Fetched {
  readonly text: string;
  readonly bytes: number;
  readonly sha256: string;
  readonly seconds: number;
}

/**
 * Reads a URL to its end: its bytes when small, always its length, hash and duration.
 * @param meanwhile told how many bytes have come
 */
async function fetchThrough(url: string, meanwhile: (bytes: number) => void = () => undefined): Promise<Fetched> {
  const started = process.hrtime.bigint();
  const request = http.get(url, { agent: false });
  const [response] = (await once(request, 'response')) as [http.IncomingMessage];
  const hash = createHash('sha256');
  let bytes = 0;
  let text = '';
  for await (const chunk of response as AsyncIterable<Buffer>) {
    hash.update(chunk);
    bytes += chunk.length;
    if (bytes < 1024) text += chunk.toString();
    meanwhile(bytes);
  }
  return { text, bytes, sha256: hash.digest('hex'), seconds: Number(process.hrtime.bigint() - started) / 1e9 };
}

/** Shows that what came is what was sent. */
function compare(shop: Shop, { bytes, seconds, sha256 }: Fetched): void {
  say(indent(`${(bytes / MEBIBYTE / seconds).toFixed(0)} MiB/s (${seconds.toFixed(2)} s)`));
  say(indent(`sent     ${shop.sha256}\nreceived ${sha256}`));
  if (sha256 !== shop.sha256 || bytes !== BULK_BYTES) throw new Error('the bytes differ');
  say(indent('equal'));
}

/** One connection goes on while every link is cut, again and again, and both hosts change their keys. */
async function cutAndRotate(listen: string, shop: Shop, cable: Cable): Promise<void> {
  const cuts = [1, 2, 3, 4].map(n => (n * BULK_BYTES) / 5);
  const rotations: Promise<string>[] = [];
  const fetched = await fetchThrough(`http://${listen}/steady`, bytes => {
    if (cuts.length === 0 || bytes < cuts[0]!) return;
    cuts.shift();
    const count = cable.cut();
    say(indent(`at ${(bytes / MEBIBYTE).toFixed(0)} MiB: links cut: ${count}`));
    if (rotations.length === 0) rotations.push(...[HOST_A, HOST_B].map(home => warren(home, ['keys', 'rotate'])));
  });
  await Promise.all(rotations);
  say('');
  compare(shop, fetched);
}

function cleanUp(): void {
  for (const home of [HOST_B, HOST_A])
    spawnSync(process.execPath, [CLI, '--home', home, 'down'], { stdio: 'ignore', timeout: 20_000 });
  rmSync(FOLDER, { recursive: true, force: true });
}

async function main(): Promise<void> {
  say('warren in a minute: two daemons (two "hosts" on this machine), one invite, one service.');
  say('\n1. A daemon on each host. The first one founds a network; its invite brings the second one in.');
  const cable = await Cable.lay();
  const addresses = ['--listen', '127.0.0.1:0', '--advertise', cable.address];
  await warren(HOST_A, ['up', '--name', 'host-a', ...addresses, '--no-mdns', '--detach']);
  cable.lead((JSON.parse(await run(HOST_A, ['status', '--json'])) as { listen: string[] }).listen[0]!);
  const token = await warren(HOST_A, ['invite']);
  say(indent(`${token.slice(0, 40)}…  (one use, 15 minutes)`));
  await warren(
    HOST_B,
    ['up', '--name', 'host-b', '--no-listen', '--no-mdns', '--join', token, '--detach'],
    ['up', '--name', 'host-b', '--no-listen', '--no-mdns', '--join', `${token.slice(0, 16)}…`, '--detach'],
  );

  say('\n2. host-a has an HTTP server on a local port. It exposes it under a name; only host-b may call it.');
  const shop = await startShop();
  await warren(HOST_A, ['expose', 'payments', String(shop.port), '--allow', 'host-b']);

  say('\n3. host-b asks for that name and gets a local port.');
  const listen = (JSON.parse(await warren(HOST_B, ['connect', 'payments', '--json'])) as { listen: string }).listen;
  say(indent(`payments is at ${listen}`));

  say(`\n4. An ordinary HTTP client on host-b uses it.\n\n  host-b$ curl http://${listen}/`);
  const hello = await fetchThrough(`http://${listen}/`);
  process.stdout.write(indent(hello.text));

  say(
    `\n5. 256 MiB through the tunnel, encrypted from daemon to daemon.\n\n  host-b$ curl http://${listen}/bulk | sha256sum`,
  );
  compare(shop, await fetchThrough(`http://${listen}/bulk`));

  say(
    '\n6. Once more, one connection, at a steady pace; meanwhile the path between the hosts breaks and the keys change.',
  );
  await cutAndRotate(listen, shop, cable);

  say('\n7. What each host sees.');
  for (const home of [HOST_A, HOST_B]) say(indent(await warren(home, ['status'])));

  say('\n8. Done: both daemons go.');
  shop.close();
  await warren(HOST_B, ['down']);
  await warren(HOST_A, ['down']);
  cable.close();
}

process.once('SIGINT', () => {
  cleanUp();
  process.exit(130);
});

try {
  await main();
  say('\nThat is all. `warren help` shows the rest; README.md has the quick start.');
} catch (error) {
  say(`\nThe demo failed: ${error instanceof Error ? error.message : String(error)}`);
  process.exitCode = 1;
} finally {
  cleanUp();
}
