/** Two nodes on a MemoryNet with a stream that never rests, so that a test sees what users would notice. */
import { DEFAULT_LIMITS } from '../../../protocol/limits.js';
import type { Session, Stream, StreamHandler } from '../../../protocol/session/index.js';
import { Dice, VirtualTimers } from '../../protocol/session/virtual.js';
import { HOST_POLL_MS } from '../../../daemon/host-addresses.js';
import { MemoryNet } from './memory-net.js';
import { MemoryNode, type NodeWish } from './memory-node.js';

/** A message leaves so often, ms. */
const EVERY_MS = 50;

/** With data on its way, a silent link is dead so long after it fell silent, ms. */
const { pingSilentMs, pingDeadlineMs, tickMs } = DEFAULT_LIMITS.link;
export const DEAD_AFTER_MS = pingSilentMs + pingDeadlineMs + 2 * tickMs + EVERY_MS;

const MESSAGE_BYTES = 4;

/** Messages of one stream that the other end sends back, each checked and timed. */
class Echo implements StreamHandler {
  /** when each message left, ms */
  readonly sentAt: number[] = [];
  /** messages that are back, in order */
  answered = 0;
  failed: string | undefined;
  private stream: Stream | undefined;
  private part = Buffer.alloc(0);

  constructor(private readonly timers: VirtualTimers) {}

  start(session: Session): void {
    this.stream = session.open({ service: 'echo', class: 'interactive' }, this);
    this.next();
  }

  private next(): void {
    if (this.failed !== undefined) return;
    const message = Buffer.alloc(MESSAGE_BYTES);
    message.writeUInt32BE(this.sentAt.push(this.timers.monotonic()) - 1);
    this.stream!.write(message);
    this.timers.after(EVERY_MS, () => this.next());
  }

  data(chunk: Uint8Array): void {
    this.stream!.consumed(chunk.length);
    this.part = Buffer.concat([this.part, chunk]);
    while (this.part.length >= MESSAGE_BYTES) {
      if (this.part.readUInt32BE() !== this.answered) this.failed ??= `message ${this.answered} came as another one`;
      this.answered++;
      this.part = this.part.subarray(MESSAGE_BYTES);
    }
  }

  fin(): void {
    this.failed ??= 'a FIN that nobody sent';
  }

  reset(code: string): void {
    this.failed ??= `reset ${code}`;
  }
}

function echoing(stream: Stream): StreamHandler {
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

/** The wall clock counts whole ms. */
class WholeMs extends VirtualTimers {
  override now(): number {
    return Math.floor(super.now());
  }
}

export class Scene {
  readonly timers = new WholeMs();
  readonly net = new MemoryNet(this.timers);
  readonly dice: Dice;
  readonly echo = new Echo(this.timers);
  nodes!: readonly [MemoryNode, MemoryNode];
  private last = 2;

  private constructor(private readonly label: string) {
    this.dice = new Dice(label);
  }

  /** @param wishes of the two nodes */
  static async make(label: string, wishes: readonly [NodeWish, NodeWish]): Promise<Scene> {
    const scene = new Scene(label);
    const hosts = [scene.net.host('a', '10.0.0.1'), scene.net.host('b', '10.0.0.2')] as const;
    const a = await MemoryNode.make(hosts[0], wishes[0], label);
    const b = await MemoryNode.make(hosts[1], wishes[1], label);
    scene.nodes = [a, b];
    a.admit(b);
    for (const node of scene.nodes) node.onStream = echoing;
    return scene;
  }

  /**
   * Both know where the other one is, and begin.
   * @param dead addresses that lead nowhere, told by both
   * @param isOneSided the second node tells of no address, so that it alone dials
   */
  begin(dead: readonly string[] = [], isOneSided = false): void {
    const [a, b] = this.nodes;
    a.publish(dead);
    if (!isOneSided) b.publish(dead);
    const items = [...a.network.trust.items(), ...b.network.trust.items()];
    for (const node of [a, b]) {
      node.network.learn(items, undefined);
      node.peers.follow();
    }
  }

  stop(): void {
    for (const node of this.nodes) node.stop();
  }

  get now(): number {
    return this.timers.monotonic();
  }

  /** Runs until `done` says so. @returns false when that has not happened within `ms` */
  async until(done: () => boolean, ms: number): Promise<boolean> {
    const end = this.now + ms;
    while (!done()) {
      if (this.timers.step(end)) await new Promise(resolve => setImmediate(resolve));
      else return done();
    }
    return true;
  }

  async run(ms: number): Promise<void> {
    const end = this.now + ms;
    await this.until(() => false, ms);
    this.timers.run(Math.max(0, end - this.now));
  }

  /** Links that carry the session, as each side counts them. */
  get sound(): readonly number[] {
    return this.nodes.map(node => node.session?.sound ?? 0);
  }

  /** Of the first node, those that carry the session. */
  get linkIds(): readonly number[] {
    return (this.nodes[0].session?.links ?? []).map(({ id }) => id).sort((x, y) => x - y);
  }

  hasLinks(links: number): boolean {
    return this.sound.every(sound => sound === links) && this.nodes.every(node => node.peer.links.size === links);
  }

  /** A message that left at `from` or later is back. */
  answersSince(from: number): boolean {
    const sent = this.echo.sentAt[this.echo.answered - 1];
    return sent !== undefined && sent >= from;
  }

  /** The host gets another address; its daemon sees that within a poll of its interfaces. */
  move(index: 0 | 1): void {
    const node = this.nodes[index];
    node.host.addresses.clear();
    node.host.addresses.add(`10.0.0.${++this.last}`);
    this.timers.after(this.dice.between(0, HOST_POLL_MS), () => {
      node.peers.moved(address => node.host.addresses.has(address));
      node.publish();
    });
  }

  /** What went wrong that must not: an echo that broke, an alarm. */
  get complaints(): readonly string[] {
    const { failed } = this.echo;
    return [...(failed === undefined ? [] : [failed]), ...this.nodes.flatMap(node => node.alarms)];
  }
}
