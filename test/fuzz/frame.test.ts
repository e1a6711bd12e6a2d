/** Frame decoders under mutation: a value that encodes to the same bytes again, or a WarrenError for the wire. */
import { equal } from '../../protocol/bytes.js';
import { WarrenError } from '../../protocol/errors.js';
import * as frame from '../../protocol/link/frame.js';
import { assert, full, seed, suite } from '../helpers/suite.js';
import { Dice } from '../protocol/session/virtual.js';
import { mutate } from './mutate.js';

const test = suite('fuzz: frames');
const COUNT = full(2_000, 100_000);

interface Coder {
  readonly name: string;
  sample(dice: Dice): Uint8Array;
  decode(body: Uint8Array): unknown;
  /** Where every value has one encoding only. */
  encode?(value: never): Uint8Array;
}

const number = (dice: Dice): number => Math.floor(2 ** (dice.next() * 53)) - 1;
const text = (dice: Dice, max: number): string => 'aä€😀xyz'.repeat(9).slice(0, dice.between(1, max));

function coder<V>(
  name: string,
  sample: (dice: Dice) => V,
  encode: (value: V) => Uint8Array,
  decode: (body: Uint8Array) => V,
): Coder {
  return { name, sample: dice => encode(sample(dice)), decode, encode: encode as (value: never) => Uint8Array };
}

const CODERS: readonly Coder[] = [
  coder('LINKACK', d => ({ records: number(d), delay: number(d) }), frame.encodeLinkAck, frame.decodeLinkAck),
  coder(
    'ATTACH',
    d => ({ sessionId: d.bytes(16), epoch: number(d), proof: d.bytes(32) }),
    frame.encodeAttach,
    frame.decodeAttach,
  ),
  coder('OPENED', d => ({ stream: number(d), limit: number(d) }), frame.encodeOpened, frame.decodeOpened),
  coder('FIN', d => ({ stream: number(d), size: number(d) }), frame.encodeFin, frame.decodeFin),
  coder(
    'WINDOW',
    d => ({ stream: number(d), received: number(d), limit: number(d) }),
    frame.encodeWindow,
    frame.decodeWindow,
  ),
  coder('POOL', number, frame.encodePool, frame.decodePool),
  coder(
    'NEWS',
    d => ({ kind: d.below(256), bytes: d.bytes(d.below(50)) }),
    n => frame.encodeNews(n.kind, n.bytes),
    frame.decodeNews,
  ),
  coder(
    'OPEN',
    d => ({
      stream: number(d),
      class: d.pick(frame.STREAM_CLASSES),
      claim: d.below(65_537),
      limit: number(d),
      service: text(d, 20),
      instance: text(d, 30),
      metadata: new Map(Array.from({ length: d.below(5) }, (_, i) => [`${i}${text(d, 5)}`, text(d, 30)])),
    }),
    frame.encodeOpen,
    frame.decodeOpen,
  ),
  // Codes outside the table read as one and the same.
  { name: 'CLOSE', sample: d => frame.encodeClose('limit', text(d, 60)), decode: frame.decodeClose },
  { name: 'RESET', sample: d => frame.encodeReset({ stream: number(d), code: 'denied', dialed: d.chance(0.5) }), decode: frame.decodeReset }, // prettier-ignore
  { name: 'GOAWAY', sample: () => frame.encodeGoaway('draining'), decode: frame.decodeGoaway },
  { name: 'PING', sample: d => d.bytes(8), decode: frame.decodePing },
  { name: 'ATTACHED', sample: d => d.bytes(32), decode: frame.decodeAttached },
  {
    name: 'DATA',
    sample: d => Uint8Array.of(7, 0x40, d.between(0x40, 255), ...d.bytes(d.below(40))),
    decode: frame.decodeData,
  },
];

for (const { name, sample, decode, encode } of CODERS) {
  test(`${name}: decodes to what encodes the same, or is refused`, () => {
    const dice = new Dice(`${seed()} ${name}`);
    let refused = 0;
    for (let i = 0; i < COUNT; i++) {
      const body = i % 10 === 0 ? sample(dice) : mutate(dice, sample(dice));
      try {
        const value = decode(body);
        if (encode !== undefined) assert.ok(equal(encode(value as never), body), 'two encodings of one value');
      } catch (error) {
        if (!(error instanceof WarrenError)) throw error;
        assert.is(error.wire, 'protocol');
        refused++;
      }
    }
    assert.ok(refused < COUNT, 'nothing is ever accepted');
  }, { deadline: full(20_000, 300_000) }); // prettier-ignore
}

test('records of frames: cut, mixed and repeated', () => {
  const dice = new Dice(`${seed()} plaintext`);
  for (let i = 0; i < COUNT; i++) {
    const record = mutate(dice, dice.bytes(dice.between(0, 60)));
    let bytes = 0;
    try {
      frame.readFrames(record, (_type, body) => (bytes += body.length));
      assert.ok(bytes < record.length);
    } catch (error) {
      if (!(error instanceof WarrenError)) throw error;
    }
  }
});

test.run();
