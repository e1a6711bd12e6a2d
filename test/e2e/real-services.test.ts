/** nginx, redis, PostgreSQL and ssh between two homes: over TCP and WebSocket, with either side exposing. */
import { createHash, randomBytes } from 'node:crypto';
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { CLI, Lab, run, until, connected, type Host } from '../helpers/hosts.js';
import { freePort, startNginx, startPostgres, startRedis, startSshd } from '../helpers/servers.js';
import { assert, full, suite } from '../helpers/suite.js';

const test = suite('real services');
const lab = new Lab();
const MIB = 1024 * 1024;

/** Two joined hosts whose only link is of the given kind; `exposer` exposes, `caller` connects. */
interface Scene {
  readonly name: string;
  readonly exposer: Host;
  readonly caller: Host;
}
const scenes: Scene[] = [];

async function twoHosts(name: string, transport: 'tcp' | 'websocket'): Promise<[Host, Host]> {
  const a = lab.host(`${name}-a`);
  const b = lab.host(`${name}-b`);
  const port = await freePort();
  // Only one side can be dialed, at the one kind of address, so that the transport is certain.
  const advertise = transport === 'tcp' ? `127.0.0.1:${port}` : `ws://127.0.0.1:${port}/warren`;
  await a.up(['--listen', `127.0.0.1:${port}`, '--advertise', advertise]);
  await b.up(['--no-listen', '--join', await a.ok(['invite'])]);
  await connected(a, b.name);
  await connected(b, a.name);
  const link = (await b.status()).peers.find(p => p.name === a.name)?.links[0];
  assert.is(link?.transport, transport);
  return [a, b];
}

test.before(async () => {
  const [a, b] = await twoHosts('tcp', 'tcp');
  scenes.push({ name: 'tcp, listening side exposes', exposer: a, caller: b });
  scenes.push({ name: 'tcp, dialing side exposes', exposer: b, caller: a });
  const [c, d] = await twoHosts('ws', 'websocket');
  scenes.push({ name: 'websocket, listening side exposes', exposer: c, caller: d });
  scenes.push({ name: 'websocket, dialing side exposes', exposer: d, caller: c });
});

test.after(() => lab.close());

/** Exposes a target in every scene and hands out the local address in turn. */
async function everywhere(
  service: string,
  target: string,
  use: (scene: Scene, host: string, port: number) => Promise<void>,
): Promise<void> {
  for (const scene of scenes) {
    await scene.exposer.ok(['expose', service, target]);
    const listen = await scene.caller.connect(service);
    await until(`${service} is known (${scene.name})`, async () =>
      (await scene.caller.status()).tunnels.some(t => t.service === service && t.state === 'listening'),
    );
    const [host = '', port = ''] = listen.split(':');
    await use(scene, host, Number(port));
  }
}

test(
  'nginx serves pages and a large file',
  async () => {
    const port = await freePort();
    const bytes = randomBytes(8 * MIB);
    const file = join(lab.folder, 'large.bin');
    writeFileSync(file, bytes);
    await startNginx(
      lab,
      `server { listen 127.0.0.1:${port}; location = /page { return 200 "hello\\n"; } location / { root ${lab.folder}; } }`,
      port,
    );
    await everywhere('web', String(port), async (scene, host, local) => {
      const page = await run('curl', ['-sS', `http://${host}:${local}/page`]);
      assert.is(page.stdout, 'hello\n', `${scene.name}: ${page.stderr}`);
      const copy = join(lab.folder, 'copy.bin');
      await run('curl', ['-sS', '-o', copy, `http://${host}:${local}/large.bin`]);
      assert.is(sha256(readFileSync(copy)), sha256(bytes), scene.name);
    });
  },
  { deadline: 120_000, needs: ['nginx', 'curl'] },
);

test(
  'redis takes a pipeline of 100 000 commands',
  async () => {
    const port = await startRedis(lab);
    const commands = full(20_000, 100_000);
    await everywhere('cache', `127.0.0.1:${port}`, async (scene, host, local) => {
      const key = `k${scenes.indexOf(scene)}`;
      const input = Array.from({ length: commands }, (_, i) => `INCRBY ${key} ${i % 7}\r\n`).join('');
      const piped = await run('redis-cli', ['-h', host, '-p', String(local), '--pipe'], { input, deadline: 60_000 });
      assert.match(piped.stdout, `errors: 0, replies: ${commands}`, `${scene.name}: ${piped.stdout}${piped.stderr}`);
      let expected = 0;
      for (let i = 0; i < commands; i++) expected += i % 7;
      const value = await run('redis-cli', ['-h', host, '-p', String(local), 'GET', key]);
      assert.is(value.stdout.trim(), String(expected), scene.name);
    });
  },
  { deadline: 180_000, needs: ['redis-server', 'redis-cli'] },
);

