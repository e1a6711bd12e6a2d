import * as fs from 'node:fs';
import { join } from 'node:path';
import { diffConfig, runningConfig } from '../../../daemon/config/diff.js';
import { DEFAULT_LIMITS } from '../../../daemon/config/limits.js';
import { loadConfig, parseConfig } from '../../../daemon/config/load.js';
import { reloadConfig } from '../../../daemon/config/reload.js';
import { nameFor, startEdits } from '../../../daemon/config/start.js';
import type { Config } from '../../../daemon/config/types.js';
import { WarrenError } from '../../../protocol/errors.js';
import { assert, suite } from '../../helpers/suite.js';
import { withFolder } from '../home/temp.js';

const test = suite('the config');

const FULL = `
node:
  name: host-a
  listen: [0.0.0.0:7667, "[::]:7667"]
  advertise: wss://example.org/warren
  mdns: false
  links: 4
  proxy: http://user:hunter2@proxy.example:3128
  relay: true
  suite: AESGCM
  logLevel: debug
services:
  payments: { target: 127.0.0.1:8080, version: 2.1.0, description: Payment processing, tags: [core], allow: [tag:gateway, checkout] }
  web: { target: 8000, deny: mallory }
  constructor: { target: unix:/run/x.sock }
tunnels:
  risk: { listen: 127.0.0.1:9001 }
  twice: { listen: [9002, unix:/tmp/a.sock] }
  free:
peers: [10.0.0.2:7667]
limits: { streamBytes: 8 MiB, drainSeconds: 0, peerBytes: 67108864 }
`;

const parse = (text: string): Config => parseConfig(text, 'config.yaml').config;

test('everything that may be written is read', () => {
  const config = parse(FULL);
  assert.equal(config.node, {
    name: 'host-a',
    listen: ['0.0.0.0:7667', '[::]:7667'],
    advertise: ['wss://example.org/warren'],
    mdns: false,
    links: 4,
    proxy: 'http://user:hunter2@proxy.example:3128',
    relay: true,
    suite: 'AESGCM',
    logLevel: 'debug',
  });
  assert.equal([...config.services.keys()], ['payments', 'web', 'constructor']);
  assert.equal(config.services.get('payments'), {
    target: '127.0.0.1:8080',
    version: '2.1.0',
    description: 'Payment processing',
    tags: ['core'],
    allow: ['tag:gateway', 'checkout'],
    deny: [],
  });
  assert.equal(config.services.get('web')!.target, '8000');
  assert.equal(config.services.get('web')!.deny, ['mallory']);
  assert.equal(Object.fromEntries([...config.tunnels].map(([name, { listen }]) => [name, listen])), {
    risk: ['127.0.0.1:9001'],
    twice: ['9002', 'unix:/tmp/a.sock'],
    free: ['127.0.0.1:0'],
  });
  assert.equal(config.peers, ['10.0.0.2:7667']);
  assert.equal(config.limits, { ...DEFAULT_LIMITS, streamBytes: 8 << 20, drainSeconds: 0, peerBytes: 1 << 26 });
});

test('an empty config, and sections without entries, are the defaults', async () => {
  const empty = parse('');
  assert.equal(empty.node.listen, ['0.0.0.0:7667']);
  assert.is(empty.node.mdns, true);
  assert.is(empty.node.name, undefined);
  assert.equal(parse('node:\nservices:\ntunnels: ~\npeers:\nlimits: {}\n# nothing'), empty);
  assert.equal(parse('node: { listen: [], name: }').node.listen, []);
  await withFolder(folder => assert.equal(loadConfig(join(folder, 'none.yaml')), empty));
});

