/** The place of one peer's session: decides what each admitted link is for. */
import type { Timers } from '../clock.js';
import type { Code } from '../codes.js';
import type { Primitives } from '../crypto/primitives.js';
import type { NodeId } from '../identity/node-id.js';
import type { Link } from '../link/link.js';
import type { Limits } from '../limits.js';
import type { ProcessBudget } from './credit.js';
import type { Session } from './session.js';
import type { SessionEvents } from './types.js';

export interface SlotOptions extends SessionEvents {
  readonly local: NodeId;
  readonly peer: NodeId;
  readonly primitives: Primitives;
  readonly timers: Timers;
  readonly limits: Limits;
  readonly budget: ProcessBudget;
}

export class SessionSlot {
  constructor(_options: SlotOptions) {}
  get session(): Session | undefined {
    return undefined;
  }
  /** Takes a link that both sides' admission is through with on this side; the slot sets its handler. */
  linkAdmitted(_link: Link): void {}
  news(_kind: number, _body: Uint8Array): void {}
  goaway(_code?: Code): void {}
  /** Ends the session and closes all links, waiting ones too. */
  close(_code: Code): void {}
}
