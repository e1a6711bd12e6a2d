import { Guard, sourceOf, type DropReason, type GuardLimits } from '../../../daemon/transport/guard.js';
import { suite, assert } from '../../helpers/suite.js';
import { VirtualTime } from '../../helpers/virtual-time.js';

const test = suite('half-open guard');

const LIMITS: GuardLimits = { total: 6, perSource: 3, deadlineMs: 10_000 };

function setup(limits: Partial<GuardLimits> = {}) {
  const time = new VirtualTime();
  const guard = new Guard({ ...LIMITS, ...limits }, time);
  const dropped: [string, DropReason][] = [];
  const admit = (address: string, name = address) => guard.admit(address, why => dropped.push([name, why]));
  return { time, guard, dropped, admit };
}

test('IPv4 counts by address, IPv6 by /64, a mapped address as IPv4', () => {
  assert.is(sourceOf('192.0.2.1'), '192.0.2.1');
  assert.is(sourceOf('::ffff:192.0.2.1'), '192.0.2.1');
  assert.is(sourceOf('2001:db8:0:1::1'), sourceOf('2001:db8:0:1:ffff:ffff:ffff:ffff'));
  assert.is.not(sourceOf('2001:db8:0:1::1'), sourceOf('2001:db8:0:2::1'));
  assert.is(sourceOf('fe80::1%eth0'), sourceOf('fe80::2'));
  assert.is(sourceOf('::1'), '0:0:0:0::/64');
});

test('the deadline is absolute', async () => {
  const { time, guard, dropped, admit } = setup();
  const place = admit('192.0.2.1')!;
  time.advance(9_999);
  place.proven();
  assert.equal(dropped, []);
  time.advance(1);
  assert.equal(dropped, [['192.0.2.1', 'deadline']]);
  assert.is(guard.size, 0);
  place.done();
  assert.is(guard.size, 0);
});

test('a place that is given back has no deadline', () => {
  const { time, guard, dropped, admit } = setup();
  admit('192.0.2.1')!.done();
  time.advance(60_000);
  assert.equal(dropped, []);
  assert.is(guard.size, 0);
  assert.is(guard.sourceCount, 0);
});

test('above the cap of its source a newcomer replaces the oldest of that source that has proven nothing', () => {
  const { guard, dropped, admit } = setup();
  admit('192.0.2.9', 'other');
  for (const name of ['a', 'b', 'c']) admit('192.0.2.1', name);
  assert.ok(admit('192.0.2.1', 'd'));
  assert.equal(dropped, [['a', 'replaced']]);
  assert.is(guard.size, 4);
});

test('above the cap in total a newcomer replaces the oldest of all that has proven nothing', () => {
  const { guard, dropped, admit } = setup();
  admit('192.0.2.1', 'member')!.proven();
  for (let i = 2; i <= 6; i++) admit(`192.0.2.${i}`);
  assert.ok(admit('192.0.2.7'));
  assert.equal(dropped, [['192.0.2.2', 'replaced']]);
  assert.is(guard.size, 6);
});

test('who has proven the secret keeps its place; when all have, the newcomer is turned away', () => {
  const { guard, dropped, admit } = setup();
  for (let i = 1; i <= 6; i++) admit(`192.0.2.${i}`)!.proven();
  assert.is(admit('192.0.2.7'), undefined);
  assert.equal(dropped, []);
  assert.is(guard.size, 6);
  const again = setup();
  for (let i = 1; i <= 3; i++) again.admit('192.0.2.1')!.proven();
  assert.is(again.admit('192.0.2.1'), undefined);
  assert.ok(again.admit('192.0.2.2'));
});

test('a flood from ever new sources leaves a table no longer than the cap, and nothing behind', () => {
  const { time, guard, admit } = setup({ total: 100 });
  for (let i = 0; i < 5_000; i++) admit(`10.${i >> 16}.${(i >> 8) & 255}.${i & 255}`);
  assert.is(guard.size, 100);
  assert.is(guard.sourceCount, 100);
  time.advance(10_000);
  assert.is(guard.size, 0);
  assert.is(guard.sourceCount, 0);
});

test('a member gets in while strangers keep coming', () => {
  const { guard, admit, dropped } = setup({ total: 100, perSource: 10 });
  for (let i = 0; i < 100; i++) admit(`10.0.0.${i}`);
  const member = admit('192.0.2.1', 'member')!;
  for (let i = 0; i < 50; i++) admit(`10.0.1.${i}`);
  member.proven();
  for (let i = 0; i < 1_000; i++) admit(`10.1.${i >> 8}.${i & 255}`);
  assert.not(dropped.some(([name]) => name === 'member'));
  assert.is(guard.size, 100);
});

test('close drops all', () => {
  const { guard, dropped, admit } = setup();
  admit('192.0.2.1');
  admit('192.0.2.2')!.proven();
  guard.close();
  assert.equal(dropped, [['192.0.2.1', 'closing'], ['192.0.2.2', 'closing']]); // prettier-ignore
  assert.is(guard.size, 0);
});

test.run();
