/** What is measured: warren, what its users would pick instead, and no tunnel at all. */
import type { Ground, Server } from '../ground.js';
import { answers } from '../../helpers/servers.js';
import { until } from '../../helpers/hosts.js';

/** http: nginx · bulk: an iperf3 server · echo: sends back what comes */
export const SERVICES = ['http', 'bulk', 'echo'] as const;
/** A port on 127.0.0.1 for each service. */
export type Ports = Readonly<Record<(typeof SERVICES)[number], number>>;

export interface Running {
  /** where clients go */
  readonly doors: Ports;
  /** processes on the side of the clients, and on the side of the services; those that live now */
  calling(): number[];
  serving(): number[];
  /** memory after a forced collection, where there is such a thing */
  collect?(): Promise<void>;
  stop(): Promise<void>;
}

export interface System {
  readonly name: string;
  /** only a peer is what warren is held against */
  readonly kind: 'warren' | 'peer' | 'direct';
  /** what it needs: Debian packages by the programs in them */
  readonly needs: Readonly<Record<string, string>>;
  start(ground: Ground, services: Ports): Promise<Running>;
}

/** Waits until all doors are open. @throws Error with what the server said when it ends before that */
export async function opened(doors: Ports, ...servers: readonly Server[]): Promise<void> {
  for (const name of SERVICES)
    await until(`${servers.map(s => s.name).join(' and ')} listen for ${name}`, async () => {
      const ended = servers.find(server => server.hasEnded);
      if (ended !== undefined) throw new Error(`${ended.name} ended: ${ended.log}`);
      return answers({ host: '127.0.0.1', port: doors[name] });
    });
}

/** A free port for each service. */
export async function freePorts(port: () => Promise<number>): Promise<Ports> {
  return { http: await port(), bulk: await port(), echo: await port() };
}
