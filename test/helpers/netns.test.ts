/** The namespaces helper does what it says: wires are slow, cut by silence and by reset, and renumbered. */
import { spawn } from 'node:child_process';
import { Lab, run, until } from './hosts.js';
import { NETNS_NEEDS, Network, type Space } from './netns.js';
import { assert, suite } from './suite.js';

const test = suite('namespaces');
const lab = new Lab();
const PORT = 4000;
let a: Space;
let b: Space;

test.before(async () => {
  if (process.getuid?.() !== 0) return;
  const network = new Network(lab);
  [a, b] = [await network.space('a'), await network.space('b')];
  await network.cable('10.78.0', a, b, { rate: '50mbit' });
  lab.keep(spawn('ip', ['netns', 'exec', a.netns, process.execPath, '-e', SERVER], { stdio: 'ignore' }));
  await until('the server answers', async () => (await talk(10)).how === '10');
});
test.after(() => lab.close());

/** Sends back as many bytes as the first line asks for. */
const SERVER = `require('node:net').createServer(s => {
  s.on('error', () => {});
  s.once('data', d => s.end(Buffer.alloc(Number(d))));
}).listen(${PORT}, '0.0.0.0')`;

/** From b to a: the number of bytes that came, or how it failed; and how long it took. */
async function talk(bytes: number): Promise<{ how: string; ms: number }> {
  const client = `let n = 0; const s = require('node:net').connect(${PORT}, '${a.address()}', () => s.write('${bytes}\\n'));
    s.on('error', e => { process.stdout.write(e.code); process.exit(0); });
    s.on('data', d => { n += d.length; }); s.on('end', () => process.stdout.write(String(n)));
    setTimeout(() => { process.stdout.write('silence'); process.exit(0); }, 1500).unref();`;
  const started = Date.now();
  const result = await run(process.execPath, ['-e', client], { netns: b.netns });
  return { how: result.stdout, ms: Date.now() - started };
}

test(
  'a shaped cable is as slow as it was told',
  async () => {
    const bytes = 4_000_000; // 0.64 s at 50 Mbit/s
    const { how, ms } = await talk(bytes);
    assert.is(how, String(bytes));
    assert.ok(ms > 500, `${ms} ms`);
  },
  { needs: NETNS_NEEDS },
);

test(
  'a reset is told to the sender, by either end and for one port only; silence is silence',
  async () => {
    for (const [space, direction] of [
      [a, 'in'],
      [b, 'out'],
    ] as const) {
      const peer = (space === a ? b : a).address();
      const end = await space.block({ how: 'reset', peer, direction });
      assert.is((await talk(10)).how, 'ECONNREFUSED', direction);
      await end();
      assert.is((await talk(10)).how, '10');
    }
    const other = await a.block({ how: 'reset', localPort: PORT + 1 });
    assert.is((await talk(10)).how, '10', 'another port is not touched');
    await other();
    const silent = await a.block({ how: 'drop', peer: b.address() });
    assert.is((await talk(10)).how, 'silence');
    await silent();
    assert.is((await talk(10)).how, '10');
  },
  { needs: NETNS_NEEDS },
);

test(
  'a node gets another address; the old one is gone',
  async () => {
    await a.readdress('10.78.0.9');
    assert.is(a.address(), '10.78.0.9');
    assert.is((await talk(10)).how, '10');
    const { stdout } = await a.exec('ip', '-4', '-o', 'addr', 'show', 'dev', 'eth0');
    assert.not.match(stdout, '10.78.0.1/');
  },
  { needs: NETNS_NEEDS },
);

test(
  'all is taken down with the lab',
  async () => {
    const own = new Lab();
    const network = new Network(own);
    const space = await network.space('a');
    await network.bridge('10.79.0', [space]);
    assert.match((await run('ip', ['netns', 'list'])).stdout, space.netns);
    const prefix = space.netns.slice(0, -1);
    assert.match((await run('ip', ['-o', 'link'])).stdout, prefix);
    await own.close();
    assert.not.match((await run('ip', ['netns', 'list'])).stdout, space.netns);
    assert.not.match((await run('ip', ['-o', 'link'])).stdout, prefix);
  },
  { needs: NETNS_NEEDS },
);

test.run();
