/** Several members of one network in memory: who reaches whom, who sleeps, whose home was copied. Virtual time. */
import type { Code } from '../../../protocol/codes.js';
import { nodeIdText } from '../../../protocol/identity/node-id.js';
import type { Stream, StreamHandler } from '../../../protocol/session/index.js';
import type { Peer } from '../../../daemon/peers/peer.js';
import { VirtualTimers } from '../../protocol/session/virtual.js';
import { MemoryNet, type MemoryHost } from '../peers/memory-net.js';
import { MemoryNode } from '../peers/memory-node.js';

class WholeMs extends VirtualTimers {
  override now(): number {
    return Math.floor(super.now());
  }
}

/** What a stream that was opened here has seen. */
export interface Talk {
  readonly stream: Stream;
  /** messages that are back */
  answers: number;
  ended: Code | undefined;
}

/** New streams that are opened one after the other, as by clients that connect for each request. */
export interface Knocks {
  /** that got their answer */
  answers: number;
  /** why others did not */
  readonly failures: string[];
  stop(): void;
}

/** A message leaves so often on every talk, ms. */
const EVERY_MS = 50;

export class Members {
  readonly timers = new WholeMs();
  readonly net = new MemoryNet(this.timers);
  readonly nodes = new Map<string, MemoryNode>();
  /** pairs of hosts that do not reach each other, and hosts that nobody reaches */
  private readonly cut = new Set<string>();
  private readonly extra: MemoryNode[] = [];
  private hostCount = 0;

  private constructor(private readonly label: string) {
    this.net.reaches = (x, y) => !this.cut.has(pair(x.name, y.name)) && !this.cut.has(x.name) && !this.cut.has(y.name);
  }

  /**
   * The first one founds the network; all know where all are, and begin.
   * @param apart pairs that do not reach each other
   * @param admin an admin besides the founder, which admits all behind it
   */
  static async make(
    label: string,
    names: readonly string[],
    apart: readonly (readonly [string, string])[] = [],
    admin?: string,
  ): Promise<Members> {
    const members = new Members(label);
    for (const [x, y] of apart) members.cut.add(pair(x, y));
    for (const name of names) members.nodes.set(name, await MemoryNode.make(members.host(name), { links: 1 }, label));
    const all = [...members.nodes.values()];
    let sponsor = all[0]!;
    for (const [i, node] of all.slice(1).entries()) {
      sponsor.admit(node);
      if (names[i + 1] !== admin) continue;
      sponsor.network.authority.setRole(node.network.nodeId, 'promote');
      node.network.learn(sponsor.network.trust.items(), undefined);
      sponsor = node;
    }
    const items = all.flatMap(node => {
      node.onStream = echo;
      node.publish();
      return node.network.trust.items();
    });
    for (const node of all) node.network.learn(items, undefined);
    for (const node of all) node.peers.follow();
    return members;
  }

  private host(name: string): MemoryHost {
    return this.net.host(name, `10.0.0.${++this.hostCount}`);
  }

  get(name: string): MemoryNode {
    return this.nodes.get(name)!;
  }

  /** From now on these two hosts do not reach each other, or (one name) nobody reaches it. */
  separate(...names: readonly [string, string?]): void {
    const key = names[1] === undefined ? names[0] : pair(names[0], names[1]);
    this.cut.add(key);
    this.net.reset(({ hosts: [x, y] }) => !this.net.reaches(x, y));
  }

  join(...names: readonly [string, string?]): void {
    this.cut.delete(names[1] === undefined ? names[0] : pair(names[0], names[1]));
  }

  sleep(name: string): void {
    this.get(name).sleep();
  }

  async wake(name: string): Promise<MemoryNode> {
    const node = await MemoryNode.wake(this.get(name), `${this.label} again`);
    node.onStream = echo;
    this.nodes.set(name, node);
    node.peers.follow();
    return node;
  }

  /** A copy of the home as it is now, on a host named `name`; it does not dial before `follow`. */
  async copy(of: string, name: string): Promise<MemoryNode> {
    const copy = await MemoryNode.thief(this.get(of), this.host(name), `${this.label} ${name}`);
    copy.onStream = echo;
    this.extra.push(copy);
    return copy;
  }

