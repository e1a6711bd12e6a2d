/**
 * The main job on real traffic, with the commands a user would type: two daemons in two homes, one invite, one HTTP
 * service, 256 MiB through the tunnel. Cleans up after itself, also when interrupted or when a step fails.
 */
import { spawn, spawnSync } from 'node:child_process';
import { createHash, randomBytes } from 'node:crypto';
import { once } from 'node:events';
import { mkdtempSync, rmSync } from 'node:fs';
import http from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';

const MEBIBYTE = 1024 * 1024;
const BULK_BYTES = 256 * MEBIBYTE;
const CLI = join(dirname(fileURLToPath(import.meta.url)), '..', '..', 'cli', 'main.js');
const FOLDER = mkdtempSync(join(tmpdir(), 'warren-demo-'));
const HOST_A = join(FOLDER, 'host-a');
const HOST_B = join(FOLDER, 'host-b');

const say = (text: string): void => console.log(text);

/** Runs one command as the user would type it on the host whose home is given; shows it and what it printed. */
async function warren(home: string, args: string[], show = args): Promise<string> {
  say(`\n  ${home === HOST_A ? 'host-a' : 'host-b'}$ warren ${show.join(' ')}`);
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

/** The service: a small page, and 256 MiB of bytes that nobody can have cached. */
async function startShop(): Promise<{ port: number; sha256: string; close: () => void }> {
  const block = randomBytes(MEBIBYTE);
  const hash = createHash('sha256');
  for (let sent = 0; sent < BULK_BYTES; sent += block.length) hash.update(block);
  const server = http.createServer((request, response) => {
    if (request.url !== '/bulk') return void response.end('hello from the payments service on host-a\n');
    response.setHeader('content-length', BULK_BYTES);
    let sent = 0;
    const more = (): void => {
      while (sent < BULK_BYTES) {
        sent += block.length;
        if (!response.write(block)) return;
      }
      response.end();
    };
    response.on('drain', more);
    more();
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  return { port: (server.address() as AddressInfo).port, sha256: hash.digest('hex'), close: () => server.close() };
}

/** Reads a URL to its end: its bytes when small, always its length, hash and duration. */
async function fetchThrough(url: string): Promise<{ text: string; bytes: number; sha256: string; seconds: number }> {
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
  }
  return { text, bytes, sha256: hash.digest('hex'), seconds: Number(process.hrtime.bigint() - started) / 1e9 };
}

function cleanUp(): void {
  for (const home of [HOST_B, HOST_A])
    spawnSync(process.execPath, [CLI, '--home', home, 'down'], { stdio: 'ignore', timeout: 20_000 });
  rmSync(FOLDER, { recursive: true, force: true });
}

async function main(): Promise<void> {
  say('warren in a minute: two daemons (two "hosts" on this machine), one invite, one service.');
  say('\n1. A daemon on each host. The first one founds a network; its invite brings the second one in.');
  await warren(HOST_A, ['up', '--name', 'host-a', '--listen', '127.0.0.1:0', '--no-mdns', '--detach']);
  const token = await warren(HOST_A, ['invite']);
  say(indent(`${token.slice(0, 40)}…  (one use, 15 minutes)`));
  await warren(
    HOST_B,
    ['up', '--name', 'host-b', '--listen', '127.0.0.1:0', '--no-mdns', '--join', token, '--detach'],
    ['up', '--name', 'host-b', '--listen', '127.0.0.1:0', '--no-mdns', '--join', `${token.slice(0, 16)}…`, '--detach'],
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
  const bulk = await fetchThrough(`http://${listen}/bulk`);
  say(indent(`${(bulk.bytes / MEBIBYTE / bulk.seconds).toFixed(0)} MiB/s (${bulk.seconds.toFixed(2)} s)`));
  say(indent(`sent     ${shop.sha256}\nreceived ${bulk.sha256}`));
  if (bulk.sha256 !== shop.sha256 || bulk.bytes !== BULK_BYTES) throw new Error('the bytes differ');
  say(indent('equal'));

  say('\n6. What each host sees.');
  for (const home of [HOST_A, HOST_B]) say(indent(await warren(home, ['status'])));

  say('\n7. Done: both daemons go.');
  shop.close();
  await warren(HOST_B, ['down']);
  await warren(HOST_A, ['down']);
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
