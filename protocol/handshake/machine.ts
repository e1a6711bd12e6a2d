/** What both handshake machines share: gathering bytes, ending, and judging what the other side says of itself. */
import { equal } from '../bytes.js';
import { spanText } from '../clock.js';
import type { Code } from '../codes.js';
import type { AeadName } from '../crypto/primitives.js';
import { WarrenError, type ErrorCode } from '../errors.js';
import { shortId } from '../identity/node-id.js';
import { HandshakeState } from '../noise/index.js';
import { Intake } from './intake.js';
import { FEATURES, decodePayload, encodePayload } from './payload.js';
import { PROTOCOLS, SPOKEN } from './preface.js';
import type {
  Established,
  HandshakeContext,
  LocalIdentity,
  PeerPayload,
  Progress,
  PskKeys,
  VersionRange,
} from './types.js';
import { isMessageLength } from './wire.js';

/** A clock that differs by more than this is worth a line in the log, ms. */
export const CLOCK_WARN_MS = 5 * 60 * 1000;

/** Ends a handshake from inside a step. */
export class Drop extends Error {
  constructor(
    readonly why: string,
    readonly code?: Code,
    readonly versions?: { readonly own: VersionRange; readonly peer: VersionRange },
  ) {
    super(why);
  }
}

/** What both machines share: gathering bytes, ending, and judging the other side's payload. */
export abstract class Machine {
  protected readonly intake: Intake;
  protected noise: HandshakeState | undefined;
  private over = false;

  protected constructor(
    protected readonly ctx: HandshakeContext,
    protected readonly keys: PskKeys,
    protected readonly suite: AeadName,
    protected readonly version: number,
    protected readonly identity: LocalIdentity,
    firstNeed: number,
  ) {
    this.intake = new Intake(firstNeed);
  }

  /** Bytes this machine takes before its next step: read no more than that at once. 0 when it is over. */
  get wanted(): number {
    return this.over ? 0 : this.intake.wanted;
  }

  /**
   * @param chunk bytes from the transport, cut anywhere
   * @throws WarrenError `internal` after the end
   */
  push(chunk: Uint8Array): Progress {
    if (this.over) throw new WarrenError('internal', 'the handshake is over');
    try {
      return this.run(chunk);
    } catch (error) {
      return this.drop(error);
    }
  }

  /** Gives the handshake up and wipes its keys: a deadline, a closed transport. */
  destroy(): void {
    this.over = true;
    this.noise?.destroy();
  }

  private run(chunk: Uint8Array): Progress {
    let rest = chunk;
    for (;;) {
      rest = this.intake.fill(rest);
      if (this.intake.wanted > 0) return { kind: 'more' };
      const result = this.step(this.intake.take());
      if (result === undefined) continue;
      if (result.kind !== 'established') {
        // The other side has nothing to say before it has the answer.
        if (rest.length > 0) throw new Drop('bytes behind a handshake message', 'protocol');
        return result;
      }
      this.over = true;
      return { ...result, rest };
    }
  }

  /** One state's work on the bytes it asked for. @returns undefined when it only asks for the next ones */
  protected abstract step(bytes: Uint8Array): Progress | undefined;

  private drop(error: unknown): Progress {
    this.destroy();
    if (error instanceof Drop) {
      const { why, code, versions } = error;
      return { kind: 'drop', why, ...(code && { code }), ...(versions && { versions }) };
    }
    if (error instanceof WarrenError)
      return { kind: 'drop', why: error.message, ...(error.wire && { code: error.wire }) };
    const name = error instanceof Error ? error.name : 'unknown';
    return { kind: 'drop', why: `the handshake failed inside (${name})`, code: 'internal' };
  }

  protected startNoise(role: 'initiator' | 'responder', preface: Uint8Array): HandshakeState {
    return new HandshakeState({
      primitives: this.ctx.primitives,
      protocol: PROTOCOLS[this.suite],
      role,
      prologue: preface,
      s: this.identity.noise,
      psks: [this.keys.noisePsk[this.suite]],
    });
  }

  /** Checks the length in front of message 2 or 3 and asks for the message. */
  protected expectMessage(length: number, overhead: number): void {
    if (!isMessageLength(length, overhead)) throw new Drop(`a handshake message of ${length} bytes`, 'protocol');
    this.intake.expect(length);
  }

  protected get spoken(): VersionRange {
    return this.ctx.versions ?? SPOKEN;
  }

