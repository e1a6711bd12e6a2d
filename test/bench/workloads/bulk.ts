/** One stream and four streams of bulk, each direction, by iperf3. */
import { setTimeout as sleep } from 'node:timers/promises';
import { run } from '../../helpers/hosts.js';
import { TLS, WARREN, type Comparison, type Sample, type Target } from './workload.js';

const MB = 1_000_000;
/** The server lets the last test go a moment after its client has gone. */
const BUSY_TRIES = 20;
const BUSY_MS = 100;
const TOO_EARLY = /busy|closed unexpectedly/;

interface IperfReport {
  readonly error?: string;
  readonly end?: { readonly sum_received: { readonly bytes: number; readonly bits_per_second: number } };
}

export interface Bulk {
  readonly bytes: number;
  readonly bytesPerSecond: number;
}

/** @throws Error with what iperf3 says */
export async function iperf(port: number, seconds: number, args: readonly string[]): Promise<Bulk> {
  const all = ['-c', '127.0.0.1', '-p', String(port), '-t', String(seconds), '-J', ...args];
  for (let tries = 1; ; tries++) {
    const { stdout, stderr } = await run('iperf3', all, { deadline: (seconds + 20) * 1000 });
    const { end, error } = JSON.parse(stdout === '' ? '{}' : stdout) as IperfReport;
    if (end?.sum_received !== undefined && error === undefined && end.sum_received.bytes > 0)
      return { bytes: end.sum_received.bytes, bytesPerSecond: end.sum_received.bits_per_second / 8 };
    if (tries === BUSY_TRIES || error === undefined || !TOO_EARLY.test(error))
      throw new Error(`iperf3: ${error ?? (stderr === '' ? 'killed: not done in time' : stderr)}`);
    await sleep(BUSY_MS);
  }
}

function bulk(name: string, title: string, args: readonly string[], targets: readonly Target[]): Comparison {
  return {
    kind: 'comparison',
    name,
    rows: [{ key: name, title, unit: 'MB/s', better: 'more', targets }],
    async run({ doors }, { seconds }): Promise<Sample> {
      const { bytes, bytesPerSecond } = await iperf(doors.bulk, seconds, args);
      return { values: { [name]: bytesPerSecond / MB }, bytes };
    },
  };
}

/** @param node major version under which warren runs: newer ones come with a newer OpenSSL */
export function bulkWorkloads(node: number): Comparison[] {
  const best = node >= 24 ? { floor: 0.9, goal: 1.2 } : { floor: 0.8, goal: 1 };
  const one = [best, { against: TLS, floor: 1, goal: 1.3 }, { of: WARREN.ws, against: [WARREN.tcp], floor: 0.7 }];
  const four = [{ floor: 0.8, goal: 1 }];
  return [
    bulk('bulk-out', 'bulk, one stream towards the service', [], one),
    bulk('bulk-in', 'bulk, one stream from the service', ['-R'], one),
    bulk('bulk-4-out', 'bulk, four streams towards the service', ['-P', '4'], four),
    bulk('bulk-4-in', 'bulk, four streams from the service', ['-P', '4', '-R'], four),
  ];
}
