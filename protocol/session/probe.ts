/** Are these links alive? */
import type { Timer, Timers } from '../clock.js';
import type { Link } from '../link/link.js';

/**
 * Pings every link and tells, once, which of them have not answered: when all have, or after `ms`.
 * @param isFresh an answer that is on its way already does not count: it may be older than the end of the other side
 * @returns cancelling it means that nobody is told
 */
export function probe(
  links: readonly Link[],
  ms: number,
  timers: Timers,
  done: (dead: readonly Link[]) => void,
  isFresh = false,
): Timer {
  const silent = new Set(links);
  let isDone = false;
  const finish = (): void => {
    if (isDone) return;
    isDone = true;
    timer.cancel();
    done([...silent]);
  };
  const timer = timers.after(links.length === 0 ? 0 : ms, finish);
  let left = links.length;
  const ask = (link: Link): void =>
    link.ping(answer => {
      if (answer !== undefined) silent.delete(link);
      // From within the link's own affairs: what follows from the answer comes after them.
      if (--left === 0) timers.soon(finish);
    });
  for (const link of links) {
    if (isFresh && link.isPinging) link.ping(() => ask(link));
    else ask(link);
  }
  return {
    cancel: () => {
      isDone = true;
      timer.cancel();
    },
  };
}
