/**
 * The handshake: two machines, bytes in, bytes or a result out, no I/O. Sizes in bytes (wire.ts); n and m are
 * payloads, multiples of 512 up to 4096.
 *
 *   initiator                                                                              responder
 *       │  preface 38     magic ‖ version ‖ suite ‖ nonce ‖ hint                               │
 *       │ ───────────────────────────────────────────────────────────────────────────────────▶ │ one HMAC per PSK
 *       │  message 1      -> psk, e, e1                    1256: 32 + 1200 + (8 + 16)          │
 *       │ ───────────────────────────────────────────────────────────────────────────────────▶ │ no DH: psk, time, e seen?
 *       │  message 2      <- e, ee, ekem1, s, es           2 + 1200 + n                        │
 *       │ ◀─────────────────────────────────────────────────────────────────────────────────── │ 2 DH, 1 encapsulation
 *       │  message 3      -> s, se                         2 + 64 + m                          │
 *       │ ───────────────────────────────────────────────────────────────────────────────────▶ │
 *   established: records from here on, the initiator's right behind message 3            established
 *
 * The preface, as sent, is the Noise prologue, so version and suite cannot be changed on the way. Whoever cannot prove
 * a PSK gets no byte. A version or suite that is not spoken is answered by 22 bytes instead of message 2
 * (preface.ts); since these begin with the magic, larger than any length, the two cannot be mistaken.
 *
 * Whatever goes wrong ends in `drop`: keys wiped, the transport to be closed without a byte.
 */
import { EMPTY, concat, equal } from '../bytes.js';
import type { AeadName } from '../crypto/primitives.js';
import { WarrenError } from '../errors.js';
import { shortId, type NodeId } from '../identity/node-id.js';
import { Drop, Machine, aheadText } from './machine.js';
import { decodeTime, encodeTime, isTimely } from './payload.js';
import { SPOKEN, decodeVersionReply, encodePreface, rangeText, type Recognition } from './preface.js';
import type { ReplayGuard } from './replay.js';
import type { HandshakeContext, Progress, PskKeys } from './types.js';
import {
  DH_LENGTH,
  LENGTH_BYTES,
  MAGIC,
  MESSAGE_1_BYTES,
  MESSAGE_2_OVERHEAD,
  MESSAGE_3_OVERHEAD,
  PREFACE_BYTES,
  VERSION_REPLY_BYTES,
} from './wire.js';

export { CLOCK_WARN_MS, dropError } from './machine.js';

export interface InitiatorOptions {
  readonly suite: AeadName;
  readonly psk: PskKeys;
  /** The only node that will do. Required under an invite, where it is the inviter. */
  readonly expect?: NodeId;
  /** The name to ask for. Required under an invite, not allowed otherwise. */
  readonly join?: { readonly name: string };
  /** Which version to open with; the newest spoken by default. */
  readonly version?: number;
}

type InitiatorState = 'new' | 'reply' | 'version' | 'message 2';

/** The dialing side. Send `preface`, then `first()`, then push what comes. */
export class Initiator extends Machine {
  /** PREFACE_BYTES bytes */
  readonly preface: Uint8Array;
  private state: InitiatorState = 'new';
  private ownEphemeral: Uint8Array = EMPTY;
  private replyHead: Uint8Array = EMPTY;

  /** @throws WarrenError `internal` for options that contradict each other */
  constructor(
    ctx: HandshakeContext,
    private readonly options: InitiatorOptions,
  ) {
    const version = options.version ?? (ctx.versions ?? SPOKEN).newest;
    super(ctx, options.psk, options.suite, version, ctx.identity(), LENGTH_BYTES);
    const invited = options.psk.psk.kind === 'invite';
    if (invited !== (options.join !== undefined) || (invited && !options.expect)) {
      throw new WarrenError('internal', 'an invite, its inviter and a name belong together');
    }
    this.preface = encodePreface(ctx.primitives, options.psk, version, options.suite);
  }

  /** Message 1, MESSAGE_1_BYTES bytes; goes right behind the preface. Once. */
  first(): Uint8Array {
    if (this.state !== 'new') throw new WarrenError('internal', 'message 1 was made before');
    this.state = 'reply';
    this.noise = this.startNoise('initiator', this.preface);
    const message = this.noise.writeMessage(encodeTime(this.ctx.clock.now()));
    this.ownEphemeral = message.slice(0, DH_LENGTH);
    return message;
  }

  protected step(bytes: Uint8Array): Progress | undefined {
    switch (this.state) {
      case 'new':
        throw new WarrenError('internal', 'an answer before message 1');
      case 'reply':
        return this.replyBegins(bytes);
      case 'version':
        throw this.versionReply(concat(this.replyHead, bytes));
      case 'message 2':
        return this.message2(bytes);
    }
  }

