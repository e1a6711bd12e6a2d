import { createHmac, randomBytes } from 'node:crypto';
import { EventEmitter } from 'node:events';
import type { Bonjour, Service } from 'bonjour-service';
import {
  MDNS_MAX_HEARD,
  MdnsDiscovery,
  announce,
  recognise,
  type DiscoveryMac,
} from '../../../daemon/discovery/mdns.js';
import { VirtualTime } from '../../helpers/virtual-time.js';
import { memoryLog } from '../transport/loopback.js';
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

/** Keeps every service that is announced, as the library does. */
class HeardBrowser extends EventEmitter {
  readonly services: Service[] = [];
  isStopped = false;

  constructor(private readonly onUp: (service: Service) => void) {
    super();
  }

  hears(service: Service): void {
    this.services.push(service);
    this.onUp(service);
  }

  update(): void {
    return;
  }

  stop(): void {
    this.isStopped = true;
  }
}

test('a flood of announcements grows nothing, and members are found behind it', () => {
  const browsers: HeardBrowser[] = [];
  const responder = {
    find: (_: unknown, onUp: (service: Service) => void) => {
      browsers.push(new HeardBrowser(onUp));
      return browsers.at(-1);
    },
    publish: () => undefined,
    unpublishAll: (done: () => void) => done(),
    destroy: (done?: () => void) => done?.(),
  };
  const found: string[] = [];
  const discovery = new MdnsDiscovery({
    macs: () => [ours],
    random: n => new Uint8Array(randomBytes(n)),
    timers: new VirtualTime(),
    log: memoryLog([]),
    port: undefined,
    onFound: address => void found.push(address),
    addresses: () => ['192.0.2.1'],
    responder: () => responder as unknown as Bonjour,
  });
  discovery.start();
  const announced = (txt: unknown): Service => ({ txt, port: 7667, referer: { address: '192.0.2.9' } }) as Service;
  for (let i = 0; i < 10 * MDNS_MAX_HEARD; i++) {
    browsers.at(-1)!.hears(announced(announce(others, randomBytes(16), 7667)));
    assert.ok(browsers.at(-1)!.services.length <= MDNS_MAX_HEARD);
  }
  assert.ok(browsers.slice(0, -1).every(browser => browser.isStopped));
  assert.equal(found, []);
  browsers.at(-1)!.hears(announced(announce(ours, randomBytes(16), 7667)));
  assert.equal(found, ['192.0.2.9:7667']);
});

test.run();
