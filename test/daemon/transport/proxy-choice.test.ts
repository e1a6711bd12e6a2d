import {
  PROXY_MAX,
  checkProxySetting,
  formatProxy,
  parseProxy,
  proxyFor,
  proxyState,
  showProxySetting,
} from '../../../daemon/transport/proxy-choice.js';
import type { WarrenError } from '../../../protocol/errors.js';
import { assert, suite } from '../../helpers/suite.js';

const test = suite('which proxy');

test('a proxy is read with its credentials, and shown without them', () => {
  const cases: readonly (readonly [string, string, string?])[] = [
    ['http://proxy.example:3128', 'http://proxy.example:3128'],
    ['proxy.example:3128', 'http://proxy.example:3128'],
    ['HTTPS://Proxy.Example', 'https://proxy.example:443'],
    ['http://10.0.0.1/', 'http://10.0.0.1:80'],
    ['http://[2001:db8::1]:3128', 'http://[2001:db8::1]:3128'],
    ['http://user:pass@proxy:1', 'http://proxy:1', 'user:pass'],
    ['user:pass@proxy:1', 'http://proxy:1', 'user:pass'],
    ['http://user@proxy:1', 'http://proxy:1', 'user:'],
    ['http://j%C3%BCrgen:p%40ss%3A%2F@proxy:1', 'http://proxy:1', 'jürgen:p@ss:/'],
    ['http://user:p@ss@proxy:1', 'http://proxy:1', 'user:p@ss'],
  ];
  for (const [text, shown, credentials] of cases) {
    const proxy = parseProxy(text);
    assert.is(formatProxy(proxy), shown, text);
    assert.is(proxy.credentials, credentials, text);
    assert.is(showProxySetting(text), shown);
  }
  assert.is(showProxySetting('none'), 'none');
  checkProxySetting('none');
});

test('what is no proxy is refused with a hint, and no part of a password is repeated', () => {
  const secret = 'hunter2';
  const cases = [
    '',
    'socks5://u:hunter2@proxy:1',
    'http://u:hunter2@',
    'http://u:hunter2@proxy:99999',
    'http://u:hunter2/x@proxy:1',
    'http://u:hunter2#x@proxy:1',
    'http://u:hunter2?x@proxy:1',
    'http://u:hunter2%@proxy:1',
    'http://u%3Ax:hunter2@proxy:1',
    'http://u:hunter2%0D%0AX-Evil@proxy:1',
    'http://u:hunter2 @proxy:1',
    'http://u:hunter2@proxy:1/path',
    'http://u:hunter2@0.0.0.0:1',
    'http://u:hunter2@-proxy-:1',
    `http://u:${secret.repeat(PROXY_MAX)}@proxy:1`,
    'nonsense://',
  ];
  for (const text of cases) {
    try {
      parseProxy(text);
    } catch (error) {
      const { code, message, hint } = error as WarrenError;
      assert.is(code, 'bad-value', text);
      assert.ok(hint, text);
      assert.not.match(`${message} ${hint ?? ''}`, secret);
      assert.match(message, /^[^\n]+\.$/);
      const state = proxyState(undefined, { HTTPS_PROXY: text });
      if (text !== '') assert.ok(state.problem?.message.startsWith('HTTPS_PROXY'), text);
      assert.not.match(JSON.stringify(state) + (state.problem?.hint ?? ''), secret);
      continue;
    }
    assert.unreachable(text);
  }
});

const PEER = { host: 'peer.example.org', port: 7667 };
const proxied = (
  target: { readonly host: string; readonly port: number },
  setting: string | undefined,
  env: NodeJS.ProcessEnv = {},
): string => {
  const proxy = proxyFor(target, setting, env);
  return proxy === undefined ? 'direct' : formatProxy(proxy);
};