test('aliases within measure work, and problems inside them are placed', () => {
  const config = parse('services:\n  a: &a { target: 1 }\n  b: *a\n');
  assert.is(config.services.get('b')!.target, '1');
  assert.throws(() => parse('services:\n  a: { target: 1, allow: &l [x, "?"] }\n'), /config\.yaml:2:33/);
  assert.throws(() => parse('x: &a { lisen: 1 }\nnode: *a\n'), /config\.yaml:1:1: unknown key "x"/);
  assert.throws(() => parse('limits: &a { lisen: 1 }\nnode: *a\n'), /config\.yaml:1:14: unknown key "lisen" in node/);
});

test('a file that cannot be read, is too long or is not text is refused with its name', async () => {
  await withFolder(folder => {
    const file = join(folder, 'config.yaml');
    const told = (): string => {
      try {
        loadConfig(file);
      } catch (error) {
        assert.is((error as WarrenError).code, 'config');
        assert.ok((error as WarrenError).hint);
        return (error as WarrenError).message;
      }
      return 'nothing';
    };
    fs.mkdirSync(file);
    assert.match(told(), /cannot be read \(EISDIR\)/);
    fs.rmdirSync(file);
    fs.writeFileSync(file, Buffer.from([0x61, 0xff]));
    assert.match(told(), /not UTF-8/);
    fs.writeFileSync(file, `# ${'x'.repeat(300_000)}`);
    assert.match(told(), /at most 262144/);
    assert.throws(() => parse(`# ${'x'.repeat(300_000)}`), /more than 262144/);
  });
});

test('what is too long or too much is refused, its name cut', () => {
  const list = (n: number): string => `[${Array.from({ length: n }, (_, i) => `x${i}`).join(', ')}]`;
  const many = (section: string, n: number, value: string): string =>
    `${section}:\n${Array.from({ length: n }, (_, i) => `  s${i}: ${value}\n`).join('')}`;
  const told = (text: string): string => {
    try {
      parse(text);
    } catch (error) {
      return (error as WarrenError).message;
    }
    return 'accepted';
  };
  assert.is(told(`services: { a: { target: 1, allow: ${list(256)} } }`), 'accepted');
  assert.match(
    told(`services: { a: { target: 1, allow: ${list(257)} } }`),
    /services\.a\.allow has more than 256 entries/,
  );
  assert.is(told(`services: { a: { target: 1, tags: ${list(16)} } }`), 'accepted');
  assert.match(told(`services: { a: { target: 1, tags: ${list(17)} } }`), /services\.a\.tags has more than 16 tags/);
  assert.is(told(many('services', 64, '{ target: 1 }')), 'accepted');
  assert.match(told(many('services', 65, '{ target: 1 }')), /:66:3: services has more than 64 entries/);
  assert.match(told(many('tunnels', 1025, '')), /:1026:3: tunnels has more than 1024 entries/);
  assert.match(told(`${'k'.repeat(500)}: 1`), /unknown key "k{64}…"$/);
  assert.match(told('node: { name: [a] }'), /node\.name must be text/);
  assert.match(told('42: x'), /unknown key "42"/);
  assert.is(
    told('services: { a: { target: 1, allow: } }\npeers: 10.0.0.1:7\ntunnels: { t: { listen: [] } }'),
    'accepted',
  );
});

test('a diff names each change once, removals first, and what needs a restart', () => {
  const before = parse(FULL);
  const after = parse(
    FULL.replace('name: host-a', 'name: host-b')
      .replace('logLevel: debug', 'logLevel: info')
      .replace('streamBytes: 8 MiB', 'streamBytes: 9 MiB')
      .replace('  web: { target: 8000, deny: mallory }\n', '')
      .replace('version: 2.1.0', 'version: 2.1.1')
      .replace('free:', 'fresh: { listen: 9003 }')
      .replace('10.0.0.2', '10.0.0.3'),
  );
  const told = diffConfig(before, after).map(change => `${change.restart ? 'restart: ' : ''}${change.sentence}`);
  assert.equal(told, [
    'restart: node.name is now host-b',
    'node.logLevel is now info',
    'restart: limits.streamBytes is now 9437184',
    'peers is now 10.0.0.3:7667',
    'service web is removed',
    'tunnel free is removed',
    'service payments is changed',
    'tunnel fresh is new',
  ]);
  assert.equal(diffConfig(before, before), []);
  assert.equal(diffConfig(before, parse(`# other text\n${FULL}`)), []);
});

