/** File operations that fail at a chosen moment, or stop there as a kill -9 would. */
import { nodeFileOps, type FileOps } from '../../../daemon/home/atomic.js';

export interface Counted {
  readonly ops: FileOps;
  /** names of the operations so far, the one that did not happen included */
  readonly calls: readonly string[];
}

function counted(decide: (n: number) => 'go' | 'fail' | 'tear'): Counted {
  const calls: string[] = [];
  const wrap =
    (name: string, call: (...args: never[]) => unknown) =>
    (...args: never[]): unknown => {
      const what = decide(calls.push(name) - 1);
      if (what === 'tear' && name === 'write') {
        const [fd, bytes, offset] = args as unknown as [number, Uint8Array, number];
        nodeFileOps.write(fd, bytes.subarray(0, offset + Math.ceil((bytes.length - offset) / 2)), offset);
      }
      if (what === 'go') return call(...args);
      throw Object.assign(new Error('injected'), { code: 'EIO' });
    };
  const entries = Object.entries(nodeFileOps) as [string, (...args: never[]) => unknown][];
  return {
    ops: Object.fromEntries(entries.map(([name, call]) => [name, wrap(name, call)])) as unknown as FileOps,
    calls,
  };
}

/** Operation number `n` (from 0) fails, the others do what they should. */
export function failingAt(n: number): Counted {
  return counted(i => (i === n ? 'fail' : 'go'));
}

/** Nothing happens from operation number `n` on; a write stops in its middle. What was cleaned up after is not. */
export function killedAt(n: number): Counted {
  return counted(i => (i < n ? 'go' : i === n ? 'tear' : 'fail'));
}

/** More operations than any of the procedures here has. */
const MAX_STEPS = 400;

/**
 * Runs a procedure once for every operation in it, which fails (or at which the process dies), until it gets through.
 * @param body gets the operations; what it throws is handed to `after`
 * @returns how many operations there are
 */
export async function everyStep(
  kind: (n: number) => Counted,
  body: (ops: FileOps) => unknown,
  after: (error: unknown, step: string, n: number) => void | Promise<void>,
): Promise<number> {
  for (let n = 0; n < MAX_STEPS; n++) {
    const { ops, calls } = kind(n);
    let error: unknown;
    try {
      await body(ops);
    } catch (thrown) {
      error = thrown;
    }
    const step = calls[n];
    await after(error, step ?? 'none', n);
    if (step === undefined) return n;
  }
  throw new Error(`more than ${MAX_STEPS} operations`);
}
