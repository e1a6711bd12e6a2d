/** The lasting relation of two nodes: owns streams, carried by 0..n links. */
import type { Code } from '../codes.js';
import type { NodeId } from '../identity/node-id.js';
import type { Link } from '../link/link.js';
import type { Stream } from './stream.js';
import type { OpenRequest, SessionStats, StreamHandler } from './types.js';

export class Session {
  readonly peer!: NodeId;
  /** attached links, the one in use first */
  get links(): readonly Link[] {
    return [];
  }
  /** @throws WarrenError `unreachable` after goaway or close, `limit` with too many streams, `bad-value` */
  open(_request: OpenRequest, _handler: StreamHandler): Stream {
    throw new Error('to come');
  }
  /** Queues an item for the peer; dropped when no link carries the session (see SessionEvents.onUp). @throws WarrenError `limit` */
  news(_kind: number, _body: Uint8Array): void {}
  /** The peer may open no more streams; open ones run on. */
  goaway(_code?: Code): void {}
  /** Ends the session: streams are reset, links closed with `code`. */
  close(_code: Code): void {}
  get streamCount(): number {
    return 0;
  }
  get isHeld(): boolean {
    return true;
  }
  stats(): SessionStats {
    throw new Error('to come');
  }
}
