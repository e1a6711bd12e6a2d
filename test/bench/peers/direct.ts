/** No tunnel: clients talk to the services. How far everything is from this is what tunnels cost. */
import type { System } from './system.js';

export const direct: System = {
  name: 'no tunnel',
  kind: 'direct',
  needs: {},
  start: (_ground, services) =>
    Promise.resolve({ doors: services, calling: () => [], serving: () => [], stop: () => Promise.resolve() }),
};
