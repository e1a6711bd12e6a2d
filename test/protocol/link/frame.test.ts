import { concat, utf8, varintLength } from '../../../protocol/bytes.js';
import { CODES, type Code } from '../../../protocol/codes.js';
import {
  MAX_CLAIM,
  MAX_CLOSE_TEXT,
  MAX_METADATA,
  MAX_NEWS,
  MAX_OFFSET,
  MAX_RECORD_PLAINTEXT,
} from '../../../protocol/limits.js';
import * as frame from '../../../protocol/link/frame.js';
import { RecordDraft } from '../../../protocol/link/index.js';
import { assert, suite } from '../../helpers/suite.js';

const test = suite('frames');
const { FRAME } = frame;

function framesOf(plaintext: Uint8Array): [number, Uint8Array][] {
  const out: [number, Uint8Array][] = [];
  frame.readFrames(plaintext, (type, body) => void out.push([type, body]));
  return out;
}

function drafted(build: (draft: RecordDraft) => void): Uint8Array {
  const draft = new RecordDraft();
  draft.begin(0, MAX_RECORD_PLAINTEXT);
  build(draft);
  const bytes = concat(...draft.finish());
  assert.is(bytes.length, draft.size, 'the draft knows its size');
  return bytes;
}

test('a draft holds whole frames in order, whatever their sizes', () => {
  const bodies = [0, 1, 63, 64, 4095, 4096, 16_383, 16_384, 70_000].map(n => new Uint8Array(n).fill(n));
  const plaintext = drafted(d => bodies.forEach((b, i) => assert.ok(d.frame(i === 3 ? 0x1234 : 2 * i, b))));
  const got = framesOf(plaintext);
  assert.equal(got.map(([, b]) => b), bodies); // prettier-ignore
  assert.is(got[3]![0], 0x1234);
});

test('a draft refuses what does not fit, and stays usable', () => {
  const draft = new RecordDraft();
  draft.begin(0, MAX_RECORD_PLAINTEXT);
  assert.ok(draft.frame(2, new Uint8Array(400_000)));
  assert.is(draft.frame(2, new Uint8Array(200_000)), false);
  assert.ok(draft.isFull);
  assert.is(framesOf(concat(...draft.finish())).length, 1);
  draft.begin(1, 1000);
  assert.ok(draft.frame(4, new Uint8Array(5)));
  assert.equal(framesOf(concat(...draft.finish())), [[4, new Uint8Array(5)]]);
});

test('DATA of several pieces is one frame, large pieces are not copied', () => {
  const [small, large] = [new Uint8Array(10).fill(1), new Uint8Array(10_000).fill(2)];
  const draft = new RecordDraft();
  draft.begin(0, MAX_RECORD_PLAINTEXT);
  draft.data(77, 2 ** 33, [small, large, small], 10_020);
  const parts = draft.finish();
  assert.ok(parts.includes(large));
  const [[type, body]] = framesOf(concat(...parts)) as [[number, Uint8Array]];
  const data = frame.decodeData(body);
  assert.equal([type, data.stream, data.offset], [FRAME.DATA, 77, 2 ** 33]);
  assert.equal(data.bytes, concat(small, large, small));
  assert.is(draft.size, frame.dataHeaderLength(77, 2 ** 33, 10_020) + 10_020);
});

test('drafts of many sizes reuse their memory without mixing records', () => {
  const draft = new RecordDraft();
  for (let i = 0; i < 200; i++) {
    draft.begin(i, MAX_RECORD_PLAINTEXT);
    const bodies = Array.from({ length: 1 + (i % 7) }, (_, k) => new Uint8Array((i * 37 + k * 911) % 9000).fill(i + k));
    bodies.forEach(b => assert.ok(draft.frame(2, b)));
    assert.equal(framesOf(concat(...draft.finish())).map(([, b]) => b), bodies); // prettier-ignore
    if (i % 50 === 0) draft.trim();
  }
});

test('cut or empty records are malformed', () => {
  assert.throws(() => framesOf(new Uint8Array(0)), /empty/);
  const whole = drafted(d => d.frame(2, new Uint8Array(100)));
  for (let n = 1; n < whole.length; n++) assert.throws(() => framesOf(whole.subarray(0, n)), /too early/);
});

test('every body comes back as it was', () => {
  const ping = Uint8Array.of(1, 2, 3, 4, 5, 6, 7, 8);
  assert.equal(frame.decodePing(ping), ping);
  const ack = { records: 2 ** 40, delay: 123 };
  assert.equal(frame.decodeLinkAck(frame.encodeLinkAck(ack)), ack);
  const attach = { sessionId: new Uint8Array(16).fill(1), epoch: 99, proof: new Uint8Array(32).fill(2) };
  assert.equal(frame.decodeAttach(frame.encodeAttach(attach)), attach);
  const metadata = new Map([['caller', 'spiffe://x'], ['', 'ü']]); // prettier-ignore
  for (const streamClass of frame.STREAM_CLASSES) {
    const open = { stream: 6, class: streamClass, claim: MAX_CLAIM, limit: MAX_OFFSET, service: 's', instance: 'i', metadata }; // prettier-ignore
    assert.equal(frame.decodeOpen(frame.encodeOpen(open)), open);
  }
  assert.equal(frame.decodeOpened(frame.encodeOpened({ stream: 1, limit: 2 })), { stream: 1, limit: 2 });
  assert.equal(frame.decodeFin(frame.encodeFin({ stream: 1, size: MAX_OFFSET })), { stream: 1, size: MAX_OFFSET });
  const window = { stream: 3, received: MAX_OFFSET + 1, limit: 4 };
  assert.equal(frame.decodeWindow(frame.encodeWindow(window)), window);
  for (const dialed of [true, false]) {
    const reset = { stream: 3, code: 'denied' as const, dialed };
    assert.equal(frame.decodeReset(frame.encodeReset(reset)), reset);
  }
  assert.is(frame.decodePool(frame.encodePool(5)), 5);
  assert.is(frame.decodeGoaway(frame.encodeGoaway('draining')), 'draining');
  assert.equal(frame.decodeNews(frame.encodeNews(7, ping)), { kind: 7, bytes: ping });
});

