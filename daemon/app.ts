/**
 * Puts the daemon together, in the one order that matters: config and keys, network, services, listeners (so that a
 * taken port blocks the start), tunnels, join, then peers and discovery. `build` returns what it bound.
 */
import { hostname } from 'node:os';
import type { JoinReply, ReloadReply, ShutdownReply, ShutdownRequest, Status } from '../protocol/admin/contract.js';
import type { StartRequest } from '../protocol/admin/programs.js';
import type { Code } from '../protocol/codes.js';
import { loadPrimitives } from '../protocol/crypto/load.js';
import type { LogSource } from './admin/api.js';
import { Api } from './api.js';
import { ConfigFile } from './config/edit.js';
import { startEdits } from './config/start.js';
import { MdnsDiscovery } from './discovery/mdns.js';
import { saveKeys, type NodeKeys } from './home/keyfile.js';
import type { HomePaths } from './home/paths.js';
import { HostAddresses } from './host-addresses.js';
import type { Seal } from './home/sealed.js';
import { StateFiles } from './home/statefile.js';
import { openIdentity, type NextKeyPlace } from './keys/identity.js';
import { Keyring } from './keys/keyring.js';
import { makeBackup } from './keys/make-backup.js';
import { surroundings } from './keys/recovery.js';
import { type Log, type LogLevel } from './observe/log.js';
import { limitRepeats } from './observe/repeats.js';
import { join } from './peers/join.js';
import { Renewal } from './peers/renewal.js';
import { assemble, boundAddresses, ownAddresses, type Parts } from './parts.js';
import { listen, type Listener } from './transport/listener.js';
import { NodeTimers } from './transport/timers.js';

/** RESET and CLOSE frames get this long to leave when the daemon stops, ms. */
const FAREWELL_MS = 500;
/**
 * Streams that peers have opened before they could know better are refused in order, so that they are opened elsewhere:
 * for so long at least after the goaway, ms, plus twice the longest round trip, and at most for so long.
 */
const LATE_OPENS_LEAST_MS = 100;
const LATE_OPENS_MOST_MS = 2_000;

export interface BuildOptions {
  /** opened and locked by the caller */
  readonly paths: HomePaths;
  readonly start: StartRequest;
  /** of a home that is protected by a passphrase */
  readonly seal?: Seal | undefined;
  /** `--next-key FILE` */
  readonly nextKey?: NextKeyPlace | undefined;
  readonly log: Log;
  readonly logs: LogSource;
  readonly setLogLevel: (level: LogLevel) => void;
  /** begins the stop; the reply says who starts the next daemon */
  readonly onShutdown: (request: ShutdownRequest) => Respawn;
}

/** Who starts the next daemon, and what it is given. */
export type Respawn = Pick<ShutdownReply, 'respawn' | 'handOver'>;

export interface Bound {
  readonly api: Api;
  readonly joined: Omit<JoinReply, 'apiVersion'> | undefined;
  status(): Status;
  reload(): Promise<ReloadReply>;
  /**
   * Drains, then ends everything. Resolves when nothing is left.
   * @param drainMs how long open streams may go on
   * @param force ends the drain at once
   */
  stop(drainMs: number, force: AbortSignal): Promise<void>;
}

/** @throws WarrenError when the daemon cannot start; nothing is left then but the home */
export async function build(options: BuildOptions): Promise<Bound> {
  const primitives = await loadPrimitives();
  const timers = new NodeTimers();
  const configFile = new ConfigFile(options.paths.config);
  const edits = startEdits(configFile.load(), options.start, hostname());
  const config = configFile.preview(edits);
  options.setLogLevel(config.node.logLevel);
  const { paths, seal, nextKey } = options;
  const files = new StateFiles(paths, undefined, seal);
  const { keys, detached } = await openIdentity({ primitives, paths, now: timers.now(), seal, nextKey });
  const save = (changed: NodeKeys): void => saveKeys(paths.nodeKeys, changed, undefined, seal);
  const keyring = new Keyring({ primitives, timers, keys, save });
  const parts = assemble({ ...options, primitives, timers, configFile, config, files, keyring });
  const app = new App(parts, options);
  try {
    await app.bind();
    configFile.edit(edits);
    await app.open();
    const token = options.start.join;
    const joined = token === undefined ? undefined : await app.join(token);
    detached?.close(keys, surroundings(parts.network, parts.peers));
    if (detached !== undefined) keyring.noteNextFile(parts.network.networkId);
    app.run();
    return app.bound(joined);
  } catch (error) {
    detached?.drop();
    await app.stop(0, AbortSignal.abort());
    throw error;
  }
}