  protected ownPayload(digest: Uint8Array, join?: { readonly name: string }): Uint8Array {
    return encodePayload({
      highestVersion: this.spoken.newest,
      network: this.identity.network,
      statement: this.identity.statement,
      grant: this.identity.grant,
      clockMs: this.ctx.clock.now(),
      features: this.catchUp ? FEATURES.catchUp : 0,
      digest,
      join,
      rekeyBytes: this.ctx.rekeyBytes,
    });
  }

  /** Under any PSK but the newest secret there is something to hand over, whatever the digests say. */
  protected get catchUp(): boolean {
    return this.keys.psk.kind !== 'network';
  }

  /** @param payload of message 2 or 3, authentic. @throws Drop, WarrenError */
  protected judge(payload: Uint8Array): PeerPayload {
    const { peer, statement } = decodePayload(this.ctx.primitives, payload);
    const own = this.identity;
    const remoteStatic = this.noise!.remoteStatic!;
    if (equal(peer.nodeId, own.nodeId) || equal(remoteStatic, own.noise.publicKey)) {
      throw new Drop('the other end is this node itself', 'self');
    }
    if (!equal(statement.noiseKey, remoteStatic))
      throw new Drop('its Noise key is not that of its statement', 'protocol');
    if (!equal(peer.network, own.network)) {
      throw new Drop(
        `it belongs to network ${shortId(peer.network)}, this node to ${shortId(own.network)}`,
        'wrong-network',
      );
    }
    this.judgeVersion(peer);
    this.judgeClock(peer);
    return peer;
  }

  /** Both state the highest version they speak: a lower one in use means that somebody on the way forced it. */
  private judgeVersion(peer: PeerPayload): void {
    const best = Math.min(this.spoken.newest, peer.highestVersion);
    if (best <= this.version && peer.highestVersion >= this.version) return;
    const why = `both speak version ${best}, but version ${this.version} is in use: somebody changes what is sent`;
    const impossible = `it speaks version ${peer.highestVersion} at most, but version ${this.version} is in use`;
    const versions = {
      own: this.spoken,
      peer: { oldest: Math.min(this.version, peer.highestVersion), newest: peer.highestVersion },
    };
    throw new Drop(best > this.version ? why : impossible, 'version', versions);
  }

  private judgeClock(peer: PeerPayload): void {
    const ahead = peer.clockMs - this.ctx.clock.now();
    if (Math.abs(ahead) <= CLOCK_WARN_MS) return;
    const sentence = `the clock of node ${shortId(peer.nodeId)} is ${aheadText(ahead)} that of this host`;
    this.ctx.log({ level: 'warn', sentence });
  }

  protected finish(
    initiator: boolean,
    peer: PeerPayload,
    localDigest: Uint8Array,
    join?: { readonly name: string },
  ): Established {
    const noise = this.noise!;
    const handshakeHash = noise.handshakeHash.slice();
    const { send, receive, sendKey, receiveKey, exporter } = noise.split();
    // The record layer makes its own cipher states from the keys.
    send.destroy();
    receive.destroy();
    const { kind, id } = this.keys.psk;
    return {
      initiator,
      version: this.version,
      suite: this.suite,
      psk: { kind, ...(id !== undefined && { id }) },
      handshakeHash,
      sendKey,
      receiveKey,
      exporter,
      peer,
      localStatic: this.identity.noise.publicKey.slice(),
      localDigest,
      localCatchUp: this.catchUp,
      ...(join && { localJoin: join }),
      ...(this.ctx.rekeyBytes !== undefined && { localRekeyBytes: this.ctx.rekeyBytes }),
    };
  }
}

/** How far a clock is from another one, for people: `2 hours behind`, to be followed by whose. */
export function aheadText(ms: number): string {
  return `${spanText(Math.abs(ms))} ${ms > 0 ? 'ahead of' : 'behind'}`;
}

const DROP_ERRORS: Partial<Record<Code, ErrorCode>> = {
  version: 'version',
  'wrong-node': 'unreachable',
  'wrong-network': 'unreachable',
  self: 'unreachable',
  internal: 'internal',
};

/** What the dialing side tells its caller when its handshake was dropped. */
export function dropError(drop: Extract<Progress, { kind: 'drop' }>): WarrenError {
  const code = drop.code === undefined ? 'crypto' : (DROP_ERRORS[drop.code] ?? 'protocol');
  const hint = drop.code === 'version' ? 'Update the node that speaks the older version.' : undefined;
  return new WarrenError(code, `the handshake failed: ${drop.why}`, hint === undefined ? {} : { hint });
}
