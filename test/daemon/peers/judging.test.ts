/** Who is judged anew on account of what came in. */
import { Judging, type Concerned } from '../../../daemon/peers/judging.js';
import type { RegistryRecord } from '../../../protocol/identity/registry-record.js';
import type { Statement } from '../../../protocol/identity/statement.js';
import { EMPTY } from '../../../protocol/bytes.js';
import type { TrustItem } from '../../../protocol/identity/trust-item.js';
import { assert, suite } from '../../helpers/suite.js';
import { VirtualTimers } from '../../protocol/session/virtual.js';

const test = suite('judging');

const node = (n: number): Uint8Array => new Uint8Array(32).fill(n);
const item = (kind: TrustItem['kind']): TrustItem => ({ kind, bytes: EMPTY });

/** @param relays nodes whose record says that they relay. @param rotated nodes with more than one statement */
function judged({ relays = [], rotated = [] }: { relays?: readonly number[]; rotated?: readonly number[] } = {}) {
  const timers = new VirtualTimers();
  const rounds: (number[] | 'all')[] = [];
  const judging = new Judging(
    timers,
    () => ({
      record: of => ({ ...(relays.includes(of[0]!) && { relays: true as const }) }) as RegistryRecord,
      head: of => ({ seq: rotated.includes(of[0]!) ? 1 : 0, hash: EMPTY, statement: {} as Statement }),
    }),
    (concerned: Concerned) =>
      void rounds.push(concerned === undefined ? 'all' : [...concerned.values()].map(id => id[0]!)),
  );
  return { timers, rounds, judging };
}

test('grants, records and first statements concern their nodes alone, once each', () => {
  const { timers, rounds, judging } = judged();
  judging.taken(item('grant'), node(1));
  judging.taken(item('registry'), node(2));
  judging.taken(item('grant'), node(1));
  timers.run(100);
  assert.equal(rounds, [[1, 2]]);
  judging.taken(item('statement'), node(3));
  timers.run(0);
  assert.equal(rounds.slice(1), [[3]]);
});

test('everything else concerns everybody, and what came with it too', () => {
  const whole: [TrustItem['kind'], number | undefined][] = [
    ['role', 1],
    ['revocation', 1],
    ['settlement', 1],
    ['fork', 1],
    ['network-secret', undefined],
    ['statement', 9],
    ['registry', 8],
  ];
  for (const [kind, about] of whole) {
    const { timers, rounds, judging } = judged({ relays: [8], rotated: [9] });
    judging.taken(item('grant'), node(2));
    judging.taken(item(kind), about === undefined ? undefined : node(about));
    timers.run(100);
    assert.equal(rounds, ['all'], kind);
    judging.taken(item('grant'), node(2));
    timers.run(100);
    assert.equal(rounds[1], [2], `${kind}: and then no more`);
  }
  const { timers, rounds, judging } = judged();
  judging.soon();
  timers.run(0);
  assert.equal(rounds, ['all']);
});

test.run();
