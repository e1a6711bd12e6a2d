/** Which instance takes the next stream: the reachable one with the fewest open streams, ties in turn. */
import type { Instance } from './mesh.js';

export class Balancer {
  /** name of the instance that was picked last */
  private last: string | undefined;

  /**
   * All instances, best first: reachable before unreachable, fewer open streams before more, and among equals the one
   * after the last pick first.
   */
  order(instances: readonly Instance[]): readonly Instance[] {
    if (instances.length < 2) return instances;
    const from = instances.findIndex(instance => instance.name === this.last) + 1;
    const turned = [...instances.slice(from), ...instances.slice(0, from)];
    turned.sort((a, b) => Number(b.reachable) - Number(a.reachable) || a.openStreams - b.openStreams);
    return turned;
  }

  /** The instance took a stream: among equals it is the others' turn. */
  picked(instance: Instance): void {
    this.last = instance.name;
  }
}
