/** Daemons die and come back: the session returns by itself, config and identity stay. */
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { Lab, alive, connected, until, type Host } from '../helpers/hosts.js';
import { dial, echo, exchange, readAll, startService } from '../helpers/traffic.js';
import { assert, suite } from '../helpers/suite.js';

const test = suite('restarts');
const lab = new Lab();
let a: Host;
let b: Host;
let listen: string;

test.before(async () => {
  [a, b] = await lab.pair();
  await a.ok(['expose', 'echo', String(await startService(lab, echo))]);
  listen = await b.connect('echo');
});
test.after(() => lab.close());

async function worksAgain(): Promise<void> {
  await until('the tunnel works', async () => (await exchange(listen, 'hello')) === 'hello', 40_000);
}

/** Ping deadline 5 s after 15 s idle; five times as wide in real runs, as every protocol deadline. */
const NOTICE_MS = 100_000;

for (const [dies, stays] of [
  ['exposing', 'calling'],
  ['calling', 'exposing'],
] as const) {
  test(
    `kill -9 of the ${dies} daemon is noticed by the ${stays} one; after a restart all is back`,
    async () => {
      const [victim, witness] = dies === 'exposing' ? [a, b] : [b, a];
      await worksAgain();
      const before = await victim.status();
      await victim.kill();
      await until('noticed', async () => (await witness.status()).peers.every(p => p.state !== 'connected'), NOTICE_MS);
      const after = await victim.up();
      assert.is(after.node.id, before.node.id);
      assert.is(after.node.name, before.node.name);
      assert.equal(after.listen, before.listen, 'the port got for :0 is remembered');
      assert.equal(
        after.services.map(s => s.name),
        before.services.map(s => s.name),
      );
      assert.equal(
        after.tunnels.map(t => t.listen),
        before.tunnels.map(t => t.listen),
      );
      await connected(witness, victim.name, 60_000);
      await worksAgain();
    },
    { deadline: 180_000 },
  );
}

test(
  'kill -9 while streams are open: the other side resets them',
  async () => {
    await worksAgain();
    const socket = await dial(listen);
    const broken = readAll(socket).then(
      () => 'ended',
      () => 'broken',
    );
    socket.write('x');
    await until('the stream is open', async () => (await b.diagnostics()).streams > 0);
    await a.kill();
    await a.up();
    assert.is(await broken, 'broken');
    await worksAgain();
  },
  { deadline: 180_000 },
);

test(
  'a daemon that starts before its peer connects when the peer appears',
  async () => {
    await a.ok(['down']);
    await b.ok(['down']);
    await b.up();
    await new Promise(resolve => setTimeout(resolve, 1500));
    await a.up();
    await connected(b, 'host-a', 60_000);
    await worksAgain();
  },
  { deadline: 120_000 },
);

test('reload of an edited file touches no other stream', async () => {
  await worksAgain();
  const socket = await dial(listen);
  const answer = readAll(socket);
  socket.write('before ');
  const file = join(a.home, 'config.yaml');
  const port = await startService(lab, echo);
  const text = readFileSync(file, 'utf8');
  writeFileSync(
    file,
    `# edited by hand\n${text.replace(/^services:\n/m, `services:\n  second: { target: "127.0.0.1:${port}" } # new\n`)}`,
  );
  const changes = await a.json<{ changes: string[] }>(['reload']);
  assert.ok(changes.changes.some(c => c.includes('second')));
  socket.end('after');
  assert.is((await answer).text, 'before after');
  const second = await b.connect('second');
  await until('the new service works', async () => (await exchange(second, 'two')) === 'two');
  await a.ok(['expose', 'third', String(port)]);
  const kept = readFileSync(file, 'utf8');
  assert.match(kept, '# edited by hand');
  assert.match(kept, '# new');
});

test('SIGHUP reloads too; a bad file changes nothing and says where', async () => {
  const file = join(a.home, 'config.yaml');
  const text = readFileSync(file, 'utf8');
  writeFileSync(file, text.replace(/^services:\n/m, 'services:\n  broken: { targte: 80 }\n'));
  const result = await a.warren(['reload']);
  assert.is(result.status, 1);
  assert.is(result.stdout, '');
  assert.match(result.stderr, /config\.yaml:\d+:\d+/);
  assert.not((await a.status()).services.some(s => s.name === 'broken'));
  assert.ok((await a.status()).services.some(s => s.name === 'echo'));
  writeFileSync(file, text.replace(/^services:\n/m, 'services:\n  fourth: { target: 8080 }\n'));
  process.kill(await a.pid(), 'SIGHUP');
  await until('reloaded', async () => (await a.status()).services.some(s => s.name === 'fourth'));
  await worksAgain();
});

test(
  'SIGTERM drains: an open stream may finish, new ones are refused, then the daemon ends',
  async () => {
    await worksAgain();
    const socket = await dial(listen);
    socket.write('x');
    await until('open', async () => (await a.diagnostics()).streams > 0);
    const pid = await a.pid();
    const answer = readAll(socket);
    process.kill(pid, 'SIGTERM');
    await new Promise(resolve => setTimeout(resolve, 500));
    assert.ok(alive(pid), 'it waits for the open stream');
    socket.end('y');
    assert.is((await answer).text, 'xy');
    await until('it ended before the deadline', () => !alive(pid), 9000);
    await a.up();
    await connected(b, 'host-a', 60_000);
  },
  { deadline: 120_000 },
);

test(
  'a second signal forces',
  async () => {
    await worksAgain();
    const socket = await dial(listen);
    socket.write('x');
    await until('open', async () => (await a.diagnostics()).streams > 0);
    const pid = await a.pid();
    process.kill(pid, 'SIGTERM');
    await new Promise(resolve => setTimeout(resolve, 300));
    process.kill(pid, 'SIGTERM');
    await until('it ended at once', () => !alive(pid), 3000);
    await a.up();
    await connected(b, 'host-a', 60_000);
  },
  { deadline: 120_000 },
);

test(
  'restart comes back with the same identity and port',
  async () => {
    const before = await a.status();
    await a.ok(['restart'], { deadline: 60_000 });
    const after = await until('back', () => a.status());
    assert.is.not(after.pid, before.pid);
    assert.is(after.node.id, before.node.id);
    assert.equal(after.listen, before.listen);
    await connected(b, 'host-a', 60_000);
    await worksAgain();
  },
  { deadline: 120_000 },
);

test.run();
