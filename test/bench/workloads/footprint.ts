/** What a daemon costs that has peers and nothing to do. */
import { setTimeout as sleep } from 'node:timers/promises';
import { connected } from '../../helpers/hosts.js';
import { cpuSeconds, residentBytes } from '../measure.js';
import { configure } from '../peers/warren.js';
import type { Own } from './workload.js';

const MIB = 1024 * 1024;
/** Some 8 s after a start V8 collects three times and gives memory back: that is no part of what idling costs. */
const SETTLE_MS = 15_000;

export const footprint: Own = {
  kind: 'own',
  name: 'footprint',
  title: 'A daemon with peers and nothing to do',
  async run(ground, _services, { neighbours, watch }) {
    const place = ground.place('footprint');
    const hub = ground.host('hub', place);
    configure(hub, { listen: ['127.0.0.1:0'] });
    await hub.up();
    const hosts = [hub];
    for (let i = 1; i <= neighbours; i++) {
      const host = ground.host(`host-${i}`, place);
      hosts.push(host);
      configure(host, { listen: [] });
      await host.up(['--join', await hub.ok(['invite'])]);
      await connected(hub, host.name);
    }
    const pids = [await hub.pid()];
    await sleep(Math.min(SETTLE_MS, watch * 1000));
    const [cpu, started] = [cpuSeconds(pids), performance.now()];
    await sleep(watch * 1000);
    const share = ((cpuSeconds(pids) - cpu) / (performance.now() - started)) * 1000 * 100;
    const resident = residentBytes(pids) / MIB;
    for (const host of hosts.reverse()) await host.ok(['down']);
    const what = `an idle daemon with ${neighbours} ${neighbours === 1 ? 'peer' : 'peers'}`;
    return [
      { title: `${what}: memory`, values: [resident], unit: 'MiB', digits: 1, bound: { better: 'less', value: 90 } },
      { title: `${what}: CPU`, values: [share], unit: '% of a core', digits: 2, bound: { better: 'less', value: 0.5 } },
    ];
  },
};