test('the config goes before the environment, https_proxy before HTTPS_PROXY, and none means none', () => {
  const env = { https_proxy: 'http://small:1', HTTPS_PROXY: 'http://large:2' };
  assert.is(proxied(PEER, 'http://config:3', env), 'http://config:3');
  assert.is(proxied(PEER, undefined, env), 'http://small:1');
  assert.is(proxied(PEER, undefined, { https_proxy: '', HTTPS_PROXY: 'http://large:2' }), 'http://large:2');
  assert.is(proxied(PEER, 'none', env), 'direct');
  assert.is(proxied(PEER, undefined, { HTTP_PROXY: 'http://other:4', ALL_PROXY: 'http://other:4' }), 'direct');
  assert.is(proxied(PEER, undefined), 'direct');
  assert.throws(() => proxied(PEER, undefined, { HTTPS_PROXY: 'socks5://x:1' }), /HTTPS_PROXY in the daemon's/);
});

test('this host is never reached through a proxy, not even when the environment names nonsense', () => {
  for (const host of ['localhost', 'LOCALHOST.', 'x.localhost', '127.0.0.1', '127.255.0.9', '::1', '::ffff:127.0.0.1'])
    assert.is(proxied({ host, port: 1 }, 'http://config:3', { HTTPS_PROXY: '?' }), 'direct', host);
  for (const host of ['localhost.example', 'notlocalhost', '128.0.0.1', '::2', '10.0.0.1'])
    assert.is(proxied({ host, port: 1 }, 'http://config:3'), 'http://config:3', host);
});

test('NO_PROXY: names with their subdomains, addresses, ranges, ports, everything', () => {
  const cases: readonly (readonly [list: string, host: string, port: number, isDirect: boolean])[] = [
    ['example.org', 'peer.example.org', 1, true],
    ['example.org', 'example.org', 1, true],
    ['EXAMPLE.org.', 'peer.Example.ORG', 1, true],
    ['.example.org', 'peer.example.org', 1, true],
    ['*.example.org', 'peer.example.org', 1, true],
    ['example.org', 'notexample.org', 1, false],
    ['example.org', 'example.org.evil', 1, false],
    ['a, b  peer.test,', 'peer.test', 1, true],
    ['peer.test:443', 'peer.test', 443, true],
    ['peer.test:443', 'peer.test', 80, false],
    ['10.0.0.7', '10.0.0.7', 1, true],
    ['10.0.0.7', '10.0.0.70', 1, false],
    ['10.0.0.7:80', '10.0.0.7', 81, false],
    ['10.0.0.0/8', '10.255.1.2', 1, true],
    ['10.0.0.0/8', '11.0.0.1', 1, false],
    ['10.0.0.0/99', '10.0.0.1', 1, false],
    ['10.0.0.0/', '10.0.0.1', 1, false],
    ['2001:db8::/32', '2001:db8:1::9', 1, true],
    ['2001:db8::1', '2001:db8::1', 1, true],
    ['[2001:db8::1]:443', '2001:db8::1', 443, true],
    ['[2001:db8::1]:443', '2001:db8::1', 80, false],
    ['7', '0.0.0.7', 1, false],
    ['*', 'anything', 1, true],
    ['', 'anything', 1, false],
    ['.', 'anything', 1, false],
  ];
  for (const [list, host, port, isDirect] of cases) {
    const env = { HTTPS_PROXY: 'http://proxy:1', NO_PROXY: list };
    assert.is(proxied({ host, port }, undefined, env), isDirect ? 'direct' : 'http://proxy:1', `${list} ${host}`);
    assert.is(proxied({ host, port }, 'http://config:3', env), 'http://config:3', 'it belongs to the environment');
  }
  const both = { https_proxy: 'http://proxy:1', no_proxy: 'a.test', NO_PROXY: 'b.test' };
  assert.is(proxied({ host: 'a.test', port: 1 }, undefined, both), 'direct');
  assert.is(proxied({ host: 'b.test', port: 1 }, undefined, both), 'http://proxy:1');
});

test.run();