  private replyBegins(head: Uint8Array): undefined {
    if (head[0] === MAGIC[0] && head[1] === MAGIC[1]) {
      this.state = 'version';
      this.replyHead = head;
      this.intake.expect(VERSION_REPLY_BYTES - LENGTH_BYTES);
    } else {
      this.state = 'message 2';
      this.expectMessage((head[0]! << 8) | head[1]!, MESSAGE_2_OVERHEAD);
    }
    return undefined;
  }

  private versionReply(reply: Uint8Array): Drop {
    const peer = decodeVersionReply(this.ctx.primitives, this.keys, this.preface, reply);
    if (!peer) return new Drop('an answer that is not the handshake', 'protocol');
    const own = this.spoken;
    const speaks = `the peer speaks ${rangeText(peer)}, this node ${rangeText(own)}`;
    const suiteMissing = this.version >= peer.oldest && this.version <= peer.newest;
    return new Drop(suiteMissing ? `${speaks}, but the peer lacks the suite ${this.suite}` : speaks, 'version', {
      own,
      peer,
    });
  }

  private message2(message: Uint8Array): Progress {
    // Before any DH: what was sent comes back.
    if (equal(message.subarray(0, DH_LENGTH), this.ownEphemeral)) throw new Drop('the own message came back', 'self');
    const peer = this.judge(this.noise!.readMessage(message));
    if (peer.join) throw new Drop('a responder that wants to join', 'protocol');
    const { expect, join } = this.options;
    if (expect && !equal(peer.nodeId, expect)) {
      throw new Drop(`node ${shortId(peer.nodeId)} answered instead of ${shortId(expect)}`, 'wrong-node');
    }
    const digest = this.ctx.digest().slice();
    const send = withLength(this.noise!.writeMessage(this.ownPayload(digest, join)));
    return { kind: 'established', send, established: this.finish(true, peer, digest, join), rest: EMPTY };
  }
}

type ResponderState = 'message 1' | 'length 3' | 'message 3';

/** The accepting side, once the preface is recognized (preface.ts). Push what comes behind the preface. */
export class Responder extends Machine {
  private state: ResponderState = 'message 1';
  private readonly preface: Uint8Array;
  private localDigest: Uint8Array = EMPTY;

  /**
   * @param recognized what `recognize` made of the preface
   * @param preface the PREFACE_BYTES bytes themselves
   */
  constructor(
    ctx: HandshakeContext,
    recognized: Extract<Recognition, { kind: 'known' }>,
    preface: Uint8Array,
    private readonly replay: ReplayGuard,
  ) {
    super(ctx, recognized.keys, recognized.suite, recognized.version, ctx.identity(), MESSAGE_1_BYTES);
    this.preface = preface.slice(0, PREFACE_BYTES);
  }

  protected step(bytes: Uint8Array): Progress | undefined {
    switch (this.state) {
      case 'message 1':
        return this.message1(bytes);
      case 'length 3':
        this.expectMessage((bytes[0]! << 8) | bytes[1]!, MESSAGE_3_OVERHEAD);
        this.state = 'message 3';
        return undefined;
      case 'message 3':
        return this.message3(bytes);
    }
  }

  private message1(message: Uint8Array): Progress {
    this.noise = this.startNoise('responder', this.preface);
    const time = decodeTime(this.noise.readMessage(message));
    const now = this.ctx.clock.now();
    if (!isTimely(time, now)) {
      this.ctx.onClockSkew?.(time - now);
      throw new Drop(`its clock is ${aheadText(time - now)} that of this host`, 'clock-skew');
    }
    if (!this.replay.freshEphemeral(this.noise.remoteEphemeral!)) throw new Drop('message 1 was seen before');
    this.localDigest = this.ctx.digest().slice();
    const answer = withLength(this.noise.writeMessage(this.ownPayload(this.localDigest)));
    this.state = 'length 3';
    this.intake.expect(LENGTH_BYTES);
    return { kind: 'send', bytes: answer };
  }

  private message3(message: Uint8Array): Progress {
    const peer = this.judge(this.noise!.readMessage(message));
    if ((peer.join !== undefined) !== (this.keys.psk.kind === 'invite')) {
      throw new Drop(peer.join ? 'it wants to join without an invite' : 'an invite, but no wish to join', 'protocol');
    }
    return { kind: 'established', established: this.finish(false, peer, this.localDigest), rest: EMPTY };
  }
}

function withLength(message: Uint8Array): Uint8Array {
  return concat(Uint8Array.of(message.length >> 8, message.length & 0xff), message);
}