test('every code passes CLOSE, RESET and GOAWAY; one not in the table reads as unknown', () => {
  for (const code of Object.keys(CODES) as Code[]) {
    assert.equal(frame.decodeClose(frame.encodeClose(code, 'why')), { code, text: 'why' });
    assert.is(frame.decodeGoaway(frame.encodeGoaway(code)), code);
  }
  assert.is(frame.decodeGoaway(Uint8Array.of(0x12, 0x34)), 'unknown-code');
});

test('a sentence in CLOSE is cut between characters', () => {
  const { text } = frame.decodeClose(frame.encodeClose('limit', 'ü'.repeat(150)));
  assert.is(text, 'ü'.repeat(MAX_CLOSE_TEXT / 2));
  assert.is(frame.decodeClose(frame.encodeClose('limit', `x${'ü'.repeat(150)}`)).text, `x${'ü'.repeat(99)}`);
  assert.throws(() => frame.decodeClose(new Uint8Array(2 + MAX_CLOSE_TEXT + 1)), /a text of/);
});

test('what does not fit into a frame is refused before it is sent', () => {
  const open = { stream: 0, class: 'bulk' as const, claim: 0, limit: 0, service: 's', instance: '', metadata: new Map<string, string>() }; // prettier-ignore
  assert.throws(() => frame.encodeOpen({ ...open, service: 'x'.repeat(64) }), /longer than 63/);
  assert.throws(() => frame.encodeOpen({ ...open, metadata: new Map([['k', 'v'.repeat(MAX_METADATA)]]) }), /metadata/);
  assert.throws(() => frame.encodeOpen({ ...open, metadata: new Map(Array.from({ length: 65 }, (_, i) => [`${i}`, ''])) }), /too many/); // prettier-ignore
  assert.throws(() => frame.encodeNews(1, new Uint8Array(MAX_NEWS + 1)), /at most/);
});

test('bodies with a wrong length, order or value are malformed', () => {
  const good = frame.encodeOpen({ stream: 2, class: 'bulk', claim: 1, limit: 2, service: 'abc', instance: '', metadata: new Map([['k', 'v']]) }); // prettier-ignore
  for (let n = 0; n < good.length; n++) assert.throws(() => frame.decodeOpen(good.subarray(0, n)), /OPEN/);
  assert.throws(() => frame.decodeOpen(concat(good, Uint8Array.of(0))), /too many/);
  assert.throws(() => frame.decodeOpen(concat(good.subarray(0, 1), Uint8Array.of(3), good.subarray(2))), /class/);
  const twice = concat(good.subarray(0, good.length - 5), Uint8Array.of(2, 1, 107, 1, 118, 1, 107, 1, 118));
  assert.throws(() => frame.decodeOpen(twice), /twice/);
  assert.throws(() => frame.decodeOpen(concat(Uint8Array.of(2, 1, 1, 2, 0), Uint8Array.of(0, 0))), /no service/);
  assert.throws(() => frame.decodeReset(Uint8Array.of(1, 0, 1, 2)), /flag/);
  assert.throws(() => frame.decodePing(new Uint8Array(7)), /7 bytes/);
  assert.throws(() => frame.decodeAttached(new Uint8Array(31)), /31 bytes/);
  assert.throws(() => frame.decodeNews(new Uint8Array(2 + MAX_NEWS)), /bytes/);
  assert.throws(() => frame.decodeLinkAck(Uint8Array.of(0x40, 1, 0)), /shortest/);
  assert.throws(() => frame.requireEmpty('NEW', Uint8Array.of(1)), /too many/);
});

test('sizes are what the arithmetic says', () => {
  for (const body of [0, 63, 64, 16_383, 16_384]) {
    for (const type of [2, 63, 64, 20_000]) {
      assert.is(frame.frameLength(type, body), varintLength(type) + varintLength(body) + body);
      assert.is(drafted(d => d.frame(type, new Uint8Array(body))).length, frame.frameLength(type, body));
    }
  }
  const largest = frame.dataHeaderLength(2 ** 53 - 1, MAX_OFFSET, MAX_RECORD_PLAINTEXT);
  assert.ok(largest <= frame.MAX_DATA_HEADER);
});

test('an offset that would pass 2^53 is malformed', () => {
  const body = new Uint8Array(20);
  const end = frame.writeDataHeader(body, 0, 1, MAX_OFFSET, 0);
  const inner = body.subarray(2, end);
  assert.ok(frame.decodeData(inner));
  assert.throws(() => frame.decodeData(concat(inner, Uint8Array.of(1))), /beyond/);
});

test('texts that are not UTF-8 are malformed', () => {
  assert.throws(() => frame.decodeClose(Uint8Array.of(0, 0, 0xff)), /UTF-8/);
  void utf8;
});

test.run();
