/**
 * Admission: drives a link from Split to the verdict. No frame but its own is accepted meanwhile.
 *
 * Short way, when the digests that both payloads stated are equal and both use the newest network secret: nobody lacks
 * anything, so each side judges at once, sends ADMIT and may go on behind it; the initiator right behind message 3.
 *
 * Long way:
 *   1. HAVE: each says what it has. Who is known to be revoked is sent away here.
 *   2. ITEM … DONE, asked on by NEXT: each hands over what the other lacks.
 *   3. With the peer's last DONE in and the own one out, each judges: CLOSE with a code, or
 *      ITEM (a renewed or a joiner's new grant), SECRET, ITEM … (registry records, in rounds too), and ADMIT.
 *   4. With both ADMITs there, the link is admitted, or limited and closed.
 *
 * Who joins by invite judges last: it waits for the ADMIT that says that its grant and the secret have been told.
 */
import { equal } from '../bytes.js';
import type { Code } from '../codes.js';
import { WarrenError } from '../errors.js';
import { secretHash } from '../identity/network-secret.js';
import type { NodeId } from '../identity/node-id.js';
import { voidsMore } from '../identity/telling-order.js';
import type { TrustItem } from '../identity/trust-item.js';
import type { AddResult } from '../identity/trust-store.js';
import { FRAME } from '../link/frame.js';
import {
  HaveReader,
  NEXT_BODY,
  SECRET_TAG_LENGTH,
  decodeAdmit,
  decodeDone,
  decodeItem,
  decodeNext,
  decodeSecret,
  encodeAdmit,
  encodeHave,
  encodeSecret,
  type Admit,
  type Have,
  type Secret,
} from './admission-frames.js';
import { Listener, Teller, type AdmissionTrust } from './catch-up.js';
import type { Established, HandshakeContext } from './types.js';
import { judgeIdentity, judgeMember, type Verdict } from './verdict.js';
import { MAX_SECRETS } from './wire.js';

/** The owner closes a link that is not through with admission after this long, ms. */
export const ADMISSION_DEADLINE_MS = 30_000;
/** Unknown frames that may be skipped (odd types) are skipped so often. */
export const MAX_SKIPPED_FRAMES = 64;

/** Who wants to join. */
export interface Joiner {
  readonly nodeId: NodeId;
  readonly name: string;
  /** its newest signed statement, in its key log by now */
  readonly statement: Uint8Array;
}

export type Minted = { readonly grant: Uint8Array } | { readonly refuse: Code; readonly sentence?: string };

export interface AdmissionResult {
  readonly peer: NodeId;
  /** admitted: the session takes the link over · limited: the catch-up was all; onRefused follows, to close the link */
  readonly standing: 'admitted' | 'limited';
  /** why limited, one sentence */
  readonly why?: string;
}

export interface AdmissionOptions {
  readonly established: Established;
  readonly context: Pick<HandshakeContext, 'primitives' | 'identity' | 'log'>;
  /** The store of the network that the link belongs to; a joiner's begins empty. */
  readonly trust: AdmissionTrust;
  /** Sends a frame; called from within `start` and `frame`. */
  send(type: number, body: Uint8Array): void;
  /** Once. From within it, when admitted, the session's handler takes the link over. */
  onAdmitted(result: AdmissionResult): void;
  /** Once, and the last: the link is to be closed with `code`. */
  onRefused(code: Code, sentence: string): void;
  /** Takes items in; default: trust.addAll. Alarms are the owner's then. */
  learn?(items: readonly TrustItem[], from: NodeId): readonly AddResult[];
  /** Network secrets held here, newest first. */
  secrets(): readonly Secret[];
  /** A secret that a signed statement in the store vouches for. */
  onSecret(epoch: number, secret: Uint8Array): void;
  /** At an inviter: makes the joiner's grant, or says why not. */
  mint?(joiner: Joiner, inviteId: string): Minted;
  /** At an admin: a new grant for a member whose grant is over or due. Not asked for on the short way while it is valid. */
  renew?(peer: NodeId): Uint8Array | undefined;
}

/** joining: waits for the inviter's ADMIT · telling: judged, the last is being handed over · judged: the own ADMIT is out */
type Phase = 'new' | 'catch-up' | 'joining' | 'telling' | 'judged' | 'over';

/** Why a link is good for the catch-up only. */
interface Limit {
  readonly code: Code;
  readonly sentence: string;
}

