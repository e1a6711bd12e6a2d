import { WarrenError } from '../../../protocol/errors.js';
import {
  formatAddress,
  formatEndpoint,
  formatHostPort,
  parseAddress,
  parseListen,
  parseTarget,
  parseTunnelListen,
} from '../../../daemon/transport/address.js';
import { suite, assert } from '../../helpers/suite.js';

const test = suite('addresses');

/** Refused with `bad-value`, one sentence and a hint, and the sentence says `about`. */
function refused(parse: () => unknown, about: RegExp): void {
  try {
    parse();
  } catch (error) {
    assert.instance(error, WarrenError);
    assert.is((error as WarrenError).code, 'bad-value');
    assert.match((error as WarrenError).message, about);
    assert.match((error as WarrenError).message, /^[^\n]*\.$/);
    assert.ok((error as WarrenError).hint, 'has a hint');
    return;
  }
  assert.unreachable(`was accepted, should say ${about.source}`);
}

test('dial addresses read and write back', () => {
  for (const text of [
    'host-a:7667',
    'host_a.example.com.:1',
    '10.0.0.1:65535',
    '[::1]:7667',
    '[fe80::1%eth0]:7667',
    'ws://host/',
    'ws://host:8080/warren',
    'wss://example.com/a/b?c=d',
    'ws://[::1]:81/',
  ])
    assert.is(formatAddress(parseAddress(text)), text);
  assert.equal(parseAddress('wss://Example.com'), { kind: 'wss', host: 'example.com', port: 443, path: '/' });
  assert.equal(parseAddress('ws://h:80/x'), { kind: 'ws', host: 'h', port: 80, path: '/x' });
  assert.is(formatAddress(parseAddress('ws://h:80/x')), 'ws://h/x');
  assert.equal(parseAddress('[::1]:7667'), { kind: 'tcp', host: '::1', port: 7667 });
});

test('what is no dial address is refused with a sentence and a hint', () => {
  refused(() => parseAddress(''), /empty/);
  refused(() => parseAddress('host'), /no port/);
  refused(() => parseAddress(':80'), /no host/);
  refused(() => parseAddress('host:0'), /from 1 to 65535/);
  refused(() => parseAddress('host:65536'), /from 1 to 65535/);
  refused(() => parseAddress('host:080'), /from 1/);
  refused(() => parseAddress('host:'), /from 1/);
  refused(() => parseAddress('host:8o'), /from 1/);
  refused(() => parseAddress('::1:80'), /brackets/);
  refused(() => parseAddress('[nonsense]:80'), /not an IPv6/);
  refused(() => parseAddress('300.1.1.1:80'), /neither/);
  refused(() => parseAddress('ho st:80'), /space/);
  refused(() => parseAddress('host\n:80'), /control/);
  refused(() => parseAddress('-x:80'), /neither/);
  refused(() => parseAddress(`${'a'.repeat(64)}:80`), /neither/);
  refused(() => parseAddress(`${'a.'.repeat(300)}a:80`), /at most 512/);
  refused(() => parseAddress('0.0.0.0:7667'), /cannot be dialed/);
  refused(() => parseAddress('[::]:7667'), /cannot be dialed/);
  refused(() => parseAddress('ws://0.0.0.0/'), /cannot be dialed/);
  refused(() => parseAddress('ws://'), /URL/);
  refused(() => parseAddress('ws://user:secret@host/'), /user name or password/);
  refused(() => parseAddress('ws://host/#x'), /fragment/);
  refused(() => parseAddress('ws://host:0/'), /from 1/);
  refused(() => parseAddress('http://host/'), /not an address/);
});

test('a password in a URL does not get into the sentence', () => {
  try {
    parseAddress('wss://user:hunter2@host/');
    assert.unreachable();
  } catch (error) {
    assert.not.match(String((error as Error).message), /hunter2/);
  }
});

test('listen addresses', () => {
  assert.equal(parseListen('0.0.0.0:7667'), { host: '0.0.0.0', port: 7667 });
  assert.equal(parseListen('[::]:0'), { host: '::', port: 0 });
  assert.is(formatHostPort('::', 7667), '[::]:7667');
  assert.is(formatHostPort('127.0.0.1', 1), '127.0.0.1:1');
  refused(() => parseListen('7667'), /no port/);
  refused(() => parseListen(':7667'), /no host/);
  refused(() => parseListen('127.0.0.1:70000'), /from 0 to 65535/);
  refused(() => parseListen('unix:/x'), /port/);
});

test('targets and tunnel listeners', () => {
  assert.equal(parseTarget('8080'), { kind: 'tcp', host: '127.0.0.1', port: 8080 });
  assert.equal(parseTarget('db.local:5432'), { kind: 'tcp', host: 'db.local', port: 5432 });
  assert.equal(parseTarget('unix:/run/my app.sock'), { kind: 'unix', path: '/run/my app.sock' });
  assert.equal(parseTunnelListen('0'), { kind: 'tcp', host: '127.0.0.1', port: 0 });
  assert.equal(parseTunnelListen('0.0.0.0:6380'), { kind: 'tcp', host: '0.0.0.0', port: 6380 });
  for (const text of ['127.0.0.1:80', '[::1]:80', 'unix:/tmp/x']) assert.is(formatEndpoint(parseTarget(text)), text);
  refused(() => parseTarget('0'), /from 1 to 65535/);
  refused(() => parseTarget('99999'), /from 1 to 65535/);
  refused(() => parseTarget('udp:53'), /UDP/);
  refused(() => parseTunnelListen('udp:53'), /UDP/);
  refused(() => parseTarget('unix:'), /path/);
  refused(() => parseTarget('unix:x.sock'), /relative/);
  refused(() => parseTarget('unix:/a\0b'), /control/);
  refused(() => parseTarget('no-port'), /no port/);
});

test('a socket path is measured in bytes against the limit of the operating system', () => {
  const path = (bytes: number) => `unix:/${'x'.repeat(bytes - 1)}`;
  assert.is(parseTarget(path(107), 'linux').kind, 'unix');
  refused(() => parseTarget(path(108), 'linux'), /108 bytes; the operating system allows 107/);
  refused(() => parseTunnelListen(path(104), 'darwin'), /104 bytes; the operating system allows 103/);
  refused(() => parseTarget(`unix:/${'ü'.repeat(54)}`, 'linux'), /109 bytes/);
  refused(() => parseTarget(path(5000), 'linux'), /5000 bytes/);
});

test.run();