  peer(at: MemoryNode, of: MemoryNode): Peer | undefined {
    return at.peers.get(of.id as never);
  }

  /** Each of the two has a session with the other that is carried by a link. */
  linked(x: MemoryNode, y: MemoryNode): boolean {
    return [this.peer(x, y), this.peer(y, x)].every(peer => (peer?.slot.session?.links.length ?? 0) > 0);
  }

  /** Links at `at` that lead to this host. */
  linksFrom(at: MemoryNode, of: MemoryNode): number {
    const isFrom = (host: MemoryHost): boolean => host === of.host;
    return [...this.net.open].filter(
      ({ hosts, ends }) => hosts.some(isFrom) && hosts.includes(at.host) && !ends[0].isGone,
    ).length;
  }

  /** Opens a stream from one to the other that never rests. */
  talk(from: MemoryNode, to: MemoryNode): Talk {
    const session = this.peer(from, to)!.slot.session!;
    const talk: Talk = {
      answers: 0,
      ended: undefined,
      stream: session.open(
        { service: 'echo', class: 'interactive' },
        {
          data: chunk => {
            talk.stream.consumed(chunk.length);
            talk.answers += chunk.length;
          },
          fin: () => undefined,
          reset: code => void (talk.ended ??= code),
        },
      ),
    };
    const next = (): void => {
      if (talk.ended !== undefined) return;
      talk.stream.write(Buffer.from('.'));
      this.timers.after(EVERY_MS, next);
    };
    next();
    return talk;
  }

  /** Opens a stream to a service of `to` every `everyMs`, as a tunnel does, asks once and ends it. */
  knock(from: MemoryNode, to: MemoryNode, everyMs: number): Knocks {
    let isOver = false;
    const knocks: Knocks = { answers: 0, failures: [], stop: () => void (isOver = true) };
    const next = (): void => {
      if (isOver) return;
      this.timers.after(everyMs, next);
      const instance = from.mesh.instances('echo').find(({ node }) => nodeIdText(node) === to.id);
      if (instance === undefined) return void knocks.failures.push('no instance');
      const stream = from.mesh.open(
        to.network.nodeId,
        { service: 'echo', class: 'interactive' },
        {
          data: () => {
            knocks.answers++;
            stream.reset('cancelled');
          },
          fin: () => void knocks.failures.push('ended'),
          reset: code => void knocks.failures.push(code),
        },
      );
      stream.write(Buffer.from('?'));
    };
    next();
    return knocks;
  }

  get now(): number {
    return this.timers.monotonic();
  }

  /** @returns after how many ms of virtual time it came true; undefined when it did not within `ms` */
  async until(done: () => boolean, ms: number): Promise<number | undefined> {
    const begin = this.now;
    while (!done()) {
      if (this.timers.step(begin + ms)) await new Promise(resolve => setImmediate(resolve));
      else if (!done()) return undefined;
    }
    return this.now - begin;
  }

  async run(ms: number): Promise<void> {
    const end = this.now + ms;
    await this.until(() => false, ms);
    this.timers.run(Math.max(0, end - this.now));
  }

  /** Every pair that the net lets reach each other has a session. */
  isWhole(): boolean {
    const all = [...this.nodes.values()];
    return all.every((x, i) => all.slice(i + 1).every(y => !this.net.reaches(x.host, y.host) || this.linked(x, y)));
  }

  stop(): void {
    for (const node of [...this.nodes.values(), ...this.extra]) node.stop();
  }
}

function pair(x: string, y: string): string {
  return [x, y].sort().join(' ');
}

export function seqAt(at: MemoryNode, of: MemoryNode): number {
  return at.network.trust.head(of.network.nodeId)?.seq ?? -1;
}

export function codesOfLinks(node: MemoryNode): string[] {
  return node.lines
    .filter(({ event }) => event === 'link-down' || event === 'link-refused')
    .map(l => String(l.fields.code ?? l.fields.wire));
}

export { nodeIdText };

function echo(stream: Stream): StreamHandler {
  stream.accept();
  return {
    data: chunk => {
      stream.consumed(chunk.length);
      stream.write(chunk.slice());
    },
    fin: () => undefined,
    reset: () => undefined,
  };
}