export class Admission {
  private phase: Phase = 'new';
  private readonly teller: Teller;
  private readonly listener: Listener;
  private readonly haveReader = new HaveReader();
  private readonly own: NodeId;
  private readonly isShort: boolean;
  private peerHas: Have | undefined;
  private isToldAll = false;
  /** what the peer showed and what is to come in with what it tells */
  private held: TrustItem | undefined;
  /** the grant that the peer shows cannot be judged before the catch-up */
  private mayHaveGrant = false;
  private secretsHeard = 0;
  private heardCurrent = false;
  private skipped = 0;
  private ownAdmit: (Admit & { readonly why?: string }) | undefined;
  private peerAdmit: Admit | undefined;
  private limit: Limit | undefined;

  constructor(private readonly options: AdmissionOptions) {
    const { established, trust, context } = options;
    this.own = context.identity().nodeId;
    this.teller = new Teller(trust, this.own, (type, body) => this.send(type, body));
    this.listener = new Listener(items => this.learn(items));
    const { peer, localDigest, localCatchUp } = established;
    this.isShort = !localCatchUp && !peer.catchUp && equal(localDigest, peer.digest);
  }

  private get joins(): boolean {
    return this.options.established.localJoin !== undefined;
  }

  /** Begins; once, when the link can send. */
  start(): void {
    if (this.phase !== 'new') throw new WarrenError('internal', 'admission has begun before');
    this.phase = 'catch-up';
    const { statement, grant } = this.options.established.peer;
    const shown: TrustItem = { kind: 'statement', bytes: statement };
    if (this.isToWait(shown)) this.held = shown;
    else this.learn([shown]);
    const [judged] = grant ? this.learn([{ kind: 'grant', bytes: grant }]) : [];
    this.mayHaveGrant = judged?.status === 'pending';
    if (this.isShort) this.judge();
    else this.sendHave();
  }

  /**
   * A statement by which a node that is known gives its keys up is not taken in by itself: the catch-up tells it in its
   * place, behind what the node has signed anew. Whoever could hold the catch-up up could as well have kept the link away.
   */
  private isToWait(shown: TrustItem): boolean {
    const { trust, context, established } = this.options;
    const { nodeId, seq } = established.peer;
    const known = trust.keyLog(nodeId)?.head.seq ?? Infinity;
    return !this.isShort && seq > known && voidsMore(context.primitives, shown);
  }

  /** What waited is taken in at the latest when the peer has told all. */
  private learnHeld(): void {
    const { held } = this;
    this.held = undefined;
    if (held) this.learn([held]);
  }

  /**
   * A frame of the peer.
   * @throws WarrenError whose `wire` is the code to close the link with
   */
  frame(type: number, body: Uint8Array): void {
    if (this.phase === 'over') return;
    switch (type) {
      case FRAME.HAVE:
        return this.onHave(body);
      case FRAME.ITEM:
        this.beforeAdmit('ITEM');
        return this.listener.hear(decodeItem(body));
      case FRAME.DONE:
        return this.onDone(decodeDone(body));
      case FRAME.NEXT:
        decodeNext(body);
        return this.onNext();
      case FRAME.SECRET:
        this.beforeAdmit('SECRET');
        return this.onSecret(decodeSecret(body));
      case FRAME.ADMIT:
        return this.onAdmit(decodeAdmit(body));
      default:
        return this.onOther(type);
    }
  }

  // 1. What each has.

  private sendHave(): void {
    const { trust, context } = this.options;
    const secretTags = this.secrets().map(s => this.tagOf(context, s.secret));
    for (const body of encodeHave({ secretTags, summary: trust.summary() })) this.send(FRAME.HAVE, body);
  }

  private onHave(body: Uint8Array): void {
    if (this.isShort) throw violation('HAVE although the digests are equal');
    const have = this.haveReader.push(body);
    if (!have) return;
    this.peerHas = have;
    const revoked = this.revocation();
    if (revoked) return this.refuse(revoked.code, revoked.sentence);
    this.teller.begin(have.summary);
    this.judgeWhenTold();
  }

  /** Who is known to be revoked is told nothing, unless the grant that it shows may yet turn out to be newer. */
  private revocation(): Extract<Verdict, { code: Code }> | undefined {
    const { trust, established } = this.options;
    if (this.joins || established.peer.join || this.mayHaveGrant) return undefined;
    const verdict = judgeMember(trust, established.peer);
    return verdict.kind === 'refused' && verdict.code === 'revoked' ? verdict : undefined;
  }

