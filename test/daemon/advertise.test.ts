import { addressesToTell } from '../../daemon/advertise.js';
import { assert, suite } from '../helpers/suite.js';

const test = suite('addresses to tell');

const lo = { address: '127.0.0.1', family: 'IPv4', internal: true, netmask: '', mac: '', cidr: null } as const;
const lan = { address: '10.0.0.7', family: 'IPv4', internal: false, netmask: '', mac: '', cidr: null } as const;
const six = {
  address: '2001:db8::7',
  family: 'IPv6',
  internal: false,
  netmask: '',
  mac: '',
  cidr: null,
  scopeid: 0,
} as const;
const local = { ...six, address: 'fe80::1' } as const;

test('what the config says goes before what is bound', () => {
  assert.equal(addressesToTell(['wss://example.org/w'], ['0.0.0.0:7667'], { eth0: [lan] }), ['wss://example.org/w']);
});

test('who does not listen tells nothing, whatever the config says', () => {
  assert.equal(addressesToTell(['wss://example.org/w'], [], { eth0: [lan] }), []);
});

test('a listener on every interface is told as each of them, loopback and link-local left out', () => {
  assert.equal(addressesToTell([], ['0.0.0.0:7667'], { lo: [lo], eth0: [lan, six] }), ['10.0.0.7:7667']);
  assert.equal(addressesToTell([], ['[::]:7667'], { lo: [lo], eth0: [lan, six, local] }), [
    '10.0.0.7:7667',
    '[2001:db8::7]:7667',
  ]);
});

test('a host with loopback only tells that', () => {
  assert.equal(addressesToTell([], ['0.0.0.0:1'], { lo: [lo] }), ['127.0.0.1:1']);
});

test('a listener on one address is told as it is; none tells nothing; never more than 16', () => {
  assert.equal(addressesToTell([], ['127.0.0.1:5'], { eth0: [lan] }), ['127.0.0.1:5']);
  assert.equal(addressesToTell([], [], { eth0: [lan] }), []);
  assert.is(
    addressesToTell(
      Array.from({ length: 40 }, (_, i) => `h${i}:1`),
      ['127.0.0.1:5'],
      {},
    ).length,
    16,
  );
});

test.run();
