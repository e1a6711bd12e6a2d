/** Runs workloads over systems, round by round in turns, and keeps what came out. */
import type { Ground } from './ground.js';
import { cpuSeconds } from './measure.js';
import type { Ports, Running, System } from './peers/system.js';
import type { Rounds } from './statistics.js';
import type { Comparison, Sample, Sizes } from './workloads/workload.js';

/** One round of one system: figures by row, and what the tunnel's two ends spent; undefined when it failed. */
export type Outcome = (Sample & { readonly cpu: number }) | undefined;

export interface Compared {
  readonly workload: Comparison;
  /** by name of the system, one per round */
  readonly outcomes: ReadonlyMap<string, readonly Outcome[]>;
}

/** One row of one system over the rounds. */
export function figures(compared: Compared, system: string, key: string): Rounds {
  return (compared.outcomes.get(system) ?? []).map(outcome => outcome?.values[key]);
}

export type Tell = (line: string) => void;

/** Systems that run, each started when it is first needed. */
export class Field {
  private readonly running = new Map<string, Running>();

  constructor(
    private readonly ground: Ground,
    private readonly services: Ports,
    private readonly tell: Tell,
  ) {}

  /** @throws Error when the system does not come up */
  async of(system: System): Promise<Running> {
    const there = this.running.get(system.name);
    if (there !== undefined) return there;
    const running = await system.start(this.ground, this.services);
    this.running.set(system.name, running);
    return running;
  }

  async stop(system: System): Promise<void> {
    const running = this.running.get(system.name);
    this.running.delete(system.name);
    await running?.stop();
  }

  async stopAll(systems: readonly System[]): Promise<void> {
    for (const system of systems) await this.stop(system);
  }

  /**
   * A B C A B C …: what else the machine does at a time meets all of them. One turn before does not count: the rows are
   * about tunnels that have been in use for a while (code compiled, caches and windows grown), whichever row comes first.
   */
  async compare(workload: Comparison, systems: readonly System[], sizes: Sizes): Promise<Compared> {
    const chosen = systems.filter(({ kind }) => kind !== 'direct' || workload.withoutDirect !== true);
    const outcomes = new Map<string, Outcome[]>(chosen.map(({ name }) => [name, []]));
    const rounds = workload.rounds?.(sizes) ?? sizes.rounds;
    if (workload.fresh !== true) for (const system of chosen) await this.round(workload, system, sizes);
    for (let round = 0; round < rounds; round++) {
      for (const system of chosen) outcomes.get(system.name)!.push(await this.round(workload, system, sizes));
    }
    return { workload, outcomes };
  }

  private async round(workload: Comparison, system: System, sizes: Sizes): Promise<Outcome> {
    try {
      if (workload.fresh === true) await this.stop(system);
      const running = await this.of(system);
      const pids = [...running.calling(), ...running.serving()];
      const before = cpuSeconds(pids);
      const sample = await workload.run(running, sizes);
      return { ...sample, cpu: cpuSeconds(pids) - before };
    } catch (error) {
      this.tell(`${workload.name}, ${system.name}: ${error instanceof Error ? error.message : String(error)}`);
      return undefined;
    } finally {
      if (workload.fresh === true) await this.stop(system);
    }
  }
}
