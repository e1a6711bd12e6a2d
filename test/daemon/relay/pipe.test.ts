/** Two streams joined at the relay, and the pace: pure, in virtual time, with streams that a test plays. */
import type { Code } from '../../../protocol/codes.js';
import { Pace } from '../../../daemon/relay/pace.js';
import { Pipe, type PipeEnd } from '../../../daemon/relay/pipe.js';
import type { RelayStream } from '../../../daemon/relay/types.js';
import { assert, suite } from '../../helpers/suite.js';
import { VirtualTime } from '../../helpers/virtual-time.js';

const test = suite('relay: pipe and pace');

/** Notes what is done to it; takes `room` bytes before it asks to pause. */
class PlayedStream implements RelayStream {
  readonly written: Uint8Array[] = [];
  room = Infinity;
  given = 0;
  ended = false;
  accepted = false;
  resetWith: Code | undefined;
  unsent = 0;
  onReset: () => void = () => undefined;

  write(chunk: Uint8Array): boolean {
    this.written.push(chunk);
    this.room -= chunk.length;
    return this.room > 0;
  }

  end(): void {
    this.ended = true;
  }

  reset(code: Code): void {
    if (this.resetWith !== undefined) return;
    this.resetWith = code;
    this.onReset();
  }

  consumed(n: number): void {
    this.given += n;
  }

  accept(): void {
    this.accepted = true;
  }
}

interface Rig {
  readonly time: VirtualTime;
  readonly origin: PlayedStream;
  readonly target: PlayedStream;
  readonly pipe: Pipe;
  readonly ends: PipeEnd[];
}

function rig(bytesPerSecond = 1e12): Rig {
  const time = new VirtualTime();
  const [origin, target] = [new PlayedStream(), new PlayedStream()];
  const ends: PipeEnd[] = [];
  const pace = (): Pace => new Pace(time, bytesPerSecond, 100);
  const pipe = new Pipe(origin, { timers: time, originPace: pace(), targetPace: pace(), done: end => ends.push(end) });
  pipe.attach(target);
  origin.onReset = () => pipe.ofOrigin.closed!();
  target.onReset = () => pipe.ofTarget.closed!();
  return { time, origin, target, pipe, ends };
}

const chunk = (n: number): Uint8Array => new Uint8Array(n).fill(n & 0xff);

test('opened, bytes and ends pass through, the chunks themselves uncopied', () => {
  const { origin, target, pipe, ends } = rig();
  const [one, two] = [chunk(10), chunk(20)];
  pipe.ofOrigin.data(one);
  assert.is(origin.accepted, false);
  pipe.ofTarget.opened!();
  assert.ok(origin.accepted);
  pipe.ofTarget.data(two);
  assert.ok(target.written[0] === one && origin.written[0] === two);
  assert.equal([origin.given, target.given, pipe.bytes], [10, 20, 30]);
  pipe.ofOrigin.fin();
  assert.equal([target.ended, origin.ended], [true, false], 'half-closed');
  pipe.ofTarget.data(chunk(5));
  assert.is(origin.written.length, 2);
  pipe.ofTarget.fin();
  assert.ok(origin.ended);
  assert.equal(ends, []);
  pipe.ofOrigin.closed!();
  assert.equal(ends, []);
  pipe.ofTarget.closed!();
  assert.equal(ends, [{ code: 'no-error', bytesForth: 10, bytesBack: 25 }]);
});

test('credit goes back when the other side has room', () => {
  const { origin, target, pipe } = rig();
  target.room = 100;
  pipe.ofOrigin.data(chunk(60));
  assert.is(origin.given, 60);
  pipe.ofOrigin.data(chunk(60));
  pipe.ofOrigin.data(chunk(60));
  assert.is(target.written.length, 3, 'what has come is passed on whatever happens');
  assert.is(origin.given, 60);
  pipe.ofTarget.data(chunk(7));
  assert.is(target.given, 7, 'the other direction goes on');
  target.room = 100;
  pipe.ofTarget.drain!();
  assert.is(origin.given, 180);
});

test('a reset of either stream ends the other one with its code, once', () => {
  const one = rig();
  one.pipe.ofOrigin.reset('link-lost', true);
  one.pipe.ofOrigin.closed!();
  assert.is(one.target.resetWith, 'link-lost');
  assert.equal(one.ends.map(e => e.code), ['link-lost']); // prettier-ignore
  const two = rig();
  two.pipe.ofTarget.reset('denied', false);
  two.pipe.ofTarget.closed!();
  assert.is(two.origin.resetWith, 'denied');
  assert.equal(two.ends.map(e => e.code), ['denied']); // prettier-ignore
  const three = rig();
  three.pipe.cut('draining');
  assert.equal([three.origin.resetWith, three.target.resetWith], ['draining', 'draining']);
  assert.equal(three.ends.map(e => e.code), ['draining']); // prettier-ignore
});

test('the pace holds credit back, and no timer is left at the end', () => {
  const { time, origin, target, pipe, ends } = rig(1000);
  pipe.ofOrigin.data(chunk(100));
  assert.is(origin.given, 100, 'a burst goes at once');
  pipe.ofOrigin.data(chunk(500));
  pipe.ofOrigin.data(chunk(500));
  assert.is(target.written.length, 3);
  assert.is(origin.given, 100);
  assert.is(time.pending, 1, 'one timer, whatever waits');
  time.advance(999);
  assert.is(origin.given, 100);
  time.advance(1);
  assert.is(origin.given, 1100);
  pipe.ofOrigin.data(chunk(50));
  assert.is(time.pending, 1);
  pipe.cut('draining');
  assert.is(time.pending, 0);
  assert.is(ends.length, 1);
});

test('a member that sends all the time gets its rate, one that was quiet no more than the burst on top', () => {
  const time = new VirtualTime();
  const pace = new Pace(time, 2000, 250);
  let sent = 0;
  const sendFor = (ms: number): number => {
    const before = sent;
    for (const end = time.monotonic() + ms; time.monotonic() < end; time.advance(1)) {
      while (pace.wait() === 0) {
        pace.spend(100);
        sent += 100;
      }
    }
    return sent - before;
  };
  assert.ok(Math.abs(sendFor(10_000) - 20_500) <= 200, `${sent}`);
  time.advance(60_000);
  const later = sendFor(1_000);
  assert.ok(Math.abs(later - 2_500) <= 200, `${later}`);
});

test.run();
