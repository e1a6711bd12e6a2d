/** What the admin socket asks of the daemon: one method for each path of the contract, over the rooms' own methods. */
import { API_VERSION } from '../protocol/admin/contract.js';
import type {
  BackupReply,
  BackupRequest,
  ConnectReply,
  ConnectRequest,
  DetachRequest,
  Diagnostics,
  Done,
  ExposeReply,
  ExposeRequest,
  InviteReply,
  InviteRequest,
  JoinReply,
  JoinRequest,
  KeyLogReply,
  KeysReply,
  PeersReply,
  PingReply,
  PingRequest,
  ReloadReply,
  RoleRequest,
  RotateReply,
  RotateRequest,
  ServicesReply,
  SettleRequest,
  ShutdownReply,
  ShutdownRequest,
  Status,
  StreamEnd,
  TunnelsReply,
  DoctorReply,
} from '../protocol/admin/contract.js';
import { equal } from '../protocol/bytes.js';
import { WarrenError } from '../protocol/errors.js';
import { nodeIdText, type NodeId } from '../protocol/identity/node-id.js';
import { KeysApi } from './api-keys.js';
import type { AdminApi, Asked, LogSource, StreamCarrier } from './admin/api.js';
import { boundAddresses, ownAddresses, removed, type Parts } from './parts.js';
import { checkDaemon } from './check.js';
import { reload } from './reload.js';
import { forkWords, outrunWords } from './keys/fork-words.js';
import { removeService, removeTunnel, setService, setTunnel } from './config/edit.js';
import type { Config, ServiceConfig } from './config/types.js';
import { collectGarbage } from './observe/collect.js';
import type { LogLevel } from './observe/log.js';
import { linkInfo, isoTime, peerInfos } from './peers/peer-info.js';
import { proxyState } from './transport/proxy-choice.js';
import { instancesView, serviceKey, servicesView } from './services/index.js';
import { VERSION } from './version.js';

const DEFAULT_TTL_SECONDS = 15 * 60;
const DEFAULT_PINGS = 4;
/** Between two pings of one request, ms. */
const PING_PAUSE_MS = 200;

export interface ApiOptions {
  readonly logs: LogSource;
  readonly home: string;
  readonly onShutdown: (request: ShutdownRequest) => Pick<ShutdownReply, 'respawn' | 'handOver'>;
  /** @returns the text of a backup, sealed by the passphrase */
  readonly backup: (passphrase: string) => Promise<string>;
  readonly onLogLevel: (level: LogLevel) => void;
  readonly join: (token: string, signal: AbortSignal) => Promise<Omit<JoinReply, 'apiVersion'>>;
}

export class Api implements AdminApi {
  readonly logs: LogSource;
  private readonly since: number;
  private readonly keysApi: KeysApi;
  private joining = false;

  constructor(
    private readonly parts: Parts,
    private readonly options: ApiOptions,
  ) {
    this.logs = options.logs;
    this.keysApi = new KeysApi(parts);
    this.since = parts.timers.now();
  }

  // What there is.

  status(): Status {
    const { parts } = this;
    const { network, config } = parts;
    const grant = network.trust.lastGrantOf(network.nodeId);
    return {
      apiVersion: API_VERSION,
      version: VERSION,
      pid: process.pid,
      home: this.options.home,
      since: isoTime(this.since),
      state: parts.state,
      network: { id: nodeIdText(network.networkId), members: network.trust.members().length },
      node: {
        id: nodeIdText(network.nodeId),
        name: network.name,
        seq: network.trust.head(network.nodeId)?.seq ?? 0,
        admin: network.isAdmin,
        tags: network.tags,
        grantExpires: grant === undefined ? null : isoTime(grant.expires),
      },
      listen: boundAddresses(parts),
      advertise: ownAddresses(parts),
      mdns: config.node.mdns,
      proxy: proxyState(config.node.proxy, process.env).shown,
      peers: this.peerList(),
      services: parts.exposed.list(),
      tunnels: parts.tunnels.list(),
      relay: { on: config.node.relay, links: parts.relay.relaying },
      warnings: this.warnings(),
    };
  }

