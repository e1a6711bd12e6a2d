import { suite, assert } from '../../helpers/suite.js';
import { Balancer } from '../../../daemon/services/balancer.js';
import type { Instance } from '../../../daemon/services/mesh.js';

const test = suite('balancer');

function instance(name: string, openStreams = 0, reachable = true): Instance {
  return { node: new Uint8Array(32), name, openStreams, reachable, local: false };
}

function pick(balancer: Balancer, instances: readonly Instance[]): string {
  const first = balancer.order(instances)[0]!;
  balancer.picked(first);
  return first.name;
}

test('the reachable instance with the fewest open streams comes first', () => {
  const all = [instance('a', 3), instance('b', 1), instance('c', 0, false), instance('d', 2)];
  const order = new Balancer().order(all).map(i => i.name);
  assert.equal(order, ['b', 'd', 'a', 'c']);
});

test('equals take turns, also with a busy one among them', () => {
  const balancer = new Balancer();
  const all = [instance('a'), instance('busy', 9), instance('b'), instance('c')];
  const picks = Array.from({ length: 6 }, () => pick(balancer, all));
  assert.equal(picks, ['a', 'b', 'c', 'a', 'b', 'c']);
});

test('turns go on when the last pick has vanished', () => {
  const balancer = new Balancer();
  pick(balancer, [instance('a'), instance('b')]);
  assert.is(pick(balancer, [instance('b'), instance('c')]), 'b');
});

test('the given list is left as it is', () => {
  const all = Object.freeze([instance('a', 2), instance('b', 1)]);
  new Balancer().order(all);
  assert.is(all[0]!.name, 'a');
});

test.run();
