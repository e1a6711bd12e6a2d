/** What the commands cost that a user types most. */
import { cpuSeconds, endedChildrenSeconds } from '../measure.js';
import type { Fact, Own } from './workload.js';

const MS = 1_000;

export const startUp: Own = {
  kind: 'own',
  name: 'start-up',
  title: 'The command line',
  async run(ground, _services, { rounds }) {
    const up: number[] = [];
    const upWall: number[] = [];
    const status: number[] = [];
    const host = ground.host('host-a');
    await host.up();
    await host.ok(['down']);
    for (let round = 0; round < rounds; round++) {
      const [before, started] = [endedChildrenSeconds(), performance.now()];
      await host.ok(['up', '--detach']);
      upWall.push(performance.now() - started);
      const command = endedChildrenSeconds() - before;
      const pid = await host.pid();
      // The daemon's first moments behind its readiness count too: it cannot be read any sooner.
      up.push((command + cpuSeconds([pid])) * MS);
      const beforeStatus = endedChildrenSeconds();
      await host.ok(['status']);
      status.push((endedChildrenSeconds() - beforeStatus) * MS);
      await host.ok(['down']);
    }
    const ms = { unit: 'ms', digits: 0 } as const;
    const facts: Fact[] = [
      { title: '`warren up --detach` until ready: CPU', values: up, ...ms, bound: { better: 'less', value: 1_000 } },
      { title: '`warren up --detach` until ready: time', values: upWall, ...ms },
      { title: '`warren status`: CPU', values: status, ...ms, bound: { better: 'less', value: 150 } },
    ];
    return facts;
  },
};
