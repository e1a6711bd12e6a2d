/** Seeded mistakes: each replaces one method for the time of a test, as if the code had been written wrongly. */
import { RecordDraft } from '../../../protocol/link/index.js';
import { StreamCredit } from '../../../protocol/session/credit.js';
import { FrameTaker } from '../../../protocol/session/frames.js';
import { ReceiveBuffer } from '../../../protocol/session/receive-buffer.js';
import { ReceivingHalf } from '../../../protocol/session/receiving-half.js';
import { SendBuffer } from '../../../protocol/session/send-buffer.js';
import { SendingHalf } from '../../../protocol/session/sending-half.js';
import { Stream } from '../../../protocol/session/stream.js';

export interface Mutant {
  readonly name: string;
  /** Puts the mistake in. @returns takes it out */
  install(): () => void;
}

export type Methods = Record<string, (this: Record<string, unknown>, ...args: never[]) => unknown>;

/** Replaces a method of a class, private ones too. */
export function replace(
  owner: { prototype: object },
  method: string,
  make: (original: Methods[string]) => Methods[string],
): () => void {
  const prototype = owner.prototype as Methods;
  const original = prototype[method];
  if (original === undefined) throw new Error(`no method ${method} to replace`);
  prototype[method] = make(original);
  return () => void (prototype[method] = original);
}

/** Replaces a getter. */
export function replaceGetter(
  owner: { prototype: object },
  name: string,
  get: (this: Record<string, unknown>) => unknown,
): () => void {
  const original = Object.getOwnPropertyDescriptor(owner.prototype, name);
  if (original?.get === undefined) throw new Error(`no getter ${name} to replace`);
  Object.defineProperty(owner.prototype, name, { ...original, get });
  return () => void Object.defineProperty(owner.prototype, name, original);
}

/** Every n-th call goes wrong. */
function everyNth(n: number): () => boolean {
  let calls = 0;
  return () => ++calls % n === 0;
}

/** The first five are tried in every run, the others in full runs. */
export const MUTANTS: readonly Mutant[] = [
  {
    name: 'off-by-one offset',
    install: () =>
      replace(
        RecordDraft,
        'data',
        original =>
          function (stream: never, offset: never, ...rest: never[]) {
            const wrong = (offset as number) > 0 ? (offset as number) - 1 : offset;
            return original.call(this, stream, wrong as never, ...rest);
          },
      ),
  },
  {
    name: 'fin before data',
    install: () => {
      // Sent as soon as it may be, and believed as soon as it comes.
      const removeSender = replaceGetter(SendingHalf, 'hasFin', function () {
        return this.isStale === false && this.hasEnded === true && this.isFinSent === false;
      });
      const removeReceiver = replaceGetter(ReceiveBuffer, 'isComplete', function () {
        return this.size !== undefined;
      });
      return () => {
        removeSender();
        removeReceiver();
      };
    },
  },
  {
    name: 'stale credit',
    install: () =>
      // Credit is counted from what was received when the window was last told, as if nothing had been granted since.
      replace(
        StreamCredit,
        'extend',
        original =>
          function (this: Record<string, unknown>) {
            const consumed = this.consumed as number;
            this.consumed = this.limit;
            original.call(this);
            this.consumed = consumed;
          },
      ),
  },
  {
    name: 'lost window update',
    install: () => {
      const isLost = everyNth(3);
      return replace(
        ReceivingHalf,
        'writeWindow',
        original =>
          function (...args: never[]) {
            if (!isLost()) return original.call(this, ...args);
            (this.credit as StreamCredit).told((this.buffer as ReceiveBuffer).told);
            this.isWindowForced = false;
            return true;
          },
      );
    },
  },
  {
    name: 'double open',
    install: () =>
      replace(
        FrameTaker,
        'takeOpen',
        original =>
          function (body: never) {
            // An OPEN that is told again counts as a new one.
            this.nextPeerId = (this.nextPeerId as number) % 2;
            return original.call(this, body);
          },
      ),
  },
  {
    name: 'lost retransmit',
    install: () =>
      replace(
        SendingHalf,
        'resume',
        () =>
          function () {
            this.isStale = false;
          },
      ),
  },
  {
    name: 'resume one byte too far',
    install: () =>
      replace(
        SendBuffer,
        'rewind',
        original =>
          function () {
            const sent = (this.next as number) - (this.base as number);
            original.call(this);
            if (sent > 0) (this as unknown as SendBuffer).take(1);
          },
      ),
  },
  {
    name: 'lost reset',
    install: () =>
      replace(
        Stream,
        'resync',
        original =>
          function (lost: never) {
            return this.resetWith === undefined ? original.call(this, lost) : undefined;
          },
      ),
  },
  {
    name: 'lost opened',
    install: () => {
      const isLost = everyNth(2);
      return replace(
        Stream,
        'writeOpened',
        original =>
          function (...args: never[]) {
            return isLost() ? true : original.call(this, ...args);
          },
      );
    },
  },
  {
    name: 'budget leak',
    install: () =>
      replace(
        StreamCredit,
        'cancel',
        () =>
          function () {
            this.isCancelled = true;
          },
      ),
  },
  {
    name: 'last seen wins',
    install: () =>
      // Bytes below what has been given out are given out again.
      replace(
        ReceiveBuffer,
        'push',
        original =>
          function (offset: never, bytes: never, limit: never, deliver: never) {
            if ((offset as number) < (this.received as number) && (this.pieces as unknown[]).length === 0) {
              (deliver as (chunk: Uint8Array) => void)(bytes);
              return 0;
            }
            return original.call(this, offset, bytes, limit, deliver);
          },
      ),
  },
];
