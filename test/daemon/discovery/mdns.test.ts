import { createHmac, randomBytes } from 'node:crypto';
import { announce, recognise, type DiscoveryMac } from '../../../daemon/discovery/mdns.js';
import { suite, assert } from '../../helpers/suite.js';

const test = suite('mDNS announcements');

function macOf(key: Uint8Array): DiscoveryMac {
  return data => createHmac('sha256', key).update(data).digest();
}

const ours = macOf(randomBytes(32));
const older = macOf(randomBytes(32));
const others = macOf(randomBytes(32));

test('members recognise one another, also by an older secret', () => {
  const nonce = randomBytes(16);
  assert.equal(recognise([ours], announce(ours, nonce, 7667), 7667), new Uint8Array(nonce));
  assert.ok(recognise([ours, older], announce(older, nonce, 7667), 7667));
});

test('another network, another port or a changed nonce is not recognised', () => {
  const txt = announce(ours, randomBytes(16), 7667);
  assert.is(recognise([others], txt, 7667), undefined);
  assert.is(recognise([ours], txt, 7668), undefined);
  assert.is(recognise([ours], { ...txt, n: announce(ours, randomBytes(16), 7667).n }, 7667), undefined);
});

test('two announcements of one network share nothing', () => {
  const a = announce(ours, randomBytes(16), 7667);
  const b = announce(ours, randomBytes(16), 7667);
  assert.is.not(a.n, b.n);
  assert.is.not(a.m, b.m);
});

test('anything malformed is ignored', () => {
  const good = announce(ours, randomBytes(16), 1);
  const bad: unknown[] = [
    undefined,
    null,
    'x',
    7,
    {},
    { n: good.n },
    { n: 1, m: 2 },
    { n: '!', m: good.m },
    { n: good.n, m: '' },
  ];
  for (const txt of bad) assert.is(recognise([ours], txt, 1), undefined);
  assert.is(recognise([ours], { n: '', m: good.m }, 1), undefined);
});

test.run();
