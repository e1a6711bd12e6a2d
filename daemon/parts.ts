/**
 * What a running daemon is made of, and how its rooms are joined: each is given the few functions of the others that it
 * needs. Nothing is bound or dialed here; that is app.ts.
 */
import { hostname } from 'node:os';
import type { Status } from '../protocol/admin/contract.js';
import type { AeadName, Primitives } from '../protocol/crypto/primitives.js';
import { chooseSuite } from '../protocol/crypto/suite-choice.js';
import { ReplayGuard } from '../protocol/handshake/replay.js';
import { MAX_REKEY_BYTES, limitsWith, type Limits as SessionLimits } from '../protocol/limits.js';
import type { TrustStore } from '../protocol/identity/trust-store.js';
import { ProcessBudget } from '../protocol/session/index.js';
import { addressesToTell } from './advertise.js';
import type { ConfigFile } from './config/edit.js';
import { nameFor } from './config/start.js';
import type { Config } from './config/types.js';
import type { HomePaths } from './home/paths.js';
import type { ScryptCost } from './home/sealed.js';
import type { StateFiles } from './home/statefile.js';
import type { Keyring } from './keys/keyring.js';
import { AutoRotation } from './keys/auto-rotation.js';
import { FileVault } from './keys/next-key-vault.js';
import { surroundings } from './keys/recovery.js';
import { Rotations } from './keys/rotations.js';
import { errorFields, type Log } from './observe/log.js';
import { limitRepeats } from './observe/repeats.js';
import { Judging } from './peers/judging.js';
import { PeerMesh } from './peers/mesh.js';
import { REPLACEABLE } from './peers/link-age.js';
import { Network } from './peers/network.js';
import { Peers } from './peers/peers.js';
import { Ports } from './ports.js';
import { Connections, ExposedServices, SocketCount, Tunnels } from './services/index.js';
import { PeersView, Relay } from './relay/index.js';
import type { ProxyChooser } from './transport/dial.js';
import { handOver, type Listener } from './transport/listener.js';
import { proxyFor } from './transport/proxy-choice.js';
import type { NodeTimers } from './transport/timers.js';

/** Everything that a running daemon holds; the rooms themselves never see it. */
export interface Parts {
  readonly paths: HomePaths;
  readonly primitives: Primitives;
  readonly timers: NodeTimers;
  readonly log: Log;
  readonly files: StateFiles;
  readonly configFile: ConfigFile;
  readonly keyring: Keyring;
  readonly rotations: Rotations;
  readonly autoRotation: AutoRotation;
  readonly network: Network;
  readonly peers: Peers;
  readonly mesh: PeerMesh;
  readonly relay: Relay;
  readonly replay: ReplayGuard;
  readonly exposed: ExposedServices;
  readonly tunnels: Tunnels;
  readonly connections: Connections;
  readonly sockets: SocketCount;
  readonly budget: ProcessBudget;
  readonly ports: Ports;
  /** of this run; what stands until somebody settles it is told from the trust store instead */
  readonly alarms: string[];
  /** what this node picks when it dials */
  readonly suite: () => AeadName;
  /** the proxy through which a node is dialed, as the config and the environment say now */
  readonly proxy: ProxyChooser;
  config: Config;
  listeners: readonly Listener[];
  state: Status['state'];
  /** tells the network what is exposed and where this node is reached, at the end of this turn */
  readonly publish: () => void;
}

export interface Ingredients {
  readonly paths: HomePaths;
  readonly log: Log;
  readonly primitives: Primitives;
  readonly timers: NodeTimers;
  readonly configFile: ConfigFile;
  readonly config: Config;
  readonly files: StateFiles;
  readonly keyring: Keyring;
  /** of files that a passphrase seals; for tests */
  readonly scryptCost?: ScryptCost;
}

/** The limits of links and sessions as the config sets them. */
function sessionLimits({ limits, node }: Config): SessionLimits {
  return limitsWith({
    session: {
      links: node.links,
      graceMs: limits.graceSeconds * 1000,
      streams: limits.streamsPerPeer,
      replaceAfterMs: REPLACEABLE * limits.linkSeconds * 1000,
    },
    receive: { process: limits.processBytes, peer: limits.peerBytes, stream: limits.streamBytes },
    retain: { process: limits.processBytes, peer: limits.peerBytes, stream: 2 * limits.streamBytes },
    rates: { opens: { perSecond: limits.opensPerSecond, burst: 4 * limits.opensPerSecond } },
  });
}

