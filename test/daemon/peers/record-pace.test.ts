/** Registry records of a member that makes them without end: few are passed on, and the last one always is. */
import { nodeIdText } from '../../../protocol/identity/node-id.js';
import type { TrustItem } from '../../../protocol/identity/trust-item.js';
import { RECORD_RATE, RecordPace } from '../../../daemon/peers/record-pace.js';
import { MAX_RECENT_BYTES, RecentItems } from '../../../daemon/peers/recent.js';
import { assert, suite } from '../../helpers/suite.js';
import { VirtualTime } from '../../helpers/virtual-time.js';

const test = suite('the pace of registry records');

const node = (n: number): Uint8Array => new Uint8Array(32).fill(n);
const record = (n: number): TrustItem => ({ kind: 'registry', bytes: Uint8Array.of(n >> 8, n & 0xff) });
const number = ({ bytes }: TrustItem): number => bytes[0]! * 256 + bytes[1]!;

function paced(): { time: VirtualTime; pace: RecordPace; told: [number, string | undefined][] } {
  const time = new VirtualTime();
  const told: [number, string | undefined][] = [];
  const pace = new RecordPace(time, (item, from) => void told.push([number(item), from && nodeIdText(from)]));
  return { time, pace, told };
}

test('what a node changes now and then is told at once, whoever else floods', () => {
  const { time, pace, told } = paced();
  for (let i = 0; i < 1000; i++) pace.pass(node(1), record(i), undefined);
  told.length = 0;
  for (let i = 0; i < 30; i++) {
    pace.pass(node(2), record(5000 + i), node(3));
    assert.equal(told.at(-1), [5000 + i, nodeIdText(node(3))]);
    time.advance(1000);
  }
});

test('of a flood a burst is told, then two a second, each the newest, and the last one in the end', () => {
  const { time, pace, told } = paced();
  let n = 0;
  // 1,000 a second for 10 s
  for (let ms = 0; ms < 10_000; ms++) {
    pace.pass(node(1), record(n++), node(2));
    time.advance(1);
  }
  const most = RECORD_RATE.burst + 10 * RECORD_RATE.perSecond;
  assert.ok(told.length >= most - 2 && told.length <= most + 1, `${told.length} were told`);
  for (let i = 1; i < told.length; i++) assert.ok(told[i]![0] > told[i - 1]![0], 'never an older one');
  time.advance(1000);
  assert.is(told.at(-1)![0], n - 1, 'the last word');
  assert.is(told.at(-1)![1], nodeIdText(node(2)), 'not to whom it came from');
  const before = told.length;
  time.advance(60_000);
  assert.is(told.length, before, 'once');
});

test('what waits is forgotten with its network', () => {
  const { time, pace, told } = paced();
  for (let i = 0; i < 100; i++) pace.pass(node(1), record(i), undefined);
  pace.clear();
  const before = told.length;
  time.advance(60_000);
  assert.is(told.length, before);
});

test('of what was taken in lately one record of each node is kept, so that it pushes nothing else out', () => {
  const time = new VirtualTime();
  const recent = new RecentItems(time);
  const grant: TrustItem = { kind: 'grant', bytes: new Uint8Array(300) };
  recent.add(grant, undefined);
  const last: TrustItem = { kind: 'registry', bytes: new Uint8Array(16 * 1024).fill(7) };
  for (let i = 0; i < (3 * MAX_RECENT_BYTES) / (16 * 1024); i++)
    recent.add({ kind: 'registry', bytes: new Uint8Array(16 * 1024) }, undefined, node(1));
  recent.add(last, undefined, node(1));
  recent.add(record(1), undefined, node(2));
  assert.equal(recent.for(node(3)), [grant, last, record(1)]);
});

test.run();
