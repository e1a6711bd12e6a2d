/**
 * Fuzzes admission: what an identified peer, which may be anybody with the PSK, sends in frames that are sealed rightly.
 * Whatever it is, the answer is a code to close with, and nothing but what is signed rightly is learnt.
 */
import { WarrenError } from '../../protocol/errors.js';
import {
  HaveReader,
  decodeAdmit,
  decodeDone,
  decodeItem,
  decodeNext,
  decodeSecret,
  encodeAdmit,
  encodeDone,
  encodeHave,
  encodeItem,
  encodeSecret,
} from '../../protocol/handshake/admission-frames.js';
import { FRAME } from '../../protocol/link/frame.js';
import { mutateBytes } from '../daemon/mutate.js';
import { pick, seededRandom } from '../helpers/random.js';
import { assert, full, suite } from '../helpers/suite.js';
import {
  End,
  admit,
  connect,
  copy,
  founder,
  newcomer,
  publish,
  type TestMember,
} from '../protocol/handshake/members.js';

const test = suite('fuzz: admission');
const random = seededRandom('fuzz admission');
const ROUNDS = full(2000, 100_000);
const DEADLINE = { deadline: full(20_000, 40 * 60_000) };

interface Frame {
  readonly type: number;
  readonly body: Uint8Array;
}

const a = founder('founder');
const b = newcomer('b', a);
admit(a, b, { name: 'b' });
copy(a, b);
const c = newcomer('c', a);
admit(a, c, { name: 'c' });
publish(a, 1);
publish(c, 1);

/** All frames that an honest peer may send. */
function honest(from: TestMember): Frame[] {
  const have = encodeHave({ secretTags: [random(8)], summary: from.store.summary() });
  return [
    ...have.map(body => ({ type: FRAME.HAVE, body })),
    ...from.store.items().map(item => ({ type: FRAME.ITEM, body: encodeItem(item) })),
    { type: FRAME.DONE, body: encodeDone(true) },
    { type: FRAME.DONE, body: encodeDone(false) },
    { type: FRAME.NEXT, body: new Uint8Array(0) },
    { type: FRAME.SECRET, body: encodeSecret(from.secrets[0]!) },
    { type: FRAME.ADMIT, body: encodeAdmit({ standing: 'admitted', code: 'no-error' }) },
    { type: FRAME.ADMIT, body: encodeAdmit({ standing: 'limited', code: 'clock-skew' }) },
  ];
}

const frames = honest(a);

function mutated(frame: Frame): Frame {
  const type = pick(random, 20) === 0 ? pick(random, 0x60) : frame.type;
  return { type, body: Uint8Array.from(mutateBytes(random, frame.body)) };
}

/** @returns the code to close with, if it came to that */
function answer(step: () => void): string | undefined {
  try {
    step();
    return undefined;
  } catch (error) {
    if (!(error instanceof WarrenError) || error.wire === undefined) throw error;
    return error.wire;
  }
}

test(
  'each frame, mutated, decodes or is refused',
  () => {
    const decoders = new Map<number, (body: Uint8Array) => unknown>([
      [FRAME.HAVE, body => new HaveReader().push(body)],
      [FRAME.ITEM, decodeItem],
      [FRAME.DONE, decodeDone],
      [FRAME.NEXT, decodeNext],
      [FRAME.SECRET, decodeSecret],
      [FRAME.ADMIT, decodeAdmit],
    ]);
    const all = [...decoders.keys()];
    for (let i = 0; i < ROUNDS; i++) {
      const { body } = mutated(frames[pick(random, frames.length)]!);
      const decode = decoders.get(all[i % all.length]!)!;
      answer(() => void decode(body));
    }
  },
  DEADLINE,
);

/** One peer on the long way, its admission begun; `established` is made once, since no byte of it matters here. */
const links = [connect(a, b), connect(c, b), connect(b, a), connect(c, a)].map(m => m.acceptor);

test(
  'random runs of frames, some mutated, lead to a code or to a verdict',
  () => {
    const ends = new Map<string, number>();
    for (let i = 0; i < ROUNDS; i++) {
      const { node, established } = links[i % links.length]!;
      const events = node.ctx.events.length;
      const end = new End(node, established);
      end.admission.start();
      let wire: string | undefined;
      // Half of the runs begin as they should, so that later states are reached.
      const opening = i % 2 === 0 ? [frames[0]!, { type: FRAME.DONE, body: encodeDone(false) }] : [];
      const run = [
        ...opening,
        ...Array.from({ length: 1 + pick(random, 6) }, () => frames[pick(random, frames.length)]!),
      ];
      for (const frame of run) {
        const next = pick(random, 3) === 0 ? mutated(frame) : frame;
        wire = answer(() => end.admission.frame(next.type, next.body));
        if (wire !== undefined) break;
      }
      const outcome = wire ?? end.outcome;
      ends.set(outcome, (ends.get(outcome) ?? 0) + 1);
      node.ctx.events.length = events;
    }
    for (const outcome of ['protocol', 'open', 'admitted']) assert.ok((ends.get(outcome) ?? 0) > 0, outcome);
    // c is a member that b has never heard of; b has learnt it by now from the signed items, and nobody else.
    assert.is(a.store.members().length, 3);
    assert.ok(b.store.members().length <= 3);
  },
  DEADLINE,
);

test.run();
