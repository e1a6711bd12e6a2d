/**
 * Daemons that end and come back under load: new connections go to other instances at once, open ones run on until the
 * deadline, and status tells at each moment what can be reached.
 */
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import type { Socket } from 'node:net';
import { Lab, connected, until, type Host } from '../helpers/hosts.js';
import { dial, echo, exchange, readAll, startService } from '../helpers/traffic.js';
import { assert, suite } from '../helpers/suite.js';

const test = suite('drain');
const lab = new Lab();
/** Two nodes expose the same service, a third one calls it. */
let a: Host;
let b: Host;
let caller: Host;
let listen: string;

test.before(async () => {
  [a, b, caller] = [lab.host('host-a'), lab.host('host-b'), lab.host('caller')];
  await caller.up();
  const target = String(await startService(lab, echo));
  for (const host of [a, b]) {
    await host.up(['--join', await caller.ok(['invite'])]);
    await host.ok(['expose', 'echo', target]);
  }
  listen = await caller.connect('echo');
  await bothAreThere();
});
test.after(() => lab.close());

interface Service {
  readonly name: string;
  readonly instances: readonly { readonly node: string; readonly reachable: boolean }[];
}

async function reachable(): Promise<string[]> {
  const { services } = await caller.json<{ services: readonly Service[] }>(['services']);
  const instances = services.find(service => service.name === 'echo')?.instances ?? [];
  return instances.flatMap(({ node, reachable: is }) => (is ? [node] : [])).sort();
}

async function bothAreThere(): Promise<void> {
  await until('both instances can be reached', async () => (await reachable()).join() === 'host-a,host-b', 60_000);
}

async function tunnelState(): Promise<string | undefined> {
  return (await caller.status()).tunnels[0]?.state;
}

/** Clients with a new connection for each request, until `stop`. */
class Callers {
  answers = 0;
  readonly errors: string[] = [];
  private stopped = false;
  private readonly all: Promise<void>[];

  constructor(count: number) {
    this.all = Array.from({ length: count }, (_, i) => this.client(i));
  }

  private async client(number: number): Promise<void> {
    for (let i = 0; !this.stopped; i++) {
      const question = `client ${number}, request ${i}`;
      try {
        const answer = await exchange(listen, question);
        if (answer === question) this.answers++;
        else this.errors.push(`${question}: ${JSON.stringify(answer)}`);
      } catch (error) {
        this.errors.push(`${question}: ${String(error)}`);
      }
      await new Promise(resolve => setTimeout(resolve, 20 + Math.random() * 60));
    }
  }

  async stop(): Promise<void> {
    this.stopped = true;
    await Promise.all(this.all);
  }
}

test(
  'restart and down of each instance in turn: no client of the other one sees an error',
  async () => {
    const callers = new Callers(50);
    lab.onClose(() => callers.stop());
    for (const [how, host] of [
      ['restart', a],
      ['restart', b],
      ['down', a],
      ['down', b],
    ] as const) {
      const before = callers.answers;
      await until('there is load', () => callers.answers > before + 100, 60_000);
      await host.ok([how], { deadline: 60_000 });
      if (how === 'down') await host.up();
      assert.equal(callers.errors, [], `${how} of ${host.name}`);
      await bothAreThere();
    }
    await callers.stop();
    assert.equal(callers.errors, []);
    const [tunnel] = (await caller.status()).tunnels;
    assert.equal([tunnel?.failed, tunnel?.denied], [0, 0]);
    console.log(`${callers.answers} connections while instances ended and came back`);
  },
  { deadline: 300_000 },
);

/** A connection through the tunnel that has been answered, and the host that serves it. */
async function openStream(): Promise<{ socket: Socket; server: Host; other: Host }> {
  const socket = await dial(listen);
  socket.write('x');
  await new Promise(resolve => socket.once('data', resolve));
  const [ofA] = (await a.status()).services;
  return ofA?.openStreams === 1 ? { socket, server: a, other: b } : { socket, server: b, other: a };
}

test(
  'an open stream runs on while its instance drains; new ones go elsewhere; status tells the truth at each moment',
  async () => {
    const { socket, server, other } = await openStream();
    const answer = readAll(socket);
    answer.catch(() => undefined);
    const ending = server.warren(['down'], { deadline: 60_000 });
    await until('the leaving instance takes no more', async () => (await reachable()).join() === other.name);
    assert.is(await tunnelState(), 'listening');
    assert.is(await exchange(listen, 'elsewhere'), 'elsewhere');

    await other.ok(['down']);
    assert.is(await tunnelState(), 'unreachable');
    assert.equal((await caller.status()).tunnels[0]?.instances, 2);
    assert.ok(await exchange(listen, 'nobody').then(text => text === '', () => true)); // prettier-ignore

    socket.end('still here');
    assert.is((await answer).text, 'still here');
    assert.is((await ending).status, 0);
    await until('the peers are gone', async () =>
      (await caller.status()).peers.every(peer => ['down', 'connecting'].includes(peer.state)),
    );
    await a.up();
    await b.up();
    await bothAreThere();
    assert.is(await tunnelState(), 'listening');
    assert.is((await caller.status()).tunnels[0]?.listen, listen);
  },
  { deadline: 180_000 },
);

test(
  'what has not ended at the deadline is reset with `draining`',
  async () => {
    for (const host of [a, b]) {
      const config = join(host.home, 'config.yaml');
      writeFileSync(config, `${readFileSync(config, 'utf8')}limits: { drainSeconds: 1 }\n`);
    }
    const { socket, server } = await openStream();
    const broken = readAll(socket).then(
      () => 'ended',
      () => 'broken',
    );
    const pid = await server.pid();
    const start = performance.now();
    process.kill(pid, 'SIGTERM');
    assert.is(await broken, 'broken');
    const ms = performance.now() - start;
    assert.ok(ms > 900 && ms < 10_000, `after ${ms} ms`);
    await until('the reason is in the log', () => /"wire":"draining"/.test(caller.log()));
    await server.up();
    await bothAreThere();
  },
  { deadline: 120_000 },
);

test(
  'an instance that was killed and started anew: its streams are reset at once with `peer-restarted`',
  async () => {
    const { socket, server } = await openStream();
    const broken = readAll(socket).then(
      () => 'ended',
      () => 'broken',
    );
    await server.kill();
    await server.up();
    assert.is(await broken, 'broken');
    await until('the reason is in the log', () => /"wire":"peer-restarted"/.test(caller.log()));
    await bothAreThere();
    assert.is(await exchange(listen, 'again'), 'again');
  },
  { deadline: 120_000 },
);

test(
  'a restart of the calling daemon ends its streams everywhere, and its tunnels come back where they were',
  async () => {
    const { socket } = await openStream();
    const ended = readAll(socket).catch(() => undefined);
    const restart = caller.warren(['restart'], { deadline: 60_000 });
    await until('the tunnel takes nobody any more', () => exchange(listen, 'x').then(() => false, () => true)); // prettier-ignore
    socket.end();
    await ended;
    assert.is((await restart).status, 0);
    await connected(caller, 'host-a', 60_000);
    await bothAreThere();
    const status = await caller.status();
    assert.equal([status.tunnels[0]?.listen, status.tunnels[0]?.state], [listen, 'listening']);
    assert.is(await exchange(listen, 'again'), 'again');
    for (const host of [a, b])
      await until('nothing is left', async () => (await host.status()).services[0]?.openStreams === 0);
  },
  { deadline: 120_000 },
);

test.run();
