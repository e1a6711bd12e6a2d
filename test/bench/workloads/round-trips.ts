/**
 * How many round trips lie between the dial of a link and the first byte that a caller sends through it. The way from
 * host-b to host-a leads through a forwarder that delays everything; a restarted host-b dials, a caller knocks at its
 * tunnel until it is let in, and the service tells when the first byte has come. All that with a short delay and with a
 * long one: what is longer then are the round trips, and what is left is the time that the two hosts compute. Which of
 * two nodes decides about a session depends on their IDs, so both are seen.
 */
import { writeFileSync } from 'node:fs';
import net from 'node:net';
import { join as path } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { connected, until } from '../../helpers/hosts.js';
import { freePort } from '../../helpers/servers.js';
import { startDelay } from '../delay.js';
import type { BenchHost, Ground } from '../ground.js';
import { makeCertificates, type Certificates } from '../peers/certificates.js';
import { configure } from '../peers/warren.js';
import { startEcho } from '../services.js';
import type { Fact, Own } from './workload.js';

const SHORT_MS = 20;
const LONG_MS = 120;
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

/** host-b with a smaller ID than host-a, or a larger one; host-a is up. */
async function startOther(
  ground: Ground,
  a: BenchHost,
  decides: Decides,
  trust: NodeJS.ProcessEnv,
): Promise<BenchHost> {
  const { id } = (await a.status()).node;
  for (;;) {
    const b = ground.host('host-b');
    configure(b, { listen: [] });
    const isSmaller = (await b.up([], trust)).node.id < id;
    if (isSmaller === (decides === 'the dialing side')) return b;
    await b.ok(['down']);
  }
}

const ORDERS = ['the dialing side', 'the other side'] as const;
type Decides = (typeof ORDERS)[number];

interface Measured {
  /** round trips, TCP's own included */
  readonly trips: number;
  /** what the two hosts compute, ms */
  readonly computed: number;
}

/** Both as they follow from how long it took with either delay. */
function measured(short: number, long: number): Measured {
  const trips = (long - short) / (2 * (LONG_MS - SHORT_MS));
  // The forwarder is next door: the trip of TCP's own handshake is added; half a trip back, the byte was sent.
  return { trips: trips + 1 - 0.5, computed: short - trips * 2 * SHORT_MS };
}

async function measure(ground: Ground, kind: Kind, decides: Decides, tries: number): Promise<Measured[]> {
  const place = ground.place(`round-trips-${kind}`);
  const listen = await freePort();
  const certificates = await makeCertificates(place);
  const delay = await startDelay(ground, kind === 'wss' ? await webServer(ground, certificates, listen) : listen);
  const address = { tcp: '127.0.0.1:', ws: 'ws://127.0.0.1:', wss: 'wss://localhost:' }[kind] + String(delay.port);
  const trust = { NODE_EXTRA_CA_CERTS: certificates.authority };
  const a = ground.host('host-a', place);
  configure(a, { listen: [`127.0.0.1:${listen}`], advertise: [kind === 'tcp' ? address : `${address}/warren`] });
  await a.up();
  const b = await startOther(ground, a, decides, trust);
  await b.ok(['join', await a.ok(['invite'])]);
  await connected(b, a.name);
  let cameAt: number | undefined;
  const echo = await startEcho(ground, at => void (cameAt ??= at));
  await a.ok(['expose', 'echo', String(echo)]);
  const door = Number((await b.connect('echo')).split(':').pop());
  await until('the echo answers', () => knock(door));
  const restarted = async (oneWayMs: number): Promise<number> => {
    await b.ok(['down']);
    delay.set(oneWayMs);
    delay.forget();
    cameAt = undefined;
    const up = b.up([], trust);
    for (const end = Date.now() + PATIENCE_MS; Date.now() < end && !(await knock(door));) await sleep(KNOCK_MS);
    await up;
    const dialed = delay.firstDial();
    if (dialed === undefined || cameAt === undefined) throw new Error(`no byte came through the ${kind} link`);
    return cameAt - dialed;
  };
  const all: Measured[] = [];
  for (let n = 0; n < tries; n++) all.push(measured(await restarted(SHORT_MS), await restarted(LONG_MS)));
  await b.ok(['down']);
  await a.ok(['down']);
  return all;
}

/** Whatever goes one way goes for half a round trip: a little more or less is the noise of the measurement. */
const halves = (trips: number): number => Math.round(2 * trips) / 2;

export const roundTrips: Own = {
  kind: 'own',
  name: 'round-trips',
  title: 'From the dial to the first byte',
  async run(ground, _services, { rounds }) {
    const facts: Fact[] = [];
    // The orders differ in nothing that the transport knows of.
    for (const kind of ['tcp', 'ws', 'wss'] as const)
      for (const decides of kind === 'tcp' ? ORDERS : ORDERS.slice(0, 1)) {
        const all = await measure(ground, kind, decides, kind === 'tcp' ? Math.min(TRIES, rounds) : 1);
        facts.push({
          title: `${kind}, ${decides} has the smaller ID: round trips from the dial, TCP's own included, until a caller's first byte is on its way`,
          values: all.map(({ trips }) => halves(trips)),
          unit: 'round trips',
          digits: 1,
          ...(kind === 'tcp' && { bound: { better: 'less', value: 3 } as const }),
        });
        facts.push({
          title: `${kind}, ${decides} has the smaller ID: what the two hosts compute meanwhile`,
          values: all.map(({ computed }) => computed),
          unit: 'ms',
          digits: 0,
        });
      }
    return facts;
  },
};
