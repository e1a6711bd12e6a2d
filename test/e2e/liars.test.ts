/** A member with a home and a grant of its own that lies, floods and does not read; beside it, honest members. */
import type { Diagnostics } from '../../protocol/admin/contract.js';
import { EMPTY } from '../../protocol/bytes.js';
import type { Code } from '../../protocol/codes.js';
import { FRAME, encodeAttach, encodeFin, encodePool, encodeReset, encodeWindow } from '../../protocol/link/index.js';
import { Askers, answering } from '../helpers/askers.js';
import { Lab, until, type Host } from '../helpers/hosts.js';
import { Rogue, type RogueLink } from '../helpers/rogue.js';
import { startService } from '../helpers/traffic.js';
import { dataBody, openBody } from '../protocol/session/liar.js';
import { assert, full, isFull, suite } from '../helpers/suite.js';

const test = suite('liars');
const lab = new Lab();
const MIB = 1024 * 1024;
/** "Flat": the second half of a run against the first, after a forced collection. */
const FLAT_BYTES = 5 * MIB;
const HONEST_CLIENTS = 10;
const FLOOD_FRAMES = full(150_000, 1_000_000);
/** Frames of a flood that are said in one go. */
const AT_ONCE = 500;
/** The liar's own memory is not what is tested: it waits when so much is unsent. */
const UNSENT_MOST = 4 * MIB;

let victim: Host;
let rogue: Rogue;
let askers: Askers;

test.before(async () => {
  let honest: Host;
  [victim, honest] = await lab.pair();
  await victim.ok(['expose', 'answers', String(await startService(lab, answering))]);
  rogue = await Rogue.join(lab, victim, 'rogue');
  askers = await Askers.start(await honest.connect('answers'), HONEST_CLIENTS);
});
test.after(() => lab.close());

/** The first id that the rogue may open, and the first of the victim's. */
const own = ({ isDecider }: RogueLink): number => (isDecider ? 0 : 1);
const others = ({ isDecider }: RogueLink): number => (isDecider ? 1 : 0);

const open = (l: RogueLink, index = 0): RogueLink =>
  l.say(FRAME.OPEN, openBody(own(l) + 2 * index, 0, 1000, 'answers'));
const window = (stream: number, received: number): Uint8Array => encodeWindow({ stream, received, limit: 1000 });
const reset = (stream: number): Uint8Array => encodeReset({ stream, code: 'cancelled', dialed: false });

/** One frame, or a few: the session ends with the code at once. */
const LIES: Readonly<Record<string, readonly [Code, (l: RogueLink) => void]>> = {
  'acknowledges bytes never sent': ['protocol', l => open(l).say(FRAME.WINDOW, window(own(l), 900))],
  'sends beyond its credit': [
    'flow-control',
    l => open(l).say(FRAME.DATA, dataBody(own(l), 2 ** 40, new Uint8Array(9))),
  ],
  'changes its end': [
    'protocol',
    l =>
      open(l)
        .say(FRAME.FIN, encodeFin({ stream: own(l), size: 0 }))
        .say(FRAME.FIN, encodeFin({ stream: own(l), size: 5 })),
  ],
  'opens with the ids of the victim': ['protocol', l => l.say(FRAME.OPEN, openBody(others(l)))],
  'data for a stream that never was': ['protocol', l => l.say(FRAME.DATA, dataBody(own(l) + 40, 0, new Uint8Array(9)))],
  'claims more early credit than it was granted': [
    'flow-control',
    l =>
      void Array.from({ length: 80 }, (_, i) => l.say(FRAME.OPEN, openBody(own(l) + 2 * i, 64 * 1024, 0, 'answers'))),
  ],
  'attaches within a session': ['protocol', l => l.say(FRAME.NEW, EMPTY)],
  'says what may not be passed over': ['unsupported', l => l.say(0x3fe, EMPTY)],
};

/** Again and again, and no answer is read. */
const FLOODS: Readonly<Record<string, (l: RogueLink, i: number) => void>> = {
  'opens and resets': (l, i) => void open(l, i).say(FRAME.RESET, reset(own(l) + 2 * i)),
  pings: l => void l.say(FRAME.PING, new Uint8Array(8)),
  credit: (l, i) => void (i === 0 ? open(l) : l.say(FRAME.WINDOW, window(own(l), 0)).say(FRAME.POOL, encodePool(i))),
  'empty frames': (l, i) => void (i === 0 ? open(l) : l.say(FRAME.DATA, dataBody(own(l), 0, EMPTY))),
  'unknown frames': l => void l.say(0x3ff, EMPTY),
};

