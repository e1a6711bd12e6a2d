/** Requests by wrk against nginx: kept connections, new ones, small and large bodies, and beside bulk. */
import { run } from '../../helpers/hosts.js';
import { LARGE_BODY_BYTES } from '../services.js';
import { iperf } from './bulk.js';
import { SSH, TLS, type Comparison, type Sample, type Target } from './workload.js';

const MB = 1_000_000;
/** More failed requests than this make the figure worthless. */
const MAX_FAILED_SHARE = 0.01;
const UNIT_US: Readonly<Record<string, number>> = { us: 1, ms: 1_000, s: 1_000_000, m: 60_000_000 };

interface Load {
  readonly perSecond: number;
  readonly requests: number;
  /** microseconds */
  readonly p50: number;
  readonly p99: number;
}

function latency(text: string, percent: number): number {
  const found = new RegExp(`^ +${percent}% +([\\d.]+)(us|ms|s|m)$`, 'm').exec(text);
  return Number(found?.[1]) * (UNIT_US[found?.[2] ?? ''] ?? Number.NaN);
}

/** Reads wrk's report. @throws Error when it holds no figures, or too many requests have failed */
export function readWrk(text: string): Load {
  const number = (pattern: RegExp): number => Number(pattern.exec(text)?.[1]);
  const requests = number(/^ +(\d+) requests in /m);
  const perSecond = number(/^Requests\/sec: +([\d.]+)$/m);
  const load = { requests, perSecond, p50: latency(text, 50), p99: latency(text, 99) };
  if (Object.values(load).some(Number.isNaN) || requests === 0) throw new Error(`wrk: ${text}`);
  const errors = /Socket errors: connect (\d+), read (\d+), write (\d+), timeout (\d+)/.exec(text) ?? [];
  const failed = [...errors.slice(1), /Non-2xx or 3xx responses: (\d+)/.exec(text)?.[1] ?? '0'];
  const sum = failed.reduce((total, count) => total + Number(count), 0);
  if (sum > requests * MAX_FAILED_SHARE) throw new Error(`wrk: ${sum} of ${requests} requests failed`);
  return load;
}

async function wrk(port: number, seconds: number, connections: number, args: readonly string[]): Promise<Load> {
  const [path, ...more] = args;
  const size = ['-t', '1', '-c', String(connections), '-d', `${seconds}s`, '--timeout', '10s', '--latency'];
  const where = `http://127.0.0.1:${port}/${path}`;
  const { stdout, stderr, status } = await run('wrk', [...size, ...more, where], { deadline: (seconds + 20) * 1000 });
  if (status !== 0) throw new Error(`wrk: ${stderr}`);
  return readWrk(stdout);
}

interface HttpOptions {
  readonly name: string;
  readonly title: string;
  readonly connections: number;
  readonly args: readonly string[];
  readonly rate?: readonly Target[];
  readonly p50?: readonly Target[];
  readonly p99?: readonly Target[];
}

function http({ name, title, connections, args, rate = [], p50 = [], p99 = [] }: HttpOptions): Comparison {
  const ms = { unit: 'ms', better: 'less', digits: 3 } as const;
  return {
    kind: 'comparison',
    name,
    rows: [
      { key: `${name} rate`, title, unit: 'requests/s', better: 'more', targets: rate },
      { key: `${name} p50`, title: `${title}: p50`, ...ms, targets: p50 },
      { key: `${name} p99`, title: `${title}: p99`, ...ms, targets: p99 },
    ],
    async run({ doors }, { seconds }): Promise<Sample> {
      const load = await wrk(doors.http, seconds, connections, args);
      return {
        values: {
          [`${name} rate`]: load.perSecond,
          [`${name} p50`]: load.p50 / 1000,
          [`${name} p99`]: load.p99 / 1000,
        },
        requests: load.requests,
        ...(args[0] === 'large' && { bytes: load.requests * LARGE_BODY_BYTES }),
      };
    },
  };
}

const beside: Comparison = {
  kind: 'comparison',
  name: 'beside-bulk',
  rows: [
    {
      key: 'beside p99',
      title: 'requests on one connection beside one bulk stream: p99',
      unit: 'ms',
      better: 'less',
      digits: 2,
      targets: [{ floor: 1 }],
    },
    { key: 'beside bulk', title: 'the bulk stream meanwhile', unit: 'MB/s', better: 'more', targets: [] },
  ],
  async run({ doors }, { seconds }): Promise<Sample> {
    // The bulk stream begins before the requests and ends after them.
    const bulk = iperf(doors.bulk, seconds + 1, ['-R']);
    const [load, { bytes, bytesPerSecond }] = await Promise.all([wrk(doors.http, seconds, 1, ['small']), bulk]);
    return { values: { 'beside p99': load.p99 / 1000, 'beside bulk': bytesPerSecond / MB }, bytes };
  },
};

export const httpWorkloads: readonly Comparison[] = [
  http({
    name: 'http-1',
    title: 'keep-alive, 1 connection, 200 bytes',
    connections: 1,
    args: ['small'],
    p50: [{ floor: 2, goal: 1.3 }],
  }),
  http({
    name: 'http-32',
    title: 'keep-alive, 32 connections, 200 bytes',
    connections: 32,
    args: ['small'],
    rate: [{ floor: 0.9, goal: 1.2 }],
    p99: [{ floor: 0.5 }],
  }),
  http({
    name: 'http-new',
    title: 'a new connection per request, 16 at a time',
    connections: 16,
    args: ['small', '-H', 'Connection: close'],
    rate: [
      { against: SSH, floor: 1, goal: 1.2 },
      { against: TLS, floor: 4 },
    ],
  }),
  http({
    name: 'http-large',
    title: 'keep-alive, 8 connections, 1 MiB bodies',
    connections: 8,
    args: ['large'],
    rate: [{ floor: 0.8, goal: 1 }],
  }),
  beside,
];
