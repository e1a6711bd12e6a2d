/**
 * The session secret and the proofs of it (docs/protocol.md, "Attach"). The secret comes from the first link and moves
 * on with every further one, so it is worth nothing without the links that both sides have seen.
 *
 *   secret_0     = HMAC(exporter of the first link, "warren session secret")
 *   secret_{k+1} = HMAC(secret_k, "warren session next" ‖ exporter of the new link)
 *   proof        = HMAC(secret_k, "warren attach" ‖ role ‖ handshake hash of the link ‖ session id ‖ k as u64)
 *
 * The deciding side moves on when it sees ATTACHED, the other side when it sees CONFIRM, or an ATTACH under the new
 * secret if CONFIRM was lost; until then it keeps both.
 */
import { equal, utf8, wipe } from '../bytes.js';
import type { Hash } from '../crypto/primitives.js';
import { SESSION_ID_BYTES, type Attach } from '../link/frame.js';
import { MAX_PENDING_SECRETS } from '../limits.js';

const ID_LABEL = utf8('warren session id');
const SECRET_LABEL = utf8('warren session secret');
const NEXT_LABEL = utf8('warren session next');
const PROOF_LABEL = utf8('warren attach');
const DECIDER = Uint8Array.of(1);
const OTHER = Uint8Array.of(2);

/** What a link brings to a proof. */
export interface LinkBinding {
  /** 32 bytes, public */
  readonly handshakeHash: Uint8Array;
  /** 32 bytes, secret */
  readonly exporter: Uint8Array;
}

/** A next secret that the deciding side may have moved on to. */
export interface Candidate {
  readonly epoch: number;
  readonly secret: Uint8Array;
  /** Moved on to, by CONFIRM or by an ATTACH that overtook it: links have no common order. */
  isCommitted?: boolean;
}

/** Secrets of the past by which an ATTACH that comes late is told from a forged one; they open nothing any more. */
const FORMER_SECRETS = 8;

export class SessionSecrets {
  /** 16 bytes, public */
  readonly id: Uint8Array;
  epoch = 0;
  private secret: Uint8Array;
  private candidates: Candidate[] = [];
  private former: Candidate[] = [];

  /** @param first the link on which NEW was answered */
  constructor(
    private readonly hash: Hash,
    first: LinkBinding,
  ) {
    this.id = hash.hmac(first.exporter, ID_LABEL).slice(0, SESSION_ID_BYTES);
    this.secret = hash.hmac(first.exporter, SECRET_LABEL);
  }

  /** Deciding side: what ATTACH says on this link. */
  attach(link: LinkBinding): Attach {
    return { sessionId: this.id, epoch: this.epoch, proof: this.proof(this.secret, DECIDER, link, this.epoch) };
  }

  /** Deciding side: is this the right ATTACHED? Changes nothing. */
  isAnswer(link: LinkBinding, proof: Uint8Array): boolean {
    return equal(proof, this.proof(this.secret, OTHER, link, this.epoch));
  }

  /** Deciding side: the link is attached; its exporter goes into the next secret. */
  advance(link: LinkBinding): void {
    this.commit({ epoch: this.epoch + 1, secret: this.next(this.secret, link) });
  }

  /**
   * Other side: checks ATTACH.
   * @returns the proof for ATTACHED and what CONFIRM will commit to; undefined when the proof is wrong: nothing changes
   */
  accept(link: LinkBinding, attach: Attach): { proof: Uint8Array; candidate: Candidate } | undefined {
    const base = this.secretsOf(attach.epoch).find(({ secret }) =>
      equal(attach.proof, this.proof(secret, DECIDER, link, attach.epoch)),
    );
    if (base === undefined) return undefined;
    if (base.epoch !== this.epoch) this.commit(base);
    const candidate = { epoch: base.epoch + 1, secret: this.next(base.secret, link) };
    this.candidates.push(candidate);
    if (this.candidates.length > MAX_PENDING_SECRETS) wipe(this.candidates.shift()!.secret);
    return { proof: this.proof(base.secret, OTHER, link, base.epoch), candidate };
  }

  /** Other side: the proof is of a secret that was in force a moment ago. */
  isLate(link: LinkBinding, attach: Attach): boolean {
    return this.former.some(
      ({ epoch, secret }) => epoch === attach.epoch && equal(attach.proof, this.proof(secret, DECIDER, link, epoch)),
    );
  }

  /** Other side: CONFIRM has come. @returns false when the session has moved on without this link */
  confirm(candidate: Candidate): boolean {
    if (candidate.isCommitted === true) return true;
    if (!this.candidates.includes(candidate)) return false;
    this.commit(candidate);
    return true;
  }

  wipe(): void {
    wipe(this.secret, ...[...this.candidates, ...this.former].map(c => c.secret));
    this.candidates = [];
    this.former = [];
  }

  private secretsOf(epoch: number): readonly Candidate[] {
    if (epoch === this.epoch) return [{ epoch, secret: this.secret }];
    return this.candidates.filter(c => c.epoch === epoch);
  }

  private commit(candidate: Candidate): void {
    wipe(...this.candidates.filter(c => c !== candidate).map(c => c.secret));
    this.former.push({ epoch: this.epoch, secret: this.secret });
    if (this.former.length > FORMER_SECRETS) wipe(this.former.shift()!.secret);
    candidate.isCommitted = true;
    this.secret = candidate.secret;
    this.epoch = candidate.epoch;
    this.candidates = [];
  }

  private next(secret: Uint8Array, link: LinkBinding): Uint8Array {
    return this.hash.hmac(secret, NEXT_LABEL, link.exporter);
  }

  private proof(secret: Uint8Array, role: Uint8Array, link: LinkBinding, epoch: number): Uint8Array {
    const u64 = new Uint8Array(8);
    new DataView(u64.buffer).setBigUint64(0, BigInt(epoch));
    return this.hash.hmac(secret, PROOF_LABEL, role, link.handshakeHash, this.id, u64);
  }
}