  private peerList(): PeersReply['peers'] {
    const gone = removed(this.parts.files);
    return peerInfos(this.parts.network, this.parts.peers, id => gone.has(id));
  }

  private warnings(): string[] {
    const { network, alarms, tunnels, config, keyring } = this.parts;
    const outrun = outrunWords(network.trust, keyring);
    const own = network.trust.judge(network.nodeId);
    const { problem } = proxyState(config.node.proxy, process.env);
    return [
      ...alarms,
      ...(own.verdict === 'admitted' ? [] : [`this node: ${own.sentence}`]),
      ...network.trust.openForks().map(fork => forkWords(network.trust, keyring, fork).sentence),
      ...(outrun === undefined ? [] : [outrun.sentence]),
      ...this.rotationWarning(),
      ...this.nameWarning(),
      ...(problem === undefined ? [] : [`no link can be dialed: ${problem.message}`]),
      ...tunnels
        .list()
        .flatMap(t => (t.state === 'failed' ? [`tunnel ${t.service}: ${t.problem ?? 'not bound'}`] : [])),
    ];
  }

  private rotationWarning(): string[] {
    const { autoRotation, keyring } = this.parts;
    if (keyring.isNextHere || !autoRotation.isDue) return [];
    const file = keyring.nextFile ?? 'FILE';
    return [`the keys of this node have had their time; rotate them with: warren keys rotate --next-key ${file}`];
  }

  /** A member keeps the name of its grant, whatever the config says later. */
  private nameWarning(): string[] {
    const { network, config } = this.parts;
    const { name } = config.node;
    if (name === undefined || name.toLowerCase() === network.name.toLowerCase()) return [];
    return [`the config names this node ${name}, its network knows it as ${network.name}; a new name takes a new join`];
  }

  diagnostics({ collect }: { readonly collect: boolean } = { collect: false }): Diagnostics {
    if (collect) collectGarbage();
    const { rss, heapUsed, external } = process.memoryUsage();
    const { peers, sockets, timers, budget, listeners, exposed, tunnels, connections, relay } = this.parts;
    const sessions = peers.all().flatMap(peer => (peer.slot.session === undefined ? [] : [peer.slot.session.stats()]));
    const sum = (pick: (s: (typeof sessions)[number]) => number): number => sessions.reduce((n, s) => n + pick(s), 0);
    return {
      apiVersion: API_VERSION,
      rssBytes: rss,
      heapUsedBytes: heapUsed,
      externalBytes: external,
      streams: sum(s => s.streams),
      sockets: sockets.count,
      timers: timers.count,
      links: peers.linkCount,
      halfOpen: listeners.reduce((n, l) => n + l.halfOpen, relay.halfOpen),
      retainedBytes: budget.retained,
      reorderBytes: sum(s => s.heldOutOfOrder),
      grantedBytes: budget.granted,
      counters: {
        sessions: sessions.length,
        opened: sum(s => s.opened),
        accepted: sum(s => s.accepted),
        resumptions: sum(s => s.resumptions),
        bytesResent: sum(s => s.bytesResent),
        connections: exposed.openStreams + tunnels.openStreams + connections.openStreams,
        relaying: relay.relaying,
        relayedLinks: relay.totals.links,
        relayedBytes: relay.totals.bytes,
      },
    };
  }

  peers(): PeersReply {
    return { apiVersion: API_VERSION, peers: this.peerList() };
  }

  services(): ServicesReply {
    const { mesh, exposed, tunnels } = this.parts;
    const services = servicesView({ nodes: mesh.announcing(), exposed: exposed.list(), tunnels: tunnels.list() });
    return { apiVersion: API_VERSION, services };
  }

  tunnels(): TunnelsReply {
    return { apiVersion: API_VERSION, tunnels: this.parts.tunnels.list() };
  }

  keys(): KeysReply {
    return this.keysApi.show();
  }

  keyLog(): KeyLogReply {
    return this.keysApi.log();
  }

  rotateKeys(request: RotateRequest): Promise<RotateReply> {
    return this.keysApi.rotate(request);
  }

  detachNext({ file, passphrase }: DetachRequest): Promise<RotateReply> {
    return this.keysApi.detachNext(file, passphrase);
  }

