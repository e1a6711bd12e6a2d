/**
 * The relay itself: a member asks for a path to another one. Everything about the request is decided first; then a
 * stream to the target is opened, and a pipe joins the two.
 */
import type { Timers } from '../../protocol/clock.js';
import type { Code } from '../../protocol/codes.js';
import { WarrenError } from '../../protocol/errors.js';
import type { NodeIdText } from '../../protocol/identity/node-id.js';
import type { OpenRequest, StreamHandler } from '../../protocol/session/index.js';
import type { Log } from '../observe/log.js';
import { RELAY_PACE_BURST_MS } from './limits.js';
import { Pace } from './pace.js';
import { Pipe } from './pipe.js';
import { METADATA_FROM, RELAY_SERVICE, type DirectSession, type RelayPeers, type RelayStream } from './types.js';

export interface ForwardLimits {
  /** relayed links in all */
  readonly total: number;
  /** of which one member is either end */
  readonly perPeer: number;
  /** from one member, all its relayed links together */
  readonly bytesPerSecond: number;
}

export interface ForwardOptions {
  readonly peers: RelayPeers;
  readonly timers: Timers;
  /** limits repeated lines */
  readonly log: Log;
  readonly limits: ForwardLimits;
}

/** off: nothing is relayed here · stopping: the daemon is on its way out */
export type ForwardState = 'on' | 'off' | 'stopping';

type Decision =
  | { readonly verdict: 'open'; readonly session: DirectSession }
  | { readonly verdict: 'refuse'; readonly code: Code; readonly why: string };

interface Relayed {
  readonly origin: NodeIdText;
  readonly target: NodeIdText;
  readonly pipe: Pipe;
}

/** What is kept of a member while a relayed link of it is open. */
interface Share {
  count: number;
  readonly pace: Pace;
}

export class Forward {
  private state: ForwardState = 'off';
  private readonly open = new Set<Relayed>();
  private readonly shares = new Map<NodeIdText, Share>();
  private past = { links: 0, bytes: 0 };

  constructor(private readonly options: ForwardOptions) {}

  /** Links that are relayed now. */
  get count(): number {
    return this.open.size;
  }

  /** Relayed since the start, open links included. */
  get totals(): { readonly links: number; readonly bytes: number } {
    let { bytes } = this.past;
    for (const { pipe } of this.open) bytes += pipe.bytes;
    return { links: this.past.links, bytes };
  }

  /** Any state but `on` ends what is relayed, with `draining`. */
  set(state: ForwardState): void {
    this.state = state;
    if (state !== 'on') for (const { pipe } of [...this.open]) pipe.cut('draining');
  }

  /** A member asks to be relayed. @returns what answers the stream, or the code of the refusal */
  incoming(stream: RelayStream, request: OpenRequest, origin: NodeIdText, target: NodeIdText): StreamHandler | Code {
    const decision = this.decide(request, origin, target);
    if (decision.verdict === 'refuse') return this.refuse(origin, target, decision.code, decision.why);
    const originShare = this.share(origin);
    const targetShare = this.share(target);
    const pipe: Pipe = new Pipe(stream, {
      timers: this.options.timers,
      originPace: originShare.pace,
      targetPace: targetShare.pace,
      done: end => this.ended(relayed, end),
    });
    const relayed: Relayed = { origin, target, pipe };
    try {
      pipe.attach(decision.session.open(onward(target, origin), pipe.ofTarget));
    } catch (error) {
      this.giveBack(origin, target);
      const code = error instanceof WarrenError ? error.wire : undefined;
      return this.refuse(origin, target, code ?? 'no-service', error instanceof Error ? error.message : String(error));
    }
    this.open.add(relayed);
    this.past.links++;
    originShare.count++;
    targetShare.count++;
    this.options.log.info('relay-open', { ...this.names(origin, target), links: this.count }, 'a link is relayed');
    return pipe.ofOrigin;
  }

  private decide(request: OpenRequest, origin: NodeIdText, target: NodeIdText): Decision {
    const { peers, limits } = this.options;
    const refuse = (code: Code, why: string): Decision => ({ verdict: 'refuse', code, why });
    if (this.state === 'stopping') return refuse('draining', 'this daemon is on its way out');
    if (this.state === 'off') return refuse('denied', 'this node does not relay');
    if (request.service !== RELAY_SERVICE) return refuse('no-service', 'no such service for relay streams');
    if (origin === target) return refuse('denied', 'a node asks for a path to itself');
    if (peers.direct(origin) === undefined) return refuse('denied', 'it is reached by a relayed link itself');
    const session = peers.direct(target);
    if (session === undefined) return refuse('no-service', 'there is no direct link to the target');
    if (this.count >= limits.total) return refuse('limit', `${limits.total} links are relayed`);
    for (const node of [origin, target]) {
      if ((this.shares.get(node)?.count ?? 0) < limits.perPeer) continue;
      return refuse('limit', `${limits.perPeer} links of ${peers.nameOf(node)} are relayed`);
    }
    return { verdict: 'open', session };
  }

  private refuse(origin: NodeIdText, target: NodeIdText, code: Code, why: string): Code {
    const fields = { ...this.names(origin, target), code, why };
    this.options.log.warn('relay-refused', fields, 'a link is not relayed');
    return code;
  }

  private names(origin: NodeIdText, target: NodeIdText): { readonly origin: string; readonly target: string } {
    const { peers } = this.options;
    return { origin: peers.nameOf(origin), target: peers.nameOf(target) };
  }

  private share(node: NodeIdText): Share {
    const known = this.shares.get(node);
    if (known !== undefined) return known;
    const { timers, limits } = this.options;
    const share = { count: 0, pace: new Pace(timers, limits.bytesPerSecond, RELAY_PACE_BURST_MS) };
    this.shares.set(node, share);
    return share;
  }

  private ended(relayed: Relayed, { code, bytesForth, bytesBack }: Parameters<Pipe['options']['done']>[0]): void {
    if (!this.open.delete(relayed)) return;
    const { origin, target } = relayed;
    this.past.bytes += bytesForth + bytesBack;
    for (const node of [origin, target]) this.shares.get(node)!.count--;
    this.giveBack(origin, target);
    const fields = { ...this.names(origin, target), code, bytesForth, bytesBack, links: this.count };
    this.options.log.info('relay-closed', fields, 'a relayed link has ended');
  }

  /** Forgets who has no relayed link any more. */
  private giveBack(...nodes: readonly NodeIdText[]): void {
    for (const node of nodes) if (this.shares.get(node)?.count === 0) this.shares.delete(node);
  }
}

function onward(target: NodeIdText, origin: NodeIdText): OpenRequest {
  return {
    service: RELAY_SERVICE,
    class: 'relay',
    instance: target,
    metadata: new Map([[METADATA_FROM, origin]]),
  };
}
