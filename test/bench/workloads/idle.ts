/** Thousands of connections that do nothing any more: what each costs in memory, on either side. */
import { setTimeout as sleep } from 'node:timers/promises';
import { EchoClient } from '../../helpers/latency.js';
import { pool } from '../../helpers/traffic.js';
import { residentBytes } from '../measure.js';
import type { Running } from '../peers/system.js';
import type { Comparison, Row, Sample } from './workload.js';

const KIB = 1024;
const AT_ONCE = 32;
/** Connections that come and go before the first reading, so that code and caches are there. */
const WARM_UP = 200;
const REST_MS = 2_000;

/** Each connection carries one small exchange before it rests. */
async function openMany(port: number, count: number): Promise<EchoClient[]> {
  const clients: EchoClient[] = [];
  await pool(count, AT_ONCE, async () => {
    const client = await EchoClient.open(`127.0.0.1:${port}`);
    clients.push(client);
    await client.request();
  });
  return clients;
}

async function read(running: Running): Promise<{ calling: number; serving: number }> {
  await sleep(REST_MS);
  await running.collect?.();
  return { calling: residentBytes(running.calling()), serving: residentBytes(running.serving()) };
}

const side = (key: string, title: string): Row => ({
  key,
  title,
  unit: 'KiB',
  better: 'less',
  digits: 1,
  targets: [{ absolute: true, floor: 12, goal: 8 }],
});

export const idle: Comparison = {
  kind: 'comparison',
  name: 'idle',
  rows: [
    side('idle calling', 'resident memory per idle connection, the side of the callers'),
    side('idle serving', 'resident memory per idle connection, the side of the service'),
  ],
  fresh: true,
  rounds: ({ idleRounds }) => idleRounds,
  withoutDirect: true,
  async run(running, { idle: count }): Promise<Sample> {
    const clients: EchoClient[] = [];
    try {
      for (const client of await openMany(running.doors.echo, Math.min(WARM_UP, count))) client.close();
      const before = await read(running);
      clients.push(...(await openMany(running.doors.echo, count)));
      const after = await read(running);
      const each = (bytes: number): number => bytes / count / KIB;
      return {
        values: {
          'idle calling': each(after.calling - before.calling),
          'idle serving': each(after.serving - before.serving),
        },
      };
    } finally {
      for (const client of clients) client.close();
    }
  },
};
