/**
 * HandshakeState (revision 34, §5.3): bytes in, bytes out, no I/O.
 *
 * The error contract. A call that cannot be right from the start (not this side's turn, a payload that does not fit)
 * throws and changes nothing. A message that fails on the way, written or read, ends the handshake: all secrets are
 * wiped and every further call throws. There is no state in between, and nothing is learnt from a message that failed.
 */
import { EMPTY, concat, wipe } from '../bytes.js';
import { KEY_LENGTH, MLKEM, TAG_LENGTH } from '../crypto/lengths.js';
import type { KeyPair, Primitives } from '../crypto/primitives.js';
import { WarrenError } from '../errors.js';
import { CipherState } from './cipher-state.js';
import { parseName } from './name.js';
import type { NoiseName } from './name.js';
import type { DhToken, Token } from './patterns.js';
import { requireKeys } from './requirements.js';
import { MAX_MESSAGE_LENGTH, messageOverheads } from './sizes.js';
import { SymmetricState } from './symmetric-state.js';

export type Role = 'initiator' | 'responder';

export interface HandshakeOptions {
  readonly primitives: Primitives;
  /** The whole protocol name, e.g. `Noise_XXhfs+psk0_25519+MLKEM768_ChaChaPoly_SHA256`. */
  readonly protocol: string;
  readonly role: Role;
  /** Whatever both sides must agree on; any length, also none. */
  readonly prologue: Uint8Array;
  /** Own static key pair, where the pattern has one. */
  readonly s?: KeyPair;
  /** The peer's static public key, where the pattern takes it as known. */
  readonly rs?: Uint8Array;
  /** 32 bytes each, one for every psk token, in token order. */
  readonly psks?: readonly Uint8Array[];
  /** The peer's ephemeral public key, where a fallback pattern takes it as known. */
  readonly re?: Uint8Array;
  /** Own ephemeral key pair: that of the message one falls back from; otherwise for tests only. */
  readonly e?: KeyPair;
  /** For tests only: own KEM key pair. */
  readonly e1?: KeyPair;
  /** For tests only: the 32 random bytes of encapsulation. */
  readonly kemMessage?: Uint8Array;
}

/** What a finished handshake leaves. In one-way patterns the unused direction is a destroyed CipherState, its key empty. */
export interface HandshakeResult {
  readonly send: CipherState;
  readonly receive: CipherState;
  /** The same keys as bytes (32 each), for a record layer of its own. */
  readonly sendKey: Uint8Array;
  readonly receiveKey: Uint8Array;
  /** 32 secret bytes: the third HKDF output at Split. */
  readonly exporter: Uint8Array;
}

type Progress = 'running' | 'finished' | 'split' | 'dead';

export class HandshakeState {
  private readonly name: NoiseName;
  private readonly primitives: Primitives;
  private readonly isInitiator: boolean;
  private readonly symmetric: SymmetricState;
  private readonly overheads: readonly number[];
  private readonly psks: Uint8Array[];
  private readonly s: KeyPair | undefined;
  private readonly kemMessage: Uint8Array | undefined;
  private e: KeyPair | undefined;
  private e1: KeyPair | undefined;
  private rs: Uint8Array | undefined;
  private re: Uint8Array | undefined;
  private re1: Uint8Array | undefined;
  private index = 0;
  private progress: Progress = 'running';

  /** @throws WarrenError `malformed` for an unknown name, `internal` when keys are missing, too many, or of a wrong length */
  constructor(options: HandshakeOptions) {
    this.name = parseName(options.protocol);
    this.primitives = options.primitives;
    this.isInitiator = options.role === 'initiator';
    requireKeys(this.name, options);
    this.overheads = messageOverheads(this.name);
    this.psks = (options.psks ?? []).map(psk => psk.slice());
    this.s = options.s;
    this.rs = options.rs?.slice();
    this.re = options.re?.slice();
    this.e = options.e && copyPair(options.e);
    this.e1 = options.e1 && copyPair(options.e1);
    this.kemMessage = options.kemMessage;
    const { hash, aead } = options.primitives;
    this.symmetric = new SymmetricState(hash[this.name.hash], aead[this.name.cipher], this.name.text);
    this.symmetric.mixHash(options.prologue);
    this.mixPreMessages();
  }

  get finished(): boolean {
    return this.progress === 'finished' || this.progress === 'split';
  }