async function lie(name: string): Promise<void> {
  const [code, say] = LIES[name]!;
  const link = await rogue.session();
  say(link);
  await until(`the liar that ${name} is turned away`, () => link.verdict !== undefined);
  assert.is(link.verdict, code, name);
}

/** Whether the liar hears a code or not (it does not read), its link ends. @returns frames said */
async function flood(name: string): Promise<number> {
  const one = FLOODS[name]!;
  const link = await rogue.session();
  link.stopReading();
  let said = 0;
  while (said < FLOOD_FRAMES && !link.link.isClosed) {
    for (let i = 0; i < AT_ONCE; i++) one(link, said++);
    link.link.flush();
    await new Promise(resolve => setImmediate(resolve));
    await until('the victim takes the bytes', () => link.unsent < UNSENT_MOST || link.link.isClosed, 60_000);
  }
  await until(`the flood of ${name} is cut`, async () => link.link.isClosed || !(await isConnected()), 60_000);
  link.end();
  return said;
}

async function isConnected(): Promise<boolean> {
  return (await victim.status()).peers.some(p => p.name === 'rogue' && p.state === 'connected');
}

/** A proof of nothing, on a second link beside the live session. */
async function forgedAttach(): Promise<void> {
  const first = await rogue.session();
  const second = await rogue.link();
  const forged = new Uint8Array(32);
  if (second.isDecider)
    second.say(FRAME.ATTACH, encodeAttach({ sessionId: new Uint8Array(16), epoch: 0, proof: forged }));
  else second.say(FRAME.ATTACHED, forged);
  await until('the second link is answered', () => second.verdict !== undefined || second.heard.length > 0);
  assert.ok(second.verdict === undefined || ['protocol', 'attach-failed'].includes(second.verdict), second.verdict);
  assert.is(first.verdict, undefined, 'the session is not touched');
  second.end();
  first.end();
}

async function everything(): Promise<number> {
  for (const name of Object.keys(LIES)) await lie(name);
  await forgedAttach();
  let said = 0;
  for (const name of Object.keys(FLOODS)) said += await flood(name);
  return said;
}

interface Held {
  /** The most that is resident: V8 gives the pages of its young generation (25 MiB of them) back now and then, as it pleases. */
  readonly rss: number;
  /** The least that heap and buffers hold. */
  readonly used: number;
}

function mib(bytes: number): string {
  return (bytes / MIB).toFixed(1);
}

test(
  'each liar is turned away with its code; honest clients of another member see nothing, memory is flat',
  async () => {
    await everything();
    const half = async (): Promise<Held> => {
      const readings: Diagnostics[] = [];
      for (let i = 0; i < full(1, 6); i++) {
        await everything();
        readings.push(await victim.collected());
      }
      return {
        rss: Math.max(...readings.map(r => r.rssBytes)),
        used: Math.min(...readings.map(r => r.heapUsedBytes + r.externalBytes)),
      };
    };
    const middle = await half();
    const before = askers.answers;
    const after = await half();
    assert.ok(askers.answers - before > HONEST_CLIENTS, `${askers.answers - before} answers meanwhile`);
    await askers.stop();
    assert.equal(askers.errors, []);
    console.log(
      `note: used ${mib(middle.used)} → ${mib(after.used)} MiB, RSS ${mib(middle.rss)} → ${mib(after.rss)} MiB, ` +
        `${askers.answers} honest answers, the slowest after ${askers.slowestMs.toFixed(0)} ms`,
    );
    assert.ok(after.used - middle.used <= FLAT_BYTES, `what is used grew by ${after.used - middle.used} bytes`);
    // A short run says nothing of pages that were used once: the whole one does.
    if (isFull) assert.ok(after.rss - middle.rss <= FLAT_BYTES, `RSS grew by ${after.rss - middle.rss} bytes`);
    await until('nothing is left of the liar', async () => {
      const { streams, reorderBytes } = await victim.diagnostics();
      return streams === 0 && reorderBytes === 0;
    });
  },
  { deadline: full(240_000, 1_200_000) },
);

test.run();
