/** How V8 is to count what passes through the daemon: the memory of buffers is not the heap's. */
import { setFlagsFromString } from 'node:v8';

/** Since this V8 (Node 24) the memory of buffers has an account of its own, which starts a full collection every few MiB. */
const SINCE = { major: 13, minor: 6 };
/** With this it counts towards a limit together with the heap, as it did before. */
const TOGETHER = '--external-memory-accounted-in-global-limit';

/**
 * To be called before anything is carried: under bulk the young generation's collections, which cost little, do the work
 * alone. `warren up` adds what only a command line can say (`--initial-old-space-size`).
 * @param v8 `process.versions.v8`. Where it is older nothing happens: it does not know the flag, and needs none
 */
export function tuneHeap(v8: string): void {
  const [major = 0, minor = 0] = v8.split('.').map(Number);
  if (major > SINCE.major || (major === SINCE.major && minor >= SINCE.minor)) setFlagsFromString(TOGETHER);
}
