/** A peer whose every frame is under the test's control, attached to a real session at the other end. */
import { EMPTY } from '../../../protocol/bytes.js';
import type { Code } from '../../../protocol/codes.js';
import { encodeOpen, encodePool, FRAME, writeDataHeader, type Link } from '../../../protocol/link/index.js';
import type { Session } from '../../../protocol/session/index.js';
import { World, type Node, type NodeOptions, type WireOptions } from './world.js';

export interface Frame {
  readonly type: number;
  readonly body: Uint8Array;
}

/** The liar is node 1, with the larger ID: it opens odd streams and answers NEW. */
export class Liar {
  readonly world: World;
  readonly link: Link;
  readonly victimLink: Link;
  readonly heard: Frame[] = [];

  constructor(options: NodeOptions = {}, wire: WireOptions = {}) {
    this.world = new World('liar', [options, {}]);
    const { links } = this.world.connect(wire);
    [this.victimLink, this.link] = links;
    this.link.setHandler({
      frame: (type, body) => {
        this.heard.push({ type, body: body.slice() });
        if (type === FRAME.NEW) this.say(FRAME.NEW_OK, EMPTY).say(FRAME.POOL, encodePool(0)).say(FRAME.RESUMED, EMPTY);
      },
    });
    this.victim.slot.linkAdmitted(this.victimLink);
    this.run();
  }

  get victim(): Node {
    return this.world.nodes[0];
  }

  get session(): Session {
    return this.victim.session;
  }

  say(type: number, body: Uint8Array): this {
    this.link.send(type, body);
    return this;
  }

  data(stream: number, offset: number, bytes: Uint8Array): this {
    return this.say(FRAME.DATA, dataBody(stream, offset, bytes));
  }

  open(stream: number, claim = 0, limit = 1000): this {
    return this.say(FRAME.OPEN, openBody(stream, claim, limit));
  }

  run(ms = 50): this {
    this.world.timers.run(ms);
    return this;
  }

  all(type: number): Uint8Array[] {
    return this.heard.filter(f => f.type === type).map(f => f.body);
  }

  /** What the victim closed the link with, as the liar was told; undefined while it is open. */
  get verdict(): Code | undefined {
    this.run();
    const [code, , by] = this.world.nodes[1].closed.at(-1) ?? [];
    return by === 'peer' ? code : this.victim.closed.at(-1)?.[0];
  }

  get isOver(): boolean {
    return this.victim.slot.session === undefined;
  }
}

export function dataBody(stream: number, offset: number, bytes: Uint8Array): Uint8Array {
  const frame = new Uint8Array(32 + bytes.length);
  const end = writeDataHeader(frame, 0, stream, offset, bytes.length);
  frame.set(bytes, end);
  // Without type and length: the fields are as long as the same call says for an empty frame around them.
  const whole = frame.subarray(0, end + bytes.length);
  return whole.subarray(headerBytes(whole));
}

/** Bytes of type and length in front of a frame's body. */
function headerBytes(frame: Uint8Array): number {
  return 1 + (1 << (frame[1]! >> 6));
}

export function openBody(stream: number, claim = 0, limit = 1000, service = 'x'): Uint8Array {
  return encodeOpen({ stream, class: 'interactive', claim, limit, service, instance: '', metadata: new Map() });
}