export function assemble(given: Ingredients): Parts {
  const { primitives, timers, log, files, config } = given;
  const limits = sessionLimits(config);
  const { rekeyBytes, linkSeconds } = config.limits;
  const budget = new ProcessBudget(limits);
  const sockets = new SocketCount();
  const alarms: string[] = [];
  // What a peer can cause again and again must not fill the disk.
  const alarmLog = limitRepeats(log, timers);
  const logAlarm = (sentence: string, node?: string): void => alarmLog.error('alarm', { node }, sentence);
  const onAlarm = (sentence: string, node?: string): void => {
    if (!alarms.includes(sentence)) alarms.push(sentence);
    if (alarms.length > MAX_ALARMS) alarms.shift();
    logAlarm(sentence, node);
  };
  let publishing = false;
  const publish = (): void => {
    if (publishing) return;
    publishing = true;
    timers.soon(() => {
      publishing = false;
      tellNetwork(parts);
    });
  };
  // Whoever came, went or changed tags is dialed, or loses the streams that the rules allow no more.
  const trust = (): TrustStore => network.trust;
  const judging = new Judging(timers, trust, concerned => {
    peers.follow(concerned);
    exposed.recheck();
  });
  const network: Network = new Network({
    primitives,
    timers,
    random: primitives.random,
    log: limitRepeats(log, timers),
    files,
    keyring: given.keyring,
    ...(rekeyBytes < MAX_REKEY_BYTES && { rekeyBytes }),
    wantedName: () => config.node.name ?? nameFor(hostname()),
    onItem: (item, from, about) => {
      peers.spread(item, from, about);
      judging.taken(item, about);
    },
    onAlarm,
    onForked: logAlarm,
    onSecret: (secret, from) => peers.tellSecret(secret, from),
    onReplaced: () => {
      peers.moveNetwork();
      publish();
    },
  });
  const peers: Peers = new Peers({
    network,
    primitives,
    timers,
    random: primitives.random,
    log,
    limits,
    budget,
    linkMs: linkSeconds * 1000,
    suite: () => parts.suite(),
    proxy: target => parts.proxy(target),
    isRemoved: id => removed(files).has(id),
    onStream: (stream, request, peer) => {
      if (request.class === 'relay') return relay.incoming(stream, request, peer);
      const caller = mesh.caller(peer);
      return caller === undefined ? 'denied' : exposed.incoming(stream, request, caller);
    },
    onChange: () => undefined,
    onAlarm,
    onDoubtOver: () => judging.soon(),
    relay: {
      viaFor: peer => relay.viaFor(peer),
      dial: (via, target, signal) => relay.dial(via, target, signal),
    },
  });
  const rotations = new Rotations({
    keyring: given.keyring,
    authority: network.authority,
    trust: () => network.trust,
    vault: new FileVault({
      primitives,
      surroundings: () => surroundings(network, peers),
      isCommitted: seed => given.keyring.isCommitted(seed),
      ...(given.scryptCost !== undefined && { cost: given.scryptCost }),
    }),
    log,
    onRotated: publish,
  });
  const autoRotation = new AutoRotation({
    timers,
    every: () => parts.config.keys.rotateMs,
    head: () => given.keyring.head,
    canRotate: () => given.keyring.isNextHere,
    rotate: async () => void (await rotations.rotate({ reason: 'routine' })),
    remind: () =>
      log.warn('rotation-due', { file: given.keyring.nextFile }, 'the keys of this node have had their time'),
    onFailed: error => log.error('rotation-failed', errorFields(error), 'the keys could not be rotated'),
  });
  const replay = new ReplayGuard(timers);
  const relay: Relay = new Relay({
    peers: new PeersView(network, () => peers),
    timers,
    log,
    limits: {
      total: config.limits.relayedLinks,
      perPeer: config.limits.relayedLinksPerPeer,
      bytesPerSecond: config.limits.relayedBytesPerSecond,
    },
    handshakeMs: config.limits.handshakeSeconds * 1000,
    context: () => network.context(),
    psks: () => network.psks(),
    currentPsk: () => network.currentPsk(),
    suite: () => parts.suite(),
    replay,
    onLink: newLink => handOver(newLink, link => peers.accept(link), log),
  });
  relay.set(config.node.relay ? 'on' : 'off');
  const mesh: PeerMesh = new PeerMesh({
    network,
    peers,
    exposesHere: service => exposed.has(service),
    openHere: service => exposed.openStreamsOf(service),
  });
  const dialTimeoutMs = (): number => parts.config.limits.targetDialSeconds * 1000;
  const exposed: ExposedServices = new ExposedServices({ mesh, timers, log, sockets, dialTimeoutMs });
  const local = exposed.incoming;
  const tunnels = new Tunnels({ mesh, local, timers, log, sockets });
  const connections = new Connections({ mesh, local, timers, log, sockets });
  const faster = fasterSuite(given);
  const parts: Parts = {
    paths: given.paths,
    primitives,
    timers,
    log,
    files,
    configFile: given.configFile,
    keyring: given.keyring,
    rotations,
    autoRotation,
    network,
    peers,
    mesh,
    relay,
    replay,
    exposed,
    tunnels,
    connections,
    sockets,
    budget,
    ports: new Ports(files),
    alarms,
    suite: () => parts.config.node.suite ?? faster,
    proxy: target => proxyFor(target, parts.config.node.proxy, process.env),
    config,
    listeners: [],
    state: 'ready',
    publish,
  };
  return parts;
}

/** Measured at each start: the home may have come to another machine. */
function fasterSuite({ primitives, timers, log }: Ingredients): AeadName {
  const { suite, microseconds } = chooseSuite(primitives.aead, primitives.random, timers);
  const told = Object.entries(microseconds).map(([name, each]) => `${name} ${each.toFixed(0)}`);
  log.info('suite-measured', { suite, microseconds: told }, `${suite} is preferred on this machine.`);
  return suite;
}

/** Alarms that `status` shows; older ones are in the log. */
const MAX_ALARMS = 16;

export function removed(files: StateFiles): ReadonlySet<string> {
  return new Set(files.loadMemory().removed);
}

/** Publishes the own registry record, if it differs from the one that is known. */
function tellNetwork(parts: Parts): void {
  if (parts.state !== 'ready') return;
  const services = parts.exposed.list().map(({ name, version, description, tags }) => ({
    name,
    tags,
    ...(version === null ? {} : { version }),
    ...(description === null ? {} : { description }),
  }));
  try {
    const relays = parts.config.node.relay ? { relays: true as const } : {};
    parts.network.authority.publish({ services, addresses: ownAddresses(parts), ...relays });
  } catch (error) {
    parts.log.error('publish-failed', errorFields(error), 'what this node exposes could not be told to the network');
  }
}

export function boundAddresses(parts: Parts): string[] {
  return parts.listeners.flatMap(listener => listener.bound);
}

export function ownAddresses(parts: Parts): string[] {
  return addressesToTell(parts.config.node.advertise, boundAddresses(parts));
}
