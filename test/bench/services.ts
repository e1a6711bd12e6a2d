/** The services behind every tunnel: nginx, an iperf3 server, and an echo in this process. */
import { once } from 'node:events';
import { mkdirSync, writeFileSync } from 'node:fs';
import net from 'node:net';
import { join } from 'node:path';
import { answers, freePort } from '../helpers/servers.js';
import { until } from '../helpers/hosts.js';
import { echo } from '../helpers/traffic.js';
import type { Ground } from './ground.js';
import type { Ports } from './peers/system.js';

export const SMALL_BODY_BYTES = 200;
export const LARGE_BODY_BYTES = 1024 * 1024;

/** Files from the page cache, no access log: nginx is to be the least of it. */
async function startNginx(ground: Ground): Promise<number> {
  const folder = ground.place('nginx');
  const port = await freePort();
  const files = join(folder, 'files');
  mkdirSync(files);
  writeFileSync(join(files, 'small'), Buffer.alloc(SMALL_BODY_BYTES, 'a'));
  writeFileSync(join(files, 'large'), Buffer.alloc(LARGE_BODY_BYTES, 'b'));
  const parts = ['client_body', 'proxy', 'fastcgi', 'uwsgi', 'scgi'];
  const temporary = parts.map(part => `${part}_temp_path ${folder}/${part};`).join(' ');
  const user = process.getuid?.() === 0 ? 'user root;' : '';
  writeFileSync(
    join(folder, 'nginx.conf'),
    `${user} daemon off; master_process off; pid ${folder}/pid; error_log ${folder}/error.log;
events { worker_connections 4096; }
http {
  access_log off; ${temporary} sendfile on; tcp_nopush on; tcp_nodelay on;
  open_file_cache max=16; keepalive_requests 1000000000; keepalive_timeout 1h;
  server { listen 127.0.0.1:${port} backlog=4096; root ${files}; }
}
`,
  );
  ground.start('nginx', ['-c', join(folder, 'nginx.conf'), '-p', folder]);
  await until('nginx answers', () => answers({ host: '127.0.0.1', port }));
  return port;
}

async function startIperf(ground: Ground): Promise<number> {
  const port = await freePort();
  const server = ground.start('iperf3', ['-s', '--forceflush', '-B', '127.0.0.1', '-p', String(port)]);
  await until('iperf3 listens', () => server.log.includes('listening'));
  return port;
}

/** @param seen called with the time, performance.now(), of everything that comes */
export async function startEcho(ground: Ground, seen: (at: number) => void = () => undefined): Promise<number> {
  const server = net.createServer({ allowHalfOpen: true, noDelay: true }, socket => {
    socket.on('error', () => undefined);
    socket.on('data', () => seen(performance.now()));
    echo(socket);
  });
  server.listen({ port: 0, host: '127.0.0.1', backlog: 4096 });
  await once(server, 'listening');
  ground.onClose(() => server.close());
  return (server.address() as net.AddressInfo).port;
}

export async function startServices(ground: Ground): Promise<Ports> {
  return { http: await startNginx(ground), bulk: await startIperf(ground), echo: await startEcho(ground) };
}
