/** Two real session slots in this process, joined by real links over a wire in memory that delivers on later turns. */
import { randomBytes } from 'node:crypto';
import { EMPTY } from '../../protocol/bytes.js';
import type { Timers } from '../../protocol/clock.js';
import type { Code } from '../../protocol/codes.js';
import { loadPrimitives } from '../../protocol/crypto/load.js';
import type { Primitives } from '../../protocol/crypto/primitives.js';
import type { Established } from '../../protocol/handshake/types.js';
import type { NodeId } from '../../protocol/identity/node-id.js';
import { DEFAULT_LIMITS, type Limits } from '../../protocol/limits.js';
import { Link, type LinkPort } from '../../protocol/link/index.js';
import { ProcessBudget, SessionSlot, type OpenRequest, type Stream, type StreamHandler } from '../../protocol/session/index.js'; // prettier-ignore

export type OnStream = (stream: Stream, request: OpenRequest, peer: NodeId) => StreamHandler | Code;

export interface SessionEnd {
  readonly slot: SessionSlot;
  readonly budget: ProcessBudget;
}

export interface SessionPair {
  readonly ends: readonly [SessionEnd, SessionEnd];
  readonly links: () => readonly [Link, Link];
  /** Breaks the link at both ends; the sessions are held. */
  cutLink(): void;
  /** Brings up another link. */
  connect(): Promise<void>;
  close(): void;
}

/** Both ends' view of a finished handshake. */
function establishedPair(ids: readonly [NodeId, NodeId]): [Established, Established] {
  const [one, two, exporter, handshakeHash] = Array.from({ length: 4 }, () => new Uint8Array(randomBytes(32))) as [
    Uint8Array,
    Uint8Array,
    Uint8Array,
    Uint8Array,
  ];
  const make = (initiator: boolean, peer: NodeId): Established => ({
    initiator,
    version: 1,
    suite: 'AESGCM',
    psk: { kind: 'network' },
    handshakeHash: handshakeHash.slice(),
    sendKey: (initiator ? one : two).slice(),
    receiveKey: (initiator ? two : one).slice(),
    exporter: exporter.slice(),
    peer: {
      nodeId: peer,
      network: peer,
      statement: EMPTY,
      seq: 0,
      statementHash: EMPTY,
      clockMs: 0,
      features: 0,
      digest: EMPTY,
      highestVersion: 1,
      catchUp: false,
    },
    localDigest: EMPTY,
    localStatic: EMPTY,
    localCatchUp: false,
  });
  return [make(true, ids[1]), make(false, ids[0])];
}

/** One direction: what is written in one turn arrives in the next one, whole. */
class Port implements LinkPort {
  buffered = 0;
  other!: () => Link;
  own!: () => Link;
  isCut = false;
  private queue: Uint8Array[] = [];

  write(chunks: readonly Uint8Array[]): void {
    if (this.isCut) return;
    for (const chunk of chunks) {
      if (this.queue.push(chunk) === 1) setImmediate(this.deliver);
      this.buffered += chunk.length;
    }
  }

  private readonly deliver = (): void => {
    const whole = Buffer.concat(this.queue);
    this.queue = [];
    this.buffered = 0;
    if (this.isCut) return;
    this.other().receive(whole);
    this.own().drained();
  };

  close(): void {
    setImmediate(() => this.cut());
  }

  abort(): void {
    this.cut();
  }

  cut(): void {
    if (this.isCut) return;
    this.isCut = true;
    this.queue = [];
    for (const link of [this.own, this.other]) setImmediate(() => link().transportClosed('cut'));
  }
}

export async function sessionPair(
  ids: readonly [NodeId, NodeId],
  timers: Timers,
  onStream: readonly [OnStream, OnStream],
  limits: Limits = DEFAULT_LIMITS,
): Promise<SessionPair> {
  const primitives = await loadPrimitives();
  let ups = 0;
  const makeEnd = (side: 0 | 1): SessionEnd => {
    const budget = new ProcessBudget(limits);
    const slot = new SessionSlot({
      local: ids[side],
      peer: ids[side === 0 ? 1 : 0],
      primitives,
      timers,
      limits,
      budget,
      onStream: (stream, request) => onStream[side](stream, request, ids[side === 0 ? 1 : 0]),
      onNews: () => undefined,
      onUp: () => void ups++,
      onHeld: () => undefined,
      onDown: () => undefined,
      onAlarm: sentence => {
        throw new Error(sentence);
      },
    });
    return { slot, budget };
  };
  const ends = [makeEnd(0), makeEnd(1)] as const;
  let links: readonly [Link, Link] | undefined;
  const connect = async (): Promise<void> => {
    const before = ups;
    links = makeLinks(ids, timers, primitives, limits);
    ends[1].slot.linkAdmitted(links[1]);
    ends[0].slot.linkAdmitted(links[0]);
    while (ups < before + 2) await new Promise(resolve => setTimeout(resolve, 1));
  };
  await connect();
  return {
    ends,
    connect,
    links: () => links!,
    cutLink: () => links!.forEach(link => link.transportClosed('cut')),
    close: () => ends.forEach(end => end.slot.close('going-away')),
  };
}

function makeLinks(
  ids: readonly [NodeId, NodeId],
  timers: Timers,
  primitives: Primitives,
  limits: Limits,
): readonly [Link, Link] {
  const ports = [new Port(), new Port()] as const;
  const established = establishedPair(ids);
  const [a, b] = ([0, 1] as const).map(
    side =>
      new Link({
        established: established[side],
        port: ports[side],
        timers,
        primitives,
        limits,
        onClosed: () => ports[side].cut(),
      }),
  ) as [Link, Link];
  ports[0].own = ports[1].other = () => a;
  ports[1].own = ports[0].other = () => b;
  return [a, b];
}
