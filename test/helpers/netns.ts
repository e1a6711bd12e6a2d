/**
 * Networks of namespaces for end-to-end tests: hosts of their own on a bridge or a cable, whose wires are slow, cut and
 * renumbered by the test. Needs root, `ip`, `tc` and `iptables`: a test that uses this says so in its `needs`
 * (NETNS_NEEDS). Everything is taken down with the lab.
 *
 * The test process itself stays outside: it reaches tunnels and services in a namespace through unix sockets, which
 * namespaces of the network do not part.
 */
import { randomBytes } from 'node:crypto';
import { run, type Lab, type Run } from './hosts.js';

/** What a test that makes namespaces asks for in `needs`. */
export const NETNS_NEEDS = ['root', 'ip', 'tc', 'iptables'] as const;

/** A token bucket (`tc tbf`) on what leaves a device. */
export interface Shape {
  /** as tc writes it, e.g. `100mbit` */
  readonly rate: string;
  /** bucket; default `64kb` */
  readonly burst?: string;
  /** the longest that a packet may wait in the queue before it is dropped; default `10ms` */
  readonly latency?: string;
}

/** Which packets of a node are stopped. */
export interface Block {
  /** `drop`: silence. `reset`: TCP packets are answered with RST to their sender, others are dropped. */
  readonly how: 'drop' | 'reset';
  /** the other end's address; default: everybody */
  readonly peer?: string;
  /** as this node sees it; default both */
  readonly direction?: 'in' | 'out' | 'both';
  /** only the one TCP connection, or the one listener, with this port here */
  readonly localPort?: number;
  /** ... and this port at the peer */
  readonly peerPort?: number;
}

async function must(command: string, args: readonly string[], netns?: string): Promise<Run> {
  const result = await run(command, args, netns === undefined ? {} : { netns });
  if (result.status !== 0) throw new Error(`${command} ${args.join(' ')}: ${result.stderr.trim()}`);
  return result;
}

/** The iptables chain and match of one direction. */
function matching(block: Block, direction: 'in' | 'out'): string[] {
  const [chain, peer, local, remote] =
    direction === 'in' ? ['INPUT', '-s', '--dport', '--sport'] : ['OUTPUT', '-d', '--sport', '--dport'];
  const isTcp = block.how === 'reset' || block.localPort !== undefined || block.peerPort !== undefined;
  return [
    chain,
    ...(block.peer === undefined ? [] : [peer, block.peer]),
    ...(isTcp ? ['-p', 'tcp'] : []),
    ...(block.localPort === undefined ? [] : [local, String(block.localPort)]),
    ...(block.peerPort === undefined ? [] : [remote, String(block.peerPort)]),
    '-j',
    ...(block.how === 'reset' ? ['REJECT', '--reject-with', 'tcp-reset'] : ['DROP']),
  ];
}

/** One host: a network namespace with loopback up. Devices are added by `Network.bridge` and `Network.cable`. */
export class Space {
  /** device → address without prefix length */
  private readonly addresses = new Map<string, string>();

  /** @param netns name of the namespace, for `Lab.host(name, netns)` and `run(…, { netns })` */
  constructor(readonly netns: string) {}

  /** The address on a device. */
  address(device = 'eth0'): string {
    const address = this.addresses.get(device);
    if (address === undefined) throw new Error(`${this.netns} has no address on ${device}`);
    return address;
  }

  /** Runs a program in here; anything else than exit code 0 is an error. */
  exec(command: string, ...args: string[]): Promise<Run> {
    return must(command, args, this.netns);
  }

  /** Brings a device up with an address of a /24. */
  async plug(device: string, address: string): Promise<void> {
    await must('ip', ['-n', this.netns, 'addr', 'add', `${address}/24`, 'dev', device]);
    await must('ip', ['-n', this.netns, 'link', 'set', device, 'up']);
    this.addresses.set(device, address);
  }

  /** Replaces the address on a device: what is connected from the old one gets no packet through any more. */
  async readdress(address: string, device = 'eth0'): Promise<void> {
    const old = this.address(device);
    // The other order would lose both: a second address of one subnet goes with the first.
    await must('ip', ['-n', this.netns, 'addr', 'del', `${old}/24`, 'dev', device]);
    await must('ip', ['-n', this.netns, 'addr', 'add', `${address}/24`, 'dev', device]);
    this.addresses.set(device, address);
  }

  /** Limits what leaves a device; a second call replaces the first. Both ways: call it on both ends. */
  async shape({ rate, burst = '64kb', latency = '10ms' }: Shape, device = 'eth0'): Promise<void> {
    const tbf = ['tbf', 'rate', rate, 'burst', burst, 'latency', latency];
    await this.exec('tc', 'qdisc', 'replace', 'dev', device, 'root', ...tbf);
  }

  /** Stops packets until the returned function is called. */
  async block(block: Block): Promise<() => Promise<void>> {
    const { direction = 'both' } = block;
    const rules = (direction === 'both' ? (['in', 'out'] as const) : [direction]).map(way => matching(block, way));
    for (const rule of rules) await this.exec('iptables', '-w', '-I', ...rule);
    return async () => {
      for (const rule of rules) await this.exec('iptables', '-w', '-D', ...rule);
    };
  }
}

/** Namespaces and the wires between them. */
export class Network {
  /** Distinct for each network on this machine; device names have at most 15 letters. */
  private readonly prefix = `w${randomBytes(3).toString('hex')}`;
  private devices = 0;

  constructor(private readonly lab: Lab) {}

  /** @param name a few letters, distinct in this network */
  async space(name: string): Promise<Space> {
    const netns = `${this.prefix}${name}`;
    await must('ip', ['netns', 'add', netns]);
    this.lab.onClose(async () => void (await run('ip', ['netns', 'del', netns])));
    await must('ip', ['-n', netns, 'link', 'set', 'lo', 'up']);
    return new Space(netns);
  }

  /** A bridge of `subnet` (e.g. `10.77.0`): the spaces get .1, .2, … on `device`. */
  async bridge(subnet: string, spaces: readonly Space[], device = 'eth0'): Promise<void> {
    const bridge = this.device();
    await must('ip', ['link', 'add', bridge, 'type', 'bridge', 'mcast_snooping', '0']);
    this.lab.onClose(async () => void (await run('ip', ['link', 'del', bridge])));
    await must('ip', ['link', 'set', bridge, 'up']);
    for (const [i, space] of spaces.entries()) {
      const port = this.device();
      await must('ip', ['link', 'add', port, 'type', 'veth', 'peer', 'name', device, 'netns', space.netns]);
      await must('ip', ['link', 'set', port, 'master', bridge, 'up']);
      await space.plug(device, `${subnet}.${i + 1}`);
    }
  }

  /** A cable between two spaces: `a` gets .1 of the subnet, `b` .2, each on `device`, shaped both ways if asked for. */
  async cable(subnet: string, a: Space, b: Space, shape?: Shape, device = 'eth0'): Promise<void> {
    const end = ['peer', 'name', device, 'netns', b.netns];
    await must('ip', ['link', 'add', device, 'netns', a.netns, 'type', 'veth', ...end]);
    await a.plug(device, `${subnet}.1`);
    await b.plug(device, `${subnet}.2`);
    if (shape === undefined) return;
    await a.shape(shape, device);
    await b.shape(shape, device);
  }

  private device(): string {
    return `${this.prefix}d${this.devices++}`;
  }
}
