/**
 * How many round trips lie between the dial of a link and the first byte that a caller sends through it. The way from
 * host-b to host-a leads through a forwarder that delays everything; a restarted host-b dials, a caller knocks at its
 * tunnel until it is let in, and the service tells when the first byte has come.
 */
import { writeFileSync } from 'node:fs';
import net from 'node:net';
import { join as path } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { until } from '../../helpers/hosts.js';
import { freePort } from '../../helpers/servers.js';
import { startDelay } from '../delay.js';
import type { Ground } from '../ground.js';
import { makeCertificates, type Certificates } from '../peers/certificates.js';
import { configure, join } from '../peers/warren.js';
import { startEcho } from '../services.js';
import type { Fact, Own } from './workload.js';

const ONE_WAY_MS = 50;
const KNOCK_MS = 2;
const TRIES = 3;
const PATIENCE_MS = 20_000;

type Kind = 'tcp' | 'ws' | 'wss';

/** nginx with TLS in front of a daemon, as docs/operations.md has it. */
async function webServer(ground: Ground, certificates: Certificates, target: number): Promise<number> {
  const folder = ground.place('web');
  const port = await freePort();
  const user = process.getuid?.() === 0 ? 'user root;' : '';
  const parts = ['client_body', 'proxy', 'fastcgi', 'uwsgi', 'scgi'];
  writeFileSync(
    path(folder, 'nginx.conf'),
    `${user} daemon off; master_process off; pid ${folder}/pid; error_log ${folder}/error.log;
events {}
http {
  access_log off; ${parts.map(part => `${part}_temp_path ${folder}/${part};`).join(' ')}
  server {
    listen 127.0.0.1:${port} ssl; ssl_certificate ${certificates.serving}; ssl_certificate_key ${certificates.serving};
    location / {
      proxy_pass http://127.0.0.1:${target}; proxy_http_version 1.1;
      proxy_set_header Upgrade $http_upgrade; proxy_set_header Connection upgrade;
    }
  }
}
`,
  );
  ground.start('nginx', ['-c', path(folder, 'nginx.conf'), '-p', folder]);
  return port;
}

/** One byte; resolves to false when the tunnel does not take it. */
function knock(port: number): Promise<boolean> {
  return new Promise(resolve => {
    const socket = net.connect({ host: '127.0.0.1', port, noDelay: true });
    const done = (isIn: boolean): void => {
      socket.destroy();
      resolve(isIn);
    };
    socket.once('connect', () => socket.write('x'));
    socket.once('data', () => done(true));
    socket.once('error', () => done(false));
    socket.once('close', () => done(false));
  });
}

async function measure(ground: Ground, kind: Kind, tries: number): Promise<number[]> {
  const place = ground.place(`round-trips-${kind}`);
  const pair = { a: ground.host('host-a', place), b: ground.host('host-b', place) };
  const listen = await freePort();
  const certificates = await makeCertificates(place);
  const delay = await startDelay(
    ground,
    kind === 'wss' ? await webServer(ground, certificates, listen) : listen,
    ONE_WAY_MS,
  );
  const address = { tcp: '127.0.0.1:', ws: 'ws://127.0.0.1:', wss: 'wss://localhost:' }[kind] + String(delay.port);
  const trust = { NODE_EXTRA_CA_CERTS: certificates.authority };
  configure(pair.a, { listen: [`127.0.0.1:${listen}`], advertise: [kind === 'tcp' ? address : `${address}/warren`] });
  configure(pair.b, { listen: [] });
  await join(pair, trust);
  let cameAt: number | undefined;
  const echo = await startEcho(ground, at => void (cameAt ??= at));
  await pair.a.ok(['expose', 'echo', String(echo)]);
  const door = Number((await pair.b.connect('echo')).split(':').pop());
  await until('the echo answers', () => knock(door));
  const trips: number[] = [];
  for (let n = 0; n < tries; n++) {
    await pair.b.ok(['down']);
    delay.forget();
    cameAt = undefined;
    const up = pair.b.up([], trust);
    for (const end = Date.now() + PATIENCE_MS; Date.now() < end && !(await knock(door));) await sleep(KNOCK_MS);
    await up;
    const dialed = delay.firstDial();
    if (dialed === undefined || cameAt === undefined) throw new Error(`no byte came through the ${kind} link`);
    // The forwarder is next door: the trip of TCP's own handshake is added; half a trip back, the byte was sent.
    trips.push((cameAt - dialed) / (2 * ONE_WAY_MS) + 1 - 0.5);
  }
  await pair.b.ok(['down']);
  await pair.a.ok(['down']);
  return trips;
}

export const roundTrips: Own = {
  kind: 'own',
  name: 'round-trips',
  title: 'From the dial to the first byte',
  async run(ground, _services, { rounds }) {
    const facts: Fact[] = [];
    for (const kind of ['tcp', 'ws', 'wss'] as const)
      facts.push({
        title: `${kind}: round trips from the dial, TCP's own included, until a caller's first byte is on its way`,
        values: await measure(ground, kind, Math.min(TRIES, rounds)),
        unit: 'round trips',
        digits: 1,
        ...(kind === 'tcp' && { bound: { better: 'less', value: 3 } as const }),
      });
    return facts;
  },
};