  /** The peer's static public key as soon as it is known; proven only when `finished`. */
  get remoteStatic(): Uint8Array | undefined {
    return this.progress === 'dead' ? undefined : this.rs;
  }

  get remoteEphemeral(): Uint8Array | undefined {
    return this.progress === 'dead' ? undefined : this.re;
  }

  /** h: equal on both sides, different in every session, not secret (§11.2). Only after the last message. */
  get handshakeHash(): Uint8Array {
    if (!this.finished) throw new WarrenError('internal', 'the handshake is not finished');
    return this.symmetric.handshakeHash;
  }

  /** @returns the bytes that the next message has beyond its payload */
  get nextOverhead(): number {
    return this.overheads[this.index] ?? 0;
  }

  /** @throws WarrenError `internal` out of turn, `limit` for a payload too long (nothing changes); else see the head */
  writeMessage(payload: Uint8Array): Uint8Array {
    this.requireTurn(true);
    if (payload.length + this.nextOverhead > MAX_MESSAGE_LENGTH) {
      throw new WarrenError('limit', `a Noise message would be longer than ${MAX_MESSAGE_LENGTH} bytes`);
    }
    return this.orDie(() => {
      const parts = this.tokens().map(token => this.write(token));
      parts.push(this.symmetric.encryptAndHash(payload));
      return concat(...parts);
    });
  }

  /** @returns the payload. @throws WarrenError `internal` out of turn (nothing changes); else see the head */
  readMessage(message: Uint8Array): Uint8Array {
    this.requireTurn(false);
    return this.orDie(() => {
      if (message.length > MAX_MESSAGE_LENGTH || message.length < this.nextOverhead) {
        throw new WarrenError('malformed', 'a Noise message of an impossible length', { wire: 'protocol' });
      }
      const reader = new Pieces(message);
      for (const token of this.tokens()) this.read(token, reader);
      return this.symmetric.decryptAndHash(reader.rest()).slice();
    });
  }

  /** Once, after the last message: the transport keys. Wipes what the handshake no longer needs. */
  split(): HandshakeResult {
    if (this.progress !== 'finished') throw new WarrenError('internal', 'no finished handshake to split');
    const { initiatorToResponder, responderToInitiator, exporter } = this.symmetric.split();
    this.progress = 'split';
    const aead = this.primitives.aead[this.name.cipher];
    const there = { state: new CipherState(aead, initiatorToResponder), key: initiatorToResponder };
    const back = { state: new CipherState(aead, responderToInitiator), key: responderToInitiator };
    if (this.name.pattern.oneWay) {
      back.state.destroy();
      wipe(back.key);
      back.key = EMPTY;
    }
    const [own, peer] = this.isInitiator ? [there, back] : [back, there];
    return { send: own.state, receive: peer.state, sendKey: own.key, receiveKey: peer.key, exporter };
  }

  /** Gives the handshake up and wipes its secrets. */
  destroy(): void {
    this.progress = 'dead';
    this.symmetric.destroy();
    this.wipeKeys();
  }

  // ── one message ──────────────────────────────────────────────────────────────────────────────────────────────────

  private tokens(): readonly Token[] {
    return this.name.pattern.messages[this.index]!;
  }

  private requireTurn(toWrite: boolean): void {
    if (this.progress === 'dead') throw new WarrenError('internal', 'the handshake has failed');
    if (this.finished) throw new WarrenError('internal', 'the handshake is finished');
    const isOwnTurn = (this.index % 2 === 0) === this.isInitiator;
    if (isOwnTurn !== toWrite) throw new WarrenError('internal', 'the handshake waits for the other side');
  }

  private orDie(step: () => Uint8Array): Uint8Array {
    try {
      const result = step();
      this.index++;
      if (this.index === this.name.pattern.messages.length) {
        this.progress = 'finished';
        this.wipeKeys();
      }
      return result;
    } catch (error) {
      this.destroy();
      throw error;
    }
  }

  private wipeKeys(): void {
    wipe(this.e?.privateKey, this.e1?.privateKey, ...this.psks);
    // With the bytes goes whatever the primitives keep for them.
    this.e = undefined;
    this.e1 = undefined;
  }

  // ── one token ────────────────────────────────────────────────────────────────────────────────────────────────────

