/** Two daemons in two homes, brought up with the commands that a user would type. */
import { mkdirSync, writeFileSync } from 'node:fs';
import { HEAP_FLAGS } from '../../../cli/daemon-process.js';
import { connected, until } from '../../helpers/hosts.js';
import { freePort } from '../../helpers/servers.js';
import { DAEMON, type BenchHost, type Ground, type Server } from '../ground.js';
import { SERVICES, type Ports, type Running, type System } from './system.js';

/** Room for the row of idle connections; everything else is as it comes. */
const LIMITS = { streamsPerPeer: 8192 };

export interface WarrenOptions {
  /** where profiles of the daemons go; left out: none are taken */
  readonly profile?: string;
}

export function configure(host: BenchHost, node: Readonly<Record<string, unknown>>): void {
  mkdirSync(host.home, { mode: 0o700 });
  const config = { node: { name: host.name, mdns: false, ...node }, limits: LIMITS };
  writeFileSync(`${host.home}/config.yaml`, JSON.stringify(config), { mode: 0o600 });
}

export interface Pair {
  readonly a: BenchHost;
  readonly b: BenchHost;
}

/** host-b joins host-a, and reaches it by the address that host-a advertises. */
export async function join({ a, b }: Pair, env: NodeJS.ProcessEnv = {}): Promise<void> {
  await a.up();
  await b.up(['--join', await a.ok(['invite'])], env);
  await connected(a, b.name);
  await connected(b, a.name);
}

async function doorsOf({ a, b }: Pair, services: Ports): Promise<Ports> {
  const doors: Record<string, number> = {};
  for (const name of SERVICES) {
    await a.ok(['expose', name, String(services[name])]);
    doors[name] = Number((await b.connect(name)).split(':').pop());
  }
  await until('the services are known', async () =>
    (await b.status()).tunnels.every(({ state }) => state === 'listening'),
  );
  return doors as Ports;
}

/** The daemons once more, under the profiler; each writes its profile when it ends. */
async function underProfiler(ground: Ground, { a, b }: Pair, folder: string): Promise<Server[]> {
  mkdirSync(folder, { recursive: true });
  const servers: Server[] = [];
  for (const host of [a, b]) {
    await host.ok(['down']);
    const flags = [
      ...HEAP_FLAGS,
      '--cpu-prof',
      `--cpu-prof-dir=${folder}`,
      `--cpu-prof-name=${host.name}-${Date.now()}.cpuprofile`,
    ];
    servers.push(ground.start(host.node, [...flags, DAEMON, '--home', host.home]));
    await until(`${host.name} is up`, async () => (await host.status()).state === 'ready');
  }
  await connected(b, a.name);
  return servers;
}

export function warren(transport: 'tcp' | 'ws', options: WarrenOptions = {}): System {
  return {
    name: `warren ${transport}`,
    kind: 'warren',
    needs: {},
    async start(ground, services): Promise<Running> {
      const place = ground.place(`warren-${transport}`);
      const pair = { a: ground.host('host-a', place), b: ground.host('host-b', place) };
      const port = await freePort();
      const address = transport === 'tcp' ? `127.0.0.1:${port}` : `ws://127.0.0.1:${port}/warren`;
      configure(pair.a, { listen: [`127.0.0.1:${port}`], advertise: [address] });
      configure(pair.b, { listen: [] });
      await join(pair);
      const doors = await doorsOf(pair, services);
      if (options.profile !== undefined) await underProfiler(ground, pair, options.profile);
      const { a, b } = pair;
      const [calling, serving] = [await b.pid(), await a.pid()];
      const kinds = (await b.status()).peers.flatMap(peer => peer.links.map(link => link.transport));
      const wanted = transport === 'tcp' ? 'tcp' : 'websocket';
      if (kinds.length === 0 || kinds.some(kind => kind !== wanted))
        throw new Error(`links of the wrong kind: ${kinds.join(', ')}`);
      return {
        doors,
        calling: () => [calling],
        serving: () => [serving],
        collect: async () => {
          await a.collected();
          await b.collected();
        },
        stop: async () => {
          await b.ok(['down']);
          await a.ok(['down']);
        },
      };
    },
  };
}
