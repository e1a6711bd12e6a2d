/**
 * From a finished handshake to an admitted link: records and frames on top of the transport, then the catch-up and the
 * verdict. What comes out is a link that both sides may use, or one sentence why not.
 */
import type { Timers } from '../../protocol/clock.js';
import type { Code } from '../../protocol/codes.js';
import type { Primitives } from '../../protocol/crypto/primitives.js';
import { WarrenError, type ErrorCode } from '../../protocol/errors.js';
import { ADMISSION_DEADLINE_MS, Admission, type AdmissionOptions } from '../../protocol/handshake/admission.js';
import { nodeIdText } from '../../protocol/identity/node-id.js';
import type { Limits } from '../../protocol/limits.js';
import { Link, type LinkEnd } from '../../protocol/link/index.js';
import type { NewLink } from '../transport/transport.js';

/** An admitted link and what is under it. */
export interface PeerLink {
  readonly link: Link;
  readonly transport: NewLink['transport'];
  readonly direction: NewLink['direction'];
  readonly address: string;
  /** ms since the epoch */
  readonly since: number;
}

/** All that admission needs beyond the link. */
export type AdmissionNeeds = Omit<AdmissionOptions, 'established' | 'send' | 'onAdmitted' | 'onRefused'>;

export interface BringUpOptions {
  readonly newLink: NewLink;
  readonly id: number;
  readonly timers: Timers;
  readonly primitives: Primitives;
  readonly limits: Limits;
  readonly admission: AdmissionNeeds;
  /** The link is admitted: called before any further frame is read, so the caller sets the next handler here. */
  readonly onAdmitted: (link: PeerLink) => void;
  /** The peer is known, but only the catch-up is open to it; the link is closed. */
  readonly onLimited: (sentence: string) => void;
  /** After an admitted link has ended. */
  readonly onClosed: (link: PeerLink, code: Code, sentence: string, by: LinkEnd) => void;
}

/**
 * @returns when the link is admitted
 * @throws WarrenError with the sentence why it is not
 */
export function bringUp(options: BringUpOptions): Promise<PeerLink> {
  const { newLink, timers } = options;
  const { transport, established } = newLink;
  return new Promise((resolve, reject) => {
    let admitted: PeerLink | undefined;
    let refusal: WarrenError | undefined;
    const link = new Link({
      established,
      port: transport,
      timers,
      primitives: options.primitives,
      limits: options.limits,
      id: options.id,
      rank: transport.kind === 'relay' ? 1 : 0,
      onClosed: (code, sentence, by) => {
        deadline.cancel();
        if (admitted !== undefined) options.onClosed(admitted, code, sentence, by);
        else reject(refusal ?? refused(code, by, sentence));
      },
    });
    const deadline = timers.after(ADMISSION_DEADLINE_MS, () =>
      link.close('not-admitted', 'the catch-up took too long'),
    );
    const admission = new Admission({
      ...options.admission,
      established,
      send: (type, body) => link.send(type, body),
      onAdmitted: ({ standing, why }) => {
        deadline.cancel();
        if (standing === 'limited') {
          const sentence = why ?? 'only the catch-up is open to it';
          options.onLimited(sentence);
          refusal = new WarrenError('denied', sentence);
          return;
        }
        admitted = { link, transport, direction: newLink.direction, address: newLink.address, since: timers.now() };
        try {
          options.onAdmitted(admitted);
          resolve(admitted);
        } catch (error) {
          giveUp(error);
        }
      },
      onRefused: (code, sentence) => {
        refusal = refused(code, 'local', sentence);
        link.close(code, sentence);
      },
    });
    /** An error of this side (a full disk, say): who waits hears it itself, the peer only that it happened. */
    const giveUp = (error: unknown): void => {
      reject(error);
      link.close('internal', 'the other side could not take the link over');
    };
    link.setHandler(admission);
    transport.onDrain(() => link.drained());
    transport.onClose(why => link.transportClosed(why));
    try {
      admission.start();
    } catch (error) {
      giveUp(error);
      return;
    }
    if (newLink.rest.length > 0) link.receive(newLink.rest);
    transport.onData(chunk => link.receive(chunk));
  });
}

/** Sentences for whoever asked for this link; codes.ts has the table. */
const SENTENCES: Partial<Record<Code, readonly [code: ErrorCode, sentence: string, hint: string]>> = {
  'invite-used': ['token', 'The invite has been used by another node.', 'Ask for a new one: warren invite'],
  'invite-expired': ['token', 'The invite has expired.', 'Ask for a new one: warren invite'],
  'invite-unknown': [
    'token',
    'The inviting daemon does not know this invite any more.',
    'Ask for a new one: warren invite',
  ],
  'name-taken': [
    'exists',
    'The name of this node is taken in that network.',
    'Choose another one with warren up --name NAME; a daemon that runs must end first: warren down.',
  ],
  'not-admitted': [
    'denied',
    'The other node holds no valid grant for this one.',
    'Join again with an invite: warren join TOKEN',
  ],
  'grant-expired': [
    'denied',
    'The grant has expired.',
    'An admin of the network renews it when they meet, or invites anew.',
  ],
  revoked: ['denied', 'This node has been revoked.', 'An admin of the network can invite it anew.'],
  removed: ['denied', 'The other node has removed this one from its peers.', 'Its operator can undo that.'],
  self: ['bad-value', 'The address leads back to this daemon.', 'Check the addresses in the config file.'],
  'wrong-node': ['denied', 'Another node than the expected one answers at that address.', 'Check the address.'],
  'wrong-network': [
    'denied',
    'The node at that address belongs to another network.',
    'Check the address or the token.',
  ],
  'clock-skew': ['denied', 'The clocks of the two hosts are too far apart.', 'Set the clocks: warren doctor'],
};

function refused(code: Code, by: LinkEnd, sentence: string): WarrenError {
  const known = SENTENCES[code];
  if (known !== undefined && by !== 'transport')
    return new WarrenError(known[0], known[1], { hint: known[2], wire: code });
  return new WarrenError('unreachable', `The link ended before it was admitted: ${sentence}.`, { wire: code });
}

/** The text form of who is at the other end. */
export function peerOf(newLink: NewLink): string {
  return nodeIdText(newLink.established.peer.nodeId);
}
