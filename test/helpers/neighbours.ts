/**
 * Hosts on one bridge, each in a network namespace with an address of its own, where the test decides who reaches whom
 * and whose home is copied. A test that uses this says so in its `needs` (NEIGHBOURS_NEEDS).
 */
import { cpSync, mkdirSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import type { PeerInfo } from '../../protocol/admin/contract.js';
import { until, type Host, type Lab } from './hosts.js';
import { NETNS_NEEDS, Network, type Space } from './netns.js';

export const NEIGHBOURS_NEEDS = [...NETNS_NEEDS, 'ss'] as const;

/** What is told reaches who is connected within 2 s; five times as wide. */
export const SOON_MS = 5 * 2_000;
/** A dial after a failed one waits up to half a minute. */
export const REDIAL_MS = 90_000;

const PORT = 7667;

export class Neighbours {
  private readonly spaces = new Map<Host, Space>();
  /** pairs that do not reach each other → what joins them again */
  private readonly apart = new Map<string, () => Promise<void>>();

  /** @param subnet e.g. `10.77.0`; the hosts get .1, .2, … in the order of their names. Nothing runs on them yet. */
  static async make(lab: Lab, subnet: string, names: readonly string[]): Promise<Neighbours> {
    const network = new Network(lab);
    const all = new Neighbours();
    for (const [i, name] of names.entries()) {
      const space = await network.space(`n${i}`);
      all.spaces.set(lab.host(name, space.netns), space);
    }
    await network.bridge(subnet, [...all.spaces.values()]);
    for (const [host, space] of all.spaces) writeConfig(host, space, host.name, []);
    return all;
  }

  host(name: string): Host {
    return [...this.spaces.keys()].find(host => host.name === name)!;
  }

  /** From now on no packet goes from one to the other; connections that there were are gone at both ends. */
  async part(x: Host, y: Host): Promise<void> {
    if (this.apart.has(pair(x, y))) return;
    const ways = [
      [this.spaces.get(x)!, this.spaces.get(y)!.address()],
      [this.spaces.get(y)!, this.spaces.get(x)!.address()],
    ] as const;
    const undo: (() => Promise<void>)[] = [];
    // What leaves is refused at once: both sides learn of it when they send, and nobody dials into silence.
    for (const [space, peer] of ways) undo.push(await space.block({ how: 'reset', peer, direction: 'out' }));
    for (const [space, peer] of ways) await space.exec('ss', '-K', 'dst', peer);
    this.apart.set(pair(x, y), async () => {
      for (const each of undo) await each();
    });
  }

  async join(x: Host, y: Host): Promise<void> {
    await this.apart.get(pair(x, y))?.();
    this.apart.delete(pair(x, y));
  }

  /** Only who is neighbour of whom in this row reaches the other. */
  async chain(...hosts: readonly Host[]): Promise<void> {
    for (const [i, x] of hosts.entries()) for (const y of hosts.slice(i + 2)) await this.part(x, y);
  }

  /** Nobody of one group reaches anybody of the other. */
  async split(one: readonly Host[], other: readonly Host[]): Promise<void> {
    for (const x of one) for (const y of other) await this.part(x, y);
  }

  async joinAll(): Promise<void> {
    for (const undo of this.apart.values()) await undo();
    this.apart.clear();
  }

  /**
   * What lies in a home now, on another host in the place of what was there: keys and state, with a config of its own.
   * What a running process holds (sockets, its pid, the log) is no part of it.
   */
  copyHome(of: Host, to: Host): void {
    rmSync(to.home, { recursive: true, force: true });
    const isStored = (path: string): boolean => {
      const stats = statSync(path, { throwIfNoEntry: false });
      return stats !== undefined && (stats.isDirectory() || (stats.isFile() && !/warren\.(pid|log)$/.test(path)));
    };
    cpSync(of.home, to.home, { recursive: true, filter: isStored });
    const others = [...this.spaces].filter(([host]) => host !== of && host !== to);
    writeConfig(
      to,
      this.spaces.get(to)!,
      of.name,
      others.map(([, space]) => `${space.address()}:${PORT}`),
    );
  }
}

function pair(x: Host, y: Host): string {
  return [x.name, y.name].sort().join(' ');
}

function writeConfig(host: Host, space: Space, name: string, peers: readonly string[]): void {
  mkdirSync(host.home, { mode: 0o700, recursive: true });
  const node = { name, listen: [`${space.address()}:${PORT}`], mdns: false };
  writeFileSync(join(host.home, 'config.yaml'), JSON.stringify({ node, peers }), { mode: 0o600 });
}

/** What `host` knows of a node; undefined when it is no member there. */
export async function peerOf(host: Host, name: string): Promise<PeerInfo | undefined> {
  return (await host.live()).peers.find(p => p.name === name);
}

/** `host` has links with the node of that name, or none. */
export async function hasLinks(host: Host, name: string): Promise<boolean> {
  return ((await peerOf(host, name))?.links.length ?? 0) > 0;
}

/** Waits, and tells how long it took, ms. */
export async function took(what: string, check: () => Promise<boolean>, ms: number): Promise<number> {
  const begin = performance.now();
  await until(what, check, ms);
  return Math.round(performance.now() - begin);
}
