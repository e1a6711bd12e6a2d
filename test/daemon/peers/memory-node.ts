/** Two members of one network on a MemoryNet, with the real rooms from the handshake upwards, in virtual time. */
import { cpSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { EMPTY } from '../../../protocol/bytes.js';
import type { Code } from '../../../protocol/codes.js';
import { loadPrimitives } from '../../../protocol/crypto/load.js';
import type { Primitives } from '../../../protocol/crypto/primitives.js';
import { WarrenError } from '../../../protocol/errors.js';
import { Initiator, Responder } from '../../../protocol/handshake/handshake.js';
import { recognize } from '../../../protocol/handshake/preface.js';
import { ReplayGuard } from '../../../protocol/handshake/replay.js';
import { issueGrant } from '../../../protocol/identity/issue.js';
import { nodeIdText, type NodeId } from '../../../protocol/identity/node-id.js';
import { createInception } from '../../../protocol/identity/statement.js';
import type { TrustStore } from '../../../protocol/identity/trust-store.js';
import { limitsWith } from '../../../protocol/limits.js';
import { ProcessBudget, type Session, type Stream, type StreamHandler } from '../../../protocol/session/index.js';
import { nodeFileOps, type FileOps } from '../../../daemon/home/atomic.js';
import { openHome } from '../../../daemon/home/home.js';
import { loadKeys, saveKeys, type NodeKeys } from '../../../daemon/home/keyfile.js';
import { StateFiles } from '../../../daemon/home/statefile.js';
import { Keyring } from '../../../daemon/keys/keyring.js';
import { FileVault } from '../../../daemon/keys/next-key-vault.js';
import { Rotations } from '../../../daemon/keys/rotations.js';
import { LINK_MS, REPLACEABLE } from '../../../daemon/peers/link-age.js';
import type { AuthorityOptions } from '../../../daemon/peers/authority.js';
import { Judging } from '../../../daemon/peers/judging.js';
import { PeerMesh } from '../../../daemon/peers/mesh.js';
import { Network } from '../../../daemon/peers/network.js';
import type { Peer } from '../../../daemon/peers/peer.js';
import { Peers } from '../../../daemon/peers/peers.js';
import { Renewal } from '../../../daemon/peers/renewal.js';
import type { RelayPaths } from '../../../daemon/peers/relay-paths.js';
import type { DialOptions } from '../../../daemon/transport/dial.js';
import { drive, readPreface, type Outcome } from '../../../daemon/transport/drive.js';
import type { NewLink, Transport } from '../../../daemon/transport/transport.js';
import { seededRandom } from '../../helpers/random.js';
import type { VirtualTimers } from '../../protocol/session/virtual.js';
import { memoryLog, type Line } from '../transport/loopback.js';
import type { MemoryHost } from './memory-net.js';

export const PORT = 7667;
/** Nobody cuts the power while virtual time runs. */
const UNSYNCED: FileOps = { ...nodeFileOps, sync: () => undefined, syncDir: () => undefined };
/** As dial.ts has it, ms. */
const DIAL_MS = 10_000;

type Wish = Pick<DialOptions, 'context' | 'psk' | 'suite' | 'expect' | 'signal' | 'address'>;

export interface NodeWish {
  readonly links: number;
  /** paths through another member are there too */
  readonly relay?: boolean;
  /** how long a link lives before its replacement, ms */
  readonly linkMs?: number;
}

export class MemoryNode {
  readonly lines: Line[] = [];
  readonly alarms: string[] = [];
  readonly keyring: Keyring;
  readonly network: Network;
  readonly peers: Peers;
  onStream: (stream: Stream) => StreamHandler | Code = () => 'no-service';
  /** as tunnels and the policy of services see the network */
  readonly mesh: PeerMesh;
  readonly rotations: Rotations;
  /** begun by the test */
  readonly renewal: Renewal;
  private readonly primitives: Primitives;
  private readonly replay: ReplayGuard;
  private readonly judging: Judging;

  static async make(host: MemoryHost, wish: NodeWish, label: string): Promise<MemoryNode> {
    return new MemoryNode(host, wish, await loadPrimitives(), label, mkdtempSync(join(tmpdir(), 'warren-m-')));
  }

  /** What `stopped` was, started again on the same home. */
  static async wake(stopped: MemoryNode, label: string): Promise<MemoryNode> {
    return new MemoryNode(stopped.host, stopped.wish, await loadPrimitives(), label, stopped.root);
  }

  /** A node with a copy of the whole home as it is now, on another host. */
  static async thief(of: MemoryNode, host: MemoryHost, label: string): Promise<MemoryNode> {
    of.network.close();
    const root = mkdtempSync(join(tmpdir(), 'warren-m-'));
    cpSync(of.root, root, { recursive: true });
    return new MemoryNode(host, of.wish, await loadPrimitives(), label, root);
  }

  private constructor(
    readonly host: MemoryHost,
    private readonly wish: NodeWish,
    primitives: Primitives,
    label: string,
    readonly root: string,
  ) {
    const random = seededRandom(`${label} ${host.name}`);
    this.primitives = { ...primitives, random };
    const timers = this.timers;
    this.replay = new ReplayGuard(timers);
    const trust = (): TrustStore => this.network.trust;
    this.judging = new Judging(timers, trust, concerned => this.peers.follow(concerned));
    const log = memoryLog(this.lines);
    const onAlarm = (sentence: string): void => void this.alarms.push(sentence);
    const linkMs = wish.linkMs ?? LINK_MS;
    const limits = limitsWith({ session: { links: wish.links, replaceAfterMs: REPLACEABLE * linkMs } });
    const paths = openHome(this.root);
    this.keyring = new Keyring({
      primitives: this.primitives,
      timers,
      keys: loadKeys(paths.nodeKeys) ?? this.newKeys(paths.nodeKeys),
      save: keys => saveKeys(paths.nodeKeys, keys, UNSYNCED),
    });
    this.network = new Network({
      primitives: this.primitives,
      timers,
      random,
      log,
      files: new StateFiles(paths, UNSYNCED),
      keyring: this.keyring,
      wantedName: () => host.name,
      onItem: (item, from, about) => {
        this.peers.spread(item, from, about);
        this.judging.taken(item, about);
      },
      onAlarm,
      onForked: onAlarm,
      onSecret: (secret, from) => this.peers.tellSecret(secret, from),
      onReplaced: () => this.peers.moveNetwork(),
    });
    this.peers = new Peers({
      network: this.network,
      primitives: this.primitives,
      timers,
      random,
      log,
      limits,
      budget: new ProcessBudget(limits),
      linkMs,
      suite: () => 'AESGCM',
      isRemoved: () => false,
      onStream: (stream, _request, peer) => (this.mesh.caller(peer) === undefined ? 'denied' : this.onStream(stream)),
      onChange: () => undefined,
      onAlarm,
      dial: options => this.dial(options),
      ...(wish.relay === true ? { relay: this.relay() } : {}),
    });
    this.mesh = new PeerMesh({
      network: this.network,
      peers: this.peers,
      exposesHere: () => false,
      openHere: () => 0,
    });
    this.renewal = new Renewal({ timers, log, network: this.network, onLooked: () => void this.peers.follow() });
    this.rotations = new Rotations({
      keyring: this.keyring,
      authority: this.network.authority,
      trust: () => this.network.trust,
      vault: new FileVault({
        primitives: this.primitives,
        surroundings: () => ({
          nodeId: this.network.nodeId,
          networkId: this.network.networkId,
          name: this.network.name,
          secrets: this.network.heldSecrets(),
          addresses: [],
          items: this.network.trust.items(),
        }),
        isCommitted: key => this.keyring.isCommitted(key),
        cost: { logN: 10, r: 1, p: 1 },
      }),
      log,
      onRotated: () => this.publish(),
    });
    host.accept = transport => this.accept(transport);
  }

  private newKeys(file: string): NodeKeys {
    const made = createInception(this.primitives, { now: this.timers.now() });
    const keys = {
      nodeId: made.nodeId,
      signingSeed: made.signing.privateKey,
      noisePrivate: made.noise.privateKey,
      nextSeed: made.next,
      statements: [made.statement],
    };
    saveKeys(file, keys, UNSYNCED);
    return keys;
  }

  private get timers(): VirtualTimers {
    return this.host.net.timers;
  }

  get id(): string {
    return nodeIdText(this.network.nodeId);
  }

  /** The only other member. */
  get peer(): Peer {
    return this.peers.all()[0]!;
  }

  get session(): Session | undefined {
    return this.peers.all()[0]?.slot.session;
  }

  /** The founder takes the other node in, and the other one moves to this network. */
  admit(node: MemoryNode): void {
    const { pen, options } = this.network.authority as unknown as {
      pen: Parameters<typeof issueGrant>[1];
      options: AuthorityOptions;
    };
    const candidate = node.network.candidate(this.network.networkId);
    this.network.learn(candidate.store.items(), undefined);
    const { nodeId } = node.network;
    const grant = issueGrant(this.network.trust, pen, { node: nodeId, name: node.host.name, tags: [] });
    options.keep([grant]);
    candidate.store.addAll(this.network.trust.items());
    candidate.admission.onSecret?.(0, this.network.currentPsk().psk.secret);
    node.network.adopt(candidate);
  }

  /** Tells the others where this node is. @param more addresses that lead nowhere */
  publish(more: readonly string[] = []): void {
    const own = [...this.host.addresses].map(address => `${address}:${PORT}`);
    const services = [{ name: 'echo', tags: [] }];
    this.network.authority.publish({ services, addresses: [...more, ...own] });
  }

  /** Ends; the home stays, see `wake`. */
  sleep(): void {
    this.renewal.stop();
    this.peers.stop('going-away');
    this.network.close();
    this.host.accept = transport => transport.abort();
  }

  stop(): void {
    this.sleep();
    rmSync(this.root, { recursive: true, force: true });
  }

  private async dial(options: DialOptions): Promise<NewLink> {
    return this.shake(options, signal => this.host.connect(options.address, signal));
  }

  private async shake(options: Wish, connect: (signal: AbortSignal) => Promise<Transport>): Promise<NewLink> {
    const { address } = options;
    const scope = new AbortController();
    const giveUp = (): void => scope.abort();
    const deadline = this.timers.after(DIAL_MS, giveUp);
    options.signal?.addEventListener('abort', giveUp);
    try {
      const transport = await connect(scope.signal);
      return await this.handshake(transport, options, scope.signal, address);
    } finally {
      deadline.cancel();
      options.signal?.removeEventListener('abort', giveUp);
    }
  }

  private async handshake(transport: Transport, wish: Wish, signal: AbortSignal, address: string): Promise<NewLink> {
    const initiator = new Initiator(wish.context, wish);
    const outcome = await new Promise<Outcome>((resolve, reject) => {
      signal.addEventListener('abort', () => {
        transport.abort();
        reject(new WarrenError('timeout', 'no answer'));
      });
      transport.write([initiator.preface, initiator.first()]);
      drive(transport, initiator, EMPTY, resolve);
    });
    if (outcome.kind === 'established') return { transport, ...outcome, direction: 'dialed', address };
    transport.abort();
    throw new WarrenError('unreachable', outcome.why);
  }

  private accept(transport: Transport): void {
    transport.onClose(() => undefined);
    readPreface(transport, (preface, rest) => {
      const context = this.network.context();
      const recognition = recognize(context, preface, this.network.psks(), this.replay);
      if (recognition === undefined || recognition.kind === 'version') return transport.abort();
      const responder = new Responder(context, recognition, preface, this.replay);
      drive(transport, responder, rest, outcome => {
        if (outcome.kind !== 'established') return transport.abort();
        const address = transport.kind === 'relay' ? `relay:${RELAY_ID}` : transport.remote;
        this.peers.accept({ transport, ...outcome, direction: 'accepted', address });
      });
    });
  }

  /** Another member would carry the link: here a connection whose path is another one than that of direct ones. */
  private relay(): RelayPaths {
    return {
      viaFor: () => [RELAY_ID],
      dial: async (via, target: NodeId, signal) => {
        const to = this.host.net.hosts.find(host => host !== this.host)!;
        const address = `${[...to.addresses].at(-1)}:${PORT}`;
        const context = this.network.context();
        const psk = this.network.currentPsk();
        const wish = { context, psk, suite: 'AESGCM', expect: target, signal, address: `relay:${via}` } as const;
        return this.shake(wish, scope => this.host.connect(address, scope, 'relay'));
      },
    };
  }
}

export const RELAY_ID = '0'.repeat(52);