  revoke(who: string): Done {
    return this.keysApi.revoke(who);
  }

  settle(who: string, request: SettleRequest): Done {
    return this.keysApi.settle(who, request);
  }

  setRole(who: string, { action }: RoleRequest): Done {
    return this.keysApi.setRole(who, action);
  }

  async doctor(): Promise<DoctorReply> {
    return { apiVersion: API_VERSION, checks: [...(await checkDaemon(this.parts))] };
  }

  // Peers and membership.

  removePeer(who: string): Done {
    const { network, peers, files } = this.parts;
    const node = this.otherNode(who, 'remove');
    const id = nodeIdText(node);
    const memory = files.loadMemory();
    if (!memory.removed.includes(id)) files.saveMemory({ ...memory, removed: [...memory.removed, id] });
    peers.remove(id);
    return { apiVersion: API_VERSION, done: true, note: `${network.nameOf(node)} is no peer of this daemon any more` };
  }

  /** @throws WarrenError `not-found`; `bad-value` when this very node is meant */
  private otherNode(who: string, verb: string): NodeId {
    const { network } = this.parts;
    const node = network.resolve(who);
    if (equal(node, network.nodeId))
      throw new WarrenError('bad-value', `${network.name} is this very node: there is nothing to ${verb}`, {
        hint: 'name one of the other nodes: warren peers',
      });
    return node;
  }

  async ping(who: string, { count = DEFAULT_PINGS }: PingRequest, { signal }: Asked): Promise<PingReply> {
    const { network, peers } = this.parts;
    const node = this.otherNode(who, 'ping');
    const peer = peers.get(nodeIdText(node));
    const link = [...(peer?.links ?? [])][0];
    if (link === undefined) throw notConnected(network.nameOf(node), peer?.problem);
    const rttMs: (number | null)[] = [];
    for (let i = 0; i < count && !signal.aborted; i++) {
      if (i > 0) await new Promise(resolve => setTimeout(resolve, PING_PAUSE_MS));
      const rtt = await link.link.measureRtt().catch(() => null);
      rttMs.push(rtt === null ? null : Math.round(rtt * 1000) / 1000);
    }
    const { transport } = linkInfo(link, network);
    return { apiVersion: API_VERSION, node: network.nameOf(node), nodeId: nodeIdText(node), transport, rttMs };
  }

  invite({ ttlSeconds = DEFAULT_TTL_SECONDS, tags = [], forNode }: InviteRequest): InviteReply {
    const addresses = ownAddresses(this.parts);
    const whom = forNode === undefined ? {} : { forNode: this.keysApi.nodeOf(forNode) };
    const { token, expires } = this.parts.network.authority.invite({
      ttlMs: ttlSeconds * 1000,
      tags,
      addresses,
      ...whom,
    });
    return { apiVersion: API_VERSION, token, expires: isoTime(expires), addresses, tags };
  }

  async join({ token }: JoinRequest, { signal }: Asked): Promise<JoinReply> {
    if (this.joining)
      throw new WarrenError('in-use', 'A join is under way already.', { hint: 'Wait until it is done.' });
    this.joining = true;
    try {
      const joined = await this.options.join(token, signal);
      if (joined.note !== undefined)
        throw new WarrenError('member', 'This home is a member of that network already.', {
          hint: 'There is nothing to do: warren status',
        });
      return { apiVersion: API_VERSION, ...joined };
    } finally {
      this.joining = false;
    }
  }

  // Services and tunnels: the config file is part of each change.

  expose(name: string, request: ExposeRequest): ExposeReply {
    const { exposed, configFile, publish } = this.parts;
    const service = exposed.add(name, request);
    try {
      configFile.edit([setService(name, request)]);
    } catch (error) {
      exposed.remove(name);
      throw error;
    }
    this.keep(config => ({ ...config, services: new Map([...config.services, [name, serviceConfig(request)]]) }));
    publish();
    return { apiVersion: API_VERSION, service };
  }