test('what needs a restart is told again at every reload until then', () => {
  const before = parse(FULL);
  const after = parse(
    FULL.replace('mdns: false', 'mdns: true').replace('relay: true', 'relay: false').replace('suite: AESGCM\n', '\n'),
  );
  const running = runningConfig(before, after);
  assert.equal(
    diffConfig(running, after).map(change => change.sentence),
    ['node.mdns is now true'],
  );
  assert.match(
    diffConfig(before, after)
      .map(change => change.sentence)
      .join(),
    /suite is now left to the daemon/,
  );
});

test('a change of case is a removal and a new entry', () => {
  const changes = diffConfig(parse('services: { pay: { target: 1 } }'), parse('services: { Pay: { target: 1 } }'));
  assert.equal(
    changes.map(change => change.sentence),
    ['service pay is removed', 'service Pay is written in other case'],
  );
});

test('a changed proxy is live, and told without its credentials', () => {
  const before = parse(FULL);
  const told = (text: string): readonly (readonly [string, boolean])[] => {
    const after = parse(text);
    assert.equal(diffConfig(runningConfig(before, after), after), []);
    return diffConfig(before, after).map(({ sentence, restart }) => [sentence, restart]);
  };
  assert.equal(told(FULL.replace('hunter2', 'hunter3')), [
    ['node.proxy is now http://proxy.example:3128 with other credentials', false],
  ]);
  assert.equal(told(FULL.replace('user:hunter2@', '').replace('3128', '8080')), [
    ['node.proxy is now http://proxy.example:8080', false],
  ]);
  assert.equal(told(FULL.replace('http://user:hunter2@proxy.example:3128', 'none')), [
    ['node.proxy is now none', false],
  ]);
  assert.equal(told(FULL.replace('  proxy: http://user:hunter2@proxy.example:3128\n', '')), [
    ['node.proxy is now left to the environment', false],
  ]);
});

test('a bad proxy is refused at its place, without its password', () => {
  const told = (value: string): string => {
    try {
      parse(`node:\n  proxy: ${value}\n`);
    } catch (error) {
      const { message, hint } = error as WarrenError;
      return `${message} (${hint ?? ''})`;
    }
    return 'accepted';
  };
  for (const value of ['socks5://u:hunter2@p:1', 'http://u:hunter2@p:1/x', '"http://u:hunter2 @p:1"', '[hunter2]']) {
    const text = told(value);
    assert.match(text, /^config\.yaml:2:\d+: node\.proxy/);
    assert.not.match(text, /hunter2/);
  }
  for (const links of ['0', '9', '1.5', 'two', '-1'])
    assert.throws(() => parse(`node: { links: ${links} }`), /node\.links must be a whole number from 1 to 8/);
});

const BEFORE = 'services: { a: { target: 1 }, b: { target: 2 } }\nnode: { mdns: true }';
const AFTER = 'services: { b: { target: 3 }, c: { target: 4 } }\nnode: { mdns: false }';

/** A daemon that is the set of its services; `failing` cannot be applied. */
function fakeDaemon(failing?: string) {
  const running = new Map([...parse(BEFORE).services].map(([name, { target }]) => [name, target]));
  const log: string[] = [];
  const reload = (text: string) =>
    reloadConfig({
      current: parse(BEFORE),
      load: () => parse(text),
      apply: change => {
        if (change.area !== 'service') throw new Error('only services');
        if (change.name === failing) throw new WarrenError('in-use', 'taken');
        const old = running.get(change.name);
        if (change.after === undefined) running.delete(change.name);
        else running.set(change.name, change.after.target);
        log.push(change.name);
        return () => {
          log.push(`undo ${change.name}`);
          if (change.name === 'b' && failing === 'c') throw new Error('cannot undo');
          if (old === undefined) running.delete(change.name);
          else running.set(change.name, old);
        };
      },
      undoFailed: change => log.push(`undo of ${change.sentence} failed`),
    });
  return { running, log, reload };
}

