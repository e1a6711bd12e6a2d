/**
 * Joining a network by invite: dial the inviter with the one-time secret, take in what it hands over, and move this home
 * to that network. Nothing of the old one is touched before the new one is on disk.
 */
import type { JoinReply } from '../../protocol/admin/contract.js';
import type { AeadName, Primitives } from '../../protocol/crypto/primitives.js';
import type { Timers } from '../../protocol/clock.js';
import { equal } from '../../protocol/bytes.js';
import { WarrenError } from '../../protocol/errors.js';
import { pskKeys } from '../../protocol/handshake/preface.js';
import { CLOCK_TOLERANCE_MS } from '../../protocol/identity/grant.js';
import { decodeInvite, type Invite } from '../../protocol/identity/invite.js';
import { nodeIdText } from '../../protocol/identity/node-id.js';
import type { Log } from '../observe/log.js';
import { dial, type ProxyChooser } from '../transport/dial.js';
import type { DialTls } from '../transport/tls.js';
import type { Network } from './network.js';
import { isoTime } from './peer-info.js';
import type { Peers } from './peers.js';

export interface JoinOptions {
  readonly primitives: Primitives;
  readonly network: Network;
  readonly peers: Peers;
  readonly timers: Timers;
  readonly log: Log;
  readonly suite: AeadName;
  readonly tls?: DialTls;
  readonly proxy?: ProxyChooser;
  readonly signal?: AbortSignal;
}

/**
 * @param token as the inviter printed it
 * @throws WarrenError `token`, `member`, `unreachable` …; the home is as before
 */
export async function join(token: string, options: JoinOptions): Promise<Omit<JoinReply, 'apiVersion'>> {
  const { network, primitives, timers } = options;
  const invite = decodeInvite(primitives.hash.SHA256, token);
  const note = checkBeforeJoining(invite, network);
  if (note !== undefined)
    return {
      networkId: nodeIdText(network.networkId),
      name: network.name,
      inviter: network.nameOf(invite.inviter),
      note,
    };
  // The inviter's clock judges; this one only spares a dial when there can be no doubt.
  if (timers.now() > invite.expires + CLOCK_TOLERANCE_MS)
    throw new WarrenError('token', 'The invite has expired.', {
      hint: `Ask for a new one: warren invite; or set the clock of this host, which says ${isoTime(timers.now())}.`,
    });
  await dialInviter(invite, options);
  return { networkId: nodeIdText(network.networkId), name: network.name, inviter: network.nameOf(invite.inviter) };
}

/** @returns a note when this home is a member of that network already */
function checkBeforeJoining(invite: Invite, network: Network): string | undefined {
  if (equal(invite.inviter, network.nodeId))
    throw new WarrenError('member', 'This invite was made by this very node.', {
      hint: 'Use it on the host that is to join.',
    });
  if (invite.forNode !== undefined && !equal(invite.forNode, network.nodeId))
    throw new WarrenError('token', 'This invite was made for another node.', {
      hint: 'Use it on the host that it was made for, or ask for one without --for.',
    });
  // It was made for this very node: whether this home knows that it was revoked or not, it is to be admitted anew.
  if (invite.forNode !== undefined && equal(invite.network, network.networkId)) return undefined;
  if (network.isSettled() && equal(invite.network, network.networkId))
    return 'this home is a member of that network already';
  if (!network.isSettled()) return undefined;
  if (network.trust.members().length === 1)
    throw new WarrenError('member', 'This home has given out invites to its own network, which are still open.', {
      hint: 'Wait until they have expired (15 minutes unless --ttl said more), or join with another home (--home DIR).',
    });
  throw new WarrenError('member', 'This home is a member of a network already.', {
    hint: 'One home belongs to one network: join with another home (--home DIR).',
  });
}

/** Tries the invite's addresses in turn; what the inviter itself decides is final. */
async function dialInviter(invite: Invite, options: JoinOptions): Promise<void> {
  const { primitives, network, peers, timers, log, suite, tls, proxy, signal } = options;
  const psk = pskKeys(primitives, { secret: invite.secret, kind: 'invite' });
  const candidate = network.candidate(invite.network);
  let last: unknown;
  for (const address of invite.addresses) {
    try {
      const newLink = await dial({
        address,
        context: candidate.context,
        psk,
        suite,
        expect: invite.inviter,
        join: { name: network.wantedName },
        timers,
        log,
        ...(tls === undefined ? {} : { tls }),
        ...(proxy === undefined ? {} : { proxy }),
        ...(signal === undefined ? {} : { signal }),
      });
      await peers.arrive(newLink, candidate.admission, () => network.adopt(candidate));
      return;
    } catch (error) {
      last = error;
      if (!(error instanceof WarrenError) || !['unreachable', 'timeout'].includes(error.code)) throw error;
    }
  }
  throw notReached(invite, last);
}

function notReached(invite: Invite, last: unknown): WarrenError {
  const reason = last instanceof Error ? last.message : 'no address worked';
  const clock = last instanceof WarrenError && last.wire === 'clock-skew' ? last.hint : undefined;
  return new WarrenError(
    'unreachable',
    `The inviting daemon was not reached at ${invite.addresses.join(', ')}: ${reason}`,
    {
      hint:
        clock ??
        'Check that it runs and that this host reaches that address; the inviter can tell others with --advertise ADDR.',
      cause: last,
    },
  );
}
