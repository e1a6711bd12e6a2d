/** Moves bytes between a transport and a handshake machine until the machine has its result. */
import type { Established, Progress } from '../../protocol/handshake/types.js';
import { PREFACE_BYTES } from '../../protocol/handshake/wire.js';
import type { Transport } from './transport.js';

/** What Initiator and Responder (protocol/handshake) have in common. */
export interface HandshakeMachine {
  push(chunk: Uint8Array): Progress;
  /** wipes its keys */
  destroy(): void;
}

/**
 * established: the transport is held until somebody calls its `onData`; `rest` comes before that.
 * drop: the machine gave up. closed: the other end went away; `heard` says whether it had said anything before.
 */
export type Outcome =
  | { readonly kind: 'established'; readonly established: Established; readonly rest: Uint8Array }
  | Extract<Progress, { kind: 'drop' }>
  | { readonly kind: 'closed'; readonly why: string; readonly heard: boolean };

/**
 * @param first bytes for the machine that were read before; may be empty
 * @param onOutcome called once, not before this function has returned; the transport is not closed here
 */
export function drive(
  transport: Transport,
  machine: HandshakeMachine,
  first: Uint8Array,
  onOutcome: (outcome: Outcome) => void,
): void {
  let heard = first.length > 0;
  const finish = (outcome: Outcome): void => {
    transport.onData(undefined);
    transport.onClose(() => undefined);
    if (outcome.kind === 'closed') machine.destroy();
    onOutcome(outcome);
  };
  const receive = (chunk: Uint8Array): void => {
    heard = true;
    const step = machine.push(chunk);
    if (step.kind === 'send') transport.write([step.bytes]);
    else if (step.kind === 'drop') finish(step);
    else if (step.kind === 'established') {
      if (step.send !== undefined) transport.write([step.send]);
      finish({ kind: 'established', established: step.established, rest: step.rest.slice() });
    }
  };
  transport.onClose(why => finish({ kind: 'closed', why, heard }));
  transport.onData(receive);
  if (first.length > 0) receive(first);
}

/**
 * Reads the preface with which a raw link opens; the transport is held then.
 * @param onPreface the PREFACE_BYTES bytes, and what came behind them in the same chunk
 */
export function readPreface(transport: Transport, onPreface: (preface: Uint8Array, rest: Uint8Array) => void): void {
  const preface = new Uint8Array(PREFACE_BYTES);
  let have = 0;
  transport.onData(chunk => {
    const missing = chunk.subarray(0, PREFACE_BYTES - have);
    preface.set(missing, have);
    have += missing.length;
    if (have < PREFACE_BYTES) return;
    transport.onData(undefined);
    onPreface(preface, chunk.slice(missing.length));
  });
}
