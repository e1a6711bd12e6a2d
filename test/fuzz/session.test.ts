/**
 * Mutated plaintext, sealed validly, against a live session with streams in every state: it goes on or closes with a
 * code; it never throws, hangs, grants beyond its budget or leaves anything behind.
 */
import { concat } from '../../protocol/bytes.js';
import type { Code } from '../../protocol/codes.js';
import * as frame from '../../protocol/link/frame.js';
import { RecordDraft } from '../../protocol/link/index.js';
import type { RecordSealer } from '../../protocol/link/record.js';
import type { LinkPort } from '../../protocol/link/index.js';
import { limitsWith } from '../../protocol/limits.js';
import { assert, full, seed, suite } from '../helpers/suite.js';
import { dataBody, Liar, openBody } from '../protocol/session/liar.js';
import { Dice } from '../protocol/session/virtual.js';
import { mutate } from './mutate.js';

const test = suite('fuzz: sessions');
const LIMITS = limitsWith({ receive: { peer: 1 << 20 }, retain: { peer: 1 << 20 }, session: { streams: 20 } });
const EXPECTED: ReadonlySet<Code> = new Set<Code>(['protocol', 'unsupported', 'flow-control', 'limit']);
const { FRAME } = frame;

/** A victim with streams of both sides: some accepted, some not, some half-closed. */
function victim(dice: Dice): Liar {
  const liar = new Liar({
    limits: LIMITS,
    onStream(stream) {
      if (dice.chance(0.2)) return 'denied';
      if (dice.chance(0.7)) stream.accept();
      return {
        data(chunk) {
          if (dice.chance(0.7)) stream.consumed(chunk.length);
          if (dice.chance(0.3)) stream.write(chunk);
        },
        fin: () => (dice.chance(0.5) ? stream.end() : undefined),
        reset: () => undefined,
      };
    },
  });
  const quiet = { data: () => undefined, fin: () => undefined, reset: () => undefined };
  for (let i = 0; i < 4; i++) {
    const stream = liar.session.open({ service: 'x', class: 'bulk' }, quiet);
    stream.write(new Uint8Array(100));
    if (i % 2 === 0) stream.end();
  }
  liar
    .say(FRAME.OPENED, frame.encodeOpened({ stream: 0, limit: 1000 }))
    .open(1, 100)
    .open(3, 100)
    .open(5, 100);
  liar.data(1, 0, new Uint8Array(50)).say(FRAME.FIN, frame.encodeFin({ stream: 3, size: 10 }));
  return liar.run();
}

function randomFrame(dice: Dice): [number, Uint8Array] {
  const stream = dice.below(9);
  const n = dice.pick([0, 1, 50, 99, 100, 101, 1000, 65_536, 65_537]);
  const makers: (() => [number, Uint8Array])[] = [
    () => [FRAME.DATA, dataBody(stream, n, new Uint8Array(dice.below(200)))],
    () => [FRAME.WINDOW, frame.encodeWindow({ stream, received: n, limit: dice.below(5000) })],
    () => [FRAME.OPEN, openBody(dice.below(40), dice.below(2), n)],
    () => [FRAME.OPENED, frame.encodeOpened({ stream, limit: n })],
    () => [FRAME.FIN, frame.encodeFin({ stream, size: n })],
    () => [FRAME.RESET, frame.encodeReset({ stream, code: 'cancelled', dialed: dice.chance(0.5) })],
    () => [FRAME.POOL, frame.encodePool(n)],
    () => [FRAME.GOAWAY, frame.encodeGoaway('draining')],
    () => [FRAME.NEWS, frame.encodeNews(dice.below(256), dice.bytes(5))],
    () => [FRAME.PING, dice.bytes(8)],
    () => [FRAME.PONG, dice.bytes(8)],
    () => [FRAME.LINKACK, frame.encodeLinkAck({ records: dice.below(9), delay: n })],
    () => [FRAME.RESUMED, new Uint8Array(0)],
    () => [
      dice.pick([FRAME.NEW, FRAME.ATTACH, FRAME.CONFIRM, FRAME.ADMIT, 0x3ff, 0x3fe, FRAME.DATAGRAM]),
      dice.bytes(n % 64),
    ],
  ];
  return dice.pick(makers)();
}

/** Seals and sends a plaintext of the test's own making. */
function sendRecord(liar: Liar, plaintext: Uint8Array): void {
  const raw = liar.link as unknown as { sealer: RecordSealer; port: LinkPort };
  raw.port.write(raw.sealer.seal([plaintext]));
}

test('mutated frames, sealed validly', () => {
  const dice = new Dice(`${seed()} session`);
  let liar = victim(dice);
  let lived = 0;
  let died = 0;
  for (let i = 0; i < full(2_000, 100_000); i++) {
    const draft = new RecordDraft();
    draft.begin(0, 60_000);
    for (let n = dice.between(1, 4); n > 0; n--) draft.frame(...randomFrame(dice));
    const plain = concat(...draft.finish());
    const bytes = dice.chance(0.6) ? mutate(dice, plain) : plain;
    if (bytes.length === 0) continue;
    if (!liar.link.isClosed) sendRecord(liar, bytes);
    liar.run(dice.pick([0, 1, 100]));
    const { granted, retained } = liar.victim.budget;
    assert.ok(granted >= 0 && granted <= LIMITS.receive.peer, `${granted} granted`);
    assert.ok(retained >= 0 && retained <= LIMITS.retain.peer + 20 * LIMITS.retain.least, `${retained} retained`);
    if (liar.isOver || liar.victimLink.isClosed || dice.chance(0.02)) {
      const code = liar.victim.closed.at(-1)?.[0];
      const by = liar.victim.closed.at(-1)?.[2];
      assert.ok(code === undefined || by === 'peer' || EXPECTED.has(code), JSON.stringify(liar.victim.closed.at(-1)));
      if (code !== undefined) died++;
      liar.victim.slot.close('going-away');
      assert.equal([liar.victim.budget.granted, liar.victim.budget.retained], [0, 0]);
      liar = victim(dice);
    } else {
      lived++;
    }
  }
  assert.ok(died > 50 && lived > 50, `${died} died, ${lived} lived`);
}, { deadline: full(60_000, 1_800_000) }); // prettier-ignore

test('mutated frames during the attach', () => {
  const dice = new Dice(`${seed()} attach`);
  const types = [FRAME.NEW, FRAME.ATTACH, FRAME.NEW_OK, FRAME.ATTACHED, FRAME.UNKNOWN, FRAME.CONFIRM, FRAME.RESUMED, FRAME.ADMIT];
  for (let i = 0; i < full(200, 5_000); i++) {
    const liar = victim(dice);
    const session = liar.session;
    liar.link.close('no-error');
    liar.run();
    const { links } = liar.world.connect();
    links[1].setHandler({ frame: () => undefined });
    liar.victim.slot.linkAdmitted(links[0]);
    for (let n = 0; n < 5; n++) {
      links[1].send(dice.pick(types), dice.bytes(dice.pick([0, 0, 16, 32, 50, 52])));
      liar.run(dice.pick([0, 10]));
    }
    // UNKNOWN is a word that must be believed; nothing else touches the session.
    const [code] = liar.victim.closed.at(-1)!;
    if (!liar.victim.events.includes('down peer-restarted')) assert.is(liar.victim.slot.session, session, code);
  }
}, { deadline: full(30_000, 600_000) }); // prettier-ignore

test.run();