  private write(token: Token): Uint8Array {
    switch (token) {
      case 'e':
        this.e ??= this.primitives.x25519.fromPrivate(this.primitives.random(KEY_LENGTH));
        this.mixEphemeral(this.e.publicKey);
        return this.e.publicKey;
      case 's':
        return this.symmetric.encryptAndHash(this.s!.publicKey);
      case 'e1':
        this.e1 ??= this.primitives.mlkem768.generate(this.primitives.random(MLKEM.seed));
        return this.symmetric.encryptAndHash(this.e1.publicKey);
      case 'ekem1':
        return this.encapsulate();
      default:
        this.mixSecret(token);
        return EMPTY;
    }
  }

  private read(token: Token, message: Pieces): void {
    switch (token) {
      case 'e':
        this.re = message.take(KEY_LENGTH).slice();
        this.mixEphemeral(this.re);
        break;
      case 's':
        this.rs = this.decrypt(message, KEY_LENGTH);
        break;
      case 'e1':
        this.re1 = this.decrypt(message, MLKEM.publicKey);
        break;
      case 'ekem1':
        this.decapsulate(this.decrypt(message, MLKEM.ciphertext));
        break;
      default:
        this.mixSecret(token);
    }
  }

  /** §9.2: in every psk pattern an ephemeral public key goes into ck too, so that keys never repeat under one psk. */
  private mixEphemeral(publicKey: Uint8Array): void {
    this.symmetric.mixHash(publicKey);
    if (this.name.usesPsk) this.symmetric.mixKey(publicKey);
  }

  private decrypt(message: Pieces, length: number): Uint8Array {
    const field = message.take(length + (this.symmetric.hasKey ? TAG_LENGTH : 0));
    return this.symmetric.decryptAndHash(field).slice();
  }

  private encapsulate(): Uint8Array {
    const random = this.kemMessage ?? this.primitives.random(MLKEM.message);
    const { ciphertext, secret } = this.primitives.mlkem768.encapsulate(this.re1!, random);
    const sent = this.symmetric.encryptAndHash(ciphertext);
    this.symmetric.mixKey(secret);
    wipe(secret);
    return sent;
  }

  private decapsulate(ciphertext: Uint8Array): void {
    const secret = this.primitives.mlkem768.decapsulate(this.e1!.privateKey, ciphertext);
    this.symmetric.mixKey(secret);
    wipe(secret, this.e1!.privateKey);
  }

  private mixSecret(token: DhToken | 'psk'): void {
    if (token === 'psk') {
      const psk = this.psks.shift()!;
      this.symmetric.mixKeyAndHash(psk);
      wipe(psk);
      return;
    }
    const shared = this.dh(token);
    this.symmetric.mixKey(shared);
    wipe(shared);
  }

  /** The first letter is the initiator's key, the second the responder's. */
  private dh(token: DhToken): Uint8Array {
    const [own, peer] = this.isInitiator ? [token[0], token[1]] : [token[1], token[0]];
    const pair = own === 'e' ? this.e! : this.s!;
    return this.primitives.x25519.dh(pair.privateKey, peer === 'e' ? this.re! : this.rs!);
  }

  /** §5.3: the initiator's keys first, whoever we are. */
  private mixPreMessages(): void {
    const { initiatorPre, responderPre } = this.name.pattern;
    const own = { e: this.e?.publicKey, s: this.s?.publicKey };
    const peer = { e: this.re, s: this.rs };
    const [initiator, responder] = this.isInitiator ? [own, peer] : [peer, own];
    for (const token of initiatorPre) this.mixPreKey(token, initiator[token]!);
    for (const token of responderPre) this.mixPreKey(token, responder[token]!);
  }

  private mixPreKey(token: 'e' | 's', publicKey: Uint8Array): void {
    if (token === 'e') this.mixEphemeral(publicKey);
    else this.symmetric.mixHash(publicKey);
  }
}

/** Cuts a message into its fields; its length was checked before. */
class Pieces {
  private at = 0;

  constructor(private readonly message: Uint8Array) {}

  take(length: number): Uint8Array {
    const piece = this.message.subarray(this.at, this.at + length);
    this.at += length;
    return piece;
  }

  rest(): Uint8Array {
    return this.message.subarray(this.at);
  }
}

function copyPair(pair: KeyPair): KeyPair {
  return { publicKey: pair.publicKey.slice(), privateKey: pair.privateKey.slice() };
}
