/**
 * Tunnels: local listeners mapped to services. A connection is accepted before anyone knows whether the service will
 * answer: refused means accepted, then RST.
 */
import type { TunnelInfo } from '../../protocol/admin/contract.js';
import type { Code } from '../../protocol/codes.js';
import { WarrenError } from '../../protocol/errors.js';
import { formatEndpoint, parseTunnelListen, type Endpoint } from '../transport/address.js';
import { LISTEN_RETRY_MS } from './limits.js';
import { LogPauses } from './log-pauses.js';
import { checkServiceName, serviceKey } from './names.js';
import { Tunnel, type TunnelOptions } from './tunnel.js';

export interface TunnelsOptions extends Omit<TunnelOptions, 'pauses'> {
  readonly listenRetryMs?: number;
}

/** What LISTEN stands for when it is left out. */
const ANY_FREE_PORT = '127.0.0.1:0';

export class Tunnels {
  private readonly tunnels: Tunnel[] = [];
  private readonly pauses: LogPauses;
  private draining = false;

  constructor(private readonly options: TunnelsOptions) {
    this.pauses = new LogPauses(options.timers);
  }

  /**
   * Opens a listener for a service, which need not be there yet.
   * @param listen PORT | HOST:PORT | unix:PATH; left out: a free port
   * @returns with the real port in `listen`
   * @throws WarrenError `bad-value`, `exists` or `in-use`; nothing has changed then
   */
  async open(service: string, listen?: string): Promise<TunnelInfo> {
    const tunnel = this.create(service, listen);
    this.tunnels.push(tunnel);
    try {
      await tunnel.bind();
    } catch (error) {
      this.forget(tunnel);
      throw error;
    }
    return tunnel.info();
  }

  /**
   * The same for a tunnel that the config names: when its listener cannot be bound, it is kept as `failed` and tried
   * again from time to time.
   * @throws WarrenError `bad-value` or `exists`
   */
  async restore(service: string, listen: string): Promise<TunnelInfo> {
    const tunnel = this.create(service, listen);
    this.tunnels.push(tunnel);
    await tunnel.bindOrRetry(this.options.listenRetryMs ?? LISTEN_RETRY_MS);
    return tunnel.info();
  }

  /**
   * Closes the service's tunnels, or the one that listens at `listen` as `list` shows it; their connections end.
   * @returns how many connections ended
   * @throws WarrenError `not-found`
   */
  close(service: string, listen?: string): number {
    const where = listen === undefined ? undefined : formatEndpoint(parseTunnelListen(listen));
    const closing = this.of(service).filter(tunnel => where === undefined || tunnel.where === where);
    if (closing.length === 0)
      throw new WarrenError('not-found', `There is no tunnel to ${JSON.stringify(service.slice(0, 80))} here.`, {
        hint: 'See what there is with: warren tunnels',
      });
    let ended = 0;
    for (const tunnel of closing) {
      this.forget(tunnel);
      ended += tunnel.close('cancelled');
    }
    return ended;
  }

  /** In the order of their services. */
  list(): TunnelInfo[] {
    return this.tunnels.map(tunnel => tunnel.info()).sort((a, b) => a.service.localeCompare(b.service));
  }

  /** Connections carried now. */
  get openStreams(): number {
    return this.tunnels.reduce((sum, tunnel) => sum + tunnel.openStreams, 0);
  }

  /** Stops listening. Resolves when the last connection has ended. */
  async drain(): Promise<void> {
    this.draining = true;
    await Promise.all(this.tunnels.map(tunnel => tunnel.drain()));
  }

  /** Stops listening and ends every connection. @returns how many ended */
  cut(code: Code): number {
    this.draining = true;
    return this.tunnels.reduce((sum, tunnel) => sum + tunnel.close(code), 0);
  }

  private create(service: string, listen: string | undefined): Tunnel {
    checkServiceName(service);
    const endpoint = parseTunnelListen(listen ?? ANY_FREE_PORT);
    if (this.draining) throw new WarrenError('unreachable', 'This daemon is on its way out.');
    const same = this.of(service).find(tunnel => listen === undefined || sameListener(tunnel, endpoint));
    if (same !== undefined)
      throw new WarrenError('exists', `There is a tunnel to ${same.service} already, on ${same.where}.`, {
        hint: `Use that one, name another LISTEN, or close it with: warren disconnect ${same.service}`,
      });
    return new Tunnel(service, endpoint, { ...this.options, pauses: this.pauses });
  }

  private of(service: string): Tunnel[] {
    return this.tunnels.filter(tunnel => serviceKey(tunnel.service) === serviceKey(service));
  }

  private forget(tunnel: Tunnel): void {
    const at = this.tunnels.indexOf(tunnel);
    if (at >= 0) this.tunnels.splice(at, 1);
  }
}

function sameListener(tunnel: Tunnel, endpoint: Endpoint): boolean {
  return tunnel.where === formatEndpoint(endpoint);
}
