/**
 * A member that does not keep to the protocol: the home of a host that has joined and ended, and links made with its
 * keys, admitted like any other; from there on every frame is the test's own.
 */
import { EMPTY, compare } from '../../protocol/bytes.js';
import type { Code } from '../../protocol/codes.js';
import { loadPrimitives } from '../../protocol/crypto/load.js';
import type { Primitives } from '../../protocol/crypto/primitives.js';
import { parseNodeId, type NodeId } from '../../protocol/identity/node-id.js';
import { DEFAULT_LIMITS } from '../../protocol/limits.js';
import { FRAME, encodePool, type Link } from '../../protocol/link/index.js';
import { openHome } from '../../daemon/home/home.js';
import { loadKeys, saveKeys } from '../../daemon/home/keyfile.js';
import { StateFiles } from '../../daemon/home/statefile.js';
import { Keyring } from '../../daemon/keys/keyring.js';
import type { Log } from '../../daemon/observe/log.js';
import { bringUp } from '../../daemon/peers/bring-up.js';
import { Network } from '../../daemon/peers/network.js';
import { dial } from '../../daemon/transport/dial.js';
import { NodeTimers } from '../../daemon/transport/timers.js';
import type { Transport } from '../../daemon/transport/transport.js';
import { until, type Host, type Lab } from './hosts.js';

const silent = (): void => undefined;
const NO_LOG: Log = { debug: silent, info: silent, warn: silent, error: silent, child: () => NO_LOG };

/** One link of the rogue's: admitted, and attached as a new session unless the test says otherwise. */
export class RogueLink {
  readonly heard: { readonly type: number; readonly body: Uint8Array }[] = [];
  /** what the victim closed the link with */
  verdict: Code | 'cut' | undefined;
  hasSession = false;
  /** It knows of no session from before, like a host that has restarted. */
  private isFresh = false;

  constructor(
    readonly link: Link,
    private readonly transport: Transport,
    /** this side decides: it has the smaller ID */
    readonly isDecider: boolean,
  ) {}

  say(type: number, body: Uint8Array): this {
    this.link.send(type, body);
    return this;
  }

  /** NEW from whoever decides, and an empty state. */
  begin(): Promise<unknown> {
    this.isFresh = true;
    if (this.isDecider) this.say(FRAME.NEW, EMPTY);
    else if (this.heard.some(({ type }) => type === FRAME.ATTACH)) this.say(FRAME.UNKNOWN, EMPTY);
    return until('the session begins', () => this.hasSession || this.verdict !== undefined);
  }

  take(type: number, body: Uint8Array): void {
    this.heard.push({ type, body: body.slice() });
    // The victim has not noticed yet that the link before this one has ended.
    if (type === FRAME.ATTACH && this.isFresh) this.say(FRAME.UNKNOWN, EMPTY);
    if (type === FRAME.NEW) this.say(FRAME.NEW_OK, EMPTY);
    if (type !== FRAME.NEW && type !== FRAME.NEW_OK) return;
    this.hasSession = true;
    this.say(FRAME.POOL, encodePool(0)).say(FRAME.RESUMED, EMPTY);
  }

  /** From now on nothing that the victim says is read. */
  stopReading(): void {
    this.transport.pause();
  }

  /** Bytes that the kernel has not taken yet. */
  get unsent(): number {
    return this.transport.buffered;
  }

  end(): void {
    this.transport.abort();
  }
}

export class Rogue {
  private readonly timers = new NodeTimers();
  private linkId = 0;

  private constructor(
    private readonly primitives: Primitives,
    private readonly network: Network,
    private readonly victim: NodeId,
    private readonly address: string,
  ) {}

  /** Joins the victim's network as `name`, ends that daemon, and takes its home over. */
  static async join(lab: Lab, victim: Host, name: string): Promise<Rogue> {
    const host = lab.host(name);
    await host.up(['--no-listen', '--join', await victim.ok(['invite'])]);
    await host.ok(['down']);
    const primitives = await loadPrimitives();
    const paths = openHome(host.home);
    const timers = new NodeTimers();
    const keyring = new Keyring({
      primitives,
      timers,
      keys: loadKeys(paths.nodeKeys)!,
      save: keys => saveKeys(paths.nodeKeys, keys),
    });
    const network = new Network({
      primitives,
      timers,
      random: primitives.random,
      log: NO_LOG,
      files: new StateFiles(paths),
      keyring,
      wantedName: () => name,
      onItem: silent,
      onAlarm: silent,
      onForked: silent,
      onSecret: silent,
      onReplaced: silent,
    });
    lab.onClose(() => network.close());
    const { node, listen } = await victim.status();
    return new Rogue(primitives, network, parseNodeId(node.id)!, listen[0]!);
  }

  /** A link that the victim has admitted. */
  async link(): Promise<RogueLink> {
    const { timers, primitives, network } = this;
    const newLink = await dial({
      address: this.address,
      context: network.context(),
      psk: network.currentPsk(),
      suite: 'AESGCM',
      expect: this.victim,
      timers,
      log: NO_LOG,
    });
    return new Promise((resolve, reject) => {
      let rogue: RogueLink | undefined;
      bringUp({
        newLink,
        id: this.linkId++,
        timers,
        primitives,
        limits: DEFAULT_LIMITS,
        admission: network.admission(),
        onAdmitted: ({ link, transport }) => {
          rogue = new RogueLink(link, transport, compare(network.nodeId, this.victim) < 0);
          const { take } = RogueLink.prototype;
          link.setHandler({ frame: (type, body) => take.call(rogue, type, body) });
          resolve(rogue);
        },
        onLimited: sentence => reject(new Error(sentence)),
        onClosed: (_, code, __, by) => {
          if (rogue !== undefined) rogue.verdict = by === 'peer' ? code : 'cut';
        },
      }).catch(reject);
    });
  }

  /** ... with a new session on it. */
  async session(): Promise<RogueLink> {
    const link = await this.link();
    await link.begin();
    return link;
  }
}
