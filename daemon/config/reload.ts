/** Reload: load, compare, apply; all of it or nothing. A bad file changes nothing. */
import type { ReloadReply } from '../../protocol/admin/contract.js';
import { diffConfig, runningConfig, type Change } from './diff.js';
import type { Config } from './types.js';

/** Takes a change back; must not throw. */
export type Undo = () => void | Promise<void>;

export interface ReloadSteps {
  /** the config that the daemon runs with */
  readonly current: Config;
  /** reads the file; throws on a bad one */
  load(): Config;
  /** Makes one live change and gives back how to undo it; throws when it cannot be made, having changed nothing. */
  apply(change: Change): Undo | Promise<Undo>;
  /** told when taking a change back failed, which leaves the daemon between two configs */
  undoFailed(change: Change, error: unknown): void;
}

export interface Reloaded extends Pick<ReloadReply, 'changes' | 'restartNeeded'> {
  /** what the daemon runs with from now on */
  readonly config: Config;
}

/**
 * @throws what `load` or `apply` threw; then every change made before is taken back, the last one first
 */
export async function reloadConfig(steps: ReloadSteps): Promise<Reloaded> {
  const wanted = steps.load();
  const changes = diffConfig(steps.current, wanted);
  const live = changes.filter(change => !change.restart);
  const undos: { readonly change: Change; readonly undo: Undo }[] = [];
  try {
    for (const change of live) undos.push({ change, undo: await steps.apply(change) });
  } catch (error) {
    for (const { change, undo } of undos.reverse()) await takeBack(steps, change, undo);
    throw error;
  }
  return {
    config: runningConfig(steps.current, wanted),
    changes: live.map(change => change.sentence),
    restartNeeded: changes.filter(change => change.restart).map(change => change.sentence),
  };
}

async function takeBack(steps: ReloadSteps, change: Change, undo: Undo): Promise<void> {
  try {
    await undo();
  } catch (error) {
    steps.undoFailed(change, error);
  }
}
