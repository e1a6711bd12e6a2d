/** Real servers for end-to-end tests, each in a temporary folder on loopback, ended with the lab. */
import { spawn, spawnSync } from 'node:child_process';
import { chmodSync, chownSync, existsSync, mkdirSync, readdirSync, writeFileSync } from 'node:fs';
import net from 'node:net';
import { userInfo } from 'node:os';
import { join } from 'node:path';
import { run, until, type Lab } from './hosts.js';

/** A port that was free a moment ago. */
export function freePort(): Promise<number> {
  return new Promise((resolve, reject) => {
    const server = net.createServer();
    server.on('error', reject);
    server.listen(0, '127.0.0.1', () => {
      const { port } = server.address() as net.AddressInfo;
      server.close(() => resolve(port));
    });
  });
}

/** True once something accepts connections there. */
export function answers(where: net.NetConnectOpts): Promise<boolean> {
  return new Promise(resolve => {
    const socket = net.connect(where);
    socket.once('connect', () => {
      socket.destroy();
      resolve(true);
    });
    socket.once('error', () => resolve(false));
  });
}

/** nginx with the given `http { … }` contents. */
export async function startNginx(lab: Lab, http: string, port: number): Promise<void> {
  const folder = join(lab.folder, `nginx-${port}`);
  mkdirSync(folder, { recursive: true });
  const temp = ['client_body', 'proxy', 'fastcgi', 'uwsgi', 'scgi']
    .map(n => `${n}_temp_path ${folder}/${n};`)
    .join('\n');
  const user = process.getuid?.() === 0 ? 'user root;' : '';
  writeFileSync(
    join(folder, 'nginx.conf'),
    `${user}\ndaemon off; master_process off; pid ${folder}/pid; error_log ${folder}/error.log;\nevents { worker_connections 4096; }\nhttp { access_log off; ${temp}\n${http}\n}\n`,
  );
  lab.keep(spawn('nginx', ['-c', join(folder, 'nginx.conf'), '-p', folder], { stdio: 'ignore' }));
  await until(`nginx answers on ${port}`, () => answers({ port, host: '127.0.0.1' }));
}

export async function startRedis(lab: Lab): Promise<number> {
  const port = await freePort();
  const folder = join(lab.folder, `redis-${port}`);
  mkdirSync(folder, { recursive: true });
  lab.keep(
    spawn(
      'redis-server',
      ['--port', String(port), '--bind', '127.0.0.1', '--save', '', '--appendonly', 'no', '--dir', folder],
      { stdio: 'ignore' },
    ),
  );
  await until('redis answers', () => answers({ port, host: '127.0.0.1' }));
  return port;
}

/** The newest PostgreSQL's program folder, or undefined. */
export function postgresBin(): string | undefined {
  const base = '/usr/lib/postgresql';
  if (!existsSync(base)) return undefined;
  return readdirSync(base)
    .sort((x, y) => Number(y) - Number(x))
    .map(v => join(base, v, 'bin'))
    .find(bin => existsSync(join(bin, 'postgres')));
}

export interface Postgres {
  readonly port: number;
  /** folder of the unix socket `.s.PGSQL.<port>` */
  readonly socketFolder: string;
  readonly user: string;
}

/** PostgreSQL refuses to run as root: then it runs as the packaged `postgres` user. */
export async function startPostgres(lab: Lab): Promise<Postgres> {
  const bin = postgresBin();
  if (bin === undefined) throw new Error('PostgreSQL is not installed');
  const port = await freePort();
  const folder = join(lab.folder, `pg-${port}`);
  const data = join(folder, 'data');
  mkdirSync(folder, { recursive: true });
  const root = process.getuid?.() === 0;
  const as = (args: string[]): [string, string[]] =>
    root ? ['setpriv', ['--reuid=postgres', '--regid=postgres', '--clear-groups', ...args]] : [args[0]!, args.slice(1)];
  if (root) {
    chmodSync(lab.folder, 0o755);
    const id = (flag: string): number =>
      Number(spawnSync('id', [flag, 'postgres'], { encoding: 'utf8' }).stdout.trim());
    chownSync(folder, id('-u'), id('-g'));
  }
  const init = await run(
    ...as([join(bin, 'initdb'), '-D', data, '-U', 'warren', '-A', 'trust', '--no-sync', '-E', 'UTF8', '--locale=C']),
    { deadline: 60_000, cwd: '/' },
  );
  if (init.status !== 0) throw new Error(`initdb: ${init.stderr}`);
  const [program, args] = as([
    join(bin, 'postgres'),
    '-D',
    data,
    '-p',
    String(port),
    '-c',
    'listen_addresses=127.0.0.1',
    '-k',
    folder,
    '-c',
    'fsync=off',
  ]);
  const child = lab.keep(spawn(program, args, { stdio: 'ignore', cwd: '/' }));
  lab.onClose(() => void child.kill('SIGQUIT'));
  await until(
    'postgres answers',
    async () =>
      (await run('psql', ['-h', '127.0.0.1', '-p', String(port), '-U', 'warren', '-d', 'postgres', '-Atc', 'select 1']))
        .status === 0,
    30_000,
  );
  return { port, socketFolder: folder, user: 'warren' };
}

export interface Sshd {
  readonly port: number;
  readonly keyFile: string;
  readonly user: string;
}

/**
 * sshd for the current user with a throw-away key pair.
 * @param where a network namespace, and the address to listen on in there; left out: loopback here
 */
export async function startSshd(lab: Lab, where?: { netns: string; address: string }): Promise<Sshd> {
  const port = await freePort();
  const address = where?.address ?? '127.0.0.1';
  const folder = join(lab.folder, `sshd-${port}`);
  mkdirSync(folder, { recursive: true, mode: 0o700 });
  for (const name of ['host', 'client'])
    await run('ssh-keygen', ['-q', '-t', 'ed25519', '-N', '', '-f', join(folder, name)]);
  await run('cp', [join(folder, 'client.pub'), join(folder, 'authorized_keys')]);
  if (process.getuid?.() === 0) mkdirSync('/run/sshd', { recursive: true });
  writeFileSync(
    join(folder, 'sshd_config'),
    [
      `Port ${port}`,
      `ListenAddress ${address}`,
      `HostKey ${folder}/host`,
      `AuthorizedKeysFile ${folder}/authorized_keys`,
      'StrictModes no',
      'UsePAM no',
      `PidFile ${folder}/pid`,
      'PermitRootLogin yes',
      'PasswordAuthentication no',
    ].join('\n'),
  );
  const command = ['/usr/sbin/sshd', '-D', '-f', join(folder, 'sshd_config')];
  const [program, ...args] = where === undefined ? command : ['ip', 'netns', 'exec', where.netns, ...command];
  lab.keep(spawn(program!, args, { stdio: 'ignore' }));
  const isUp = async (): Promise<boolean> =>
    where === undefined
      ? answers({ port, host: address })
      : (await run('ssh-keyscan', ['-T', '2', '-p', String(port), address], { netns: where.netns })).stdout !== '';
  await until('sshd answers', isUp);
  return { port, keyFile: join(folder, 'client'), user: userInfo().username };
}
