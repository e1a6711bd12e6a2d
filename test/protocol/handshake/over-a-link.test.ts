/** Handshake, admission and session together over real links: what is on the wire in which flight. */
import { concat } from '../../../protocol/bytes.js';
import type { Code } from '../../../protocol/codes.js';
import { Admission } from '../../../protocol/handshake/admission.js';
import { Initiator } from '../../../protocol/handshake/handshake.js';
import type { Established } from '../../../protocol/handshake/types.js';
import { DEFAULT_LIMITS } from '../../../protocol/limits.js';
import { Link } from '../../../protocol/link/index.js';
import { ProcessBudget, SessionSlot, type Session } from '../../../protocol/session/index.js';
import { assert, suite } from '../../helpers/suite.js';
import { admit, copy, founder, newcomer, pen, pskOf, publish, type TestMember } from './members.js';
import { expectKind, real, respond } from './nodes.js';
import { issueRevocation } from '../../../protocol/identity/index.js';

const test = suite('handshake over a link');

/** One end: link, admission, session slot; what it writes waits in `out`. */
class Side {
  out: Uint8Array[] = [];
  readonly closed: string[] = [];
  readonly news: string[] = [];
  session: Session | undefined;
  refusal: Code | undefined;
  readonly link: Link;
  private readonly admission: Admission;

  constructor(node: TestMember, established: Established) {
    const timers = node.ctx.clock;
    this.link = new Link({
      established,
      timers,
      primitives: real,
      limits: DEFAULT_LIMITS,
      port: {
        buffered: 0,
        write: chunks => void this.out.push(...chunks),
        close: () => undefined,
        abort: () => undefined,
      },
      onClosed: (code, _sentence, by) => void this.closed.push(`${by}: ${code}`),
    });
    const slot = new SessionSlot({
      local: node.keys.nodeId,
      peer: established.peer.nodeId,
      primitives: real,
      timers,
      limits: DEFAULT_LIMITS,
      budget: new ProcessBudget(DEFAULT_LIMITS),
      onStream: () => 'no-service',
      onNews: () => undefined,
      onUp: session => (this.session = session),
      onHeld: () => undefined,
      onDown: () => undefined,
      onAlarm: () => undefined,
    });
    this.admission = new Admission({
      established,
      context: node.ctx,
      trust: node.store,
      secrets: () => node.secrets,
      onSecret: () => undefined,
      send: (type, body) => this.link.send(type, body),
      onAdmitted: () => slot.linkAdmitted(this.link),
      onRefused: (code, sentence) => {
        this.refusal = code;
        this.link.close(code, sentence);
      },
    });
    this.link.setHandler(this.admission);
    this.admission.start();
  }

  /** What leaves at the end of this turn. */
  take(node: TestMember): Uint8Array {
    node.ctx.clock.settle();
    const bytes = concat(...this.out);
    this.out = [];
    return bytes;
  }
}

function two(): [TestMember, TestMember] {
  const a = founder('founder');
  const b = newcomer('b', a);
  admit(a, b, { name: 'b' });
  copy(a, b);
  return [a, b];
}

/** Up to message 3 and what the initiator sends with it. */
function dial(a: TestMember, b: TestMember): { dialer: Side; acceptor: Side } {
  const initiator = new Initiator(a.ctx, { suite: 'AESGCM', psk: pskOf(a) });
  const responder = respond(b, initiator.preface, [pskOf(b)]);
  const second = expectKind(responder.push(initiator.first()), 'send');
  const third = expectKind(initiator.push(second.bytes), 'established');
  const dialer = new Side(a, third.established);
  // Message 3 and the first records in one piece.
  const flight = concat(third.send!, dialer.take(a));
  const last = expectKind(responder.push(flight), 'established');
  const acceptor = new Side(b, last.established);
  if (last.rest.length > 0) acceptor.link.receive(last.rest);
  return { dialer, acceptor };
}

function settle(a: TestMember, b: TestMember, { dialer, acceptor }: { dialer: Side; acceptor: Side }): number {
  for (let flights = 0; ; flights++) {
    const back = acceptor.take(b);
    if (back.length > 0) dialer.link.receive(back);
    const forth = dialer.take(a);
    if (forth.length > 0) acceptor.link.receive(forth);
    if (back.length + forth.length === 0) return flights;
  }
}

test('with equal digests the session begins behind message 3, whoever has the smaller ID', () => {
  for (const swap of [false, true]) {
    const [one, other] = two();
    const [a, b] = swap ? [other, one] : [one, other];
    const sides = dial(a, b);
    const aDecides = Buffer.compare(a.keys.nodeId, b.keys.nodeId) < 0;
    // If the initiator decides, its NEW has come behind message 3, and the acceptor's session is up without another trip.
    if (aDecides) assert.ok(sides.acceptor.session);
    settle(a, b, sides);
    assert.ok(sides.dialer.session, 'dialer');
    assert.ok(sides.acceptor.session, 'acceptor');
    assert.equal([...sides.dialer.closed, ...sides.acceptor.closed], []);
  }
});

test('after a catch-up the session begins too', () => {
  const [a, b] = two();
  publish(a, 1);
  const sides = dial(a, b);
  settle(a, b, sides);
  assert.ok(sides.dialer.session && sides.acceptor.session);
  assert.ok(b.store.record(a.keys.nodeId));
});

test('a refusal reaches the other side as CLOSE with its code', () => {
  const [a, b] = two();
  a.store.add(issueRevocation(a.store, pen(a), b.keys.nodeId));
  const sides = dial(b, a);
  settle(b, a, sides);
  assert.is(sides.acceptor.refusal, 'revoked');
  assert.equal(sides.dialer.closed, ['peer: revoked']);
  assert.is(sides.dialer.session, undefined);
});

test('a rule broken during admission closes the link with its code', () => {
  const [a, b] = two();
  publish(a, 1);
  const sides = dial(a, b);
  sides.dialer.link.send(0x54, Uint8Array.of(7));
  settle(a, b, sides);
  assert.equal(sides.dialer.closed, ['peer: protocol']);
  assert.equal(sides.acceptor.closed, ['local: protocol']);
});

test.run();
