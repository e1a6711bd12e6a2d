/**
 * How far the data path is from what cannot be less: CPU seconds for each GB of one bulk stream, and what they went to.
 * The machine as a whole counts, too: where clients, services and daemons keep all cores busy, more threads win nothing.
 */
import { cpus } from 'node:os';
import { join } from 'node:path';
import { HEAP_FLAGS } from '../../../cli/daemon-process.js';
import { run } from '../../helpers/hosts.js';
import { packageRoot } from '../../helpers/root.js';
import type { Ground } from '../ground.js';
import { busySeconds, splitSeconds } from '../measure.js';
import { warren } from '../peers/warren.js';
import { iperf } from './bulk.js';
import type { Fact, Own } from './workload.js';

const GB = 1e9;

interface Costs {
  /** seconds per GB: all of the machine, and the processes that were named, in their own code and in the kernel */
  readonly machine: number;
  readonly user: number;
  readonly system: number;
  readonly busyCores: number;
}

async function transfer(
  port: number,
  pids: readonly number[],
  seconds: number,
  args: readonly string[],
): Promise<Costs> {
  const [busy, split, started] = [busySeconds(), splitSeconds(pids), performance.now()];
  const { bytes } = await iperf(port, seconds, args);
  const machine = busySeconds() - busy;
  const { user, system } = splitSeconds(pids);
  const each = GB / bytes;
  return {
    machine: machine * each,
    user: (user - split.user) * each,
    system: (system - split.system) * each,
    busyCores: machine / ((performance.now() - started) / 1000),
  };
}

/** What a program of test/bench prints. */
async function secondsOf(program: 'aead' | 'threads', { node }: Ground): Promise<number> {
  const { stdout, stderr } = await run(node, [
    ...HEAP_FLAGS,
    join(packageRoot(), 'dist', 'test', 'bench', `${program}.js`),
  ]);
  const seconds = Number(stdout);
  if (!(seconds > 0)) throw new Error(`${program} could not be measured: ${stderr}`);
  return seconds;
}

export const limit: Own = {
  kind: 'own',
  name: 'limit',
  title: 'How far from the limit: CPU seconds per GB, one stream towards the service',
  async run(ground, services, { rounds, seconds }, options) {
    const running = await warren('tcp', options).start(ground, services);
    const pids = [...running.calling(), ...running.serving()];
    const through = running.doors.bulk;
    await transfer(through, pids, seconds, []);
    const direct: Costs[] = [];
    const one: Costs[] = [];
    const four: Costs[] = [];
    const aead: number[] = [];
    const threads: number[] = [];
    for (let round = 0; round < rounds; round++) {
      direct.push(await transfer(services.bulk, [], seconds, []));
      one.push(await transfer(through, pids, seconds, []));
      aead.push(await secondsOf('aead', ground));
      threads.push(2 * (await secondsOf('threads', ground)));
      four.push(await transfer(through, pids, seconds, ['-P', '4']));
    }
    await running.stop();
    return facts({ direct, one, four, aead, threads });
  },
};

interface Measured {
  readonly direct: readonly Costs[];
  readonly one: readonly Costs[];
  readonly four: readonly Costs[];
  readonly aead: readonly number[];
  /** to hand the bytes to another thread, once in each daemon */
  readonly threads: readonly number[];
}

function facts({ direct, one, four, aead, threads }: Measured): Fact[] {
  const perGb = { unit: 's/GB', digits: 2 };
  const both = one.map(({ user, system }) => user + system);
  const least = one.map(({ system }, round) => system + aead[round]!);
  const cores = { unit: `of ${cpus().length}`, digits: 2 };
  return [
    { title: 'direct connection: client, service and kernel', values: direct.map(costs => costs.machine), ...perGb },
    { title: 'through warren: client, service, daemons and kernel', values: one.map(costs => costs.machine), ...perGb },
    { title: 'both daemons', values: both, ...perGb },
    { title: '… in the kernel: reading and writing sockets', values: one.map(costs => costs.system), ...perGb },
    { title: '… sealing and opening (the same bytes, nothing else)', values: aead, ...perGb },
    { title: '… the rest: JavaScript, V8, memory', values: both.map((all, round) => all - least[round]!), ...perGb },
    { title: 'both daemons ÷ kernel and AEAD', values: both.map((all, i) => all / least[i]!), unit: '×', digits: 2 },
    { title: 'handing the bytes to another thread, once in each daemon (not done)', values: threads, ...perGb },
    { title: 'cores that are busy meanwhile', values: one.map(costs => costs.busyCores), ...cores },
    { title: 'cores that are busy with four streams', values: four.map(costs => costs.busyCores), ...cores },
  ];
}