class App {
  private readonly api: Api;
  private mdns: MdnsDiscovery | undefined;
  private readonly host: HostAddresses;
  private readonly renewal: Renewal;

  constructor(
    private readonly parts: Parts,
    private readonly options: BuildOptions,
  ) {
    this.host = new HostAddresses({ timers: parts.timers, onChange: isHere => this.moved(isHere) });
    const { timers, log, network } = parts;
    const onLooked = (): void => {
      parts.peers.follow();
      parts.exposed.recheck();
    };
    this.renewal = new Renewal({ timers, log, network, onLooked });
    this.api = new Api(parts, {
      logs: options.logs,
      onShutdown: options.onShutdown,
      backup: passphrase => makeBackup(parts, passphrase, options.seal),
      onLogLevel: options.setLogLevel,
      join: (token, signal) => this.join(token, signal),
      home: options.paths.root,
    });
  }

  /** The daemon's own listeners, one for each address, so that each remembers its port. */
  async bind(): Promise<void> {
    const { parts } = this;
    const { limits, node } = parts.config;
    for (const address of node.listen) {
      const listener = await parts.ports.bind(
        'listen',
        address,
        where => this.listenOn(where),
        l => l.bound[0] ?? address,
      );
      parts.listeners = [...parts.listeners, listener];
    }
    parts.log.info('listening', { listen: boundAddresses(parts), halfOpen: limits.halfOpen }, 'the daemon listens');
  }

  private listenOn(address: string): Promise<Listener> {
    const { network, timers, log, peers, config, replay } = this.parts;
    return listen({
      addresses: [address],
      context: network.context(),
      psks: () => network.psks(),
      replay,
      timers,
      limits: {
        total: config.limits.halfOpen,
        perSource: config.limits.halfOpenPerSource,
        deadlineMs: config.limits.handshakeSeconds * 1000,
      },
      log,
      onLink: newLink => peers.accept(newLink),
    });
  }

  /** Services and tunnels of the config; a tunnel that cannot be bound is kept and tried again. */
  async open(): Promise<void> {
    const { exposed, tunnels, ports, config } = this.parts;
    for (const [name, service] of config.services) exposed.set(name, service);
    for (const [service, { listen: where }] of config.tunnels) {
      for (const one of where)
        await ports.bind(
          `tunnel ${service}`,
          one,
          l => tunnels.restore(service, l),
          t => t.listen,
        );
    }
  }

  async join(token: string, signal?: AbortSignal): Promise<Omit<JoinReply, 'apiVersion'>> {
    const { primitives, network, peers, timers, log } = this.parts;
    const joined = await join(token, {
      primitives,
      network,
      peers,
      timers,
      log,
      suite: this.parts.suite(),
      proxy: this.parts.proxy,
      ...(signal === undefined ? {} : { signal }),
    });
    log.info(
      'joined',
      { node: joined.inviter, network: joined.networkId, name: joined.name },
      'this node is a member now',
    );
    return joined;
  }

  /** From here on the daemon acts by itself. */
  run(): void {
    const { parts } = this;
    parts.publish();
    parts.peers.follow();
    parts.peers.setFixed(parts.config.peers);
    if (parts.config.node.mdns) this.discover();
    this.host.start();
    parts.autoRotation.start();
    this.renewal.start();
  }