  unexpose(name: string): Done {
    const { exposed, configFile, publish } = this.parts;
    if (exposed.has(name)) configFile.edit([removeService(name)]);
    const ended = exposed.remove(name);
    this.keep(config => ({ ...config, services: without(config.services, name) }));
    publish();
    return {
      apiVersion: API_VERSION,
      done: true,
      ...(ended > 0 ? { note: endedNote(ended) } : {}),
    };
  }

  async connect({ service, listen }: ConnectRequest): Promise<ConnectReply> {
    const { tunnels, configFile, ports } = this.parts;
    const tunnel =
      listen === undefined
        ? await tunnels.open(service)
        : await ports.bind(
            `tunnel ${service}`,
            listen,
            where => tunnels.open(service, where),
            t => t.listen,
          );
    const kept = [...(find(this.parts.config.tunnels, service)?.listen ?? []), listen ?? tunnel.listen];
    try {
      configFile.edit([setTunnel(service, kept)]);
    } catch (error) {
      tunnels.close(service, tunnel.listen);
      throw error;
    }
    this.keep(config => ({
      ...config,
      tunnels: new Map([...without(config.tunnels, service), [service, { listen: kept }]]),
    }));
    const warning = this.isKnown(service)
      ? {}
      : { warning: `no node exposes ${service} now; callers are refused until one does` };
    return { apiVersion: API_VERSION, service, listen: tunnel.listen, ...warning };
  }

  private isKnown(service: string): boolean {
    const { exposed, mesh } = this.parts;
    return exposed.has(service) || instancesView(service, mesh.announcing()).length > 0;
  }

  disconnect(service: string): Done {
    const { tunnels, configFile } = this.parts;
    if (find(this.parts.config.tunnels, service) !== undefined) configFile.edit([removeTunnel(service)]);
    const ended = tunnels.close(service);
    this.keep(config => ({ ...config, tunnels: without(config.tunnels, service) }));
    return {
      apiVersion: API_VERSION,
      done: true,
      ...(ended > 0 ? { note: endedNote(ended) } : {}),
    };
  }

  openStream(service: string, { signal }: Asked): Promise<StreamCarrier> {
    return this.parts.connections.connect(service, signal);
  }

  streamEnd(id: number): StreamEnd {
    return { apiVersion: API_VERSION, ...this.parts.connections.end(id) };
  }

  /** Remembers what a command changed, so that the next reload does not take it for an edit by hand. */
  private keep(change: (config: Config) => Config): void {
    this.parts.config = change(this.parts.config);
  }

  // The life of the daemon.

  async reload(): Promise<ReloadReply> {
    return { apiVersion: API_VERSION, ...(await reload(this.parts, this.options.onLogLevel)) };
  }

  async backup({ passphrase }: BackupRequest): Promise<BackupReply> {
    return { apiVersion: API_VERSION, document: await this.options.backup(passphrase) };
  }

  shutdown(request: ShutdownRequest): ShutdownReply {
    const { exposed, tunnels, connections } = this.parts;
    const openStreams = exposed.openStreams + tunnels.openStreams + connections.openStreams;
    return { apiVersion: API_VERSION, pid: process.pid, openStreams, ...this.options.onShutdown(request) };
  }
}

function notConnected(name: string, problem: string | undefined): WarrenError {
  return new WarrenError(
    'unreachable',
    `${name} is not connected${problem === undefined || problem === '' ? '' : `: ${problem}`}`,
    {
      hint: 'See what is wrong with: warren doctor',
    },
  );
}

function endedNote(count: number): string {
  return count === 1 ? '1 open connection was ended' : `${count} open connections were ended`;
}

function serviceConfig(request: ExposeRequest): ServiceConfig {
  return {
    target: request.target,
    version: request.version,
    description: request.description,
    tags: request.tags ?? [],
    allow: request.allow ?? [],
    deny: request.deny ?? [],
  };
}

/** Names are compared without regard to case. */
function find<T>(map: ReadonlyMap<string, T>, name: string): T | undefined {
  return [...map].find(([key]) => serviceKey(key) === serviceKey(name))?.[1];
}

function without<T>(map: ReadonlyMap<string, T>, name: string): Map<string, T> {
  return new Map([...map].filter(([key]) => serviceKey(key) !== serviceKey(name)));
}
