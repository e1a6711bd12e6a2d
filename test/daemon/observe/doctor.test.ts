import { doctorChecks, type DoctorInput } from '../../../daemon/observe/doctor.js';
import { assert, suite } from '../../helpers/suite.js';

const test = suite('doctor without a network');

const NOW = Date.UTC(2026, 10, 22);
const HEALTHY: DoctorInput = {
  platform: 'linux',
  nodeVersion: '20.19.0',
  thinSockets: true,
  home: { path: '/h', exists: true, writable: true },
  permissions: [],
  socketPath: '/h/admin.sock',
  clock: { now: NOW, notBefore: NOW - 1000, peerOffsetMs: 20 },
  freeBytes: 1e10,
  ports: [{ listen: '0.0.0.0:7667', state: 'bound' }],
  daemonPid: 5,
};

function complaints(change: Partial<DoctorInput>): readonly string[] {
  return doctorChecks({ ...HEALTHY, ...change })
    .filter(check => check.state !== 'ok')
    .map(check => `${check.state} ${check.name}: ${check.message}${check.hint === undefined ? ' (no hint)' : ''}`);
}

test('a healthy node has no complaint and tells every check', () => {
  assert.equal(complaints({}), []);
  assert.equal(
    doctorChecks(HEALTHY).map(check => check.name),
    ['daemon', 'node', 'home', 'permissions', 'config', 'socket', 'clock', 'disk', 'port'],
  );
});

const cases: readonly (readonly [string, Partial<DoctorInput>, readonly string[]])[] = [
  ['no daemon', { daemonPid: undefined }, ['warning daemon: no daemon runs on this home']],
  ['an old node', { nodeVersion: 'v20.18.3' }, ['problem node: Node.js v20.18.3 is too old']],
  [
    'a home not there yet',
    { home: { path: '/h', exists: false, writable: false } },
    ['warning home: the home /h does not exist yet'],
  ],
  [
    'a home not writable',
    { home: { path: '/h', exists: true, writable: false } },
    ['problem home: the home /h is not writable'],
  ],
  [
    'open keys',
    { permissions: [{ message: 'others can read x', hint: 'chmod' }] },
    ['problem permissions: others can read x'],
  ],
  ['a bad config', { config: { message: 'line 3', hint: 'mend it' } }, ['problem config: line 3']],
  [
    'a long socket path',
    { socketPath: 'x'.repeat(108) },
    ['problem socket: the socket path has 108 bytes, at most 107 are possible'],
  ],
  ['a clock at the epoch', { clock: { now: 0 } }, ['problem clock: the clock says 1970-01-01T00:00:00.000Z']],
  [
    'a clock beyond the calendar',
    { clock: { now: 1e300 } },
    ['problem clock: the clock says +275760-09-13T00:00:00.000Z'],
  ],
  [
    'a clock before its own files',
    { clock: { now: NOW, notBefore: NOW + 3 * 86_400_000 } },
    ['problem clock: the clock says 2026-11-22T00:00:00.000Z, but files of the home are from 3 days later'],
  ],
  [
    'a clock somewhat behind',
    { clock: { now: NOW, peerOffsetMs: 20 * 60_000 } },
    ['warning clock: the clock is 20 minutes behind that of the peers'],
  ],
  [
    'a clock far ahead',
    { clock: { now: NOW, peerOffsetMs: -2 * 3_600_000 } },
    ['problem clock: the clock is 2 hours ahead of that of the peers'],
  ],
  ['little space', { freeBytes: 5 * 1024 * 1024 }, ['warning disk: only 5 MiB are free on the disk of the home']],
  ['no space', { freeBytes: 0 }, ['problem disk: only 0 MiB are free on the disk of the home']],
  ['a taken port', { ports: [{ listen: 'a:1', state: 'taken' }] }, ['problem port: a:1 is taken by another program']],
  [
    'a port that fails',
    { ports: [{ listen: 'a:1', state: 'failed', problem: 'EACCES' }] },
    ['problem port: a:1 cannot be bound: EACCES'],
  ],
];

const proxyCases: typeof cases = [
  [
    'a proxy that is none',
    { proxy: { problem: { message: 'HTTPS_PROXY is nonsense', hint: 'mend it' } } },
    ['problem proxy: no link can be dialed: HTTPS_PROXY is nonsense'],
  ],
  [
    'a password that others can read',
    { proxy: { shown: 'http://p:1', source: 'node.proxy', openFile: '/h/config.yaml' } },
    [
      'warning proxy: links are dialed through http://p:1 (node.proxy), and others can read its user name and password in /h/config.yaml',
    ],
  ],
];

test('whether connections go without the streams of node is told, and is no complaint', () => {
  const told = (thinSockets: boolean): string | undefined =>
    doctorChecks({ ...HEALTHY, thinSockets }).find(check => check.name === 'node')?.message;
  assert.is(told(true), "Node.js 20.19.0, connections go without node's streams");
  assert.is(told(false), "Node.js 20.19.0, connections go through node's streams, which costs more CPU");
  assert.equal(complaints({ thinSockets: false }), []);
});

test('a proxy, and that there is no listener, are told', () => {
  const checks = doctorChecks({ ...HEALTHY, ports: [], proxy: { shown: 'http://p:1', source: 'HTTPS_PROXY' } });
  assert.equal(
    checks.slice(-2).map(({ name, state, message }) => [name, state, message]),
    [
      ['port', 'ok', 'outbound only: this node does not listen, and is reached by the links that it opens'],
      ['proxy', 'ok', 'links are dialed through http://p:1 (HTTPS_PROXY)'],
    ],
  );
});

for (const [name, change, expected] of [...cases, ...proxyCases]) {
  test(`${name} is told, with what to do`, () => {
    assert.equal(complaints(change), expected);
  });
}

test('what is not known is no complaint', () => {
  assert.equal(
    complaints({ freeBytes: undefined, clock: { now: NOW }, ports: [{ listen: 'a:1', state: 'free' }] }),
    [],
  );
});

test.run();
