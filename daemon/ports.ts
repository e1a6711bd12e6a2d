/** Ports that the system chose for `:0`: remembered, and tried first the next time, so that an address stays. */
import { WarrenError } from '../protocol/errors.js';
import type { StateFiles } from './home/statefile.js';
import { formatHostPort, parseListen, parseTunnelListen } from './transport/address.js';

/** What asked for a port: `listen 127.0.0.1:0`, or `tunnel risk 127.0.0.1:0`. */
function keyOf(what: string, listen: string): string {
  return `${what} ${listen}`;
}

export class Ports {
  constructor(private readonly files: StateFiles) {}

  /**
   * Binds with the remembered port first, then with any free one.
   * @param what `listen`, or `tunnel SERVICE`
   * @param listen as configured
   * @param bind binds one address and returns it with its real port
   */
  async bind<T>(
    what: string,
    listen: string,
    bind: (listen: string) => Promise<T>,
    boundOf: (bound: T) => string,
  ): Promise<T> {
    const place = freePortOf(what, listen);
    if (place === undefined) return bind(listen);
    const remembered = this.files.loadMemory().ports[keyOf(what, listen)];
    const bound = await this.tryRemembered(place, remembered, bind, listen);
    const { port } = parseListen(boundOf(bound));
    if (port !== remembered) this.remember(keyOf(what, listen), port);
    return bound;
  }

  /** Where `listen` was bound, as far as that was remembered. */
  known(what: string, listen: string): string {
    const host = freePortOf(what, listen);
    const port = this.files.loadMemory().ports[keyOf(what, listen)];
    return host === undefined || port === undefined ? listen : formatHostPort(host, port);
  }

  private async tryRemembered<T>(
    host: string,
    port: number | undefined,
    bind: (listen: string) => Promise<T>,
    listen: string,
  ): Promise<T> {
    if (port === undefined) return bind(listen);
    try {
      return await bind(formatHostPort(host, port));
    } catch (error) {
      if (error instanceof WarrenError && error.code === 'in-use') return bind(listen);
      throw error;
    }
  }

  private remember(key: string, port: number): void {
    const memory = this.files.loadMemory();
    this.files.saveMemory({ ...memory, ports: { ...memory.ports, [key]: port } });
  }

  /** Forgets what `what` was given at `listen`. */
  forget(what: string, listen: string): void {
    const memory = this.files.loadMemory();
    const { [keyOf(what, listen)]: forgotten, ...ports } = memory.ports;
    if (forgotten !== undefined) this.files.saveMemory({ ...memory, ports });
  }
}

/** @returns the host, when `listen` leaves the port to the system */
function freePortOf(what: string, listen: string): string | undefined {
  const endpoint = what === 'listen' ? { kind: 'tcp' as const, ...parseListen(listen) } : parseTunnelListen(listen);
  return endpoint.kind === 'tcp' && endpoint.port === 0 ? endpoint.host : undefined;
}
