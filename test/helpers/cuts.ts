/** Two hosts at the ends of a slow cable that is cut in every way a network knows, and how long that shows. */
import { setTimeout as sleep } from 'node:timers/promises';
import { mkdirSync, writeFileSync } from 'node:fs';
import { connected, until, type Host, type Lab } from './hosts.js';
import { Network, type Shape, type Space } from './netns.js';

/** 100 Mbit/s both ways. */
export const CABLE: Shape = { rate: '100mbit', burst: '64kb', latency: '10ms' };

/** A link is known to be dead at the latest so long after the last sign of life: silence, then a ping, ms. */
export const DEAD_AFTER_MS = 6_000;
/** What the design promises in virtual time, ms; in real runs five times as wide. */
export const HEALED_MS = 5 * 2_000;

const RESET_MS = 300;

export interface Cable {
  readonly a: Host;
  readonly b: Host;
  readonly spaceA: Space;
  readonly spaceB: Space;
}

export interface CableOptions {
  readonly subnet: string;
  /** the `limits` of both config files */
  readonly limits?: Readonly<Record<string, number | string>>;
  readonly shape?: Shape;
}

/** host-a and host-b in namespaces of their own, members of one network, connected. */
export async function cablePair(lab: Lab, options: CableOptions): Promise<Cable> {
  const network = new Network(lab);
  const [spaceA, spaceB] = [await network.space('a'), await network.space('b')];
  await network.cable(options.subnet, spaceA, spaceB, options.shape ?? CABLE);
  const [a, b] = [lab.host('host-a', spaceA.netns), lab.host('host-b', spaceB.netns)];
  for (const host of [a, b]) {
    mkdirSync(host.home, { mode: 0o700 });
    const config = {
      node: { name: host.name, listen: ['0.0.0.0:7667'], mdns: false },
      ...(options.limits && { limits: options.limits }),
    };
    writeFileSync(`${host.home}/config.yaml`, JSON.stringify(config), { mode: 0o600 });
  }
  await a.up();
  await b.up(['--join', await a.ok(['invite'])]);
  await connected(a, b.name);
  await connected(b, a.name);
  return { a, b, spaceA, spaceB };
}

/** Exposes a target on host-a and opens a tunnel to it on host-b. @returns the tunnel's unix socket */
export async function tunnelOver(
  lab: Lab,
  { a, b }: Pick<Cable, 'a' | 'b'>,
  service: string,
  target: string,
): Promise<string> {
  await a.ok(['expose', service, target]);
  const listen = await b.connect(service, `unix:${lab.folder}/${service}-tunnel.sock`);
  await until(`${service} is known`, async () =>
    (await b.status()).tunnels.some(t => t.service === service && t.state === 'listening'),
  );
  return listen;
}

export const CUTS = ['reset', 'silence', 'renumber'] as const;
export type CutKind = (typeof CUTS)[number];

export interface Cut {
  readonly kind: CutKind;
  /** performance.now() when the path was gone, and when it was there again */
  readonly goneAt: number;
  readonly backAt: number;
}

/** Cuts a cable in turn by RST, by silence, and by another address of host-b; `next` returns when the path is back. */
export class Cutter {
  private cuts = 0;

  /** @param silenceMs how long a silence lasts */
  constructor(
    private readonly cable: Cable,
    private readonly silenceMs: () => number,
  ) {}

  async next(): Promise<Cut> {
    const n = this.cuts++;
    const kind = CUTS[n % CUTS.length]!;
    const goneAt = performance.now();
    await this[kind](Math.floor(n / CUTS.length));
    return { kind, goneAt, backAt: performance.now() };
  }

  /** What one side sends is answered with RST for a moment; the sides take turns. */
  private async reset(round: number): Promise<void> {
    const { spaceA, spaceB } = this.cable;
    const [receiver, sender] = round % 2 === 0 ? [spaceA, spaceB] : [spaceB, spaceA];
    const restore = await receiver.block({ how: 'reset', peer: sender.address(), direction: 'in' });
    await sleep(RESET_MS);
    await restore();
  }

  private async silence(): Promise<void> {
    const { spaceA, spaceB } = this.cable;
    const restore = await spaceA.block({ how: 'drop', peer: spaceB.address() });
    await sleep(this.silenceMs());
    await restore();
  }

  private async renumber(round: number): Promise<void> {
    const { spaceB } = this.cable;
    const subnet = spaceB.address().slice(0, spaceB.address().lastIndexOf('.'));
    await spaceB.readdress(`${subnet}.${round % 2 === 0 ? 12 : 2}`);
  }
}

/** What was seen of one cut: from the path being back until bytes flowed, ms. */
export interface Healing {
  readonly cut: Cut;
  readonly ms: number;
}

/**
 * Those that took longer than they may: 2 s after the path was back, in a silence after the link was known dead; times
 * five.
 */
export function lateOnes(healings: readonly Healing[]): string[] {
  return healings.flatMap(({ cut, ms }, i) => {
    const from = cut.kind === 'silence' ? Math.max(cut.backAt, cut.goneAt + DEAD_AFTER_MS) : cut.backAt;
    return cut.backAt + ms <= from + HEALED_MS ? [] : [`cut ${i}, ${cut.kind}: ${seconds(ms)}`];
  });
}

/** Worst and median for each kind, for the note of a test. */
export function told(healings: readonly Healing[]): string {
  return CUTS.flatMap(kind => {
    const ms = healings.filter(h => h.cut.kind === kind).map(h => h.ms);
    if (ms.length === 0) return [];
    ms.sort((x, y) => x - y);
    const median = ms[Math.floor(ms.length / 2)]!;
    return [`${ms.length} × ${kind}: worst ${seconds(ms.at(-1)!)}, median ${seconds(median)}`];
  }).join('; ');
}

function seconds(ms: number): string {
  return `${(ms / 1000).toFixed(2)} s`;
}
