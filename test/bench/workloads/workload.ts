/** What a workload is: rows of figures, and how one system's figures of one round come about. */
import type { Ground } from '../ground.js';
import type { Ports, Running } from '../peers/system.js';
import type { WarrenOptions } from '../peers/warren.js';

export interface Sizes {
  /** interleaved rounds */
  readonly rounds: number;
  /** of one measurement, whole */
  readonly seconds: number;
  /** connections of the idle row, and its rounds */
  readonly idle: number;
  readonly idleRounds: number;
  /** daemons around an idle one */
  readonly neighbours: number;
  /** seconds for which it is watched */
  readonly watch: number;
  /** handshakes and openings that are counted */
  readonly handshakes: number;
}

/** What warren is held against: floor has to be met, goal is what is aimed at; both are warren's figure ÷ the other's. */
export interface Target {
  /** warren's figure itself is meant, in the unit of the row */
  readonly absolute?: true;
  /** default: warren tcp */
  readonly of?: string;
  /** names of systems, of which the best counts; default: all peers */
  readonly against?: readonly string[];
  readonly floor: number;
  readonly goal?: number;
}

export interface Row {
  readonly key: string;
  readonly title: string;
  readonly unit: string;
  readonly better: 'more' | 'less';
  readonly digits?: number;
  readonly targets: readonly Target[];
}

/** Figures of one round by the keys of the rows. */
export interface Sample {
  readonly values: Readonly<Record<string, number>>;
  /** what went through, for CPU per GB; and requests, for CPU per request */
  readonly bytes?: number;
  readonly requests?: number;
}

export interface Comparison {
  readonly kind: 'comparison';
  readonly name: string;
  readonly rows: readonly Row[];
  /** each round on processes that have done nothing yet; default: all rounds on the same ones */
  readonly fresh?: boolean;
  /** default: as many as there are */
  rounds?(sizes: Sizes): number;
  /** the direct connection is not measured */
  readonly withoutDirect?: boolean;
  run(running: Running, sizes: Sizes): Promise<Sample>;
}

/** A figure that only warren has. */
export interface Fact {
  readonly title: string;
  readonly values: readonly number[];
  readonly unit: string;
  readonly digits: number;
  /** what is asked for */
  readonly bound?: { readonly better: 'more' | 'less'; readonly value: number };
}

export interface Own {
  readonly kind: 'own';
  readonly name: string;
  readonly title: string;
  run(ground: Ground, services: Ports, sizes: Sizes, options: WarrenOptions): Promise<Fact[]>;
}

export type Workload = Comparison | Own;

/** The names of the peers as targets need them. */
export const PEER = { sshAes: 'ssh aes256-gcm', ssh: 'ssh default', stunnel: 'stunnel', haproxy: 'haproxy' } as const;
export const SSH = [PEER.sshAes, PEER.ssh];
export const TLS = [PEER.stunnel, PEER.haproxy];
export const WARREN = { tcp: 'warren tcp', ws: 'warren ws' } as const;