  /** A joiner's secrets are those of the network that it leaves. */
  private secrets(): readonly Secret[] {
    return this.joins ? [] : this.options.secrets().slice(0, MAX_SECRETS);
  }

  private tagOf(context: AdmissionOptions['context'], secret: Uint8Array): Uint8Array {
    return secretHash(context.primitives.hash.SHA256, secret).subarray(0, SECRET_TAG_LENGTH);
  }

  // 2. What each lacks.

  private learn(items: readonly TrustItem[]): readonly AddResult[] {
    const { trust, context, established } = this.options;
    if (this.options.learn) return this.options.learn(items, established.peer.nodeId);
    const results = trust.addAll(items);
    for (const { alarm } of results) if (alarm !== undefined) context.log({ level: 'warn', sentence: alarm });
    return results;
  }

  private onNext(): void {
    this.teller.next();
    this.judgeWhenTold();
    this.admitWhenTold();
  }

  private onDone(more: boolean): void {
    this.beforeAdmit('DONE');
    if (this.isShort || (this.isToldAll && !more)) throw violation('DONE out of turn');
    const hadItems = this.listener.endRound();
    if (more && !hadItems) throw violation('an empty round');
    if (more) return this.send(FRAME.NEXT, NEXT_BODY);
    this.learnHeld();
    this.isToldAll = true;
    this.judgeWhenTold();
  }

  private onSecret({ epoch, secret }: Secret): void {
    if (++this.secretsHeard > MAX_SECRETS) throw violation('too many secrets');
    this.listener.flush();
    const hash = secretHash(this.options.context.primitives.hash.SHA256, secret);
    const vouched = this.options.trust.secrets().find(s => s.epoch === epoch && equal(s.secretHash, hash));
    if (vouched?.current) this.heardCurrent = true;
    if (vouched) return this.options.onSecret(epoch, secret);
    this.options.context.log({ level: 'warn', sentence: 'the peer told a network secret that no admin has signed' });
  }

  // 3. The verdict.

  private judgeWhenTold(): void {
    if (this.phase === 'catch-up' && this.isToldAll && this.teller.isDone) this.judge();
  }

  private judge(): void {
    const { trust, established } = this.options;
    const identity = judgeIdentity(trust, established.peer);
    if (identity.kind !== 'admitted') return this.refuse(identity.code, identity.sentence);
    if (this.joins) return this.judgeInviter();
    if (established.peer.join) return this.admitJoiner(established.peer.join.name);
    this.judgeMember();
  }

  private judgeMember(): void {
    const verdict = this.renewed(judgeMember(this.options.trust, this.options.established.peer));
    if (verdict.kind === 'refused') return this.refuse(verdict.code, verdict.sentence);
    if (verdict.kind === 'admitted') this.tellSecrets();
    this.tellTheRest(this.limitOf(verdict));
  }

  private tellTheRest(limit: Limit | undefined): void {
    this.phase = 'telling';
    this.limit = limit;
    if (!limit) this.teller.beginRecords();
    this.admitWhenTold();
  }

  private admitWhenTold(): void {
    if (this.phase === 'telling' && (this.limit || this.teller.isDone)) this.admit(this.limit);
  }

  /** An admin that meets a member whose grant is over, or due, gives it a new one. */
  private renewed(verdict: Verdict): Verdict {
    const { renew, trust, established } = this.options;
    const isOver = verdict.kind === 'limited' && verdict.code === 'grant-expired';
    if (!renew || !(isOver || (verdict.kind === 'admitted' && !this.isShort))) return verdict;
    const grant = renew.call(this.options, established.peer.nodeId);
    if (!grant) return verdict;
    this.give(grant);
    return judgeMember(trust, established.peer);
  }

  /** Why the link is good for the catch-up only, if it is. */
  private limitOf(verdict: Verdict): Limit | undefined {
    if (verdict.kind !== 'admitted') return verdict;
    const { trust, established } = this.options;
    if (established.localCatchUp || established.peer.catchUp) {
      return { code: 'no-error', sentence: 'the link uses a network secret that has been replaced' };
    }
    const own = trust.judge(this.own);
    return own.verdict === 'admitted' ? undefined : { code: own.code, sentence: `of this node: ${own.sentence}` };
  }

  private tellSecrets(): void {
    const { peerHas } = this;
    if (!peerHas) return;
    for (const secret of this.secrets()) {
      const tag = this.tagOf(this.options.context, secret.secret);
      if (!peerHas.secretTags.some(t => equal(t, tag))) this.send(FRAME.SECRET, encodeSecret(secret));
    }
  }