test(
  'PostgreSQL: COPY in and out, over TCP and over its unix socket',
  async () => {
    const postgres = await startPostgres(lab);
    const lines = full(60_000, 600_000); // 84 bytes each: 50 MB at full size
    const data = Array.from(
      { length: lines },
      (_, i) => `${i}\t${createHash('sha256').update(String(i)).digest('hex')}${'x'.repeat(12)}\n`,
    ).join('');
    const source = join(lab.folder, 'rows.tsv');
    writeFileSync(source, data);
    const psql = (
      host: string,
      port: number,
      sql: string,
    ): Promise<{ status: number | null; stdout: string; stderr: string }> =>
      run('psql', ['-h', host, '-p', String(port), '-U', postgres.user, '-d', 'postgres', '-Atqc', sql], {
        deadline: 120_000,
      });

    await everywhere('db', `127.0.0.1:${postgres.port}`, async (scene, host, local) => {
      const table = `t${scenes.indexOf(scene)}`;
      const made = await psql(host, local, `create table ${table} (id int, v text)`);
      assert.is(made.status, 0, `${scene.name}: ${made.stderr}`);
      const copied = await psql(host, local, `\\copy ${table} from '${source}'`);
      assert.is(copied.status, 0, `${scene.name}: ${copied.stderr}`);
      const out = join(lab.folder, 'rows-out.tsv');
      const back = await psql(host, local, `\\copy (select * from ${table} order by id) to '${out}'`);
      assert.is(back.status, 0, `${scene.name}: ${back.stderr}`);
      assert.is(sha256(readFileSync(out)), sha256(Buffer.from(data)), scene.name);
    });

    // unix target and unix listener
    const scene = scenes[0]!;
    await scene.exposer.ok(['expose', 'db-unix', `unix:${postgres.socketFolder}/.s.PGSQL.${postgres.port}`]);
    const listener = join(lab.folder, '.s.PGSQL.5999');
    assert.is(await scene.caller.connect('db-unix', `unix:${listener}`), `unix:${listener}`);
    const answer = await until('the unix tunnel works', async () => {
      const result = await psql(lab.folder, 5999, 'select 6 * 7');
      return result.status === 0 && result.stdout.trim();
    });
    assert.is(answer, '42');
  },
  { deadline: 240_000, needs: ['psql', 'setpriv'] },
);

test(
  'ssh through `warren nc` as ProxyCommand',
  async () => {
    const sshd = await startSshd(lab);
    for (const scene of scenes) {
      await scene.exposer.ok(['expose', 'ssh', String(sshd.port)]);
      await until('ssh is known', async () =>
        (await scene.caller.json<{ services: { name: string; instances: unknown[] }[] }>(['services'])).services.some(
          s => s.name === 'ssh' && s.instances.length > 0,
        ),
      );
      const bytes = randomBytes(MIB);
      const result = await run(
        'ssh',
        [
          '-i',
          sshd.keyFile,
          '-o',
          'StrictHostKeyChecking=no',
          '-o',
          'UserKnownHostsFile=/dev/null',
          '-o',
          'LogLevel=ERROR',
          '-o',
          `ProxyCommand=${process.execPath} ${CLI} --home ${scene.caller.home} nc ssh`,
          `${sshd.user}@ssh-a`,
          'sha256sum',
        ],
        { input: bytes.toString('base64') },
      );
      assert.is(result.status, 0, `${scene.name}: ${result.stderr}`);
      assert.match(result.stdout, sha256(Buffer.from(bytes.toString('base64'))), scene.name);
    }
  },
  { deadline: 120_000, needs: ['ssh', 'sshd'] },
);

test(
  'a wss:// address through nginx with its default proxying',
  async () => {
    const [front, back] = [await freePort(), await freePort()];
    const pems = await selfSigned();
    await startNginx(
      lab,
      `map $http_upgrade $connection_upgrade { default upgrade; '' close; }
       server { listen 127.0.0.1:${front} ssl; ssl_certificate ${pems.cert}; ssl_certificate_key ${pems.key};
         location /burrow { proxy_pass http://127.0.0.1:${back}; proxy_http_version 1.1; proxy_set_header Upgrade $http_upgrade; proxy_set_header Connection $connection_upgrade; } }`,
      front,
    );
    const a = lab.host('wss-a');
    const b = lab.host('wss-b');
    await a.up(['--listen', `127.0.0.1:${back}`, '--advertise', `wss://localhost:${front}/burrow`]);
    const token = await a.ok(['invite']);
    await b.up(['--no-listen', '--join', token], { NODE_EXTRA_CA_CERTS: pems.cert });
    await connected(b, 'wss-a');
    assert.is((await b.status()).peers[0]?.links[0]?.transport, 'websocket');
    const port = await startRedis(lab);
    await a.ok(['expose', 'cache', String(port)]);
    const [host = '', local = ''] = (await b.connect('cache')).split(':');
    await until(
      'redis answers',
      async () => (await run('redis-cli', ['-h', host, '-p', local, 'PING'])).stdout.trim() === 'PONG',
    );
  },
  { deadline: 60_000, needs: ['nginx', 'redis-server', 'openssl'] },
);

async function selfSigned(): Promise<{ cert: string; key: string }> {
  const cert = join(lab.folder, 'cert.pem');
  const key = join(lab.folder, 'key.pem');
  await run('openssl', [
    'req',
    '-x509',
    '-newkey',
    'ec',
    '-pkeyopt',
    'ec_paramgen_curve:prime256v1',
    '-nodes',
    '-keyout',
    key,
    '-out',
    cert,
    '-days',
    '2',
    '-subj',
    '/CN=localhost',
    '-addext',
    'subjectAltName=DNS:localhost,IP:127.0.0.1',
  ]);
  return { cert, key };
}

function sha256(bytes: Uint8Array): string {
  return createHash('sha256').update(bytes).digest('hex');
}

test.run();
