import { suite, assert } from '../../helpers/suite.js';
import { servicesView } from '../../../daemon/services/registry-view.js';
import type { ExposedInfo, TunnelInfo } from '../../../protocol/admin/contract.js';

const test = suite('registry view');

const exposed = { name: 'Web', target: '127.0.0.1:80' } as ExposedInfo;
const tunnel = (service: string, listen: string): TunnelInfo => ({ service, listen }) as TunnelInfo;

test('folds what is exposed here, elsewhere, and waited for, without regard to case', () => {
  const view = servicesView({
    exposed: [exposed],
    nodes: [
      { name: 'z', nodeId: 'zz', reachable: true, services: [{ name: 'web', version: '2', tags: ['t'] }] },
      { name: 'a', nodeId: 'aa', reachable: false, services: [{ name: 'WEB' }, { name: 'db', description: 'rows' }] },
    ],
    tunnels: [tunnel('db', '127.0.0.1:1'), tunnel('later', '127.0.0.1:2'), tunnel('web', 'unix:/w')],
  });
  assert.equal(
    view.map(service => service.name),
    ['db', 'later', 'Web'],
  );
  assert.equal(view[0], {
    name: 'db',
    local: null,
    instances: [{ node: 'a', nodeId: 'aa', version: null, description: 'rows', tags: [], reachable: false }],
    tunnels: ['127.0.0.1:1'],
  });
  assert.equal(view[1], { name: 'later', local: null, instances: [], tunnels: ['127.0.0.1:2'] });
  assert.is(view[2]!.local, exposed);
  assert.equal(
    view[2]!.instances.map(i => i.node),
    ['z', 'a'],
  );
});

test.run();
