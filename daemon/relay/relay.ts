/**
 * Links that run through a third node, in its three roles: relay (forward.ts), target (arrivals.ts), origin (dial.ts).
 * One hop: a session that a relayed link carries neither asks for a path nor is one.
 */
import type { Timers } from '../../protocol/clock.js';
import type { Code } from '../../protocol/codes.js';
import type { AeadName } from '../../protocol/crypto/primitives.js';
import { WarrenError } from '../../protocol/errors.js';
import type { ReplayGuard } from '../../protocol/handshake/replay.js';
import type { HandshakeContext, PskKeys } from '../../protocol/handshake/types.js';
import { nodeIdText, parseNodeId, type NodeId, type NodeIdText } from '../../protocol/identity/node-id.js';
import type { OpenRequest, StreamHandler } from '../../protocol/session/index.js';
import type { Log } from '../observe/log.js';
import { limitRepeats } from '../observe/repeats.js';
import type { RelayPaths } from '../peers/relay-paths.js';
import { openingReports } from '../transport/reports.js';
import type { NewLink } from '../transport/transport.js';
import { RelayedArrivals } from './arrivals.js';
import { dialRelayed } from './dial.js';
import { Forward, type ForwardLimits, type ForwardState } from './forward.js';
import { MAX_RELAYED_OPENINGS, MAX_RELAYED_OPENINGS_PER_ORIGIN } from './limits.js';
import type { RelayPeers, RelayStream } from './types.js';

export interface RelayOptions {
  readonly peers: RelayPeers;
  readonly timers: Timers;
  readonly log: Log;
  readonly limits: ForwardLimits;
  /** ms from a relayed link's arrival to the finished handshake */
  readonly handshakeMs: number;
  readonly context: () => HandshakeContext;
  /** newest secret first */
  readonly psks: () => readonly PskKeys[];
  /** what this node dials with. @throws WarrenError */
  readonly currentPsk: () => PskKeys;
  readonly suite: () => AeadName;
  /** one per process */
  readonly replay: ReplayGuard;
  /** a relayed link has come to this node */
  readonly onLink: (link: NewLink) => void;
}

export class Relay implements RelayPaths {
  private readonly forward: Forward;
  private readonly arrivals: RelayedArrivals;

  constructor(private readonly options: RelayOptions) {
    const { peers, timers, limits, context, psks, replay, onLink } = options;
    const log = limitRepeats(options.log, timers);
    this.forward = new Forward({ peers, timers, log, limits });
    this.arrivals = new RelayedArrivals({
      context,
      psks,
      replay,
      timers,
      limits: {
        total: MAX_RELAYED_OPENINGS,
        perSource: MAX_RELAYED_OPENINGS_PER_ORIGIN,
        deadlineMs: options.handshakeMs,
      },
      reports: openingReports(log),
      onLink,
    });
  }

  /** Links of others that run through this node now. */
  get relaying(): number {
    return this.forward.count;
  }

  /** What has run through this node since its start. */
  get totals(): { readonly links: number; readonly bytes: number } {
    return this.forward.totals;
  }

  /** Relayed links to this node whose handshake is not done. */
  get halfOpen(): number {
    return this.arrivals.size;
  }

  /** Whether this node relays. Off ends what it relays now, with `draining`. */
  set(state: ForwardState): void {
    this.forward.set(state);
  }

  /** The daemon stops: nothing is relayed, nothing relayed comes in. */
  stop(): void {
    this.forward.set('stopping');
    this.arrivals.close();
  }

  /** A stream of class relay. @param peer who opened it */
  incoming(stream: RelayStream, request: OpenRequest, peer: NodeId): StreamHandler | Code {
    const wanted = parseNodeId(request.instance ?? '');
    if (wanted === undefined) return 'no-service';
    const target = nodeIdText(wanted);
    const from = nodeIdText(peer);
    if (target === this.options.peers.self) return this.arrivals.incoming(stream, request, from);
    return this.forward.incoming(stream, request, from, target);
  }

  viaFor(peer: NodeIdText): readonly NodeIdText[] {
    return this.options.peers
      .candidates()
      .filter(({ id }) => id !== peer)
      .sort((a, b) => (a.rttMs ?? Infinity) - (b.rttMs ?? Infinity) || (a.id < b.id ? -1 : 1))
      .map(({ id }) => id);
  }

  async dial(via: NodeIdText, target: NodeId, signal: AbortSignal): Promise<NewLink> {
    const { peers, context, currentPsk, suite, timers } = this.options;
    const session = peers.direct(via);
    if (session === undefined) {
      throw new WarrenError('unreachable', `There is no direct link to ${peers.nameOf(via)}, which would relay.`);
    }
    return dialRelayed({
      via,
      session,
      target,
      context: context(),
      psk: currentPsk(),
      suite: suite(),
      timers,
      signal,
      nameOf: node => peers.nameOf(node),
    });
  }
}
