/**
 * Mistakes that somebody might make in links and sessions. Each replaces a method for the time of one life, as if the
 * code had been written so; the simulator must notice every one of them.
 */
import type { Code } from '../../protocol/codes.js';
import type { Lanes } from '../../protocol/session/lanes.js';
import { ReceiveBuffer } from '../../protocol/session/receive-buffer.js';
import { SessionSecrets } from '../../protocol/session/secrets.js';
import type { SendBuffer } from '../../protocol/session/send-buffer.js';
import { Session } from '../../protocol/session/session.js';
import { SessionSlot } from '../../protocol/session/attach.js';
import { StreamCredit } from '../../protocol/session/credit.js';
import { Stream } from '../../protocol/session/stream.js';
import { MUTANTS as OF_ONE_LINK, replace, replaceGetter, type Mutant } from '../protocol/session/mutants.js';

type Fields = Record<string, unknown>;

/** From the property test of one link. */
function known(name: string): Mutant {
  const mutant = OF_ONE_LINK.find(m => m.name === name);
  if (mutant === undefined) throw new Error(`no mutant "${name}"`);
  return mutant;
}

export const MUTANTS: readonly Mutant[] = [
  known('lost retransmit'),
  known('off-by-one offset'),
  known('fin before data'),
  known('stale credit'),
  known('double open'),
  {
    // Sends again from what this side has received, not from what the peer has.
    name: 'resume from the wrong side',
    install: () =>
      replace(
        Stream,
        'resume',
        original =>
          function () {
            original.call(this);
            const { buffer } = this.sending as { buffer: SendBuffer };
            const { received } = this.receiving as { received: number };
            buffer.take(Math.max(0, Math.min(received, buffer.highest) - buffer.next));
          },
      ),
  },
  {
    // A RESET that comes behind both ends is told to the user all the same.
    name: 'late reset',
    install: () =>
      replace(
        Stream,
        'fail',
        original =>
          function (code: never, dialed: never) {
            if (this.isClosed === true)
              (this.handler as { reset(code: Code, dialed: boolean): void }).reset(code, dialed);
            return original.call(this, code, dialed);
          },
      ),
  },
  {
    // What comes is taken as what comes next, as on one link; a stream that moves between links may overtake itself.
    name: 'reordered move between links',
    install: () =>
      replace(
        ReceiveBuffer,
        'push',
        original =>
          function (offset: never, ...rest: never[]) {
            return original.call(this, Math.min(offset, this.received as number) as never, ...rest);
          },
      ),
  },
  {
    // OPENED that was sent once is taken for known: a link that is lost takes it along.
    name: 'lost opened',
    install: () =>
      replace(
        Stream,
        'writeOpened',
        original =>
          function (...args: never[]) {
            const isWritten = original.call(this, ...args);
            if (isWritten === true) this.isOpenedKnown = true;
            return isWritten;
          },
      ),
  },
  {
    // The credit that an ended stream has not used is never given back.
    name: 'budget leak',
    install: () =>
      replace(
        StreamCredit,
        'finish',
        () =>
          function (this: Fields, size: never) {
            if (this.isOver === true) return;
            this.isOver = true;
            this.limit = size;
          },
      ),
  },
  {
    name: 'grace timer not cleared',
    install: () =>
      replace(
        Session,
        'attach',
        original =>
          function (...args: never[]) {
            this.graceTimer = undefined;
            return original.call(this, ...args);
          },
      ),
  },
  {
    // Bytes that wait behind a gap are acknowledged, too.
    name: 'ack beyond sent',
    install: () =>
      replaceGetter(ReceiveBuffer, 'told', function () {
        const { isComplete, received, ahead } = this as unknown as ReceiveBuffer;
        return received + ahead + (isComplete ? 1 : 0);
      }),
  },
  known('lost reset'),
  known('lost window update'),
  known('last seen wins'),
  known('resume one byte too far'),
  {
    // An OPEN that is told again takes another claim out of the pool.
    name: 'claim taken twice',
    install: () =>
      replace(
        Stream,
        'writeOpen',
        original =>
          function (...args: never[]) {
            this.wasOpenSent = false;
            return original.call(this, ...args);
          },
      ),
  },
  {
    // Data goes on any link before the peer has the stream.
    name: 'data before open',
    install: () => replaceGetter(Stream, 'isSettled', () => true),
  },
  {
    // What a lost link had taken along is not looked for on the one that is left.
    name: 'lost with its link',
    install: () =>
      replace(
        Session,
        'sendAgain',
        () =>
          function () {
            return undefined;
          },
      ),
  },
  {
    // The lead passes on, and nothing is told on the new one.
    name: 'lead without state',
    install: () =>
      replace(
        Session,
        'vacate',
        () =>
          function (this: Fields, lane: never) {
            const lanes = this.lanes as Lanes;
            if (lanes.lead === lane) lanes.chooseLead();
            (this as unknown as { moveWaiting(lane: never): void }).moveWaiting(lane);
          },
      ),
  },
  {
    name: 'any proof will do',
    install: () =>
      replace(
        SessionSecrets,
        'isAnswer',
        () =>
          function () {
            return true;
          },
      ),
  },
  {
    // Proofs of one link are good on every other one.
    name: 'proof not bound to its link',
    install: () =>
      replace(
        SessionSecrets,
        'proof',
        original =>
          function (secret: never, role: never, link: never, ...rest: never[]) {
            const anyLink = { ...(link as object), handshakeHash: new Uint8Array(32) };
            return original.call(this, secret, role, anyLink as never, ...rest);
          },
      ),
  },
  {
    // Whoever comes without the secret is taken for the peer after a restart.
    name: 'stranger taken for a restart',
    install: () =>
      replace(
        SessionSlot,
        'meetStranger',
        () =>
          function (_newcomer: never, session: never, restart: never) {
            (session as Session).close('peer-restarted');
            (restart as () => void)();
          },
      ),
  },
  {
    // A peer that knows nothing of the session is asked to attach to it for ever.
    name: 'restart not recognised',
    install: () =>
      replace(
        SessionSlot,
        'takeUnknown',
        () =>
          function (this: Fields, from: never) {
            const slot = this as unknown as { ask(from: never, phase: string): void; readonly secrets: unknown };
            // Without a session there is nothing to attach to.
            slot.ask(from, slot.secrets === undefined ? 'new' : 'attach');
          },
      ),
  },
];

export function mutantNamed(name: string): Mutant | undefined {
  return MUTANTS.find(mutant => mutant.name === name);
}