  /** Others are told where this node is now; whatever hung on an address that is gone is dialed anew. */
  private moved(isHere: (address: string) => boolean): void {
    const { parts } = this;
    parts.log.info('moved', { advertise: ownAddresses(parts) }, 'the addresses of this host have changed');
    parts.peers.moved(isHere);
    parts.publish();
  }

  private discover(): void {
    const { network, primitives, timers, log, peers } = this.parts;
    const port = Number(boundAddresses(this.parts)[0]?.split(':').pop() ?? Number.NaN);
    this.mdns = new MdnsDiscovery({
      macs: () =>
        network
          .psks()
          .filter(k => k.psk.kind !== 'invite')
          .map(k => data => primitives.hash.SHA256.hmac(k.hintKey, data)),
      port: Number.isInteger(port) ? port : undefined,
      random: primitives.random,
      timers,
      log: limitRepeats(log, timers),
      onFound: address => peers.tryAddress(address),
    });
    this.mdns.start();
  }

  bound(joined: Bound['joined']): Bound {
    return {
      api: this.api,
      joined,
      status: () => this.api.status(),
      reload: () => this.api.reload(),
      stop: (drainMs, force) => this.stop(drainMs, force),
    };
  }

  async stop(drainMs: number, force: AbortSignal): Promise<void> {
    const { parts } = this;
    parts.state = 'draining';
    parts.autoRotation.stop();
    this.renewal.stop();
    parts.log.info('draining', { drainMs, streams: this.openStreams }, 'the daemon is on its way out');
    this.host.stop();
    // First, so that new streams go elsewhere at once.
    parts.peers.goaway();
    // What runs inside is resumed elsewhere, or when this node is back: waiting would help nobody.
    parts.relay.stop();
    const unannounced = this.mdns?.stop();
    await this.drain(drainMs, force);
    this.cut('draining');
    await this.until(() => parts.peers.serviceStreams === 0, FAREWELL_MS);
    // Not earlier: a link that is lost while streams end must be able to come back.
    for (const listener of parts.listeners) await listener.close();
    await unannounced;
    parts.peers.stop('going-away');
    await this.until(() => parts.peers.linkCount === 0, FAREWELL_MS);
    parts.network.close();
    parts.log.info('stopped', {}, 'the daemon has stopped');
  }

  private get openStreams(): number {
    const { exposed, tunnels, connections } = this.parts;
    return exposed.openStreams + tunnels.openStreams + connections.openStreams;
  }

  private async drain(drainMs: number, force: AbortSignal): Promise<void> {
    const { exposed, tunnels, connections } = this.parts;
    const ended = Promise.all([exposed.drain(), tunnels.drain(), connections.drain(), sleep(this.lateOpensMs())]);
    if (force.aborted) return;
    const forced = new Promise<void>(resolve => force.addEventListener('abort', () => resolve(), { once: true }));
    const late = Promise.race([forced, sleep(drainMs)]).then(() => true);
    if ((await Promise.race([ended, late])) === true) return;
    // The last bytes have left the services, but not yet reached the peers.
    let isLate = false;
    void late.then(() => (isLate = true));
    await this.until(() => isLate || this.parts.peers.serviceStreams === 0, drainMs);
  }

  private lateOpensMs(): number {
    const { peers } = this.parts;
    if (peers.linkCount === 0) return 0;
    return Math.min(LATE_OPENS_LEAST_MS + 2 * peers.longestRttMs, LATE_OPENS_MOST_MS);
  }

  private cut(code: Code): void {
    const { exposed, tunnels, connections } = this.parts;
    const ended = exposed.cut(code) + tunnels.cut(code) + connections.cut(code);
    if (ended > 0) this.parts.log.warn('streams-cut', { streams: ended, code }, 'open streams were ended');
  }

  private async until(check: () => boolean, ms: number): Promise<void> {
    const end = this.parts.timers.monotonic() + ms;
    while (!check() && this.parts.timers.monotonic() < end) await sleep(10);
  }
}

function sleep(ms: number): Promise<void> {
  return new Promise(resolve => setTimeout(resolve, ms));
}
