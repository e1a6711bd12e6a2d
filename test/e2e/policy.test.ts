/** `--allow` and `--deny` are judged at the exposing side by the proven identity. */
import { once } from 'node:events';
import { Lab, connected, until, type Host } from '../helpers/hosts.js';
import { dial, echo, exchange, startService } from '../helpers/traffic.js';
import { assert, suite } from '../helpers/suite.js';

const test = suite('policy');
const lab = new Lab();
let a: Host;
let b: Host;
let c: Host;
let port: number;

test.before(async () => {
  [a, b] = await lab.pair();
  c = lab.host('host-c');
  await c.up(['--join', await a.ok(['invite', '--tag', 'batch'])]);
  await connected(a, 'host-c');
  port = await startService(lab, echo);
});
test.after(() => lab.close());

/** True if the caller's connection carries bytes, false if it is reset. */
async function works(address: string): Promise<boolean> {
  try {
    return (await exchange(address, 'ping')) === 'ping';
  } catch {
    return false;
  }
}

/** How a connection fails; on a busy machine the reset may come before the connect is told. */
async function endOf(address: string): Promise<NodeJS.ErrnoException> {
  try {
    const socket = await dial(address);
    socket.write('x');
    return await new Promise(resolve => socket.once('error', resolve));
  } catch (error) {
    return error as NodeJS.ErrnoException;
  }
}

async function exposed(name: string, flags: string[]): Promise<{ atB: string; atC: string }> {
  await a.ok(['expose', name, String(port), ...flags]);
  const result = { atB: await b.connect(name), atC: await c.connect(name) };
  for (const host of [b, c])
    await until('the tunnel listens', async () =>
      (await host.status()).tunnels.some(t => t.service === name && t.state === 'listening'),
    );
  return result;
}

test('without rules every member may call', async () => {
  const { atB, atC } = await exposed('open', []);
  assert.ok(await works(atB));
  assert.ok(await works(atC));
});

test('--allow makes the rest denied: by name, by tag, by node ID', async () => {
  const byName = await exposed('by-name', ['--allow', 'host-b']);
  assert.ok(await works(byName.atB));
  assert.not(await works(byName.atC));
  const byTag = await exposed('by-tag', ['--allow', 'tag:batch']);
  assert.not(await works(byTag.atB));
  assert.ok(await works(byTag.atC));
  const byId = await exposed('by-id', ['--allow', (await b.status()).node.id]);
  assert.ok(await works(byId.atB));
  assert.not(await works(byId.atC));
});

test('--deny beats --allow', async () => {
  const { atB, atC } = await exposed('denied', ['--allow', 'host-b', '--allow', 'host-c', '--deny', 'tag:batch']);
  assert.ok(await works(atB));
  assert.not(await works(atC));
});

test('a refused caller is reset, counted at the caller, logged with who and why at the exposing side', async () => {
  const { atC } = await exposed('counted', ['--deny', 'host-c']);
  assert.is((await endOf(atC)).code, 'ECONNRESET');
  await until('counted as denied', async () =>
    (await c.status()).tunnels.some(t => t.service === 'counted' && t.denied >= 1),
  );
  const line = await until('logged', () =>
    a
      .log()
      .split('\n')
      .find(l => l.includes('counted') && l.includes('host-c') && l.includes('denied')),
  );
  assert.match((JSON.parse(line) as { why: string }).why, 'host-c');
  assert.ok((await a.status()).services.some(s => s.name === 'counted' && s.deniedStreams >= 1));
});

test('changing the rule ends the open streams that it no longer allows, and only those', async () => {
  const { atB, atC } = await exposed('changing', []);
  const [fromB, fromC] = [await dial(atB), await dial(atC)];
  for (const socket of [fromB, fromC]) {
    socket.write('x');
    await once(socket, 'data');
  }
  const reset = new Promise<NodeJS.ErrnoException>(resolve => fromC.once('error', resolve));
  await a.ok(['unexpose', 'unrelated']).catch(() => undefined);
  const config = await import('node:fs');
  const file = `${a.home}/config.yaml`;
  const text = config.readFileSync(file, 'utf8');
  const edited = text
    .replace(/(^ {2}changing:\n(?: {4}.*\n)*)/m, '$1    deny: [host-c]\n')
    .replace(/(^ {2}changing: \{[^}]*)\}/m, '$1, deny: [host-c] }');
  assert.is.not(edited, text);
  config.writeFileSync(file, edited);
  await a.ok(['reload']);
  assert.is((await reset).code, 'ECONNRESET');
  fromB.write('y');
  const [answer] = (await once(fromB, 'data')) as [Buffer];
  assert.is(answer.toString(), 'y');
  fromB.destroy();
});

test.run();
