/** From a relay and a target to a link on which the handshake with the target is done. */
import { EMPTY } from '../../protocol/bytes.js';
import type { Timers } from '../../protocol/clock.js';
import type { AeadName } from '../../protocol/crypto/primitives.js';
import { WarrenError } from '../../protocol/errors.js';
import { Initiator, dropError } from '../../protocol/handshake/handshake.js';
import type { HandshakeContext, PskKeys } from '../../protocol/handshake/types.js';
import { nodeIdText, type NodeId, type NodeIdText } from '../../protocol/identity/node-id.js';
import { drive, type Outcome } from '../transport/drive.js';
import type { NewLink } from '../transport/transport.js';
import { relayWords } from './code-words.js';
import { RELAY_DIAL_MS } from './limits.js';
import { RelayTransport } from './transport.js';
import { RELAY_SERVICE, type DirectSession } from './types.js';

export interface RelayDialOptions {
  readonly via: NodeIdText;
  /** the session with the relay */
  readonly session: DirectSession;
  /** the only node that will do */
  readonly target: NodeId;
  readonly context: HandshakeContext;
  readonly psk: PskKeys;
  readonly suite: AeadName;
  readonly timers: Timers;
  readonly signal: AbortSignal;
  /** For people: what the relay and the target are called. */
  readonly nameOf: (node: NodeIdText) => string;
}

/** @throws WarrenError `unreachable` · `timeout` · what the handshake ended with */
export async function dialRelayed(options: RelayDialOptions): Promise<NewLink> {
  const { via, target, timers, session } = options;
  const transport = new RelayTransport(via, timers);
  const instance = nodeIdText(target);
  transport.attach(session.open({ service: RELAY_SERVICE, class: 'relay', instance }, transport));
  const initiator = new Initiator(options.context, { suite: options.suite, psk: options.psk, expect: target });
  try {
    transport.write([initiator.preface, initiator.first()]);
    const outcome = await handshake(transport, initiator, options);
    if (outcome.kind === 'drop') throw dropError(outcome);
    if (outcome.kind === 'closed') throw refused(transport, outcome.why, options);
    const { established, rest } = outcome;
    return { transport, established, rest, direction: 'dialed', address: transport.remote };
  } catch (error) {
    initiator.destroy();
    transport.abort();
    throw error;
  }
}

function handshake(transport: RelayTransport, initiator: Initiator, options: RelayDialOptions): Promise<Outcome> {
  const { timers, signal } = options;
  return new Promise<Outcome>((resolve, reject) => {
    const end = (): void => {
      deadline.cancel();
      signal.removeEventListener('abort', aborted);
    };
    const giveUp = (code: 'timeout' | 'unreachable', sentence: string): void => {
      end();
      reject(new WarrenError(code, sentence));
    };
    const aborted = (): void => giveUp('unreachable', `Dialing ${names(options)} was given up.`);
    const deadline = timers.after(RELAY_DIAL_MS, () =>
      giveUp('timeout', `${names(options)} did not answer in ${RELAY_DIAL_MS / 1000} s.`),
    );
    if (signal.aborted) return aborted();
    signal.addEventListener('abort', aborted);
    drive(transport, initiator, EMPTY, outcome => {
      end();
      resolve(outcome);
    });
  });
}

function refused(transport: RelayTransport, why: string, options: RelayDialOptions): WarrenError {
  const { resetCode } = transport;
  const words = resetCode === undefined ? why : relayWords(resetCode);
  const wire = resetCode === undefined ? {} : { wire: resetCode };
  return new WarrenError('unreachable', `There is no way to ${names(options)}: ${words}.`, {
    hint: 'See how the nodes are connected with: warren status',
    ...wire,
  });
}

function names({ target, via, nameOf }: RelayDialOptions): string {
  return `${nameOf(nodeIdText(target))} by way of ${nameOf(via)}`;
}
