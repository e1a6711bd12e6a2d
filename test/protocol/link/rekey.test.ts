/** Each side states in the handshake after how many bytes it rekeys what it sends; the other side follows. */
import { DEFAULT_LIMITS, MAX_NEWS, MIN_REKEY_BYTES } from '../../../protocol/limits.js';
import { FRAME, Link, type LinkPort } from '../../../protocol/link/index.js';
import type { Established } from '../../../protocol/handshake/types.js';
import { assert, suite } from '../../helpers/suite.js';
import { VirtualTime } from '../../helpers/virtual-time.js';
import { makeNode, real, shake } from '../handshake/nodes.js';

const test = suite('rekey intervals of a link');

interface End {
  readonly link: Link;
  readonly closed: string[];
  heard: number;
}

/** Two links over a wire that delivers at once. */
function joined(established: readonly [Established, Established]): readonly [End, End] {
  const timers = new VirtualTime();
  const ends: End[] = [];
  const make = (side: 0 | 1): End => {
    const port: LinkPort = {
      buffered: 0,
      write: chunks => chunks.forEach(chunk => ends[1 - side]!.link.receive(chunk)),
      close: () => undefined,
      abort: () => undefined,
    };
    const closed: string[] = [];
    const link = new Link({
      established: established[side],
      port,
      timers,
      primitives: real,
      limits: DEFAULT_LIMITS,
      onClosed: (code, sentence) => void closed.push(`${code} ${sentence}`),
    });
    const end: End = { link, closed, heard: 0 };
    link.setHandler({ frame: (_type, body) => void (end.heard += body.length) });
    return end;
  };
  ends.push(make(0), make(1));
  return [ends[0]!, ends[1]!];
}

function send({ link }: End, bytes: number): void {
  for (let left = bytes; left > 0; left -= MAX_NEWS) {
    link.send(FRAME.NEWS, new Uint8Array(Math.min(left, MAX_NEWS)));
    link.flush();
  }
}

test('either side has its own interval, and the other follows it', () => {
  const [a, b] = [makeNode('a'), makeNode('b')];
  a.ctx.rekeyBytes = MIN_REKEY_BYTES;
  b.ctx.rekeyBytes = 3 * MIN_REKEY_BYTES;
  for (const [dialer, acceptor] of [
    [a, b],
    [b, a],
  ] as const) {
    const { dialed, accepted } = shake(dialer, acceptor);
    const [left, right] = joined(dialer === a ? [dialed, accepted] : [accepted, dialed]);
    send(left, 6.5 * MIN_REKEY_BYTES);
    assert.equal([left.link.rekeys, right.link.rekeys], [6, 6]);
    send(right, 6.5 * MIN_REKEY_BYTES);
    assert.equal([left.link.rekeys, right.link.rekeys], [8, 8]);
    assert.equal([left.heard, right.heard], [6.5 * MIN_REKEY_BYTES, 6.5 * MIN_REKEY_BYTES]);
    assert.equal([left.closed, right.closed], [[], []]);
    left.link.close('no-error');
  }
});

test('a side that states nothing rekeys as the protocol says', () => {
  const [a, b] = [makeNode('a'), makeNode('b')];
  a.ctx.rekeyBytes = MIN_REKEY_BYTES;
  const { dialed, accepted } = shake(a, b);
  assert.is(accepted.peer.rekeyBytes, MIN_REKEY_BYTES);
  assert.is(dialed.peer.rekeyBytes, undefined);
  const [left, right] = joined([dialed, accepted]);
  send(right, 3 * MIN_REKEY_BYTES);
  assert.equal([left.link.rekeys, right.link.rekeys], [0, 0]);
  send(left, 3 * MIN_REKEY_BYTES);
  assert.equal([left.link.rekeys, right.link.rekeys], [3, 3]);
  left.link.close('no-error');
});

test.run();
