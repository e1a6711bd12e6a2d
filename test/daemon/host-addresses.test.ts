import { HOST_POLL_MS, HostAddresses } from '../../daemon/host-addresses.js';
import { assert, suite } from '../helpers/suite.js';
import { VirtualTime } from '../helpers/virtual-time.js';

const test = suite('addresses of this host');

type Read = NonNullable<ConstructorParameters<typeof HostAddresses>[0]['read']>;
type Interfaces = ReturnType<Read>;

const four = (address: string): Interfaces => ({
  eth0: [{ address, family: 'IPv4', internal: false, netmask: '', mac: '', cidr: null }],
});

function watch(first: Interfaces): { time: VirtualTime; host: HostAddresses; state: { read: Read }; seen: string[] } {
  const time = new VirtualTime();
  const state = { read: (): Interfaces => first };
  const seen: string[] = [];
  const host = new HostAddresses({
    timers: time,
    read: () => state.read(),
    onChange: isHere => seen.push(['10.0.0.1', '10.0.0.2', 'FE80::1'].map(a => (isHere(a) ? 'here' : 'gone')).join()),
  });
  host.start();
  return { time, host, state, seen };
}

test('a change is told once, within a poll; the same addresses in another order are none', () => {
  const { time, host, state, seen } = watch({ ...four('10.0.0.1'), lo: four('127.0.0.1').eth0 });
  time.advance(10 * HOST_POLL_MS);
  state.read = () => ({ lo: four('127.0.0.1').eth0, ...four('10.0.0.1') });
  time.advance(10 * HOST_POLL_MS);
  assert.equal(seen, []);
  state.read = () => four('10.0.0.2');
  time.advance(HOST_POLL_MS);
  assert.equal(seen, ['gone,here,gone']);
  state.read = () => ({ ...four('10.0.0.2'), wlan0: four('fe80::1%wlan0').eth0 });
  time.advance(10 * HOST_POLL_MS);
  assert.equal(seen, ['gone,here,gone', 'gone,here,here']);
  host.stop();
  state.read = () => ({});
  time.advance(10 * HOST_POLL_MS);
  assert.is(seen.length, 2, 'nobody looks any more');
  assert.is(time.pending, 0);
});

test('a system that does not say has not lost its addresses', () => {
  const { time, host, state, seen } = watch(four('10.0.0.1'));
  state.read = () => {
    throw new Error('not now');
  };
  time.advance(3 * HOST_POLL_MS);
  assert.equal(seen, []);
  state.read = () => ({});
  time.advance(HOST_POLL_MS);
  assert.equal(seen, ['gone,gone,gone']);
  host.stop();
});

test.run();