  private give(grant: Uint8Array): void {
    const item: TrustItem = { kind: 'grant', bytes: grant };
    this.options.trust.addAll([item]);
    this.teller.tell(item);
  }

  // 3a. At an inviter.

  private admitJoiner(name: string): void {
    const { established, mint, trust } = this.options;
    const { peer, psk } = established;
    if (!mint || psk.id === undefined) return this.refuse('invite-unknown', 'this node makes no grants');
    const minted = mint.call(this.options, { nodeId: peer.nodeId, name, statement: peer.statement }, psk.id);
    if ('refuse' in minted)
      return this.refuse(minted.refuse, minted.sentence ?? `the invite is refused (${minted.refuse})`);
    this.give(minted.grant);
    const verdict = judgeMember(trust, peer);
    if (verdict.kind !== 'admitted') return this.refuse(verdict.code, verdict.sentence);
    this.tellSecrets();
    this.tellTheRest(undefined);
  }

  // 3b. At a joiner.

  private judgeInviter(): void {
    const { trust, established } = this.options;
    const { peer } = established;
    const verdict = judgeMember(trust, peer);
    if (verdict.kind === 'refused') return this.refuse(verdict.code, verdict.sentence);
    if (!trust.isAdmin(peer.nodeId)) return this.refuse('not-admitted', 'the inviter is not an admin of its network');
    this.phase = 'joining';
  }

  /** The inviter has told all: what was promised must be there. */
  private completeJoin(): void {
    const { trust } = this.options;
    const own = trust.judge(this.own);
    if (own.verdict !== 'admitted') return this.refuse(own.code, `the inviter gave no valid grant: ${own.sentence}`);
    if (!this.heardCurrent) return this.refuse('protocol', 'the inviter did not tell the network secret');
    this.admit(undefined);
  }

  // 4. The end.

  private admit(limit: Limit | undefined): void {
    const standing = limit ? 'limited' : 'admitted';
    this.phase = 'judged';
    this.ownAdmit = { standing, code: limit?.code ?? 'no-error', ...(limit && { why: limit.sentence }) };
    this.send(FRAME.ADMIT, encodeAdmit(this.ownAdmit));
    // On the short way the peer has no more to tell than its ADMIT, which a session passes over.
    if (this.isShort && !limit) this.finish('admitted');
    else this.conclude();
  }

  private onAdmit(admit: Admit): void {
    this.beforeAdmit('ADMIT');
    if (this.phase === 'catch-up') throw violation('ADMIT before the catch-up is over');
    this.listener.flush();
    this.peerAdmit = admit;
    if (this.phase === 'joining' && admit.standing === 'admitted') this.completeJoin();
    else if (this.phase === 'joining') this.refuse(admit.code, `the inviter did not admit this node (${admit.code})`);
    else this.conclude();
  }

  private conclude(): void {
    const { ownAdmit, peerAdmit } = this;
    if (!ownAdmit || !peerAdmit) return;
    if (ownAdmit.standing === 'limited') return this.finishLimited(ownAdmit.code, ownAdmit.why!);
    if (peerAdmit.standing === 'limited') {
      return this.finishLimited(peerAdmit.code, `the peer allows this node the catch-up only (${peerAdmit.code})`);
    }
    this.finish('admitted');
  }

  private finish(standing: 'admitted' | 'limited', why?: string): void {
    this.phase = 'over';
    this.options.onAdmitted({
      peer: this.options.established.peer.nodeId,
      standing,
      ...(why !== undefined && { why }),
    });
  }

  private finishLimited(code: Code, why: string): void {
    this.finish('limited', why);
    this.options.onRefused(code, why);
  }

  private refuse(code: Code, sentence: string): void {
    this.phase = 'over';
    this.options.onRefused(code, sentence);
  }

  private send(type: number, body: Uint8Array): void {
    this.options.send(type, body);
  }

  private beforeAdmit(what: string): void {
    if (this.peerAdmit) throw violation(`${what} behind ADMIT`);
  }

  private onOther(type: number): void {
    // A limited peer may have begun in good faith; it is about to hear.
    if (this.peerAdmit) return;
    if (type % 2 === 0) throw violation(`frame 0x${type.toString(16)} before admission`);
    if (++this.skipped > MAX_SKIPPED_FRAMES)
      throw new WarrenError('limit', 'too many unknown frames', { wire: 'limit' });
  }
}

function violation(why: string): WarrenError {
  return new WarrenError('protocol', `admission: ${why}`, { wire: 'protocol' });
}