test('a reload applies what differs, and tells it', async () => {
  const daemon = fakeDaemon();
  const { config, changes, restartNeeded } = await daemon.reload(AFTER);
  assert.equal(Object.fromEntries(daemon.running), { b: '3', c: '4' });
  assert.equal(changes, ['service a is removed', 'service b is changed', 'service c is new']);
  assert.equal(restartNeeded, ['node.mdns is now false']);
  assert.is(config.node.mdns, true);
  assert.equal([...config.services.keys()], ['b', 'c']);
});

test('a bad file changes nothing', async () => {
  const daemon = fakeDaemon();
  for (const bad of ['services: [', 'services: { a: { target: x } }', 'nope: 1']) {
    try {
      await daemon.reload(bad);
      assert.unreachable();
    } catch (error) {
      assert.is((error as WarrenError).code, 'config');
    }
  }
  assert.equal(daemon.log, []);
});

test('a change that cannot be made takes back those before it, the last first', async () => {
  const daemon = fakeDaemon('b');
  await daemon.reload(AFTER).then(
    () => assert.unreachable(),
    (error: WarrenError) => assert.is(error.code, 'in-use'),
  );
  assert.equal(Object.fromEntries(daemon.running), { a: '1', b: '2' });
  assert.equal(daemon.log, ['a', 'undo a']);
});

test('one that cannot be taken back is told, and the others still are', async () => {
  const daemon = fakeDaemon('c');
  await daemon.reload(AFTER).then(
    () => assert.unreachable(),
    (error: WarrenError) => assert.is(error.message, 'taken'),
  );
  assert.equal(daemon.log, ['a', 'b', 'undo b', 'undo of service b is changed failed', 'undo a']);
});

const START = { kind: 'start', home: '/h', foreground: false } as const;

test('a first start names the node after the host; flags are kept when they differ', () => {
  const empty = parse('');
  const told = (config: Config, start: object): object =>
    Object.fromEntries(
      startEdits(config, { ...START, ...start }, 'web-1.example.org').map(edit => [edit.key, edit.value]),
    );
  assert.equal(told(empty, {}), { name: 'web-1' });
  assert.equal(told(empty, { name: 'x', mdns: true }), { name: 'x' });
  assert.equal(told(parse('node: { name: y }'), {}), {});
  assert.equal(told(parse('node: { name: y }'), { noListen: true, advertise: ['a:1'], mdns: false }), {
    listen: [],
    advertise: ['a:1'],
    mdns: false,
  });
  assert.equal(told(parse('node: { name: y, links: 3 }'), { links: 3, proxy: 'http://p:1' }), { proxy: 'http://p:1' });
  const known = parse('node: { name: y, proxy: "http://user:hunter2@p:1" }');
  assert.equal(told(known, { proxy: 'http://p:1/' }), {}, 'the credentials of the config stay');
  assert.equal(told(known, { proxy: 'http://q:1' }), { proxy: 'http://q:1' });
  assert.equal(told(known, { proxy: 'none', links: 5 }), { proxy: 'none', links: 5 });
  assert.throws(() => told(known, { proxy: 'socks5://p:1' }), /neither http/);
  assert.equal(told(empty, { listen: ['127.0.0.1:0'] }), { name: 'web-1', listen: ['127.0.0.1:0'] });
});

test('any host name gives a name for a node', () => {
  const cases = { 'a.b.c': 'a', 'Müller-PC': 'M-ller-PC', '-x-': 'x', '': 'node', '...': 'node', 日本: 'node' };
  for (const [host, name] of Object.entries(cases)) assert.is(nameFor(host), name);
  assert.is(nameFor('h'.repeat(200)).length, 63);
});

test.run();
